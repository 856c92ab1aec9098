"""Speaks to the stand-in site as its page does, without a browser: verified TLS, the true host names, its streams."""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from websockets.sync.client import ClientConnection, connect

from broker.demo.site.stand_in import StandIn

NEW = "/rest/app-chat/conversations/new"


def film_request(prompt: str, files: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """As the autumn page submits a film."""
    given = {"aspectRatio": "16:9", "duration": 6, "resolutionName": "480p"} | options
    way = "imageToVideo" if files else "textToVideo"
    return {
        "message": f"{prompt} --mode=custom",
        "kind": "CONVERSATION_KIND_IMAGINE",
        "mediaGenInput": {way: {"prompt": prompt, "inputAssets": files or [], **given}},
    }


def older_film_request(prompt: str, **more: Any) -> dict[str, Any]:
    """As the pages of February and April submit a film."""
    model = {"parentPostId": "", "aspectRatio": "9:16", "videoLength": 10, "resolutionName": "720p"}
    override = {"modelMap": {"videoGenModelConfig": model | more}}
    return {
        "message": f"{prompt} --mode=custom",
        "responseMetadata": {"modelConfigOverride": override},
    }


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of a stream, whether or not each stands on a line of its own."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        thing, end = decoder.raw_decode(text)
        found.append(thing)
        text = text[end:]
    return found


def progress_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    responses = [thing.get("result", {}).get("response", {}) for thing in found]
    key = "streamingVideoGenerationResponse"
    return [response[key] for response in responses if key in response]


class Visitor:
    """One browser's worth of cookies."""

    def __init__(self, site: StandIn) -> None:
        self._site = site
        self._tls = ssl.create_default_context(cadata=site.authority_pem.decode())
        self._cookies: dict[str, str] = {}
        self._client = httpx.Client(verify=self._tls, trust_env=False, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def _request(self, method: str, url: str, **more: Any) -> httpx.Request:
        asked = httpx.URL(url if url.startswith("https:") else f"https://grok.com{url}")
        headers = {"Host": asked.host} | dict(more.pop("headers", {}))
        if self._cookies:
            headers["Cookie"] = "; ".join(
                f"{name}={value}" for name, value in self._cookies.items()
            )
        at = asked.copy_with(host="127.0.0.1", port=self._site.port)
        names = {"sni_hostname": asked.host}
        return self._client.build_request(method, at, headers=headers, extensions=names, **more)

    def get(self, url: str, **more: Any) -> httpx.Response:
        response = self._client.send(self._request("GET", url, **more))
        for header in response.headers.get_list("set-cookie"):
            self._cookies |= {name: found.value for name, found in SimpleCookie(header).items()}
        return response

    def post(self, url: str, body: Any = None, **more: Any) -> httpx.Response:
        given = {"json": body} if body is not None else more
        return self._client.send(self._request("POST", url, **given))

    @contextmanager
    def stream(self, method: str, url: str, **more: Any) -> Iterator[Iterator[bytes]]:
        """The pieces as they come; leaving the block hangs up."""
        response = self._client.send(self._request(method, url, **more), stream=True)
        try:
            yield response.iter_raw()
        finally:
            response.close()

    def upload(self, data: bytes) -> str:
        headers = {"Content-Type": "image/png", "X-File-Name": "a.png"}
        told = self.post("/http/upload-file-v2/direct", content=data, headers=headers).json()
        return str(told["fileMetadata"]["fileMetadataId"])

    def post_told(self, post_id: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self.post("/rest/media/post/get", {"id": post_id}).json()["post"]
        return told

    def make_film(self, prompt: str, **more: Any) -> dict[str, Any]:
        """Submits, waits for the end, and returns the last line about the film."""
        text = self.post(NEW, film_request(prompt, **more)).text
        return progress_of(objects(text))[-1]

    @contextmanager
    def socket(self, path: str) -> Iterator[ClientConnection]:
        with (
            socket.create_connection(("127.0.0.1", self._site.port)) as line,
            connect(
                f"wss://grok.com{path}", sock=line, ssl=self._tls, server_hostname="grok.com"
            ) as connection,
        ):
            yield connection

    def chat(self, connection: ClientConnection, text: str) -> list[dict[str, Any]]:
        """Asks over the socket; the events up to the last."""
        session = str(uuid4())
        item = {"type": "message", "content": [{"type": "input_text", "text": text}]}
        asked: list[dict[str, Any]] = [
            {"type": "session.create", "conversation_id": None},
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create", "response": {"mode": "auto"}},
        ]
        for event in asked:
            connection.send(json.dumps({"session_id": session, "event": event}))
        events = []
        while True:
            event = json.loads(connection.recv(timeout=20))["event"]
            events.append(event)
            if event["type"] in ("response.done", "error"):
                return events

    def pictures(
        self, connection: ClientConnection, prompt: str, count: int
    ) -> list[dict[str, Any]]:
        """Submits a batch over the socket; the frames up to the last slot's end, or the error."""
        part = {"requestId": str(uuid4()), "text": prompt, "type": "input_text"}
        item = {"type": "message", "content": [part | {"properties": {"aspect_ratio": "1:1"}}]}
        connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        frames: list[dict[str, Any]] = []
        while sum(frame.get("current_status") == "completed" for frame in frames) < count:
            frames.append(json.loads(connection.recv(timeout=20)))
            if frames[-1]["type"] == "error":
                break
        return frames
