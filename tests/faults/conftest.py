"""What faults are made with, and a film to hand in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.films import make_film
from tests.support.traced import missing_strace


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("films")
    return make_film(folder / "film.mp4", seconds=1, text_seed="faults").read_bytes()


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Path]:
    """A folder for gigabytes, which are not kept once the test is over."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def strace(request: pytest.FixtureRequest) -> None:
    """strace may be used. Where it may not the test is skipped and says so; a nightly one fails."""
    _needs(request, missing_strace())


@pytest.fixture
def root(request: pytest.FixtureRequest) -> None:
    """The test may mount. Where it may not it is skipped and says so; a nightly one fails."""
    is_root = os.name == "posix" and os.geteuid() == 0
    _needs(request, None if is_root else "only root may mount a small disk")


def _needs(request: pytest.FixtureRequest, missing: str | None) -> None:
    if missing is not None and request.node.get_closest_marker("nightly"):
        pytest.fail(missing)
    if missing is not None:
        pytest.skip(missing)
