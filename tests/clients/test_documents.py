"""The documents' programs run as they stand there, with nothing changed but the port."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.auto_worker import AutoWorker
from tests.support.server import ROOT, BrokerProcess

MODULES = Path(__file__).parent / "node_modules"
#: Not among the tests' requirements, or settings of another program. They are tried by hand; the document says with
#: which versions.
ELSEWHERE = ("litellm", "langchain_openai", "pydantic_ai", "agents", "instructor", "IMAGES_OPENAI")
#: A receiver of webhooks serves until it is stopped.
ENDLESS = ("serve_forever",)
_BLOCK = re.compile(r"^```(python|js|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Program(NamedTuple):
    name: str
    language: str
    code: str

    @property
    def is_for_here(self) -> bool:
        return not any(word in self.code for word in (*ELSEWHERE, *ENDLESS))


def programs() -> Iterator[Program]:
    """All of the section on clients, and those in Python of the other pages."""
    api, readme = ((ROOT / name).read_text("utf-8") for name in ("docs/api.md", "README.md"))
    before, _, after = api.partition("\n## Models\n")
    for name, text in {"clients": before, "api": after, "readme": readme}.items():
        for number, (language, code) in enumerate(_BLOCK.findall(text), 1):
            if name == "clients" or language == "python":
                yield Program(f"{name}-{number}-{language}", language, code)


@pytest.mark.parametrize(
    "program", [each for each in programs() if each.is_for_here], ids=lambda each: each.name
)
def test_it_runs(
    program: Program, broker: BrokerProcess, worker: AutoWorker, node: str, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    code = program.code.replace("http://localhost:8000", broker.url)
    commands = {
        "python": [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        "js": [node, "--input-type=module", "--eval", code],
        "bash": ["bash", "-ec", code],
    }
    ran = subprocess.run(
        commands[program.language], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    films = [film.read_bytes() for film in tmp_path.glob("*.mp4")]
    assert films or "You said: " in ran.stdout
    assert all(film[4:8] == b"ftyp" for film in films)


def test_a_program_that_does_not_run_here_is_one_that_is_known() -> None:
    others = [program.code for program in programs() if not program.is_for_here]

    assert len(others) == len(ELSEWHERE) + len(ENDLESS)
