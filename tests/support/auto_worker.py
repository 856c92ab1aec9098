"""A worker that does every job by itself, for clients that run in other processes. It knows nothing of the clients.

The first word of a prompt says what becomes of the job; of a chat's, the last turn that begins with such a word:

| Word | Chat | Film, image |
|---|---|---|
| `say …` | answers the rest | |
| `think …` | reasons first, then answers the rest | |
| `json …` | answers the rest in a code block, with talk around it | |
| `cut …` | answers the rest, `finish_reason` is `length` | |
| `recall …` | answers as JSON what the last job with this prompt was handed | |
| `release NAME` | lets go what waits for NAME | |
| `wait NAME …` | keeps it until NAME is released, then goes on with the rest | the same |
| `refuse …` | reports `moderated` | the same |
| `fail CODE …` | reports this failure | the same |
| `spend CODE …` | the same, once the prompt has been submitted | the same |

Anything else is echoed, or made.
"""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.support.pictures import png
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

#: More than the clients that wait at the same time.
HANDS = 10
KINDS = ("chat", "image", "video")
CAPABILITIES = {
    "durations": [6, 10],
    "resolutions": ["480p", "720p"],
    "aspects": ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"],
    "operations": ["edit", "extend", "remix"],
    "max_images": 8,
}
_WORDS = {"say", "think", "json", "cut", "recall", "release", "wait", "refuse", "fail", "spend"}
_PATIENCE_SECONDS = 30.0

Job = dict[str, Any]


class AutoWorker:
    """`with AutoWorker(broker, new_film) as worker:`; what it was handed is in `worker.seen`."""

    def __init__(self, broker: BrokerProcess, new_film: Callable[[], bytes]) -> None:
        self.seen: list[Job] = []
        self._broker = broker
        self._new_film = new_film
        self._sizes = itertools.count(8)
        self._released: dict[str, threading.Event] = defaultdict(threading.Event)
        self._is_over = threading.Event()
        self._names = [f"auto-{number}" for number in range(1, HANDS + 1)]
        self._threads = [
            threading.Thread(target=self._run, args=(name,), daemon=True) for name in self._names
        ]

    def __enter__(self) -> "AutoWorker":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        with self._broker.client() as client:  # a directive ends a poll that waits
            for name in self._names:
                client.post(f"/workers/{name}/directives", json={"directive": "drain"})
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)

    def release(self, name: str) -> None:
        self._released[name].set()

    def jobs(self, prompt: str) -> list[Job]:
        """What was handed out with this prompt."""
        return [job for job in self.seen if _order(job) == prompt]

    def _run(self, name: str) -> None:
        with ScriptedWorker(self._broker, name) as worker:
            hello = {"name": name, "kinds": KINDS, "capabilities": CAPABILITIES}
            worker.http.post("/extension/hello", json=hello).raise_for_status()
            self._work(worker)

    def _work(self, worker: ScriptedWorker) -> None:
        while not self._is_over.is_set():
            polled = worker.http.get("/extension/poll", params={"mode": KINDS})
            assert polled.status_code in (200, 204), polled.text
            if polled.status_code == 200:
                job = polled.json()
                self.seen.append(job)
                worker.beat(job, phase="submitted", evidence={"post_id": job["job_id"]})
                self._do(worker, job, _order(job))

    def _do(self, worker: ScriptedWorker, job: Job, order: str) -> None:
        word, _, rest = order.partition(" ")
        if word == "wait":
            name, _, rest = rest.partition(" ")
            if self._is_let_go(worker, job, name):
                self._do(worker, job, rest)
        elif word == "refuse":
            worker.error(job, "The site refused this.", code="moderated")
        elif word in ("fail", "spend"):
            if word == "spend":
                worker.beat(job, phase="submitted")
            worker.error(job, "It went wrong, as it was told to.", code=rest.split()[0])
        elif job["job_type"] == "chat":
            self._answer(worker, job, word, rest if word in _WORDS else order)
        elif job["job_type"] == "video":
            _taken(worker.upload(job, self._new_film()))
        else:
            _taken(worker.upload_images(job, *self._pictures((job["options"] or {}).get("n", 1))))

    def _is_let_go(self, worker: ScriptedWorker, job: Job, name: str) -> bool:
        """False when the job is cancelled, or the worker ends, before that."""
        while not self._released[name].wait(0.1):
            answer = worker.beat(job)
            if self._is_over.is_set() or answer.status_code == 409 or answer.json()["cancel"]:
                return False
        return True

    def _answer(self, worker: ScriptedWorker, job: Job, word: str, rest: str) -> None:
        chunks: list[dict[str, Any]] = []
        fields: dict[str, Any] = {}
        text = rest if word in _WORDS else f"You said: {rest}{_pictures_in(job)}"
        if word == "think":
            fields["reasoning"] = "Let me think."
            chunks.append({"kind": "reasoning", "delta": "Let me think."})
        elif word == "cut":
            fields["finish_reason"] = "length"
        elif word == "json":
            text = f"Here it is:\n\n```json\n{rest}\n```\n\nDo ask again."
        elif word == "recall":
            text = json.dumps(self.jobs(rest)[-1])
        elif word == "release":
            self.release(rest)
        chunks += [{"kind": "text", "delta": part} for part in _parts(text)]
        held = {"job_id": job["job_id"], "lease_token": job["lease_token"]}
        numbered = [{"seq": seq, **chunk} for seq, chunk in enumerate(chunks)]
        _taken(worker.http.post("/extension/chunks", json={**held, "chunks": numbered}))
        _taken(worker.answer(job, text, **fields))

    def _pictures(self, count: int) -> Sequence[bytes]:
        """No two are the same."""
        return [png(next(self._sizes), 8) for _ in range(count)]


def _taken(answer: httpx.Response) -> None:
    """A job that its client has left is no fault."""
    assert answer.status_code in (200, 202, 409), answer.text


def _order(job: Job) -> str:
    turns = [_text(turn["content"]) for turn in _turns(job) if turn["role"] == "user"]
    known = [text for text in turns if text.partition(" ")[0] in _WORDS]
    return [job["prompt"], *turns[-1:], *known[-1:]][-1]


def _turns(job: Job) -> list[dict[str, Any]]:
    return list((job["request"] or {}).get("messages", ()))


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return content or ""
    return " ".join(part["text"] for part in content if part["type"] == "text")


def _pictures_in(job: Job) -> str:
    contents = [turn["content"] for turn in _turns(job) if isinstance(turn["content"], list)]
    count = sum(part["type"] == "image_url" for part in itertools.chain(*contents))
    return f" I see {count} images." if count else ""


def _parts(text: str) -> list[str]:
    """A few words each, as a page writes."""
    words = text.split(" ")
    parts = [" ".join(words[at : at + 3]) for at in range(0, len(words), 3)]
    return [part if last == len(parts) - 1 else f"{part} " for last, part in enumerate(parts)]
