"""What is the disk store's own: durability, broken and full disks, file descriptors, memory, modes."""

import asyncio
import errno
import os
import shutil
import stat
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from broker.errors import BadSetting, DiskFull, NotFound, StoreFailed
from broker.media import folder as folder_module
from broker.media import upload as upload_module
from broker.media.disk import DiskMedia
from tests.support.disk_media import (
    FILM,
    JOB,
    MIB,
    OTHER,
    Opened,
    opened,
    published,
    read_all,
    sent,
    with_store,
)
from tests.support.running import run


def test_a_link_that_leads_out_of_the_folder_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not a film")

    async def body(media: Opened) -> None:
        (media.folder / f"{JOB}.mp4").symlink_to(tmp_path / "secret")

        assert await media.store.find(JOB) is None
        assert await media.store.films() == []
        with pytest.raises(NotFound):
            await read_all(media, JOB)

    with_store(tmp_path, body)


def test_a_reader_that_leaves_gives_its_file_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(tmp_path / "videos") as media:
            await published(media)
            before = open_files()
            for _ in range(5):
                pieces = media.store.read(JOB, 0, len(FILM))
                await anext(pieces)
                await pieces.aclose()  # type: ignore[attr-defined]
                await cancelled_midway(read_all(media, JOB))
        assert open_files() <= before

    run(body())


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


async def cancelled_midway(work: Awaitable[object]) -> None:
    """Begins it, and breaks it off at its first wait."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_disk_that_fills_up_refuses_the_upload_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(media: Opened) -> None:
        upload = await media.store.receive()
        await upload.write(bytes(MIB))
        await upload.write(b"x")
        monkeypatch.setattr(upload_module, "write_all", failing(errno.ENOSPC))
        with pytest.raises(DiskFull):
            await upload.seal()

        assert media.parts() == []
        with pytest.raises(DiskFull):
            await upload.write(b"more")

    with_store(tmp_path, body)


@pytest.mark.parametrize(("number", "error"), [(errno.EIO, StoreFailed), (errno.EDQUOT, DiskFull)])
def test_what_the_disk_could_not_sync_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    async def body(media: Opened) -> None:
        upload = await media.store.receive()
        await upload.write(FILM)
        monkeypatch.setattr(os, "fsync", failing(number))
        with pytest.raises(error):
            await upload.seal()

        assert media.parts() == []

    with_store(tmp_path, body)


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_film_in_use_that_cannot_be_replaced_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media)
        # What Windows answers while a reader has the old film open.
        monkeypatch.setattr(os, "replace", failing(errno.EACCES))

        with pytest.raises(StoreFailed, match="in use"):
            await upload.publish(JOB)

    with_store(tmp_path, body)


def test_the_film_is_synced_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds: list[str] = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(fd: int) -> None:
        deeds.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def seen_replace(source: Path, target: Path) -> None:
        deeds.append("name")
        replace(source, target)

    async def body(media: Opened) -> None:
        monkeypatch.setattr(os, "fsync", seen_fsync)
        monkeypatch.setattr(os, "replace", seen_replace)
        await published(media)
        await media.store.save_input(b"image", f"{JOB}.0")

        assert deeds == ["file", "name", "folder"] * 2

    with_store(tmp_path, body)


def test_no_upload_begins_without_room_for_it(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        assert 0 < await media.store.free_bytes() < 2**60
        with pytest.raises(DiskFull):
            await media.store.receive()

        assert media.parts() == []

    with_store(tmp_path, body, min_free_bytes=2**60)


def test_the_disk_is_asked_for_its_room_once_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(media: Opened) -> None:
        first = await media.store.free_bytes()
        monkeypatch.setattr(shutil, "disk_usage", failing(errno.EIO))

        assert await media.store.free_bytes() == first

    with_store(tmp_path, body)


def test_an_upload_whose_sender_vanished_leaves_nothing(tmp_path: Path) -> None:
    async def receive(media: Opened) -> None:
        upload = await media.store.receive()
        try:
            while True:
                await upload.write(bytes(MIB))
        finally:
            await upload.discard()

    async def body() -> None:
        before = open_files()
        async with opened(tmp_path / "videos", max_upload_bytes=2**60) as media:
            for _ in range(5):
                await cancelled_midway(receive(media))
            assert media.parts() == []
        assert open_files() <= before + 3  # The event loop's own.

    run(body())


def test_a_sweep_removes_what_an_earlier_run_left_and_nothing_under_way(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        under_way = await media.store.receive()
        await under_way.write(FILM)
        await published(media, OTHER)
        (media.folder / ".incoming" / "old.part").write_bytes(b"half a film")

        assert await media.store.sweep_leftovers() == 1

        await under_way.seal()
        await under_way.publish(JOB)
        assert await read_all(media, JOB) == await read_all(media, OTHER) == FILM

    with_store(tmp_path, body)


def test_an_upload_holds_two_mebibytes_and_no_more(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        piece = bytes(65_536)
        tracemalloc.start()
        upload = await media.store.receive()
        for _ in range(32 * MIB // len(piece)):
            await upload.write(piece)
        await upload.seal()

        assert tracemalloc.get_traced_memory()[1] < 2.5 * MIB

    try:
        with_store(tmp_path, body)
    finally:
        tracemalloc.stop()


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media)
        await media.store.save_input(b"image", f"{JOB}.0")

        for path in [media.folder, *media.folder.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    with_store(tmp_path, body)


def test_a_folder_that_cannot_be_had_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(BadSetting, match="video folder"):
        DiskMedia(tmp_path / "file" / "videos", max_upload_bytes=1, min_free_bytes=0)


def test_an_input_image_that_does_not_fit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(media: Opened) -> None:
        await media.store.save_input(b"first", f"{JOB}.0")
        monkeypatch.setattr(folder_module, "write_all", failing(errno.ENOSPC))
        with pytest.raises(DiskFull):
            await media.store.save_input(b"second", f"{JOB}.0")

        assert media.parts() == []
        assert await media.store.load_input(f"{JOB}.0") == b"first"

    with_store(tmp_path, body)
