"""Who may know whom, and how large a thing may grow: the sources are read and held against the tables here.

Every import counts, also one inside a function. A file or folder that stands in no table fails the test that
asks for its place.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from statistics import median, quantiles
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "broker"

#: Values and rules: no waiting, nothing but the standard library, and each knows only those before it.
STILL = [
    "errors",
    "addresses",
    "redaction",
    "ids",
    "clock",
    "failures",
    "chunks",
    "leases",
    "outputs",
    "jobs",
    "repeats",
    "webhooks",
    "keys",
    "pairing",
    "ports",
]
STILL += ["media_ports", "retries", "submissions", "handouts", "acts", "results", "deadlines"]
#: The deeds: they wait, but know no HTTP, no SQL, no files and no environment.
MOVING = ["notifier", "workers", "offers", "deliveries", "queue", "chores", "metrics"]
MOVING += ["keyring", "keywatch", "pairing_desk"]
CORE = [*STILL, *MOVING]
#: What is shared by the three doors and by everything that has to be set or written down.
JOINED = ["values", "config", "log"]
DOORS = ["api.openai", "api.extension", "api.admin"]

#: Part → which other parts of the broker it may import. A part is a file, or a folder with all in it.
MAY_IMPORT: dict[str, list[str]] = {
    **{name: STILL[:place] for place, name in enumerate(STILL)},
    **{name: [*STILL, *MOVING[:place]] for place, name in enumerate(MOVING)},
    "values": STILL,
    "config": [*STILL, "values"],
    "log": [*STILL, "values"],
    "secret_file": ["errors", "config"],
    # The outermost ring of a loop: what goes wrong in there is written down there.
    "sweeper": [*CORE, "log"],
    "store": STILL,
    # What goes out of the house, whoever sends it, goes past the guard in here.
    "net": STILL,
    "media": [*STILL, "net"],
    "hooks": [*STILL, "notifier", "config", "log", "net", "secret_file"],
    "api": [*CORE, *JOINED],
    **{door: [*CORE, *JOINED, "api"] for door in DOORS},
    "scheduler": [*CORE, *JOINED],
    "dashboard": [],
    # Keys are made on the database itself, because the first one is made while nobody may call.
    "cli": [
        "config",
        "errors",
        "hooks",
        "app",
        "ids",
        "clock",
        "keys",
        "keyring",
        "secret_file",
        "store",
        "media",
    ],
    # Speaks HTTP like any worker and any client.
    "demo": [],
    "app": ["*"],
    "__main__": ["cli"],
    "__init__": [],
}

#: Third-party name → the only places that know it.
ONLY_IN: dict[str, list[str]] = {
    "aiosqlite": ["store.sqlite"],
    "filelock": ["store.sqlite"],
    "asyncpg": ["store.postgres"],
    "apscheduler": ["scheduler"],
    "fastapi": ["api", "dashboard", "app"],
    "starlette": ["api", "dashboard", "app", "demo.site"],
    "pydantic": ["api"],
    "pydantic_core": ["api.openai.chat.schemas"],
    "jsonschema": ["api.openai.chat.schemas"],
    "referencing": ["api.openai.chat.schemas"],
    "python_multipart": ["api.forms"],
    "uvicorn": ["cli", "demo.site.stand_in"],
    "aiofiles": ["media"],
    "pymediainfo": ["media"],
    # The demo is a program of its own that happens to ship with the broker.
    "httpx": ["net", "media", "hooks", "demo"],
    # Both are loaded in a process of their own: the broker itself imports neither.
    "PIL": ["media.frames", "demo"],
    "av": ["media.frames", "demo"],
    "rich": ["demo"],
    "trustme": ["demo.site.certificate"],
    "cryptography": ["demo.site.certificate"],
}
#: Of the standard library, enough for a rule: nothing here names an engine, a wire, a disk or a process.
PLAIN = frozenset(
    [
        "base64",
        "collections",
        "contextlib",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "random",
        "re",
        "secrets",
        "string",
        "time",
        "typing",
        "urllib.parse",
        "weakref",
        "zlib",
    ]
)


class Import(NamedTuple):
    """One name that a file imports."""

    file: str
    part: str
    name: str

    @property
    def top(self) -> str:
        return self.name.split(".")[0]


def sources() -> list[Path]:
    return sorted(BROKER.rglob("*.py"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def dotted(path: Path) -> str:
    """`broker/api/openai/chat.py` as `api.openai.chat`; a package by its folder's name."""
    relative = PurePosixPath(path.relative_to(BROKER).with_suffix("").as_posix())
    return ".".join(relative.parts).removesuffix(".__init__") or "__init__"


def part_of(module: str) -> str | None:
    """The longest name in the table that holds this module."""
    names = module.split(".")
    held_by = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next((name for name in held_by if name in MAY_IMPORT), None)


def imports_of(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            # `from broker import chores` names a module; `from broker.jobs import Job` does not.
            yield from _named(node.module or "", [alias.name for alias in node.names])


def _named(module: str, names: list[str]) -> Iterator[str]:
    for name in names:
        is_module = module.split(".")[0] == "broker" and _is_module(f"{module}.{name}")
        yield f"{module}.{name}" if is_module else module


@cache
def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def all_imports() -> list[Import]:
    return [
        Import(str(path.relative_to(ROOT)), part_of(dotted(path)) or "", name)
        for path in sources()
        for name in imports_of(path)
    ]


def inside(name: str, places: list[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return all_imports()


def test_every_file_has_its_place_in_the_table() -> None:
    assert [dotted(path) for path in sources() if part_of(dotted(path)) is None] == []
    assert len(sources()) > 50


def test_each_part_knows_only_those_it_may(imports: list[Import]) -> None:
    wrong = []
    for found in imports:
        if found.top != "broker" or MAY_IMPORT[found.part] == ["*"]:
            continue
        known = found.name.removeprefix("broker").removeprefix(".")
        # The package itself holds the version.
        allowed = known == "" or part_of(known) in (found.part, *MAY_IMPORT[found.part])
        if not allowed:
            wrong.append(f"{found.file} must not know {found.name}")

    assert wrong == []


def test_the_table_itself_has_no_circle() -> None:
    """What may be known may not know back; `app` may know all and is known to the command line alone."""
    for part, known in MAY_IMPORT.items():
        for other in known:
            assert other == "*" or part not in MAY_IMPORT[other], f"{part} and {other}"


def test_a_third_party_name_is_known_in_one_place(imports: list[Import]) -> None:
    wrong = []
    for found in imports:
        if found.top == "broker" or found.top in sys.stdlib_module_names:
            continue
        module = found.file.removeprefix("broker/").removesuffix(".py").replace("/", ".")
        if not inside(module, ONLY_IN.get(found.top, [])):
            wrong.append(f"{found.file} must not know {found.top}")

    assert wrong == []


def test_the_core_knows_nothing_of_files_wires_engines_or_the_environment(
    imports: list[Import],
) -> None:
    wrong = [
        f"{found.file} must not know {found.name}"
        for found in imports
        if found.part in CORE and found.top != "broker"
        if not {found.top, found.name} & (PLAIN if found.part in STILL else PLAIN | {"asyncio"})
    ]

    assert wrong == []


def test_rules_do_not_wait() -> None:
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    wrong = []
    for name in STILL:
        for node in nodes(BROKER / f"{name}.py"):
            # A port says which verbs will have to be waited for, and waits for none.
            if isinstance(node, waiting) or (
                isinstance(node, ast.AsyncFunctionDef) and not name.endswith("ports")
            ):
                wrong.append(f"{name}.py, line {node.lineno}")

    assert wrong == []


def test_sql_is_known_to_the_store_and_its_version_to_the_doctor(imports: list[Import]) -> None:
    knowing = {found.file for found in imports if found.top == "sqlite3"}

    assert {file for file in knowing if not file.startswith("broker/store/sqlite/")} <= {
        # Prints the version of the library, for reports.
        "broker/cli/doctor.py"
    }


def test_the_environment_is_read_at_the_edge() -> None:
    """Settings are handed in; only what starts the program looks around."""
    reading = set()
    for path in sources():
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                reading.add(part_of(dotted(path)))

    assert reading <= {"app", "cli", "demo"}


# How large a thing may grow.


def function_sizes() -> dict[str, int]:
    sizes = {}
    for path in sources():
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                sizes[place] = node.end_lineno - node.lineno + 1
    return sizes


def test_functions_are_short() -> None:
    sizes = function_sizes()

    assert median(sizes.values()) <= 9
    assert quantiles(sizes.values(), n=10)[-1] <= 25
    assert {place: size for place, size in sizes.items() if size > 60} == {}


def limit(module: str) -> int:
    # One deed and one error after the other: parted, neither would be easier to find.
    if module in ("queue", "errors"):
        return 320
    return 250 if module in (*CORE, "sweeper", *JOINED) else 400


def test_files_are_short() -> None:
    sizes = {dotted(path): len(path.read_text("utf-8").splitlines()) for path in sources()}

    assert {module: size for module, size in sizes.items() if size > limit(module)} == {}
