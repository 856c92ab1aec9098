"""Forms made to hurt: each gets its status, costs little memory, and leaves nothing behind."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.server import BrokerProcess
from tests.support.wire import Line, Said, chunk, head
from tests.support.worker import ScriptedWorker

MIB = 1024 * 1024
#: What one bomb may make the broker's memory grow by at its peak.
GROWTH_BYTES = 64 * MIB
MULTIPART = "multipart/form-data; boundary=b"
PATH = "/extension/complete"


def part(disposition: str, value: bytes, *more: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *more]
    return b"--b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


def film(value: bytes = b"no film at all") -> bytes:
    return part('name="video"; filename="v.mp4"', value)


END = b"--b--\r\n"


class Siege:
    """A broker with one job in hand, whose form is what each bomb pretends to be."""

    def __init__(self, broker: BrokerProcess, cap_bytes: int, scratch: Path) -> None:
        self.broker = broker
        #: How large a film may be; the large bombs go by it.
        self.cap_bytes = cap_bytes
        self._scratch = scratch
        self._incoming = broker.folder / "videos" / ".incoming"
        self.most_on_disk = 0
        with broker.client() as client, ScriptedWorker(broker) as worker:
            client.post("/v1/videos/generations", json={"prompt": "a cat"})
            self.job = worker.take()
        self.named = b"".join(
            part(f'name="{name}"', self.job[name].encode()) for name in ("job_id", "lease_token")
        )

    def large(self, fill: bytes = b"x", size: int | None = None) -> Iterator[bytes]:
        """A fifth of what a film may have, in pieces, with an eye on the disk."""
        for _ in range((size or self.cap_bytes // 5) // MIB):
            yield fill * MIB
            self.most_on_disk = max(self.most_on_disk, self.on_disk())

    def form(self, *pieces: bytes, length: int | None = None) -> Said:
        """Sends it whole, with this or its true length, and ends."""
        body = b"".join(pieces)
        return self.pour(iter([body]), len(body) if length is None else length)

    def pour(self, pieces: Iterator[bytes], length: int | None = None) -> Said:
        """Sends it bit by bit; chunked where no length is given."""
        kind = (
            {"content_length": length} if length is not None else {"transfer_encoding": "chunked"}
        )
        with Line(self.broker.port) as line:
            line.says(head("POST", PATH, content_type=MULTIPART, **kind))
            line.pours(pieces if length is not None else map(chunk, pieces))
            return line.hears()

    def cut(self, keep: Callable[[int], int], *, is_reset: bool = False) -> Said:
        """Goes away after so many bytes of those that were announced."""
        body = self.named + film(b"x" * 3 * MIB) + END
        with Line(self.broker.port) as line:
            line.says(head("POST", PATH, content_type=MULTIPART, content_length=len(body)))
            line.says(body[: keep(len(body))])
            if is_reset:
                line.breaks()
                return Said(None, None, b"")
            line.ends()
            return line.hears()

    def on_disk(self) -> int:
        sizes = 0
        for folder in (self._incoming, self._scratch):
            with os.scandir(folder) as entries:
                sizes += sum(entry.stat().st_size for entry in entries)
        return sizes

    def left_behind(self) -> list[str]:
        """What is still there a second later."""
        until = time.monotonic() + 1
        while (left := [*os.listdir(self._incoming), *os.listdir(self._scratch)]) and (
            time.monotonic() < until
        ):
            pass
        return left


class Bomb(NamedTuple):
    throw: Callable[[Siege], Said]
    #: None: the line is cut without a word.
    status: int | None
    code: str | None = None


def _percent(percent: int, size: int) -> int:
    return size * percent // 100


def _sized(siege: Siege, before: bytes, after: bytes, fill: bytes = b"x") -> Said:
    size = siege.cap_bytes // 5 // MIB * MIB
    pieces = itertools.chain([before], siege.large(fill, size), [after])
    return siege.pour(pieces, len(before) + size + len(after))


BOMBS = {
    "1,001 parts": Bomb(
        lambda s: s.form(*[part(f'name="f{n}"', b"") for n in range(1001)], END),
        413,
        "request_too_large",
    ),
    "10,000 headers of a part": Bomb(
        lambda s: s.form(part('name="video"', b"", *[f"X-{n}: y" for n in range(10_000)]), END),
        400,
        "invalid_value",
    ),
    "a megabyte as a header of a part": Bomb(
        lambda s: s.form(part('name="video"', b"", "X: " + "y" * MIB), END), 400, "invalid_value"
    ),
    "a megabyte as a field's name": Bomb(
        lambda s: s.form(part(f'name="{"n" * MIB}"', b""), END), 400, "invalid_value"
    ),
    "text before the first boundary": Bomb(
        lambda s: s.pour(itertools.chain([b"text"], s.large()), s.cap_bytes), 400, "invalid_value"
    ),
    "blank lines before a right form": Bomb(
        lambda s: _sized(s, b"", s.named + film() + END, b"\n"), 422, "result_rejected"
    ),
    "text after a right form": Bomb(
        lambda s: _sized(s, s.named + film() + END, b""), 422, "result_rejected"
    ),
    "a huge field": Bomb(
        lambda s: _sized(s, b'--b\r\nContent-Disposition: form-data; name="job_id"\r\n\r\n', END),
        413,
        "request_too_large",
    ),
    "a film without an end, in chunks": Bomb(
        lambda s: s.pour(
            itertools.chain(
                [s.named + film()[: -len(b"no film at all\r\n")]], s.large(size=s.cap_bytes * 2)
            )
        ),
        413,
        "request_too_large",
    ),
    "nothing without an end, in chunks": Bomb(
        lambda s: s.pour(itertools.chain([b"\r\n"], s.large(b"\n", s.cap_bytes * 2))),
        413,
        "request_too_large",
    ),
    "text without an end after the form, in chunks": Bomb(
        lambda s: s.pour(
            itertools.chain([s.named + film() + END], s.large(size=s.cap_bytes * 2)),
        ),
        413,
        "request_too_large",
    ),
    "no last boundary": Bomb(lambda s: s.form(s.named + film()), 400, "invalid_value"),
    "a form within the film": Bomb(
        lambda s: s.form(s.named + film(film().replace(b"--b", b"--c")) + END),
        422,
        "result_rejected",
    ),
    "two films": Bomb(lambda s: s.form(s.named + film() + film() + END), 400, "invalid_value"),
    "a film and an image": Bomb(
        lambda s: s.form(s.named + film() + part('name="image"; filename="i.png"', b"x") + END),
        400,
        "invalid_value",
    ),
    "eleven images": Bomb(
        lambda s: s.form(s.named, part('name="image"; filename="i.png"', b"x") * 11, END),
        413,
        "request_too_large",
    ),
    "a byte less than announced": Bomb(lambda s: s.cut(lambda size: size - 1), None),
    "a byte more than announced": Bomb(
        # The byte begins a second request, which is none.
        lambda s: s.form(s.named, film(), END[:-2], length=len(s.named + film() + END) - 3),
        400,
    ),
    "more announced than may be": Bomb(
        lambda s: s.form(film(), length=s.cap_bytes * 2), 413, "request_too_large"
    ),
    "a negative length": Bomb(lambda s: s.form(film(), length=-1), 400),
    "a length of a thousand digits": Bomb(lambda s: s.form(film(), length=10**1000), 400),
    "an endless boundary": Bomb(lambda s: s.form(b"--" + b"b" * MIB), 400, "invalid_value"),
    **{
        f"cut at {percent} % {'by a reset' if is_reset else 'by an end'}": Bomb(
            partial(Siege.cut, keep=partial(_percent, percent), is_reset=is_reset), None
        )
        for percent in (1, 50, 99)
        for is_reset in (False, True)
    },
}


@pytest.fixture(scope="module", params=[10, pytest.param(512, marks=pytest.mark.nightly)])
def siege(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Siege]:
    scratch = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
        patch.setenv("MAX_UPLOAD_MIB", str(request.param))
        with BrokerProcess(tmp_path_factory.mktemp("broker"), first_beat_seconds=600) as broker:
            yield Siege(broker, request.param * MIB, scratch)


@pytest.mark.faults
@pytest.mark.parametrize("name", BOMBS)
def test_a_body_made_to_hurt_gets_its_status_and_costs_little(siege: Siege, name: str) -> None:
    bomb = BOMBS[name]
    siege.most_on_disk = 0
    before = _memory(siege.broker.pid, "VmRSS")
    Path(f"/proc/{siege.broker.pid}/clear_refs").write_text("5")

    said = bomb.throw(siege)

    assert (said.status, said.code) == (bomb.status, bomb.code)
    assert siege.left_behind() == []
    assert _memory(siege.broker.pid, "VmHWM") - before <= GROWTH_BYTES
    assert siege.most_on_disk <= siege.cap_bytes
    with siege.broker.client() as client:
        shown = client.get(f"/jobs/{siege.job['job_id']}").json()
        assert shown["status"] == "processing"


def _memory(pid: int, what: str) -> int:
    """`VmRSS`: now; `VmHWM`: the most since it was last reset."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
