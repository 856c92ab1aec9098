"""A client leaves in the middle of its chat: what has cost nothing is cancelled, the background goes on."""

import json
import time
from typing import Any

import httpx
import pytest

from broker.api.waits import LOOK_SECONDS
from tests.support.server import BrokerProcess
from tests.support.wire import Line, head
from tests.support.worker import ScriptedWorker

CHAT = {"model": "grok", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"model": "grok", "input": "Hi"}
ROUTES = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSE}
#: A waiting request looks each second whether its client is there; the rest is for a busy machine.
NOTICED_SECONDS = LOOK_SECONDS + 2


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["end", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", ROUTES)
def test_a_chat_that_nobody_has_taken_is_cancelled(
    broker: BrokerProcess, path: str, stream: bool, ending: str
) -> None:
    with broker.client() as client, Line(broker.port) as line:
        line.says(_request(path, stream=stream))
        job_id = _newest(client)["id"]
        began = time.monotonic()
        _leave(line, ending)

        assert _ended(client, job_id, began)["status"] == "cancelled"


@pytest.mark.faults
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", ROUTES)
def test_a_chat_that_is_being_prepared_is_cancelled_and_its_worker_told_at_its_next_beat(
    broker: BrokerProcess, path: str, stream: bool
) -> None:
    with broker.client() as client, ScriptedWorker(broker) as worker, Line(broker.port) as line:
        line.says(_request(path, stream=stream))
        job = worker.take("chat")
        worker.beat(job, phase="preparing")
        began = time.monotonic()
        _leave(line, "end")

        assert _ended(client, job["job_id"], began)["status"] == "cancelled"
        assert worker.beat(job).json()["cancel"] is True


@pytest.mark.faults
def test_a_chat_in_the_background_goes_on(broker: BrokerProcess) -> None:
    with broker.client() as client, ScriptedWorker(broker) as worker, Line(broker.port) as line:
        line.says(_request("/v1/responses", background=True))
        job = worker.take("chat")
        _leave(line, "reset")
        worker.beat(job, phase="submitted")

        assert worker.beat(job).json()["cancel"] is False
        assert worker.answer(job, "Hello.").status_code == 200
        assert client.get(f"/jobs/{job['job_id']}").json()["status"] == "completed"


def _request(path: str, **more: Any) -> bytes:
    body = json.dumps({**ROUTES[path], **more}).encode()
    return head("POST", path, content_type="application/json", content_length=len(body)) + body


def _leave(line: Line, ending: str) -> None:
    line.breaks() if ending == "reset" else line.ends()


def _newest(client: httpx.Client) -> dict[str, Any]:
    while True:
        jobs = client.get("/jobs", params={"limit": 1, "status": "pending"}).json()["data"]
        if jobs:
            return dict(jobs[0])


def _ended(client: httpx.Client, job_id: str, began: float) -> dict[str, Any]:
    """The job, once it has ended or should have."""
    while True:
        shown: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if (
            shown["status"] not in ("pending", "processing")
            or time.monotonic() - began > NOTICED_SECONDS
        ):
            return shown
