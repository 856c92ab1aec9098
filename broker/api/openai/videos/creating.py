"""The calls that make a film: of a prompt, or of another film. Each makes one job and answers at once.

What a client's words mean is `translate.py`, which film it starts from `sources.py`, how the job is kept `intake.py`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from broker.api.bodies import validated
from broker.api.deps import Deps
from broker.api.lean import Call, Reply
from broker.api.openai.images.own import OwnPictures
from broker.api.openai.intake import Intake, Order, Sent
from broker.api.openai.models import able_workers, require_model
from broker.api.openai.videos.dialects import film_path, openai_video, seed_video
from broker.api.openai.videos.sources import (
    film_of,
    id_of,
    named_source,
    require_operation,
    source_options,
)
from broker.api.openai.videos.translate import (
    FOR_CREATE,
    FOR_EDIT,
    FOR_EXTENSION,
    IMAGE_FILES,
    film_options,
    film_seconds,
    input_images,
    is_choosy,
    refuse_unsupported,
)
from broker.api.openai.videos.wire import (
    CreateVideo,
    EditVideo,
    ExtendVideo,
    RemixVideo,
    VideoWish,
)
from broker.errors import NotFound
from broker.ids import JobId
from broker.jobs import Job, JobKind, Payload
from broker.offers import Offers, offers_of
from broker.ports import Record


class Creating:
    def __init__(self, deps: Deps) -> None:
        self._intake = Intake(deps)
        self._pictures = OwnPictures(deps)
        self._store = deps.store
        self._roster = deps.roster
        self._links = deps.links
        self._settings = deps.settings
        self._clock = deps.clock

    async def create(self, call: Call) -> Reply:
        """Create a video generation job; the answer means that it is on disk"""
        sent = await self._intake.read(call)
        job = await self._intake.submit(call, sent, await self._order(call, sent, is_exact=True))
        video = seed_video(job, self._links.media(call, film_path(job.id)))
        return Reply(200, video.model_dump_json().encode())

    async def create_openai(self, call: Call) -> Reply:
        """Create a video, as OpenAI's clients ask for it"""
        sent = await self._intake.read(call)
        return await self._made(call, sent, await self._order(call, sent, is_exact=False))

    async def edit(self, call: Call) -> Reply:
        """Create a video by changing one that is there"""
        sent = await self._intake.read(call)
        refuse_unsupported(sent.body, sent.files, FOR_EDIT, ("video",))
        asked = validated(EditVideo, sent.body)
        require_operation("edit", self._offers())
        source = named_source(asked, sent.files)
        return await self._derived(call, sent, asked, "edit", source)

    async def extend(self, call: Call) -> Reply:
        """Create a video by going on with one that is there"""
        sent = await self._intake.read(call)
        refuse_unsupported(sent.body, sent.files, FOR_EXTENSION, ("video",))
        asked = validated(ExtendVideo, sent.body)
        offers = self._offers()
        require_operation("extend", offers)
        seconds = film_seconds(asked, offers, is_exact=False)
        source = named_source(asked, sent.files)
        return await self._derived(call, sent, asked, "extend", source, seconds)

    async def remix(self, call: Call) -> Reply:
        """Create a video from one that is there and a new prompt"""
        sent = await self._intake.read(call)
        refuse_unsupported(sent.body, sent.files, FOR_EDIT)
        asked = validated(RemixVideo, sent.body)
        require_operation("remix", self._offers())
        source = id_of(call.params["job_id"])
        return await self._derived(call, sent, asked, "remix", source)

    async def refuse_characters(self, call: Call) -> Reply:
        """There are no characters here"""
        raise NotFound("There are no characters here: the page has no such thing.")

    async def _order(self, call: Call, sent: Sent, *, is_exact: bool) -> Order:
        refuse_unsupported(sent.body, sent.files, FOR_CREATE, IMAGE_FILES)
        asked = validated(CreateVideo, sent.body)
        if not sent.files and not is_choosy(asked):
            # Most ask for nothing special, and there may be thousands of workers to look at.
            return _order(asked, {}, "grok")
        offers = self._offers()
        options = film_options(asked, offers, is_exact=is_exact)
        if images := input_images(asked, sent.files, offers):
            images = await self._pictures.in_place(call, images)
        return _order(asked, options, "grok", images)

    async def _derived(
        self,
        call: Call,
        sent: Sent,
        asked: VideoWish,
        operation: str,
        source: JobId,
        seconds: int | None = None,
    ) -> Reply:
        """Makes a film of another, by the same model unless said."""
        job, film = film_of(call.visible(await self._store.get(source)))
        options = source_options(operation, job, film)
        if seconds is not None:
            options["duration_seconds"] = seconds
        return await self._made(call, sent, _order(asked, options, job.model))

    async def _made(self, call: Call, sent: Sent, order: Order) -> Reply:
        """Keeps the job and tells it in OpenAI's words."""
        job = await self._intake.submit(call, sent, order)
        record, payload = await self._as_kept(job, sent, order)
        video = openai_video(record, payload, self._settings.max_video_age_days)
        return Reply(200, video.model_dump_json().encode())

    async def _as_kept(self, job: Job, sent: Sent, order: Order) -> tuple[Record, Payload | None]:
        """A job that an earlier sending made may be done, and its options others; a new one need not be read."""
        is_repeat = sent.key is not None and sent.key.joins
        if is_repeat and (record := await self._store.get(job.id)) is not None:
            return record, await self._store.payload(job.id)
        return Record(job), Payload(order.prompt, options=json.dumps(order.options))

    def _offers(self) -> Offers:
        return offers_of(able_workers(self._roster, JobKind.VIDEO, self._clock.now()))


def _order(
    asked: VideoWish,
    options: Mapping[str, Any],
    usual_model: str,
    images: Sequence[str | bytes] = (),
) -> Order:
    model = usual_model if asked.model is None else asked.model
    return Order(
        JobKind.VIDEO,
        require_model(model, JobKind.VIDEO),
        asked.prompt,
        images,
        options=options,
        priority=asked.priority,
        on_lost=asked.on_lost,
        webhook_url=asked.webhook_url,
    )
