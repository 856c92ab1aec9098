"""Waits that are longer than clients allow: answers promised before they are there, clients that tell their limit."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

CHAT = "/v1/chat/completions"
HI = {"model": "grok", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {"silent_wait_seconds": 0.3, "first_beat_seconds": 60, "sweep_seconds": 0.2}
    with BrokerProcess(tmp_path_factory.mktemp("broker"), **settings) as process:
        yield process


def test_a_client_is_promised_its_answer_before_it_gives_up(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    with client.stream("POST", CHAT, json=HI) as answer:
        # The status is there, and nobody has answered yet.
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        worker.answer(worker.take("chat"), "Hello.")
        body = b"".join(answer.iter_bytes())

    assert body.startswith(b" ")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello."


def test_a_failure_after_the_promise_cuts_the_answer_off_and_a_repeat_is_told_it(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    first = {"x-stainless-retry-count": "0"}
    with client.stream("POST", CHAT, json=HI, headers=first) as answer:
        job = worker.take("chat")
        worker.beat(job, phase="submitted")
        worker.error(job, "the answer was cut off", code="incomplete")
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()

    repeat = client.post(CHAT, json=HI, headers={"x-stainless-retry-count": "1"})

    assert repeat.status_code == 502
    assert repeat.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("name", ["x-stainless-read-timeout", "x-stainless-timeout"])
def test_a_client_that_tells_its_limit_is_answered_before_it(
    client: httpx.Client, worker: ScriptedWorker, name: str
) -> None:
    asked: dict[str, Any] = HI | {"user": name}

    # Before the promise of 200, so that the status can still be told.
    refused = client.post(CHAT, json=asked, headers={name: "0.25"})

    assert refused.status_code in (503, 504)
    assert worker.poll("chat", wait=0) is None


@pytest.mark.parametrize(("wait", "status"), [("0", 200), ("0.2", 200), ("241", 400), ("-1", 400)])
def test_a_wait_is_bounded(client: httpx.Client, wait: str, status: int) -> None:
    job_id = client.post("/v1/videos/generations", json={"prompt": "a cat"}).json()["id"]

    answer = client.get(f"/v1/videos/generations/{job_id}", params={"wait": wait})

    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "wait"
    client.delete(f"/jobs/{job_id}")
