"""`run.py`, without making an environment: what it decides, what it would start, what it tells the person."""

import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import run

PASSED = (sys.executable, "-c", "")
FAILED = (sys.executable, "-c", "raise SystemExit(3)")
NODE = run.Node("/usr/bin/node", "/usr/bin/npm")


@pytest.fixture
def stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "installed.json"
    monkeypatch.setattr(run, "STAMP", path)
    return path


@pytest.fixture
def requirements(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "requirements.txt", tmp_path / "requirements-demo.txt"]
    for file in files:
        file.write_text(f"# {file.name}\n")
    return files


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were started; none of them really is, and all of them succeed."""
    commands: list[list[str]] = []

    def succeed(command: Sequence[str | Path], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append([str(part) for part in command])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", succeed)
    return commands


@pytest.fixture
def extension_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the extension's tests with nothing in it but its lock and its wheel file; the clients' beside it."""
    folder, clients = tmp_path / "extension", tmp_path / "clients"
    for each in (folder, clients):
        each.mkdir()
        (each / "package-lock.json").write_text("{}")
    (folder / "requirements-node.txt").touch()
    monkeypatch.setattr(run, "EXTENSION_TESTS", folder)
    monkeypatch.setattr(run, "CLIENT_TESTS", clients)
    monkeypatch.setattr(run, "NODE_WHEEL", folder / "requirements-node.txt")
    return folder


def saying(version: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=f"{version}\n")


def answering(status: int) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    return lambda command, **_: subprocess.CompletedProcess(command, status)


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))

    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(run.ROOT / "run.py"))

    assert "needs Python 3.11 or newer; this is Python 3.10" in str(stopped.value)


@pytest.mark.parametrize("arguments", [[], ["help"], ["-h"], ["--help"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = run.main(arguments)

    said = capsys.readouterr().out
    assert status == 0
    assert all(f"run.py {name}" in said for name in run.COMMANDS)


def test_an_unknown_command_is_named_and_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status = run.main(["sevre"])

    assert status == 2
    assert "no command 'sevre'" in capsys.readouterr().err


def test_a_command_hands_its_further_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Sequence[str]] = []
    monkeypatch.setattr(run, "prepare", lambda command: Path("/env/python"))
    monkeypatch.setattr(run, "hand_over", lambda command: handed.append(command) or 0)

    run.main(["demo", "--once", "--port", "8123"])

    assert handed == [
        [str(Path("/env/python")), "-m", "broker.demo.rehearsal", "--once", "--port", "8123"]
    ]


def test_only_a_demo_with_a_browser_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[tuple[str, ...]] = []
    handed: list[Sequence[str]] = []
    monkeypatch.setattr(
        run, "prepare", lambda command: prepared.append(command.programs) or Path("python")
    )
    monkeypatch.setattr(run, "hand_over", lambda command: handed.append(command) or 0)

    run.main(["demo", "--once"])
    run.main(["demo", "--once", "--browser"])

    assert prepared == [(), ("chromium",)]
    assert handed[1][-2:] == ["--once", "--browser"]


def test_a_failed_set_up_ends_with_one_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(command: run.Command) -> Path:
        raise run.SetUpFailed("no room on the disk")

    monkeypatch.setattr(run, "prepare", refuse)

    assert run.main(["serve"]) == 1
    assert "no room on the disk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "inside"), [("posix", "bin/python"), ("nt", "Scripts/python.exe")]
)
def test_the_environments_python_is_where_its_platform_keeps_it(platform: str, inside: str) -> None:
    assert run.venv_python(Path("env"), platform) == Path("env") / inside


def test_what_is_installed_already_is_not_installed_again(
    stamp: Path, requirements: list[Path], started: list[list[str]]
) -> None:
    run.install(Path("python"), requirements)
    run.install(Path("python"), requirements)
    run.install(Path("python"), requirements[:1])

    assert len(started) == 1
    assert started[0][-4:] == ["-r", str(requirements[0]), "-r", str(requirements[1])]


def test_a_changed_file_is_installed_again(
    stamp: Path, requirements: list[Path], started: list[list[str]]
) -> None:
    run.install(Path("python"), requirements)

    requirements[0].write_text("# changed\n")
    run.install(Path("python"), requirements)

    assert len(started) == 2


def test_an_installation_that_failed_is_tried_again(
    stamp: Path, requirements: list[Path], started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.install(Path("python"), requirements)
    requirements[0].write_text("# changed\n")
    with monkeypatch.context() as offline:
        offline.setattr(subprocess, "run", answering(1))
        with pytest.raises(run.SetUpFailed, match="Installing failed"):
            run.install(Path("python"), requirements)

    requirements[0].write_text("# requirements.txt\n")
    run.install(Path("python"), requirements)

    assert len(started) == 2


def test_a_damaged_stamp_counts_as_none(tmp_path: Path) -> None:
    broken = tmp_path / "installed.json"
    broken.write_text("{not json")

    assert run.read_stamp(broken) == {}
    assert run.read_stamp(tmp_path / "absent.json") == {}


def test_a_missing_requirements_file_is_named(stamp: Path, tmp_path: Path) -> None:
    with pytest.raises(run.SetUpFailed, match="requirements.txt cannot be read"):
        run.install(Path("python"), [tmp_path / "requirements.txt"])


def test_an_absent_environment_does_not_work(tmp_path: Path) -> None:
    assert not run.works(tmp_path / "bin" / "python")


def test_an_environment_that_cannot_be_made_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run, "root_prefix", lambda: None)

    with pytest.raises(run.SetUpFailed, match=r"apt-get install -y python3\.\d+-venv"):
        run.make_venv(Path("python"))


def test_a_program_that_nothing_here_wants_is_not_installed(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PROGRAMS", {"chromium": (("chromium",), tmp_path / "absent")})

    assert run.find_program("chromium") is None
    assert started == []


def test_without_the_right_to_install_a_missing_program_is_only_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "PROGRAMS", {"beanstalkd": (("no-such-program",), tmp_path)})
    monkeypatch.setattr(run, "root_prefix", lambda: None)

    assert run.find_program("beanstalkd") is None
    assert "beanstalkd is not on this machine" in capsys.readouterr().out


def test_a_library_that_is_there_is_not_installed(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "can_load", lambda library: True)

    assert run.find_library("libatomic1")
    assert started == []


def test_a_missing_library_is_installed(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(run, "root_prefix", list)
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(run, "can_load", lambda library: started != [])

    assert run.find_library("libatomic1")
    assert started[-1][-1] == "libatomic1"


def test_a_missing_library_that_cannot_be_installed_is_only_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(run, "root_prefix", lambda: None)
    monkeypatch.setattr(run, "LIBRARIES", {"libnone1": "libnone.so.1"})

    assert not run.find_library("libnone1")
    assert "libnone.so.1 is not on this machine" in capsys.readouterr().out


def test_the_first_failing_check_ends_the_run() -> None:
    checks = {"first": PASSED, "second": FAILED, "third": PASSED}

    steps = run.run_steps(checks)

    assert [(step.name, step.status) for step in steps] == [
        ("first", 0),
        ("second", 3),
        ("third", None),
    ]


def test_the_status_of_a_test_run_is_that_of_the_step_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "prepare_node", lambda python: NODE)
    monkeypatch.setattr(run, "CHECKS", {"first": FAILED[1:]})

    status = run.run_tests(Path(sys.executable), [])

    said = capsys.readouterr().out
    assert status == 3
    assert "FAILED   first" in said
    assert "not run  pytest" in said


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_is_a_failure_only_in_continuous_integration(
    ci: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(run, "prepare_node", lambda python: NODE)
    monkeypatch.setattr(run, "run_steps", lambda checks: [run.Step("pytest", 0)])
    monkeypatch.setattr(run, "read_skipped", lambda report: ["tests.a.test_b: no browser"])

    assert run.run_tests(Path("python"), []) == status
    assert "skipped  tests.a.test_b: no browser" in capsys.readouterr().out


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_an_unchecked_extension_is_said_and_a_failure_only_in_continuous_integration(
    ci: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(run, "CHECKS", {})
    monkeypatch.setattr(run, "prepare_node", lambda python: None)
    monkeypatch.setattr(run, "run_steps", lambda checks: [run.Step(name, 0) for name in checks])

    assert run.run_tests(Path("python"), []) == status

    said = capsys.readouterr().out
    assert "skipped  tsc, node --test: no node" in said
    assert "passed   node --test" not in said


def test_the_extension_is_checked_by_name_before_the_long_tests(
    extension_tests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tsconfig.json", "tsconfig.site.json", "b.test.js", "helpers.js", "a/c.test.js"):
        (extension_tests / name).parent.mkdir(exist_ok=True)
        (extension_tests / name).touch()
    foreign = extension_tests / "node_modules" / "thing" / "own.test.js"
    foreign.parent.mkdir(parents=True)
    foreign.touch()

    checks = run.commands(Path("python"), NODE, {"pytest": ["-m", "pytest"]})

    assert list(checks)[-4:] == [
        "tsc -p tsconfig.json",
        "tsc -p tsconfig.site.json",
        "node --test",
        "pytest",
    ]
    assert checks["node --test"] == [
        NODE.node,
        "--test",
        run.REPORTER,
        extension_tests / "a" / "c.test.js",
        extension_tests / "b.test.js",
    ]


def test_the_browser_tests_run_beside_each_other_unless_somebody_asks_for_some(
    tmp_path: Path,
) -> None:
    steps = run.pytest_steps(tmp_path, [])
    asked = run.pytest_steps(tmp_path, ["tests/unit", "-x"])

    assert list(steps) == ["pytest", "pytest tests/e2e"]
    assert "--ignore=tests/e2e" in steps["pytest"]
    assert {"tests/e2e", "-n"} < set(steps["pytest tests/e2e"])
    assert list(asked) == ["pytest"]
    assert list(asked["pytest"])[-2:] == ["tests/unit", "-x"]


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [("v20.0.0", True), ("v24.19.0", True), ("v18.20.4", False), ("not a version", False)],
)
def test_a_node_is_taken_when_it_is_new_enough(
    version: str, is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.shutil, "which", lambda name, path: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", saying(version))

    assert run.node_in(None) == (NODE if is_taken else None)


def test_a_node_without_npm_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.shutil, "which", lambda name, path: None if name == "npm" else name)

    assert run.node_in(None) is None


def test_a_machine_without_node_gets_one_from_a_wheel(
    extension_tests: Path,
    stamp: Path,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = {None: None, str(Path("env/bin")): NODE}
    monkeypatch.setattr(run, "node_in", lambda path: places[path])

    assert run.prepare_node(Path("env/bin/python")) == NODE

    pip, *npm = started
    assert pip[-2:] == ["-r", str(run.NODE_WHEEL)]
    assert [command[:3] for command in npm] == [[NODE.npm, "ci", "--ignore-scripts"]] * 2


def test_without_a_network_there_is_no_node_and_no_failure_yet(
    extension_tests: Path,
    stamp: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "node_in", lambda path: None)
    monkeypatch.setattr(subprocess, "run", answering(1))

    assert run.prepare_node(Path("python")) is None
    assert "Installing failed" in capsys.readouterr().out


@pytest.fixture
def finished(extension_tests: Path) -> Path:
    """What npm writes when it has installed everything."""
    path = extension_tests / "node_modules" / ".package-lock.json"
    path.parent.mkdir()
    path.touch()
    return path


def test_modules_are_installed_once_for_each_lock_file(
    extension_tests: Path, finished: Path, stamp: Path, started: list[list[str]]
) -> None:
    assert run.install_modules(NODE, extension_tests)
    assert run.install_modules(NODE, extension_tests)
    assert len(started) == 1

    (extension_tests / "package-lock.json").write_text("{ }")
    assert run.install_modules(NODE, extension_tests)
    assert len(started) == 2

    finished.unlink()
    assert run.install_modules(NODE, extension_tests)
    assert len(started) == 3

    assert run.install_modules(NODE, run.CLIENT_TESTS)
    assert len(started) == 4


def test_modules_that_could_not_be_installed_are_tried_again(
    extension_tests: Path,
    finished: Path,
    stamp: Path,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as offline:
        offline.setattr(subprocess, "run", answering(1))
        assert not run.install_modules(NODE, extension_tests)

    assert run.install_modules(NODE, extension_tests)
    assert len(started) == 1


def test_skipped_tests_are_read_from_the_report_and_expected_failures_are_not(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="t" name="test_b"><skipped type="pytest.skip" message="no x"/></testcase>'
        '<testcase classname="t" name="test_c"><skipped type="pytest.xfail" message="k"/></testcase>'
        '<testcase classname="t" name="test_d"/>'
        "</testsuite></testsuites>"
    )

    assert run.read_skipped(tmp_path) == ["t.test_b: no x"]
    report.unlink()
    assert run.read_skipped(tmp_path) == []
