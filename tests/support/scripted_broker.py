"""A broker played by a test: says to a worker what the test wants said, and writes down what it hears."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

Answer = Callable[[dict[str, Any]], Awaitable[httpx.Response]]
JOB = "job_" + "c3" * 16


class Broker:
    """Hands out what the test gives it and writes down every call; `answers` replaces a call's usual answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        self.films: list[bytes] = []
        self._jobs: asyncio.Queue[httpx.Response] = asyncio.Queue()
        self._news = asyncio.Condition()

    def hand_out(self, **job: Any) -> None:
        usual = {
            "job_id": JOB,
            "job_type": "video",
            "prompt": "A cat",
            "image": None,
            "images": [],
            "request": None,
            "lease_token": "lt_1",
            "attempt": 1,
            "lease_seconds": 150,
            "action": "submit",
            "options": None,
            "evidence": None,
            "directives": [],
        }
        self._jobs.put_nowait(httpx.Response(200, json=usual | job))

    def tell(self, directive: str) -> None:
        """A directive on a poll that brings no job."""
        self._jobs.put_nowait(httpx.Response(204, headers={"X-Broker-Directives": directive}))

    def bodies(self, call: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == call]

    def phases(self) -> list[str]:
        """The phases that were told, each once, in order."""
        return list(dict.fromkeys(body["phase"] for body in self.bodies("beat")))

    async def has_seen(self, call: str, count: int = 1) -> dict[str, Any]:
        """Waits for a call and returns its body."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: len(self.bodies(call)) >= count)
            return self.bodies(call)[count - 1]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        call = request.url.path.removeprefix("/extension/")
        if call == "poll":
            return await self._jobs.get()
        if request.method == "PUT":
            call, body = "result", {"headers": request.headers}
            self.films.append(request.content)
        elif call == "complete":
            body = {"form": request.content}
        else:
            body = json.loads(request.content)
        async with self._news:
            self.calls.append((call, body))
            self._news.notify_all()
        return await self.answers.get(call, self._usual(call))(body)

    def _usual(self, call: str) -> Answer:
        usual: dict[str, dict[str, Any]] = {
            "hello": {"worker_id": "w", "beat_seconds": 20, "poll_wait_seconds": 20},
            "beat": {"lease_expires_at": 0, "cancel": False, "directives": []},
        }
        return say(200, **usual.get(call, {}))


def say(status: int, **body: Any) -> Answer:
    async def reply(_: dict[str, Any]) -> httpx.Response:
        return httpx.Response(status, json=body)

    return reply


def refuse(code: str, status: int = 409, **more: Any) -> Answer:
    return say(status, error={"code": code, "message": code, **more}, detail=code)


def first(special: Answer, then: Answer) -> Answer:
    """The special answer once, the other one from then on."""
    left = [special]

    async def reply(body: dict[str, Any]) -> httpx.Response:
        return await (left.pop() if left else then)(body)

    return reply
