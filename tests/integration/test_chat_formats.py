"""Answers in JSON through a real server: asked for, found, checked, asked for once more."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import Work, meanwhile, says
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

PATH = "/v1/chat/completions"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
BY_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "place", "strict": True, "schema": CITY},
}
RIGHT, WRONG = '{"city": "Oslo"}', '{"town": "Oslo"}'


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, chat_completion_wait_seconds=20, sweep_seconds=0.2) as process:
        yield process


@pytest.fixture(autouse=True)
def no_jobs(client: httpx.Client) -> None:
    client.delete("/jobs")


def asking(form: object = BY_SCHEMA, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Where?"}]
    return {"model": "grok", "messages": messages, "response_format": form, **fields}


def says_in_turn(*texts: str, prompts: list[str] | None = None) -> Work:
    """A worker that answers one job after the other."""

    def work(worker: ScriptedWorker) -> None:
        for text in texts:
            job = worker.take("chat")
            if prompts is not None:
                prompts.append(job["prompt"])
            answer = worker.answer(job, text)
            assert answer.status_code == 200, answer.text

    return work


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["finish_reason"] == "stop"
    text: str = choice["message"]["content"]
    return text


def events(answer: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def job_count(client: httpx.Client) -> int:
    return len(client.get("/jobs").json()["data"])


@pytest.mark.parametrize("form", [BY_SCHEMA, {"type": "json_object"}])
def test_the_answer_is_the_json_alone(
    client: httpx.Client, worker: ScriptedWorker, form: object
) -> None:
    prompts: list[str] = []
    said = f"Here you are [1]:\n```json\n{RIGHT}\n```\nAnything else?"
    with meanwhile(says_in_turn(said, prompts=prompts), worker):
        answer = client.post(PATH, json=asking(form))

    assert content(answer) == RIGHT
    assert prompts[0].startswith("Where?\n\nAnswer with ")
    assert job_count(client) == 1


def test_a_wrong_answer_is_asked_for_once_more_with_what_was_wrong(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    prompts: list[str] = []
    with meanwhile(says_in_turn(WRONG, RIGHT, prompts=prompts), worker):
        answer = client.post(PATH, json=asking())

    assert content(answer) == RIGHT
    first, second = prompts
    assert second.startswith(first)
    assert WRONG in second
    assert "$: 'city' is a required property; $: 'town' is not one of its properties" in second
    assert job_count(client) == 2


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_is_wrong_twice_is_an_error(
    client: httpx.Client, worker: ScriptedWorker, is_stream: bool
) -> None:
    with meanwhile(says_in_turn(WRONG, "Oslo."), worker):
        answer = client.post(PATH, json=asking(stream=is_stream))

    if is_stream:
        error = events(answer)[-1]["error"]
    else:
        assert answer.status_code == 502
        assert answer.headers["x-should-retry"] == "false"
        error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_model_output", "server_error")
    assert "There is no JSON in it." in error["message"]
    assert job_count(client) == 2


def test_an_answer_that_cannot_be_checked_is_not_asked_for_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    levels: dict[str, Any] = {
        f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)
    }
    defs = {**levels, "a40": {"type": "string"}}
    schema = {"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": defs}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with meanwhile(says('{"x": 1}'), worker):
        answer = client.post(PATH, json=asking(form))

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "invalid_model_output")
    assert job_count(client) == 1


def test_a_stream_tells_nothing_before_it_has_been_checked(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    may_go_on = threading.Event()

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        worker.chunks(job, (0, "Sure: "), (1, WRONG))
        assert may_go_on.wait(10)
        worker.answer(job, f"Sure: {WRONG}")
        job = worker.take("chat")
        worker.chunks(job, (0, "Sorry: "))
        worker.answer(job, f"Sorry: {RIGHT}", reasoning="I was wrong")

    body = asking(stream=True, stream_options={"include_usage": True})
    with meanwhile(work, worker), client.stream("POST", PATH, json=body) as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines).removeprefix("data: "))
        may_go_on.set()
        rest = [line for line in lines if line]

    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert rest.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in rest]
    assert {chunk["id"] for chunk in chunks} == {first["id"]}
    *deltas, usage = chunks
    assert [chunk["choices"][0]["delta"] for chunk in deltas] == [
        {"reasoning_content": "I was wrong"},
        {"content": RIGHT},
        {},
    ]
    assert usage["usage"]["total_tokens"] > 0


def test_a_repeat_finds_the_repaired_answer(client: httpx.Client, worker: ScriptedWorker) -> None:
    def post(count: str) -> httpx.Response:
        return client.post(PATH, json=asking(), headers={"x-stainless-retry-count": count})

    with meanwhile(says_in_turn(WRONG, RIGHT), worker):
        first = post("0")
    repeat = post("1")

    assert content(first) == content(repeat) == RIGHT
    assert first.json()["id"] == repeat.json()["id"]
    assert job_count(client) == 2


def test_a_refusal_is_not_mistaken_for_bad_json(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("chat"), "no", code="moderated")

    with meanwhile(work, worker):
        answer = client.post(PATH, json=asking())

    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
    assert job_count(client) == 1


def test_a_deferred_answer_is_checked_but_not_asked_for_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    read = []
    for said in (f"```\n{RIGHT}\n```", WRONG):
        request_id = client.post(PATH, json=asking(deferred=True)).json()["request_id"]
        worker.answer(worker.take("chat"), said)
        read.append(client.get(f"/v1/chat/deferred-completion/{request_id}"))

    right, wrong = read
    assert content(right) == RIGHT
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (502, "invalid_model_output")
    assert job_count(client) == 2


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"description": "x" * 100_000},
    ],
)
def test_a_schema_that_will_not_do_is_refused_before_anything_is_asked(
    client: httpx.Client, schema: object
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    answer = client.post(PATH, json=asking(form))

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_value")
    assert error["param"] == "response_format.json_schema.schema"
    assert job_count(client) == 0


def test_what_of_a_schema_is_not_checked_is_said(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    schema = {"properties": {"city": {"type": "string", "pattern": "^(?!x)"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with meanwhile(says(RIGHT), worker):
        answer = client.post(PATH, json=asking(form))

    (warning,) = answer.json()["warnings"]
    assert "'^(?!x)' is not checked" in warning
