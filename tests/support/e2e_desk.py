"""A broker, the stand-in site and a browser between them, each deed of a client in one word.

Posts and waits through the broker's public API. What happens in the browser is `browser.py`'s, what the site saw is
the stand-in's own.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from broker.demo.site.stand_in import StandIn
from tests.support.browser import GrokBrowser, PlainBrowser
from tests.support.e2e_waiting import wait_until
from tests.support.server import BrokerProcess

FINAL = ("completed", "failed", "cancelled")


class Call(threading.Thread):
    """A client that waits for its answer while the test goes on."""

    def __init__(self, http: httpx.Client, path: str, body: Mapping[str, Any]) -> None:
        super().__init__(daemon=True)
        self._http, self._path, self._body = http, path, body
        self._moved = threading.Condition()
        self._problem: Exception | None = None
        self.is_over = False
        self.status: int | None = None
        #: The whole answer, or the events of a stream so far.
        self.json: Any = None
        self.events: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        try:
            with self._http.stream("POST", self._path, json=self._body, timeout=120) as answer:
                self._read(answer)
        except Exception as error:  # told to whoever asks for the answer
            self._problem = error
        with self._moved:
            self.is_over = True
            self._moved.notify_all()

    def _read(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        if not answer.headers["content-type"].startswith("text/event-stream"):
            self.json = json.loads(answer.read())
            return
        for line in answer.iter_lines():
            if line.startswith("data:") and line != "data: [DONE]":
                with self._moved:
                    self.events.append(json.loads(line.removeprefix("data:")))
                    self._moved.notify_all()

    def answer(self, seconds: float = 60.0) -> Any:
        """What was answered, when all of it has been: the JSON, or the events. Raises `AssertionError`."""
        self.join(seconds)
        assert self.is_over, f"{self._path} did not answer in {seconds:g} s; so far: {self.events}"
        if self._problem is not None:
            raise AssertionError(f"{self._path} broke off") from self._problem
        return self.json if self.json is not None else self.events

    @property
    def text(self) -> str:
        """What a chat has said so far, or altogether."""
        if self.json is not None:
            return str(self.json["choices"][0]["message"]["content"])
        return "".join(delta.get("content") or "" for delta in self._deltas())

    @property
    def pieces(self) -> list[str]:
        """The text as it was streamed."""
        return [delta["content"] for delta in self._deltas() if delta.get("content")]

    @property
    def reasoning(self) -> str:
        """What was thought aloud, as it was streamed."""
        return "".join(delta.get("reasoning_content") or "" for delta in self._deltas())

    @property
    def finish_reason(self) -> str | None:
        choices = [self.json["choices"][0]] if self.json is not None else self._choices()
        reasons = [choice.get("finish_reason") for choice in choices]
        return next((reason for reason in reasons if reason), None)

    def wait_for_text(self, part: str, seconds: float = 30.0) -> None:
        """Returns as soon as the client has been sent this. Raises `AssertionError`."""
        with self._moved:
            self._moved.wait_for(lambda: part in self.text or self.is_over, seconds)
        assert part in self.text, f"{part!r} was not streamed, but {self.text!r}"

    def _choices(self) -> list[dict[str, Any]]:
        return [event["choices"][0] for event in self.events if event.get("choices")]

    def _deltas(self) -> list[dict[str, Any]]:
        return [choice.get("delta", {}) for choice in self._choices()]


@dataclass
class Clients:
    """What clients do at a broker, and what is seen of it from outside the browser."""

    broker: BrokerProcess
    site: StandIn
    http: httpx.Client
    calls: list[Call] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        # The broker remembers the browsers of tests before this one for a while.
        self._known = {worker["id"] for worker in self.workers()}

    def post_video(self, prompt: str, **options: Any) -> str:
        """The job's id."""
        answer = self.http.post("/v1/videos/generations", json={"prompt": prompt, **options})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def post_image(self, prompt: str, **options: Any) -> tuple[str, Call]:
        """The job's id, and the call that waits for the pictures."""
        return self._post("/v1/images/generations", {"prompt": prompt, **options})

    def post_chat(self, prompt: str, *, stream: bool = True, **options: Any) -> tuple[str, Call]:
        """The job's id, and the call that waits for the answer. `messages` replaces the one made of the prompt."""
        messages = [{"role": "user", "content": prompt}]
        body = {"messages": messages, "stream": stream, **options}
        return self._post("/v1/chat/completions", body)

    def _post(self, path: str, body: Mapping[str, Any]) -> tuple[str, Call]:
        """Such a call tells no id before its answer, so the job is known by being new."""
        known = {job["id"] for job in self.jobs()}
        call = Call(self.http, path, body)
        self.calls.append(call)
        jobs = wait_until(
            self.jobs, lambda jobs: call.is_over or any(job["id"] not in known for job in jobs), 10
        )
        new = [job["id"] for job in jobs if job["id"] not in known]
        assert new, f"{path} was answered without a job: {call.status} {call.answer()}"
        return new[0], call

    def jobs(self) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self.http.get("/jobs").json()["data"])

    def job(self, job_id: str) -> dict[str, Any]:
        """As an operator sees it, with all its attempts."""
        answer = self.http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_job(
        self, job_id: str, is_so: str | Callable[[dict[str, Any]], bool], seconds: float = 40.0
    ) -> dict[str, Any]:
        """A state's name, or what has to be true of the job. Does not wait on when the job has ended otherwise."""

        def is_there(job: dict[str, Any]) -> bool:
            return job["status"] == is_so if isinstance(is_so, str) else is_so(job)

        job = wait_until(
            lambda: self.job(job_id), lambda job: is_there(job) or job["status"] in FINAL, seconds
        )
        assert is_there(job), f"The job ended otherwise: {job}"
        return job

    def wait_for_phase(self, job_id: str, phase: str, seconds: float = 40.0) -> dict[str, Any]:
        return self.wait_for_job(job_id, lambda job: job["phase"] == phase, seconds)

    def film(self, job_id: str) -> bytes:
        """What a client gets to see."""
        answer = self.http.get(f"/videos/{job_id}.mp4")
        assert answer.status_code == 200, answer.text
        return answer.content

    def workers(self) -> list[dict[str, Any]]:
        """Those the broker has heard of lately."""
        health = self.http.get("/", headers={"Accept": "application/json"}).json()
        return list(health["workers"])

    def wait_for_worker(self, seconds: float = 20.0) -> dict[str, Any]:
        """The browser's worker, as soon as it has told the broker that it can work."""

        def own() -> dict[str, Any]:
            return next((found for found in self.workers() if found["id"] not in self._known), {})

        return wait_until(own, lambda worker: worker.get("page_state") == "ready", seconds)

    def leave(self) -> None:
        """Leaves nothing for the next test's browser to take up, in a broker that runs."""
        try:
            self._cancel_all()
        except httpx.TransportError:  # the test has stopped it
            self.broker.start()
            self._cancel_all()
        for call in self.calls:
            call.join(10)

    def _cancel_all(self) -> None:
        for job in self.jobs():
            if job["status"] not in FINAL:
                self.http.delete(f"/jobs/{job['id']}")

    def write_down(self, folder: Path) -> None:
        """All that may explain why a test failed. What cannot be had any more says so."""
        for name, look in self.notes(folder).items():
            try:
                seen = look()
            except Exception as error:
                seen = f"cannot be had: {error!r}"
            text = json.dumps(seen, indent=2, ensure_ascii=False, default=repr)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")

    def notes(self, folder: Path) -> dict[str, Callable[[], Any]]:
        """What is written down, and how it is had; pictures go into `folder`."""
        return {
            "site": lambda: [list(event) for event in self.site.events],
            "submits": lambda: [repr(submit) for submit in self.site.submits()],
            "jobs": lambda: [self.job(job["id"]) for job in self.jobs()[:10]],
            "workers": self.workers,
            "broker": self.broker.output.splitlines,
        }


@dataclass
class PlainDesk(Clients):
    """A browser that can only be watched from outside."""

    browser: PlainBrowser


@dataclass
class Desk(Clients):
    """A browser that can be looked into."""

    browser: GrokBrowser

    def notes(self, folder: Path) -> dict[str, Callable[[], Any]]:
        return super().notes(folder) | {
            "session": lambda: self.browser.stored("session"),
            "local": lambda: self.browser.stored("local"),
            "console": lambda: self.browser.console,
            "pages": lambda: [page.url for page in self.browser.pages()],
            "pictures": lambda: [str(path) for path in self.browser.screenshot(folder)],
        }
