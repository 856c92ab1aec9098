"""A queue that is used at random, with what its users know of it: what each step may answer, and what must hold.

The rules themselves are in `tests/contract/test_queue_machine.py`. Nothing here knows how the queue works: what is
expected follows from what was promised and from what the queue has said before.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from broker import chores
from broker.chunks import Chunk
from broker.errors import BrokerError, InvalidValue, LeaseLost, NotFound, ResultConflict
from broker.ids import UNNAMED_WORKER, JobId, LeaseToken, WorkerId, hash_token
from broker.jobs import Action, Job, JobKind, JobState, OnLost
from broker.notifier import Notifier
from broker.outputs import INCOMPLETE, Result, digest_of
from broker.ports import JobFilter, Record, Store
from broker.queue import JobQueue
from broker.results import Verdict
from broker.workers import Roster
from tests.support.builders import NOW, TIMERS
from tests.support.clock import ManualClock
from tests.support.media import MemoryMedia

T = TypeVar("T")
STRANGER = LeaseToken("lt_stranger")


class Hand(NamedTuple):
    """One hand-out, as its worker remembers it."""

    job_id: JobId
    token: LeaseToken
    worker: WorkerId
    number: int

    @property
    def sent_token(self) -> LeaseToken | None:
        return None if self.worker == UNNAMED_WORKER else self.token


@dataclass
class Known:
    """What a job's client and workers know of it, without looking at the queue."""

    on_lost: OnLost
    is_streaming: bool
    hands: list[Hand] = field(default_factory=list)
    #: The attempt in which the site took the prompt; None while nothing is spent.
    taken_in: int | None = None
    was_retried: bool = False
    #: How often a worker said that what it found was not valid.
    rejections: int = 0
    evidence: str | None = None
    #: What each attempt has streamed.
    streamed: dict[int, list[Chunk]] = field(default_factory=dict)
    #: The attempt of which a streaming client has been sent something.
    shown: int | None = None
    #: The record as it was when the job ended.
    end: Record | None = None


class WatchedQueue(RuleBasedStateMachine):
    """The queue, its users' knowledge of it, and after every step every promise."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock(NOW)
        self.media = MemoryMedia()
        self.known: dict[JobId, Known] = {}
        self.hands: list[Hand] = []
        self.records: dict[JobId, Record] = {}
        self.do(self.start())

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        raise NotImplementedError

    def do(self, deed: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(deed)

    async def start(self) -> None:
        """As the broker starts: what an earlier run left first, one lease of grace, then a sweep."""
        self.closing = AsyncExitStack()
        self.store: Any = await self.closing.enter_async_context(self.open_store())
        self.roster = Roster()
        parts = (self.store, Notifier(50), self.roster, self.clock, TIMERS)
        self.queue = JobQueue(*parts, lambda: 0.5)
        await chores.adopt_films(self.queue, self.store, self.media, self.clock)
        await chores.grant_grace(self.queue, self.store)
        await self.sweep()

    async def sweep(self) -> None:
        await chores.expire_due(self.queue, self.store, self.clock)
        await self.store.ripen(self.clock.now())
        assert await self.store.due(self.clock.now(), 1) == []

    def teardown(self) -> None:
        self.do(self.closing.aclose())
        self.runner.close()

    def tried(self, deed: Coroutine[Any, Any, T]) -> T | BrokerError:
        try:
            return self.do(deed)
        except BrokerError as error:
            return error

    def job(self, job_id: JobId) -> Job | None:
        """As it was after the step before."""
        record = self.records.get(job_id)
        return record.job if record else None

    def open_count(self) -> int:
        return sum(not record.job.state.is_final for record in self.records.values())

    def is_live(self, hand: Hand) -> bool:
        job = self.job(hand.job_id)
        if job is None or job.state != JobState.PROCESSING or job.lease is None:
            return False
        return job.lease.token_hash == hash_token(hand.token)

    def live(self, which: int) -> Hand:
        live = [hand for hand in self.hands if self.is_live(hand)]
        return live[which % len(live)]

    def refuses(self, told: object, hand: Hand, *also: type[BrokerError]) -> bool:
        """Whether a worker without a live lease was told so; its act must have changed nothing then."""
        if self.is_live(hand):
            return False
        gone = NotFound if self.job(hand.job_id) is None else LeaseLost
        assert isinstance(told, (gone, *also)), told
        return True

    # What a step may answer.

    def expect_nothing_for(self, worker: WorkerId, kinds: tuple[JobKind, ...]) -> None:
        seen = self.roster.find(worker)
        assert seen is not None
        open_kinds = self.roster.open_kinds(seen, kinds, self.clock.now())
        for job in (record.job for record in self.records.values()):
            is_ready = job.state == JobState.PENDING and job.ready_at is None
            assert not (is_ready and job.kind in open_kinds and self.is_free_for(job, worker))

    def is_free_for(self, job: Job, worker: WorkerId) -> bool:
        is_over = (job.reserved_until or 0.0) <= self.clock.now()
        return job.reserved_for in (None, worker) or is_over

    def expect_action(self, known: Known, action: Action, job: Job) -> None:
        """Promise 3: once the site took the prompt it is recovered; only `on_lost=retry` allows one more press."""
        if action == Action.RECOVER:
            assert known.taken_in is not None
            assert job.evidence == known.evidence
            return
        if known.taken_in is not None:
            assert known.on_lost == OnLost.RETRY
            assert not known.was_retried
            known.was_retried, known.taken_in = True, None
        known.evidence = None

    def expect_verdict(
        self, told: Any, hand: Hand, kind: JobKind, token: LeaseToken | None, content: str
    ) -> None:
        """Promise 4: the first valid result wins, a repeat gets the same answer, a different one is refused."""
        record = self.records.get(hand.job_id)
        if record is None or record.job.kind != kind or token == STRANGER:
            assert isinstance(told, NotFound | InvalidValue | LeaseLost), told
            return
        if token is None and isinstance(told, LeaseLost):
            assert not self.is_live(hand) or not _is_legacy(record.job)
            return
        first = record.result or (None if _is_partial(record.late) else record.late)
        is_same = first is not None and content in (first.text, first.sha256)
        if first is not None and not is_same:
            assert isinstance(told, ResultConflict)
            return
        verdict = Verdict.LATE if record.job.state.is_final else Verdict.PUBLISHED
        if record.result is not None:
            verdict = Verdict.REPEATED
        assert not isinstance(told, BrokerError), told
        assert told[1] == verdict

    # What holds after every step.

    @invariant()
    def every_promise_holds(self) -> None:
        page = self.do(self.store.page(JobFilter(), 1000))
        self.records = {record.job.id: record for record in page}
        assert set(self.records) == set(self.known), "accepted means durable"
        for job_id, known in self.known.items():
            record = self.do(self.store.get(job_id))
            assert record == self.records[job_id]
            if record.job.state.is_final:
                self.expect_the_end_to_stay(known, record)
            else:
                self.expect_an_open_job_to_be_in_order(known, record.job)
        self.expect_media_to_match()

    def expect_the_end_to_stay(self, known: Known, record: Record) -> None:
        assert (record.result is not None) == (record.job.state == JobState.COMPLETED)
        assert record.job.deadline_at == float("inf")
        assert record.job.error_code or record.job.state == JobState.COMPLETED
        known.end = known.end or record
        late = record.late if _is_partial(known.end.late) else known.end.late or record.late
        assert late is not None or known.end.late is None
        assert record == known.end._replace(late=late), "terminal is final"
        known.end = record

    def expect_an_open_job_to_be_in_order(self, known: Known, job: Job) -> None:
        assert known.end is None, "nothing comes back"
        # What went back too late for its queue is overdue until the next sweep; `sweep` leaves nothing overdue.
        assert job.deadline_at < float("inf")
        assert job.attempt == len(known.hands)
        assert known.taken_in is not None or job.losses < 3
        if job.state == JobState.PENDING:
            assert job.lease is None
            assert known.shown is None, "what was begun is not begun again"
        else:
            assert job.lease is not None
            assert job.lease.token_hash == hash_token(known.hands[-1].token), "one live lease"
            assert known.shown in (None, job.attempt)

    def expect_media_to_match(self) -> None:
        kept = {
            name: result.sha256
            for job_id, record in self.records.items()
            for name, result in ((job_id, record.result), (f"{job_id}.late", record.late))
            if result is not None and result.text is None
        }
        found = {name: self.media.film(data).sha256 for name, data in self.media.kept.items()}
        for name in self.media.sets:
            found[name] = digest_of(self.do(self.media.inspect_pictures(name)))
        assert found == kept


def _is_partial(result: Result | None) -> bool:
    """The beginning of an answer, which the whole may replace."""
    return result is not None and result.finish_reason == INCOMPLETE


def _is_legacy(job: Job) -> bool:
    return job.lease is not None and job.lease.is_legacy
