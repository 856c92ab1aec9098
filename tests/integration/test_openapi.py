"""The OpenAPI document against a real broker: what it says of each route, and whether the answers keep to it."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import png
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

SEED = 20260101
#: Not called: each would keep the worker from its work, which is to give every call an answer. The first key that is
#: made does so too, for from then on everybody is asked for one.
LEFT_OUT = ("/extension/poll", "/extension/hello", "/workers/{worker_id}/directives", "/keys")
#: What the document cannot say, and what therefore may be refused: a prompt of blanks, an image that is none, a
#: parameter that is not offered. And what it does not say: forms have only text, so `"3"` is taken for 3.
UNSAYABLE = "positive_data_acceptance,negative_data_rejection"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    waits = {"image_wait_seconds": 2, "chat_completion_wait_seconds": 2}
    with BrokerProcess(folder, **waits) as process:
        yield process


@pytest.fixture(scope="module")
def document(broker: BrokerProcess) -> dict[str, Any]:
    with broker.client() as client:
        return dict(client.get("/openapi.json").json())


class Hands:
    """Workers that do whatever comes, and look at nothing of it."""

    def __init__(self, broker: BrokerProcess, new_film: Callable[[], bytes]) -> None:
        self._broker = broker
        self._new_film = new_film
        self._sizes = itertools.count(8)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(3)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self, number: int) -> None:
        kinds = ("chat", "image", "video")
        with ScriptedWorker(self._broker, f"hand-{number}") as worker:
            while not self._is_over.is_set():
                answer = worker.http.get("/extension/poll", params={"mode": kinds, "wait": 1})
                if answer.status_code == 200:
                    self._do(worker, answer.json())

    def _do(self, worker: ScriptedWorker, job: dict[str, Any]) -> None:
        if job["job_type"] == "chat":
            worker.answer(job, "Hello.")
        elif job["job_type"] == "image":
            worker.upload_images(job, png(next(self._sizes), 8))
        else:
            worker.upload(job, self._new_film())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_answer_is_one_that_the_document_tells(
    broker: BrokerProcess, new_film: Callable[[], bytes], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{broker.url}/openapi.json"]
    command += ["--checks=all", f"--exclude-checks={UNSAYABLE}", f"--seed={SEED}"]
    command += ["--max-examples=4", "--phases=coverage,fuzzing,stateful", "--max-time=30"]
    command += ["--request-timeout=20", "--warnings=off", "--no-color"]
    command += [f"--exclude-path={path}" for path in LEFT_OUT]
    with Hands(broker, new_film):
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No issues found" in ran.stdout


def test_every_status_is_told_by_its_number(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert all(status.isdecimal() for status in operation["responses"]), name
        assert {"400", "403", "421", "429", "500"} <= set(operation["responses"]), name


def test_where_a_key_is_asked_for_it_is_told(document: dict[str, Any]) -> None:
    asked = {name for name, operation in operations(document) if "401" in operation["responses"]}

    assert {"GET /jobs", "POST /keys", "POST /v1/responses", "GET /extension/poll"} <= asked
    assert not {"GET /health", "GET /videos/{file_name}", "POST /extension/pair"} & asked
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("GET /extension/poll", {"200", "204"}),
        ("PUT /extension/result/{job_id}", {"200", "202", "409", "422"}),
        ("GET /videos/{file_name}", {"200", "206", "304", "404", "409", "410", "416"}),
        ("GET /v1/videos/{job_id}", {"200", "202", "404"}),
        ("POST /v1/videos/generations", {"200", "409", "422", "507"}),
        ("POST /v1/images/generations", {"200", "404", "409", "429", "502", "503", "504"}),
        ("POST /v1/chat/completions", {"200", "404", "409", "429", "502", "503", "504"}),
    ],
)
def test_the_statuses_that_a_client_must_know_are_told(
    document: dict[str, Any], name: str, statuses: set[str]
) -> None:
    assert statuses <= set(dict(operations(document))[name]["responses"])


def test_bodies_queries_and_headers_are_told(document: dict[str, Any]) -> None:
    told = dict(operations(document))
    edits = told["POST /v1/images/edits"]["requestBody"]["content"]
    form = edits["multipart/form-data"]["schema"]
    chat = told["POST /v1/chat/completions"]

    assert set(edits) == {"application/json", "multipart/form-data"}
    assert form["properties"]["image"]["items"] == {"type": "string", "format": "binary"}
    assert form["required"] == ["prompt"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert "Idempotency-Key" in [each["name"] for each in chat["parameters"]]
    assert [each["name"] for each in told["GET /v1/models"]["parameters"]] == ["type"]
    assert "Retry-After" in chat["responses"]["429"]["headers"]


def test_the_document_is_whole_in_itself(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(name := part.get("$ref"), str):
                yield name
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    used = {name.removeprefix("#/components/schemas/") for name in references(document)}
    assert used
    assert used <= set(schemas)
