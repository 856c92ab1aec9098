"""Responses through a real server: whole, streamed, in the background, continued, cancelled, deleted."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import meanwhile, says
from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

PATH = "/v1/responses"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
JSON_FORMAT = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, chat_completion_wait_seconds=8, sweep_seconds=0.2) as process:
        yield process


def ok(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 200, answer.text
    return answer


def ask(client: httpx.Client, worker: ScriptedWorker, words: str, **asked: Any) -> dict[str, Any]:
    """A response that has been answered with these words."""
    with meanwhile(says(words), worker):
        response: dict[str, Any] = ok(client.post(PATH, json={"input": "Hi", **asked})).json()
    return response


def leave(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    """A response in the background."""
    body = {"input": "Hi", "background": True, **asked}
    response: dict[str, Any] = ok(client.post(PATH, json=body)).json()
    return response


def read(client: httpx.Client, response: dict[str, Any], **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(client.get(f"{PATH}/{response['id']}", params=query)).json()
    return found


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    kind = None
    for line in answer.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            assert event["type"] == kind
            yield event


def test_an_answer_comes_back_whole(client: httpx.Client, worker: ScriptedWorker) -> None:
    asked = {"input": "Hi", "metadata": {"k": "v"}, "temperature": 0.5, "user": "u1"}
    with meanwhile(says("Hello ☃", reasoning="I think"), worker):
        response = ok(client.post(PATH, json=asked)).json()

    assert (response["object"], response["status"], response["model"]) == (
        "response",
        "completed",
        "grok",
    )
    thought, message = response["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "I think"}]
    assert message["content"][0]["text"] == "Hello ☃"
    assert (response["metadata"], response["temperature"], response["user"]) == (
        {"k": "v"},
        0.5,
        "u1",
    )
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert usage["output_tokens_details"]["reasoning_tokens"] > 0
    assert read(client, response) == response


def test_instructions_and_turns_reach_the_worker_in_order(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("chat"))
        ok(worker.answer(job, "Three."))

    turns = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Two."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
    ]
    with meanwhile(work, worker):
        ok(client.post(PATH, json={"input": turns, "instructions": "Count."}))

    assert seen[0]["prompt"] == "System: Count.\n\nUser: One?\n\nAssistant: Two.\n\nUser: And?"
    assert [m["role"] for m in seen[0]["request"]["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_a_stream_brings_each_delta_before_the_answer_is_complete(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    may_go_on = threading.Event()

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        ok(worker.chunks(job, (0, "Hel")))
        assert may_go_on.wait(10)
        ok(worker.chunks(job, (1, "lo")))
        ok(worker.answer(job, "Hello!"))

    body = {"input": "Hi", "stream": True}
    with meanwhile(work, worker), client.stream("POST", PATH, json=body) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        told = []
        for event in events(answer):
            told.append(event)
            if event["type"] == "response.output_text.delta":
                may_go_on.set()

    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [event["delta"] for event in told if "delta" in event] == ["Hel", "lo", "!"]
    assert told[0]["type"] == "response.created"
    last = told[-1]
    assert last["type"] == "response.completed"
    assert read(client, last["response"]) == last["response"]


def test_in_the_background_it_is_answered_at_once_and_read_later(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = leave(client)
    assert (left["status"], left["background"], left["output"]) == ("queued", True, [])

    job = worker.take("chat")
    worker.beat(job, phase="preparing")
    assert read(client, left)["status"] == "in_progress"
    with meanwhile(lambda worker: worker.answer(job, "Done"), worker):
        ended = read(client, left, wait=20)

    assert ended["status"] == "completed"
    assert ended["output"][0]["content"][0]["text"] == "Done"


def test_in_the_background_it_outlives_the_wait_of_a_client(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = leave(client)
    waited = client.post(PATH, json={"input": "Is anybody there?"})

    assert (waited.status_code, waited.json()["error"]["code"]) == (504, "timeout")
    assert read(client, left)["status"] == "queued"
    ok(worker.answer(worker.take("chat"), "At last"))
    assert read(client, left)["status"] == "completed"


def test_one_in_the_background_is_cancelled_and_stays_so(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = leave(client)
    job = worker.take("chat")

    cancelled = ok(client.post(f"{PATH}/{left['id']}/cancel")).json()

    assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
    assert worker.beat(job).json()["cancel"] is True
    assert ok(client.post(f"{PATH}/{left['id']}/cancel")).json() == cancelled


def test_one_that_somebody_waits_for_is_not_cancelled_by_name(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    response = ask(client, worker, "Hello")

    refused = client.post(f"{PATH}/{response['id']}/cancel")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_value")


@pytest.mark.parametrize("is_open", [False, True], ids=["ended", "open"])
def test_what_is_deleted_is_gone(
    client: httpx.Client, worker: ScriptedWorker, *, is_open: bool
) -> None:
    response = leave(client) if is_open else ask(client, worker, "Hello")
    path = f"{PATH}/{response['id']}"

    deleted = ok(client.delete(path)).json()

    assert deleted == {"id": response["id"], "object": "response", "deleted": True}
    for gone in (client.get(path), client.delete(path), client.get(f"{path}/input_items")):
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    assert client.get(f"/jobs/{response['id']}").status_code == 404
    assert worker.poll("chat", wait=0) is None


def test_a_response_is_continued_with_its_images_and_without_its_instructions(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    looked = {"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, image]}
    first = ask(client, worker, "A dot.", input=[looked], instructions="Be brief.")
    second = ask(client, worker, "Black.", input="Which colour?", previous_response_id=first["id"])
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("chat"))
        ok(worker.answer(job, "Small."))

    client.delete(f"{PATH}/{first['id']}")
    asked = {"input": "How large?", "previous_response_id": second["id"], "instructions": "Rhyme."}
    with meanwhile(work, worker):
        third = ok(client.post(PATH, json=asked)).json()

    said = "What is it?", "A dot.", "Which colour?", "Black.", "How large?"
    assert [line.split(": ")[1] for line in seen[0]["prompt"].split("\n\n")] == ["Rhyme.", *said]
    assert seen[0]["image"] == PNG
    parts = seen[0]["request"]["messages"][1]["content"]
    assert parts[1]["image_url"]["url"] == image["image_url"]
    assert third["previous_response_id"] == second["id"]
    listed = ok(client.get(f"{PATH}/{third['id']}/input_items", params={"order": "asc"})).json()
    assert [item["role"] for item in listed["data"]] == [
        *["user", "assistant"] * 2,
        "user",
    ]
    assert listed["data"][0]["content"][1]["image_url"] == image["image_url"]


def test_only_what_has_been_answered_is_continued(client: httpx.Client) -> None:
    left = leave(client)

    waiting = client.post(PATH, json={"input": "Hi", "previous_response_id": left["id"]})
    client.post(f"{PATH}/{left['id']}/cancel")
    cancelled = client.post(PATH, json={"input": "Hi", "previous_response_id": left["id"]})
    unknown = client.post(PATH, json={"input": "Hi", "previous_response_id": "resp_" + "0" * 32})

    found = [(each.status_code, each.json()["error"]["param"]) for each in (waiting, cancelled)]
    assert found == [(400, "previous_response_id")] * 2
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "previous_response_id")


def test_an_item_is_named_instead_of_sent_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    first = ask(client, worker, "Two.", input="One?")
    path = f"{PATH}/{first['id']}/input_items"
    (said,) = ok(client.get(path)).json()["data"]
    named = [said["id"], "rs_" + "0" * 32, first["output"][0]["id"]]
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("chat"))
        ok(worker.answer(job, "Four."))

    items = [{"type": "item_reference", "id": each} for each in named]
    with meanwhile(work, worker):
        ok(client.post(PATH, json={"input": [*items, {"role": "user", "content": "Three?"}]}))

    assert seen[0]["prompt"] == "User: One?\n\nAssistant: Two.\n\nUser: Three?"


def test_what_is_not_to_be_stored_is_not_found_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    response = ask(client, worker, "Hello", store=False)

    assert response["store"] is False
    assert client.get(f"{PATH}/{response['id']}").status_code == 404
    continued = client.post(PATH, json={"input": "Hi", "previous_response_id": response["id"]})
    assert continued.status_code == 404


def test_a_chat_is_no_response(client: httpx.Client, worker: ScriptedWorker) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "response": {"store": True}}
    with meanwhile(says("Hello"), worker):
        completion = ok(client.post("/v1/chat/completions", json=body)).json()

    job_id = completion["id"].removeprefix("chatcmpl-")
    assert ok(client.get(f"/jobs/{job_id}")).json()["kind"] == "chat"
    assert client.get(f"{PATH}/{job_id}").status_code == 404


def test_a_format_of_json_is_asked_for_and_kept_to(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    response = ask(
        client, worker, 'Here you are:\n```json\n{"city": "Oslo"}\n```', text=JSON_FORMAT
    )

    assert json.loads(response["output"][0]["content"][0]["text"]) == {"city": "Oslo"}
    assert response["text"]["format"]["name"] == "place"
    assert read(client, response) == response


def test_a_streamed_answer_that_had_to_be_asked_for_twice_is_kept_under_its_first_name(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        says("No JSON at all.")(worker)
        says('{"city": "Bern"}')(worker)

    asked = {"input": "Where?", "stream": True, "text": JSON_FORMAT}
    with meanwhile(work, worker), client.stream("POST", PATH, json=asked) as answer:
        *_, last = events(answer)

    assert last["type"] == "response.completed"
    kept = read(client, last["response"])
    assert kept["status"] == "completed"
    assert kept["output"][0]["content"][0]["text"] == '{"city": "Bern"}'


def test_json_in_the_background_is_checked_when_it_is_read(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = leave(client, text=JSON_FORMAT)
    ok(worker.answer(worker.take("chat"), "I would rather not."))

    failed = read(client, left)

    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert failed["error"]["reason"] == "invalid_model_output"


def test_refused_content_is_an_incomplete_response(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        ok(worker.error(worker.take("chat"), "no", code="moderated"))

    with meanwhile(work, worker):
        response = ok(client.post(PATH, json={"input": "Hi"})).json()

    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": "content_filter"},
    )
    assert response["output"][0]["content"][0]["type"] == "refusal"
    assert read(client, response) == response


def test_a_failure_has_its_status_where_it_is_waited_for(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        worker.beat(job, phase="submitted")
        ok(worker.error(job, "It failed.", code="generation_failed"))

    with meanwhile(work, worker):
        failed = client.post(PATH, json={"input": "Hi"})
    with (
        meanwhile(work, worker),
        client.stream("POST", PATH, json={"input": "Hi", "stream": True}) as answer,
    ):
        told = list(events(answer))

    assert (failed.status_code, failed.headers["x-should-retry"]) == (502, "false")
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["error"]["reason"] == failed.json()["error"]["code"]


def test_a_stream_in_the_background_goes_on_without_its_client_and_is_taken_up_again(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker
) -> None:
    body = {"input": "Hi", "stream": True, "background": True}
    with broker.client() as left, left.stream("POST", PATH, json=body) as answer:
        told = events(answer)
        begun = [next(told), next(told)]
        job = worker.take("chat")
        ok(worker.chunks(job, (0, "Hel")))
        begun += [next(told) for _ in range(4)]
    assert begun[-1]["type"] == "response.output_text.delta"
    path = f"{PATH}/{begun[0]['response']['id']}"

    def work(worker: ScriptedWorker) -> None:
        ok(worker.chunks(job, (1, "lo")))
        ok(worker.answer(job, "Hello"))

    query = {"stream": "true", "starting_after": begun[-1]["sequence_number"]}
    with meanwhile(work, worker), client.stream("GET", path, params=query) as answer:
        rest = list(events(answer))
    with client.stream("GET", path, params={"stream": "true"}) as answer:
        again = list(events(answer))

    assert [event["delta"] for event in rest if "delta" in event] == ["lo"]
    assert [event["type"] for event in [*begun, *rest]] == [event["type"] for event in again]
    assert [event["sequence_number"] for event in again] == list(range(len(again)))
    assert rest[-1] == again[-1]
    assert read(client, begun[0]["response"]) == again[-1]["response"]


def test_a_stream_that_the_broker_has_to_leave_says_so_and_its_response_goes_on(
    tmp_path: Path,
) -> None:
    body = {"input": "Hi", "stream": True, "background": True}
    with BrokerProcess(tmp_path) as broker:
        with broker.client() as client, client.stream("POST", PATH, json=body) as answer:
            told = events(answer)
            created = next(told)
            broker.terminate()
            *_, last = told
        broker.wait()
        broker.start()
        with broker.client() as client:
            kept = read(client, created["response"])

    assert (last["type"], last["code"]) == ("error", "shutting_down")
    assert kept["status"] == "queued"


def test_only_what_was_streamed_in_the_background_is_streamed_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = leave(client)

    refused = client.get(f"{PATH}/{left['id']}", params={"stream": "true"})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
    client.delete(f"{PATH}/{left['id']}")


def test_a_client_that_leaves_cancels_what_has_cost_nothing(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker
) -> None:
    left = broker.client()
    with left.stream("POST", PATH, json={"input": "Bye", "stream": True}) as answer:
        job = worker.take("chat")
        next(events(answer))
    left.close()

    while not worker.beat(job).json()["cancel"]:
        worker.poll("chat", wait=0.2)

    assert read(client, {"id": job["job_id"]})["status"] == "cancelled"


def test_a_repeat_joins_the_response_that_its_first_sending_made(client: httpx.Client) -> None:
    body = {"input": "Once only", "background": True}
    key = {"Idempotency-Key": "response-once"}

    first, again = (ok(client.post(PATH, json=body, headers=key)).json() for _ in range(2))

    assert first["id"] == again["id"]
    client.delete(f"{PATH}/{first['id']}")


def test_tools_are_not_offered_and_the_response_says_so(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    tools = [{"type": "web_search"}, {"type": "function", "name": "add", "parameters": {}}]
    response = ask(client, worker, "Hello", tools=tools, tool_choice="auto")

    assert [tool["type"] for tool in response["tools"]] == ["web_search", "function"]
    assert [warning.split(" was ")[0] for warning in response["warnings"]] == [
        "tools: web_search",
        "tools: function",
    ]


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"input": None}, 400, "missing_required_parameter", "input"),
        ({"input": []}, 400, "invalid_value", "input"),
        ({"input": ""}, 400, "invalid_value", "input"),
        ({"input": [{"type": "item_reference"}]}, 400, "missing_required_parameter", "input.0.id"),
        (
            {"input": [{"type": "item_reference", "id": "msg_" + "0" * 32}]},
            404,
            "not_found",
            "input.0.id",
        ),
        ({"tools": [{}]}, 400, "missing_required_parameter", "tools.0.type"),
        ({"model": "gpt-9"}, 404, "model_not_found", "model"),
        ({"tool_choice": "required"}, 400, "unsupported_parameter", "tool_choice"),
        (
            {"tool_choice": {"type": "function", "name": "add"}},
            400,
            "unsupported_parameter",
            "tool_choice",
        ),
        ({"conversation": "conv_1"}, 400, "unsupported_parameter", "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, 400, "unsupported_parameter", "prompt"),
        ({"background": True, "store": False}, 400, "invalid_value", "store"),
        ({"webhook_url": "https://example.com"}, 400, "invalid_value", "webhook_url"),
        ({"temperature": 3}, 400, "invalid_value", "temperature"),
        ({"text": {"format": {"type": "xml"}}}, 400, None, "text.format"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.Client, fields: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    body = {name: value for name, value in {"input": "Hi", **fields}.items() if value is not None}

    answer = client.post(PATH, json=body)

    error = answer.json()["error"]
    assert answer.status_code == status, error
    assert code in (None, error["code"]), error
    assert error["param"].startswith(param), error


@pytest.mark.parametrize(
    "query", [{"wait": "x"}, {"stream": "x"}, {"starting_after": "1"}, {"starting_after": "-1"}]
)
def test_a_reading_that_makes_no_sense_is_refused(
    client: httpx.Client, query: dict[str, str]
) -> None:
    refused = client.get(f"{PATH}/resp_{'0' * 32}", params=query)

    (name,) = query
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
