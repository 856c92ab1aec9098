"""The loop that empties the outbox: woken when a job ends, and every few seconds by itself.

A try that has begun when the broker dies is made again, under the same id: a receiver may hear an event twice, and
never not at all.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from broker.addresses import origin_of
from broker.jobs import JobKind
from broker.log import ProgramLog
from broker.notifier import News
from broker.ports import Clock, Record, Store
from broker.webhooks import (
    Answer,
    Delivery,
    DeliveryState,
    Outbox,
    event_of,
    is_response,
    signed_headers,
)

#: One try: URL, headers, body.
Poster = Callable[[str, Mapping[str, str], bytes], Awaitable[Answer]]

#: So many tries at once, so many of them to one origin: one that hangs holds up its own events alone.
MAX_SENDING = 32
MAX_SENDING_TO_ONE = 4
RECHECK_SECONDS = 2.0
#: Between two looks at the outbox, however many jobs end.
PAUSE_SECONDS = 0.2
#: How long a delivery rests whose outcome could not be written down.
TROUBLE_SECONDS = 30.0
#: How long tries under way may go on when the broker stops.
STOP_SECONDS = 3.0


class Sender:
    """Start it, stop it; `hear` is what wakes it."""

    def __init__(
        self,
        outbox: Outbox,
        store: Store,
        clock: Clock,
        log: ProgramLog,
        post: Poster,
        key: bytes,
        link: Callable[[str], str],
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._clock = clock
        self._log = log
        self._post = post
        self._key = key
        self._link = link
        self._roll = roll
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        #: Delivery id → its try, and the origin it goes to.
        self._sending: dict[str, tuple[asyncio.Task[None], str]] = {}

    def hear(self, news: News) -> None:
        if news.job.state.is_final:
            self._woken.set()

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="webhooks")

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        tasks = [task for task, _ in self._sending.values()]
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def begin_due(self) -> int:
        """Begins every try that is due and has a place; returns how many."""
        count = 0
        # Those of one origin may fill what is read at a time: look again, past the origins that are full.
        while began := await self._begin_some():
            count += began
        return count

    async def finished(self) -> None:
        """Waits for the tries under way."""
        while self._sending:
            await asyncio.wait([task for task, _ in self._sending.values()])

    async def _run(self) -> None:
        while True:
            try:
                await self.begin_due()
            except Exception as error:
                # Whatever it was, the next look comes.
                self._log.error("webhooks_failed", error=repr(error))
            await asyncio.sleep(PAUSE_SECONDS)
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(RECHECK_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def _begin_some(self) -> int:
        if len(self._sending) >= MAX_SENDING:
            return 0
        loads = self._loads()
        full = [origin for origin, load in loads.items() if load >= MAX_SENDING_TO_ONE]
        found = await self._outbox.due(self._clock.now(), MAX_SENDING, full)
        return sum(self._begin(delivery) for delivery in found)

    def _loads(self) -> Counter[str]:
        return Counter(origin for _, origin in self._sending.values())

    def _begin(self, delivery: Delivery) -> bool:
        origin = origin_of(delivery.url)
        if delivery.id in self._sending or len(self._sending) >= MAX_SENDING:
            return False
        if self._loads()[origin] >= MAX_SENDING_TO_ONE:
            return False
        task = asyncio.create_task(self._deliver(delivery), name=f"webhook {delivery.id}")
        self._sending[delivery.id] = (task, origin)
        task.add_done_callback(lambda _: self._ended(delivery.id))
        return True

    def _ended(self, delivery_id: str) -> None:
        del self._sending[delivery_id]
        # Its place is free.
        self._woken.set()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            record = await self._store.get(delivery.job_id)
            # What was found due may have been delivered while it was read.
            if record is not None and await self._outbox.find(delivery.id) == delivery:
                await self._try(delivery, record)
        except Exception as error:
            self._log.error("webhook_failed", id=delivery.id, error=repr(error))
            # Not at once again: the receiver may have it already.
            await asyncio.sleep(TROUBLE_SECONDS)

    async def _try(self, delivery: Delivery, record: Record) -> None:
        body = json.dumps(await self._event(delivery, record), separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            **signed_headers(self._key, delivery.id, self._clock.wall(), body),
        }
        answer = await self._post(delivery.url, headers, body)
        after = delivery.tried(answer, self._clock.now(), self._roll())
        if await self._outbox.note(delivery, after) and after.state == DeliveryState.DEAD:
            job_id, trouble = delivery.job_id, after.last_error
            self._log.warning("webhook_dead", id=delivery.id, job_id=job_id, error=trouble)

    async def _event(self, delivery: Delivery, record: Record) -> dict[str, Any]:
        job = record.job
        payload = await self._store.payload(job.id) if job.kind == JobKind.CHAT else None
        of_response = payload is not None and is_response(payload)
        return event_of(delivery, job, record.result, self._link, is_response=of_response)
