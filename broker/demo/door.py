"""The worker's side of the broker's door: every call of the worker protocol, once, over HTTP.

Says what the broker answered; decides nothing about jobs and tries nothing again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import httpx

#: Beyond the time the broker holds a poll, before the line counts as dead.
POLL_MARGIN_SECONDS = 10.0
CALL_SECONDS = 30.0


class BrokerAway(Exception):
    """The broker did not answer, or said that it cannot just now."""


class Refused(Exception):
    """The broker answered no. `code` says why; the rest of the answer is in `body`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        error = body.get("error")
        details: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
        self.status = status
        self.body = body
        self.code = str(details.get("code") or "")
        super().__init__(str(details.get("message") or f"The broker answered {status}."))

    def field(self, name: str) -> Any:
        """A further field of the answer, whether it stands beside the error or in it."""
        error = self.body.get("error")
        return self.body.get(name, error.get(name) if isinstance(error, Mapping) else None)


class Greeting(NamedTuple):
    worker_id: str
    beat_seconds: float
    poll_wait_seconds: float
    directives: Sequence[str]


class Assignment(NamedTuple):
    """A job as it was handed over."""

    job_id: str
    kind: str
    prompt: str
    #: The first, as base64.
    image: str | None
    image_count: int
    request: dict[str, Any] | None
    lease_token: str
    attempt: int
    action: str
    options: dict[str, Any]
    evidence: dict[str, Any] | None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            job_id=body["job_id"],
            kind=body["job_type"],
            prompt=body["prompt"] or "",
            image=body.get("image"),
            image_count=len(body.get("images") or ()),
            request=body.get("request"),
            lease_token=body["lease_token"],
            attempt=body.get("attempt", 1),
            action=body.get("action", "submit"),
            options=body.get("options") or {},
            evidence=body.get("evidence"),
        )

    @property
    def lease(self) -> dict[str, str]:
        return {"job_id": self.job_id, "lease_token": self.lease_token}


class Polled(NamedTuple):
    """What a poll brought: perhaps a job, perhaps directives."""

    assignment: Assignment | None
    directives: Sequence[str]


class Orders(NamedTuple):
    """What the broker answers to a beat."""

    cancel: bool
    directives: Sequence[str]


class BrokerDoor:
    """Every method raises `BrokerAway` or `Refused`."""

    def __init__(
        self,
        url: str,
        worker_id: str,
        *,
        key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"X-Worker-Id": worker_id}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # Proxies of the environment are for the world outside, not for a broker on this machine.
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=CALL_SECONDS,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def hello(self, body: Mapping[str, Any]) -> Greeting:
        answer = await self._post("hello", body)
        if answer.get("worker_id"):
            self._http.headers["X-Worker-Id"] = answer["worker_id"]
        return Greeting(
            worker_id=answer.get("worker_id", ""),
            beat_seconds=float(answer.get("beat_seconds", 20)),
            poll_wait_seconds=float(answer.get("poll_wait_seconds", 20)),
            directives=_directives(answer),
        )

    async def poll(self, kinds: Sequence[str], wait_seconds: float) -> Polled:
        asked = (*(("mode", kind) for kind in kinds), ("wait", f"{wait_seconds:g}"))
        response = await self._call(
            "GET",
            "/extension/poll",
            params=httpx.QueryParams(asked),
            timeout=wait_seconds + POLL_MARGIN_SECONDS,
        )
        if response.status_code == 204:  # an answer without a body: directives ride in a header
            told = response.headers.get("X-Broker-Directives", "")
            return Polled(None, [name.strip() for name in told.split(",") if name.strip()])
        body = response.json()
        return Polled(Assignment.read(body), _directives(body))

    async def beat(
        self, held: Assignment, phase: str, progress: int, evidence: Mapping[str, Any] | None
    ) -> Orders:
        body = {**held.lease, "phase": phase, "progress": progress, "evidence": evidence}
        answer = await self._post("beat", body)
        return Orders(bool(answer.get("cancel")), _directives(answer))

    async def send_chunks(self, held: Assignment, first_seq: int, deltas: Sequence[str]) -> None:
        chunks = [
            {"seq": seq, "kind": "text", "delta": delta}
            for seq, delta in enumerate(deltas, first_seq)
        ]
        await self._post("chunks", {**held.lease, "chunks": chunks})

    async def send_film(self, held: Assignment, content: bytes) -> None:
        headers = {
            "Content-Type": "video/mp4",
            "X-Lease-Token": held.lease_token,
            "X-Content-SHA256": hashlib.sha256(content).hexdigest(),
        }
        await self._call(
            "PUT", f"/extension/result/{held.job_id}", content=content, headers=headers
        )

    async def send_pictures(self, held: Assignment, pictures: Sequence[bytes]) -> None:
        files = [
            ("image", (f"{number}.png", data, "image/png"))
            for number, data in enumerate(pictures, 1)
        ]
        await self._call("POST", "/extension/complete", data=held.lease, files=files)

    async def complete_chat(self, held: Assignment, content: str) -> None:
        await self._post(
            "complete/chat", {**held.lease, "content": content, "finish_reason": "stop"}
        )

    async def fail(self, held: Assignment, code: str, error: str) -> None:
        await self._post("error", {**held.lease, "code": code, "error": error})

    async def release(self, held: Assignment, reason: str) -> None:
        await self._post("release", {**held.lease, "reason": reason})

    async def _post(self, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
        response = await self._call("POST", f"/extension/{call}", json=body)
        return dict(response.json()) if response.content else {}

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise BrokerAway(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if response.status_code >= 500 or response.status_code == 429:
            raise BrokerAway(f"The broker answered {response.status_code}.")
        if response.is_success:
            return response
        raise Refused(response.status_code, _json_object(response))


def _json_object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _directives(body: Mapping[str, Any]) -> Sequence[str]:
    """Names only; a directive of a form that is not known is ignored, as the protocol asks."""
    return [name for name in body.get("directives") or () if isinstance(name, str)]
