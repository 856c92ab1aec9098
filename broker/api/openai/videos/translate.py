"""From a client's words about a video to a job's, and back. No waiting and no storage."""

import json
from typing import Any

from broker.api.openai.videos.wire import CreateVideo, Video
from broker.ids import uuid_spelling, video_spelling
from broker.jobs import Job, JobState


def video_options(asked: CreateVideo) -> str | None:
    options = {
        "duration_seconds": asked.duration,
        "aspect": asked.aspect_ratio,
        "resolution": asked.resolution,
    }
    present = {name: value for name, value in options.items() if value is not None}
    return json.dumps(present) if present else None


def seed_status(state: JobState) -> Any:
    """The seed knows four states: a cancelled job has failed, with the code `cancelled`."""
    return "failed" if state == JobState.CANCELLED else state.value


def video_of(job: Job, base_url: str) -> Video:
    has_ended_badly = job.state in (JobState.FAILED, JobState.CANCELLED)
    return Video(
        id=job.id,
        created=int(job.created_at),
        model=job.model,
        status=seed_status(job.state),
        video_url=None if has_ended_badly else f"{base_url}/videos/{job.id}.mp4",
        error=job.error_message,
        error_code=job.error_code,
        request_id=uuid_spelling(job.id),
        video_id=video_spelling(job.id),
        progress=job.progress,
        phase=job.phase,
        waiting_reason=job.waiting_reason,
        retry_at=None if job.ready_at is None else int(job.ready_at),
    )


