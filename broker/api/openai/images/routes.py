"""Create images: a job that its client waits for, and which outlives the wait once it has been submitted."""

import asyncio
import base64
import sys
from collections.abc import Sequence

from broker.api.bodies import read_json, validated
from broker.api.deps import Deps
from broker.api.errors import Problem, problem_of_job
from broker.api.inputs import save_images, submit_with_images
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, Reply, Route
from broker.api.links import base_url
from broker.api.openai.images.translate import image_options
from broker.api.openai.images.wire import CreateImage, ImageMade, ImagesMade
from broker.api.openai.models import require_model
from broker.api.openai.waiting import Patience
from broker.api.openai.wire import input_images
from broker.errors import UnsupportedParameter
from broker.ids import LOCAL_OWNER, new_job_id
from broker.jobs import Job, JobKind, Payload
from broker.notifier import News
from broker.outputs import picture_names
from broker.submissions import NewJob


class ImageDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._media = deps.media
        self._images = deps.images
        self._notifier = deps.notifier
        self._settings = deps.settings
        self._patience = Patience(deps, deps.settings.image_wait_seconds)
        self._clock = deps.clock
        self._log = deps.request_log

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/images/generations",
                Door.CLIENT,
                JSON_WITH_IMAGES,
                self.create,
                is_noted=False,
                takes=CreateImage,
                gives=ImagesMade,
            )
        ]

    async def create(self, call: Call) -> Reply | None:
        """Create images and wait for them"""
        body = read_json(await call.body())
        asked = validated(CreateImage, body)
        new = await self._new_job(asked)
        assert new.job_id is not None
        self._log.request(self._clock.wall(), "POST", call.route.path, new.job_id, body)
        with self._notifier.watch(new.job_id) as watch:
            job = await submit_with_images(self._queue, self._media, new)
            news = await self._patience.until_ended(call, job, watch)
        if news is not None and not news.job.state.is_final:
            news = News(await self._queue.give_up(job.id, only_unsubmitted=True))
        return None if news is None else await self._answer(call, asked, news)

    async def _new_job(self, asked: CreateImage) -> NewJob:
        if asked.stream:
            raise UnsupportedParameter("Images are not streamed.", param="stream")
        model = require_model(asked.model, JobKind.IMAGE)
        options = image_options(asked)
        images = await self._images.read_all(input_images(asked))
        job_id = new_job_id()
        names = await save_images(self._media, job_id, images)
        payload = Payload(asked.prompt, options=options, inputs=names)
        return NewJob(LOCAL_OWNER, JobKind.IMAGE, model, payload, job_id, priority=asked.priority)

    async def _answer(self, call: Call, asked: CreateImage, news: News) -> Reply:
        job, result = news.job, await self._patience.result(news)
        if not job.state.is_final:
            return self._goes_on(call, job).reply()
        if result is None:
            return self._patience.problem(job).reply()
        names = picture_names(job.id, result.pictures)[: asked.n or 1]
        made = await self._made(call, names, as_bytes=asked.response_format == "b64_json")
        answer = ImagesMade(created=int(job.created_at), data=made, id=job.id, model=job.model)
        return Reply(200, answer.model_dump_json(exclude_none=True).encode())

    async def _made(self, call: Call, names: Sequence[str], *, as_bytes: bool) -> list[ImageMade]:
        if not as_bytes:
            base = base_url(self._settings, call)
            return [ImageMade(url=f"{base}/images/{name}") for name in names]
        return [ImageMade(b64_json=await self._encoded(name)) for name in names]

    async def _encoded(self, name: str) -> str:
        data = b"".join([piece async for piece in self._media.read(name, 0, sys.maxsize)])
        return (await asyncio.to_thread(base64.b64encode, data)).decode("ascii")

    def _goes_on(self, call: Call, job: Job) -> Problem:
        """The wait is over, but the images are paid for: they will be kept with the job."""
        url = f"{base_url(self._settings, call)}/jobs/{job.id}"
        message = (
            f"The images did not come in time. Their prompt has been submitted, so job {job.id} goes on; "
            f"they will be at {url}."
        )
        told = problem_of_job("client_wait_over", message)
        return told._replace(extra={"job_id": job.id, "result_url": url})
