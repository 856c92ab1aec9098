"""The lists of models: there at once without a worker, and true to what the workers offer."""

from collections.abc import Iterator

import httpx
import pytest

from broker.api.openai.models import MODELS
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

LISTS = {
    "chat": "/v1/language-models",
    "image": "/v1/image-generation-models",
    "video": "/v1/video-generation-models",
}
MAKES = {"chat": "text", "image": "image", "video": "video"}


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A broker that no worker has called."""
    with (
        BrokerProcess(tmp_path_factory.mktemp("lonely")) as broker,
        broker.client() as client,
    ):
        yield client


def test_the_models_are_listed_without_a_worker(lonely: httpx.Client) -> None:
    body = lonely.get("/v1/models").json()

    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == list(MODELS)
    for model in body["data"]:
        assert (model["object"], model["owned_by"]) == ("model", "xai")
        assert isinstance(model["created"], int)
        assert model["name"]
        assert model["input_modalities"] == ["text", "image"]
        assert {each["workers"] for each in model["capabilities"].values()} == {0}


@pytest.mark.parametrize("kind", LISTS)
def test_one_kind_can_be_listed_alone_in_both_dialects(lonely: httpx.Client, kind: str) -> None:
    data = lonely.get("/v1/models", params={"type": kind}).json()["data"]

    assert len(data) < len(MODELS)
    assert data == lonely.get(LISTS[kind]).json()["models"]
    assert all(MAKES[kind] in model["output_modalities"] for model in data)


def test_a_kind_that_is_not_there_is_refused(lonely: httpx.Client) -> None:
    answer = lonely.get("/v1/models", params={"type": "audio"})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "type")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("grok", "grok"),
        ("grok-imagine-video-1.5", "grok-imagine-video-1.5"),
        ("grok-imagine-video-1%2E5", "grok-imagine-video-1.5"),
        ("grok-4-fast", "grok-4"),
        ("grok-4.6", "grok-4"),
        ("sora-2", "grok-imagine-video"),
        ("gpt-image-1.5", "grok-imagine-image"),
    ],
)
def test_a_model_is_known_by_any_of_its_names(lonely: httpx.Client, name: str, model: str) -> None:
    answer = lonely.get(f"/v1/models/{name}")

    assert (answer.status_code, answer.json()["id"]) == (200, model)


def test_every_alias_that_is_told_leads_to_its_model(lonely: httpx.Client) -> None:
    for model in lonely.get("/v1/models").json()["data"]:
        for alias in model["aliases"]:
            assert lonely.get(f"/v1/models/{alias}").json() == model


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "grok5", "GROK", "xai/grok-4", "xai%2Fgrok-4", "a/b/c", f"grok-4-{'x' * 100}"],
)
def test_a_name_that_means_nothing_is_told_as_clients_know_it(
    lonely: httpx.Client, name: str
) -> None:
    answer = lonely.get(f"/v1/models/{name}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


CREATES = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "Hi"}]}, "grok-4"),
    "/v1/images/generations": ({"prompt": "A teapot"}, "grok-imagine-image"),
    "/v1/videos/generations": ({"prompt": "A teapot"}, "grok-imagine-video"),
}


@pytest.mark.parametrize("path", CREATES)
def test_a_job_of_another_kind_is_told_where_it_belongs(lonely: httpx.Client, path: str) -> None:
    asked, _ = CREATES[path]
    for other, (_, model) in CREATES.items():
        if other == path:
            continue
        answer = lonely.post(path, json=asked | {"model": model})
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]["param"] == "model"
        assert other in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", CREATES)
def test_a_job_for_a_model_that_is_not_there_is_refused(lonely: httpx.Client, path: str) -> None:
    answer = lonely.post(path, json=CREATES[path][0] | {"model": "gpt-4o"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_the_capabilities_are_those_of_the_workers_seen_lately(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    offers = {
        "durations": [10, 6],
        "resolutions": ["480p", "720p"],
        "aspects": ["16:9", "1:1"],
        "operations": ["remix"],
        "max_images": 4,
        "models": ["Grok 4", "Auto"],
        "mood": "cheerful",
    }
    hello = {"kinds": ["video", "image", "chat"], "capabilities": offers}
    worker.http.post("/extension/hello", json=hello).raise_for_status()

    told = client.get("/v1/models/grok").json()["capabilities"]

    assert told == {
        "chat": {"workers": 1, "models": ["Auto", "Grok 4"], "max_images": 4},
        "image": {"workers": 1, "aspects": ["16:9", "1:1"], "max_images": 4},
        "video": {
            "workers": 1,
            "durations": [6, 10],
            "resolutions": ["480p", "720p"],
            "aspects": ["16:9", "1:1"],
            "operations": ["remix"],
            "max_images": 4,
        },
    }
