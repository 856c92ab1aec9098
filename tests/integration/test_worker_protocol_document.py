"""The worker protocol's document: each of its dialogues is held with a real broker, word for word."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from broker.config import SHIPPED_PACK
from tests.support.images import png_of
from tests.support.server import BrokerProcess

DOCUMENT = Path(__file__).parents[2] / "docs" / "worker-protocol.md"
_SECTION = re.compile(r"^### Dialogue: (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"`([A-Z_]+)=([^`]+)`")
_PLACEHOLDER = re.compile(r"<([a-z_0-9]+)>")
OPEN_SECONDS = 30.0


class Block(NamedTuple):
    """A request or an answer as it stands in the document."""

    start: str
    headers: dict[str, str]
    body: str

    @property
    def is_answer(self) -> bool:
        return self.start.startswith("HTTP/")

    @classmethod
    def read(cls, text: str) -> "Block":
        head, _, body = text.rstrip("\n").partition("\n\n")
        start, *lines = head.splitlines()
        return cls(start, dict(line.split(": ", 1) for line in lines), body)


class Dialogue(NamedTuple):
    settings: dict[str, str]
    blocks: list[Block]


def dialogues() -> dict[str, Dialogue]:
    _, *parts = _SECTION.split(DOCUMENT.read_text(encoding="utf-8"))
    return {
        name: Dialogue(
            dict(_SETTING.findall(text)), [Block.read(block) for block in _BLOCK.findall(text)]
        )
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


DIALOGUES = dialogues()


class Values:
    """What the document's placeholders stand for: given, or as the broker first answered."""

    def __init__(self, known: dict[str, str], files: dict[str, bytes]) -> None:
        digests = {
            f"{name}_sha256": hashlib.sha256(data).hexdigest() for name, data in files.items()
        }
        self._known = known | digests
        self._files = files
        self._of_files = re.compile(f"<({'|'.join(files)})>")

    def filled(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: self._known[found[1]], text)

    def bytes_of(self, body: str, *, is_form: bool) -> bytes:
        """A body to be sent, or one that is expected, with the files in their places."""
        text = body.replace("\n", "\r\n") if is_form else body
        parts = self._of_files.split(text)
        filled = [self.filled(part).encode() for part in parts[::2]]
        files = [self._files[name] for name in parts[1::2]]
        return b"".join(b for pair in zip(filled, [*files, b""], strict=True) for b in pair)

    def is_file(self, body: str) -> bool:
        return self._of_files.fullmatch(body) is not None

    def check(self, shown: Any, told: Any, place: str = "answer") -> None:
        """That the broker said what the document shows; learns what its placeholders stand for."""
        if isinstance(shown, dict):
            assert isinstance(told, dict), place
            assert set(told) == set(shown), place
            for name, value in shown.items():
                self.check(value, told[name], f"{place}.{name}")
        elif isinstance(shown, list):
            assert len(told) == len(shown), place
            for number, value in enumerate(shown):
                self.check(value, told[number], f"{place}[{number}]")
        elif shown == "<time>":
            assert isinstance(told, int | float), place
        elif isinstance(shown, str):
            self.check_text(shown, told, place)
        else:
            assert told == shown, place

    def check_text(self, shown: str, told: Any, place: str) -> None:
        names = _PLACEHOLDER.findall(shown)
        patterns = [re.escape(text) for text in _PLACEHOLDER.split(shown)[::2]]
        pattern = patterns[0]
        for name, text in zip(names, patterns[1:], strict=True):
            value = re.escape(self._known[name]) if name in self._known else f"(?P<{name}>.+)"
            pattern += value + text
        match = re.fullmatch(pattern, told)
        assert match is not None, f"{place}: {told!r} is not {shown!r}"
        self._known |= match.groupdict()


class OpenCall(threading.Thread):
    """A request whose answer comes later."""

    def __init__(self, send: Callable[[], httpx.Response]) -> None:
        super().__init__(daemon=True)
        self._send = send
        self._answer: httpx.Response | None = None
        self._failure: httpx.HTTPError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._send()
        except httpx.HTTPError as error:
            self._failure = error

    def answer(self) -> httpx.Response:
        self.join(OPEN_SECONDS)
        assert self._answer is not None, f"the open request was not answered: {self._failure!r}"
        return self._answer


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., BrokerProcess]]:
    """A broker for each set of settings that the document names."""
    running: dict[tuple[tuple[str, str], ...], BrokerProcess] = {}

    def broker_with(settings: dict[str, str]) -> BrokerProcess:
        key = tuple(sorted(settings.items()))
        if key not in running:
            given = {name.lower(): value for name, value in settings.items()}
            running[key] = BrokerProcess(tmp_path_factory.mktemp("broker"), **given)
            running[key].start()
        return running[key]

    yield broker_with
    for broker in running.values():
        broker.stop()


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_of_the_document_goes_as_it_is_written(
    name: str, brokers: Callable[..., BrokerProcess], new_film: Callable[[], bytes]
) -> None:
    settings, blocks = DIALOGUES[name]
    broker = brokers(settings)
    files = {"film": new_film(), "other_film": new_film(), "pack": SHIPPED_PACK.read_bytes()}
    files |= {"picture": png_of(640, 480), "other_picture": png_of(641, 480)}
    values = Values({"url": broker.url}, files)

    with broker.client() as http:
        still_open: list[OpenCall] = []
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if block.is_answer:
                continue
            if after is not None and after.is_answer:
                _compare(after, _sent(http, block, values), values)
            else:
                still_open.append(_opened(http, block, values))
        for block, call in zip(_late_answers(blocks), still_open, strict=True):
            _compare(block, call.answer(), values)
        key = settings.get("ADMIN_KEYS")
        admin = {"Authorization": f"Bearer {key}"} if key else {}
        left = http.get("/", headers=admin).json()["jobs"]

    assert not left.get("pending")
    assert not left.get("processing")


def test_every_worker_call_is_made_in_some_dialogue(
    brokers: Callable[..., BrokerProcess],
) -> None:
    with brokers({}).client() as http:
        paths = http.get("/openapi.json").json()["paths"]
    calls = {
        (method.upper(), path.replace("{", "<").replace("}", ">"))
        for path, methods in paths.items()
        if path.startswith("/extension/")
        for method in methods
    }

    requests = [
        block for _, blocks in DIALOGUES.values() for block in blocks if not block.is_answer
    ]
    made = {(method, path.partition("?")[0]) for method, path, _ in map(_parts, requests)}

    assert calls
    assert calls <= made


def _parts(block: Block) -> list[str]:
    return block.start.split()


def _opened(http: httpx.Client, block: Block, values: Values) -> OpenCall:
    return OpenCall(lambda: _sent(http, block, values))


def _sent(http: httpx.Client, block: Block, values: Values) -> httpx.Response:
    method, path, _ = values.filled(block.start).split()
    headers = {name: values.filled(value) for name, value in block.headers.items()}
    is_form = headers.get("Content-Type", "").startswith("multipart/")
    body = values.bytes_of(block.body, is_form=is_form)
    return http.request(method, path, headers=headers, content=body or None)


def _late_answers(blocks: list[Block]) -> list[Block]:
    """The answers that do not follow their request."""
    return [
        block
        for before, block in zip(blocks, blocks[1:], strict=False)
        if block.is_answer and before.is_answer
    ]


def _compare(shown: Block, answer: httpx.Response, values: Values) -> None:
    _, status, reason = shown.start.split(" ", 2)
    assert (answer.status_code, answer.reason_phrase) == (int(status), reason), answer.text
    for name, value in shown.headers.items():
        values.check_text(value, answer.headers.get(name), name)
    kind = shown.headers.get("Content-Type", "").partition(";")[0]
    if kind == "application/json" and not values.is_file(shown.body):
        values.check(json.loads(shown.body), answer.json())
    elif kind == "text/event-stream":
        _compare_events(shown.body, answer.text, values)
    else:
        assert answer.content == values.bytes_of(shown.body, is_form=False)


def _compare_events(shown: str, told: str, values: Values) -> None:
    wanted, events = (
        [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
        for text in (shown, told)
    )
    assert len(events) == len(wanted), told
    for number, (want, event) in enumerate(zip(wanted, events, strict=True)):
        if want == "[DONE]":
            assert event == want
        else:
            values.check(json.loads(want), json.loads(event), f"event {number}")
