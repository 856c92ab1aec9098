"""Every refusal has a status, a code and a sentence, and changes nothing."""

import json
import socket

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

DEEP = '{"prompt": "x", "model": ' + "[" * 900 + "]" * 900 + "}"
VERY_DEEP = '{"prompt": "x", "model": ' + "[" * 100_000 + "]" * 100_000 + "}"
ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"7",
    b"\xff\xfe{}",
    b'{"prompt": "\xed\xa0\x80"}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": "\\udc00 and more"}',
    b'{"prompt": "a\\u0000b"}',
    b'{"prompt": "a\x00b"}',
    b'{"prompt": ""}',
    b'{"prompt": "   "}',
    b'{"prompt": null}',
    b'{"prompt": 7}',
    b'{"prompt": ["x"]}',
    b'{"prompt": {"a": 1}}',
    b"{}",
    b'{"prompt": "x", "model": 7}',
    b'{"prompt": "x", "model": "gpt-9"}',
    b'{"prompt": "x", "duration": NaN}',
    b'{"prompt": "x", "duration": Infinity}',
    b'{"prompt": "x", "duration": -Infinity}',
    b'{"prompt": "x", "duration": 1e400}',
    b'{"prompt": "x", "duration": 6.5}',
    b'{"prompt": "x", "duration": 0}',
    b'{"prompt": "x", "duration": 16}',
    b'{"prompt": "x", "duration": 99999999999999999999}',
    b'{"prompt": "x", "priority": -1}',
    b'{"prompt": "x", "priority": 10}',
    b'{"prompt": "x", "aspect_ratio": "5:4"}',
    b'{"prompt": "x", "resolution": "8k"}',
    b'{"prompt": "x", "on_lost": "panic"}',
    b'{"prompt": "x", "image": "not base64 at all!"}',
    b'{"prompt": "x", "image": "aGVsbG8="}',
    b'{"prompt": "x", "image": "data:text/html;base64,aGVsbG8="}',
    b'{"prompt": "x", "image": {"url": 7}}',
    b'{"prompt": "x", "image": "file:///etc/passwd"}',
    b'{"prompt": "x", "image": "http://127.0.0.1/x.png"}',
    json.dumps({"prompt": "x" * 32_001}).encode(),
    DEEP.encode(),
    VERY_DEEP.encode(),
]
ODD_IDS = [
    "..",
    "%2e%2e%2fjobs.db",
    "..%5c..%5cjobs.db",
    "job_" + "A" * 32,
    "job_" + "0" * 31,
    "job_" + "0" * 33,
    "job_" + "0" * 32 + "%00",
    "CON",
    "job_" + "٠" * 32,
    "a" * 3000,
    "%ff",
    "' OR 1=1 --",
]


@pytest.fixture(autouse=True)
def _nothing_changes(client: httpx.Client) -> object:
    before = client.get("/").json()["jobs"]
    yield
    assert client.get("/").json()["jobs"] == before
    assert client.get("/jobs").status_code == 200


def told(answer: httpx.Response) -> str:
    body = answer.json()
    assert set(body["error"]) >= {"message", "type", "param", "code"}
    assert body["error"]["message"] == body["detail"]
    assert len(body["detail"]) > 10
    code: str = body["error"]["code"]
    return code


@pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: repr(body[:40]))
def test_odd_bodies_are_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post(
        "/v1/videos/generations", content=body, headers={"Content-Type": "application/json"}
    )

    assert 400 <= answer.status_code < 500, answer.text
    assert told(answer)


def test_a_missing_field_is_a_422_here_as_in_the_seed(client: httpx.Client) -> None:
    answer = client.post("/v1/videos/generations", json={})

    assert (answer.status_code, told(answer)) == (422, "missing_required_parameter")
    assert answer.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize("job_id", ODD_IDS)
def test_odd_ids_name_nothing(client: httpx.Client, worker: ScriptedWorker, job_id: str) -> None:
    answers = [
        client.get(f"/v1/videos/generations/{job_id}"),
        client.get(f"/videos/{job_id}.mp4"),
        client.get(f"/jobs/{job_id}"),
        client.delete(f"/jobs/{job_id}"),
        client.get(f"/jobs/{job_id}/late.mp4"),
        worker.upload({"job_id": job_id, "lease_token": "lt_x"}, b"x"),
        worker.http.post("/extension/beat", json={"job_id": job_id, "lease_token": "x"}),
    ]

    # "/jobs/.." is "/" by the rules of URLs, before it leaves the client.
    expected = {200, 404, 405} if job_id == ".." else {400, 404, 405}
    assert {answer.status_code for answer in answers} <= expected


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "mode"),
        ("?mode=music", "mode"),
        ("?mode=", "mode"),
        ("?mode=video&wait=26", "wait"),
        ("?mode=video&wait=-1", "wait"),
        ("?mode=video&wait=nan", "wait"),
        ("?mode=video&wait=soon", "wait"),
        ("?mode=%ff", None),
    ],
)
def test_odd_polls_are_refused(client: httpx.Client, query: str, param: str | None) -> None:
    answer = client.get(f"/extension/poll{query}")

    assert (answer.status_code, told(answer)) == (400, "invalid_value")
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("worker_id", ["", "a b", "x" * 65, "../x", "é"])
def test_odd_worker_names_are_refused(client: httpx.Client, worker_id: str) -> None:
    answer = client.get(
        "/extension/poll?mode=video&wait=0", headers={"X-Worker-Id": worker_id.encode()}
    )

    assert (answer.status_code, told(answer)) == (400, "invalid_value")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "status=done", "kind=music", "created_after=x"]
)
def test_odd_filters_are_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/jobs?{query}")

    assert (answer.status_code, told(answer)) == (400, "invalid_value")
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_a_cursor_that_names_nothing_is_a_404(client: httpx.Client) -> None:
    assert client.get("/jobs?cursor=nope").status_code == 404
    assert client.get(f"/jobs?cursor=job_{'0' * 32}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            415,
            "unsupported_media_type",
        ),
        ({"Host": "evil.example"}, 421, "host_not_allowed"),
        ({"Host": "127.0.0.1.evil.example"}, 421, "host_not_allowed"),
        (
            {"Content-Type": "application/json", "Origin": "https://evil.example"},
            403,
            "origin_not_allowed",
        ),
        ({"Content-Type": "application/json", "Origin": "null"}, 403, "origin_not_allowed"),
        (
            {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
            403,
            "origin_not_allowed",
        ),
    ],
)
def test_the_guard_refuses_before_the_body(
    client: httpx.Client, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/v1/videos/generations", content=b'{"prompt": "x"}', headers=headers)

    assert (answer.status_code, told(answer)) == (status, code)
    assert "access-control-allow-origin" not in answer.headers


def test_a_body_over_the_limit_is_refused_before_it_is_sent(broker: BrokerProcess) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as line:
        line.sendall(
            b"PUT /extension/result/job_" + b"0" * 32 + b" HTTP/1.1\r\n"
            b"Host: 127.0.0.1:%d\r\nContent-Type: video/mp4\r\n"
            b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n" % broker.port
        )

        answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_an_endless_chunked_body_is_cut_off(broker: BrokerProcess) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as line:
        line.sendall(
            b"POST /extension/beat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" % broker.port
        )
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(1000):
                line.sendall(piece)
        except OSError:
            return  # Closed on us: the broker did not take all of it.
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/chat/completions", "POST"),
        ("POST", "/extension/poll", "GET, HEAD"),
        ("PUT", "/jobs", "DELETE, GET, HEAD"),
        ("OPTIONS", "/v1/videos/generations", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    client: httpx.Client, method: str, path: str, allow: str
) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, told(answer)) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"job_id": "job_" + "0" * 32}},
        {"files": {"video": ("v.mp4", b"x", "video/mp4")}},
        {"data": {"job_id": "job_" + "0" * 32}, "files": {"film": ("v.mp4", b"x", "video/mp4")}},
        {
            "data": {f"f{n}": "x" for n in range(20)},
            "files": {"video": ("v.mp4", b"x", "video/mp4")},
        },
        {
            "data": {"job_id": "x" * 100_000},
            "files": {"video": ("v.mp4", b"x", "video/mp4")},
        },
    ],
)
def test_odd_forms_are_refused(client: httpx.Client, form: dict[str, object]) -> None:
    answer = client.post("/extension/complete", **form)  # type: ignore[arg-type]

    assert answer.status_code in (400, 404, 413, 415), answer.text
    assert told(answer)


def test_a_form_that_ends_too_early_is_refused(client: httpx.Client) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="video"; filename="v"\r\n\r\nhalf a fi'

    answer = client.post(
        "/extension/complete",
        content=body,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert (answer.status_code, told(answer)) == (400, "invalid_value")
