"""The documents against the code, in both directions: what is new wants its line, what is gone must go there too."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from broker import failures, results, retries
from broker.api.admin.wire import GiveDirective
from broker.api.errors import JOB_KINDS, KINDS, WORKER_ERROR, problem_of_job
from broker.api.extension import wire
from broker.api.lean import Door, Route, RouteTable
from broker.api.openai.images.wire import CreateImage, ImagesMade
from broker.api.openai.models import MODELS
from broker.api.openai.videos.wire import CreateVideo
from broker.api.table import ORDINARY_ROUTES
from broker.app import Application
from broker.config import Settings
from broker.jobs import MOVES, JobKind, JobState, Outcome
from broker.leases import Phase
from broker.workers import GONE_SECONDS, Directive

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "broker"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")], key=str)
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))
_CODE = re.compile(r"`([^`]+)`")
_CALL = re.compile(r"`(GET|PUT|POST|DELETE|PATCH|HEAD) (/[^`\s?]*)[^`]*`")
_CURL_PATH = re.compile(r"http://localhost:8000(/[^\s\"'?]*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"\bexit_code(?:: ClassVar\[int\])? = (\d+)$", re.MULTILINE)


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """What stands under a heading, up to the next one that is no deeper."""
    parts = re.split(rf"^(#+) {re.escape(heading)}$", page(name), maxsplit=1, flags=re.MULTILINE)
    assert len(parts) == 3, f"{name} has no heading {heading!r}"
    _, hashes, rest = parts
    return re.split(rf"^#{{1,{len(hashes)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their heads."""
    found: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        cells = [
            [cell.strip() for cell in line[1:-1].split("|")] for line in table.strip().splitlines()
        ]
        assert set(cells[1][0]) == {"-"}, f"a table without a head: {cells[0]}"
        found += cells[2:]
    return found


def named(cell: str) -> list[str]:
    """The words that stand as code in a cell."""
    return _CODE.findall(cell)


def column(text: str, number: int = 0) -> list[str]:
    return [name for row in rows(text) for name in named(row[number])]


# Settings and exit statuses.


def variables() -> dict[str, str]:
    return {name: (named(cell) or [""])[0] for name, cell in _settings_rows()}


def _settings_rows() -> Iterator[tuple[str, str]]:
    for row in rows(section("docs/operating.md", "Settings")):
        yield named(row[0])[0], row[1]


def all_variables() -> set[str]:
    return {name.upper() for name in Settings.__dataclass_fields__}


def test_every_setting_is_told_with_its_true_default() -> None:
    told = variables()

    assert set(told) == all_variables()
    assert Settings.from_env(told) == Settings()
    empty = {name for name, value in told.items() if value == ""}
    lists = {"ALLOWED_HOSTS", "ALLOWED_ORIGINS", "CLIENT_KEYS", "WORKER_KEYS", "ADMIN_KEYS"}
    assert empty == lists | {"PUBLIC_BASE_URL", "WEBHOOK_URL", "WEBHOOK_SECRET", "PACK_FILE"}


def test_the_example_environment_has_every_setting_with_its_default() -> None:
    told = dict(re.findall(r"^#([A-Z_]+)=(.*)$", page(".env.example"), re.MULTILINE))

    assert set(told) == all_variables()
    assert told == variables()


def test_every_exit_status_is_told() -> None:
    used = {
        int(status)
        for path in BROKER.rglob("*.py")
        for status in _EXIT_CODE.findall(path.read_text(encoding="utf-8"))
    }
    told = {int(row[0]) for row in rows(section("docs/operating.md", "Exit statuses"))}

    assert len(used) > 5
    assert told == used | {0}


# The life of a job.


def test_every_state_is_told() -> None:
    told = rows(section("docs/job-life.md", "States"))

    assert [named(row[0]) for row in told] == [[state] for state in JobState]
    for row in told:
        assert ("Final." in row[1]) == JobState(named(row[0])[0]).is_final


def test_the_moves_are_those_of_the_table() -> None:
    told = [
        (named(row[0])[0], named(row[1])[0]) for row in rows(section("docs/job-life.md", "Moves"))
    ]

    assert len(told) == len(MOVES)
    assert set(told) == MOVES


def test_every_phase_is_told_in_its_order() -> None:
    assert column(section("docs/job-life.md", "Phases")) == list(Phase)


def test_every_outcome_of_an_attempt_is_told() -> None:
    assert set(column(section("docs/job-life.md", "Attempts"))) == set(Outcome)


def test_the_failure_classes_are_those_of_the_rules() -> None:
    told = {
        named(row[0])[0]: (row[1] == "yes", row[2])
        for row in rows(section("docs/job-life.md", "When a worker reports a failure"))
    }

    assert told == {
        name: (rule.counts, rule.next.replace("_", " ")) for name, rule in failures.RULES.items()
    }


def test_what_a_chat_client_sees_of_a_failure_is_its_status() -> None:
    for row in rows(section("docs/job-life.md", "When a worker reports a failure")):
        if seen := re.search(r"chat:? (\d+)", row[3]):
            name = named(row[0])[0]
            # Content that was refused is an answer, not an error.
            status = 200 if name == "moderated" else JOB_KINDS.get(name, WORKER_ERROR).status
            assert int(seen[1]) == status, name


def test_the_timers_have_their_true_defaults() -> None:
    told = {row[0]: row[1:] for row in rows(section("docs/job-life.md", "Timers"))}
    defaults = Settings()

    for *seconds, set_by in told.values():
        settings = [getattr(defaults, name.lower()) for name in named(set_by)]
        if settings:
            # One for all kinds, or one for each.
            expected = settings * (len(JobKind) // len(settings))
            assert [float(each) for each in seconds] == expected, set_by
    fixed = [float(video) for video, *_, set_by in told.values() if set_by == "fixed"]
    assert fixed == [
        defaults.timers[JobKind.VIDEO].reserve_seconds,
        retries.BACKOFF_SECONDS,
        retries.BACKOFF_CAP_SECONDS,
        retries.RATE_LIMIT_WAIT_SECONDS,
        GONE_SECONDS,
    ]


def test_the_words_that_mean_a_class_are_those_that_are_told() -> None:
    text = section("docs/job-life.md", "When a worker reports a failure")
    told = " ".join(text[text.index("Free text is searched") :].split()).partition(": ")[2]

    classes = [part.strip(" .").split(" → ") for part in told.split(";")]
    assert len(classes) > 5
    for words, name in classes:
        for word in words.split(", "):
            assert [failures.classify(None, f"x {word} x")] == named(name), word


# Errors.


def test_every_error_code_is_told_with_its_status_and_type() -> None:
    table = section("docs/api.md", "Errors").partition("\n### ")[0]
    told = {named(row[0])[0]: (int(row[1]), named(row[2])[0]) for row in rows(table)}

    assert told == {code: (kind.status, kind.type) for code, kind in KINDS.items()}


def test_every_translated_code_of_a_job_is_told() -> None:
    text = section("docs/api.md", "When the job of a waiting client fails")
    told = {
        named(row[0])[0]: (int(row[1]), named(row[2])[0], named(row[3])[0])
        for row in rows(text)
        if named(row[0])
    }

    assert told == {
        code: (kind.status, problem_of_job(code, "").code, kind.type)
        for code, kind in JOB_KINDS.items()
    }


def test_a_workers_refusals_are_codes_with_their_statuses() -> None:
    for codes, status, _ in rows(section("docs/worker-protocol.md", "Refusals")):
        for code in named(codes):
            assert KINDS[code].status == int(status), code


def test_every_code_of_a_failed_job_in_the_core_is_told() -> None:
    ended = re.compile(r'(?:FAILED|job|lost), (?:self\.)?now, [a-z., ]*"([a-z_]+)", ')
    used = {
        code
        for path in BROKER.glob("*.py")
        for code in ended.findall(path.read_text(encoding="utf-8"))
    }
    heading = "Codes of jobs that failed or were cancelled"

    assert len(used) > 4
    assert used - set(failures.RULES) <= set(column(section("docs/job-life.md", heading)))


# Routes.


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RouteTable:
    """Every route there is: those of the OpenAPI document, and the ordinary ones that it leaves out."""
    folder = tmp_path_factory.mktemp("broker")
    names = {"DB_PATH": "jobs.db", "VIDEO_STORAGE_PATH": "videos", "LOG_PATH": "logs"}
    environ = {name: str(folder / path) for name, path in names.items()}

    async def described() -> list[Route]:
        application = Application(Settings.from_env(environ))
        async with (
            application.running(),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(application), base_url="http://localhost"
            ) as http,
        ):
            paths = (await http.get("/openapi.json")).json()["paths"]
        return [
            Route(method.upper(), path, Door.PUBLIC)
            for path, methods in paths.items()
            for method in methods
        ]

    found = {(route.method, route.path): route for route in asyncio.run(described())}
    found |= {(route.method, route.path): route for route in ORDINARY_ROUTES}
    return RouteTable(list(found.values()))


def test_every_route_is_told(table: RouteTable) -> None:
    headings = re.compile(r"^### `([A-Z]+) (/[^`]*)`$", re.MULTILINE)
    told = set(
        headings.findall(page("docs/api.md")) + headings.findall(page("docs/worker-protocol.md"))
    )

    assert len(table.routes) > 20
    assert told == {(route.method, route.path.replace(":path", "")) for route in table.routes}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_route_is_told_that_is_not_there(path: Path, table: RouteTable) -> None:
    text = path.read_text(encoding="utf-8")

    for method, called in _CALL.findall(text):
        assert table.find(method, called), f"{method} {called}"
    for called in _CURL_PATH.findall(text):
        # The SDK adds the rest of the path itself.
        assert called.rstrip("/>") in ("", "/v1") or table.methods(called), called


# The shapes on the line.

CALLS = {
    "`POST /extension/hello`": [wire.SayHello, wire.Welcome],
    "`GET /extension/poll`": [wire.HandedJob],
    "`POST /extension/beat`": [wire.SendBeat, wire.BeatAnswer],
    "`POST /extension/chunks`": [wire.SendChunks, wire.ChunksAnswer],
    "`POST /extension/complete/chat`": [wire.CompleteChat],
    "`POST /extension/error`": [wire.ReportError],
    "`POST /extension/release`": [wire.ReleaseJob],
    "`POST /extension/pair`": [wire.StartPairing, wire.PairingBegun],
    "`GET /extension/pair/{pairing_id}`": [wire.PairingSeen],
    "`POST /extension/unpair`": [wire.Unpaired],
}
QUERY = {"mode", "wait"}


@pytest.mark.parametrize("heading", CALLS)
def test_every_field_of_a_worker_call_is_told(heading: str) -> None:
    told = set(column(section("docs/worker-protocol.md", heading)))

    fields = {name for model in CALLS[heading] for name in model.model_fields}
    assert told - QUERY == fields


def test_every_field_of_a_video_request_is_told() -> None:
    text = section("docs/api.md", "`POST /v1/videos/generations`").partition("The answer, here")[0]

    assert set(column(text)) == set(CreateVideo.model_fields)


def test_every_field_of_an_image_request_and_its_answer_is_told() -> None:
    asked, _, told = section("docs/api.md", "`POST /v1/images/generations`").partition(
        "Other fields"
    )

    assert set(column(asked)) == set(CreateImage.model_fields)
    assert set(column(told)) == set(ImagesMade.model_fields)


def test_every_model_directive_and_gate_class_is_told() -> None:
    refusal = re.compile(r'_(?:refuse|check)\([^"\n]*\s*"([a-z_0-9]+)"')
    films, pictures = (
        set(refusal.findall((BROKER / "media" / name).read_text(encoding="utf-8")))
        for name in ("gate.py", "pictures.py")
    )
    film = section("docs/worker-protocol.md", "`PUT /extension/result/{job_id}`")

    assert column(section("docs/worker-protocol.md", "Directives")) == list(Directive)
    assert set(GiveDirective.model_fields) == {"directive"}
    assert set(column(film)) >= films | {"damaged", "repeated_file"}
    assert len(pictures) == 4
    assert set(column(section("docs/worker-protocol.md", "`POST /extension/complete`"))) >= (
        pictures | {"repeated_file"}
    )
    told = rows(section("docs/api.md", "`GET /v1/models`"))
    assert {named(row[0])[0]: named(row[2]) for row in told} == {
        name: [*entry.aliases, *entry.families] for name, entry in MODELS.items()
    }
    for verdict in results.Verdict:
        assert f"`{verdict}`" in section(
            "docs/worker-protocol.md", "`POST /extension/complete/chat`"
        )


# The house.


def test_every_file_and_folder_of_the_broker_has_its_line() -> None:
    files = {path.name for path in BROKER.glob("*.py")}
    folders = {f"{path.parent.name}/" for path in BROKER.glob("*/__init__.py")}
    told_files = column(section("docs/architecture.md", "Core: the files of `broker/`"))
    told_folders = column(section("docs/architecture.md", "Edges: the folders of `broker/`"))

    assert sorted(told_files) == sorted(files)
    assert sorted(told_folders) == sorted(folders)


def test_every_path_that_the_architecture_names_is_there() -> None:
    paths = re.findall(r"`((?:broker|tests)/[\w/.]+)`", page("docs/architecture.md"))

    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_decision_is_in_the_list() -> None:
    listed = _LINK.findall(section("docs/architecture.md", "Decisions"))

    assert listed == [f"decisions/{path.name}" for path in DECISIONS]
    for number, path in enumerate(DECISIONS, 1):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04} ")
        for part in ("Context", "Decision", "Consequence"):
            assert f"**{part}.**" in text, path.name


def test_the_readme_is_short() -> None:
    assert len(page("README.md").splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(path: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@cache
def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as they are linked to."""
    headings = _HEADING.findall(_FENCED.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
