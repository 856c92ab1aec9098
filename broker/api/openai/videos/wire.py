"""The shapes of videos on the line: one of each kind of request, and a job in three dialects.

What a request means for a job is said in `translate.py`, what a job's state means for a client in `dialects.py`.
"""

from typing import Annotated, Literal

from pydantic import Field, RootModel, field_validator

from broker.api.openai.wire import Aspect, ImageReference, Priority, Prompt, Wire, no_blank
from broker.jobs import OnLost

Image = str | ImageReference
#: Words of other sites, whose lists of lengths and sizes are not the page's.
Seconds = Annotated[int, Field(ge=1, le=20)]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]


class VideoWish(Wire):
    """What every request for a film may say."""

    prompt: Prompt
    model: str | None = None
    priority: Priority = 0
    on_lost: OnLost = OnLost.RECOVER
    webhook_url: str | None = None

    _says_something = field_validator("prompt")(no_blank)


class CreateVideo(VideoWish):
    """Create a video generation job"""

    image: Image | list[Image] | None = None
    image_url: str | None = None
    input_reference: Image | None = None
    reference_images: list[Image] | None = None
    duration: Annotated[int, Field(ge=1, le=15)] | None = None
    seconds: Seconds | None = None
    aspect_ratio: Aspect | None = None
    resolution: Literal["480p", "720p", "1080p"] | None = None
    size: Size | None = None


class VideoReference(Wire):
    """A video that is there: the `id` of its job, or the `url` of its film"""

    id: str | None = None
    url: str | None = None
    file_id: str | None = None


class EditVideo(VideoWish):
    """Create a video by changing one that is there"""

    video: str | VideoReference | None = None
    video_url: str | None = None


class ExtendVideo(EditVideo):
    """Create a video by going on with one that is there"""

    duration: Annotated[int, Field(ge=1, le=15)] | None = None
    seconds: Seconds | None = None


class RemixVideo(VideoWish):
    """Create a video from one that is there and a new prompt"""


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


class VideoError(Wire):
    code: str
    message: str


class OpenAIVideo(Wire):
    """A video job, as OpenAI tells it"""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    #: When the film will be pruned; null where films are kept for ever.
    expires_at: int | None
    prompt: str | None
    size: str
    #: A text, as OpenAI has it.
    seconds: str
    remixed_from_video_id: str | None
    error: VideoError | None
    #: The id's spelling that is answered in xAI's words.
    request_id: str


class OpenAIVideoList(Wire):
    """Videos, one page of them"""

    object: Literal["list"] = "list"
    data: list[OpenAIVideo]
    first_id: str | None
    #: Where the next page begins; null on the last one.
    last_id: str | None
    has_more: bool


class VideoDeleted(Wire):
    """A video job that is gone, with its film"""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


class DeferredFilm(Wire):
    url: str
    #: Seconds.
    duration: int
    respect_moderation: bool = True


class DeferredUsage(Wire):
    cost_in_usd_ticks: int = 0


class DeferredVideo(Wire):
    """A video job, as xAI tells it"""

    status: Literal["pending", "done", "failed", "expired"]
    progress: int
    model: str
    request_id: str
    video: DeferredFilm | None = None
    usage: DeferredUsage | None = None
    error: VideoError | None = None


class AnyVideo(RootModel[OpenAIVideo | Video | DeferredVideo]):
    """A video job, in the dialect of its id's spelling"""
