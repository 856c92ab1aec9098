"""Every route against every kind of caller, and two owners against each other's jobs."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from broker.api.table import ORDINARY_ROUTES
from broker.ids import new_job_id, response_spelling, uuid_spelling, video_spelling
from broker.keys import Scope, mint
from tests.support.images import png_of
from tests.support.keys import bearer, client_with, end_key, make_key
from tests.support.meanwhile import meanwhile, says
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

#: Route → who is let in. A route that is not here fails the test, so nobody forgets to say it.
DOORS = {
    "GET /": "public",
    "GET /health": "public",
    "GET /dashboard/{file_path}": "public",
    "GET /openapi.json": "public",
    "GET /videos/{file_name}": "media",
    "GET /images/{file_name}": "media",
    "GET /jobs/{job_id}/late.mp4": "media",
    "GET /jobs/{job_id}/late/{file_name}": "media",
    "POST /extension/pair": "pairing",
    "GET /extension/pair/{pairing_id}": "pairing",
    "GET /v1/models": "client",
    "GET /v1/models/{name}": "client",
    "GET /v1/language-models": "client",
    "GET /v1/image-generation-models": "client",
    "GET /v1/video-generation-models": "client",
    "POST /v1/videos/generations": "client",
    "GET /v1/videos/generations/{job_id}": "client",
    "POST /v1/videos": "client",
    "GET /v1/videos": "client",
    "POST /v1/videos/edits": "client",
    "POST /v1/videos/extensions": "client",
    "POST /v1/videos/{job_id}/remix": "client",
    "POST /v1/videos/characters": "client",
    "GET /v1/videos/characters/{character_id}": "client",
    "GET /v1/videos/{job_id}": "client",
    "DELETE /v1/videos/{job_id}": "client",
    "GET /v1/videos/{job_id}/content": "client",
    "POST /v1/images/generations": "client",
    "POST /v1/images/edits": "client",
    "POST /v1/images/variations": "client",
    "POST /v1/chat/completions": "client",
    "GET /v1/chat/deferred-completion/{request_id}": "client",
    "POST /v1/responses": "client",
    "GET /v1/responses/{response_id}": "client",
    "POST /v1/responses/{response_id}/cancel": "client",
    "DELETE /v1/responses/{response_id}": "client",
    "GET /v1/responses/{response_id}/input_items": "client",
    "GET /jobs": "client",
    "GET /jobs/{job_id}": "client",
    "DELETE /jobs/{job_id}": "client",
    "POST /jobs/{job_id}/retry": "client",
    "GET /extension/poll": "worker",
    "POST /extension/hello": "worker",
    "GET /extension/pack": "worker",
    "POST /extension/beat": "worker",
    "POST /extension/chunks": "worker",
    "POST /extension/complete/chat": "worker",
    "POST /extension/error": "worker",
    "POST /extension/release": "worker",
    "PUT /extension/result/{job_id}": "worker",
    "POST /extension/complete": "worker",
    "POST /extension/unpair": "worker",
    "DELETE /jobs": "admin",
    "GET /workers": "admin",
    "POST /workers/{worker_id}/directives": "admin",
    "GET /webhooks": "admin",
    "POST /webhooks/{webhook_id}/resend": "admin",
    "DELETE /api/logs": "admin",
    "GET /keys": "admin",
    "POST /keys": "admin",
    "POST /keys/{key_id}/rotate": "admin",
    "DELETE /keys/{key_id}": "admin",
    "GET /pairings": "admin",
    "POST /pairings/{pairing_id}/confirm": "admin",
    "DELETE /pairings/{pairing_id}": "admin",
}
#: Who calls, in the order of the columns: "in" is any answer of the route itself, such as 404 for an id that is none.
CALLERS = ("none", "client", "worker", "admin", "revoked", "expired", "wrong")
IN = "in"
EXPECTED: dict[str, tuple[str | int, ...]] = {
    "public": (IN,) * 7,
    "pairing": (IN,) * 7,
    # Without a link that was signed, only the owner's own key and an operator's.
    "media": (403, 403, 403, IN, 403, 403, 403),
    "client": (401, IN, 403, IN, 401, 401, 401),
    "worker": (401, 403, IN, 403, 401, 401, 401),
    "admin": (401, 403, 403, IN, 401, 401, 401),
}
CODES = {401: "invalid_api_key", 403: "scope_not_allowed"}
#: Ends the key that it is called with.
ENDS_ITS_KEY = "POST /extension/unpair"
_PARAMETER = re.compile(r"\{\w+\}")
#: Wrong keys are counted by address: each of these gets no more than a few.
_addresses = (
    f"127.1.{number // 20 // 250}.{number // 20 % 250 + 1}" for number in itertools.count()
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    waits = {"chat_completion_wait_seconds": 8, "image_wait_seconds": 8, "sweep_seconds": 0.2}
    with BrokerProcess(folder, auth="required", webhook_allow_private=1, **waits) as process:
        yield process


@pytest.fixture(scope="module")
def keys(broker: BrokerProcess) -> dict[str, str | None]:
    folder = broker.folder
    made = {
        "none": None,
        "wrong": mint(Scope.ADMIN),
        **{scope: make_key(folder, scope) for scope in Scope},
        "revoked": make_key(folder, "admin"),
        "expired": make_key(folder, "admin", "--days", 0.000001),
        "leaving": make_key(folder, "worker"),
        "alice": make_key(folder, "client", "--owner", "alice"),
        "bob": make_key(folder, "client", "--owner", "bob"),
    }
    end_key(folder, made["revoked"])
    wait_until_known(broker, made["bob"], made["revoked"])
    return made


def wait_until_known(broker: BrokerProcess, new: str, revoked: str) -> None:
    """A broker that runs has read what the command line wrote."""
    for _ in range(200):
        with client_with(broker, new) as good, client_with(broker, revoked) as bad:
            told = good.get("/jobs", params={"limit": 1}), bad.get("/extension/pack")
        if [answer.status_code for answer in told] == [200, 401]:
            return
    raise AssertionError([answer.text for answer in told])


def test_the_table_has_every_route_and_no_other(
    broker: BrokerProcess, keys: dict[str, str | None]
) -> None:
    with broker.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    there = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    there |= {f"{route.method} {route.path.replace(':path', '')}" for route in ORDINARY_ROUTES}

    assert set(DOORS) == there


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", DOORS)
def test_who_is_let_in(
    broker: BrokerProcess, keys: dict[str, str | None], route: str, caller: str
) -> None:
    method, path = route.split(" ")
    expected = EXPECTED[DOORS[route]][CALLERS.index(caller)]
    is_leaving = route == ENDS_ITS_KEY and expected == IN
    key = keys["leaving" if is_leaving else caller]
    place = "127.0.0.1" if caller in (*Scope, "none") else next(_addresses)
    transport = httpx.HTTPTransport(local_address=place)
    is_form = path == "/extension/complete"
    body: dict[str, Any] = {"json": {}} if method == "POST" and not is_form else {}
    query = {"mode": "video", "wait": 0} if path == "/extension/poll" else None
    if "late" in path or path.startswith(("/videos/", "/images/")):
        path = path.replace("{file_name}", f"{new_job_id()}.mp4")
    with httpx.Client(base_url=broker.url, transport=transport, trust_env=False) as client:
        answer = client.request(
            method, _PARAMETER.sub(new_job_id(), path), headers=bearer(key), params=query, **body
        )

    if expected == IN:
        assert answer.status_code not in (401, 403, 405, 415, 421, 429, 500), answer.text
        return
    assert answer.status_code == expected, answer.text
    code = "link_not_valid" if DOORS[route] == "media" else CODES[answer.status_code]
    assert answer.json()["error"]["code"] == code
    assert key is None or key[12:] not in answer.text


# Two owners.


class Left(NamedTuple):
    """What alice has at the broker."""

    video: str
    pending: str
    failed: str
    image: str
    response: str
    background: str
    deferred: str
    video_url: str
    image_url: str


@pytest.fixture(scope="module")
def alice(broker: BrokerProcess, keys: dict[str, str | None]) -> Iterator[httpx.Client]:
    with client_with(broker, keys["alice"]) as client:
        yield client


@pytest.fixture(scope="module")
def bob(broker: BrokerProcess, keys: dict[str, str | None]) -> Iterator[httpx.Client]:
    with client_with(broker, keys["bob"]) as client:
        yield client


@pytest.fixture(scope="module")
def hands(broker: BrokerProcess, keys: dict[str, str | None]) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(broker, key=keys["worker"]) as worker:
        yield worker


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def left(alice: httpx.Client, hands: ScriptedWorker, base_film: bytes) -> Left:
    def video(prompt: str) -> str:
        return str(ok(alice.post("/v1/videos/generations", json={"prompt": prompt}))["id"])

    done = video("done")
    assert hands.upload(hands.take(), base_film).status_code == 200
    failed = video("failed")
    assert hands.error(hands.take(), "no", code="moderated").status_code == 200

    def paint(worker: ScriptedWorker) -> None:
        assert worker.upload_images(worker.take("image"), png_of(77, 66)).status_code == 200

    with meanwhile(paint, hands):
        image_url = ok(alice.post("/v1/images/generations", json={"prompt": "x"}))["data"][0]["url"]
    with meanwhile(says("Hello."), hands):
        response = ok(alice.post("/v1/responses", json={"input": "Hi"}))["id"]
    messages = [{"role": "user", "content": "Later"}]
    asked = {"model": "grok", "messages": messages, "deferred": True}
    deferred = ok(alice.post("/v1/chat/completions", json=asked))["request_id"]
    assert hands.answer(hands.take("chat"), "Now.").status_code == 200
    background = ok(alice.post("/v1/responses", json={"input": "Hi", "background": True}))["id"]
    image = re.search("job_[0-9a-f]{32}", image_url)
    assert image is not None
    return Left(
        video=done,
        pending=video("pending"),
        failed=failed,
        image=image[0],
        response=response,
        background=background,
        deferred=deferred,
        video_url=ok(alice.get(f"/jobs/{done}"))["video_url"],
        image_url=image_url,
    )


Ask = Callable[[httpx.Client, str], httpx.Response]


def get(path: str, **query: Any) -> Ask:
    return lambda client, job_id: client.get(path.format(job_id), params=query or None)


def post(path: str, **body: Any) -> Ask:
    return lambda client, job_id: client.post(
        path.format(job_id), json=filled(body, job_id) if body else None
    )


def delete(path: str) -> Ask:
    return lambda client, job_id: client.delete(path.format(job_id))


def filled(value: Any, job_id: str) -> Any:
    """The body with the id in its place, in whichever spelling."""
    if isinstance(value, dict):
        return {name: filled(each, job_id) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, job_id) for each in value]
    return value.format(job_id) if isinstance(value, str) else value


class Deed(NamedTuple):
    """One way to name a job: the route it is proof for, whose id, how it is asked, what its owner gets."""

    route: str
    of: str
    ask: Ask
    own: int = 200
    spelled: Callable[[Any], str] = str


VIDEO, REMIX = "GET /v1/videos/{job_id}", "POST /v1/videos/{job_id}/remix"
EDIT = "POST /v1/videos/edits"
RESPONSE = "GET /v1/responses/{response_id}"
CONTINUE = "POST /v1/responses"
#: In this order: what is deleted comes last.
DEEDS = [
    Deed("GET /v1/videos/generations/{job_id}", "video", get("/v1/videos/generations/{}")),
    Deed("GET /v1/videos/generations/{job_id}", "pending", get("/v1/videos/generations/{}")),
    Deed(VIDEO, "video", get("/v1/videos/{}")),
    Deed(VIDEO, "video", get("/v1/videos/{}"), 200, video_spelling),
    Deed(VIDEO, "video", get("/v1/videos/{}"), 200, uuid_spelling),
    Deed(VIDEO, "video", get("/v1/videos/{}", inline=1), 200, uuid_spelling),
    Deed("GET /v1/videos/{job_id}/content", "video", get("/v1/videos/{}/content")),
    Deed("GET /v1/videos/{job_id}/content", "pending", get("/v1/videos/{}/content"), 409),
    Deed("GET /v1/videos", "video", get("/v1/videos?after={}"), 200, video_spelling),
    Deed(REMIX, "video", post("/v1/videos/{}/remix", prompt="again")),
    Deed(EDIT, "video", post("/v1/videos/edits", prompt="p", video={"id": "{}"})),
    Deed(EDIT, "video", post("/v1/videos/edits", prompt="p", video_url="http://x.example/videos/{}.mp4")),
    Deed("POST /v1/videos/extensions", "video", post("/v1/videos/extensions", prompt="p", video={"id": "{}"})),
    Deed("GET /v1/chat/deferred-completion/{request_id}", "deferred", get("/v1/chat/deferred-completion/{}")),
    Deed(RESPONSE, "response", get("/v1/responses/{}")),
    Deed(RESPONSE, "background", get("/v1/responses/{}", stream="true"), 400),
    Deed("GET /v1/responses/{response_id}/input_items", "response", get("/v1/responses/{}/input_items")),
    Deed(CONTINUE, "response", post("/v1/responses", input="Go on", previous_response_id="{}", background=True)),
    Deed("GET /jobs", "video", get("/jobs?cursor={}")),
    Deed("GET /jobs/{job_id}", "video", get("/jobs/{}")),
    Deed("GET /jobs/{job_id}", "image", get("/jobs/{}")),
    Deed("POST /jobs/{job_id}/retry", "failed", post("/jobs/{}/retry")),
    Deed("POST /jobs/{job_id}/retry", "video", post("/jobs/{}/retry"), 400),
    Deed("GET /videos/{file_name}", "video", get("/videos/{}.mp4")),
    Deed("GET /images/{file_name}", "image", get("/images/{}.1.png")),
    Deed("GET /jobs/{job_id}/late.mp4", "video", get("/jobs/{}/late.mp4"), 404),
    Deed("GET /jobs/{job_id}/late/{file_name}", "image", get("/jobs/{}/late/1.png"), 404),
    Deed("POST /v1/responses/{response_id}/cancel", "background", post("/v1/responses/{}/cancel")),
    Deed("DELETE /v1/responses/{response_id}", "background", delete("/v1/responses/{}")),
    Deed("DELETE /v1/videos/{job_id}", "pending", delete("/v1/videos/{}")),
    Deed("DELETE /jobs/{job_id}", "failed", delete("/jobs/{}")),
]  # fmt: skip


def unknown_of(known: str) -> str:
    """Another id in the same spelling."""
    job_id = new_job_id()
    if "-" in known:
        return uuid_spelling(job_id)
    return {"resp": response_spelling, "vide": video_spelling}.get(known[:4], str)(job_id)


def test_every_route_with_an_id_is_tried() -> None:
    with_id = {
        route
        for route, door in DOORS.items()
        if door in ("client", "media") and _PARAMETER.search(route)
    }
    # These name no job.
    with_id -= {"GET /v1/models/{name}", "GET /v1/videos/characters/{character_id}"}

    assert with_id <= {deed.route for deed in DEEDS}


@pytest.mark.parametrize("number", range(len(DEEDS)))
def test_a_foreign_job_is_answered_as_one_that_is_not_there(
    left: Left, alice: httpx.Client, bob: httpx.Client, number: int
) -> None:
    deed = DEEDS[number]
    known = deed.spelled(getattr(left, deed.of))
    unknown = unknown_of(known)

    foreign, nobodys = deed.ask(bob, known), deed.ask(bob, unknown)

    assert foreign.status_code in (400, 403, 404), foreign.text
    assert told(foreign, known) == told(nobodys, unknown)
    own = deed.ask(alice, known)
    assert own.status_code == deed.own, own.text


def told(answer: httpx.Response, name: str) -> tuple[int, str, Mapping[str, str]]:
    """All that an answer says, but for the id that was asked for and its own number and time."""
    its_own = ("x-request-id", "openai-processing-ms", "content-length")
    headers = {field: value for field, value in answer.headers.items() if field not in its_own}
    digits = name[-32:] if "-" not in name else name
    return answer.status_code, answer.text.replace(digits, "ID"), headers


@pytest.mark.parametrize(
    "path", ["/jobs/{}", "/v1/videos/{}", "/v1/videos/generations/{}", "/v1/videos/{}/content"]
)
def test_nobody_waits_for_a_foreign_job(alice: httpx.Client, bob: httpx.Client, path: str) -> None:
    """However long an answer takes would tell that the job is there."""
    job_id = ok(alice.post("/v1/videos/generations", json={"prompt": "waiting"}))["id"]

    answer = bob.get(path.format(job_id), params={"wait": 200}, timeout=20)

    assert answer.status_code == 404
    assert alice.delete(f"/jobs/{job_id}").status_code == 200


def test_lists_show_ones_own_jobs_alone(
    left: Left, alice: httpx.Client, bob: httpx.Client, broker: BrokerProcess, keys: dict[str, str]
) -> None:
    mine = ok(bob.post("/v1/videos", json={"prompt": "mine"}))["id"]

    assert [job["id"] for job in ok(bob.get("/jobs"))["data"]] == [f"job_{mine[6:]}"]
    assert [job["id"] for job in ok(bob.get("/v1/videos"))["data"]] == [mine]
    hers = {job["id"] for job in ok(alice.get("/jobs", params={"limit": 500}))["data"]}
    assert left.video in hers
    assert f"job_{mine[6:]}" not in hers
    with client_with(broker, keys["admin"]) as operator:
        every = {job["id"] for job in ok(operator.get("/jobs", params={"limit": 500}))["data"]}
    assert every >= hers | {f"job_{mine[6:]}"}


def test_idempotency_keys_are_their_owners_own(alice: httpx.Client, bob: httpx.Client) -> None:
    sent = {"headers": {"Idempotency-Key": "order-1"}, "json": {"prompt": "one"}}
    hers = [ok(alice.post("/v1/videos/generations", **sent))["id"] for _ in range(2)]
    his = ok(bob.post("/v1/videos/generations", **{**sent, "json": {"prompt": "two"}}))["id"]

    assert hers[0] == hers[1] != his
    assert (
        alice.post("/v1/videos/generations", **{**sent, "json": {"prompt": "two"}}).status_code
        == 409
    )


def test_a_foreign_image_is_not_made_into_anything(
    left: Left, alice: httpx.Client, bob: httpx.Client
) -> None:
    """Not even by whoever has its link: that is to look at it."""

    def edit(client: httpx.Client, url: str) -> httpx.Response:
        return client.post("/v1/videos/generations", json={"prompt": "p", "image": {"url": url}})

    unknown_id = new_job_id()
    unknown = left.image_url.replace(left.image, unknown_id)

    assert edit(bob, left.image_url).status_code == edit(bob, unknown).status_code == 422
    foreign, nobodys = edit(bob, left.image_url).json(), edit(bob, unknown).json()
    assert str(foreign).replace(left.image, "ID") == str(nobodys).replace(unknown_id, "ID")
    assert edit(alice, left.image_url).status_code == 200
    assert edit(alice, left.image_url.partition("?")[0]).status_code == 200


def test_a_foreign_response_cannot_be_referred_to(
    left: Left, alice: httpx.Client, bob: httpx.Client
) -> None:
    item = ok(alice.get(f"/v1/responses/{left.response}"))["output"][0]["id"]

    def refer(client: httpx.Client, item_id: str) -> httpx.Response:
        items = [{"type": "item_reference", "id": item_id}, {"role": "user", "content": "?"}]
        return client.post("/v1/responses", json={"input": items, "background": True})

    unknown = f"msg_{new_job_id()[4:]}"
    foreign, nobodys = refer(bob, item), refer(bob, unknown)
    assert (foreign.status_code, nobodys.status_code) == (404, 404)
    assert foreign.text.replace(item[4:], "ID") == nobodys.text.replace(unknown[4:], "ID")
    assert refer(alice, item).status_code == 200


# Links.


def test_every_link_opens_its_file_without_a_key(
    left: Left, broker: BrokerProcess, alice: httpx.Client
) -> None:
    links = {
        ok(alice.get(f"/v1/videos/generations/{left.video}"))["video_url"],
        ok(alice.get(f"/v1/videos/{left.video}"))["video_url"],
        ok(alice.get(f"/v1/videos/{uuid_spelling(left.video)}"))["video"]["url"],  # type: ignore[arg-type]
        left.video_url,
        left.image_url,
        *ok(alice.get(f"/jobs/{left.image}"))["image_urls"],
    }
    with broker.client() as stranger:
        for link in links:
            assert re.search(r"\?ends=\d+&sig=[0-9a-f]{32}$", link)
            whole = stranger.get(link)
            assert (whole.status_code, len(whole.content) > 20) == (200, True), link
            head = stranger.head(link)
            assert (head.status_code, head.headers["content-length"]) == (
                200,
                str(len(whole.content)),
            )
            part = stranger.get(link, headers={"Range": "bytes=10-19"})
            assert (part.status_code, part.content) == (206, whole.content[10:20])


def test_a_link_that_was_not_signed_so_is_refused(
    left: Left, broker: BrokerProcess, alice: httpx.Client, bob: httpx.Client
) -> None:
    path, _, query = left.video_url.removeprefix(broker.url).partition("?")
    ends, sig = re.findall(r"=(\w+)", query)
    other = left.image_url.rpartition("=")[2]
    wrong = [
        "",
        f"?ends={ends}",
        f"?sig={sig}",
        f"?ends={ends}&sig={other}",
        f"?ends={ends}&sig={sig[:-1]}{'0' if sig[-1] != '0' else '1'}",
        f"?ends={int(ends) + 1}&sig={sig}",
        f"?ends=1&sig={sig}",
        f"?ends=9{ends}&sig={sig}",
        f"?ends=-1&sig={sig}",
        "?ends=%D9%A1%D9%A2&sig=%C3%A4",
    ]
    with broker.client() as stranger:
        for each in wrong:
            for client in (stranger, bob):
                for answer in (client.get(path + each), client.head(path + each)):
                    assert answer.status_code == 403, each
            assert alice.get(path + each).status_code == 200


def test_a_late_film_has_a_link_too(
    broker: BrokerProcess,
    alice: httpx.Client,
    hands: ScriptedWorker,
    new_film: Callable[[], bytes],
    keys: dict[str, str | None],
) -> None:
    job_id = ok(alice.post("/v1/videos/generations", json={"prompt": "late", "priority": 9}))["id"]
    job = hands.take()
    assert job["job_id"] == job_id
    ok(hands.beat(job, phase="submitted"))
    ok(alice.delete(f"/jobs/{job_id}"))
    film = new_film()
    assert hands.upload(job, film).status_code == 202

    with broker.client() as stranger, client_with(broker, keys["admin"]) as operator:
        for client in (alice, operator):
            link = ok(client.get(f"/jobs/{job_id}"))["late_result"]["video_url"]
            assert stranger.get(link).content == film
            assert stranger.get(link.partition("?")[0]).status_code == 403
            assert client.get(link.partition("?")[0]).content == film


def test_a_link_has_its_end(tmp_path: Path) -> None:
    key = make_key(tmp_path, "client")
    with BrokerProcess(tmp_path, link_hours=0.00001) as broker, client_with(broker, key) as client:
        created = ok(client.post("/v1/videos/generations", json={"prompt": "a cat"}))
        with broker.client() as stranger:
            over = stranger.get(created["video_url"])

    assert over.status_code == 403
    assert over.json()["error"]["code"] == "link_not_valid"
