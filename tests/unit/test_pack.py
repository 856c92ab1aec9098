"""The page pack: handed out as it lies there, read again when it changes, refused in words when it will not do."""

import json
import os
from pathlib import Path

import pytest

from broker.api.extension.pack import MAX_PACK_BYTES, PackFile
from broker.config import SHIPPED_PACK, Settings
from broker.errors import NotFound, PackUnusable
from tests.support.running import run

GOOD = b'{"version": "1", "anything": ["else"]}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pack.json"


def test_a_pack_is_handed_out_byte_for_byte(path: Path) -> None:
    path.write_bytes(GOOD)

    pack = run(PackFile(path).read())

    assert (pack.data, pack.version) == (GOOD, "1")


def test_a_pack_that_changes_is_read_again(path: Path) -> None:
    path.write_bytes(GOOD)
    file = PackFile(path)
    tags = [run(file.read()).tag]

    path.write_bytes(GOOD.replace(b"1", b"2"))
    os.utime(path, (0, 1))
    assert run(file.version()) == "2"
    tags.append(run(file.read()).tag)
    path.write_bytes(b"{")
    os.utime(path, (0, 2))
    assert run(file.version()) is None
    path.unlink()
    with pytest.raises(NotFound):
        run(file.read())
    path.write_bytes(GOOD)

    assert run(file.read()).tag == tags[0] != tags[1]


def test_a_pack_that_does_not_change_is_not_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(GOOD)
    file = PackFile(path)
    run(file.read())
    monkeypatch.setattr(json, "loads", None)

    assert run(file.version()) == "1"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[]",
        b'"1"',
        b"{}",
        b'{"version": 1}',
        b'{"version": ""}',
        b'{"version": "%s"}' % (b"1" * 41),
        b"[" * 100_000,
        GOOD + b" " * MAX_PACK_BYTES,
    ],
)
def test_what_is_not_a_pack_is_refused_again_and_again(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    file = PackFile(path)

    for _ in range(2):
        with pytest.raises(PackUnusable):
            run(file.read())
    assert run(file.version()) is None


def test_a_pack_of_the_very_limit_is_taken(path: Path) -> None:
    path.write_bytes(GOOD + b" " * (MAX_PACK_BYTES - len(GOOD)))

    assert run(PackFile(path).version()) == "1"


def test_a_folder_is_not_a_pack(tmp_path: Path) -> None:
    with pytest.raises(PackUnusable):
        run(PackFile(tmp_path).read())


def test_the_pack_that_ships_lies_beside_the_code_and_another_may_be_named() -> None:
    assert Settings().pack_path == SHIPPED_PACK
    assert SHIPPED_PACK.is_absolute()
    assert Settings.from_env({"PACK_FILE": "my.json"}).pack_path == Path("my.json")
    assert run(PackFile(SHIPPED_PACK).version())
