"""The table of the videos' routes. What each does is `creating.py` and `reading.py`."""

from broker.api.deps import Deps
from broker.api.lean import FORM_OR_JSON, JSON_WITH_IMAGES, Door, Handler, QueryParam, Route
from broker.api.openai.videos.creating import Creating
from broker.api.openai.videos.reading import MAX_LISTED, VARIANTS, Reading
from broker.api.openai.videos.translate import IMAGE_FILES
from broker.api.openai.videos.wire import (
    AnyVideo,
    CreateVideo,
    DeferredVideo,
    EditVideo,
    ExtendVideo,
    OpenAIVideo,
    OpenAIVideoList,
    RemixVideo,
    Video,
    VideoDeleted,
    VideoWish,
)
from broker.api.waits import MAX_WAIT_SECONDS

_WAIT = QueryParam(
    "wait",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    "Seconds to wait for the job's end.",
)
_INLINE = QueryParam("inline", {"enum": ["1"]}, "The film itself as a `data:` URL.")
_VARIANT = QueryParam("variant", {"enum": list(VARIANTS)}, "The film, or a still of it.")
_PAGE = (
    QueryParam("after", {"type": "string"}, "The id behind which the page begins."),
    QueryParam("limit", {"type": "integer", "minimum": 0, "maximum": MAX_LISTED}),
    QueryParam("order", {"enum": ["asc", "desc"]}),
)
_CLIENT = Door.CLIENT


class VideoDoor:
    def __init__(self, deps: Deps) -> None:
        self._creating = Creating(deps)
        self._reading = Reading(deps)

    def routes(self) -> list[Route]:
        return [*self._seed_routes(), *self._making_routes(), *self._reading_routes()]

    def _seed_routes(self) -> list[Route]:
        path, made, read = "/v1/videos/generations", self._creating, self._reading
        return [
            Route(
                "POST",
                path,
                _CLIENT,
                JSON_WITH_IMAGES,
                made.create,
                invalid_status=422,
                is_noted=False,
                takes=CreateVideo,
                gives=Video,
            ),
            Route(
                "GET",
                f"{path}/{{job_id}}",
                _CLIENT,
                handle=read.read_seed,
                gives=Video,
                query=(_WAIT, _INLINE),
            ),
        ]

    def _making_routes(self) -> list[Route]:
        made = self._creating
        characters = "/v1/videos/characters"
        refused = made.refuse_characters
        return [
            self._making("/v1/videos", made.create_openai, CreateVideo, IMAGE_FILES),
            self._making("/v1/videos/edits", made.edit, EditVideo),
            self._making("/v1/videos/extensions", made.extend, ExtendVideo),
            self._making("/v1/videos/{job_id}/remix", made.remix, RemixVideo),
            Route("POST", characters, _CLIENT, FORM_OR_JSON, refused),
            Route("GET", f"{characters}/{{character_id}}", _CLIENT, handle=refused),
        ]

    def _reading_routes(self) -> list[Route]:
        read, one = self._reading, "/v1/videos/{job_id}"
        return [
            Route(
                "GET",
                "/v1/videos",
                _CLIENT,
                handle=read.list,
                gives=OpenAIVideoList,
                query=_PAGE,
                answers={404: None},
            ),
            Route(
                "GET",
                one,
                _CLIENT,
                handle=read.read,
                gives=AnyVideo,
                query=(_WAIT, _INLINE),
                answers={202: DeferredVideo},
            ),
            Route("DELETE", one, _CLIENT, handle=read.delete, gives=VideoDeleted),
            Route(
                "GET",
                f"{one}/content",
                _CLIENT,
                handle=read.content,
                query=(_VARIANT, _WAIT),
                types=("video/mp4", "image/webp"),
                answers=dict.fromkeys((206, 304, 409, 410, 416)),
            ),
        ]

    @staticmethod
    def _making(
        path: str, handle: Handler, takes: type[VideoWish], files: tuple[str, ...] = ()
    ) -> Route:
        return Route(
            "POST",
            path,
            _CLIENT,
            FORM_OR_JSON,
            handle,
            is_noted=False,
            takes=takes,
            gives=OpenAIVideo,
            files=files,
        )
