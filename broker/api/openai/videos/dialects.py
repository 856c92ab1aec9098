"""One job in three dialects: the seed's, OpenAI's and xAI's. The spelling of its id chooses which. No storage.

Whoever makes a job is given its id in the spelling of the dialect that they speak, so nothing is guessed from headers.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from broker.api.openai.videos.translate import USUAL_RESOLUTIONS, USUAL_SECONDS
from broker.api.openai.videos.wire import (
    DeferredFilm,
    DeferredUsage,
    DeferredVideo,
    OpenAIVideo,
    Video,
    VideoError,
)
from broker.ids import JobId, uuid_spelling, video_spelling
from broker.jobs import Job, JobState, Payload
from broker.outputs import Result
from broker.ports import Record

_DAY_SECONDS = 86_400.0
#: What a client should leave between two polls, in milliseconds. The SDK reads it once and keeps to it.
POLL_MS, LONGEST_POLL_MS = 2000, 15_000
_USUAL_ASPECT = "16:9"
#: Our name of this failure is not the one that clients know.
_CLIENT_CODES = {"moderated": "content_policy_violation"}
_ENDED_BADLY = (JobState.FAILED, JobState.CANCELLED)


class Dialect(StrEnum):
    SEED = "seed"
    OPENAI = "openai"
    XAI = "xai"


def dialect_of(spelling: str) -> Dialect:
    """Of an id that is known to be one."""
    if spelling.startswith("video_"):
        return Dialect.OPENAI
    return Dialect.SEED if "_" in spelling else Dialect.XAI


def film_path(job_id: JobId) -> str:
    return f"/videos/{job_id}.mp4"


def has_film(record: Record) -> bool:
    """Whether the film is there, and not pruned."""
    return record.result is not None and record.result.removed_at is None


# The seed's.


def seed_video(job: Job, url: str) -> Video:
    """`url` is where the film will be."""
    return Video(
        id=job.id,
        created=int(job.created_at),
        model=job.model,
        status=_seed_status(job.state),
        video_url=None if job.state in _ENDED_BADLY else url,
        error=job.error_message,
        error_code=job.error_code,
        request_id=uuid_spelling(job.id),
        video_id=video_spelling(job.id),
        progress=job.progress,
        phase=job.phase,
        waiting_reason=job.waiting_reason,
        retry_at=None if job.ready_at is None else int(job.ready_at),
    )


def _seed_status(state: JobState) -> Any:
    """The seed knows four states: a cancelled job has failed, with the code `cancelled`."""
    return "failed" if state == JobState.CANCELLED else state.value


# OpenAI's.

_OPENAI_STATES: Mapping[JobState, Any] = {
    JobState.PENDING: "queued",
    JobState.PROCESSING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
}


def openai_video(record: Record, payload: Payload | None, kept_days: float) -> OpenAIVideo:
    """`kept_days` is how long films are kept; 0 for ever."""
    job, result = record.job, record.result
    options = json.loads(payload.options) if payload and payload.options else {}
    return OpenAIVideo(
        id=video_spelling(job.id),
        model=job.model,
        status=_OPENAI_STATES[job.state],
        progress=job.progress,
        created_at=int(job.created_at),
        completed_at=_completed_at(job),
        expires_at=_expires_at(job, kept_days),
        prompt=payload.prompt if payload else None,
        size=shown_size(options, result),
        seconds=shown_seconds(options, result),
        remixed_from_video_id=_remixed_from(options),
        error=_error(job),
        request_id=uuid_spelling(job.id),
    )


def poll_after_ms(job: Job, now: float) -> int | None:
    """When to ask again; None where nothing more will come."""
    if job.state.is_final:
        return None
    left = 0.0 if job.ready_at is None else job.ready_at - now
    return round(min(max(left * 1000, POLL_MS), LONGEST_POLL_MS))


def shown_seconds(options: Mapping[str, Any], result: Result | None) -> str:
    """The film's own length; before it is there, what was asked for, or else is usual."""
    if result is not None and result.duration_seconds is not None:
        return str(_whole_seconds(result.duration_seconds))
    source, asked = options.get("source"), options.get("duration_seconds")
    if source is None:
        return str(asked or USUAL_SECONDS[0])
    before = _whole_seconds(source.get("duration_seconds") or USUAL_SECONDS[0])
    added = (asked or USUAL_SECONDS[0]) if options.get("operation") == "extend" else 0
    return str(before + added)


def shown_size(options: Mapping[str, Any], result: Result | None) -> str:
    """The film's own size; before it is there, what was asked for, or else is usual."""
    if result is not None and result.width and result.height:
        return f"{result.width}x{result.height}"
    if size := (options.get("source") or {}).get("size"):
        return str(size)
    wide, high = (int(n) for n in options.get("aspect", _USUAL_ASPECT).split(":"))
    short = int(options.get("resolution", USUAL_RESOLUTIONS[0]).rstrip("p"))
    # Films have even sides.
    long = 2 * round(short * max(wide, high) / min(wide, high) / 2)
    return f"{long}x{short}" if wide > high else f"{short}x{long}"


def _whole_seconds(seconds: float) -> int:
    return max(1, round(seconds))


def _completed_at(job: Job) -> int | None:
    is_done = job.state == JobState.COMPLETED and job.finished_at is not None
    return int(job.finished_at or 0) if is_done else None


def _expires_at(job: Job, kept_days: float) -> int | None:
    done_at = _completed_at(job)
    return int(done_at + kept_days * _DAY_SECONDS) if done_at and kept_days else None


def _remixed_from(options: Mapping[str, Any]) -> str | None:
    if options.get("operation") != "remix":
        return None
    return video_spelling(JobId(options["source"]["job_id"]))


def _error(job: Job) -> VideoError | None:
    if job.state not in _ENDED_BADLY:
        return None
    code = job.error_code or "worker_error"
    message = job.error_message or "The job failed."
    return VideoError(code=_CLIENT_CODES.get(code, code), message=message)


# xAI's.


def deferred_video(record: Record, url: str) -> DeferredVideo:
    """`url` is where the film is, once it is there."""
    job, result = record.job, record.result
    told = DeferredVideo(
        status="pending",
        progress=min(job.progress, 99),
        model=job.model,
        request_id=uuid_spelling(job.id),
    )
    if error := _error(job):
        return told.model_copy(update={"status": "failed", "progress": 0, "error": error})
    if result is None:
        return told
    if result.removed_at is not None:
        return told.model_copy(update={"status": "expired", "progress": 100})
    film = DeferredFilm(url=url, duration=_whole_seconds(result.duration_seconds or 0))
    done = {"status": "done", "progress": 100, "video": film, "usage": DeferredUsage()}
    return told.model_copy(update=done)
