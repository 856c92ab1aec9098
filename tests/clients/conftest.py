"""One broker with a worker that does everything, and OpenAI's client for it, with nothing changed but its base URL."""

import base64
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai import DefaultHttpxClient, OpenAI

import run
from tests.support.auto_worker import AutoWorker
from tests.support.films import make_film
from tests.support.server import BrokerProcess

HERE = Path(__file__).parent
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()


@pytest.fixture(scope="session")
def new_film(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], bytes]:
    """A film that no job has left yet: a box that players skip tells it from all others."""
    film = make_film(tmp_path_factory.mktemp("films") / "film.mp4").read_bytes()
    numbers = itertools.count()

    def make() -> bytes:
        own = f"film {next(numbers)}".encode()
        return film + (len(own) + 8).to_bytes(4, "big") + b"free" + own

    return make


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {"webhook_allow_private": 1, "webhook_secret": WEBHOOK_SECRET, "sweep_seconds": 0.2}
    with BrokerProcess(tmp_path_factory.mktemp("broker"), **settings) as process:
        yield process


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that nobody works for."""
    with BrokerProcess(tmp_path_factory.mktemp("idle"), sweep_seconds=0.2) as process:
        yield process


@pytest.fixture(scope="session")
def worker(broker: BrokerProcess, new_film: Callable[[], bytes]) -> Iterator[AutoWorker]:
    with AutoWorker(broker, new_film) as worker:
        yield worker


@pytest.fixture
def sent() -> list[str]:
    """`METHOD /path` of every request that the client sends, its own repeats included."""
    return []


@pytest.fixture
def client(broker: BrokerProcess, worker: AutoWorker, sent: list[str]) -> Iterator[OpenAI]:
    def note(request: object) -> None:
        sent.append(f"{request.method} {request.url.path}")

    http = DefaultHttpxClient(event_hooks={"request": [note]}, trust_env=False)
    with OpenAI(base_url=f"{broker.url}/v1", api_key="any", http_client=http) as client:
        yield client


@pytest.fixture(scope="session")
def node() -> str:
    """A Node.js that is new enough, with the clients' packages installed."""
    found = run.node_in(None) or run.node_in(str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"no node (Node.js {run.NODE_MAJOR} or newer, with npm)")
    if not (HERE / "node_modules").is_dir():
        pytest.skip("no packages: type `npm ci` in tests/clients")
    return found.node
