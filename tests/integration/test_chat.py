"""A chat completion waits for its worker: whole, streamed, cut short, with images."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

Work = Callable[[ScriptedWorker], None]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, chat_completion_wait_seconds=8, sweep_seconds=0.2) as process:
        yield process


@contextmanager
def meanwhile(work: Work, worker: ScriptedWorker) -> Iterator[None]:
    """A worker busy in the background; what goes wrong there is raised here."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(worker)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(30)
    if failed:
        raise failed[0]


def says(text: str, **fields: object) -> Work:
    return lambda worker: _expect(worker.answer(worker.take("chat"), text, **fields), 200)


def _expect(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text


def user(content: object) -> dict[str, object]:
    return {"model": "grok-4", "messages": [{"role": "user", "content": content}]}


def events(answer: httpx.Response) -> Iterator[dict[str, object] | str]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def test_an_answer_comes_back_whole(client: httpx.Client, worker: ScriptedWorker) -> None:
    with meanwhile(says("Hello ☃", reasoning="I think"), worker):
        answer = client.post("/v1/chat/completions", json=user("Hi"))

    assert answer.status_code == 200
    body = answer.json()
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "Hello ☃"
    assert choice["message"]["reasoning_content"] == "I think"
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["estimated"] is True
    assert body["usage"]["total_tokens"] > 0


def test_the_worker_sees_every_turn_in_order(client: httpx.Client, worker: ScriptedWorker) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": [{"type": "text", "text": "Three?"}]},
    ]
    seen: list[dict[str, object]] = []

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        seen.append(job)
        _expect(worker.answer(job, "Four."), 200)

    with meanwhile(work, worker):
        client.post("/v1/chat/completions", json={"model": "grok-4", "messages": messages})

    (job,) = seen
    assert job["prompt"] == "System: Be brief.\n\nUser: One?\n\nAssistant: Two.\n\nUser: Three?"
    request = job["request"]
    assert isinstance(request, dict)
    assert request["messages"] == messages


def test_images_reach_the_worker_in_place(client: httpx.Client, worker: ScriptedWorker) -> None:
    url = f"data:image/png;base64,{PNG}"
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    seen: list[dict[str, object]] = []

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        seen.append(job)
        _expect(worker.answer(job, "A dot."), 200)

    with meanwhile(work, worker):
        client.post("/v1/chat/completions", json=user(content))

    (job,) = seen
    assert (job["prompt"], job["image"]) == ("What is this?", PNG)
    assert job["images"] == [], "they stand in the request"
    request = job["request"]
    assert isinstance(request, dict)
    assert request["messages"][0]["content"] == content


def test_a_stream_brings_each_delta_before_the_answer_is_complete(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    may_go_on = threading.Event()

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        _expect(worker.chunks(job, (0, "Hel")), 200)
        assert may_go_on.wait(10)
        _expect(worker.chunks(job, (0, "Hel"), (1, "lo")), 200)
        _expect(worker.answer(job, "Hello!"), 200)

    body = {**user("Hi"), "stream": True, "stream_options": {"include_usage": True}}
    with (
        meanwhile(work, worker),
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        stream = events(answer)
        first, second = next(stream), next(stream)
        may_go_on.set()
        rest = list(stream)

    assert isinstance(first, dict)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}  # type: ignore[index]
    everything = [first, second, *rest]
    assert everything[-1] == "[DONE]"
    chunks = [event for event in everything if isinstance(event, dict)]
    deltas = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]  # type: ignore
    assert deltas == ["", "Hel", "lo", "!", ""]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    assert chunks[-1]["choices"] == []
    assert len({(c["id"], c["created"], c["model"]) for c in chunks}) == 1


def test_a_stream_that_breaks_after_a_delta_ends_with_an_error(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        worker.chunks(job, (0, "Hel"))
        decided = worker.error(job, "the tab was closed", code="tab_closed")
        assert decided.json()["outcome"] == "failed"

    with (
        meanwhile(work, worker),
        client.stream(
            "POST", "/v1/chat/completions", json={**user("Hi"), "stream": True}
        ) as answer,
    ):
        received = list(events(answer))

    assert received[-1] == "[DONE]"
    failed = received[-2]
    assert isinstance(failed, dict)
    assert failed["error"]["code"] == "stream_interrupted"  # type: ignore[index]


def test_a_gap_in_the_chunks_is_refused_with_the_number_expected(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        refused = worker.chunks(job, (1, "lo"))
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "chunk_gap"
        assert refused.json()["error"]["expected_seq"] == 0
        _expect(worker.chunks(job, (0, "Hel"), (1, "lo")), 200)
        _expect(worker.answer(job, None), 200)

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=user("Hi"))

    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


def test_a_refused_content_is_told_as_a_content_filter(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("chat"), "no", code="moderated")

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=user("Hi"))

    assert answer.status_code == 200
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


def test_a_rate_limit_that_outlasts_the_wait_is_told_at_once(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("chat"), "limit", code="rate_limited", retry_at=4e9)

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=user("Hi"))

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answer.headers["retry-after"]) > 1000
    worker.http.post("/extension/hello", json={"kinds": ["chat"]})


def test_a_client_that_waited_long_enough_gets_504_and_no_worker_gets_the_job(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    answer = client.post("/v1/chat/completions", json=user("Is anybody there?"))

    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timeout"
    assert answer.headers["x-should-retry"] == "false"
    assert worker.poll("chat", wait=0) is None
    (job,) = client.get("/jobs", params={"kind": "chat", "limit": 1}).json()["data"]
    assert job["status"] in ("cancelled", "failed")


def test_a_client_that_leaves_cancels_what_has_cost_nothing(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = broker.client()
    with left.stream(
        "POST", "/v1/chat/completions", json={**user("Bye"), "stream": True}
    ) as answer:
        job = worker.take("chat")
        next(events(answer))
    left.close()

    while not worker.beat(job).json()["cancel"]:
        worker.poll("chat", wait=0.2)

    assert client.get(f"/jobs/{job['job_id']}").json()["status"] == "cancelled"


def test_an_empty_answer_is_no_answer(client: httpx.Client, worker: ScriptedWorker) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        refused = worker.answer(job, "")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "content")
        _expect(worker.answer(job, "There."), 200)

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=user("Hi"))

    assert answer.json()["choices"][0]["message"]["content"] == "There."


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model": "grok-4"}, 400, "missing_required_parameter", "messages"),
        ({"model": "grok-4", "messages": []}, 400, "invalid_value", "messages"),
        ({**user("Hi"), "model": "gpt-9"}, 404, "model_not_found", "model"),
        ({**user("Hi"), "model": "grok-imagine-video"}, 400, "invalid_value", "model"),
        ({**user("Hi"), "n": 2}, 400, "unsupported_parameter", "n"),
        ({**user("Hi"), "tool_choice": "required"}, 400, "unsupported_parameter", "tool_choice"),
        (user([]), 400, "invalid_value", "messages"),
        (
            user([{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]),
            400,
            "invalid_value",
            "image",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.Client, body: object, status: int, code: str, param: str
) -> None:
    answer = client.post("/v1/chat/completions", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_an_answer_that_was_cut_off_is_kept_with_its_job(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    held: list[dict[str, str]] = []

    def work(worker: ScriptedWorker) -> None:
        held.append(job := worker.take("chat"))
        worker.beat(job, phase="submitted")
        worker.chunks(job, (0, "Once upon "), (1, "a time"))
        worker.error(job, "The stream ended.", code="incomplete")

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=user("Tell me a story"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "incomplete")
    late = client.get(f"/jobs/{held[0]['job_id']}").json()["late_result"]
    assert (late["text"], late["finish_reason"]) == ("Once upon a time", "incomplete")
