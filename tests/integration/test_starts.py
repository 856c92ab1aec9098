"""Every way to start, and every reason not to: one line, an exit status of its own, nothing damaged."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.server import ROOT, BrokerProcess
from tests.support.worker import ScriptedWorker


def start(folder: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environ = {"SERVER_PORT": "0", **{name.upper(): str(value) for name, value in settings.items()}}
    return subprocess.run(
        [sys.executable, *(arguments or (str(ROOT / "server.py"),))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("settings", "status", "told"),
    [
        ({"server_port": "many"}, 2, "SERVER_PORT='many' is not a port"),
        ({"job_timeout_seconds": "-1"}, 2, "JOB_TIMEOUT_SECONDS='-1'"),
        ({"max_video_age_days": "week"}, 2, "MAX_VIDEO_AGE_DAYS='week'"),
        ({"log_payloads": "all"}, 2, "none, short or full"),
        ({"video_lease_seconds": "30"}, 2, "twice BEAT_SECONDS"),
        ({"server_host": "0.0.0.0"}, 2, "no key is in force"),
        ({"server_host": "::"}, 2, "no key is in force"),
        ({"allowed_origins": "*"}, 2, "ALLOWED_ORIGINS"),
        ({"db_path": "file/jobs.db"}, 1, "DB_PATH"),
        ({"log_path": "file/logs"}, 1, "cannot be written"),
        ({"video_storage_path": "file/videos"}, 1, "cannot be written"),
    ],
)
def test_a_wrong_setting_is_named_and_ends_the_start(
    tmp_path: Path, settings: dict[str, str], status: int, told: str
) -> None:
    (tmp_path / "file").write_text("in the way")

    ran = start(tmp_path, **settings)

    assert ran.returncode == status, ran.stderr
    assert told in ran.stderr
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") <= 2, ran.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ran = start(tmp_path, server_port=port)

    assert ran.returncode == 7
    assert f"127.0.0.1:{port}" in ran.stderr
    assert not (tmp_path / "jobs.db").exists()


def test_a_damaged_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"not a database at all" * 500)

    ran = start(tmp_path)

    assert ran.returncode == 3
    assert "backups/" in ran.stderr
    assert (tmp_path / "jobs.db").read_bytes() == b"not a database at all" * 500


def test_an_open_network_needs_its_dangerous_name(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, server_host="0.0.0.0", dangerously_allow_open_network=1) as broker:
        assert "anybody who reaches this address" in broker.output
        with broker.client() as client:
            assert client.get("/").status_code == 200
        with ScriptedWorker(broker, name=None) as seed_worker:
            job = {"job_id": "job_" + "0" * 32, "lease_token": ""}
            refused = seed_worker.answer(job, "text")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "lease_lost")


def test_uvicorn_runs_the_same_application(tmp_path: Path) -> None:
    uvicorn = [sys.executable, "-m", "uvicorn", "server:app", "--port", "0", "--app-dir", str(ROOT)]
    process = subprocess.Popen(
        uvicorn,
        cwd=tmp_path,
        env={**os.environ, "MIN_FREE_DISK_MIB": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    port = None
    for line in process.stderr:
        if match := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            port = int(match.group(1))
            break
    assert port is not None
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        created = client.post("/v1/videos/generations", json={"prompt": "a cat"})
        assert created.status_code == 200
        assert client.get("/").json()["jobs"] == {"pending": 1}
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    process.stderr.close()
    assert process.wait(20) in (0, -signal.SIGTERM)
    assert (tmp_path / "jobs.db").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_what_the_broker_writes_is_its_owners_alone(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        client.post("/v1/videos/generations", json={"prompt": "a cat"})
        broker.stop()

    files = [path for path in tmp_path.rglob("*") if path.suffix in (".db", ".jsonl", ".mp4")]
    assert {path.suffix for path in files} == {".db", ".jsonl"}
    for path in [*files, tmp_path / "videos", tmp_path / "logs"]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    free = start(tmp_path, "-m", "broker", "doctor", server_port=1, min_free_disk_mib=0)
    wrong = start(tmp_path, "-m", "broker", "doctor", server_port="x")
    with BrokerProcess(tmp_path) as broker:
        settings = {"server_port": broker.port, "min_free_disk_mib": 0}
        alone = start(tmp_path, "-m", "broker", "doctor", **settings)
        with ScriptedWorker(broker, "Ann") as worker:
            worker.http.post("/extension/hello", json={"name": "Ann's", "kinds": ["chat"]})
            well = start(tmp_path, "-m", "broker", "doctor", **settings)

    assert "SERVER_PORT" in free.stdout
    assert wrong.returncode == 2
    assert (alone.returncode, "wrong  worker: none" in alone.stdout) == (1, True)
    assert (well.returncode, "good   worker: Ann's (ready)" in well.stdout) == (0, True), (
        well.stdout
    )
