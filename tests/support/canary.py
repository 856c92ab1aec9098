"""A canary for what sends requests to the outside: everything that gets past the guard is sent to it.

It listens on this machine and is reached whatever address a request was meant for: a single hit is a hole.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import httpx

from broker.net import guarded
from tests.support.images import png_of
from tests.support.running import run

PNG = png_of(3, 2)

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
#: What the test's DNS knows. A name that is not here is asked of the system if it is a number, and fails if not.
NAMES = {
    "example.com": [PUBLIC],
    "six.example": [PUBLIC_6],
    "xn--bcher-kva.example": [PUBLIC],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
    "inside.example": ["10.0.0.7"],
    "metadata.example": ["169.254.169.254"],
    "both.example": [PUBLIC, "127.0.0.1"],
    "both-six.example": [PUBLIC, "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nothing.example": [],
}
HOSTILE_URLS = """
http://127.0.0.1/                       http://127.0.0.1:80/cat.png          https://127.0.0.1/
http://127.1/                           http://127.0.1/                      http://2130706433/
http://0x7f000001/                      http://0x7f.0x0.0x0.0x1/             http://0177.0.0.1/
http://017700000001/                    http://0177.0x0.0.1/                 http://127.0.0.1./
http://0/                               http://0.0.0.0/                      http://127.255.255.254/
http://10.0.0.1/                        http://172.16.0.1/                   http://192.168.1.1/
http://169.254.169.254/latest/meta-data http://100.64.0.1/                   http://192.0.2.1/
http://198.18.0.1/                      http://224.0.0.1/                    http://239.255.255.250/
http://240.0.0.1/                       http://255.255.255.255/              http://[::1]/
http://[::]/                            http://[0:0:0:0:0:0:0:1]/            http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/                 http://[::127.0.0.1]/                http://[64:ff9b::7f00:1]/
http://[64:ff9b:1::7f00:1]/             http://[2002:7f00:1::1]/             http://[2001:0:7f00:1::]/
http://[fe80::1]/                       http://[fe80::1%25eth0]/             http://[fe80::1%25lo]/
http://[fc00::1]/                       http://[fd12:3456::1]/               http://[ff02::1]/
http://[fec0::1]/                       http://[2001:db8::1]/                http://[::ffff:10.0.0.1]/
http://localhost/                       http://LOCALHOST/                    http://localhost./
http://inside.example/                  http://metadata.example/             http://both.example/
http://both-six.example/                http://mapped.example/               http://nothing.example/
http://unknown.example/                 http://example.com:8000/             http://example.com:0/
http://example.com:22/                  https://example.com:8443/            http://user@example.com/
http://user:secret@example.com/         http://example.com@127.0.0.1/        http://127.0.0.1@example.com/
http://127.0.0.1\\@example.com/         http://example.com\\@127.0.0.1/      http://127.0.0.1#@example.com/
http://127.0.0.1?@example.com/          http://127.0.0.1%00.example.com/     http://127%2e0%2e0%2e1/
http://example%2ecom/                   http://127.0.0.1%0d%0aHost:x/        http://①②⑦.0.0.1/
http://127。0。0。1/                       http://ⓛocalhost/                    http:127.0.0.1
http:/127.0.0.1/                        http:\\\\127.0.0.1\\                 //127.0.0.1/
http:///127.0.0.1/                      http://                              http://:80/
file:///etc/passwd                      ftp://example.com/cat.png            gopher://127.0.0.1:80/_x
dict://127.0.0.1:80/                    data:image/png;base64,AAAA           javascript:alert(1)
ws://example.com/                       unix:///var/run/docker.sock          http+unix://%2Fvar%2Frun/
http://example.com:99999/               http://example.com:port/             http://[::1/
http://[v1.x]/                          example.com/cat.png                  http://_.example.com\\x/
""".replace("\\\\", "\\").split()


class Canary:
    """An HTTP server on this machine that writes down what it was asked, and answers as it was told."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.bodies: list[bytes] = []
        self.answers: dict[str, Iterable[bytes]] = {}
        self.sent_bytes = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Canary"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.hits.append(head)
        if size := re.search(r"^content-length: (\d+)\r$", head, re.IGNORECASE | re.MULTILINE):
            self.bodies.append(await reader.readexactly(int(size[1])))
        try:
            for piece in self.answers.get(head.split()[1], answer(PNG)):
                writer.write(piece)
                await writer.drain()
                self.sent_bytes += len(piece)
        except ConnectionError:
            """Hung up on: over the limit, or no longer wanted."""
        finally:
            writer.close()


class Diverted(httpx.AsyncHTTPTransport):
    """A network in which every address is the canary. Remembers where each request was meant to go."""

    def __init__(self, canary: Canary) -> None:
        super().__init__(verify=guarded.tls_context(), trust_env=False)
        self._canary = canary
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        diverted = httpx.Request(
            request.method,
            request.url.copy_with(scheme="http", host="127.0.0.1", port=self._canary.port),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(diverted)

    @property
    def addresses(self) -> list[str]:
        return [request.url.host for request in self.requests]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> list[bytes]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode(), body]


def redirect(location: str, status: str = "302 Found") -> list[bytes]:
    return answer(b"", status, Location=location)


async def resolved(host: str, port: int) -> Sequence[str]:
    if host in NAMES:
        return NAMES[host]
    if not host.replace("0x", "").replace(".", "").isalnum() and ":" not in host:
        raise socket.gaierror("unknown")
    flags = socket.AI_NUMERICHOST
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, flags=flags)]


def with_canary(test: Callable[[Canary, Diverted], Awaitable[None]]) -> None:
    async def body() -> None:
        async with Canary().listening() as canary:
            await test(canary, Diverted(canary))

    run(body())
