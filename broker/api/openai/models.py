"""Which model names there are and which kind of job each makes. Answers without asking any worker."""

from collections.abc import Mapping

from fastapi import APIRouter

from broker.api.openai.wire import Model, ModelList
from broker.errors import InvalidValue, ModelNotFound
from broker.jobs import JobKind

_ALL = (JobKind.CHAT, JobKind.VIDEO, JobKind.IMAGE)
#: Name → the kinds of job it makes. The seed's names first.
MODELS: Mapping[str, tuple[JobKind, ...]] = {
    "grok": _ALL,
    "grok-vision": (JobKind.CHAT,),
    "grok-4": (JobKind.CHAT,),
    "grok-imagine-video": (JobKind.VIDEO,),
    "grok-imagine-image": (JobKind.IMAGE,),
}
#: When this list was made: models have no birthday of their own here.
_CREATED = 1_767_225_600
_MODALITIES = {JobKind.CHAT: "text", JobKind.VIDEO: "video", JobKind.IMAGE: "image"}
_ENDPOINTS = {
    JobKind.CHAT: "/v1/chat/completions",
    JobKind.VIDEO: "/v1/videos/generations",
    JobKind.IMAGE: "/v1/images/generations",
}


def require_model(name: str, kind: JobKind) -> str:
    """The name, if it makes this kind of job. Raises `ModelNotFound` or says which endpoint is right."""
    kinds = MODELS.get(name)
    if kinds is None:
        raise ModelNotFound(
            f"There is no model {name[:64]!r}. There are: {', '.join(MODELS)}.", param="model"
        )
    if kind not in kinds:
        raise InvalidValue(
            f"{name} does not make {_MODALITIES[kind]}: use {_ENDPOINTS[kinds[0]]} for it.",
            param="model",
        )
    return name


router = APIRouter()


@router.get("/v1/models")
async def list_models() -> ModelList:
    return ModelList(data=[_model(name) for name in MODELS])


@router.get("/v1/models/{name}")
async def get_model(name: str) -> Model:
    if name not in MODELS:
        raise ModelNotFound(param="model")
    return _model(name)


def _model(name: str) -> Model:
    modalities = [_MODALITIES[kind] for kind in MODELS[name]]
    return Model(id=name, created=_CREATED, owned_by="xai", output_modalities=modalities)
