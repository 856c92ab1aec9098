"""Secrets are planted wherever a caller can put one; afterwards they are searched for wherever one could turn up.

What a client asks for has to be kept while its job is there, so prompts and images are looked for after deletion.
"""

import base64
import secrets
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from broker.values import PayloadLog
from tests.support.auto_worker import AutoWorker
from tests.support.images import png_of
from tests.support.server import BrokerProcess

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"planted webhook secret, 32 bytes").decode()
#: Where no caller has to be known: what comes here is neither read nor kept.
HEADERS = {
    "Authorization": "Bearer plantedBearer5f1c",
    "X-Api-Key": "plantedApiKeyHeader77a0",
    "Cookie": "session=plantedCookie19e2",
    "Referer": "http://127.0.0.1/?token=plantedReferer88d1",
}
QUERY = "token=plantedToken31bb&api_key=plantedApiKeyQuery02c9&key=plantedKey6a6a"
#: Nobody is there.
HOOK = "http://127.0.0.1:9/hook?token=plantedHookToken40f3"
EARLY, LATE = "plantedEarlyWord", "plantedLateWord"
PROMPT = f"{EARLY} {'a cat plays the piano ' * 30}{LATE} sk-plantedKeyInPrompt0123456789"
PICTURE_MARK = b"plantedPictureMark" * 4


def picture() -> bytes:
    """A PNG with the mark in a comment."""
    whole = png_of(8, 8)
    chunk = b"tEXt" + b"Comment\0" + PICTURE_MARK
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return whole[:33] + framed + whole[33:]


IMAGE_URL = "data:image/png;base64," + base64.b64encode(picture()).decode()
#: A piece of the picture as it stands in the text, wherever a block of three bytes begins.
IMAGE_TEXT = base64.b64encode(PICTURE_MARK)[8:40]
NEVER = [b"plantedBearer", b"plantedApiKey", b"plantedCookie", b"plantedReferer"] + [
    b"plantedToken",
    b"plantedKey6a6a",
    WEBHOOK_SECRET.encode(),
]


class Seen(NamedTuple):
    """What is left of a broker that was asked all it can be asked."""

    folder: Path
    #: Bodies and headers of all answers.
    answers: str
    errors: str
    lease_tokens: Sequence[str]


@pytest.fixture(scope="module", params=list(PayloadLog))
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base_film: bytes
) -> tuple[PayloadLog, Seen]:
    folder = tmp_path_factory.mktemp(str(request.param))

    def new_film() -> bytes:
        """Bytes of its own at its end, so that it is not some other job's."""
        return base_film + bytes([0, 0, 0, 24]) + b"free" + secrets.token_bytes(16)

    settings = {"log_payloads": request.param, "webhook_secret": WEBHOOK_SECRET}
    settings |= {"webhook_allow_private": 1}
    with BrokerProcess(folder, **settings) as broker, broker.client(headers=HEADERS) as client:
        said: list[str] = []
        client.event_hooks["response"] = [lambda answer: said.append(read(answer))]
        with AutoWorker(broker, new_film) as worker:
            ask_for_everything(client)
        tokens = [job["lease_token"] for job in worker.seen]
        broker.stop()
    return request.param, Seen(folder, "\n".join(said), broker.output, tokens)


def read(answer: httpx.Response) -> str:
    return f"{answer.read().decode('latin-1')}\n{answer.headers}"


def ask_for_everything(client: httpx.Client) -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": PROMPT}]}
    shown = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
    chat: dict[str, Any] = {"messages": [turn | {"content": [*turn["content"], shown]}]}
    film = {"prompt": PROMPT, "image": IMAGE_URL, "webhook_url": HOOK}
    bodies: list[tuple[str, Any]] = [
        ("/v1/videos/generations", film),
        ("/v1/videos/generations", {"prompt": PROMPT, "image": IMAGE_URL}),
        ("/v1/images/generations", {"prompt": PROMPT}),
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "stream": True}),
        ("/v1/responses", {"input": PROMPT, "metadata": {"note": PROMPT[:99]}}),
        ("/v1/nothing", film),
        ("/extension/hello", {"name": PROMPT}),
        ("/extension/beat", {"job_id": PROMPT, "lease_token": "plantedToken31bb"}),
        ("/v1/videos/generations", {"prompt": PROMPT, "model": "gpt-9"}),
    ]
    for path, body in bodies:
        client.post(f"{path}?{QUERY}", json=body)
    for path in ("/", "/jobs", "/workers", "/webhooks", "/jobs/job_1", "/videos/x.mp4", "/nowhere"):
        client.get(f"{path}?{QUERY}")
        client.get(f"{path}?{QUERY}", headers={"Host": "evil.example"})
        client.get(f"{path}?{QUERY}", headers={"Origin": "https://evil.example"})
    client.post(f"/v1/chat/completions?{QUERY}", content=b"{", headers={"Content-Type": "a/b"})
    client.get(f"/extension/poll?{QUERY}&mode=video&wait=no")
    for job in client.get(f"/jobs?{QUERY}").json()["data"]:
        assert client.get(f"/jobs/{job['id']}?wait=30&{QUERY}").json()["finished_at"]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def holding(folder: Path, marker: bytes) -> list[str]:
    return [name for name, data in contents(folder).items() if marker in data]


def test_what_says_who_calls_is_found_nowhere(seen: tuple[PayloadLog, Seen]) -> None:
    _, left = seen
    everywhere = contents(left.folder) | {
        "answers": left.answers.encode(),
        "errors": left.errors.encode(),
    }

    assert len(everywhere) > 8
    assert len(left.answers) > 10_000
    assert [(m, name) for m in NEVER for name, data in everywhere.items() if m in data] == []


def test_a_lease_token_is_told_to_its_worker_alone(seen: tuple[PayloadLog, Seen]) -> None:
    _, left = seen

    assert len(left.lease_tokens) >= 6
    for token in left.lease_tokens:
        assert holding(left.folder, token.encode()) == []
        assert token not in left.answers + left.errors


def logged(left: Seen) -> bytes:
    return b"".join(contents(left.folder / "logs").values())


def test_a_prompt_is_in_the_log_as_far_as_the_setting_says(seen: tuple[PayloadLog, Seen]) -> None:
    payloads, left = seen
    told = logged(left)

    assert b"/v1/chat/completions" in told
    assert (EARLY.encode() in told) is (payloads != PayloadLog.NONE)
    assert (LATE.encode() in told) is (payloads == PayloadLog.FULL)
    assert b"plantedKeyInPrompt" not in told
    assert b"plantedHookToken" not in told + left.errors.encode()
    assert EARLY not in left.errors


def test_an_image_is_in_the_log_by_its_size_and_hash(seen: tuple[PayloadLog, Seen]) -> None:
    _, left = seen
    told = logged(left)

    assert IMAGE_TEXT not in told
    assert PICTURE_MARK not in told
    assert b"[%d characters, sha256 " % len(IMAGE_URL) in told


def test_what_was_deleted_is_in_no_file_and_no_copy(seen: tuple[PayloadLog, Seen]) -> None:
    _, left = seen
    asked = [EARLY.encode(), LATE.encode(), b"plantedKeyInPrompt", PICTURE_MARK, IMAGE_TEXT]
    data = contents(left.folder)
    assert all(marker in data["jobs.db"] for marker in asked[:3])
    assert holding(left.folder, PICTURE_MARK) != []
    assert not [name for name in data if name.endswith("-wal")]

    with BrokerProcess(left.folder) as again, again.client() as client:
        assert client.delete("/jobs").json()["deleted"] >= 6
        assert client.delete("/api/logs").json()["removed_files"] >= 2
        copy(left.folder / "jobs.db", left.folder / "copy.db")
        again.stop()

    assert {marker: holding(left.folder, marker) for marker in asked} == dict.fromkeys(asked, [])


def copy(source: Path, target: Path) -> None:
    """As the daily copy is made."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as db,
        closing(sqlite3.connect(target)) as copied,
    ):
        db.backup(copied)
