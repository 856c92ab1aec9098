"""The guard: who may call, decided on the request line and headers alone, before a byte of the body is read."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from broker.api.guard import OUR_EXTENSION
from tests.support.house import Answer, House
from tests.support.running import run

ROOT = Path(__file__).parents[2]
OURS = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
OTHERS = "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba"
PAGE = "https://page.example"
HERE = "http://localhost:8000"
NEXT_DOOR = "http://localhost:3000"
FILM = "/videos/job_0123.mp4"
JSON = {"content-type": "application/json", "content-length": "2"}
FORM = {"content-type": "multipart/form-data; boundary=x", "content-length": "100"}


@pytest.fixture(scope="module")
def house() -> House:
    """As it is out of the box."""
    return House()


@pytest.fixture(scope="module")
def friendly() -> House:
    """One that knows an extension, a web client and a name in the network."""
    return House(allowed_origins=(OURS, "https://app.example"), allowed_hosts=("broker.lan",))


def who(origin: str | None = None, site: str | None = None, **more: str) -> dict[str, str]:
    known = {"origin": origin, "sec-fetch-site": site}
    return {name: value for name, value in known.items() if value is not None} | more


POLL, BEAT, DONE = "/extension/poll?mode=video", "/extension/beat", "/extension/complete"
ASKS = {"access-control-request-method": "POST"}
#: What Chromium sends for each kind of caller, and what becomes of it.
# fmt: off
CALLERS: dict[str, tuple[str, str, dict[str, str], tuple[str, ...], int]] = {
    "a program": ("POST", BEAT, JSON, ("localhost:8000",), 200),
    "our worker, GET": ("GET", POLL, who(None, "none"), ("127.0.0.1:8000",), 200),
    "our worker, POST": ("POST", BEAT, who(OURS, "none") | JSON, ("127.0.0.1:8000",), 200),
    "another extension": ("POST", BEAT, who(OTHERS, "none") | JSON, ("127.0.0.1:8000",), 403),
    "a content script": ("OPTIONS", BEAT, who(PAGE, "cross-site") | ASKS, ("localhost:8000",), 403),
    "a page's image": ("GET", POLL, who(None, "cross-site"), ("localhost:8000",), 403),
    "a page's form data": ("POST", DONE, who(PAGE, "cross-site") | FORM, ("localhost:8000",), 403),
    "a page's JSON": ("OPTIONS", "/jobs", who(PAGE, "cross-site") | ASKS, ("localhost:8000",), 403),
    "a form navigation": ("POST", DONE, who(PAGE, "cross-site") | FORM, ("localhost:8000",), 403),
    "rebinding, GET": ("GET", POLL, {}, ("evil.example:8000",), 421),
    "rebinding, POST": ("POST", BEAT, who("http://evil.example:8000") | JSON, ("evil.example:8000",), 421),
    "another local port": ("POST", BEAT, who(NEXT_DOOR, "same-site") | JSON, ("localhost:8000",), 403),
    "our dashboard": ("DELETE", "/jobs", who(HERE, "same-origin"), ("localhost:8000",), 200),
    "a sandboxed frame": ("POST", BEAT, who("null", "cross-site") | JSON, ("localhost:8000",), 403),
    "over IPv6": ("GET", POLL, {}, ("[::1]:8000",), 200),
    "without a Host": ("GET", POLL, {}, (), 421),
}
# fmt: on


@pytest.mark.parametrize("caller", CALLERS)
def test_each_kind_of_caller_meets_its_verdict(friendly: House, caller: str) -> None:
    method, path, headers, hosts, status = CALLERS[caller]

    answer = friendly.knock(method, path, headers, hosts=hosts, chunks=(b"{}",))

    assert answer.status == status
    assert bool(answer.reached) == (status == 200)
    assert answer.reads == 0 or status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/jobs", POLL, "/", "/nowhere"])
def test_a_foreign_page_is_refused_whatever_its_method_and_path(
    house: House, method: str, path: str
) -> None:
    for headers in (
        who(PAGE, "cross-site"),
        who(None, "cross-site"),
        who(PAGE),
        who(None, "same-site"),
    ):
        answer = house.knock(method, path, headers)

        assert (answer.status, answer.reached) == (403, "")


NAMES = "localhost localhost:8000 LocalHost:8000 127.0.0.1 127.0.0.1:8000 [::1] [::1]:8000 broker.lan Broker.LAN:8000"


@pytest.mark.parametrize("host", NAMES.split())
def test_the_broker_answers_to_its_names(friendly: House, host: str) -> None:
    assert friendly.knock(hosts=(host,)).status == 200


#: Names that are not ours, however near they come.
STRANGE_HOSTS = [
    "evil.example",
    "evil.example:8000",
    "localhost:8001",
    "localhost:80",
    "localhost:",
    "localhost:08000",
    "localhost:8000:8000",
    "localhost:8000/",
    "localhost:8000#",
    "localhost:8000?",
    "localhost.",
    "localhost.evil.example",
    "evil.localhost",
    "localhost,evil.example",
    "user@localhost:8000",
    "http://localhost:8000",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io:8000",
    "127.1",
    "127.0.0.2",
    "0.0.0.0:8000",
    "2130706433",
    "0x7f000001",
    "::1",
    "[::1",
    "[::1]:8001",
    "[0:0:0:0:0:0:0:1]:8000",
    "[::ffff:127.0.0.1]:8000",
    "[::1%25lo]:8000",
    "broker.lan",
]
ODD_HOSTS = ["", " ", " localhost:8000", "localhost:8000 ", b"localhost:8000\x00", b"\xff"]
UNICODE_HOSTS = ["\uff4cocalhost:8000", "localhost:\u0668000", "localh\u043est:8000"]


@pytest.mark.parametrize("host", [*STRANGE_HOSTS, *ODD_HOSTS, *UNICODE_HOSTS])
def test_the_broker_answers_to_no_other_name(house: House, host: str | bytes) -> None:
    for path in (POLL, FILM, "/nowhere"):
        answer = house.knock(path=path, hosts=(host,))

        assert (answer.status, answer.reached, answer.reads) == (421, "", 0)


def test_one_request_has_one_host(house: House) -> None:
    for hosts in (("localhost:8000", "localhost:8000"), ("localhost:8000", "evil.example"), ()):
        assert house.knock(hosts=hosts).status == 421


def test_the_port_is_the_listeners(house: House) -> None:
    assert house.knock(hosts=("localhost:9000",), server=("127.0.0.1", 9000)).status == 200
    assert house.knock(hosts=("localhost:8000",), server=("127.0.0.1", 9000)).status == 421


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_connection_that_came_over_loopback_is_taken(house: House, address: str) -> None:
    assert house.knock(server=(address, 8000)).status == 200


@pytest.mark.parametrize("address", ["192.168.1.5", "10.0.0.1", "0.0.0.0", "2001:db8::1", "broker"])
def test_a_connection_that_came_over_the_network_is_refused_until_that_is_allowed(
    house: House, address: str
) -> None:
    assert house.knock(server=(address, 8000)).status == 421

    opened = House(server_host="0.0.0.0", dangerously_allow_open_network=True)
    assert opened.knock(server=(address, 8000)).status == 200


LOOK_ALIKES = f"""
    null file:// //localhost:8000 localhost:8000 ftp://localhost:8000 chrome-extension://localhost:8000
    http://evil.example http://localhost http://127.0.0.1 http://[::1] https://localhost
    http://localhost:80 http://localhost:8001 http://localhost:80000 http://localhost:8000/
    http://localhost:8000.evil.example http://localhost:8000@evil.example http://localhost.:8000
    http://localhost.evil.example:8000 http://evil.example/http://localhost:8000
    http://127.0.0.1.evil.example:8000 http://127.1:8000 http://0.0.0.0:8000 http://[::1]:8001
    http://localhost:8000,http://evil.example {OTHERS} {OURS}x {OURS[:-1]} {OURS.replace("chrome", "moz")}
    http://app.example https://app.example/ https://app.example:8443 https://app.example.evil
    https://sub.app.example
""".split()


@pytest.mark.parametrize("origin", ["", "http://localhost:8000 http://evil.example", *LOOK_ALIKES])
def test_an_origin_that_only_looks_like_ours_is_refused(friendly: House, origin: str) -> None:
    for headers in (who(origin), who(origin, "none"), who(origin, "same-origin")):
        answer = friendly.knock("POST", BEAT, headers | JSON)

        assert (answer.status, answer.reached, answer.reads) == (403, "", 0)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (HERE, "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://broker.lan:8000", "broker.lan:8000"),
        ("https://broker.lan", "broker.lan"),
        (OURS, "127.0.0.1:8000"),
        ("https://app.example", "localhost:8000"),
    ],
)
def test_an_origin_that_is_ours_or_listed_passes(friendly: House, origin: str, host: str) -> None:
    assert friendly.knock(path="/jobs", headers=who(origin), hosts=(host,)).status == 200


def test_two_origins_are_nobodys(house: House) -> None:
    for second in (HERE, PAGE):
        answer = house.knock(path="/jobs", headers=who(HERE), more=[(b"origin", second.encode())])

        assert (answer.status, answer.reached) == (403, "")


#: What a worker has to call.
WORKER_CALLS = [
    ("GET", POLL, {}),
    ("HEAD", POLL, {}),
    ("POST", BEAT, JSON),
    ("POST", DONE, FORM),
    ("GET", "/health", {}),
]
OTHER_CALLS = [
    ("GET", "/", {}),
    ("GET", "/jobs", {}),
    ("DELETE", "/jobs", {}),
    ("GET", "/jobs/job_1", {}),
    ("POST", "/v1/videos/generations", JSON),
    ("POST", "/workers/wrk_1/directives", JSON),
    ("GET", "/nowhere", {}),
    ("DELETE", POLL, {}),
    ("OPTIONS", BEAT, ASKS),
]
SHIPPED = OUR_EXTENSION.decode()
STRANGE_IDS = [
    OTHERS,
    f"{SHIPPED}x",
    SHIPPED[:-1],
    f"{SHIPPED}/",
    SHIPPED.upper(),
    SHIPPED.replace("chrome", "moz"),
    SHIPPED.replace("chrome-extension", "https"),
    f"{SHIPPED}.evil.example",
    f"{SHIPPED} {OTHERS}",
]


def test_the_extension_that_ships_has_the_id_of_its_key() -> None:
    manifest = json.loads((ROOT / "extension" / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(base64.b64decode(manifest["key"])).hexdigest()

    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:32])
    assert f"chrome-extension://{letters}" == SHIPPED


@pytest.mark.parametrize(("method", "path", "headers"), WORKER_CALLS)
def test_the_extension_that_ships_may_call_as_a_worker_without_a_setting(
    house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    for site in (None, "none"):
        answer = house.knock(method, path, who(SHIPPED, site) | headers)

        assert answer.status == 200
        assert answer.reached
        assert cors(answer) == {}


@pytest.mark.parametrize(("method", "path", "headers"), OTHER_CALLS)
def test_the_extension_that_ships_may_call_nothing_else(
    house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = house.knock(method, path, who(SHIPPED, "none") | headers)

    assert (answer.status, answer.reached, answer.reads) == (403, "", 0)


@pytest.mark.parametrize("origin", STRANGE_IDS)
@pytest.mark.parametrize(("method", "path", "headers"), [*WORKER_CALLS, *OTHER_CALLS])
def test_no_other_extension_may_call_anything(
    house: House, method: str, path: str, headers: dict[str, str], origin: str
) -> None:
    answer = house.knock(method, path, who(origin, "none") | headers)

    assert (answer.status, answer.reached, answer.reads) == (403, "", 0)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_without_permission_for_the_address_the_extension_takes_no_job_that_it_cannot_read(
    house: House, site: str
) -> None:
    """Without CORS headers the browser would keep the answer from it, and the job would be lost to it."""
    assert house.knock("GET", POLL, who(SHIPPED, site)).status == 403


def test_two_origins_are_not_the_extensions(house: House) -> None:
    answer = house.knock("GET", POLL, who(SHIPPED), more=[(b"origin", SHIPPED.encode())])

    assert (answer.status, answer.reached) == (403, "")


# Routes.


UNDECLARED = [
    "/nowhere",
    "/jobs/",
    "//jobs",
    "/JOBS",
    "/jobs/../jobs",
    "/./jobs",
    "/jobs/job_1/more",
    "/extension",
    "/videos/",
    "/videos/a/b.mp4",
    "/docs",
    "*",
]


@pytest.mark.parametrize("path", ["", "/jobs\n", *UNDECLARED])
def test_what_is_not_declared_is_not_there(house: House, path: str) -> None:
    answer = house.knock(path=path)

    assert (answer.status, answer.reached) == (404, "")
    assert b'"code": "not_found"' in answer.body


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/jobs", "DELETE, GET, HEAD"),
        (BEAT, "POST"),
        (FILM, "GET, HEAD"),
        ("/workers/wrk_1/directives", "POST"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", ""])
def test_a_method_that_a_path_does_not_have_is_told_which_it_has(
    house: House, path: str, allowed: str, method: str
) -> None:
    answer = house.knock(method, path)

    assert (answer.status, answer.reached) == (405, "")
    assert answer.headers["allow"] == allowed


def test_head_is_a_get_without_its_body(house: House) -> None:
    assert house.knock("HEAD", FILM).reached == "lean"
    assert house.knock("HEAD", "/jobs").reached == "app"


def test_the_singular_path_of_the_seeds_log_gets_a_hint(house: House) -> None:
    answer = house.knock("POST", "/v1/video/generations", JSON)

    assert answer.status == 404
    assert b"/v1/videos/generations" in answer.body


def test_nothing_but_http_comes_in(house: House) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def keep(message: Any) -> None:
        sent.append(message)

    house.reached = ""
    scope = {"type": "websocket", "path": "/jobs", "headers": [(b"host", b"localhost:8000")]}
    run(house.guard(scope, receive, keep))

    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert house.reached == ""


# Bodies: judged before they are read.


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (BEAT, {"content-length": "1048577"} | {"content-type": "application/json"}, 413),
        (BEAT, {"content-length": "9" * 30} | {"content-type": "application/json"}, 413),
        (DONE, FORM | {"content-length": "1001"}, 413),
        (BEAT, {"content-length": "2"}, 415),
        (BEAT, {"content-length": "2", "content-type": "text/plain"}, 415),
        (BEAT, {"content-length": "2", "content-type": "application/jsonp"}, 415),
        (BEAT, {"content-length": "2", "content-type": "application/x-www-form-urlencoded"}, 415),
        (BEAT, {"content-length": "2", "content-type": "text/plain, application/json"}, 415),
        (DONE, JSON, 415),
        (BEAT, {"transfer-encoding": "chunked", "content-type": "text/plain"}, 415),
        (BEAT, {"transfer-encoding": "chunked"}, 415),
        (BEAT, JSON | {"content-encoding": "gzip"}, 415),
        (BEAT, JSON | {"content-encoding": "identity"}, 415),
        (BEAT, JSON | {"content-length": "-1"}, 400),
        (BEAT, JSON | {"content-length": "+2"}, 400),
        (BEAT, JSON | {"content-length": "2, 2"}, 400),
        (BEAT, JSON | {"content-length": "0x2"}, 400),
    ],
)
def test_a_body_that_will_not_do_is_refused_unread(
    house: House, path: str, headers: dict[str, str], status: int
) -> None:
    answer = house.knock("POST", path, headers, chunks=(b"{}",))

    assert (answer.status, answer.reached, answer.reads) == (status, "", 0)
    assert answer.headers["connection"] == "close"


def test_a_route_that_takes_no_body_reads_none(house: House) -> None:
    answer = house.knock("DELETE", "/jobs", {"content-length": "1"}, chunks=(b"x",))

    assert (answer.status, answer.reached, answer.reads) == (413, "", 0)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
def test_a_body_that_will_do_is_read(house: House, content_type: str) -> None:
    answer = house.knock(
        "POST", BEAT, {"content-type": content_type, "content-length": "2"}, chunks=(b"{", b"}")
    )

    assert (answer.status, answer.body) == (200, b"{}")


def test_a_body_of_the_very_limit_passes(house: House) -> None:
    assert house.knock("POST", DONE, FORM | {"content-length": "1000"}).status == 200


CHUNKED = {"content-type": "application/json", "transfer-encoding": "chunked"}
MIB_PIECES = tuple(b"x" * 65_536 for _ in range(64))


def test_a_body_that_does_not_say_how_long_it_is_is_counted(house: House) -> None:
    answer = house.knock("POST", BEAT, CHUNKED, chunks=MIB_PIECES)

    assert answer.status == 413
    assert answer.reads <= 18
    assert answer.headers["connection"] == "close"


def test_such_a_body_is_counted_on_its_way_to_the_framework_too(house: House) -> None:
    answer = house.knock("POST", "/workers/wrk_1/directives", CHUNKED, chunks=MIB_PIECES)

    assert answer.status == 413
    assert answer.reads <= 18


# Preflights and CORS.


def cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-")}


@pytest.mark.parametrize(
    "headers", [{}, who(HERE, "same-origin"), who(PAGE, "cross-site"), who(OURS, "none")]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/jobs"), ("GET", FILM), ("OPTIONS", "/jobs")]
)
def test_no_cors_headers_unless_an_origin_is_listed(
    house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    assert cors(house.knock(method, path, headers | (ASKS if method == "OPTIONS" else {}))) == {}


def test_a_listed_origin_may_read_the_answer_and_no_other_may(friendly: House) -> None:
    listed = friendly.knock(path="/jobs", headers=who("https://app.example", "cross-site"))
    ours = friendly.knock(path="/jobs", headers=who(HERE, "same-origin"))

    assert listed.status == 200
    assert cors(listed)["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in listed.headers
    assert listed.headers["vary"] == ours.headers["vary"] == "Origin"
    assert cors(ours) == {}


def test_a_preflight_of_a_listed_origin_is_answered_and_goes_no_further(friendly: House) -> None:
    answer = friendly.knock("OPTIONS", BEAT, who("https://app.example", "cross-site") | ASKS)

    assert (answer.status, answer.reached, answer.body) == (204, "", b"")
    assert cors(answer)["access-control-allow-origin"] == "https://app.example"
    assert cors(answer)["access-control-allow-methods"] == "POST"
    assert "authorization" in cors(answer)["access-control-allow-headers"]


#: What the SDKs send from a page, and what a web client of the broker may.
KNOWN_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "x-api-key",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "user-agent",
    "x-worker-id",
    "x-inline-video",
    "x-stainless-arch",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-poll-helper",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
]


def preflight(house: House, asked: str, origin: str = "https://app.example") -> Answer:
    asks = ASKS | {"access-control-request-headers": asked}
    return house.knock("OPTIONS", BEAT, who(origin, "cross-site") | asks)


def test_a_listed_page_may_send_every_header_that_clients_send(friendly: House) -> None:
    answer = preflight(friendly, ",".join(KNOWN_HEADERS))

    assert cors(answer)["access-control-allow-headers"].split(", ") == KNOWN_HEADERS


@pytest.mark.parametrize(
    "name",
    [
        "cookie",
        "host",
        "origin",
        "x-forwarded-for",
        "x-stainless-",
        "x-stainless-a b",
        f"x-stainless-{'a' * 60}",
        "stainless-lang",
        "",
        "*",
    ],
)
def test_a_header_that_nobody_needs_is_not_let_through(friendly: House, name: str) -> None:
    answer = preflight(friendly, f"Authorization, {name}")

    assert answer.status == 204
    assert cors(answer)["access-control-allow-headers"] == "authorization"


def test_a_preflight_of_a_page_that_is_not_listed_is_refused_whatever_it_asks_for(
    friendly: House,
) -> None:
    answer = preflight(friendly, "authorization", PAGE)

    assert (answer.status, cors(answer)) == (403, {})


def test_a_listed_page_may_read_what_the_sdks_read(friendly: House) -> None:
    answer = friendly.knock(path="/jobs", headers=who("https://app.example", "cross-site"))

    readable = set(cors(answer)["access-control-expose-headers"].split(", "))
    limits = {f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")}
    assert readable >= limits | {
        "x-request-id",
        "openai-processing-ms",
        "openai-poll-after-ms",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "etag",
        "content-range",
    }


def test_a_preflight_of_anybody_else_is_refused(friendly: House) -> None:
    for origin in (PAGE, "null", OTHERS):
        answer = friendly.knock("OPTIONS", BEAT, who(origin, "cross-site") | ASKS)

        assert (answer.status, cors(answer)) == (403, {})


def test_a_listed_origin_passes_no_other_check(friendly: House) -> None:
    listed = who("https://app.example", "cross-site")

    assert friendly.knock(headers=listed, hosts=("evil.example",)).status == 421
    assert friendly.knock(path="/nowhere", headers=listed).status == 404
    assert friendly.knock("POST", BEAT, listed | {"content-length": "2"}).status == 415


# Films may be shown by any page: their names are the permission.


def test_a_film_may_be_shown_by_any_page(house: House) -> None:
    for headers in (who(None, "cross-site"), who(PAGE, "cross-site"), who("null", "cross-site")):
        for method in ("GET", "HEAD"):
            assert house.knock(method, FILM, headers).reached == "lean"


def test_the_exception_is_for_reading_films_at_the_brokers_own_name(house: House) -> None:
    foreign = who(PAGE, "cross-site")

    assert house.knock("DELETE", FILM, foreign).status == 403
    assert house.knock("GET", FILM, foreign, hosts=("evil.example",)).status == 421
    assert house.knock("GET", FILM, foreign, server=("192.168.1.5", 8000)).status == 421


# Every answer.


def test_every_answer_has_the_headers_that_all_have(friendly: House) -> None:
    seen = set()
    for path, headers in ((POLL, {}), ("/", {}), ("/nowhere", {}), (POLL, who(PAGE, "cross-site"))):
        answer = friendly.knock(path=path, headers=headers)
        seen.add(answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"

    assert len(seen) == 4


def test_a_client_is_told_how_long_its_answer_took_to_begin(house: House) -> None:
    create = "/v1/videos/generations"
    told = house.knock("POST", create, JSON).headers["openai-processing-ms"]

    assert told == "0"
    assert "openai-processing-ms" not in house.knock("POST", BEAT, JSON).headers


def test_a_refusal_says_what_was_wrong_in_the_one_form(house: House) -> None:
    for answer, code in (
        (house.knock(hosts=("evil.example",)), b"host_not_allowed"),
        (house.knock(headers=who(PAGE)), b"origin_not_allowed"),
        (house.knock("POST", "/jobs"), b"method_not_allowed"),
        (house.knock("POST", "/lost", JSON), b"lease_lost"),
    ):
        assert b'"code": "%s"' % code in answer.body
        assert b'"detail": ' in answer.body


def test_a_refused_field_has_the_status_that_its_route_promises(house: House) -> None:
    assert house.knock("POST", "/invalid", JSON).status == 422


def test_a_crash_tells_its_number_and_nothing_else(house: House) -> None:
    answer = house.knock(path="/crash")

    assert answer.status == 500
    assert b"secret detail" not in answer.body
    assert answer.headers["x-request-id"].encode() in answer.body
    assert "request_crashed" in [told[0] for told in house.log.told]


def test_nobody_is_answered_who_has_left(house: House) -> None:
    assert house.knock(path="/gone").status == 0
