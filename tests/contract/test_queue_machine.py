"""The queue as clients, workers and the clock use it at random, against every engine; after each step, every promise.

The rules know nothing of how the queue works: each says what it may answer by what it was promised before.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    precondition,
    rule,
)

from broker import chores
from broker.chunks import Chunk, ChunkKind
from broker.errors import (
    AlreadyFinished,
    AlreadySubmitted,
    ChunkGap,
    InvalidValue,
    NotFound,
    ResultRejected,
)
from broker.failures import RULES, Failure
from broker.handouts import Poll
from broker.ids import UNNAMED_WORKER, JobId, LeaseToken, WorkerId
from broker.jobs import Job, JobKind, JobState, OnLost
from broker.leases import Phase
from broker.outputs import digest_of
from broker.ports import Store
from broker.store.memory import MemoryStore
from broker.store.sqlite.store import SqliteStore
from broker.workers import Hello
from tests.support.builders import TIMERS, a_new_job
from tests.support.mirrored import MirroredStore
from tests.support.queue_machine import STRANGER, Hand, Known, WatchedQueue

T = TypeVar("T")
#: Which of those that can acts next.
WHICH = st.integers(0, 31)
PHASES = st.sampled_from([None, *Phase, Phase.PREPARING, Phase.SUBMITTED, Phase.SUBMITTED])

WORKERS = [WorkerId("wrk_a"), WorkerId("wrk_b"), WorkerId("wrk_c"), UNNAMED_WORKER]
EVIDENCE = [None, '{"baseline": []}', '{"post_id": "p"}', '{"conversation_id": "c"}']
#: What says that the site turned the prompt away, if it comes right after submit.
REFUSALS = {"rate_limited", "not_logged_in", "challenge_required", "paywall", "page_stale"}
#: What happens only after the site took the prompt.
AFTER_SUBMIT = {"download_failed", "result_rejected", "submit_unknown"}
#: What uses no attempt up.
FREE = REFUSALS | {"site_down", "ui_changed", "page_stale", "person_busy", "download_failed"}
FREE |= {"option_refused", "option_not_set"}

HAS_LIVE = precondition(lambda self: any(self.is_live(hand) for hand in self.hands))


class QueueMachine(WatchedQueue):
    """What clients, workers and time do; for both engines."""

    jobs: Bundle[JobId] = Bundle("jobs")

    # What clients do.

    @initialize(kinds=st.lists(st.sampled_from(JobKind), min_size=1, max_size=4))
    def begin(self, kinds: list[JobKind]) -> None:
        """Some jobs, and a worker that holds the first: what most steps need to mean anything."""
        for kind in kinds:
            self.submit(kind, OnLost.RECOVER, kind == JobKind.CHAT, 0)
        self.every_promise_holds()
        self.claim_and_begin(WORKERS[0], tuple(JobKind), None)

    @precondition(lambda self: self.open_count() < 3)
    @rule(
        target=jobs,
        kind=st.sampled_from(JobKind),
        on_lost=st.sampled_from([*OnLost, OnLost.RECOVER]),
        is_streaming=st.booleans(),
        priority=st.integers(0, 2),
    )
    def submit(self, kind: JobKind, on_lost: OnLost, is_streaming: bool, priority: int) -> JobId:
        is_streaming = is_streaming and kind == JobKind.CHAT
        new = a_new_job(kind, on_lost=on_lost, is_streaming=is_streaming, priority=priority)
        job = self.do(self.queue.submit(new))
        self.known[job.id] = Known(on_lost, is_streaming)
        return job.id

    @rule(job_id=jobs)
    def cancel(self, job_id: JobId) -> None:
        before, told = self.job(job_id), self.tried(self.queue.cancel(job_id, None))
        if before is None:
            assert isinstance(told, NotFound)
        elif before.state in (JobState.COMPLETED, JobState.FAILED):
            assert isinstance(told, AlreadyFinished)
        else:
            assert isinstance(told, Job)
            assert told.state == JobState.CANCELLED

    @precondition(lambda self: self.open_count() < 3)
    @rule(
        kind=st.sampled_from(JobKind),
        worker=st.sampled_from(WORKERS),
        on_lost=st.sampled_from([*OnLost, OnLost.RECOVER]),
        is_streaming=st.booleans(),
        phase=PHASES,
    )
    def take_up(
        self,
        kind: JobKind,
        worker: WorkerId,
        on_lost: OnLost,
        is_streaming: bool,
        phase: Phase | None,
    ) -> None:
        """A new job that is handed out at once, unless another goes first, and begun."""
        self.submit(kind, on_lost, is_streaming, 9)
        self.every_promise_holds()
        self.claim_and_begin(worker, (kind,), phase)

    def claim_and_begin(
        self, worker: WorkerId, kinds: tuple[JobKind, ...], phase: Phase | None
    ) -> Hand | None:
        hand = self.claimed(worker, kinds)
        self.every_promise_holds()
        if hand is not None and phase is not None:
            self.told_of(hand, phase, None, None)
        return hand

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: JobId) -> None:
        before = self.job(job_id)
        removed = self.do(chores.delete_jobs(self.store, self.media, [job_id]))
        assert removed == (before is not None and before.state != JobState.PROCESSING)
        if removed:
            del self.known[job_id]

    # What workers do.

    @rule(
        worker=st.sampled_from(WORKERS),
        kinds=st.sampled_from([tuple(JobKind), (JobKind.CHAT, JobKind.VIDEO), (JobKind.VIDEO,)]),
        phase=PHASES,
    )
    def claim(self, worker: WorkerId, kinds: tuple[JobKind, ...], phase: Phase | None) -> None:
        self.claim_and_begin(worker, kinds, phase)

    def claimed(self, worker: WorkerId, kinds: tuple[JobKind, ...]) -> Hand | None:
        handed = self.do(self.queue.claim(Poll(worker, kinds, 0.0, lambda: True)))
        if handed is None:
            self.expect_nothing_for(worker, kinds)
            return None
        known, before = self.known[handed.job.id], self.job(handed.job.id)
        assert before is not None
        assert (before.state, before.ready_at) == (JobState.PENDING, None)
        assert self.is_free_for(before, worker)
        assert handed.job.attempt == len(known.hands) + 1
        self.expect_action(known, handed.action, handed.job)
        hand = Hand(handed.job.id, handed.token, worker, handed.job.attempt)
        known.hands.append(hand)
        self.hands.append(hand)
        return hand

    @rule(which=WHICH, phase=PHASES, is_lost=st.booleans())
    def claim_as_is_hoped(self, which: int, phase: Phase | None, is_lost: bool) -> None:
        """A job that is kept for a worker, asked for by that worker; else any, by anybody. It may be lost at once."""
        kept = [
            record.job.reserved_for
            for record in self.records.values()
            if record.job.reserved_for is not None
        ]
        pool = kept or WORKERS
        hand = self.claim_and_begin(pool[which % len(pool)], tuple(JobKind), phase)
        if hand is not None and is_lost:
            self.every_promise_holds()
            self.lose(hand)

    def lose(self, hand: Hand) -> None:
        """Its worker is not heard of until the deadline, and then the pause goes by."""
        for _ in range(2):
            job = self.job(hand.job_id)
            moment = job and (job.deadline_at if self.is_live(hand) else job.ready_at)
            if moment is not None and moment < float("inf"):
                self.tick(moment - self.clock.now())
                self.every_promise_holds()

    @HAS_LIVE
    @rule(
        which=WHICH,
        phase=PHASES,
        progress=st.none() | st.integers(0, 100),
        evidence=st.sampled_from(EVIDENCE),
    )
    def beat(
        self, which: int, phase: Phase | None, progress: int | None, evidence: str | None
    ) -> None:
        self.told_of(self.live(which), phase, progress, evidence)

    def told_of(
        self, hand: Hand, phase: Phase | None, progress: int | None, evidence: str | None
    ) -> None:
        before = self.job(hand.job_id)
        told = self.tried(self.queue.beat(hand.job_id, hand.token, phase, progress, evidence))
        if before is not None and before.state.is_final and isinstance(told, Job):
            assert told == before, "a worker that is told to stop changes nothing"
            return
        if self.refuses(told, hand):
            return
        assert isinstance(told, Job)
        assert told.lease is not None
        assert before is not None
        assert before.lease is not None
        assert told.lease.expires_at == self.clock.now() + TIMERS[told.kind].lease_seconds
        assert told.lease.progress == max(before.lease.progress, progress or 0)
        known = self.known[hand.job_id]
        known.evidence = evidence or known.evidence
        if told.lease.phase.is_submitted and known.taken_in is None:
            known.taken_in = hand.number

    @HAS_LIVE
    @rule(which=WHICH, start=st.integers(-2, 1), count=st.integers(1, 3))
    def chunks(self, which: int, start: int, count: int) -> None:
        self.streams(self.live(which), start, count)

    def streams(self, hand: Hand, start: int, count: int) -> None:
        job = self.job(hand.job_id)
        known = self.known.get(hand.job_id, Known(OnLost.FAIL, is_streaming=False))
        kept = known.streamed.get(hand.number, [])
        first = max(0, len(kept) + start)
        sent = [Chunk(seq, ChunkKind.TEXT, f"{seq} ") for seq in range(first, first + count)]
        told = self.tried(self.queue.add_chunks(hand.job_id, hand.token, sent))
        if job is not None and job.kind != JobKind.CHAT:
            assert isinstance(told, InvalidValue)
            return
        if job is not None and job.state.is_final and isinstance(told, Job):
            assert told == job, "a worker that is told to stop changes nothing"
            return
        if self.refuses(told, hand):
            return
        if first > len(kept):
            assert isinstance(told, ChunkGap)
            assert told.expected_seq == len(kept)
            return
        assert isinstance(told, Job)
        known.streamed[hand.number] = whole = kept + sent[len(kept) - first :]
        if len(whole) > len(kept):
            known.taken_in = known.taken_in or hand.number
            known.shown = hand.number if known.is_streaming else None
        assert told.next_seq == len(whole)
        assert self.do(self.store.chunks_after(hand.job_id, hand.number, -1)) == whole

    @HAS_LIVE
    @rule(
        which=WHICH,
        phase=PHASES,
        evidence=st.sampled_from(EVIDENCE),
        name=st.sampled_from([*sorted(RULES), *sorted(REFUSALS)]),
        wait=st.none() | st.sampled_from([60.0, 4000.0, 1e6]),
    )
    def fail(
        self,
        which: int,
        phase: Phase | None,
        evidence: str | None,
        name: str,
        wait: float | None,
    ) -> None:
        """A worker tells how far it came and what went wrong; after the pause somebody asks for work."""
        hand = self.live(which)
        if phase is not None:
            self.told_of(hand, phase, None, evidence)
            self.every_promise_holds()
        self.fails(hand, name, wait)
        self.every_promise_holds()
        self.lose(hand)
        self.claim_and_begin(WORKERS[which % len(WORKERS)], tuple(JobKind), None)

    def fails(self, hand: Hand, name: str, wait: float | None) -> None:
        before = self.job(hand.job_id)
        retry_at = None if wait is None else self.clock.now() + wait
        failure = Failure(name, "told by the page", retry_at)
        told = self.tried(self.queue.fail(hand.job_id, hand.token, failure))
        if before is not None and before.state == JobState.CANCELLED and isinstance(told, Job):
            assert told == before
            return
        if self.refuses(told, hand, AlreadyFinished):
            return
        assert isinstance(told, Job)
        assert before is not None
        assert before.lease is not None
        assert told.losses == before.losses + (name not in FREE)
        known = self.known[hand.job_id]
        if name == "result_rejected":
            if known.rejections and known.on_lost != OnLost.RETRY:
                assert (told.state, told.error_code) == (JobState.FAILED, name)
            known.rejections += 1
        if name == "rate_limited" and told.state == JobState.PENDING and known.taken_in is None:
            assert told.ready_at is not None
            assert told.ready_at > max(self.clock.now(), retry_at or 0.0)
        has_trace = known.evidence not in (None, EVIDENCE[1])
        is_at_submit = before.lease.phase == Phase.SUBMITTED and known.taken_in == hand.number
        if name in REFUSALS and is_at_submit and not has_trace:
            known.taken_in = None
        elif name in AFTER_SUBMIT:
            known.taken_in = known.taken_in or hand.number

    @HAS_LIVE
    @rule(which=WHICH)
    def release(self, which: int) -> None:
        self.releases(self.live(which))

    def releases(self, hand: Hand) -> None:
        before = self.job(hand.job_id)
        told = self.tried(self.queue.release(hand.job_id, hand.token, "closing"))
        if self.refuses(told, hand):
            return
        assert before is not None
        assert before.lease is not None
        if before.lease.phase.is_submitted:
            assert isinstance(told, AlreadySubmitted)
        else:
            assert isinstance(told, Job)
            assert (told.state, told.losses) == (JobState.PENDING, before.losses)

    @HAS_LIVE
    @rule(
        which=WHICH,
        is_stranger=st.sampled_from([False, False, False, True]),
        content=st.sampled_from(["a", "a", "b", "shared", "junk", "wrong kind"]),
    )
    def complete(self, which: int, is_stranger: bool, content: str) -> None:
        self.completes(self.live(which), is_stranger, content)

    def completes(self, hand: Hand, is_stranger: bool, content: str) -> None:
        job = self.job(hand.job_id)
        token = STRANGER if is_stranger else hand.sent_token
        kinds = [job.kind if job else JobKind.VIDEO, *JobKind]
        kind = next(k for k in kinds if (k == kinds[0]) != (content == "wrong kind"))
        if kind == JobKind.VIDEO:
            self.deliver(hand, token, content)
        elif kind == JobKind.IMAGE:
            self.deliver_pictures(hand, token, content)
        else:
            told = self.tried(self.queue.complete_text(hand.job_id, token, content))
            self.expect_verdict(told, hand, JobKind.CHAT, token, content)

    def deliver(self, hand: Hand, token: LeaseToken | None, content: str) -> None:
        own = {"shared": "film", "junk": "<html>"}.get(content, f"film {content} {hand.job_id}")
        upload = self.media.film(own.encode())
        told = self.tried(self.queue.complete_film(hand.job_id, token, upload))
        if content == "junk":
            assert isinstance(told, ResultRejected)
        elif not (content == "shared" and isinstance(told, ResultRejected)):
            self.expect_verdict(told, hand, JobKind.VIDEO, token, upload.sha256)

    def deliver_pictures(self, hand: Hand, token: LeaseToken | None, content: str) -> None:
        own = {"shared": "picture", "junk": "<html>"}.get(
            content, f"picture {content} {hand.job_id}"
        )
        upload = self.media.pictures(f"picture of {hand.job_id}".encode(), own.encode())
        told = self.tried(self.queue.complete_pictures(hand.job_id, token, upload))
        if content == "junk":
            assert isinstance(told, ResultRejected)
        elif not (content == "shared" and isinstance(told, ResultRejected)):
            digest = digest_of(self.do(upload.inspect()))
            self.expect_verdict(told, hand, JobKind.IMAGE, token, digest)

    @HAS_LIVE
    @rule(which=WHICH, is_kept=st.booleans())
    def come_back_without(self, which: int, is_kept: bool) -> None:
        """A worker says which leases it holds: all of its own but one, or all. What it does not name is lost."""
        hand = self.live(which)
        held = [
            own
            for own in self.hands
            if own.worker == hand.worker and self.is_live(own) and (is_kept or own != hand)
        ]
        before = self.records
        given_up = self.do(self.queue.give_up_others(hand.worker, [own.token for own in held]))
        self.every_promise_holds()
        assert self.is_live(hand) == is_kept
        assert all(self.is_live(own) for own in held)
        assert given_up == ([] if is_kept else [hand.job_id])
        for job_id, record in before.items():
            assert record == self.records[job_id] or job_id == hand.job_id

    @precondition(
        lambda self: any(worker.aside for worker in self.roster.present(self.clock.now()))
    )
    @rule(worker=st.sampled_from(WORKERS))
    def hello(self, worker: WorkerId) -> None:
        self.roster.greet(worker, Hello("desk", "1", tuple(JobKind)), self.clock.now())

    @precondition(lambda self: self.hands)
    @rule(which=WHICH, act=st.sampled_from(["beat", "chunks", "fail", "release", "complete"]))
    def come_back(self, which: int, act: str) -> None:
        """Any worker that was ever handed a job acts on it, also long after."""
        hand = self.hands[which % len(self.hands)]
        if act == "beat":
            self.told_of(hand, Phase.GENERATING, 50, None)
        elif act == "chunks":
            self.streams(hand, 0, 1)
        elif act == "fail":
            self.fails(hand, "unknown", None)
        elif act == "release":
            self.releases(hand)
        else:
            self.completes(hand, is_stranger=False, content="ab"[which % 2])

    # What time does.

    @rule(seconds=st.sampled_from([1, 5, 9, 11, 20, 31, 61, 151, 301]))
    def tick(self, seconds: float) -> None:
        self.clock.advance(max(0.0, seconds))
        self.do(self.sweep())

    @HAS_LIVE
    @rule(which=WHICH)
    def fall_silent(self, which: int) -> None:
        self.lose(self.live(which))

    @rule()
    def until_something_is_due(self) -> None:
        """The next deadline passes, or the next pause ends: whatever waits longest for its worker."""
        moments = [
            moment
            for record in self.records.values()
            for moment in (record.job.deadline_at, record.job.ready_at)
            if moment is not None and not record.job.state.is_final
        ]
        self.tick(min(moments, default=self.clock.now() + 1.0) - self.clock.now())

    @rule(away_seconds=st.sampled_from([0, 5, 100, 4000]))
    def restart(self, away_seconds: float) -> None:
        self.do(self.closing.aclose())
        self.clock.advance(away_seconds)
        self.do(self.start())
        for job_id, record in self.records.items():
            now_is = self.do(self.store.get(job_id))
            assert now_is is not None
            if record.job.state == JobState.PROCESSING:
                assert now_is.job.state == JobState.PROCESSING, "silence of ours proves nothing"


class InMemory(QueueMachine):
    """The reference keeps its rows through a restart, as a disk would."""

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        if not hasattr(self, "rows"):
            self.rows = MemoryStore()
        return nullcontext(self.rows)


class OnSqlite(QueueMachine):
    """A file that is closed and opened again, each answer held against the reference."""

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        if not hasattr(self, "folder"):
            self.folder = tempfile.TemporaryDirectory()
            self.reference = MemoryStore()
        return self.opened()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        path = Path(self.folder.name) / "jobs.db"
        async with SqliteStore(path, on_fatal=lambda error: None) as engine:
            yield MirroredStore(engine, self.reference)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def profile(examples: int, steps: int, *, is_random: bool = False) -> settings:
    """Every change meets the same examples, so that none fails for another's sake; the nights look further."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=not is_random,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


class TestInMemory(InMemory.TestCase):
    settings = profile(200, 40)


class TestOnSqlite(OnSqlite.TestCase):
    settings = profile(200, 40)


@pytest.mark.nightly
class TestInMemoryAllNight(InMemory.TestCase):
    settings = profile(5000, 60, is_random=True)


@pytest.mark.nightly
class TestOnSqliteAllNight(OnSqlite.TestCase):
    settings = profile(5000, 60, is_random=True)
