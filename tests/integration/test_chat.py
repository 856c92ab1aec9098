"""A chat completion waits for its worker: whole, streamed, cut short, with images."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import meanwhile, says
from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, chat_completion_wait_seconds=8, sweep_seconds=0.2) as process:
        yield process


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
    assert "warnings" not in body
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "Hello ☃"
    assert choice["message"]["reasoning_content"] == "I think"
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["estimated"] is True
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


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
    assert chunks[-1]["usage"]["completion_tokens"] > 0  # type: ignore[index]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
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
    assert answer.headers["retry-after"] == "60"
    assert int(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) > 1000
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


# Cut, silent, joined, refused.


def test_a_stream_has_no_usage_unless_it_is_asked_for(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    body = {**user("Hi"), "stream": True}
    with meanwhile(says("Hello", reasoning="I think"), worker):
        received = list(events(client.post("/v1/chat/completions", json=body)))

    chunks = [event for event in received if isinstance(event, dict)]
    assert not any("usage" in chunk or "warnings" in chunk for chunk in chunks)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [  # type: ignore[index]
        {"role": "assistant", "content": ""},
        {"reasoning_content": "I think"},
        {"content": "Hello"},
        {},
    ]


def test_what_is_not_acted_on_is_said(client: httpx.Client, worker: ScriptedWorker) -> None:
    body = {**user("Hi"), "temperature": 0.5, "tools": [{"type": "function"}]}
    with meanwhile(says("Hello"), worker):
        whole = client.post("/v1/chat/completions", json=body).json()
    with meanwhile(says("Hello"), worker):
        answer = client.post("/v1/chat/completions", json={**body, "stream": True})

    assert len(whole["warnings"]) == 2
    assert "temperature" in whole["warnings"][1]
    first = next(events(answer))
    assert isinstance(first, dict)
    assert first["warnings"] == whole["warnings"]


def test_a_whole_answer_is_cut_at_a_stop(client: httpx.Client, worker: ScriptedWorker) -> None:
    with meanwhile(says("One. Two. END Three.", finish_reason="length"), worker):
        answer = client.post("/v1/chat/completions", json={**user("Count"), "stop": [" END", "?"]})

    (choice,) = answer.json()["choices"]
    assert choice["message"]["content"] == "One. Two."
    assert choice["finish_reason"] == "stop"


def test_a_stream_ends_at_a_stop_whatever_the_pieces_and_its_job_goes_on(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    has_ended = threading.Event()
    held: list[dict[str, str]] = []

    def work(worker: ScriptedWorker) -> None:
        held.append(job := worker.take("chat"))
        _expect(worker.chunks(job, (0, "One <"), (1, "em> two <e")), 200)
        _expect(worker.chunks(job, (2, "nd> three")), 200)
        assert has_ended.wait(10)
        _expect(worker.answer(job, "One <em> two <end> three"), 200)

    body = {
        **user("Count"),
        "stream": True,
        "stop": "<end>",
        "stream_options": {"include_usage": 1},
    }
    with meanwhile(work, worker):
        received = list(events(client.post("/v1/chat/completions", json=body)))
        has_ended.set()

    *chunks, usage, done = received
    assert done == "[DONE]"
    assert isinstance(usage, dict)
    assert usage["usage"]["completion_tokens"] == 4  # type: ignore[index]
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]  # type: ignore
    assert deltas == ["", "One ", "<em> two ", ""]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    assert client.get(f"/jobs/{held[0]['job_id']}").json()["text"] == "One <em> two <end> three"


def test_what_may_have_been_a_stop_is_told_in_the_end(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        _expect(worker.chunks(job, (0, "One <en")), 200)
        _expect(worker.answer(job, "One <en"), 200)

    body = {**user("Count"), "stream": True, "stop": "<end>"}
    with meanwhile(work, worker):
        received = list(events(client.post("/v1/chat/completions", json=body)))

    chunks = [event for event in received if isinstance(event, dict)]
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]  # type: ignore
    assert deltas == ["", "One ", "<en", ""]


def test_a_refusal_is_streamed_as_one(client: httpx.Client, worker: ScriptedWorker) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("chat"), "no", code="moderated")

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json={**user("Hi"), "stream": True})

    refusal, last = [event["choices"][0] for event in events(answer) if isinstance(event, dict)][1:]  # type: ignore
    assert refusal["delta"]["refusal"]
    assert last["finish_reason"] == "content_filter"


def test_a_stream_that_is_asked_for_again_begins_with_what_has_come(
    client: httpx.Client, worker: ScriptedWorker, broker: BrokerProcess
) -> None:
    body = {**user("Tell me once"), "stream": True}
    may_end = threading.Event()

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        _expect(worker.chunks(job, (0, "Once "), (1, "upon ")), 200)
        assert may_end.wait(10)
        _expect(worker.answer(job, "Once upon a time"), 200)

    def post(count: str) -> AbstractContextManager[httpx.Response]:
        headers = {"x-stainless-retry-count": count}
        return client.stream("POST", "/v1/chat/completions", json=body, headers=headers)

    with meanwhile(work, worker), post("0") as first:
        seen = events(first)
        begun = [next(seen) for _ in range(3)]
        with post("1") as again:
            repeat = events(again)
            anew = [next(repeat) for _ in range(3)]
            may_end.set()
            rest, rest_anew = list(seen), list(repeat)

    assert anew == begun
    assert rest_anew == rest


def test_a_responses_body_is_answered_as_a_chat(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    body = {"model": "grok-4", "input": "Hi", "instructions": "Be brief."}
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("chat"))
        _expect(worker.answer(job, "Hello"), 200)

    with meanwhile(work, worker):
        answer = client.post("/v1/chat/completions", json=body)

    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert seen[0]["prompt"] == "System: Be brief.\n\nUser: Hi"
    assert seen[0]["request"]["messages"][1] == {"role": "user", "content": "Hi"}


def test_an_image_that_came_as_a_file_is_an_image_to_the_worker(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    data = f"data:image/png;base64,{PNG}"
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("chat"))
        _expect(worker.answer(job, "A dot."), 200)

    with meanwhile(work, worker):
        client.post(
            "/v1/chat/completions",
            json=user([{"type": "file", "file": {"filename": "dot.png", "file_data": data}}]),
        )

    (part,) = seen[0]["request"]["messages"][0]["content"]
    assert part == {"type": "image_url", "image_url": {"url": data}}


# Deferred.


def deferred(client: httpx.Client, **fields: Any) -> str:
    answer = client.post("/v1/chat/completions", json={**user("Later"), "deferred": True, **fields})
    assert answer.status_code == 200, answer.text
    path: str = f"/v1/chat/deferred-completion/{answer.json()['request_id']}"
    return path


def test_a_deferred_answer_is_there_when_it_is_asked_for(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    path = deferred(client, stop=" END")

    not_yet = client.get(path)
    with meanwhile(says("Hello END", reasoning="I think"), worker):
        answer = client.get(path, params={"wait": 10})
    again = client.get(path)

    assert (not_yet.status_code, not_yet.content) == (202, b"")
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert answer.json()["usage"]["total_tokens"] > 0
    assert again.json() == answer.json()


def test_a_deferred_answer_that_failed_is_its_error(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    path = deferred(client)
    worker.error(worker.take("chat"), "no", code="generation_failed")

    answer = client.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "generation_failed")


def test_a_deferred_job_that_was_cancelled_says_so(client: httpx.Client) -> None:
    path = deferred(client)
    client.delete(f"/jobs/{path.rpartition('/')[2]}")

    answer = client.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "cancelled")


@pytest.mark.parametrize("name", ["nothing", "00000000-0000-0000-0000-000000000000", "video"])
def test_what_is_no_chat_is_not_found_there(client: httpx.Client, name: str) -> None:
    if name == "video":
        name = client.post("/v1/videos/generations", json={"prompt": "a cat"}).json()["request_id"]

    answer = client.get(f"/v1/chat/deferred-completion/{name}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
