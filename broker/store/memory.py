"""`MemoryStore`: the `Store` port in a few dicts. The reference that other engines are held against in tests.

Nothing is durable here, and nothing is fast: each verb does what the port's words say, in the plainest way.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from broker.chunks import Chunk
from broker.errors import NotFound
from broker.ids import JobId, Owner, TokenHash, WorkerId, new_webhook_id
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Payload
from broker.keys import DAY_SECONDS, NO_LIMITS, Limits, Usage, check_limits
from broker.outputs import Result
from broker.ports import Decide, Grant, JobFilter, Record
from broker.repeats import KnownRequest, RequestKey, finds

T = TypeVar("T")


class MemoryStore:
    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}
        self._payloads: dict[JobId, Payload] = {}
        self._attempts: dict[JobId, list[Attempt]] = {}
        self._chunks: dict[tuple[JobId, int], list[Chunk]] = {}
        self._results: dict[JobId, Result] = {}
        self._late: dict[JobId, Result] = {}
        #: Owner and name → digest, moment and job.
        self._keys: dict[tuple[Owner, str], tuple[str, float, JobId]] = {}
        #: Owner and day → jobs that were counted.
        self._used: Counter[tuple[Owner, int]] = Counter()
        #: Job → the delivery's id and its address.
        self.webhooks: dict[JobId, tuple[str, str]] = {}

    def add(
        self,
        job: Job,
        payload: Payload,
        key: RequestKey | None = None,
        webhook_url: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> "asyncio.Future[Job]":
        return _done(lambda: self._add(job, payload, key, webhook_url, limits))

    def claim(
        self, grants: Mapping[JobKind, Grant], now: float
    ) -> "asyncio.Future[tuple[Job, Payload] | None]":
        return _done(lambda: self._claim(grants, now))

    def change(self, job_id: JobId, decide: Decide) -> "asyncio.Future[Job]":
        return _done(lambda: self._change(job_id, decide))

    def ripen(self, now: float) -> "asyncio.Future[Sequence[JobKind]]":
        return _done(lambda: self._ripen(now))

    def forget_film(self, job_id: JobId, now: float) -> "asyncio.Future[None]":
        return _done(lambda: self._forget_film(job_id, now))

    def delete(self, job_ids: Sequence[JobId]) -> "asyncio.Future[Sequence[tuple[Job, Payload]]]":
        return _done(lambda: [gone for job_id in job_ids for gone in self._delete(job_id)])

    def prune_chunks(self, finished_before: float, limit: int) -> "asyncio.Future[int]":
        return _done(lambda: self._prune_chunks(finished_before, limit))

    def prune_request_keys(self, created_before: float, limit: int) -> "asyncio.Future[int]":
        return _done(lambda: self._prune_request_keys(created_before, limit))

    async def get(self, job_id: JobId) -> Record | None:
        job = self._jobs.get(job_id)
        return None if job is None else self._record(job)

    async def job_of_request(self, owner: Owner, name: str) -> JobId | None:
        _, _, job_id = self._keys.get((owner, name), ("", 0.0, JobId("")))
        return job_id if job_id in self._jobs else None

    async def payload(self, job_id: JobId) -> Payload | None:
        return self._payloads.get(job_id)

    async def chunks_after(self, job_id: JobId, attempt: int, seq: int) -> Sequence[Chunk]:
        return [c for c in self._chunks.get((job_id, attempt), ()) if c.seq > seq]

    async def attempts(self, job_id: JobId) -> Sequence[Attempt]:
        return list(self._attempts.get(job_id, ()))

    async def page(
        self,
        wanted: JobFilter,
        limit: int,
        after: JobId | None = None,
        *,
        oldest_first: bool = False,
    ) -> Sequence[Record]:
        behind = self._jobs.get(after) if after else None
        if after and (behind is None or wanted.owner not in (None, behind.owner)):
            raise NotFound(f"There is no job {after} to continue behind.")
        ordered = list(self._jobs) if oldest_first else list(self._jobs)[::-1]
        rest = ordered[ordered.index(after) + 1 :] if after else ordered
        found = [self._jobs[job_id] for job_id in rest if _passes(self._jobs[job_id], wanted)]
        return [self._record(job) for job in found[:limit]]

    async def count(self, owner: Owner | None = None) -> Mapping[tuple[JobKind, JobState], int]:
        jobs = [job for job in self._jobs.values() if owner in (None, job.owner)]
        return Counter((job.kind, job.state) for job in jobs)

    async def due(self, now: float, limit: int) -> Sequence[JobId]:
        due = [job for job in self._jobs.values() if job.deadline_at <= now]
        return [job.id for job in sorted(due, key=lambda job: job.deadline_at)[:limit]]

    async def under_way(self) -> Sequence[Job]:
        return [
            job
            for job in self._jobs.values()
            if job.state == JobState.PROCESSING
            or (job.state == JobState.PENDING and job.submitted_at is not None)
        ]

    async def has_result(self, sha256: str, since: float, but: JobId) -> bool:
        return any(
            result.text is None and result.finished_at >= since and _is_or_holds(result, sha256)
            for results in (self._results, self._late)
            for job_id, result in results.items()
            if job_id != but
        )

    async def films(self, finished_before: float | None, limit: int) -> Sequence[Record]:
        kept = {
            job_id: result.finished_at
            for results in (self._late, self._results)
            for job_id, result in results.items()
            if result.text is None and result.removed_at is None
        }
        oldest = sorted(kept, key=lambda job_id: kept[job_id])
        chosen = [j for j in oldest if finished_before is None or kept[j] < finished_before]
        return [self._record(self._jobs[job_id]) for job_id in chosen[:limit]]

    async def old_jobs(self, finished_before: float, limit: int) -> Sequence[JobId]:
        ended = [(job.finished_at, job.id) for job in self._jobs.values() if job.finished_at]
        return [job_id for at, job_id in sorted(ended) if at < finished_before][:limit]

    async def backup(self, path: str) -> None:
        """Nothing here outlives the process."""

    def _add(
        self,
        job: Job,
        payload: Payload,
        key: RequestKey | None,
        webhook_url: str | None,
        limits: Limits,
    ) -> Job:
        if key is not None and (earlier := self._found(key, job)):
            return earlier
        if limits.counts_jobs:
            self._keep_to(limits, job)
        self._jobs[job.id] = job
        self._payloads[job.id] = payload
        if key is not None:
            self._keys[job.owner, key.name] = (key.digest, job.created_at, job.id)
        if webhook_url is not None:
            self.webhooks[job.id] = (new_webhook_id(), webhook_url)
        return job

    def _keep_to(self, limits: Limits, job: Job) -> None:
        today = int(job.created_at // DAY_SECONDS)
        theirs = [other for other in self._jobs.values() if other.owner == job.owner]
        open_jobs = sum(not other.state.is_final for other in theirs)
        check_limits(limits, Usage(open_jobs, self._used[job.owner, today]), job.created_at)
        self._used[job.owner, today] += 1

    def _found(self, key: RequestKey, job: Job) -> Job | None:
        digest, created_at, job_id = self._keys.get((job.owner, key.name), ("", 0.0, JobId("")))
        earlier = self._jobs.get(job_id)
        if earlier is None:
            return None
        known = KnownRequest(digest, created_at, earlier)
        return earlier if finds(key, known, job.created_at) else None

    def _prune_request_keys(self, created_before: float, limit: int) -> int:
        old = [name for name, (_, at, _) in self._keys.items() if at < created_before][:limit]
        for name in old:
            del self._keys[name]
        return len(old)

    def _claim(self, grants: Mapping[JobKind, Grant], now: float) -> tuple[Job, Payload] | None:
        for kind, grant in grants.items():
            ready = [job for job in self._jobs.values() if _is_ready(job, kind, grant, now)]
            if ready:
                job = _claimed(min(ready, key=lambda job: job.turn), grant)
                self._jobs[job.id] = job
                return job, self._payloads[job.id]
        return None

    def _change(self, job_id: JobId, decide: Decide) -> Job:
        before = self._jobs.get(job_id)
        if before is None:
            raise NotFound()
        change = decide(_View(before, self))
        if change is not None:
            self._apply(change)
        return self._jobs[job_id]

    def _apply(self, change: Change) -> None:
        job = change.job
        self._jobs[job.id] = job
        if change.ended is not None:
            self._attempts.setdefault(job.id, []).append(change.ended)
        self._chunks.setdefault((job.id, job.attempt), []).extend(change.chunks)
        if change.result is not None:
            self._results.setdefault(job.id, change.result)
        if change.late is not None:
            self._late[job.id] = change.late

    def _ripen(self, now: float) -> Sequence[JobKind]:
        for job in list(self._jobs.values()):
            if job.state == JobState.PENDING and job.ready_at is not None and job.ready_at <= now:
                self._jobs[job.id] = job._replace(ready_at=None)
        ready = {
            j.kind for j in self._jobs.values() if j.state == JobState.PENDING and not j.ready_at
        }
        return [kind for kind in JobKind if kind in ready]

    def _forget_film(self, job_id: JobId, now: float) -> None:
        for results in (self._results, self._late):
            result = results.get(job_id)
            if result is not None and result.text is None and result.removed_at is None:
                results[job_id] = result._replace(removed_at=now)

    def _delete(self, job_id: JobId) -> list[tuple[Job, Payload]]:
        job = self._jobs.get(job_id)
        if job is None or job.state == JobState.PROCESSING:
            return []
        for kept in (self._jobs, self._attempts, self._results, self._late):
            kept.pop(job_id, None)
        self._chunks = {key: value for key, value in self._chunks.items() if key[0] != job_id}
        return [(job, self._payloads.pop(job_id))]

    def _prune_chunks(self, finished_before: float, limit: int) -> int:
        ended = {job_id for job_id, _ in self._chunks if self._has_ended(job_id, finished_before)}
        chosen = sorted(ended)[:limit]
        self._chunks = {key: value for key, value in self._chunks.items() if key[0] not in chosen}
        return len(chosen)

    def _has_ended(self, job_id: JobId, before: float) -> bool:
        finished_at = self._jobs[job_id].finished_at
        has_chunks = any(c for (owner, _), c in self._chunks.items() if owner == job_id)
        return has_chunks and finished_at is not None and finished_at < before

    def _record(self, job: Job) -> Record:
        return Record(job, self._results.get(job.id), self._late.get(job.id))


class _View:
    def __init__(self, job: Job, store: MemoryStore) -> None:
        self.job = job
        self._store = store

    def attempt_with(self, token_hash: TokenHash) -> Attempt | None:
        ended = self._store._attempts.get(self.job.id, ())
        return next((attempt for attempt in ended if attempt.token_hash == token_hash), None)

    def last_attempt(self) -> Attempt | None:
        ended = self._store._attempts.get(self.job.id)
        return ended[-1] if ended else None

    def has_failed_with(self, failure: str) -> bool:
        return any(ended.failure == failure for ended in self._store._attempts.get(self.job.id, ()))

    def result(self) -> Result | None:
        return self._store._results.get(self.job.id)

    def late_result(self) -> Result | None:
        return self._store._late.get(self.job.id)

    def chunks(self) -> Sequence[Chunk]:
        return list(self._store._chunks.get((self.job.id, self.job.attempt), ()))


def _done(deed: Callable[[], T]) -> "asyncio.Future[T]":
    """A future of what was done at once: there is no disk to wait for."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(deed())
    except Exception as error:
        future.set_exception(error)
    return future


def _is_ready(job: Job, kind: JobKind, grant: Grant, now: float) -> bool:
    if job.state != JobState.PENDING or job.kind != kind or job.ready_at is not None:
        return False
    return _is_free_for(job, grant.lease.worker_id, now)


def _is_free_for(job: Job, worker_id: WorkerId, now: float) -> bool:
    is_reserved = job.reserved_for is not None and (job.reserved_until or 0.0) > now
    return not is_reserved or job.reserved_for == worker_id


def _claimed(job: Job, grant: Grant) -> Job:
    return job._replace(
        state=JobState.PROCESSING,
        attempt=job.attempt + 1,
        started_at=job.started_at or grant.lease.claimed_at,
        deadline_at=grant.deadline_at,
        lease=grant.lease,
        next_seq=0,
        waiting_reason=None,
        reserved_for=None,
        reserved_until=None,
    )


def _is_or_holds(result: Result, sha256: str) -> bool:
    return sha256 in (result.sha256, *(picture.sha256 for picture in result.pictures))


def _passes(job: Job, wanted: JobFilter) -> bool:
    exact = (
        (wanted.owner, job.owner),
        (wanted.state, job.state),
        (wanted.kind, job.kind),
    )
    if any(value is not None and value != actual for value, actual in exact):
        return False
    if wanted.created_after is not None and job.created_at <= wanted.created_after:
        return False
    return wanted.created_before is None or job.created_at < wanted.created_before
