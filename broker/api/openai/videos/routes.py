"""Create a video job and read it: the seed's two calls."""

from broker.api.bodies import read_json, validated
from broker.api.deps import Deps
from broker.api.inputs import save_images, submit_with_images
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, Reply, Route
from broker.api.links import base_url
from broker.api.openai.models import require_model
from broker.api.openai.videos.translate import video_of, video_options
from broker.api.openai.wire import input_images
from broker.api.openai.videos.wire import CreateVideo, Video
from broker.errors import NotFound
from broker.ids import LOCAL_OWNER, new_job_id, parse_job_id
from broker.jobs import Job, JobKind, Payload
from broker.submissions import NewJob


class VideoDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._images = deps.images
        self._settings = deps.settings
        self._clock = deps.clock
        self._log = deps.request_log

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/videos/generations",
                Door.CLIENT,
                JSON_WITH_IMAGES,
                self.create,
                invalid_status=422,
                is_noted=False,
                takes=CreateVideo,
                gives=Video,
            ),
            Route(
                "GET", "/v1/videos/generations/{job_id}", Door.CLIENT, handle=self.read, gives=Video
            ),
        ]

    async def create(self, call: Call) -> Reply:
        """Create a video generation job; the answer means that it is on disk"""
        body = read_json(await call.body())
        asked = validated(CreateVideo, body)
        model = require_model(asked.model, JobKind.VIDEO)
        images = await self._images.read_all(input_images(asked))
        job_id = new_job_id()
        names = await save_images(self._media, job_id, images)
        payload = Payload(asked.prompt, options=video_options(asked), inputs=names)
        new = NewJob(
            LOCAL_OWNER,
            JobKind.VIDEO,
            model,
            payload,
            job_id,
            priority=asked.priority,
            on_lost=asked.on_lost,
        )
        job = await submit_with_images(self._queue, self._media, new)
        self._log.request(self._clock.wall(), "POST", call.route.path, job_id, body)
        return self._reply(call, job)

    async def read(self, call: Call) -> Reply:
        """Read a video generation job"""
        job_id = parse_job_id(call.params["job_id"])
        record = await self._store.get(job_id) if job_id else None
        if record is None or record.job.kind != JobKind.VIDEO:
            raise NotFound()
        return self._reply(call, record.job)

    def _reply(self, call: Call, job: Job) -> Reply:
        video = video_of(job, base_url(self._settings, call))
        return Reply(200, video.model_dump_json().encode())
