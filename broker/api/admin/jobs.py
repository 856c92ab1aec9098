"""Read, cancel, delete and try again: what an operator does with jobs."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from broker import chores
from broker.api.admin.webhooks import webhook_shown
from broker.api.admin.wire import (
    PREVIEW_CHARS,
    AttemptShown,
    Deleted,
    JobDeleted,
    JobError,
    JobList,
    JobShown,
    LateResult,
)
from broker.api.calling import caller_of_request
from broker.api.deps import Deps
from broker.api.inputs import submit_with_images
from broker.api.waits import Waits, parse_wait
from broker.errors import InvalidValue, NotFound
from broker.ids import JobId, new_job_id, parse_job_id
from broker.jobs import Attempt, Job, JobKind, JobState, Payload
from broker.keys import Caller, check_model
from broker.outputs import Result, picture_names
from broker.ports import JobFilter, Record
from broker.submissions import NewJob

_DELETE_BATCH = 100
#: From the path of a film or image to what opens it.
Link = Callable[[str], str]
Calling = Annotated[Caller, Depends(caller_of_request)]
Limit = Annotated[int, Query(ge=1, le=500)]


class JobDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._outbox = deps.outbox
        self._media = deps.media
        self._settings = deps.settings
        self._waits = Waits(deps)
        self._links = deps.links

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/jobs", self.list, methods=["GET"])
        router.add_api_route("/jobs", self.delete_many, methods=["DELETE"])
        router.add_api_route("/jobs/{job_id}", self.read, methods=["GET"])
        router.add_api_route("/jobs/{job_id}", self.delete, methods=["DELETE"])
        router.add_api_route("/jobs/{job_id}/retry", self.retry, methods=["POST"])
        return router

    async def list(
        self,
        request: Request,
        caller: Calling,
        status: JobState | None = None,
        kind: JobKind | None = None,
        limit: Limit = 100,
        cursor: str | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> JobList:
        """List jobs, newest first"""
        wanted = JobFilter(caller.only_owner, status, kind, created_after, created_before)
        found = await self._store.page(wanted, limit + 1, _known(cursor) if cursor else None)
        shown = [await self._shown(request, record) for record in found[:limit]]
        has_more = len(found) > limit
        return JobList(
            data=shown, has_more=has_more, next_cursor=shown[-1].id if has_more else None
        )

    async def read(
        self, request: Request, caller: Calling, job_id: str, wait: str | None = None
    ) -> JobShown:
        """Read one job with its attempts, at once or when it has ended"""
        seconds = parse_wait(wait)
        record = await self._waits.ended(caller, _known(job_id), seconds, lambda: True)
        if record is None:
            raise NotFound()
        shown = await self._shown(request, record)
        attempts = [*await self._store.attempts(record.job.id)]
        if (last := record.job.last_attempt) and last.number not in [a.number for a in attempts]:
            attempts.append(last)
        delivery = await self._outbox.of_job(record.job.id)
        more = {
            "attempts": [_attempt(a) for a in attempts],
            "text": record.result.text if record.result else None,
            "webhook": webhook_shown(delivery) if delivery else None,
        }
        return shown.model_copy(update=more)

    async def delete(self, caller: Calling, job_id: str) -> JobDeleted:
        """Cancel a job that has not ended, or delete one that has"""
        record = await self._find(caller, job_id)
        if not record.job.state.is_final:
            await self._queue.cancel(record.job.id, None)
            return JobDeleted(id=record.job.id, outcome="cancelled")
        await chores.delete_jobs(self._store, self._media, [record.job.id])
        return JobDeleted(id=record.job.id, outcome="deleted")

    async def delete_many(
        self,
        status: Literal["pending", "completed", "failed", "cancelled"] | None = None,
        kind: JobKind | None = None,
        created_before: float | None = None,
        dry_run: bool = False,
    ) -> Deleted:
        """Delete jobs and their films; those that a worker holds are spared"""
        state = JobState(status) if status else None
        wanted = JobFilter(None, state, kind, None, created_before)
        count, after = 0, None
        while found := await self._store.page(wanted, _DELETE_BATCH, after):
            ids = [r.job.id for r in found if r.job.state != JobState.PROCESSING]
            kept = [r.job.id for r in found if r.job.state == JobState.PROCESSING]
            if dry_run:
                count, after = count + len(ids), found[-1].job.id
                continue
            for record in found:
                if record.job.state == JobState.PENDING:
                    # Whoever waits for it is told.
                    await self._queue.cancel(record.job.id, None)
            count += await chores.delete_jobs(self._store, self._media, ids)
            # The next page begins behind a job that is still there; without one, at the top again.
            after = kept[-1] if kept else after
        return Deleted(deleted=count, dry_run=dry_run)

    async def retry(self, request: Request, caller: Calling, job_id: str) -> JobShown:
        """Try a job that failed or was cancelled again, as a new job that names the old one"""
        record = await self._find(caller, job_id)
        if record.job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise InvalidValue(
                f"The job is {record.job.state}; only one that failed is tried again."
            )
        payload = await self._store.payload(record.job.id)
        if payload is None:
            raise NotFound()
        check_model(caller.limits, record.job.model)
        new_id = new_job_id()
        names = await self._copied_inputs(payload, new_id)
        delivery = await self._outbox.of_job(record.job.id)
        new = _again(record.job, payload._replace(inputs=names), new_id)
        url = delivery.url if delivery else self._settings.webhook_url
        new = new._replace(webhook_url=url, limits=caller.limits)
        job = await submit_with_images(self._queue, self._media, new)
        return await self._shown(request, Record(job))

    async def _copied_inputs(self, payload: Payload, job_id: JobId) -> tuple[str, ...]:
        names = tuple(f"{job_id}.{number}" for number in range(len(payload.inputs)))
        for old, new in zip(payload.inputs, names, strict=True):
            await self._media.save_input(await self._media.load_input(old), new)
        return names

    async def _find(self, caller: Caller, text: str) -> Record:
        record = await self._store.get(_known(text))
        if record is None or not caller.may_see(record.job.owner):
            raise NotFound()
        return record

    async def _shown(self, request: Request, record: Record) -> JobShown:
        payload = await self._store.payload(record.job.id)
        base = self._settings.public_base_url or str(request.base_url).rstrip("/")
        return job_shown(record, payload, lambda path: base + self._links.signed(path))


def job_shown(record: Record, payload: Payload | None, link: Link) -> JobShown:
    job, result = record.job, record.result
    has_files = result is not None and result.text is None and result.removed_at is None
    error = None
    if job.error_code is not None:
        error = JobError(code=job.error_code, message=job.error_message or "")
    return JobShown(
        id=job.id,
        kind=job.kind,
        model=job.model,
        status=job.state,
        phase=job.phase,
        progress=job.progress,
        priority=job.priority,
        created=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempt=job.attempt,
        worker_id=job.lease.worker_id if job.lease else None,
        waiting_reason=job.waiting_reason,
        retry_at=job.ready_at,
        retry_of=job.retry_of,
        error=error,
        prompt_preview=payload.prompt[:PREVIEW_CHARS] if payload else None,
        video_url=link(f"/videos/{job.id}.mp4")
        if has_files and job.kind == JobKind.VIDEO
        else None,
        video_size=result.size_bytes if result and job.kind == JobKind.VIDEO else None,
        video_seconds=result.duration_seconds if result else None,
        image_urls=_image_urls(link, job.id, result) if has_files else [],
        image_size=result.size_bytes if result and job.kind == JobKind.IMAGE else None,
        late_result=_late(record, link),
    )


def _late(record: Record, link: Link) -> LateResult | None:
    late = record.late
    if late is None:
        return None
    here = f"/jobs/{record.job.id}"
    has_film = record.job.kind == JobKind.VIDEO
    return LateResult(
        received_at=late.finished_at,
        sha256=late.sha256,
        size_bytes=late.size_bytes,
        video_url=link(f"{here}/late.mp4") if has_film else None,
        image_urls=[link(f"{here}/late/{name[1:]}") for name in picture_names("", late.pictures)],
        text=late.text,
        finish_reason=late.finish_reason,
    )


def _image_urls(link: Link, job_id: JobId, result: Result | None) -> list[str]:
    names = picture_names(job_id, result.pictures if result else ())
    return [link(f"/images/{name}") for name in names]


def _attempt(attempt: Attempt) -> AttemptShown:
    return AttemptShown(
        number=attempt.number,
        worker_id=attempt.worker_id,
        phase=attempt.phase,
        outcome=attempt.outcome,
        failure=attempt.failure,
        detail=attempt.detail,
        claimed_at=attempt.claimed_at,
        ended_at=attempt.ended_at,
    )


def _again(job: Job, payload: Payload, new_id: JobId) -> NewJob:
    return NewJob(
        job.owner,
        job.kind,
        job.model,
        payload,
        new_id,
        priority=job.priority,
        on_lost=job.on_lost,
        retry_of=job.id,
    )


def _known(text: str) -> JobId:
    job_id = parse_job_id(text)
    if job_id is None:
        raise NotFound()
    return job_id
