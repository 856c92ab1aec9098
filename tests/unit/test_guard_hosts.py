"""Under which names the broker answers, whatever it listens on and however the name is written on the line."""

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import House
from tests.support.server import BrokerProcess
from tests.unit.test_guard import ODD_HOSTS, STRANGE_HOSTS, UNICODE_HOSTS

#: Address that a connection came in on → how the broker was set up for it.
BINDS: dict[str, dict[str, Any]] = {
    "127.0.0.1": {},
    "::1": {"server_host": "::1"},
    "192.168.1.5": {"server_host": "0.0.0.0", "dangerously_allow_open_network": True},
    "2001:db8::5": {"server_host": "::", "dangerously_allow_open_network": True},
}
#: Beside those that every test of the guard knows.
MORE_HOSTS = [
    "0177.0.0.1:8000",
    "0177.0.0.1",
    "017700000001:8000",
    "127.000.000.001:8000",
    "127.0.1:8000",
    "127.0.0.1.:8000",
    "127.0.0.1:8000.evil.example",
    "evil.example@127.0.0.1:8000",
    "127.0.0.1:8000@evil.example",
    "localhost:8000,localhost:8000",
    "localhost:8000 evil.example",
    "localhost:8000;evil",
    "localhost\t:8000",
    "localhost%00:8000",
    "localhost%2eevil.example:8000",
    "localhost..:8000",
    "xlocalhost:8000",
    "localhostx:8000",
    "localhost:8000x",
    "localhost:-8000",
    "localhost:+8000",
    "localhost:8000 ",
    "//localhost:8000",
    "[::1]",
    "[::]:8000",
    "[::1%lo]:8000",
    "[::1]:8000]",
    "[[::1]]:8000",
    "[::ffff:7f00:1]:8000",
    "192.168.1.5",
    "192.168.1.5:8000",
    "[2001:db8::5]:8000",
    "0.0.0.0",
    "*",
    "null",
]
#: One of the above is a name of ours, alone or with the port.
OURS = {"[::1]"}


@pytest.fixture(scope="module", params=BINDS)
def bound(request: pytest.FixtureRequest) -> tuple[str, House]:
    return request.param, House(**BINDS[request.param])


@pytest.mark.parametrize("host", [*STRANGE_HOSTS, *ODD_HOSTS, *UNICODE_HOSTS, *MORE_HOSTS])
def test_no_bind_adds_a_name(bound: tuple[str, House], host: str | bytes) -> None:
    address, house = bound

    for method, path in (("GET", "/extension/poll"), ("GET", "/videos/a.mp4"), ("OPTIONS", "/")):
        answer = house.knock(method, path, hosts=(host,), server=(address, 8000))

        expected = {200, 405} if host in OURS else {421}
        assert answer.status in expected, path
        assert answer.reads == 0


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_the_names_of_this_machine_are_good_on_every_bind(
    bound: tuple[str, House], host: str
) -> None:
    address, house = bound

    assert house.knock(hosts=(host,), server=(address, 8000)).status == 200


def test_a_declared_name_is_good_as_it_was_declared_and_in_no_other_form() -> None:
    house = House(allowed_hosts=("broker.lan", "[2001:db8::5]:8443"))

    for host in ("broker.lan", "broker.lan:8000", "BROKER.LAN", "[2001:db8::5]:8443"):
        assert house.knock(hosts=(host,)).status == 200
    for host in ("a.broker.lan", "broker.lan.", "broker.lan:8443", "broker.lan:", "[2001:db8::5]"):
        assert house.knock(hosts=(host,)).status == 421


# As it comes over the line.


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as process:
        yield process


def answered(broker: BrokerProcess, *lines: str, body: str = "") -> tuple[int, str]:
    """The status and all that was said; `HERE` is the broker's own address."""
    here = f"127.0.0.1:{broker.port}"
    text = "\r\n".join([*lines, "Connection: close", "", body]).replace("HERE", here)
    with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as line:
        line.sendall(text.encode("latin-1"))
        said = b"".join(iter(lambda: line.recv(65_536), b"")).decode("latin-1")
    return int(said.split()[1]), said


REFUSED_LINES = {
    "no Host": ["GET /jobs HTTP/1.1"],
    "no Host, of the first version": ["GET /jobs HTTP/1.0"],
    "an empty Host": ["GET /jobs HTTP/1.1", "Host:"],
    "two Hosts": ["GET /jobs HTTP/1.1", "Host: HERE", "Host: evil.example"],
    "two Hosts, the wrong one first": ["GET /jobs HTTP/1.1", "Host: evil.example", "Host: HERE"],
    "the same Host twice": ["GET /jobs HTTP/1.1", "Host: HERE", "host: HERE"],
    "a Host over two lines": ["GET /jobs HTTP/1.1", "Host: HERE", " evil.example"],
    "a Host with a space in its name": ["GET /jobs HTTP/1.1", "Host : HERE"],
    "the right address behind a wrong Host": [
        "GET http://HERE/jobs HTTP/1.1",
        "Host: evil.example",
    ],
    "an address and no Host": ["GET http://HERE/jobs HTTP/1.1"],
    "a tunnel": ["CONNECT HERE HTTP/1.1", "Host: HERE"],
    "a forwarded Host": ["GET /jobs HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: HERE"],
}


@pytest.mark.parametrize("lines", REFUSED_LINES.values(), ids=REFUSED_LINES)
def test_a_request_that_does_not_name_the_broker_once_is_refused(
    broker: BrokerProcess, lines: list[str]
) -> None:
    status, said = answered(broker, *lines)

    assert status in (400, 404, 405, 421), said
    assert '"data":' not in said


CREATE = "/v1/videos/generations"


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (f"http://evil.example{CREATE}", "Accept: */*"),
        (f"http://evil.example:80{CREATE}", "Accept: */*"),
        (f"https://user@evil.example{CREATE}", "Accept: */*"),
        (CREATE, "X-Forwarded-Host: evil.example"),
        (CREATE, "Forwarded: host=evil.example;proto=https"),
        (CREATE, "X-Original-URL: http://evil.example/"),
        (CREATE, "X-Forwarded-Proto: evil"),
        (CREATE, "X-Forwarded-Prefix: //evil.example"),
    ],
)
def test_nothing_but_the_host_says_where_links_lead(
    broker: BrokerProcess, target: str, header: str
) -> None:
    body = '{"prompt": "x"}'
    typed = [f"Content-Length: {len(body)}", "Content-Type: application/json"]

    status, said = answered(
        broker, f"POST {target} HTTP/1.1", "Host: HERE", header, *typed, body=body
    )

    assert status == 200, said
    assert re.search(rf'"video_url": ?"{broker.url}/videos/job_[0-9a-f]+\.mp4"', said)
    assert "evil" not in said
