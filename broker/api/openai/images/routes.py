"""Create and edit images: a job that its client waits for, and which outlives the wait once it was submitted."""

import asyncio
import base64

from broker.api.bodies import validated
from broker.api.deps import Deps
from broker.api.errors import Problem, problem_of_job
from broker.api.lean import (
    FORM_OR_JSON,
    JSON_WITH_IMAGES,
    Body,
    Call,
    Door,
    Handler,
    Reply,
    Route,
)
from broker.api.links import base_url
from broker.api.openai.images.own import OwnPictures, picture_bytes
from broker.api.openai.images.translate import (
    image_options,
    image_sources,
    refuse_unsupported,
    usage_of,
    wants_bytes,
)
from broker.api.openai.images.wire import CreateImage, ImageMade, ImagesMade
from broker.api.openai.intake import Intake, Order, Sent
from broker.api.openai.models import able_workers, require_model
from broker.api.openai.waiting import Patience
from broker.errors import MissingParameter, NotFound
from broker.jobs import Job, JobKind
from broker.notifier import News
from broker.offers import offers_of
from broker.outputs import Picture, picture_names


class ImageDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._media = deps.media
        self._notifier = deps.notifier
        self._roster = deps.roster
        self._clock = deps.clock
        self._settings = deps.settings
        self._intake = Intake(deps)
        self._own = OwnPictures(deps)
        self._links = deps.links
        self._patience = Patience(deps, deps.settings.image_wait_seconds)

    def routes(self) -> list[Route]:
        return [
            _waiting_route("/v1/images/generations", JSON_WITH_IMAGES, self.create),
            _waiting_route("/v1/images/edits", FORM_OR_JSON, self.edit),
            Route("POST", "/v1/images/variations", Door.CLIENT, FORM_OR_JSON, self.vary),
        ]

    async def create(self, call: Call) -> Reply | None:
        """Create images and wait for them"""
        sent = await self._intake.read(call)
        asked = validated(CreateImage, sent.body)
        return await self._made(call, sent, asked)

    async def edit(self, call: Call) -> Reply | None:
        """Make images from others, sent along, and wait for them"""
        sent = await self._intake.read(call)
        asked = validated(CreateImage, sent.body)
        if not image_sources(asked, sent.files):
            raise MissingParameter("image is required.", param="image")
        return await self._made(call, sent, asked)

    async def vary(self, call: Call) -> Reply:
        """Not offered"""
        raise NotFound(
            "The page makes no variations: post the image and a prompt to /v1/images/edits."
        )

    async def _made(self, call: Call, sent: Sent, asked: CreateImage) -> Reply | None:
        order = await self._order(call, sent, asked)
        async with self._intake.watched(call, sent, order) as ticket:
            news = await self._patience.until_ended(call, ticket.job, ticket.watch)
            if news is not None and not news.job.state.is_final:
                news = News(await self._given_up(news.job))
        return None if news is None else await self._answer(call, asked, news)

    async def _order(self, call: Call, sent: Sent, asked: CreateImage) -> Order:
        refuse_unsupported(asked, list(sent.files))
        model = require_model(asked.model, JobKind.IMAGE)
        images = await self._own.in_place(call, image_sources(asked, sent.files))
        offers = offers_of(able_workers(self._roster, JobKind.IMAGE, self._clock.now()))
        options = image_options(asked, len(images), offers)
        return Order(
            JobKind.IMAGE, model, asked.prompt, images, options=options, priority=asked.priority
        )

    async def _given_up(self, job: Job) -> Job:
        """The wait is over. What has cost nothing yet ends with it, unless somebody else waits as well."""
        if self._notifier.watch_count(job.id) > 1:
            return job
        return await self._queue.give_up(job.id, only_unsubmitted=True)

    async def _answer(self, call: Call, asked: CreateImage, news: News) -> Reply:
        job, result = news.job, await self._patience.result(news)
        if not job.state.is_final:
            return self._goes_on(call, job).reply()
        if result is None:
            return self._patience.problem(job).reply()
        named = zip(picture_names(job.id, result.pictures), result.pictures, strict=True)
        data = [await self._shown(call, asked, *each) for each in list(named)[: asked.n or 1]]
        answer = ImagesMade(
            created=int(job.created_at),
            data=data,
            usage=usage_of(asked.prompt),
            id=job.id,
            model=job.model,
        )
        return Reply(200, answer.model_dump_json(exclude_none=True).encode())

    async def _shown(
        self, call: Call, asked: CreateImage, name: str, picture: Picture
    ) -> ImageMade:
        if not wants_bytes(asked):
            url = self._links.media(call, f"/images/{name}")
            return ImageMade(url=url, mime_type=picture.mime)
        data = await picture_bytes(self._media, name)
        encoded = await asyncio.to_thread(base64.b64encode, data)
        return ImageMade(b64_json=encoded.decode("ascii"), mime_type=picture.mime)

    def _goes_on(self, call: Call, job: Job) -> Problem:
        """The wait is over, but the images are paid for: they will be kept with the job."""
        url = f"{base_url(self._settings, call)}/jobs/{job.id}"
        message = (
            f"The images did not come in time. Their prompt has been submitted, so job {job.id} goes on; "
            f"they will be at {url}."
        )
        told = problem_of_job("client_wait_over", message)
        return told._replace(extra={"job_id": job.id, "result_url": url})


def _waiting_route(path: str, body: Body, handle: Handler) -> Route:
    """A job is made; what becomes of it is answered."""
    return Route(
        "POST",
        path,
        Door.CLIENT,
        body,
        handle,
        is_noted=False,
        takes=CreateImage,
        gives=ImagesMade,
        files=("image",) if body is FORM_OR_JSON else (),
        answers=dict.fromkeys((409, 429, 502, 504)),
    )
