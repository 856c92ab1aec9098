"""Clients and workers that keep working through crashes, and write down what they were promised."""

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Promises:
    """What the broker has acknowledged: the sets that are compared with what is there in the end."""

    #: Jobs whose create was answered with 200.
    created: set[str] = field(default_factory=set)
    #: Job → SHA-256 of the film whose upload was answered with 200.
    films: dict[str, str] = field(default_factory=dict)
    #: Job → text whose completion was answered with 200.
    answers: dict[str, str] = field(default_factory=dict)
    #: Job → how often it was handed out to be submitted anew after a submitted beat was acknowledged.
    submitted: set[str] = field(default_factory=set)
    submitted_again: Counter[str] = field(default_factory=Counter)
    acts: int = 0


class Load:
    """`clients` creators and as many workers, until told to stop creating and everything is done."""

    def __init__(self, films: list[bytes], seed: int) -> None:
        self.promises = Promises()
        self.url = ""
        self.is_up = asyncio.Event()
        self._films = films
        self._random = random.Random(seed)
        self._creating = True
        self._numbers = iter(range(1, 10**9))
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def acts(self, count: int) -> None:
        """Returns after that many further acknowledged acts."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self.promises.acts + count, future))
        await future

    def stop_creating(self) -> None:
        self._creating = False

    async def client(self) -> None:
        async with self._http() as http:
            while self._creating:
                number = next(self._numbers)
                body = {"model": "grok", "prompt": f"job {number}"}
                answer = await self._call(http, "POST", "/v1/videos/generations", json=body)
                if answer is not None and answer.status_code == 200:
                    self.promises.created.add(answer.json()["id"])
                    self._note()

    async def worker(self, name: str) -> None:
        """Works until there is nothing left to do and nobody creates."""
        async with self._http(headers={"X-Worker-Id": name}) as http:
            while True:
                wait = 1 if self._creating else 0
                answer = await self._call(http, "GET", f"/extension/poll?mode=video&wait={wait}")
                if answer is not None and answer.status_code == 200:
                    await self._work(http, answer.json())
                elif answer is not None and not self._creating and await self._is_done(http):
                    return

    async def _work(self, http: httpx.AsyncClient, job: dict[str, Any]) -> None:
        job_id, token = job["job_id"], job["lease_token"]
        if job["action"] == "submit" and job_id in self.promises.submitted:
            self.promises.submitted_again[job_id] += 1
        beat = {"job_id": job_id, "lease_token": token, "phase": "submitted", "progress": 1}
        answer = await self._insist(http, "POST", "/extension/beat", json=beat)
        if answer.status_code != 200:
            return
        self.promises.submitted.add(job_id)
        self._note()
        film = self._film_of(job_id)
        answer = await self._insist(
            http,
            "PUT",
            f"/extension/result/{job_id}",
            content=film,
            headers={"Content-Type": "video/mp4", "X-Lease-Token": token},
        )
        if answer.status_code == 200:
            self.promises.films[job_id] = hashlib.sha256(film).hexdigest()
            self._note()

    def _film_of(self, job_id: str) -> bytes:
        """A film of its own for each job, of 0.6 to 5 MB: a box that players skip makes the difference."""
        own = random.Random(job_id)
        base = self._films[own.randrange(len(self._films))]
        padding = job_id.encode() + own.randbytes(own.randrange(600_000, 5_000_000))
        return base + (len(padding) + 8).to_bytes(4, "big") + b"free" + padding

    async def _is_done(self, http: httpx.AsyncClient) -> bool:
        answer = await self._call(http, "GET", "/")
        jobs = answer.json()["jobs"] if answer is not None else {"pending": 1}
        return not jobs.get("pending") and not jobs.get("processing")

    async def _insist(self, http: httpx.AsyncClient, *args: Any, **kwargs: Any) -> httpx.Response:
        """Repeats until there is an answer: any error means "unknown", and repeating is how to find out."""
        while True:
            answer = await self._call(http, *args, **kwargs)
            if answer is not None and answer.status_code != 503:
                return answer

    async def _call(
        self, http: httpx.AsyncClient, *args: Any, **kwargs: Any
    ) -> httpx.Response | None:
        await self.is_up.wait()
        try:
            return await http.request(*args, **kwargs)
        except httpx.TransportError:
            # Killed in the middle: whoever starts it again says when it is up.
            await asyncio.sleep(0)
            return None

    def _http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=60.0, trust_env=False, **options)

    def _note(self) -> None:
        self.promises.acts += 1
        for goal, future in self._waiting:
            if self.promises.acts >= goal and not future.done():
                future.set_result(None)
