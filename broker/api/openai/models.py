"""Which model names there are and which kind of job each makes. Answers without asking any worker."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from broker.api.deps import Deps
from broker.api.lean import Call, Door, Handler, QueryParam, Reply, Route
from broker.api.openai.wire import Capabilities, Modality, Model, ModelList, ModelsOfKind
from broker.errors import InvalidValue, ModelNotFound
from broker.jobs import JobKind
from broker.offers import offers_of
from broker.workers import Roster, Worker


class Entry(NamedTuple):
    """One model of the list."""

    name: str
    kinds: tuple[JobKind, ...]
    #: Names that clients are set to by themselves, and that the site has or had.
    aliases: tuple[str, ...] = ()
    #: How further names begin that mean the same: the field names its versions faster than a list grows.
    families: tuple[str, ...] = ()


#: The seed's names first.
MODELS: Mapping[str, Entry] = {
    "grok": Entry("Grok", (JobKind.CHAT, JobKind.VIDEO, JobKind.IMAGE), ("grok-latest",)),
    "grok-vision": Entry("Grok Vision", (JobKind.CHAT,), ("grok-2-vision",), ("grok-2-vision-",)),
    "grok-4": Entry(
        "Grok 4",
        (JobKind.CHAT,),
        ("grok-4-latest", "grok-4-fast", "grok-4-heavy", "grok-3", "grok-3-mini"),
        ("grok-4-", "grok-4.", "grok-3-"),
    ),
    "grok-imagine-image": Entry(
        "Grok Imagine: images",
        (JobKind.IMAGE,),
        ("grok-imagine-image-pro", "grok-2-image", "gpt-image-1", "dall-e-2", "dall-e-3"),
        ("grok-imagine-image-", "grok-2-image-", "gpt-image-", "chatgpt-image-"),
    ),
    "grok-imagine-video": Entry(
        "Grok Imagine: videos", (JobKind.VIDEO,), ("sora-2", "sora-2-pro"), ("sora-2-",)
    ),
    "grok-imagine-video-1.5": Entry("Grok Imagine 1.5: videos", (JobKind.VIDEO,)),
}
#: Every name, and the model that it means.
_MEANT: Mapping[str, str] = {
    name: model for model, entry in MODELS.items() for name in (model, *entry.aliases)
}
_FAMILIES: Mapping[str, str] = {
    start: model for model, entry in MODELS.items() for start in entry.families
}
_MAX_NAME_CHARS = 64
#: When this list was made: models have no birthday of their own here.
_CREATED = 1_767_225_600
_MODALITIES: Mapping[JobKind, Modality] = {
    JobKind.CHAT: "text",
    JobKind.VIDEO: "video",
    JobKind.IMAGE: "image",
}
#: What workers say of themselves that matters for a kind of job.
_WORDS: Mapping[JobKind, tuple[str, ...]] = {
    JobKind.CHAT: ("models", "max_images"),
    JobKind.VIDEO: ("durations", "resolutions", "aspects", "operations", "max_images"),
    JobKind.IMAGE: ("aspects", "max_images"),
}
_ENDPOINTS = {
    JobKind.CHAT: "/v1/chat/completions",
    JobKind.VIDEO: "/v1/videos/generations",
    JobKind.IMAGE: "/v1/images/generations",
}


def require_model(name: str, kind: JobKind) -> str:
    """The name, if it makes this kind of job. Raises `ModelNotFound` or says which endpoint is right."""
    model = _MEANT.get(name) or _of_family(name)
    if model is None:
        raise ModelNotFound(
            f"There is no model {name[:64]!r}. There are: {', '.join(MODELS)}.", param="model"
        )
    kinds = MODELS[model].kinds
    if kind not in kinds:
        raise InvalidValue(
            f"{name} does not make {_MODALITIES[kind]}: use {_ENDPOINTS[kinds[0]]} for it.",
            param="model",
        )
    return name


def meant(name: str) -> str:
    """The model of the list that a name means; one that means none is left as it is."""
    return _MEANT.get(name) or _of_family(name) or name


def _of_family(name: str) -> str | None:
    if len(name) > _MAX_NAME_CHARS:
        return None
    return next((model for start, model in _FAMILIES.items() if name.startswith(start)), None)


def able_workers(roster: Roster, kind: JobKind, now: float) -> Sequence[Worker]:
    """The workers for this kind of job that were heard of lately."""
    return [worker for worker in roster.present(now) if kind in worker.kinds]


class ModelDoor:
    """The lists of models. Names are ours; what can be had of them just now is the workers' word."""

    def __init__(self, deps: Deps) -> None:
        self._roster = deps.roster
        self._clock = deps.clock

    def routes(self) -> list[Route]:
        kinds = QueryParam("type", {"enum": [*JobKind]}, "Only the models that make this.")
        return [
            _route("/v1/models", self.all, ModelList, (kinds,)),
            # A name may have slashes in it.
            _route("/v1/models/{name:path}", self.one, Model),
            _route("/v1/language-models", self.for_chat, ModelsOfKind),
            _route("/v1/image-generation-models", self.for_images, ModelsOfKind),
            _route("/v1/video-generation-models", self.for_videos, ModelsOfKind),
        ]

    async def all(self, call: Call) -> Reply:
        """List the models"""
        wanted = call.query().get("type")
        if wanted is None:
            return _reply(ModelList(data=self._models(call, JobKind)))
        if wanted[-1] not in [*JobKind]:
            raise InvalidValue(f"type must be one of {', '.join(JobKind)}.", param="type")
        return _reply(ModelList(data=self._models(call, [JobKind(wanted[-1])])))

    async def one(self, call: Call) -> Reply:
        """Read a model, by any of its names"""
        model = _MEANT.get(call.params["name"]) or _of_family(call.params["name"])
        if model is None:
            raise ModelNotFound(param="model")
        return _reply(self._model(model))

    async def for_chat(self, call: Call) -> Reply:
        """List the models for chat, as xAI does"""
        return _reply(ModelsOfKind(models=self._models(call, [JobKind.CHAT])))

    async def for_images(self, call: Call) -> Reply:
        """List the models for images, as xAI does"""
        return _reply(ModelsOfKind(models=self._models(call, [JobKind.IMAGE])))

    async def for_videos(self, call: Call) -> Reply:
        """List the models for videos, as xAI does"""
        return _reply(ModelsOfKind(models=self._models(call, [JobKind.VIDEO])))

    def _models(self, call: Call, kinds: Iterable[JobKind]) -> list[Model]:
        wanted, allowed = set(kinds), call.caller.limits.models
        names = MODELS.keys() if allowed is None else set(map(meant, allowed))
        return [
            self._model(name)
            for name, entry in MODELS.items()
            if name in names and wanted & set(entry.kinds)
        ]

    def _model(self, model: str) -> Model:
        entry = MODELS[model]
        return Model(
            id=model,
            created=_CREATED,
            owned_by="xai",
            name=entry.name,
            aliases=list(entry.aliases),
            input_modalities=["text", "image"],
            output_modalities=[_MODALITIES[kind] for kind in entry.kinds],
            capabilities={str(kind): self._capabilities(kind) for kind in entry.kinds},
        )

    def _capabilities(self, kind: JobKind) -> Capabilities:
        able = able_workers(self._roster, kind, self._clock.now())
        offers = offers_of(able)._asdict()
        told = {word: _listed(offers[word]) for word in _WORDS[kind]}
        return Capabilities(workers=len(able), **told)


def _listed(offered: Any) -> Any:
    return sorted(offered) if isinstance(offered, frozenset) else offered


def _route(
    path: str, handle: Handler, gives: type[BaseModel], query: tuple[QueryParam, ...] = ()
) -> Route:
    return Route("GET", path, Door.CLIENT, handle=handle, gives=gives, query=query)


def _reply(answer: BaseModel) -> Reply:
    return Reply(200, answer.model_dump_json(exclude_none=True).encode())
