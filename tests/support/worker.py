"""A worker that does exactly what a test tells it, through the public protocol."""

from typing import Any

import httpx

from tests.support.server import BrokerProcess


class ScriptedWorker:
    """`name=None` is a worker of the first generation: no name, no lease token."""

    def __init__(
        self, broker: BrokerProcess, name: str | None = "tester", key: str | None = None
    ) -> None:
        headers = {} if name is None else {"X-Worker-Id": name}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self.http = broker.client(headers=headers)
        self._is_seed = name is None

    def __enter__(self) -> "ScriptedWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def poll(self, mode: str = "video", wait: float = 10) -> dict[str, Any] | None:
        answer = self.http.get("/extension/poll", params={"mode": mode, "wait": wait})
        assert answer.status_code in (200, 204), answer.text
        return answer.json() if answer.status_code == 200 else None

    def take(self, mode: str = "video") -> dict[str, Any]:
        job = self.poll(mode)
        assert job is not None, "there was no job"
        return job

    def beat(self, job: dict[str, Any], **fields: Any) -> httpx.Response:
        return self.http.post("/extension/beat", json={**_held(job), **fields})

    def chunks(self, job: dict[str, Any], *chunks: tuple[int, str]) -> httpx.Response:
        sent = [{"seq": seq, "kind": "text", "delta": delta} for seq, delta in chunks]
        return self.http.post("/extension/chunks", json={**_held(job), "chunks": sent})

    def answer(self, job: dict[str, Any], content: str | None, **fields: Any) -> httpx.Response:
        body = {**self._held(job), "content": content, **fields}
        return self.http.post("/extension/complete/chat", json=body)

    def upload(self, job: dict[str, Any], film: bytes, **headers: str) -> httpx.Response:
        sent = {"Content-Type": "video/mp4", "X-Lease-Token": job["lease_token"], **headers}
        return self.http.put(f"/extension/result/{job['job_id']}", content=film, headers=sent)

    def upload_form(self, job: dict[str, Any], film: bytes) -> httpx.Response:
        """The seed's form."""
        return self.http.post(
            "/extension/complete",
            data=self._held(job),
            files={"video": ("video.mp4", film, "video/mp4")},
        )

    def upload_images(self, job: dict[str, Any], *images: bytes) -> httpx.Response:
        files = [("image", (f"{n}.png", data, "image/png")) for n, data in enumerate(images, 1)]
        return self.http.post("/extension/complete", data=self._held(job), files=files)

    def error(self, job: dict[str, Any], text: str, **fields: Any) -> httpx.Response:
        return self.http.post("/extension/error", json={**self._held(job), "error": text, **fields})

    def release(self, job: dict[str, Any]) -> httpx.Response:
        return self.http.post("/extension/release", json={**_held(job), "reason": "closing"})

    def _held(self, job: dict[str, Any]) -> dict[str, Any]:
        return {"job_id": job["job_id"]} if self._is_seed else _held(job)


def _held(job: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": job["job_id"], "lease_token": job["lease_token"]}
