"""The demo worker: does jobs without any site, over the public worker protocol and nothing else.

It stands where the extension stands, so that the broker can be tried, tested and watched without an account.
`python -m broker.demo.worker --url http://127.0.0.1:8000` runs one.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from broker import __version__
from broker.demo.answers import answer, words_of
from broker.demo.door import Assignment, BrokerAway, BrokerDoor, Greeting, Refused
from broker.demo.film import render_film, render_pictures, require_film_tools
from broker.demo.hold import Hold, Pauses, Stopped, patiently
from broker.demo.mishaps import FilmToolsMissing, UnusableImage, WishRefused
from broker.demo.page import DemoPage, Submission
from broker.demo.wishes import CAPABILITIES, film_options, refuse_unknown

log = logging.getLogger("broker.demo.worker")
T = TypeVar("T")

KINDS = ("video", "image", "chat")
#: So many pictures where the client did not say.
USUAL_PICTURES = 1
GOODBYE_SECONDS = 2.0


class DemoWorker:
    """Polls, works and delivers until it is told to drain or is cancelled."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "demo worker",
        worker_id: str | None = None,
        kinds: Sequence[str] = KINDS,
        slots: int = 2,
        page: DemoPage | None = None,
        key: str | None = None,
        film_seconds: float = 6,
        word_seconds: float = 0.03,
        least_film_seconds: float = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`least_film_seconds`: no film takes less, so that a person can watch its progress."""
        self.page = page or DemoPage()
        self.is_paused = False
        self.is_draining = False
        self._door = BrokerDoor(
            url, worker_id or f"demo-{secrets.token_hex(6)}", key=key, transport=transport
        )
        self._hello = {
            "name": name,
            "version": __version__,
            "kinds": list(kinds),
            "slots": slots,
            "capabilities": CAPABILITIES,
            "page_state": "ready",
        }
        self._kinds = kinds
        self._hands = asyncio.Semaphore(slots)
        self._film_seconds = film_seconds
        self._word_seconds = word_seconds
        self._least_seconds = least_film_seconds
        self._greeting = Greeting("", 20, 20, ())
        self._work: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Returns once the broker has greeted this worker."""
        await self._ready.wait()

    async def idle(self) -> None:
        """Returns once it holds no job."""
        await asyncio.gather(*self._work, return_exceptions=True)

    async def run(self) -> None:
        """Works until drained. When cancelled, gives back what it holds and has not submitted."""
        pauses = Pauses()
        try:
            while not self.is_draining:
                try:
                    await self._meet()
                    pauses = Pauses()
                except BrokerAway as away:
                    log.info("The broker is away: %s", away)
                except Refused as refused:
                    log.warning("The broker refuses this worker: %s", refused)
                await pauses.next()
            await self.idle()
        finally:
            for task in self._work:
                task.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)
            await self._door.close()

    async def _meet(self) -> None:
        """One stretch with one broker: says hello, then polls for as long as it answers."""
        self._greeting = await self._door.hello(self._hello)
        self._obey(self._greeting.directives)
        self._ready.set()
        while not self.is_draining:
            if self.is_paused:
                await asyncio.sleep(self._greeting.beat_seconds)
                self._obey((await self._door.hello(self._hello)).directives)
                continue
            await self._take_one()

    async def _take_one(self) -> None:
        """Polls once, as soon as a hand is free, and sets to work on what it is handed."""
        await self._hands.acquire()
        task: asyncio.Task[None] | None = None
        try:
            polled = await self._door.poll(self._kinds, self._greeting.poll_wait_seconds)
            if polled.assignment is not None:
                task = asyncio.create_task(self._handle(polled.assignment))
                self._work.add(task)
                task.add_done_callback(self._put_down)
            self._obey(polled.directives)
        finally:
            if task is None:
                self._hands.release()

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._hands.release()

    def _obey(self, directives: Sequence[str]) -> None:
        for directive in directives:
            match directive:
                case "pause":
                    self.is_paused = True
                case "resume":
                    self.is_paused = False
                case "drain":
                    self.is_draining = True
                case _:
                    log.debug("Directive %s means nothing to the demo worker.", directive)

    async def _handle(self, held: Assignment) -> None:
        hold = Hold(self._door, held, self._greeting.beat_seconds, self._obey)
        log.info("%s: %s, attempt %d, %s", held.job_id, held.kind, held.attempt, held.action)
        try:
            await hold.run(self._do(hold))
            log.info("%s: delivered", held.job_id)
        except Stopped as stopped:
            log.info("%s: stopped. %s", held.job_id, stopped)
        except WishRefused as refused_wish:
            await self._give_up(held, "option_refused", str(refused_wish))
        except UnusableImage as unusable:
            await self._give_up(held, "upload_rejected", str(unusable))
        except LookupError as lost:
            await self._give_up(held, "submit_unknown", str(lost))
        except Refused as refused:
            await self._accept_refusal(held, refused)
        except asyncio.CancelledError:
            await self._give_back(held)
            raise
        except Exception as crash:
            # The outermost ring of a job: the broker must hear of it, or its client waits for the deadline.
            log.exception("%s: crashed", held.job_id)
            await self._give_up(held, "unknown", f"The demo worker crashed: {crash!r}"[:500])

    async def _do(self, hold: Hold) -> None:
        """The job from its first beat to its delivery."""
        await hold.advance("preparing")
        submission = self._submission(hold.assignment)
        name = "conversation_id" if hold.assignment.kind == "chat" else "post_id"
        await hold.advance("submitted", {name: submission.post_id})
        await hold.advance("generating")
        if hold.assignment.kind == "video":
            await self._make_film(hold, submission)
        elif hold.assignment.kind == "image":
            await self._make_pictures(hold, submission)
        else:
            await self._chat(hold, submission)
        self.page.forget(submission.post_id)

    def _submission(self, held: Assignment) -> Submission:
        """What the page has of this job; submitted now only if it has nothing and the broker allows it.

        Raises `LookupError` where the prompt is said to have been submitted and the page knows nothing of it, and
        `WishRefused` where it asks for what cannot be done.
        """
        found = self.page.find(held.evidence, held.job_id)
        if found is not None:
            return found
        if held.action != "submit":
            raise LookupError("The page has nothing of this job.")
        refuse_unknown(held.kind, held.options, held.image_count)
        return self.page.submit(
            held.job_id,
            held.prompt,
            image=held.image,
            request=held.request,
            options=held.options,
        )

    async def _make_film(self, hold: Hold, submission: Submission) -> None:
        with tempfile.TemporaryDirectory(prefix="demo-film-") as folder:
            film = Path(folder) / "film.mp4"
            options = film_options(submission.options or {}, self._film_seconds)
            await self._render(hold, submission, partial(render_film, film, **options))
            await hold.advance("downloading")
            await hold.advance("uploading")
            content = await asyncio.to_thread(film.read_bytes)
            await hold.deliver(lambda: self._door.send_film(hold.assignment, content))

    async def _make_pictures(self, hold: Hold, submission: Submission) -> None:
        options = submission.options or {}
        size = film_options(options, self._film_seconds)["size"]
        count = options.get("n") or USUAL_PICTURES
        made = await self._render(hold, submission, partial(render_pictures, count, size=size))
        await hold.advance("downloading")
        await hold.advance("uploading")
        await hold.deliver(lambda: self._door.send_pictures(hold.assignment, made))

    async def _render(self, hold: Hold, submission: Submission, render: Callable[..., T]) -> T:
        """Renders in a thread, which is told to stop, and waited for, when the job is taken away."""
        pace = _Pace(hold, self._least_seconds, asyncio.get_running_loop())
        rendering = asyncio.ensure_future(
            asyncio.to_thread(
                render,
                job_id=submission.job_id,
                prompt=submission.prompt,
                image=_bytes_of(submission.image),
                on_progress=pace.step,
            )
        )
        try:
            await asyncio.wait({rendering})
        finally:
            pace.stop.set()
            await asyncio.wait({rendering})
            rendering.exception()
        return await rendering

    async def _chat(self, hold: Hold, submission: Submission) -> None:
        text = answer(submission.prompt, request=submission.request, image=submission.image)
        pieces = words_of(text)
        sent = 0
        while sent < len(pieces):
            sent = await self._send_piece(hold, pieces, sent)
            hold.note_progress(100 * sent // len(pieces))
            await asyncio.sleep(self._word_seconds)
        await hold.deliver(lambda: self._door.complete_chat(hold.assignment, text))

    async def _send_piece(self, hold: Hold, pieces: Sequence[str], seq: int) -> int:
        """Sends the next piece; returns the number of the one after it, or of the one the broker asks for."""
        try:
            await patiently(
                lambda: self._door.send_chunks(hold.assignment, seq, pieces[seq : seq + 1])
            )
        except Refused as refused:
            expected = refused.field("expected_seq")
            if refused.code != "chunk_gap" or not isinstance(expected, int):
                raise
            return expected
        return seq + 1

    async def _accept_refusal(self, held: Assignment, refused: Refused) -> None:
        log.warning("%s: refused. %s", held.job_id, refused)
        if refused.code == "result_rejected":
            await self._give_up(held, "result_rejected", str(refused))

    async def _give_up(self, held: Assignment, code: str, error: str) -> None:
        log.info("%s: %s. %s", held.job_id, code, error)
        with contextlib.suppress(Refused):
            await patiently(lambda: self._door.fail(held, code, error))

    async def _give_back(self, held: Assignment) -> None:
        """Said on the way out, so briefly. What was submitted cannot be given back: it will be recovered."""
        with contextlib.suppress(Refused, BrokerAway, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._door.release(held, "The demo worker is shutting down.")


class _Pace:
    """Called by the rendering thread for each picture: tells the progress, and waits where it is too fast."""

    def __init__(self, hold: Hold, least_seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = threading.Event()
        self._hold = hold
        self._least_seconds = least_seconds
        self._loop = loop
        self._started_at = time.monotonic()

    def step(self, percent: int) -> None:
        """Raises `Stopped` once the job has been taken away."""
        due_at = self._started_at + self._least_seconds * percent / 100
        if self.stop.wait(max(0.0, due_at - time.monotonic())):
            raise Stopped("The job was taken away.")
        self._loop.call_soon_threadsafe(self._hold.note_progress, percent)


def _bytes_of(image: str | None) -> bytes | None:
    if image is None:
        return None
    try:
        return base64.b64decode(image.rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise UnusableImage(f"The image is not base64: {error}") from error


def main() -> int:
    """Runs one worker until Ctrl-C; 0 when it was stopped or drained."""
    options = _arguments().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if {"video", "image"} & set(options.kinds):
            require_film_tools()
    except FilmToolsMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    log.info("The demo worker calls %s. Ctrl-C ends it.", options.url)
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_run(options))
    return 0


async def _run(options: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    if os.name == "posix":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    page = DemoPage(options.page_folder)
    worker = DemoWorker(
        options.url, name=options.name, kinds=options.kinds, slots=options.slots, page=page
    )
    await worker.run()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m broker.demo.worker", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the broker is")
    parser.add_argument("--name", default="demo worker", help="how the dashboard calls it")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--slots", type=int, default=2, help="how many jobs at once")
    parser.add_argument(
        "--page-folder", type=Path, help="where submissions outlive the process (default: nowhere)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
