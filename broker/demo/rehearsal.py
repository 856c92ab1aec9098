"""`run.py demo`: a broker, the demo worker, one film and one chat through the public API, before your eyes.

Plays the client as any program would. The broker is `server_process.py`, the worker or the browser `stages.py`.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from broker.demo.browser import BrowserFailed
from broker.demo.film import FilmFacts, inspect_film, require_film_tools
from broker.demo.mishaps import FilmToolsMissing
from broker.demo.screen import Screen, screen
from broker.demo.server_process import ROOT, ServerFailed, ServerProcess, free_port
from broker.demo.stages import LOOK_SECONDS, Stage, browser_stage, worker_stage

IMAGE_PROMPT = "A lighthouse made of books, evening light"
VIDEO_PROMPT = "A cat playing the piano in a rain-lit attic, slow dolly in"
CHAT_TURNS = [
    {"role": "system", "content": "Answer in one short paragraph."},
    {"role": "user", "content": "What does a broker do between a program and a browser tab?"},
]
ROUND_TRIP_SECONDS = 120.0
#: How the files begin that an image may be, and what they are called then.
PICTURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


class RehearsalFailed(Exception):
    """The round trip did not come out as promised."""


class Script(NamedTuple):
    """What is played, and where."""

    port: int
    is_once: bool
    data: Path
    is_browser: bool = False
    word_seconds: float = 0.03
    least_film_seconds: float = 3.0

    def stage(self, url: str) -> AbstractAsyncContextManager[Stage]:
        if self.is_browser:
            return browser_stage(url, self.data)
        return worker_stage(url, self.data, self.word_seconds, self.least_film_seconds)


class Rehearsal:
    """One performance. `is_played` tells whether the round trip has come out as promised."""

    def __init__(self, script: Script, on: Screen) -> None:
        self.is_played = False
        self._script = script
        self._on = on

    async def run(self) -> None:
        """Plays the whole demo. Raises `RehearsalFailed`, `ServerFailed` or `BrowserFailed`; all is stopped then."""
        script, on = self._script, self._on
        port = free_port(script.port)
        if port != script.port:
            on.say(f"Port {script.port} is taken, so this demo uses {port}.")
        on.heading("Grok Broker: the demo")
        async with ServerProcess(port, script.data) as server:
            on.say(f"The broker runs at {server.url}")
            try:
                await self._play_beside(server)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None

    async def _play_beside(self, server: ServerProcess) -> None:
        """Plays, and serves on, for as long as the server and what stands behind it live."""
        script, on = self._script, self._on
        async with script.stage(server.url) as stage, asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(part.ended()) for part in (server, stage)]
            await _play(server.url, stage, script, on)
            self.is_played = True
            if script.is_once:
                for task in watching:
                    task.cancel()
            else:
                _invite(server.url, on)


async def _play(url: str, stage: Stage, script: Script, on: Screen) -> None:
    try:
        async with (
            asyncio.timeout(ROUND_TRIP_SECONDS),
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
        ):
            on.say(await stage.ready())
            await _film(http, stage, script.data, on)
            if stage.draws:
                await _picture(http, script.data, on)
            await _chat(http, on)
    except TimeoutError:
        raise RehearsalFailed(
            f"The round trip took more than {ROUND_TRIP_SECONDS:.0f} s."
        ) from None
    except httpx.HTTPError as error:
        raise RehearsalFailed(f"A call failed: {type(error).__name__} {error}") from error


async def _film(http: httpx.AsyncClient, stage: Stage, data: Path, on: Screen) -> None:
    on.heading("POST /v1/videos/generations")
    on.say(f"“{VIDEO_PROMPT}”")
    asked = {"model": "grok", "prompt": VIDEO_PROMPT}
    job = _json(await http.post("/v1/videos/generations", json=asked))
    with on.progress("Film") as advance:
        while job["status"] in ("pending", "processing"):
            advance(job["progress"], job.get("phase") or "waiting")
            await asyncio.sleep(LOOK_SECONDS)
            job = _json(await http.get(f"/v1/videos/generations/{job['id']}"))
        advance(job["progress"], job["status"])
    if job["status"] != "completed":
        raise RehearsalFailed(f"The film's job {job['status']}: {job['error']}")
    film = data / "videos" / "demo-film.mp4"
    await asyncio.to_thread(film.write_bytes, _checked(await http.get(job["video_url"])).content)
    facts = await asyncio.to_thread(check_film, film, stage, job["id"])
    on.say(f"Saved {film}")
    on.say(
        f"Checked by decoding all {facts.frames} frames: {facts.codec}, {facts.width}x{facts.height}, "
        f"{facts.fps:g} frames a second, {facts.seconds:.2f} s, {facts.size_bytes:,} bytes"
    )


def check_film(film: Path, stage: Stage, job_id: str) -> FilmFacts:
    """Decodes the film to its end. Raises `RehearsalFailed` unless it is the one that was asked for."""
    try:
        facts = inspect_film(film)
    except ValueError as error:
        raise RehearsalFailed(str(error)) from error
    if facts.codec != "h264" or facts.frames < 2:
        raise RehearsalFailed(f"{film} is no film: {facts}")
    if not stage.is_own(film, facts, VIDEO_PROMPT, job_id):
        raise RehearsalFailed(f"{film} is not the film that was asked for: {facts}")
    return facts


async def _picture(http: httpx.AsyncClient, data: Path, on: Screen) -> None:
    on.heading("POST /v1/images/generations")
    on.say(f"“{IMAGE_PROMPT}”")
    asked = {"prompt": IMAGE_PROMPT, "n": 1, "response_format": "b64_json"}
    answer = _json(await http.post("/v1/images/generations", json=asked, timeout=None))
    content = base64.b64decode(answer["data"][0]["b64_json"])
    kind = next((kind for start, kind in PICTURES.items() if content.startswith(start)), None)
    if kind is None:
        raise RehearsalFailed(f"This is no picture: {content[:20]!r}")
    picture = data / "videos" / f"demo-image.{kind}"
    await asyncio.to_thread(picture.write_bytes, content)
    on.say(f"Saved {picture} ({len(content):,} bytes)")


async def _chat(http: httpx.AsyncClient, on: Screen) -> None:
    on.heading("POST /v1/chat/completions, streamed")
    on.say(f"“{CHAT_TURNS[-1]['content']}”\n")
    asked = {"model": "grok-vision", "stream": True, "messages": CHAT_TURNS}
    pieces, finish = 0, None
    async with http.stream("POST", "/v1/chat/completions", json=asked) as response:
        if not response.is_success:
            await response.aread()
        _checked(response)
        async for event in _events(response):
            choice = event["choices"][0] if event.get("choices") else {}
            if piece := choice.get("delta", {}).get("content"):
                on.stream(piece)
                pieces += 1
            finish = choice.get("finish_reason") or finish
    on.say("")
    if pieces < 2 or finish != "stop":
        raise RehearsalFailed(f"The stream broke off: {pieces} pieces, finish_reason {finish}.")
    on.say(f"\n{pieces} pieces streamed, finish_reason {finish}")


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream; comments are passed over. Raises `RehearsalFailed` for an error and a missing end."""
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise RehearsalFailed(f"The stream says: {event['error'].get('message')}")
        yield event
    raise RehearsalFailed("The stream ended without [DONE].")


def _invite(url: str, on: Screen) -> None:
    on.heading("It keeps running. Ctrl-C ends it.")
    on.say(f"Dashboard   {url}/")
    on.say(
        f"Try         curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        '              -d \'{"model": "grok", "messages": [{"role": "user", "content": "Hello"}]}\''
    )


def _json(response: httpx.Response) -> Any:
    return _checked(response).json()


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise RehearsalFailed(
        f"{response.request.method} {response.request.url.path} answered {response.status_code}: "
        f"{response.text[:300]}"
    )


def main() -> int:
    """0 when all came out as promised, 1 when something did not, 130 when interrupted before it could."""
    options = _arguments().parse_args()
    on = screen()
    script = Script(options.port, options.once, options.data.resolve(), options.browser)
    rehearsal = Rehearsal(script, on)
    try:
        require_film_tools()
        asyncio.run(_until_told(rehearsal))
    except BrowserFailed as failed:
        on.complain(f"\n{failed}")
        # After the round trip this is a person who has closed the window.
        return 0 if rehearsal.is_played else 1
    except (FilmToolsMissing, RehearsalFailed, ServerFailed) as failed:
        on.complain(f"\n{failed}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        on.say("\nStopped.")
    return 0 if rehearsal.is_played else 130


async def _until_told(rehearsal: Rehearsal) -> None:
    """Ctrl-C cancels by itself; so do the other ways in which a terminal or a service says that it is over."""
    task = asyncio.current_task()
    assert task is not None
    if os.name == "posix":
        for name in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await rehearsal.run()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the round trip")
    parser.add_argument(
        "--browser",
        action="store_true",
        help="with the extension in a Chromium, before a stand-in for grok.com",
    )
    parser.add_argument("--port", type=int, default=8000, help="where the broker listens")
    parser.add_argument(
        "--data", type=Path, default=ROOT, help="where the films, logs and database of the demo go"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
