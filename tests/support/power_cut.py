"""What a power cut would leave: a broker's writes and syncs are recorded, and its disk is made anew up to a point.

What has not been synced may be lost, be there in part, or be torn; names too, which are safe once their folder has
been synced. Names change in order, as in a journal, and whole; what a mapping writes (`-shm`) is lost. Which bytes a
failing disk would damage that were safe before is not modelled.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.support.traced import TracedBroker

#: How a disk writes: so much or nothing.
SECTOR_BYTES = 512
NEVER = 1 << 60
#: A line for the end of each thread, and some.
_TAIL_BYTES = 20_000
_CALLS = (
    "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,"
    "write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,sendfile,sync_file_range,"
    "fsync,fdatasync,sendto,sendmsg"
)
#: Files that mean nothing after a restart, or of which nothing was promised.
_ASIDE = re.compile(r"(^|/)logs(/|$)|\.lock$|\.holder$|-shm$|/\.probe-\d+$")
_WHOLE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)$")
_BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)(.*)$")
_HEX = re.compile(r'(?:"|<)((?:\\x[0-9a-f]{2})*)(?:"|>)')
_REQUEST_ID = re.compile(rb"\r\nx-request-id: (\w+)\r\n")


class RecordedBroker(TracedBroker):
    """Every change that it makes in its folder is written to the log, which is whole once the broker has ended."""

    def __init__(self, folder: Path, log: Path) -> None:
        options = ("-y", "-xx", "-s", "2000000", "-e", f"trace={_CALLS}", "-o", str(log))
        paths = {"db_path": "jobs.db", "video_storage_path": "videos", "log_path": "logs"}
        super().__init__(folder, *options, **{name: folder / path for name, path in paths.items()})
        self._log = log

    def wait(self, limit_seconds: float = 30.0) -> int:
        status = super().wait(limit_seconds)
        until = time.monotonic() + limit_seconds
        while not re.search(rf"^{self.pid} +\+\+\+ ", self._tail(), re.MULTILINE):
            assert time.monotonic() < until, "strace did not end"
        return status

    def _tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            return log.read().decode()


class _Call(NamedTuple):
    """One call to the system. `begun` and `done` are places in the recording."""

    name: str
    arguments: str
    result: int
    rest: str
    begun: int
    done: int


@dataclass(eq=False, slots=True)
class _Node:
    """A file, or a folder."""

    is_folder: bool = False
    entries: dict[str, "_Node"] = field(default_factory=dict)
    #: Where the next plain write goes.
    at: int = 0


@dataclass(slots=True)
class _Change:
    """One change of the disk. It is safe once `node` was synced after it."""

    node: _Node
    begun: int
    done: int
    #: Of bytes: where, and what; None is a new length.
    offset: int = 0
    data: bytes | None = None
    #: Of names: what they are, and what they now stand for. None: nothing.
    names: tuple[tuple[_Node, str, _Node | None], ...] = ()
    safe_at: int = NEVER


class Recording:
    """What a broker did to a folder, and when it answered which request."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = str(folder)
        self.root = _Node(is_folder=True)
        self._changes: list[_Change] = []
        self._syncs: dict[int, list[tuple[int, int]]] = {}
        #: Request → when its answer began to leave.
        self.answered: dict[str, int] = {}
        for call in sorted(_calls(log), key=lambda call: call.begun):
            self._take(call)
        for change in self._changes:
            change.safe_at = self._safe_at(change)
        syncs = [end for found in self._syncs.values() for _, end in found]
        moments = [change.begun for change in self._changes] + syncs
        #: Where a cut makes a difference.
        self.moments = sorted({*moments, *self.answered.values()})

    def disk_at(self, cut: int, way: str, chance: Random) -> dict[str, bytes]:
        """Every file after a cut: what was not synced is `lost`, some of it (`half`), or the last `torn`."""
        made = [change for change in self._changes if change.begun <= cut]
        unsafe = [change for change in made if change.safe_at > cut]
        kept = {id(change) for change in made} - {id(change) for change in unsafe}
        torn: dict[int, bytes] = {}
        if way == "half":
            bytes_, names = _parted(unsafe)
            kept |= {id(change) for change in bytes_ if chance.random() < 0.5}
            kept |= {id(change) for change in names[: chance.randint(0, len(names))]}
        elif way == "torn":
            kept |= {id(change) for change in unsafe}
            last = next((change for change in reversed(unsafe) if change.data), None)
            if last is not None and last.data:
                sectors = chance.randint(0, (len(last.data) - 1) // SECTOR_BYTES)
                torn[id(last)] = last.data[: sectors * SECTOR_BYTES]
        return self._played([change for change in made if id(change) in kept], torn)

    def _played(self, changes: list[_Change], torn: Mapping[int, bytes]) -> dict[str, bytes]:
        contents: dict[int, bytearray] = {}
        names: dict[int, dict[str, _Node]] = {}
        for change in changes:
            for folder, name, node in change.names:
                if node is None:
                    names.setdefault(id(folder), {}).pop(name, None)
                else:
                    names.setdefault(id(folder), {})[name] = node
            if not change.names:
                data = torn.get(id(change), change.data)
                _put(contents.setdefault(id(change.node), bytearray()), change.offset, data)
        return dict(_files(self.root, "", names, contents))

    # How the recording is read.

    def _take(self, call: _Call) -> None:
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _HEX.findall(call.arguments)]
        if call.name in ("write", "writev", "sendto", "sendmsg") and (said := b"".join(texts[1:])):
            for request_id in _REQUEST_ID.findall(said):
                self.answered.setdefault(request_id.decode(), call.begun)
        if call.result < 0:
            return
        act = getattr(self, f"_{call.name}", None)
        paths = [text.decode() for text in texts[:2] if text.startswith(b"/")]
        if not any(path.startswith(self._folder) for path in paths):
            return
        assert act is not None, f"{call.name} is not understood here: {texts}"
        act(call, texts)

    def _openat(self, call: _Call, texts: list[bytes]) -> None:
        (opened,) = _HEX.findall(call.rest) or [""]
        path = bytes.fromhex(opened.replace("\\x", "")).decode()
        if "O_CREAT" not in call.arguments or (place := self._place(path)) is None:
            return
        folder, name = place
        if name not in folder.entries:
            self._name(call, folder, (folder, name, _Node()))
        elif "O_TRUNC" in call.arguments:
            node = folder.entries[name]
            node.at = 0
            self._changes.append(_Change(node, call.begun, call.done, 0))

    def _mkdir(self, call: _Call, texts: list[bytes]) -> None:
        if place := self._place(texts[-1].decode()):
            self._name(call, place[0], (*place, _Node(is_folder=True)))

    def _rename(self, call: _Call, texts: list[bytes]) -> None:
        source, target = (text.decode() for text in texts if text.startswith(b"/"))
        old, new = self._place(source), self._place(target)
        if old and new:
            node = old[0].entries[old[1]]
            self._name(call, new[0], (*old, None), (*new, node))

    def _link(self, call: _Call, texts: list[bytes]) -> None:
        old, new = (self._place(text.decode()) for text in texts[-2:])
        if old and new:
            self._name(call, new[0], (*new, old[0].entries[old[1]]))

    def _unlink(self, call: _Call, texts: list[bytes]) -> None:
        if place := self._place(texts[-1].decode()):
            self._name(call, place[0], (*place, None))

    def _unlinkat(self, call: _Call, texts: list[bytes]) -> None:
        # `shutil.rmtree` names what it removes from its folder.
        folder, name = (text.decode() for text in texts[-2:])
        path = name if name.startswith("/") else f"{folder}/{name}"
        if place := self._place(path):
            self._name(call, place[0], (*place, None))

    _rmdir = _unlink

    def _write(self, call: _Call, texts: list[bytes]) -> None:
        if node := self._file(texts[0]):
            data = texts[1][: call.result]
            self._changes.append(_Change(node, call.begun, call.done, node.at, data))
            node.at += len(data)

    def _pwrite64(self, call: _Call, texts: list[bytes]) -> None:
        if node := self._file(texts[0]):
            offset = int(call.arguments.rsplit(",", 1)[1])
            data = texts[1][: call.result]
            self._changes.append(_Change(node, call.begun, call.done, offset, data))

    def _ftruncate(self, call: _Call, texts: list[bytes]) -> None:
        if node := self._file(texts[0]):
            size = int(call.arguments.rsplit(",", 1)[1])
            self._changes.append(_Change(node, call.begun, call.done, size))

    def _fsync(self, call: _Call, texts: list[bytes]) -> None:
        if node := self._file(texts[0]):
            self._syncs.setdefault(id(node), []).append((call.begun, call.done))

    _fdatasync = _fsync

    def _name(self, call: _Call, safe_with: _Node, *names: tuple[_Node, str, _Node | None]) -> None:
        for folder, name, node in names:
            if node is None:
                folder.entries.pop(name, None)
            else:
                folder.entries[name] = node
        self._changes.append(_Change(safe_with, call.begun, call.done, names=names))

    def _place(self, path: str) -> tuple[_Node, str] | None:
        """The folder in which this path ends, and its name there; None for what is of no interest."""
        if not path.startswith(f"{self._folder}/") or _ASIDE.search(path[len(self._folder) :]):
            return None
        *above, name = path[len(self._folder) + 1 :].split("/")
        folder = self.root
        for step in above:
            folder = folder.entries[step]
        return folder, name

    def _file(self, path: bytes) -> _Node | None:
        if path.decode() == self._folder:
            return self.root
        place = self._place(path.decode())
        # A file that was removed goes by a name of its own: what is written to it is nowhere.
        return None if place is None else place[0].entries.get(place[1])

    def _safe_at(self, change: _Change) -> int:
        syncs = self._syncs.get(id(change.node), [])
        first = bisect_left(syncs, (change.done, 0))
        return min((end for _, end in syncs[first:]), default=NEVER)


def _calls(log: Path) -> Iterator[_Call]:
    open_calls: dict[tuple[str, str], tuple[int, str]] = {}
    with log.open() as lines:
        for number, line in enumerate(lines):
            if whole := _WHOLE.match(line):
                _, name, arguments, result, rest = whole.groups()
                yield _Call(name, arguments, _number(result), rest, number, number)
            elif begun := _BEGUN.match(line):
                thread, name, arguments = begun.groups()
                open_calls[thread, name] = (number, arguments)
            elif ended := _ENDED.match(line):
                thread, name, arguments, result, rest = ended.groups()
                at, before = open_calls.pop((thread, name))
                yield _Call(name, before + arguments, _number(result), rest, at, number)
    # Under way when the process was killed; of an answer, the client may have heard.
    for (_, name), (at, before) in open_calls.items():
        yield _Call(name, before, -1, "", at, NEVER)


def _number(result: str) -> int:
    return -1 if result == "?" else int(result)


def _parted(changes: list[_Change]) -> tuple[list[_Change], list[_Change]]:
    """Those of bytes, and those of names."""
    return [each for each in changes if not each.names], [each for each in changes if each.names]


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset : offset + len(data)] = data


def _files(
    folder: _Node,
    path: str,
    names: Mapping[int, Mapping[str, _Node]],
    contents: Mapping[int, bytearray],
) -> Iterator[tuple[str, bytes]]:
    for name, node in names.get(id(folder), {}).items():
        if node.is_folder:
            yield f"{path}{name}/", b""
            yield from _files(node, f"{path}{name}/", names, contents)
        else:
            yield f"{path}{name}", bytes(contents.get(id(node), b""))


def write_disk(folder: Path, disk: Mapping[str, bytes]) -> None:
    """Makes these files; a name that ends in a slash is a folder."""
    folder.mkdir()
    for name, content in disk.items():
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
            # As the broker makes all its files; it refuses secrets that others can read.
            (folder / name).chmod(0o600)
