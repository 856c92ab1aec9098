"""A chat for which there is nobody says so when its wait is over."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

ASKED = {"model": "grok", "messages": [{"role": "user", "content": "Is anybody there?"}]}


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, chat_completion_wait_seconds=0.5, sweep_seconds=0.2) as process:
        yield process


def error_of(client: httpx.Client, **fields: Any) -> Any:
    answer = client.post("/v1/chat/completions", json={**ASKED, **fields})
    if not fields:
        assert answer.headers["x-should-retry"] == "false"
        assert answer.status_code == (504 if answer.json()["error"]["code"] == "timeout" else 503)
        return answer.json()["error"]
    *_, failed, done = [line for line in answer.iter_lines() if line]
    assert done == "data: [DONE]"
    return httpx.Response(200, text=failed.removeprefix("data: ")).json()["error"]


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
def test_it_tells_absence_from_a_closed_door_from_slowness(
    client: httpx.Client, worker: ScriptedWorker, fields: dict[str, Any]
) -> None:
    absent = error_of(client, **fields)
    hello = {"kinds": ["chat"], "page_state": "needs_login"}
    worker.http.post("/extension/hello", json=hello)
    logged_out = error_of(client, **fields)
    worker.http.post("/extension/hello", json={**hello, "page_state": "ready"})
    slow = error_of(client, **fields)

    told = [absent["code"], logged_out["code"], slow["code"]]
    assert told == ["no_worker", "worker_logged_out", "timeout"]
