"""One broker process for each test module, and films to hand in."""

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.films import make_film
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

_numbers = itertools.count()


@pytest.fixture(scope="session")
def base_film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", text_seed="base").read_bytes()


@pytest.fixture
def new_film(base_film: bytes) -> Callable[[], bytes]:
    """A film that no job has left yet: a box that players skip tells it from all others."""

    def make() -> bytes:
        own = f"film {next(_numbers)}".encode()
        return base_film + (len(own) + 8).to_bytes(4, "big") + b"free" + own

    return make


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("broker"), sweep_seconds=0.2) as process:
        yield process


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[httpx.Client]:
    with broker.client() as client:
        yield client


@pytest.fixture
def worker(broker: BrokerProcess) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(broker) as worker:
        yield worker


@pytest.fixture
def seed_worker(broker: BrokerProcess) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(broker, name=None) as worker:
        yield worker
