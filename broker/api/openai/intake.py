"""The way in for every request that creates a job: read once, known again when it is sent again, kept durably.

What is asked for and what is answered is each door's affair; that a repeat makes no second job is decided in the
store, by the rules of `repeats.py`.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from broker.api.bodies import read_json
from broker.api.deps import Deps
from broker.api.forms import ClientForm
from broker.api.inputs import replaced, save_images, submit_with_images
from broker.api.lean import Call
from broker.api.openai.models import meant
from broker.errors import InvalidValue, NotFound
from broker.ids import new_job_id
from broker.jobs import Job, JobKind, OnLost, Payload
from broker.keys import check_model
from broker.notifier import News, Watch
from broker.repeats import RequestKey
from broker.submissions import NewJob
from broker.webhooks import receiver_of

MAX_KEY_CHARS = 255
#: Hashing more than this would hold up the event loop for longer than a hop to a thread costs.
_INLINE_BYTES = 1024 * 1024


class Sent(NamedTuple):
    """A request that creates something, read once."""

    #: The JSON object, or a form's fields, unfolded.
    body: dict[str, Any]
    #: The body as JSON text; as it came, where it was JSON.
    text: str
    #: A form's files by the names of their fields.
    files: Mapping[str, Sequence[bytes]]
    #: None for a client that would not say so if it sent this again.
    key: RequestKey | None


class Order(NamedTuple):
    """What becomes a job."""

    kind: JobKind
    model: str
    prompt: str
    #: As the client sent them, or the bytes of a form's files; checked and kept here.
    images: Sequence[str | bytes] = ()
    #: Chat: what the worker gets as `request`. Each of `images` that stands in it is kept as a file instead.
    request: dict[str, Any] | None = None
    #: For the worker, in the words of the worker protocol.
    options: Mapping[str, Any] | None = None
    priority: int = 0
    on_lost: OnLost = OnLost.RECOVER
    is_streaming: bool = False
    #: Nobody waits for it, so it may wait for a worker as long as a film.
    is_background: bool = False
    webhook_url: str | None = None


class Ticket(NamedTuple):
    """A job and its news from now on. A job that an earlier sending made is told from its beginning."""

    job: Job
    watch: Watch


class Intake:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._images = deps.images
        self._notifier = deps.notifier
        self._clock = deps.clock
        self._log = deps.request_log
        self._settings = deps.settings

    async def read(self, call: Call) -> Sent:
        """The body, JSON or a form. Raises a `BadRequest` that says what is wrong with it."""
        if (call.header(b"content-type") or "").lower().startswith("multipart/"):
            body, files = await _read_form(call)
            text = json.dumps(body)
            known_by = [text.encode(), *(part for name in files for part in files[name])]
        else:
            sent = await call.body()
            body, files, text = read_json(sent), {}, sent.decode()
            known_by = [sent]
        return Sent(body, text, files, await _key(call, known_by))

    async def submit(self, call: Call, sent: Sent, order: Order) -> Job:
        """The job, on disk: a new one, or that of an earlier sending of the same request.

        Raises what `JobQueue.submit` and the reading of images raise, and keeps nothing.
        """
        return await self._submit(call, sent, await self._new_job(call, sent, order))

    @asynccontextmanager
    async def watched(self, call: Call, sent: Sent, order: Order) -> AsyncIterator[Ticket]:
        """The same, for a door whose client waits."""
        new = await self._new_job(call, sent, order)
        assert new.job_id is not None
        with self._notifier.watch(new.job_id) as watch:
            job = await self._submit(call, sent, new)
            if job.id == new.job_id:
                yield Ticket(job, watch)
                return
        with self._notifier.watch(job.id) as watch:
            yield Ticket(await self._caught_up(job, watch), watch)

    async def _new_job(self, call: Call, sent: Sent, order: Order) -> NewJob:
        settings = self._settings
        check_model(call.caller.limits, order.model, meant)
        receiver = receiver_of(
            order.webhook_url, settings.webhook_url, may_be_private=settings.webhook_allow_private
        )
        images = await self._images.read_all(order.images) if order.images else ()
        job_id = new_job_id()
        names = await save_images(self._media, job_id, images)
        options = json.dumps(order.options) if order.options else None
        return NewJob(
            call.caller.owner,
            order.kind,
            order.model,
            Payload(order.prompt, _request_text(sent, order, names), options, names),
            job_id,
            priority=order.priority,
            on_lost=order.on_lost,
            is_streaming=order.is_streaming,
            key=sent.key,
            webhook_url=receiver,
            limits=call.caller.limits,
            queue_seconds=self._settings.video_queue_seconds if order.is_background else None,
        )

    async def _submit(self, call: Call, sent: Sent, new: NewJob) -> Job:
        job = await submit_with_images(self._queue, self._media, new)
        self._log.request(self._clock.wall(), "POST", call.route.path, job.id, sent.body)
        return job

    async def _caught_up(self, job: Job, watch: Watch) -> Job:
        """Tells a late watch what it has missed. Raises `NotFound` for a job that was deleted this moment."""
        record = await self._store.get(job.id)
        if record is None:
            raise NotFound()
        chunks = await self._store.chunks_after(job.id, record.job.attempt, -1)
        watch.begin_with(News(record.job, tuple(chunks), record.result))
        return record.job


def _request_text(sent: Sent, order: Order, names: Sequence[str]) -> str | None:
    if order.request is None:
        return None
    if names:
        named = zip(order.images, names, strict=True)
        by = {image: name for image, name in named if isinstance(image, str)}
        return json.dumps(replaced(order.request, by))
    # Word for word, where it goes on as it came.
    return sent.text if order.request is sent.body else json.dumps(order.request)


async def _read_form(call: Call) -> tuple[dict[str, Any], dict[str, list[bytes]]]:
    form, size = ClientForm(call.header(b"content-type") or ""), 0
    async for part in call.stream():
        size += len(part)
        call.check_size(size)
        form.take(part)
    return form.finished()


async def _key(call: Call, known_by: Sequence[bytes]) -> RequestKey | None:
    """By what this request is known: the client's own key, else what it sent to which path."""
    chosen, repeats = call.header(b"idempotency-key"), call.header(b"x-stainless-retry-count")
    # It repeats itself whatever it is told, two and four seconds after, and says so in no header.
    is_ai_sdk = "ai-sdk" in (call.header(b"user-agent") or "")
    if chosen is None and repeats is None and not is_ai_sdk:
        return None
    path = call.scope["path"].encode()
    if sum(len(part) for part in known_by) > _INLINE_BYTES:
        digest = await asyncio.to_thread(_digest, path, known_by)
    else:
        digest = _digest(path, known_by)
    if chosen is None:
        says_so = repeats is not None and repeats.isdecimal() and int(repeats) > 0
        return RequestKey(
            f"body:{digest}",
            digest,
            joins=says_so or is_ai_sdk,
            is_chosen=False,
            is_guessed=is_ai_sdk,
        )
    if not 0 < len(chosen) <= MAX_KEY_CHARS:
        message = f"An Idempotency-Key has 1 to {MAX_KEY_CHARS} characters."
        raise InvalidValue(message, param="Idempotency-Key")
    return RequestKey(f"key:{chosen}", digest, joins=True, is_chosen=True)


def _digest(path: bytes, parts: Sequence[bytes]) -> str:
    hashed = hashlib.blake2b(path, digest_size=16)
    for part in parts:
        hashed.update(b"\0%d\0" % len(part))
        hashed.update(part)
    return hashed.hexdigest()
