"""A request that is sent again makes no second job: by the client's key, or by an SDK's word that it repeats itself."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import at_once, meanwhile, says
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

VIDEOS, CHAT = "/v1/videos/generations", "/v1/chat/completions"
#: As OpenAI's SDKs say it.
FIRST, REPEAT = {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, sweep_seconds=0.2, first_beat_seconds=60) as process:
        yield process


@pytest.fixture(autouse=True)
def _nothing_left(client: httpx.Client) -> None:
    """Of the test before: what lives is cancelled, then all is deleted."""
    for _ in range(2):
        for job_id in job_ids(client):
            client.delete(f"/jobs/{job_id}")


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "grok", "messages": [{"role": "user", "content": text}], **fields}


def job_ids(client: httpx.Client) -> list[str]:
    return [job["id"] for job in client.get("/jobs").json()["data"]]


def test_fifty_posts_at_once_with_one_key_make_one_job(client: httpx.Client) -> None:
    def post() -> httpx.Response:
        key = {"Idempotency-Key": "order-1"}
        return client.post(VIDEOS, json={"prompt": "a cat"}, headers=key)

    answers = at_once([post] * 50)

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["id"] for answer in answers} == set(job_ids(client))
    assert len(job_ids(client)) == 1


def test_the_same_key_for_another_request_is_a_conflict(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-1"}
    client.post(VIDEOS, json={"prompt": "a cat"}, headers=key)

    other_body = client.post(VIDEOS, json={"prompt": "a dog"}, headers=key)
    other_path = client.post(CHAT, json=chat("a cat"), headers=key)

    for refused in (other_body, other_path):
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "idempotency_conflict"
        assert refused.headers["x-should-retry"] == "false"
    assert len(job_ids(client)) == 1


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_of_no_use_is_refused(client: httpx.Client, key: str) -> None:
    refused = client.post(CHAT, json=chat("Hi"), headers={"Idempotency-Key": key})

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "Idempotency-Key"


def test_the_same_words_twice_are_two_jobs_unless_the_second_says_that_it_repeats(
    client: httpx.Client,
) -> None:
    first = client.post(VIDEOS, json={"prompt": "a cat"}, headers=FIRST).json()["id"]
    second = client.post(VIDEOS, json={"prompt": "a cat"}, headers=FIRST).json()["id"]
    repeat = client.post(VIDEOS, json={"prompt": "a cat"}, headers=REPEAT).json()["id"]

    assert first != second
    assert repeat == second
    assert job_ids(client) == [second, first]


def test_a_repeat_finds_its_job_after_the_broker_was_killed(
    broker: BrokerProcess, client: httpx.Client
) -> None:
    first = client.post(VIDEOS, json={"prompt": "a cat"}, headers=FIRST).json()["id"]

    broker.kill()
    broker.start()

    assert client.post(VIDEOS, json={"prompt": "a cat"}, headers=REPEAT).json()["id"] == first


def test_a_repeated_chat_waits_for_the_answer_of_the_first(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def ask(headers: dict[str, str]) -> httpx.Response:
        return client.post(CHAT, json=chat("Hi"), headers=headers)

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        repeats.append(at_once([lambda: ask(REPEAT), lambda: answered(worker, job)])[0])

    def answered(worker: ScriptedWorker, job: dict[str, Any]) -> None:
        assert worker.answer(job, "Hello.").status_code == 200

    repeats: list[Any] = []
    with meanwhile(work, worker):
        first = ask(FIRST)

    (repeat,) = repeats
    assert first.json() == repeat.json()
    assert first.json()["choices"][0]["message"]["content"] == "Hello."
    assert len(job_ids(client)) == 1


def test_a_repeated_stream_is_told_from_its_beginning(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    body = chat("Hi", stream=True)
    with client.stream("POST", CHAT, json=body, headers=FIRST) as first:
        job = worker.take("chat")
        assert worker.chunks(job, (0, "Hel")).status_code == 200
        with client.stream("POST", CHAT, json=body, headers=REPEAT) as repeat:
            lines = repeat.iter_lines()
            seen = next(line for line in lines if "Hel" in line)
            assert worker.answer(job, "Hello.").status_code == 200
            rest = list(lines)
        whole = list(first.iter_lines())

    assert text_of([seen, *rest]) == text_of(whole) == "Hello."


def text_of(lines: list[str]) -> str:
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events)


def test_a_repeat_of_what_ended_for_nothing_is_tried_again(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = client.post(VIDEOS, json={"prompt": "a cat"}, headers=key).json()["id"]
    client.delete(f"/jobs/{first}")

    second = client.post(VIDEOS, json={"prompt": "a cat"}, headers=key).json()["id"]

    assert second != first
    assert worker.take("video")["job_id"] == second


def test_a_client_that_has_left_before_the_click_is_not_worked_for(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=chat("Hi"), headers=FIRST, timeout=0.5)

    (left,) = job_ids(client)
    ended = client.get(f"/jobs/{left}", params={"wait": 20}).json()

    assert ended["status"] == "cancelled"
    with meanwhile(says("Hello."), worker):
        again = client.post(CHAT, json=chat("Hi"), headers=REPEAT)
    assert again.json()["choices"][0]["message"]["content"] == "Hello."


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/videos", {"prompt": "a cat"}),
        (VIDEOS, {"prompt": "a cat"}),
        ("/v1/responses", {"model": "grok", "input": "Hi", "background": True}),
        (CHAT, chat("Hi", deferred=True)),
    ],
)
def test_every_create_keeps_to_a_key(client: httpx.Client, path: str, body: Any) -> None:
    key = {"Idempotency-Key": "order-1"}

    answers = [client.post(path, json=body, headers=key) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert len(job_ids(client)) == 1


def test_a_form_that_is_sent_again_is_known_by_what_is_in_it(client: httpx.Client) -> None:
    def post(prompt: str, headers: dict[str, str]) -> str:
        # Each has a boundary of its own.
        form = {"prompt": (None, prompt)}
        answer = client.post("/v1/videos", files=form, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    first = post("a cat", FIRST)

    assert post("a cat", REPEAT) == first
    assert post("a dog", REPEAT) != first


def test_an_sdk_that_repeats_a_failure_in_silence_costs_one_click(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("chat")
        worker.beat(job, phase="submitted")
        assert worker.error(job, "cut off", code="incomplete").status_code == 200

    agent = {"user-agent": "ai/7.0 ai-sdk/openai-compatible/3.0 runtime/node.js/20"}
    with meanwhile(work, worker):
        first = client.post(CHAT, json=chat("Hi"), headers=agent)
    again = [client.post(CHAT, json=chat("Hi"), headers=agent) for _ in range(2)]

    assert [answer.status_code for answer in (first, *again)] == [502] * 3
    assert len(job_ids(client)) == 1
