"""OpenAI's client repeats calls, gives up and leaves: no repeat costs a second job, no waiting is in vain."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.support.auto_worker import AutoWorker
from tests.support.dropping_proxy import DroppingProxy
from tests.support.e2e_waiting import wait_until
from tests.support.pictures import png
from tests.support.running import run
from tests.support.server import BrokerProcess

CALLS = 50
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def chat(client: OpenAI, prompt: str) -> str:
    return client.chat.completions.create(model="grok", messages=user(prompt)).id


def stream(client: OpenAI, prompt: str) -> str:
    return [
        chunk.id
        for chunk in client.chat.completions.create(
            model="grok", messages=user(prompt), stream=True
        )
    ][-1]


def response(client: OpenAI, prompt: str) -> str:
    return client.responses.create(model="grok", input=prompt).id


def image(client: OpenAI, prompt: str) -> str:
    return (client.images.generate(model="grok", prompt=prompt).data or [])[0].url or ""


def image_edit(client: OpenAI, prompt: str) -> str:
    file = ("a.png", png(3, 3), "image/png")
    return (client.images.edit(model="grok", image=file, prompt=prompt).data or [])[0].url or ""


def film(client: OpenAI, prompt: str) -> str:
    return client.videos.create_and_poll(model="grok", prompt=prompt).id


@pytest.mark.parametrize("call", [chat, stream, response, image, image_edit, film])
def test_a_lost_answer_is_asked_for_again_and_not_made_again(
    broker: BrokerProcess, worker: AutoWorker, call: Callable[[OpenAI, str], str]
) -> None:
    prompt = f"{call.__name__} whose answer gets lost"
    host = {"Host": f"127.0.0.1:{broker.port}"}
    with (
        DroppingProxy(broker.port, drops=1) as proxy,
        OpenAI(base_url=f"{proxy.url}/v1", api_key="any", default_headers=host) as client,
    ):
        assert call(client, prompt)

    assert proxy.connections >= 2
    assert len(worker.jobs(prompt)) == 1


def test_many_calls_with_one_key_make_one_job(broker: BrokerProcess, worker: AutoWorker) -> None:
    prompt = "wait all-fifty say Hello"
    begun = 0

    async def note(request: object) -> None:
        nonlocal begun
        begun += 1
        if begun == CALLS:
            worker.release("all-fifty")

    async def ask() -> set[tuple[str, str | None]]:
        http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [note]}, trust_env=False)
        async with AsyncOpenAI(
            base_url=f"{broker.url}/v1", api_key="any", http_client=http, max_retries=0
        ) as client:
            calls = [
                client.chat.completions.create(
                    model="grok", messages=user(prompt), extra_headers={"Idempotency-Key": "fifty"}
                )
                for _ in range(CALLS)
            ]
            answers = await asyncio.gather(*calls)
        return {(answer.id, answer.choices[0].message.content) for answer in answers}

    ((_, text),) = run(ask())

    assert text == "Hello"
    assert len(worker.jobs(prompt)) == 1


def test_films_with_one_key_are_one_film(client: OpenAI, worker: AutoWorker) -> None:
    prompt = "One film for two calls"
    made = [
        client.videos.create(
            model="grok", prompt=prompt, extra_headers={"Idempotency-Key": "one film"}
        )
        for _ in range(2)
    ]
    client.videos.poll(made[0].id, poll_interval_ms=50)

    assert made[0].id == made[1].id
    assert len(worker.jobs(prompt)) == 1


def test_a_key_that_was_used_for_something_else_is_a_conflict(
    client: OpenAI, sent: list[str]
) -> None:
    key = {"Idempotency-Key": "used twice"}
    client.chat.completions.create(model="grok", messages=user("say One"), extra_headers=key)
    sent.clear()

    with pytest.raises(openai.ConflictError) as raised:
        client.chat.completions.create(model="grok", messages=user("say Two"), extra_headers=key)

    assert raised.value.code == "idempotency_conflict"
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("prompt", "error", "code"),
    [
        ("fail generation_failed", openai.InternalServerError, "generation_failed"),
        ("fail option_refused", openai.BadRequestError, "option_refused"),
        ("fail bad_input", openai.BadRequestError, "bad_input"),
    ],
)
def test_a_failure_that_cost_something_is_raised_at_once(
    client: OpenAI, sent: list[str], prompt: str, error: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as raised:
        chat(client, prompt)

    assert raised.value.code == code
    assert raised.value.request_id
    assert raised.value.body["message"]
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("asked", "error", "code", "param"),
    [
        ({"model": "gpt-oss"}, openai.NotFoundError, "model_not_found", "model"),
        ({"messages": []}, openai.BadRequestError, "invalid_value", "messages"),
        ({"n": 2}, openai.BadRequestError, "unsupported_parameter", "n"),
        (
            {"tool_choice": "required"},
            openai.BadRequestError,
            "unsupported_parameter",
            "tool_choice",
        ),
        ({"modalities": ["audio"]}, openai.BadRequestError, "unsupported_parameter", "modalities"),
    ],
)
def test_what_cannot_be_had_is_raised_by_name(
    client: OpenAI,
    sent: list[str],
    asked: dict[str, object],
    error: type[openai.APIStatusError],
    code: str,
    param: str,
) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(**{"model": "grok", "messages": user("say Hello"), **asked})

    assert (raised.value.code, raised.value.param) == (code, param)
    assert raised.value.request_id
    assert len(sent) == 1


def test_an_unknown_path_is_not_found(client: OpenAI, sent: list[str]) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="grok", input="Hello")

    assert len(sent) == 1


def test_a_client_with_little_time_is_told_before_it_gives_up(
    client: OpenAI, worker: AutoWorker, sent: list[str]
) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        chat(client.with_options(timeout=2), "wait too-long say Hello")

    worker.release("too-long")
    assert (raised.value.status_code, raised.value.code) == (504, "timeout")
    assert len(sent) == 1


def test_a_client_that_leaves_before_anybody_began_cancels_its_job(idle: BrokerProcess) -> None:
    async def leave(client: AsyncOpenAI) -> None:
        asking = asyncio.create_task(
            client.chat.completions.create(model="grok", messages=user("Never mind"))
        )
        while not await asyncio.to_thread(states):
            assert not asking.done()
        asking.cancel()
        await asyncio.wait({asking})
        await client.close()

    def states() -> list[str]:
        jobs = idle_client.get("/jobs").json()["data"]
        return [job["status"] for job in jobs if job["prompt_preview"] == "Never mind"]

    with idle.client() as idle_client:
        run(leave(AsyncOpenAI(base_url=f"{idle.url}/v1", api_key="any")))
        wait_until(states, lambda seen: seen == ["cancelled"])


@pytest.fixture(scope="module")
def patient(
    tmp_path_factory: pytest.TempPathFactory, new_film: Callable[[], bytes]
) -> Iterator[tuple[BrokerProcess, AutoWorker]]:
    """A broker that promises its answer after a moment, and its worker."""
    folder: Path = tmp_path_factory.mktemp("patient")
    with (
        BrokerProcess(folder, silent_wait_seconds=0.2) as process,
        AutoWorker(process, new_film) as worker,
    ):
        yield process, worker


def test_a_long_wait_has_its_headers_early_and_its_answer_late(
    patient: tuple[BrokerProcess, AutoWorker],
) -> None:
    broker, worker = patient
    with OpenAI(base_url=f"{broker.url}/v1", api_key="any") as client:
        begun = client.chat.completions.with_streaming_response.create(
            model="grok", messages=user("wait long-chat say At last")
        )
        with begun as response:  # entered when the headers are there, and the worker still waits
            worker.release("long-chat")
            completion = response.parse()

    assert completion.choices[0].message.content == "At last"


def test_a_long_wait_for_images_has_its_headers_early_too(
    patient: tuple[BrokerProcess, AutoWorker],
) -> None:
    broker, worker = patient
    with OpenAI(base_url=f"{broker.url}/v1", api_key="any") as client:
        begun = client.images.with_streaming_response.generate(
            model="grok", prompt="wait long-image A teapot"
        )
        with begun as response:
            worker.release("long-image")
            made = response.parse()

    assert len(made.data or []) == 1


def test_an_error_after_the_headers_breaks_the_connection(
    patient: tuple[BrokerProcess, AutoWorker],
) -> None:
    broker, worker = patient
    with OpenAI(base_url=f"{broker.url}/v1", api_key="any", max_retries=0) as client:
        begun = client.chat.completions.with_streaming_response.create(
            model="grok", messages=user("wait long-failure fail generation_failed")
        )
        with begun as response:
            worker.release("long-failure")
            with pytest.raises(httpx2.RemoteProtocolError):
                response.parse()


def test_silence_in_a_stream_is_broken_by_comments_that_the_client_skips(
    client: OpenAI, broker: BrokerProcess, worker: AutoWorker
) -> None:
    asked = {"model": "grok", "messages": user("wait a-comment say Hello"), "stream": True}
    begun = client.chat.completions.create(**asked)
    with broker.client() as http, http.stream("POST", "/v1/chat/completions", json=asked) as other:
        lines = other.iter_lines()
        assert any(line.startswith(":") for line in lines)
        worker.release("a-comment")
        chunks = list(begun)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "Hello"
