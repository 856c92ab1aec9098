"""The broker's public calls as ready-made request bytes: the one place that knows how they are spelled.

Made once, sent many times. Where it stops: sending is `load.py`.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.load import HOST
from bench.responses import Response

PROMPT = (
    "A lighthouse at dusk, waves breaking over the rocks, slow pan from left to right, film grain."
)


class HandOut(NamedTuple):
    """What a worker needs of the job it was handed."""

    job_id: str
    lease_token: str


class Calls:
    """The calls to one server; its port is part of the Host header, which the broker checks."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def health(self) -> bytes:
        return self.get("/", "Accept: application/json\r\n")

    @property
    def create_video(self) -> bytes:
        body = {"model": "grok", "prompt": PROMPT}
        return self.post("/v1/videos/generations", body)

    def chat(self, *, stream: bool = False) -> bytes:
        body: dict[str, Any] = {
            "model": "grok-4",
            "messages": [{"role": "user", "content": PROMPT}],
        }
        if stream:
            body["stream"] = True
        return self.post("/v1/chat/completions", body)

    def poll(self, mode: str, worker_id: str, wait_seconds: int = 20) -> bytes:
        path = f"/extension/poll?mode={mode}&wait={wait_seconds}"
        return self.get(path, f"X-Worker-Id: {worker_id}\r\n")

    def beat(self, job: HandOut, phase: str, worker_id: str) -> bytes:
        body = {**job._asdict(), "phase": phase, "progress": 10}
        return self._work("/extension/beat", body, worker_id)

    def first_chunk(self, job: HandOut, delta: str, worker_id: str) -> bytes:
        chunk = {"seq": 0, "kind": "text", "delta": delta}
        body = {**job._asdict(), "chunks": [chunk]}
        return self._work("/extension/chunks", body, worker_id)

    def complete_chat(self, job: HandOut, worker_id: str) -> bytes:
        body = {**job._asdict(), "content": "The light turns, and the rocks answer."}
        return self._work("/extension/complete/chat", body, worker_id)

    def give_up(self, job: HandOut, worker_id: str) -> bytes:
        """Fails a job for good, which frees the worker for the next."""
        body = {**job._asdict(), "error": "It came to nothing.", "code": "generation_failed"}
        return self._work("/extension/error", body, worker_id)

    def upload_head(self, job: HandOut, size_bytes: int, worker_id: str) -> bytes:
        """The head of a result upload; the film itself follows."""
        return (
            f"PUT /extension/result/{job.job_id} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n"
            f"Content-Type: video/mp4\r\nX-Lease-Token: {job.lease_token}\r\n"
            f"X-Worker-Id: {worker_id}\r\nContent-Length: {size_bytes}\r\n\r\n"
        ).encode()

    @property
    def delete_jobs(self) -> bytes:
        return f"DELETE /jobs HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n\r\n".encode()

    def get(self, path: str, headers: str = "") -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n{headers}\r\n".encode()

    def post(self, path: str, body: Mapping[str, Any], headers: str = "") -> bytes:
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _work(self, path: str, body: Mapping[str, Any], worker_id: str) -> bytes:
        return self.post(path, body, f"X-Worker-Id: {worker_id}\r\n")


def handed_out(response: Response) -> HandOut:
    """The job in a poll's answer. Raises `RuntimeError` where there is none."""
    if response.status != 200:
        raise RuntimeError(f"No job was handed out: {response.status} {response.body[:300]!r}")
    job = json.loads(response.body)
    return HandOut(job["job_id"], job["lease_token"])
