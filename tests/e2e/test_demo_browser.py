"""`run.py demo --browser` as a person runs it: all of it in one go, without an account and without a network."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.demo.film import inspect_film
from broker.demo.server_process import ROOT
from tests.support.browser import processes
from tests.support.e2e_waiting import wait_until


@pytest.fixture
def port() -> int:
    """Not the usual one, so that the extension has to be told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def demo(data: Path, port: int, *more: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "broker.demo.rehearsal", "--browser", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data", str(data), *more],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def chromiums(profile_of: str) -> list[int]:
    """The processes of a demo's Chromium that are still there."""
    return [pid for pid, words in processes().items() if f"{profile_of}/profile" in words]


def profile_folder(port: int) -> str:
    """Where the demo at this port keeps its browser's profile, read off the browser itself."""

    def look() -> list[str]:
        broker = f" http://127.0.0.1:{port}/ "
        started = [words for words in processes().values() if broker in words]
        return [words.split("--user-data-dir=")[1].split("/profile")[0] for words in started]

    return wait_until(look, bool)[0]


@pytest.mark.usefixtures("chromium")
def test_a_film_a_picture_and_a_chat_come_out_of_a_real_browser(tmp_path: Path, port: int) -> None:
    with demo(tmp_path, port, "--once") as process:
        said, complaint = process.communicate(timeout=120)

    assert process.returncode == 0, said + complaint
    assert "finish_reason stop" in said
    film = inspect_film(tmp_path / "videos" / "demo-film.mp4")
    assert film.codec == "h264"
    assert film.frames > 24
    assert len(list((tmp_path / "videos").glob("demo-image.*"))) == 1


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_with_its_browser_and_its_profile(
    name: signal.Signals, tmp_path: Path, port: int
) -> None:
    with demo(tmp_path, port) as process:
        folder = profile_folder(port)
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Try"):
                break
        assert chromiums(folder)
        process.send_signal(name)
        _, complaint = process.communicate(timeout=40)

    assert process.returncode == 0, complaint
    assert "Traceback" not in complaint
    assert chromiums(folder) == []
    assert not Path(folder).exists()


@pytest.mark.usefixtures("chromium")
def test_a_browser_that_is_closed_too_early_ends_the_demo_with_a_reason(
    tmp_path: Path, port: int
) -> None:
    with demo(tmp_path, port) as process:
        for pid in chromiums(profile_folder(port)):
            os.kill(pid, signal.SIGKILL)
        _, complaint = process.communicate(timeout=40)

    assert process.returncode == 1
    assert "Chromium ended with status" in complaint


def test_without_chromium_the_demo_says_what_to_install(tmp_path: Path, port: int) -> None:
    with demo(tmp_path, port, CHROMIUM="/no/such/program") as process:
        _, complaint = process.communicate(timeout=40)

    assert process.returncode == 1
    assert "sudo apt-get install chromium" in complaint
    assert "Traceback" not in complaint
