"""What is written down: one event, one line of JSON, no secrets, and never at a request's expense."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker import log
from broker.keys import Scope, mint
from broker.log import LineFile, LogWriter, ProgramLog, RequestLog, redacted, remove_logs
from broker.values import PayloadLog
from tests.support.builders import NOW
from tests.support.running import run

DAY = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%d")
SHORT, FULL, NONE = PayloadLog.SHORT, PayloadLog.FULL, PayloadLog.NONE


@pytest.fixture(autouse=True)
def _tries_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "RETRY_SECONDS", 0.0)


def lines(folder: Path, prefix: str = "requests", day: str = DAY) -> list[dict[str, Any]]:
    text = (folder / f"{prefix}_{day}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def requests(tmp_path: Path) -> RequestLog:
    return RequestLog(tmp_path, SHORT)


def test_a_request_and_its_end_are_one_line_each_with_the_documented_keys(
    requests: RequestLog, tmp_path: Path
) -> None:
    requests.request(NOW, "POST", "/v1/videos/generations", "job_1", {"prompt": "a cat"})
    requests.response(NOW + 2, "job_1", "completed", duration=2.0, video_size=1000)
    requests.flush()

    asked, answered = lines(tmp_path)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", asked.pop("timestamp"))
    assert asked == {
        "type": "request",
        "method": "POST",
        "path": "/v1/videos/generations",
        "job_id": "job_1",
        "payload": {"prompt": "a cat"},
    }
    assert answered.pop("timestamp") > ""
    assert answered == {
        "type": "response",
        "job_id": "job_1",
        "status": "completed",
        "duration": 2.0,
        "video_size": 1000,
    }


def test_days_are_those_of_utc(requests: RequestLog, tmp_path: Path) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC).timestamp()

    requests.response(midnight - 0.001, "job_1", "failed")
    requests.response(midnight, "job_2", "failed")
    requests.flush()

    assert [line["job_id"] for line in lines(tmp_path, day="2026-02-28")] == ["job_1"]
    assert [line["job_id"] for line in lines(tmp_path, day="2026-03-01")] == ["job_2"]


@pytest.mark.parametrize(
    "text",
    ["two\nlines", "\r\n", "\u2028\u2029\x85", "\x00\x1b[31m", "\u202e\u2066", "\ud800", "☃ 猫"],
)
def test_one_event_is_one_line_whatever_it_says(
    requests: RequestLog, tmp_path: Path, text: str
) -> None:
    requests.request(NOW, "POST", f"/{text}", None, {"prompt": text})
    requests.flush()

    raw = (tmp_path / f"requests_{DAY}.jsonl").read_bytes()
    (line,) = lines(tmp_path)

    assert raw.count(b"\n") == 1
    assert raw.isascii()
    assert line["payload"] == {"prompt": text}


@pytest.mark.parametrize(
    "event",
    [
        {"payload": {"prompt": "cat " * 10_000}},
        {"path": "/" + "x" * 70_000},
        {"payload": {str(number): number for number in range(10_000)}, "path": "/" + "é" * 20_000},
        {"error": "\u202e" * 30_000},
        {f"key_{number}": "x" * 1000 for number in range(200)},
    ],
    ids=["payload", "path", "both", "error", "many"],
)
def test_a_line_has_a_limit_and_is_still_json(tmp_path: Path, event: dict[str, Any]) -> None:
    file = LineFile(tmp_path, "requests")

    file.write(NOW, {"type": "request", **event})
    file.flush()

    (line,) = lines(tmp_path)
    size = (tmp_path / f"requests_{DAY}.jsonl").stat().st_size
    assert size <= log.MAX_LINE_CHARS + 1
    assert line["type"] == "request"


@pytest.mark.parametrize(
    ("payloads", "shown"),
    [(FULL, "cat " * 300), (SHORT, ("cat " * 300)[:500] + "…"), (NONE, "[1200 characters]")],
)
def test_a_long_prompt_is_shown_as_far_as_the_setting_says(
    payloads: PayloadLog, shown: str
) -> None:
    body = {"prompt": "cat " * 300, "messages": [{"content": "cat " * 300}], "model": "grok"}

    assert redacted(body, payloads) == {
        "prompt": shown,
        "messages": [{"content": shown}],
        "model": "grok",
    }


def test_a_short_prompt_is_shown_unless_none_may_be() -> None:
    assert redacted({"prompt": "a cat"}, SHORT) == {"prompt": "a cat"}
    assert redacted({"prompt": "a cat"}, NONE) == {"prompt": "[5 characters]"}


@pytest.mark.parametrize("payloads", list(PayloadLog))
def test_image_data_becomes_size_and_hash(payloads: PayloadLog) -> None:
    url, data = "data:image/png;base64,AAAA", "iVBOR" * 100

    shown = redacted({"image": url, "input": data, "nested": [{"url": url}]}, payloads)

    assert re.fullmatch(r"\[26 characters, sha256 [0-9a-f]{64}\]", shown["image"])
    assert shown["input"].startswith("[500 characters, sha256 ")
    assert shown["nested"][0]["url"] == shown["image"]


@pytest.mark.parametrize("payloads", list(PayloadLog))
@pytest.mark.parametrize("secret", ["lt_0123", "gbc_key", "gbw_key", "gba_key", "Bearer abc"])
def test_a_secret_is_never_written(payloads: PayloadLog, secret: str) -> None:
    assert redacted({"lease_token": secret, "x": [secret]}, payloads) == {
        "lease_token": "[secret]",
        "x": ["[secret]"],
    }
    assert redacted({"lease_token": "anything", "authorization": "anything"}, payloads) == {
        "lease_token": "[secret]",
        "authorization": "[secret]",
    }


def test_a_key_within_words_is_not_written_either() -> None:
    key = mint(Scope.ADMIN)

    shown = redacted({"prompt": f"mine is {key}, and gba_ is how it begins"}, PayloadLog.FULL)

    assert shown == {"prompt": "mine is [secret], and gba_ is how it begins"}


def test_what_is_no_text_is_shown_as_it_is() -> None:
    body = {"n": 1, "f": 1.5, "b": True, "none": None}

    assert redacted(body, NONE) == body


def test_nothing_is_written_before_a_flush(requests: RequestLog, tmp_path: Path) -> None:
    requests.response(NOW, "job_1", "failed")
    assert list(tmp_path.iterdir()) == []

    requests.flush()
    requests.flush()

    assert len(lines(tmp_path)) == 1


def test_a_log_that_cannot_be_written_fails_nobody_and_is_written_later(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    requests = RequestLog(folder, SHORT)
    requests.response(NOW, "job_1", "failed")

    requests.flush()
    requests.response(NOW, "job_2", "failed")
    folder.mkdir()
    requests.flush()

    assert [line["job_id"] for line in lines(folder)] == ["job_1", "job_2"]


def test_lines_that_wait_too_long_are_dropped_oldest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_WAITING", 3)

    class RefusesOnce(LineFile):
        has_refused = False

        def _append(self, day: str, text: str) -> None:
            if self.has_refused:
                return super()._append(day, text)
            self.has_refused = True
            self.write(NOW, {"n": 3})
            raise OSError

    file = RefusesOnce(tmp_path, "requests")
    for number in range(3):
        file.write(NOW, {"n": number})

    file.flush()
    file.flush()

    assert [line["n"] for line in lines(tmp_path)] == [1, 2, 3]


def test_what_one_day_could_write_is_not_written_again(tmp_path: Path) -> None:
    """The second day's file cannot be opened: the first day's lines are there once all the same."""
    requests = RequestLog(tmp_path, SHORT)
    in_the_way = tmp_path / "requests_2026-03-01.jsonl"
    in_the_way.mkdir()
    midnight = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    requests.response(midnight - 1, "job_1", "failed")
    requests.response(midnight + 1, "job_2", "failed")

    requests.flush()
    in_the_way.rmdir()
    requests.flush()

    assert [line["job_id"] for line in lines(tmp_path, day="2026-02-28")] == ["job_1"]
    assert [line["job_id"] for line in lines(tmp_path, day="2026-03-01")] == ["job_2"]


def test_what_the_program_says_is_an_event_with_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = ProgramLog(tmp_path, lambda: NOW)

    program.info("broker_started", leases=2)
    program.warning("disk_full")
    program.error("sweep_failed", code="store_failed")
    program.flush()

    told = [(line["level"], line["event"]) for line in lines(tmp_path, "broker")]
    assert told == [
        ("info", "broker_started"),
        ("warning", "disk_full"),
        ("error", "sweep_failed"),
    ]
    assert lines(tmp_path, "broker")[0]["leases"] == 2
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["warning: disk_full", "error: sweep_failed code='store_failed'"]


def test_the_last_lines_are_written_at_the_end(requests: RequestLog, tmp_path: Path) -> None:
    async def scene() -> None:
        writer = LogWriter(requests)
        writer.start()
        requests.response(NOW, "job_1", "failed")
        await writer.stop()

    run(scene())

    assert len(lines(tmp_path)) == 1


def test_only_its_owner_may_read_a_log(requests: RequestLog, tmp_path: Path) -> None:
    requests.response(NOW, "job_1", "failed")
    requests.flush()

    assert (tmp_path / f"requests_{DAY}.jsonl").stat().st_mode & 0o077 == 0


def test_logs_are_removed_and_nothing_else(requests: RequestLog, tmp_path: Path) -> None:
    requests.response(NOW, "job_1", "failed")
    requests.flush()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "audit.jsonl").write_text("mine")

    assert remove_logs(tmp_path, older_than=0.0) == 0
    assert remove_logs(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "notes.txt"]


def test_a_disk_that_refuses_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "RETRY_SECONDS", 1000.0)
    requests = RequestLog(tmp_path / "gone", SHORT)
    requests.response(NOW, "job_1", "failed")
    requests.flush()
    (tmp_path / "gone").mkdir()

    made = 0

    def counted(*_: object) -> str:
        nonlocal made
        made += 1
        return "a line"

    monkeypatch.setattr(log, "_line", counted)
    for _ in range(10):
        requests.flush()

    assert made == 0
    assert list((tmp_path / "gone").iterdir()) == []
