"""The secret beside the database: made once, whole, and its owner's alone."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker import secret_file
from broker.config import Settings
from broker.errors import StartRefused
from broker.secret_file import key_secret


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(db_path=tmp_path / "data" / "jobs.db")


def place(settings: Settings) -> Path:
    return Path(f"{settings.db_path}.key-secret")


def test_a_secret_is_made_once_and_found_again(settings: Settings) -> None:
    made = key_secret(settings)

    assert len(made) == 32
    assert key_secret(settings) == made
    assert [path.name for path in settings.db_path.parent.iterdir()] == ["jobs.db.key-secret"]


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_nobody_else_can_read_it_and_what_others_can_read_is_refused(settings: Settings) -> None:
    key_secret(settings)
    assert stat.S_IMODE(place(settings).stat().st_mode) == 0o600

    place(settings).chmod(0o640)

    with pytest.raises(StartRefused, match="can be read by others"):
        key_secret(settings)


def test_of_many_that_are_made_at_once_all_get_the_first(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [each.result() for each in [pool.submit(key_secret, settings) for _ in range(64)]]

    assert len(set(made)) == 1
    assert key_secret(settings) == made[0]


def test_it_is_made_where_there_are_no_hard_links_either(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(secret_file.os, "link", no_links)

    assert key_secret(settings) == key_secret(settings)


@pytest.mark.parametrize("content", ["", "short", "0" * 62, "z" * 64, "ä" * 64])
def test_what_is_no_secret_is_named_and_left_alone(settings: Settings, content: str) -> None:
    place(settings).parent.mkdir()
    place(settings).write_text(content, encoding="utf-8")

    with pytest.raises(StartRefused, match="does not hold the secret of keys") as refused:
        key_secret(settings)

    assert place(settings).read_text(encoding="utf-8") == content
    assert "zzz" not in refused.value.message
