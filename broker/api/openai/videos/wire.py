"""The shapes of videos on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Literal

from pydantic import Field

from broker.api.openai.wire import Prompted, Wire
from broker.jobs import OnLost


class CreateVideo(Prompted):
    """Create a video generation job"""

    duration: Annotated[int, Field(ge=1, le=15)] | None = None
    resolution: Literal["480p", "720p", "1080p"] | None = None
    on_lost: OnLost = OnLost.RECOVER


class Video(Wire):
    """A video generation job"""

    id: str
    object: Literal["videos.generation"] = "videos.generation"
    created: int
    model: str
    status: Literal["pending", "processing", "completed", "failed"]
    video_url: str | None
    #: One sentence, or null unless the job failed.
    error: str | None
    error_code: str | None
    request_id: str
    video_id: str
    progress: int
    phase: str | None
    waiting_reason: str | None
    #: Unix seconds at which a job that must wait is tried again.
    retry_at: int | None


