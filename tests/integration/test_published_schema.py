"""What the broker answers is what OpenAI's published schema says. Where that is from: `tests/schemas/README.md`."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.support.auto_worker import AutoWorker
from tests.support.pictures import PNG
from tests.support.receiver import Receiver
from tests.support.server import BrokerProcess

PUBLISHED = json.loads((Path(__file__).parents[1] / "schemas" / "openai.json").read_text("utf-8"))
CHATS = {
    "plain": "say Hello",
    "reasoned": "think Hello",
    "cut off": "cut Hello",
    "refused": "refuse this",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, sweep_seconds=0.2, webhook_allow_private=1) as process:
        yield process


@pytest.fixture(scope="module")
def worker(broker: BrokerProcess, base_film: bytes) -> Iterator[AutoWorker]:
    numbers = iter(range(1_000_000))

    def new_film() -> bytes:
        own = f"film {next(numbers)}".encode()
        return base_film + (len(own) + 8).to_bytes(4, "big") + b"free" + own

    with AutoWorker(broker, new_film) as worker:
        yield worker


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **PUBLISHED})


def check(name: str, answer: object) -> None:
    """Fails with what is wrong and where."""
    wrong = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in validator(name).iter_errors(answer)
    ]
    assert wrong == [], f"{json.dumps(answer)} is no {name}"


def check_video(video: dict[str, Any]) -> None:
    """A film has the size that it has, which need not be one of OpenAI's four."""
    assert re.fullmatch(r"\d+x\d+", video["size"])
    check("VideoResource", video | {"size": "720x1280"})


def created(client: httpx.Client, path: str, **asked: Any) -> Any:
    answer = client.post(path, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def chat(client: httpx.Client, prompt: str, **asked: Any) -> Any:
    messages = [{"role": "user", "content": prompt}]
    return created(client, "/v1/chat/completions", model="grok-4", messages=messages, **asked)


def events(client: httpx.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    with client.stream("POST", path, json={"model": "grok-4", "stream": True, **asked}) as answer:
        data = [
            line.removeprefix("data: ")
            for line in answer.iter_lines()
            if line.startswith("data: ") and not line.endswith("[DONE]")
        ]
    return [json.loads(each) for each in data]


def film(client: httpx.Client, prompt: str, wanted: str = "completed") -> dict[str, Any]:
    """As it is when it has ended."""
    begun = created(client, "/v1/videos", prompt=prompt)
    ended: dict[str, Any] = client.get(f"/v1/videos/{begun['id']}", params={"wait": 20}).json()
    assert ended["status"] == wanted, ended
    return ended


def test_the_schema_refuses_what_is_wrong() -> None:
    assert not validator("VideoResource").is_valid({"id": "video_1", "object": "video"})
    assert not validator("ResponseStreamEvent").is_valid({"type": "response.imagined"})


@pytest.mark.parametrize("prompt", CHATS.values(), ids=CHATS)
def test_chat_completions(client: httpx.Client, worker: AutoWorker, prompt: str) -> None:
    check("CreateChatCompletionResponse", chat(client, prompt))


@pytest.mark.parametrize("prompt", CHATS.values(), ids=CHATS)
def test_chunks_of_chat_completions(client: httpx.Client, worker: AutoWorker, prompt: str) -> None:
    chunks = events(
        client,
        "/v1/chat/completions",
        messages=[{"role": "user", "content": prompt}],
        stream_options={"include_usage": True},
    )

    assert len(chunks) > 2
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)


@pytest.mark.parametrize("prompt", CHATS.values(), ids=CHATS)
def test_responses(client: httpx.Client, worker: AutoWorker, prompt: str) -> None:
    response = created(client, "/v1/responses", model="grok-4", input=prompt)

    check("Response", response)
    check("Response", client.get(f"/v1/responses/{response['id']}").json())


def test_a_response_that_says_much_of_itself(client: httpx.Client, worker: AutoWorker) -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    text = {"type": "input_text", "text": 'json {"a": 1}'}
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    response = created(
        client,
        "/v1/responses",
        model="grok-4",
        instructions="Be brief.",
        input=[{"role": "user", "content": [text, image]}],
        text={"format": {"type": "json_schema", "name": "a", "schema": schema}},
        reasoning={"effort": "low"},
        tools=[{"type": "function", "name": "clock", "parameters": {}, "strict": False}],
        metadata={"a": "b"},
        temperature=0.5,
        max_output_tokens=100,
        user="somebody",
    )

    check("Response", response)


@pytest.mark.parametrize("prompt", [*CHATS.values(), "fail generation_failed"])
def test_events_of_responses(client: httpx.Client, worker: AutoWorker, prompt: str) -> None:
    told = events(client, "/v1/responses", input=prompt)

    assert len(told) > 2
    for event in told:
        check("ResponseStreamEvent", event)


def test_responses_in_the_background(client: httpx.Client, worker: AutoWorker) -> None:
    asked = {"model": "grok-4", "input": "wait for-ever", "background": True}
    queued = created(client, "/v1/responses", **asked)
    check("Response", queued)

    cancelled = client.post(f"/v1/responses/{queued['id']}/cancel").json()
    check("Response", cancelled)
    assert cancelled["status"] == "cancelled"


def test_the_input_of_a_response(client: httpx.Client, worker: AutoWorker) -> None:
    asked = [{"role": "user", "content": "say Hello"}, {"role": "assistant", "content": "Hm"}]
    made = created(client, "/v1/responses", model="grok-4", input=asked)

    check("ResponseItemList", client.get(f"/v1/responses/{made['id']}/input_items").json())


@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_images(client: httpx.Client, worker: AutoWorker, response_format: str) -> None:
    made = created(
        client, "/v1/images/generations", prompt="A cup", n=2, response_format=response_format
    )

    check("ImagesResponse", made)


def test_videos(client: httpx.Client, worker: AutoWorker) -> None:
    begun = created(client, "/v1/videos", prompt="A bell", seconds="8", size="720x1280")
    check_video(begun)
    check_video(film(client, "Another bell"))
    check_video(film(client, "refuse this", "failed"))


def test_lists_of_videos(client: httpx.Client, worker: AutoWorker) -> None:
    made = film(client, "A listed bell")["id"]
    for asked in ({"limit": 1}, {"after": made}, {"limit": 1, "after": made}):
        page = client.get("/v1/videos", params=asked).json()
        for video in page["data"]:
            check_video(video)
        check("VideoListResource", page | {"data": []})


def test_a_video_that_was_made_from_another(client: httpx.Client, worker: AutoWorker) -> None:
    source = film(client, "A draft")["id"]

    check_video(created(client, f"/v1/videos/{source}/remix", prompt="In blue"))


def test_a_deleted_video(client: httpx.Client, worker: AutoWorker) -> None:
    made = film(client, "A short life")

    check("DeletedVideoResource", client.delete(f"/v1/videos/{made['id']}").json())


def test_models(client: httpx.Client) -> None:
    check("ListModelsResponse", client.get("/v1/models").json())
    check("Model", client.get("/v1/models/grok").json())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models/none", None),
        ("GET", "/v1/none", None),
        ("PATCH", "/v1/models", None),
        ("POST", "/v1/chat/completions", {"model": "grok"}),
        ("POST", "/v1/responses", {"model": "none", "input": "Hello"}),
        ("POST", "/v1/images/generations", {"prompt": ""}),
        ("POST", "/v1/videos", {"prompt": "A cup", "seconds": "many"}),
        ("GET", "/v1/videos/video_0", None),
    ],
)
def test_errors(client: httpx.Client, method: str, path: str, body: object) -> None:
    answer = client.request(method, path, json=body)

    assert answer.status_code >= 400
    check("ErrorResponse", answer.json())


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("say Hello", "WebhookResponseCompleted"), ("fail bad_input", "WebhookResponseFailed")],
)
def test_webhooks_of_responses(
    client: httpx.Client, worker: AutoWorker, prompt: str, name: str
) -> None:
    with Receiver() as receiver:
        asked = {"model": "grok-4", "background": True, "webhook_url": receiver.url}
        created(client, "/v1/responses", input=prompt, **asked)
        check(name, json.loads(receiver.take().body))
