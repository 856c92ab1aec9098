"""What is written down: the request log (JSON Lines, one file a day) and the program's own log.

Lines are gathered in memory and written by one background thread, so a request never waits for the log and a
log that cannot be written never fails a request. Redaction happens before a line is made.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from broker.redaction import DATA_CHARS, SECRET, SECRET_FIELDS, counted, without_secrets
from broker.values import PayloadLog

FLUSH_SECONDS = 0.2
#: The pause after the disk has refused a line.
RETRY_SECONDS = 5.0
#: A line is never longer than this, whatever was sent.
MAX_LINE_CHARS = 16_384
#: What is kept of a line that would be longer: so many fields, so much of each.
MAX_CUT_FIELDS = 12
MAX_CUT_CHARS = 200
#: Lines that wait for a disk that does not take them; beyond this the oldest are dropped.
MAX_WAITING = 50_000
SHORT_CHARS = 500
_TEXT_FIELDS = frozenset({"prompt", "text", "content", "delta", "instructions", "input"})
#: Looked at beyond what is shown: a secret that the cut goes through is known by its beginning.
_MARGIN_CHARS = 64
#: A longer string, or one with a blank, may be somebody's words, whatever field it stands in.
_WORD_CHARS = 64


def redacted(value: Any, payloads: PayloadLog, key: str = "") -> Any:
    """A body as it may be written: image data becomes size and hash, prompts are cut or left out by setting."""
    if key.lower() in SECRET_FIELDS and value is not None:
        return SECRET
    if isinstance(value, Mapping):
        return {str(k): redacted(v, payloads, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, payloads, key) for item in value]
    if isinstance(value, str):
        return _redacted_text(value, payloads, key in _TEXT_FIELDS)
    return value


def _redacted_text(text: str, payloads: PayloadLog, is_prose: bool) -> str:
    if text.startswith("data:") or _is_data(text):
        return counted(text)
    # Of what is longer than a line nothing could be shown in any case.
    limit = SHORT_CHARS if is_prose and payloads == PayloadLog.SHORT else MAX_LINE_CHARS
    shown = without_secrets(text[: limit + _MARGIN_CHARS])
    if payloads == PayloadLog.NONE and (is_prose or len(shown) > _WORD_CHARS or " " in shown):
        return f"[{len(text)} characters]"
    if len(text) <= limit:
        return shown
    return shown[: min(limit, len(shown) - _MARGIN_CHARS)] + "…"


def _is_data(text: str) -> bool:
    """Languages that are written without blanks are not ASCII."""
    start = text[:DATA_CHARS]
    return len(text) > DATA_CHARS and " " not in start and start.isascii()


#: When it was, in Unix seconds, and what there is to say.
_Event = tuple[float, Mapping[str, Any]]


#: Made once: an encoder with options of its own costs more to make than to use.
_encode = json.JSONEncoder(ensure_ascii=True, default=str).encode


class LineFile:
    """One growing file of lines; `write` may be called from the event loop, at any rate."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self._waiting: deque[_Event] = deque(maxlen=MAX_WAITING)
        #: Finished lines, by day, that the disk has refused so far.
        self._refused: deque[tuple[str, str]] = deque(maxlen=MAX_WAITING)
        self._next_try_at = 0.0

    def write(self, at: float, fields: Mapping[str, Any]) -> None:
        self._waiting.append((at, fields))

    def flush(self) -> None:
        """Writes what is waiting, in the calling thread.

        Where the disk refuses, lines are kept and tried again after a pause: a log that cannot be written must
        not keep the machine busy with trying.
        """
        for _ in range(len(self._waiting)):
            at, fields = self._waiting.popleft()
            self._refused.append((_day(at), _line(at, fields)))
        if self._refused and time.monotonic() >= self._next_try_at:
            self._write_out()

    def _write_out(self) -> None:
        lines = list(self._refused)
        self._refused.clear()
        for day, group in groupby(lines, key=itemgetter(0)):
            text = [line for _, line in group]
            try:
                self._append(day, "".join(text))
            except OSError:
                self._next_try_at = time.monotonic() + RETRY_SECONDS
                self._refused.extend((day, line) for line in text)

    def _append(self, day: str, text: str) -> None:
        path = self._folder / f"{self._prefix}_{day}.jsonl"
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(text.encode("utf-8"))


@lru_cache(maxsize=8)
def _second(at: int) -> str:
    """Remembered, because a second holds thousands of lines."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _day(at: float) -> str:
    return _second(int(at))[:10]


def _line(at: float, fields: Mapping[str, Any]) -> str:
    stamp = f"{_second(int(at))}.{int(at * 1000) % 1000:03}Z"
    # ensure_ascii escapes control, bidi and line-separator characters too: one event, one line.
    line = _encode({"timestamp": stamp, **fields})
    if len(line) > MAX_LINE_CHARS:
        kept = {key: _cut(value) for key, value in islice(fields.items(), MAX_CUT_FIELDS)}
        line = _encode({"timestamp": stamp, **kept})
    return line + "\n"


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_CUT_CHARS else value[:MAX_CUT_CHARS] + "…"
    return value if value is None or isinstance(value, int | float) else "[too long]"


class RequestLog:
    """Requests and what became of them, in the documented form: `requests_YYYY-MM-DD.jsonl`, days in UTC."""

    def __init__(self, folder: Path, payloads: PayloadLog) -> None:
        self._lines = LineFile(folder, "requests")
        self._payloads = payloads

    def request(
        self, at: float, method: str, path: str, job_id: str | None, body: Any = None
    ) -> None:
        """A request was taken. `path` is without its query, which may hold what nobody should read."""
        self._lines.write(
            at,
            {
                "type": "request",
                "method": method,
                "path": without_secrets(path),
                "job_id": job_id,
                "payload": redacted(body, self._payloads),
            },
        )

    def response(self, at: float, job_id: str, status: str, **facts: Any) -> None:
        """A job ended, or a request was refused."""
        self._lines.write(at, {"type": "response", "job_id": job_id, "status": status, **facts})

    def flush(self) -> None:
        self._lines.flush()


class ProgramLog:
    """What the broker itself has to say: events in the past tense with data beside them, never a prompt.

    Each goes to `broker_YYYY-MM-DD.jsonl`; warnings and errors also to standard error.
    """

    def __init__(self, folder: Path, wall: Any) -> None:
        self._lines = LineFile(folder, "broker")
        self._wall = wall

    def info(self, event: str, **data: Any) -> None:
        self._write("info", event, _clean(data))

    def warning(self, event: str, **data: Any) -> None:
        self._tell("warning", event, _clean(data))

    def error(self, event: str, **data: Any) -> None:
        self._tell("error", event, _clean(data))

    def flush(self) -> None:
        self._lines.flush()

    def _write(self, level: str, event: str, data: Mapping[str, Any]) -> None:
        self._lines.write(self._wall(), {"level": level, "event": event, **data})

    def _tell(self, level: str, event: str, data: Mapping[str, Any]) -> None:
        self._write(level, event, data)
        told = " ".join(f"{key}={value!r}" for key, value in data.items())
        print(f"{level}: {event} {told}".rstrip(), file=sys.stderr, flush=True)


def _clean(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {k: without_secrets(v) if isinstance(v, str) else v for k, v in data.items()}


class LogWriter:
    """Flushes the logs in the background; the last lines at the end."""

    def __init__(self, *logs: RequestLog | ProgramLog) -> None:
        self._logs = logs
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="log-writer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._flush)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        for log in self._logs:
            log.flush()


def remove_logs(folder: Path, *, older_than: float | None = None) -> int:
    """Deletes log files, all of them or those last written before a moment; returns how many."""
    removed = 0
    for path in folder.glob("*_????-??-??.jsonl"):
        if older_than is None or path.stat().st_mtime < older_than:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
