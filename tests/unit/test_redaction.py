"""What must not be written down is taken out of a text wherever it stands, and nothing else is."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.log import MAX_LINE_CHARS, SHORT_CHARS, ProgramLog, RequestLog, redacted
from broker.redaction import SECRET_FIELDS, without_secrets
from broker.values import PayloadLog
from tests.support.builders import NOW

DAY = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%d")
PAYLOADS = list(PayloadLog)
#: What nobody may read afterwards, and how it may stand in a text.
HIDDEN = "Zq7marker0Zq7marker0"
SECRETS = [
    f"gbc_{HIDDEN}",
    f"gbw_{HIDDEN}",
    f"gba_{HIDDEN}",
    f"lt_{HIDDEN}",
    f"whsec_{HIDDEN}+/==",
    f"sk-{HIDDEN}",
    f"sk-proj-{HIDDEN}",
    f"sk-ant-api03-{HIDDEN}",
    f"xai-{HIDDEN}",
    f"Bearer {HIDDEN}",
    f"bearer   {HIDDEN}==",
    f"Authorization: Bearer {HIDDEN}",
    f"authorization: Basic {HIDDEN}=",
    f"AUTHORIZATION={HIDDEN}",
    f'"Authorization": "Digest {HIDDEN}"',
    f"x-api-key: {HIDDEN}",
    f"X-API-Key={HIDDEN}",
    f"api_key = '{HIDDEN}'",
    f"Cookie: session={HIDDEN}; other={HIDDEN}",
    f"Set-Cookie: id={HIDDEN}",
    f"eyJhbGciOiJI.{HIDDEN}.{HIDDEN}",
    f"https://u:{HIDDEN}@host.example/",
    f"https://{HIDDEN}@host.example/",
    f"https://host.example/x?token={HIDDEN}&next=1",
    f"https://host.example/x?next=1&api_key={HIDDEN}#here",
    f"/extension/poll?access_token={HIDDEN}",
    f"?key={HIDDEN}",
    f"?sig={HIDDEN}",
    f"?signature={HIDDEN}",
    f"password={HIDDEN}",
    f"WEBHOOK_SECRET={HIDDEN}",
    f"data:image/png;base64,{HIDDEN}",
    f"DATA:image/svg+xml;charset=utf-8;base64,{HIDDEN}/+=",
    f"{HIDDEN}/" * 20,
]
PLACES = [
    "{}",
    "{} and more",
    "before it {}",
    "in ({}) brackets",
    'in "{}" quotes',
    "two\n{}\nlines",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:24])
def test_a_secret_is_found_wherever_it_stands(secret: str, place: str) -> None:
    shown = without_secrets(place.format(secret))

    assert "marker" not in shown
    assert "[secret]" in shown or "characters, sha256" in shown
    for word in re.findall(r"[a-z]+", place):
        assert word in shown


@pytest.mark.parametrize("payloads", PAYLOADS)
@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:24])
def test_no_setting_and_no_field_shows_a_secret(payloads: PayloadLog, secret: str) -> None:
    text = f"My key is {secret} as you know"
    body = {
        "prompt": text,
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
        "metadata": {"note": text},
        "webhook_url": secret,
        "unknown": [text, secret],
    }

    assert "marker" not in json.dumps(redacted(body, payloads))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A cat playing piano",
        "The bearer of good news. A task-force-with-long-name rides at dawn.",
        "A token: one of many. Passwords are = nothing.",
        "sk-short xai-grok desk-lamps-of-the-world salt_and_pepper result_0123456789",
        "http://localhost:8000/videos/job_0123456789abcdef0123456789abcdef.mp4",
        "a monkey=1, x = y, 2+2=4",
        "a@example.com wrote: see https://example.com/a/b?c=d@e",
        "eyJ is how it begins",
        "data: the plural of datum, always",
        "猫がピアノを弾く" * 40,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_the_rest_of_an_address_stays() -> None:
    shown = without_secrets("https://a:b@host.example/x?page=2&token=abcdef&size=3")

    assert shown == "https://[secret]@host.example/x?page=2&token=[secret]&size=3"


def test_an_image_within_a_text_becomes_size_and_hash() -> None:
    shown = without_secrets("![a cat](data:image/png;base64,AAAA) is a cat")

    assert re.fullmatch(r"!\[a cat\]\(\[26 characters, sha256 [0-9a-f]{64}\]\) is a cat", shown)


@pytest.mark.parametrize("payloads", PAYLOADS)
@pytest.mark.parametrize("value", ["short", 1234, ["a", "b"], {"a": "b"}])
def test_a_field_that_is_named_for_a_secret_is_never_shown(
    payloads: PayloadLog, value: Any
) -> None:
    for name in [*SECRET_FIELDS, "Authorization", "API_KEY"]:
        assert redacted({name: value, "model": "grok"}, payloads) == {
            name: "[secret]",
            "model": "grok",
        }


@pytest.mark.parametrize("cut", range(SHORT_CHARS - 40, SHORT_CHARS + 10))
def test_a_secret_that_the_cut_goes_through_is_not_shown_in_part(cut: int) -> None:
    text = ("cat " * 200)[:cut] + f" sk-{HIDDEN * 3} " + "dog " * 200

    shown = redacted({"prompt": text}, PayloadLog.SHORT)["prompt"]

    assert "Zq7" not in shown
    assert "sk-" not in shown
    assert shown.endswith("…")
    assert len(shown) <= SHORT_CHARS + 1


def test_many_secrets_bring_nothing_forward_that_was_behind_the_cut() -> None:
    text = f"gbc_{HIDDEN * 8} " * 3 + "cat " * 40 + f"sk-{HIDDEN}"

    for cut in range(540, 580):
        padded = text[: cut - 15] + " sk-" + HIDDEN + "dog " * 200
        assert "Zq7" not in redacted({"prompt": padded}, PayloadLog.SHORT)["prompt"]


def test_with_none_no_words_of_anybody_are_shown_in_whatever_field_they_stand() -> None:
    words = "a red marker cat"
    body = {"model": "grok", "n": 2, "stream": True, "title": words, "tools": [{"about": words}]}

    shown = redacted(body, PayloadLog.NONE)

    assert "marker" not in json.dumps(shown)
    assert (shown["model"], shown["n"], shown["stream"]) == ("grok", 2, True)


def test_words_that_are_written_without_blanks_are_words() -> None:
    assert redacted({"prompt": "猫" * 300}, PayloadLog.FULL) == {"prompt": "猫" * 300}


#: What makes a pattern try again and again.
STUBBORN = ["a_", "://", "token=", "eyJa", "-_", "data:a/b;", "data:", "a-key ", "Authorization : "]


@pytest.mark.parametrize("piece", [*STUBBORN, "x" * 256 + " ", "cookie: a=b;", "Bearer ", "sk-a."])
def test_no_text_is_shown_that_was_made_to_take_long(piece: str) -> None:
    """A pattern that went back and forth over a line of this size would not come to its end."""
    text = piece * (MAX_LINE_CHARS // len(piece))

    assert without_secrets(text + f" sk-{HIDDEN}").endswith("[secret]")


def written(folder: Path, prefix: str) -> str:
    return (folder / f"{prefix}_{DAY}.jsonl").read_text(encoding="utf-8")


def test_a_path_is_written_without_what_stands_in_it(tmp_path: Path) -> None:
    log = RequestLog(tmp_path, PayloadLog.FULL)

    log.request(NOW, "GET", f"/jobs/sk-{HIDDEN}", None)
    log.flush()

    assert '"path": "/jobs/[secret]"' in written(tmp_path, "requests")


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_the_program_tells_no_secret_of_what_broke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    log = ProgramLog(tmp_path, lambda: NOW)
    tell: Callable[..., None] = getattr(log, level)

    tell("it_broke", error=repr(ValueError(f"https://x.example/?token={HIDDEN}")), count=3)
    log.flush()

    told = written(tmp_path, "broker") + capsys.readouterr().err
    assert "it_broke" in told
    assert "token=[secret]" in told
    assert "marker" not in told
