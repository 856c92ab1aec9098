"""The document this API began with: its examples run as they are written."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

DOCUMENT = (Path(__file__).parent / "seed_document.md").read_text(encoding="utf-8")
PORT = 8000
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str, word: str) -> list[str]:
    return [text for name, text in _BLOCK.findall(DOCUMENT) if name == language and word in text]


def documented(word: str) -> dict[str, object]:
    return next(json.loads(text) for text in blocks("json", word))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """On port 8000, because that is what the examples say."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.fail("Port 8000 is in use; the document's examples need it.")
    with BrokerProcess(tmp_path_factory.mktemp("seed"), server_port=PORT) as process:
        yield process


@pytest.fixture
def working(seed_worker: ScriptedWorker, new_film: Callable[[], bytes]) -> Iterator[None]:
    """A worker of the first generation that finishes one video job."""

    def work() -> None:
        job = seed_worker.take()
        assert seed_worker.upload_form(job, new_film()).status_code == 200

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


def test_the_python_example_runs_word_for_word(tmp_path: Path, working: None) -> None:
    (example,) = blocks("python", "requests.post")

    ran = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    assert "Video ready: http://localhost:8000/videos/job_" in ran.stdout
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_curl_examples_run_word_for_word(tmp_path: Path, working: None) -> None:
    curl = shutil.which("curl")
    assert curl is not None, "curl is needed for the document's curl examples"
    (example,) = [text for text in blocks("bash", "# Check status")]
    create, check, download = (part.strip() for part in re.split(r"# .*\n", example)[1:])

    def shell(command: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=30
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    job = json.loads(shell(create))
    assert job["status"] == "pending"
    assert json.loads(shell(check))["detail"] == "Job not found"
    shell(download)

    while job["status"] in ("pending", "processing"):
        job = json.loads(shell(check.replace("job_123abc", job["id"])))
    assert job["status"] == "completed"
    shell(download.replace("job_123abc", job["id"]))
    assert (tmp_path / f"{job['id']}.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_created_video_has_the_documented_keys(client: httpx.Client) -> None:
    example = documented('"videos.generation"')

    job = client.post("/v1/videos/generations", json={"model": "grok", "prompt": "A cat"}).json()

    assert set(example) <= set(job)
    assert job["object"] == example["object"]
    assert job["status"] == "pending"
    assert job["error"] is None
    assert job["video_url"] == f"{client.base_url}/videos/{job['id']}.mp4"
    assert re.fullmatch(r"job_[0-9a-f]{32}", job["id"])
    client.delete(f"/jobs/{job['id']}")


def test_a_poll_is_answered_with_the_documented_keys(
    client: httpx.Client, seed_worker: ScriptedWorker
) -> None:
    example = documented('"job_type"')
    created = client.post("/v1/videos/generations", json={"prompt": "A cat playing piano"}).json()

    job = seed_worker.take()

    assert set(example) <= set(job)
    assert {name: job[name] for name in ("job_type", "prompt", "image", "request")} == {
        "job_type": "video",
        "prompt": "A cat playing piano",
        "image": None,
        "request": None,
    }
    assert job["job_id"] == created["id"]
    assert seed_worker.error(job, "Error message").json()["outcome"] == "failed"
    told = client.get(f"/v1/videos/generations/{created['id']}").json()
    assert (told["status"], told["error"]) == ("failed", "Error message")


def test_a_chat_completion_has_the_documented_keys(
    client: httpx.Client, seed_worker: ScriptedWorker
) -> None:
    example = documented('"chat.completion"')

    def work() -> None:
        job = seed_worker.take("chat")
        assert job["request"]["messages"] == [{"role": "user", "content": "Hello"}]
        assert seed_worker.answer(job, "assistant response text").status_code == 200

    thread = threading.Thread(target=work)
    thread.start()
    answer = client.post(
        "/v1/chat/completions",
        json={"model": "grok-vision", "messages": [{"role": "user", "content": "Hello"}]},
    ).json()
    thread.join(30)

    assert set(example) <= set(answer)
    assert re.fullmatch(r"chatcmpl-job_[0-9a-f]{32}", answer["id"])
    assert answer["model"] == "grok-vision"
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "assistant response text"
    assert choice["finish_reason"] == "stop"
    assert set(answer["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}


@pytest.mark.parametrize(
    "line",
    [
        line
        for text in blocks("bash", " /")
        for line in text.splitlines()
        if re.fullmatch(r"(GET|DELETE) \S+", line) and "{" not in line
    ],
)
def test_every_documented_call_without_a_body_is_answered(client: httpx.Client, line: str) -> None:
    method, path = line.split()

    answer = client.request(method, f"{path}&wait=0" if "poll" in path else path)

    assert answer.status_code in (200, 204)


def test_the_log_has_the_documented_lines(
    client: httpx.Client,
    broker: BrokerProcess,
    seed_worker: ScriptedWorker,
    new_film: Callable[[], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    created = client.post("/v1/videos/generations", json={"prompt": "for the log"}).json()
    film = new_film()
    seed_worker.upload_form(seed_worker.take(), film)
    broker.stop()

    (log,) = (broker.folder / "logs").glob("requests_????-??-??.jsonl")
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    broker.start()

    mine = [line for line in lines if line["job_id"] == created["id"]]
    request, response = mine[0], mine[-1]
    assert {"timestamp", "type", "method", "path", "job_id", "payload"} <= set(request)
    assert (request["method"], request["path"]) == ("POST", "/v1/videos/generations")
    assert request["payload"]["prompt"] == "for the log"
    assert {"timestamp", "type", "job_id", "status", "duration", "video_size"} <= set(response)
    assert (response["status"], response["video_size"]) == ("completed", len(film))
