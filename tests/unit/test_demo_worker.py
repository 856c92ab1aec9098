"""The demo worker against a broker played by the test: what it says, in which order, and when it stops."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from broker.demo import hold
from broker.demo.answers import answer, describe_image, words_of
from broker.demo.page import DemoPage
from broker.demo.worker import DemoWorker, film_options

pytestmark = pytest.mark.anyio

Answer = Callable[[dict[str, Any]], Awaitable[httpx.Response]]
JOB = "job_" + "c3" * 16


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(hold, "NEWS_SECONDS", 0.0)


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


@asynccontextmanager
async def at_work(broker: Broker, **options: Any) -> AsyncIterator[tuple[DemoWorker, Any]]:
    """A worker that runs for as long as the block lasts, and its task."""
    given = {"film_seconds": 0.25, "word_seconds": 0, "least_film_seconds": 0} | options
    transport = httpx.MockTransport(broker.handle)
    worker = DemoWorker("http://broker", transport=transport, **given)
    task = asyncio.ensure_future(worker.run())
    try:
        yield worker, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_film_is_made_phase_by_phase_and_delivered_under_its_lease() -> None:
    broker = Broker()
    broker.hand_out()

    async with at_work(broker):
        delivered = await broker.has_seen("result")

    assert broker.phases() == ["preparing", "submitted", "generating", "downloading", "uploading"]
    assert delivered["headers"]["x-lease-token"] == "lt_1"
    assert len(delivered["headers"]["x-content-sha256"]) == 64
    assert broker.films[0][4:8] == b"ftyp"


async def test_the_post_is_told_with_the_phase_that_cannot_be_undone() -> None:
    broker = Broker()
    broker.hand_out()

    async with at_work(broker) as (worker, _):
        await broker.has_seen("result")

        submitted = next(b for b in broker.bodies("beat") if b["phase"] == "submitted")
        assert submitted["evidence"]["post_id"]
        assert worker.page.presses == 1


async def test_progress_is_told_while_the_film_is_made() -> None:
    broker = Broker()
    broker.hand_out()

    async with at_work(broker, film_seconds=1):
        await broker.has_seen("result")

    told = [body["progress"] for body in broker.bodies("beat")]
    assert told == sorted(told)
    assert told[-1] == 100


async def test_an_answer_is_streamed_without_gaps_and_then_completed() -> None:
    broker = Broker()
    broker.hand_out(job_type="chat", prompt="Hello there", request={"messages": []})

    async with at_work(broker):
        completed = await broker.has_seen("complete/chat")

    chunks = [chunk for body in broker.bodies("chunks") for chunk in body["chunks"]]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert "".join(chunk["delta"] for chunk in chunks) == completed["content"]
    assert "Hello there" in completed["content"]
    assert broker.bodies("beat")[1]["evidence"]["conversation_id"]


@pytest.mark.parametrize("place", ["beside", "within"])
async def test_after_a_gap_it_sends_again_from_the_number_expected(place: str) -> None:
    broker = Broker()
    gap = refuse("chunk_gap", expected_seq=0)
    if place == "beside":
        gap = say(409, error={"code": "chunk_gap", "message": "gap"}, expected_seq=0)
    broker.answers["chunks"] = first(say(200), first(gap, say(200)))
    broker.hand_out(job_type="chat", prompt="Hello")

    async with at_work(broker):
        await broker.has_seen("complete/chat")

    sent = [body["chunks"][0]["seq"] for body in broker.bodies("chunks")]
    assert sent[:4] == [0, 1, 0, 1]


async def test_a_chunk_is_sent_again_when_the_broker_was_away() -> None:
    broker = Broker()
    broker.answers["chunks"] = first(say(503), say(200))
    broker.hand_out(job_type="chat", prompt="Hello")

    async with at_work(broker):
        await broker.has_seen("complete/chat")

    sent = [body["chunks"][0]["seq"] for body in broker.bodies("chunks")]
    assert sent[:3] == [0, 0, 1]


@pytest.mark.parametrize(
    "heard", [say(200, cancel=True), refuse("lease_lost")], ids=["cancelled", "lease lost"]
)
async def test_work_ends_when_a_beat_hears_that_it_is_not_wanted(heard: Answer) -> None:
    broker = Broker()
    broker.hand_out()
    broker.hand_out(job_id="job_" + "d4" * 16, job_type="chat")
    broker.answers["beat"] = first(heard, say(200, cancel=False))

    async with at_work(broker, slots=1):
        await broker.has_seen("complete/chat")

    assert broker.films == []
    assert broker.bodies("error") == []


async def test_a_film_under_way_is_dropped_when_its_job_is_cancelled() -> None:
    broker = Broker()
    broker.hand_out()
    broker.hand_out(job_id="job_" + "d4" * 16, job_type="chat")

    async def cancel_when_generating(body: dict[str, Any]) -> httpx.Response:
        wanted = body["job_id"] != JOB or body["progress"] == 0
        return httpx.Response(200, json={"cancel": not wanted})

    broker.answers["beat"] = cancel_when_generating

    async with at_work(broker, slots=1, film_seconds=6, least_film_seconds=10):
        await broker.has_seen("complete/chat")

    assert broker.films == []


async def test_a_beat_that_crosses_the_delivery_does_not_undo_it() -> None:
    broker = Broker()
    is_over = asyncio.Event()
    broker.hand_out()

    async def beat(body: dict[str, Any]) -> httpx.Response:
        return httpx.Response(200, json={"cancel": is_over.is_set()})

    async def take(body: dict[str, Any]) -> httpx.Response:
        is_over.set()
        before = len(broker.bodies("beat"))
        await broker.has_seen("beat", before + 1)
        return httpx.Response(200, json={})

    broker.answers |= {"beat": beat, "result": take}
    broker.answers["hello"] = say(200, worker_id="w", beat_seconds=0.01)

    async with at_work(broker) as (worker, _):
        broker.tell("drain")
        await broker.has_seen("result")
        await asyncio.wait_for(_, 10)

    assert worker.page.find(None, JOB) is None


async def test_recovering_finds_the_post_and_never_presses_again() -> None:
    broker = Broker()
    page = DemoPage()
    post = page.submit(JOB, "A cat")
    broker.hand_out(action="recover", attempt=2, evidence={"post_id": post.post_id})

    async with at_work(broker, page=page):
        await broker.has_seen("result")

    assert page.presses == 1


async def test_a_job_that_is_handed_out_again_after_its_press_is_not_pressed_again() -> None:
    broker = Broker()
    page = DemoPage()
    page.submit(JOB, "A cat")
    broker.hand_out(attempt=2)

    async with at_work(broker, page=page):
        await broker.has_seen("result")

    assert page.presses == 1


async def test_recovering_what_the_page_does_not_know_is_reported_and_not_pressed() -> None:
    broker = Broker()
    broker.hand_out(action="recover", attempt=2, evidence={"post_id": "gone"})

    async with at_work(broker) as (worker, _):
        reported = await broker.has_seen("error")

        assert reported["code"] == "submit_unknown"
        assert worker.page.presses == 0


async def test_a_recovered_film_is_the_very_film_that_was_lost() -> None:
    broker = Broker()
    page = DemoPage()
    broker.answers["result"] = first(refuse("lease_lost"), say(200))
    broker.hand_out()

    async with at_work(broker, page=page):
        await broker.has_seen("result")
        broker.hand_out(action="recover", attempt=2, lease_token="lt_2")
        await broker.has_seen("result", 2)

    assert broker.films[0] == broker.films[1]


async def test_a_film_that_is_refused_is_reported() -> None:
    broker = Broker()
    broker.answers["result"] = refuse("result_rejected", 422, gate_class="too_short")
    broker.hand_out()

    async with at_work(broker):
        reported = await broker.has_seen("error")

    assert reported["code"] == "result_rejected"


@pytest.mark.parametrize("image", ["bm90IGFuIGltYWdl", "?not base64?"])
async def test_an_image_that_cannot_be_read_is_reported(image: str) -> None:
    broker = Broker()
    broker.hand_out(image=image)

    async with at_work(broker):
        reported = await broker.has_seen("error")

    assert reported["code"] == "upload_rejected"


async def test_a_broker_that_comes_back_is_greeted_again() -> None:
    broker = Broker()
    broker.answers["hello"] = first(say(503), say(200, worker_id="w"))
    broker.hand_out()

    async with at_work(broker):
        await broker.has_seen("result")

    assert len(broker.bodies("hello")) == 2


async def test_a_paused_worker_takes_nothing_until_it_is_resumed() -> None:
    broker = Broker()
    resume = asyncio.Event()

    async def hello(body: dict[str, Any]) -> httpx.Response:
        told = ["resume"] if resume.is_set() else []
        return httpx.Response(200, json={"beat_seconds": 0.001, "directives": told})

    broker.answers["hello"] = hello
    broker.tell("pause")
    broker.hand_out(job_type="chat")

    async with at_work(broker):
        await broker.has_seen("hello", 3)
        assert broker.bodies("beat") == []
        resume.set()
        await broker.has_seen("complete/chat")


async def test_a_drained_worker_finishes_what_it_holds_and_ends() -> None:
    broker = Broker()
    broker.hand_out()
    broker.tell("drain")
    broker.hand_out(job_id="job_" + "d4" * 16)

    async with at_work(broker) as (_, task):
        await asyncio.wait_for(task, 10)

    assert len(broker.films) == 1


async def test_an_unknown_directive_is_ignored() -> None:
    broker = Broker()
    broker.tell("make_tea")
    broker.hand_out()

    async with at_work(broker):
        await broker.has_seen("result")


async def test_a_worker_that_is_stopped_gives_back_what_it_holds() -> None:
    broker = Broker()
    stuck = asyncio.Event()

    async def never(_: dict[str, Any]) -> httpx.Response:
        await stuck.wait()
        raise AssertionError

    broker.answers["beat"] = never
    broker.hand_out()

    async with at_work(broker):
        await broker.has_seen("beat")

    assert broker.bodies("release")[0]["lease_token"] == "lt_1"


def test_submissions_outlive_the_process_where_a_folder_is_given(tmp_path: Path) -> None:
    post = DemoPage(tmp_path).submit(JOB, "A cat", options={"aspect": "1:1"})
    (tmp_path / "broken.json").write_text("{")

    later = DemoPage(tmp_path)

    assert later.find({"post_id": post.post_id}, "") == post
    assert later.find(None, JOB) == post
    later.forget(post.post_id)
    assert DemoPage(tmp_path).find(None, JOB) is None


@pytest.mark.parametrize(
    ("options", "seconds", "size"),
    [
        ({}, 6, (640, 360)),
        ({"aspect": "9:16", "resolution": "720p"}, 6, (720, 1280)),
        ({"aspect": "3:2", "resolution": "480p", "duration_seconds": 10}, 10, (720, 480)),
        ({"aspect": "100:0", "resolution": "9000p"}, 6, (640, 360)),
    ],
)
def test_a_film_has_the_length_and_size_that_were_asked_for(
    options: dict[str, Any], seconds: float, size: tuple[int, int]
) -> None:
    assert film_options(options, 6) == {"seconds": seconds, "size": size}


@pytest.mark.parametrize("text", ["one two  three\n\nfour ", " lead", "", "x", "a\tb"])
def test_the_words_of_a_text_are_the_text(text: str) -> None:
    assert "".join(words_of(text)) == text
    assert all(words_of(text))


def test_an_answer_says_who_speaks_and_what_it_saw() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "text", "text": "And  now\nthis"}]},
    ]

    said = answer("prompt", request={"messages": messages})

    assert "demo worker" in said
    assert "You wrote: “And now this”" in said
    assert "I saw 4 turns:" in said
    assert "1. system: Be brief." in said


def test_an_answer_describes_the_images_that_came() -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 30)).save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]

    said = answer("What?", request={"messages": [{"role": "user", "content": parts}]})

    assert f"a PNG image, 40 by 30 pixels, {len(png.getvalue())} bytes" in said
    assert describe_image("bm90IGFuIGltYWdl") == "an image that cannot be read"
