"""How Chromium is found, and what a changed copy of the extension is: without starting one."""

import filecmp
import json
from pathlib import Path

import pytest

from broker.demo import browser
from broker.demo.browser import (
    EXTENSION,
    ChromiumMissing,
    command_line,
    extension_copy,
    find_chromium,
    has_screen,
)


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "my-chromium"
    path.touch(mode=0o755)
    return str(path)


def read_json(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_a_chromium_in_an_unusual_place_is_found_by_its_variable(program: str) -> None:
    assert find_chromium({"CHROMIUM": program}) == program


@pytest.mark.parametrize("environment", [{}, {"CHROMIUM": "/no/such/program"}])
def test_without_chromium_it_is_said_what_to_install(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ChromiumMissing, match="sudo apt-get install chromium"):
        find_chromium(environment, "linux")


@pytest.mark.parametrize(
    ("environment", "platform", "is_seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_a_window_is_opened_where_somebody_would_see_it(
    environment: dict[str, str], platform: str, is_seen: bool
) -> None:
    assert has_screen(environment, platform) is is_seen


def test_only_root_runs_chromium_without_its_sandbox(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHROMIUM", program)

    def sandboxed_for(user: int) -> bool:
        monkeypatch.setattr(browser.os, "geteuid", lambda: user)
        return "--no-sandbox" not in command_line(tmp_path, EXTENSION, is_headless=True)

    assert sandboxed_for(1000)
    assert not sandboxed_for(0)


def test_a_copy_is_exact_unless_something_is_changed(tmp_path: Path) -> None:
    copy = extension_copy(tmp_path / "copy")

    differing = [
        path.relative_to(EXTENSION)
        for path in EXTENSION.rglob("*")
        if path.is_file()
        and not filecmp.cmp(path, copy / path.relative_to(EXTENSION), shallow=False)
    ]
    assert differing == []


def test_a_copy_looks_for_its_broker_elsewhere(tmp_path: Path) -> None:
    copy = extension_copy(tmp_path / "copy", broker_url="http://127.0.0.1:9123")

    settings = (copy / "shared" / "settings.js").read_text(encoding="utf-8")
    assert 'brokerUrl: "http://127.0.0.1:9123"' in settings
    assert 'brokerUrl: "http://127.0.0.1:8000"' not in settings


def test_a_copy_without_the_observer_runs_nothing_in_the_pages_world(tmp_path: Path) -> None:
    copy = extension_copy(tmp_path / "copy", without_observer=True)

    whole, left = read_json(EXTENSION / "manifest.json"), read_json(copy / "manifest.json")
    assert '"world": "MAIN"' in json.dumps(whole)
    assert '"world": "MAIN"' not in json.dumps(left)
    assert left["content_scripts"]
    assert left["key"] == whole["key"]


def test_a_copy_has_the_limits_it_was_given_and_keeps_the_others(tmp_path: Path) -> None:
    copy = extension_copy(tmp_path / "copy", pack_limits={"stalled_seconds": 0.5})

    whole = read_json(EXTENSION / "sites" / "grok.json")
    whole["limits"]["stalled_seconds"] = 0.5  # type: ignore[index]
    assert read_json(copy / "sites" / "grok.json") == whole


def test_a_limit_that_no_pack_knows_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no limits .*'patience_seconds'"):
        extension_copy(tmp_path / "copy", pack_limits={"patience_seconds": 1})
