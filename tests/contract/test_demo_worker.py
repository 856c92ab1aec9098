"""The demo worker against a broker played by the test: what it says, in which order, and when it stops."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from broker.demo import hold
from broker.demo.page import DemoPage
from broker.demo.worker import DemoWorker
from tests.support.scripted_broker import JOB, Answer, Broker, first, refuse, say

pytestmark = pytest.mark.anyio
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(hold, "NEWS_SECONDS", 0.0)


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


async def test_images_are_made_in_the_number_and_shape_asked_for_and_delivered_together() -> None:
    forms = []
    for _ in range(2):
        broker = Broker()
        broker.hand_out(job_type="image", options={"aspect": "1:1", "n": 3})
        async with at_work(broker):
            forms.append((await broker.has_seen("complete"))["form"])
        assert broker.phases()[1:3] == ["submitted", "generating"]
        assert broker.bodies("beat")[1]["evidence"]["post_id"]

    pictures = [part[: part.index(b"IEND") + 8] for part in forms[0].split(PNG_MAGIC)[1:]]
    assert len(set(pictures)) == 3
    assert [struct.unpack_from(">II", each, 8) for each in pictures] == [(360, 360)] * 3
    assert b'name="lease_token"\r\n\r\nlt_1' in forms[0]
    again = [part[: part.index(b"IEND") + 8] for part in forms[1].split(PNG_MAGIC)[1:]]
    assert again == pictures, "what is recovered is what was lost"


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


async def test_a_film_that_goes_on_from_another_is_refused_and_nothing_is_made() -> None:
    broker = Broker()
    broker.hand_out(options={"operation": "extend", "source": {"job_id": JOB}})

    async with at_work(broker) as (worker, _):
        reported = await broker.has_seen("error")

        assert reported["code"] == "option_refused"
        assert "extend" in reported["error"]
        assert worker.page.presses == 0
        assert "submitted" not in broker.phases()


async def test_a_crash_in_the_work_is_reported_and_the_next_job_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in the encoder")

    monkeypatch.setattr("broker.demo.worker.render_film", crash)
    broker = Broker()
    broker.hand_out()
    broker.hand_out(job_id="job_" + "d4" * 16, job_type="chat")

    async with at_work(broker, slots=1):
        reported = await broker.has_seen("error")
        await broker.has_seen("complete/chat")

    assert reported["code"] == "unknown"
    assert "ZeroDivisionError" in reported["error"]
    assert "crashed" in caplog.text


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
