"""Keys with real processes: made and ended on the command line and over HTTP while a broker runs."""

import hashlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.ids import UNNAMED_WORKER
from tests.support.keys import bearer, client_with, end_key, make_key, run_keys
from tests.support.meanwhile import at_once
from tests.support.receiver import Receiver
from tests.support.server import ROOT, BrokerProcess
from tests.support.worker import ScriptedWorker

CHOSEN = {scope: f"{scope}-correct-horse-battery" for scope in ("client", "worker", "admin")}
CREATE = "/v1/videos/generations"


@pytest.fixture
def folder(broker: BrokerProcess) -> Path:
    return broker.folder


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {f"{scope}_keys": key for scope, key in CHOSEN.items()}
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, webhook_allow_private=1, sweep_seconds=0.2, **settings) as process:
        yield process


@pytest.fixture
def admin(broker: BrokerProcess) -> Iterator[httpx.Client]:
    with client_with(broker, CHOSEN["admin"]) as client:
        yield client


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def seconds_until(broker: BrokerProcess, key: str, is_live: bool) -> float:
    """How long it takes until the broker knows what the command line did to this key."""
    begun_at = time.monotonic()
    with client_with(broker, CHOSEN["admin"]) as client:
        while time.monotonic() < begun_at + 10:
            standing = {made["id"]: made["is_live"] for made in ok(client.get("/keys"))["data"]}
            if standing.get(key[:12]) is is_live:
                return time.monotonic() - begun_at
    raise AssertionError(f"{key[:12]} never became {is_live}")


# The command line.


def test_a_key_made_rotated_and_revoked_counts_within_a_second(
    broker: BrokerProcess, folder: Path
) -> None:
    old = make_key(folder, "client", "--label", "the web client", "--owner", "alice")
    assert seconds_until(broker, old, True) < 1

    rotated = run_keys(folder, "rotate", old[:12], "--grace-hours", "0.01")
    new = rotated.stdout.strip()
    assert seconds_until(broker, new, True) < 1
    with client_with(broker, old) as client:
        assert client.get("/jobs").status_code == 200

    end_key(folder, old)
    end_key(folder, new)
    assert seconds_until(broker, old, False) < 1
    assert seconds_until(broker, new, False) < 1
    for key in (old, new):
        with client_with(broker, key) as client:
            assert client.get("/jobs").status_code == 401


def test_a_key_is_shown_once_and_kept_nowhere(broker: BrokerProcess, folder: Path) -> None:
    key = make_key(folder, "worker", "--label", "the desk's")
    seconds_until(broker, key, True)
    listed = run_keys(folder, "list")
    with client_with(broker, CHOSEN["admin"]) as client:
        told = [client.get("/keys").text, client.get("/health").text, client.get("/workers").text]
    with broker.client(headers=bearer(key[:-1] + "x")) as client:
        told.append(client.get("/jobs").text)

    assert re.search(rf"{key[:12]} +worker +{key[:12]} +in force .*the desk's", listed.stdout)
    assert key[:12] in told[0]
    secret = key[12:55].encode()
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert len(kept) > 4
    for text in [*kept, *(part.encode() for part in (*told, listed.stdout, broker.output))]:
        assert secret not in text
        assert b"correct-horse" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("revoke", "gbc_nothing0"), "There is no key"),
        (("rotate", "gbc_nothing0"), "There is no key"),
        (("forget", "gbc_nothing0"), "There is no key"),
        (("create", "--scope", "client", "--days", "nan"), "days"),
        (("create", "--scope", "client", "--open-jobs", "0"), "open_jobs"),
        (("create", "--scope", "client", "--label", "two\nlines"), "label"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    broker: BrokerProcess, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = run_keys(folder, *arguments)

    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ")
    assert said in ran.stderr
    assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)


def test_without_a_broker_the_command_line_makes_all_that_there_is_to_be(tmp_path: Path) -> None:
    key = make_key(tmp_path, "admin")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert {"jobs.db", "jobs.db.key-secret"} <= set(modes)
    assert {mode & 0o077 for name, mode in modes.items() if name.startswith("jobs.db")} == {0}
    with BrokerProcess(tmp_path) as broker, client_with(broker, key) as client:
        assert "Every call needs a key." in broker.output
        assert "No key is needed" not in broker.output
        assert client.get("/keys").status_code == 200
        assert httpx.get(f"{broker.url}/keys", trust_env=False).status_code == 401


def test_another_secret_makes_every_key_worthless_and_a_readable_one_ends_the_start(
    tmp_path: Path,
) -> None:
    key = make_key(tmp_path, "client")
    secret = tmp_path / "jobs.db.key-secret"
    secret.chmod(0o644)
    refused = start(tmp_path)
    secret.unlink()

    with BrokerProcess(tmp_path) as broker, client_with(broker, key) as client:
        assert client.get("/jobs").status_code == 401
    assert refused.returncode == 1
    assert "can be read by others: chmod 600" in refused.stderr


def test_a_key_whose_hash_was_written_into_the_database_opens_nothing(tmp_path: Path) -> None:
    """Whoever can write the database has no secret to make a hash with."""
    key = make_key(tmp_path, "client")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    forged = make_key(elsewhere, "client")
    with sqlite3.connect(tmp_path / "jobs.db") as db:
        (kept,) = db.execute("SELECT hash FROM keys").fetchone()
        db.execute(
            "INSERT INTO keys SELECT NULL, ?, scope, owner, label, ?, created_at, NULL, NULL, NULL, NULL, limits"
            " FROM keys",
            (forged[:12], hashlib.sha256(forged.encode()).hexdigest()),
        )
    db.close()

    assert kept != hashlib.sha256(key.encode()).hexdigest()
    with BrokerProcess(tmp_path) as broker, client_with(broker, forged) as client:
        assert client.get("/jobs").status_code == 401


# From nobody to somebody.


def test_the_first_key_asks_everybody_and_forgetting_the_last_asks_nobody(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as anybody:
        assert "No key is needed on this machine" in broker.output
        job_id = ok(anybody.post(CREATE, json={"prompt": "mine"}))["id"]
        assert "?" not in ok(anybody.get(f"/jobs/{job_id}"))["id"]
        with ScriptedWorker(broker) as keyless:
            assert keyless.poll("image", wait=0) is None
            parked: list[httpx.Response] = []
            waiting = parked_poll(keyless, parked)
            wait_for_poll(anybody)

            key = make_key(tmp_path, "client", "--owner", "local")
            begun_at = time.monotonic()
            waiting.join(10)

            assert time.monotonic() - begun_at < 1
            assert [answer.status_code for answer in parked] == [204]
        assert anybody.get("/jobs").status_code == 401
        assert ok(anybody.get("/health")) == ok(anybody.get("/")) == {"status": "ok"}
        # The owner "local" has what was made before there were keys.
        with client_with(broker, key) as local:
            assert ok(local.get(f"/jobs/{job_id}"))["id"] == job_id

        end_key(tmp_path, key)
        assert becomes(anybody, "/jobs", 401) < 1
        assert run_keys(tmp_path, "forget", key[:12]).returncode == 0
        assert becomes(anybody, "/jobs", 200) < 1


def becomes(client: httpx.Client, path: str, status: int) -> float:
    begun_at = time.monotonic()
    while client.get(path).status_code != status:
        assert time.monotonic() < begun_at + 10
    return time.monotonic() - begun_at


def parked_poll(worker: ScriptedWorker, answers: list[httpx.Response]) -> threading.Thread:
    """A poll on its way, whose answer is added to these."""
    poll = {"mode": "image", "wait": 20}
    thread = threading.Thread(
        target=lambda: answers.append(worker.http.get("/extension/poll", params=poll))
    )
    thread.start()
    return thread


def wait_for_poll(client: httpx.Client) -> None:
    for _ in range(1000):
        if ok(client.get("/health")).get("waiting_polls"):
            return
    raise AssertionError("no poll was parked")


# Workers.


def test_revoking_ends_a_parked_poll_within_a_second_and_every_call_after_it(
    broker: BrokerProcess, folder: Path, admin: httpx.Client
) -> None:
    for how in ("on the command line", "over HTTP"):
        key = make_key(folder, "worker")
        seconds_until(broker, key, True)
        with ScriptedWorker(broker, key=key) as worker:
            parked: list[httpx.Response] = []
            waiting = parked_poll(worker, parked)
            wait_for_poll(admin)

            if how == "over HTTP":
                ok(admin.delete(f"/keys/{key[:12]}"))
            else:
                end_key(folder, key)
            begun_at = time.monotonic()
            waiting.join(10)

            assert time.monotonic() - begun_at < 1, how
            assert [answer.status_code for answer in parked] == [204], how
            for path in ("/extension/poll?mode=video&wait=5", "/extension/pack"):
                assert worker.http.get(path).status_code == 401
            for path in ("hello", "beat", "chunks", "complete/chat", "error", "release"):
                assert worker.http.post(f"/extension/{path}", json={}).status_code == 401


def test_a_worker_acts_on_the_leases_of_its_own_key_alone(
    broker: BrokerProcess, folder: Path, admin: httpx.Client, new_film: Callable[[], bytes]
) -> None:
    """Not even with the other's token, nor without one, nor under the other's name."""
    key = make_key(folder, "worker")
    seconds_until(broker, key, True)
    with (
        client_with(broker, CHOSEN["client"]) as client,
        ScriptedWorker(broker, "desk", CHOSEN["worker"]) as holder,
        ScriptedWorker(broker, "desk", key) as other,
        ScriptedWorker(broker, None, key) as unnamed,
    ):
        job_id = ok(client.post(CREATE, json={"prompt": "a cat"}))["id"]
        job = holder.take()
        assert job["job_id"] == job_id
        assert ok(holder.beat(job, phase="preparing"))

        tried = [
            other.beat(job, phase="submitted"),
            other.chunks(job, (0, "x")),
            other.answer(job, "x"),
            other.error(job, "x"),
            other.release(job),
            other.upload(job, new_film()),
            other.upload_form(job, new_film()),
            unnamed.error(job, "x"),
            unnamed.upload_form(job, new_film()),
        ]
        assert {answer.status_code for answer in tried} <= {400, 409}, [a.text for a in tried]
        assert sum(answer.status_code == 409 for answer in tried) >= 7
        told = other.http.post(
            "/extension/hello", json={"name": "x", "version": "1", "kinds": ["video"], "held": []}
        )
        assert ok(told)["worker_id"] == "desk"
        claimed = {"job_id": job_id, "lease_token": job["lease_token"]}
        hello = {"name": "x", "version": "1", "kinds": ["video"], "held": [claimed]}
        assert ok(other.http.post("/extension/hello", json=hello))["lost"] == [job_id]

        assert ok(holder.beat(job, phase="submitted"))["cancel"] is False
        assert holder.upload(job, new_film()).status_code == 200
        shown = ok(client.get(f"/jobs/{job_id}"))
        assert (shown["status"], shown["attempt"], len(shown["attempts"])) == ("completed", 1, 1)


def test_a_worker_without_a_name_has_a_lease_token_like_any_other(broker: BrokerProcess) -> None:
    with (
        client_with(broker, CHOSEN["client"]) as client,
        ScriptedWorker(broker, None, CHOSEN["worker"]) as worker,
    ):
        job_id = ok(client.post(CREATE, json={"prompt": "a cat"}))["id"]
        job = worker.take()

        refused = worker.error(job, "no")
        assert refused.json()["error"]["code"] == "lease_lost"
        failed = worker.error(job, "no", lease_token=job["lease_token"], code="moderated")

        assert ok(failed)["outcome"] == "failed"
        worker_id = ok(client.get(f"/jobs/{job_id}"))["attempts"][0]["worker_id"]
        assert re.fullmatch(rf"env_[0-9a-f]{{8}}:{UNNAMED_WORKER}", worker_id)


# Limits.


def test_of_fifty_jobs_at_once_as_many_are_taken_as_the_key_may_have(
    broker: BrokerProcess, folder: Path
) -> None:
    key = make_key(folder, "client", "--open-jobs", 5)
    seconds_until(broker, key, True)
    with client_with(broker, key) as client:
        answers = at_once(
            [lambda n=n: client.post(CREATE, json={"prompt": f"{n}"}) for n in range(50)]  # type: ignore[misc]
        )
        refused = [answer for answer in answers if answer.status_code != 200]

        assert len(refused) == 45
        assert {answer.status_code for answer in refused} == {429}
        assert {answer.json()["error"]["code"] for answer in refused} == {"rate_limit_exceeded"}
        assert {int(answer.headers["retry-after"]) for answer in refused} == {30}
        taken = ok(client.get("/jobs"))["data"]
        assert len(taken) == 5
        # A failed job that is tried again is one more.
        ok(client.delete(f"/jobs/{taken[0]['id']}"))
        ok(client.post(CREATE, json={"prompt": "in its place"}))
        assert client.post(f"/jobs/{taken[0]['id']}/retry").status_code == 429
        for job in ok(client.get("/jobs"))["data"]:
            client.delete(f"/jobs/{job['id']}")


def test_a_repeated_request_is_no_second_job_for_the_limit(
    broker: BrokerProcess, folder: Path
) -> None:
    key = make_key(folder, "client", "--open-jobs", 1, "--daily-jobs", 1)
    seconds_until(broker, key, True)
    with client_with(broker, key) as client:
        sent = {"json": {"prompt": "once"}, "headers": {"Idempotency-Key": "k"}}
        made = {ok(client.post(CREATE, **sent))["id"] for _ in range(5)}

        assert len(made) == 1
        assert client.post(CREATE, json={"prompt": "twice"}).status_code == 429
        ok(client.delete(f"/jobs/{made.pop()}"))
        tomorrow = client.post(CREATE, json={"prompt": "twice"})
        assert "1 jobs a day" in tomorrow.json()["error"]["message"]


def test_a_key_for_some_models_is_told_of_no_other(broker: BrokerProcess, folder: Path) -> None:
    key = make_key(folder, "client", "--models", "grok-imagine-video, grok-4")
    seconds_until(broker, key, True)
    with client_with(broker, key) as client:
        names = {model["id"] for model in ok(client.get("/v1/models"))["data"]}
        allowed = client.post("/v1/videos", json={"prompt": "x", "model": "sora-2"})
        refused = client.post(CREATE, json={"prompt": "x", "model": "grok"})

        assert names == {"grok-imagine-video", "grok-4"}
        assert ok(client.delete(f"/jobs/{ok(allowed)['id']}"))["outcome"] == "cancelled"
        assert (refused.status_code, refused.json()["error"]["code"]) in (
            (404, "model_not_found"),
            (422, "model_not_found"),
        )


def test_calls_a_minute_are_refused_beyond_the_limit(broker: BrokerProcess, folder: Path) -> None:
    key = make_key(folder, "client", "--per-minute", 4)
    seconds_until(broker, key, True)
    with client_with(broker, key) as client:
        # A minute may begin in between, once.
        answers = [client.get("/v1/models").status_code for _ in range(20)]
        refused = client.get("/v1/models")

    assert answers.count(429) >= 10
    assert 1 <= int(refused.headers["retry-after"]) <= 60


# Over HTTP.


def test_keys_are_made_listed_rotated_and_revoked_over_http(
    broker: BrokerProcess, admin: httpx.Client
) -> None:
    asked = {"scope": "client", "label": "app", "owner": "carol", "days": 2, "open_jobs": 3}
    made = ok(admin.post("/keys", json=asked))

    with client_with(broker, made["key"]) as client:
        assert client.get("/jobs").status_code == 200
    assert {name: made[name] for name in asked if name != "days"} == {
        name: value for name, value in asked.items() if name != "days"
    }
    assert made["expires_at"] - made["created_at"] == 2 * 86_400
    rotated = ok(admin.post(f"/keys/{made['id']}/rotate", params={"grace_hours": 1}))
    assert (rotated["owner"], rotated["open_jobs"]) == ("carol", 3)
    listed = {key["id"]: key for key in ok(admin.get("/keys"))["data"]}
    assert {listed[key["id"]]["is_live"] for key in (made, rotated)} == {True}
    assert all("key" not in key and "hash" not in key for key in listed.values())
    for key in (made, rotated):
        assert ok(admin.delete(f"/keys/{key['id']}"))["is_live"] is False
        with client_with(broker, key["key"]) as client:
            assert client.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"scope": "root"},
        {"scope": "client", "days": 0},
        {"scope": "client", "per_minute": 0},
        {"scope": "client", "label": "x" * 101},
        {"scope": "client", "label": "a\nb"},
        {"scope": "client", "owner": "turned \u202e round"},
        {"scope": "client", "models": []},
    ],
)
def test_a_key_that_cannot_be_is_refused(admin: httpx.Client, wrong: dict[str, Any]) -> None:
    answer = admin.post("/keys", json=wrong)

    assert answer.status_code in (400, 422), answer.text


def test_what_is_not_there_or_not_ours_to_change_is_refused(admin: httpx.Client) -> None:
    (chosen, *_) = (
        key["id"] for key in ok(admin.get("/keys"))["data"] if key["id"].startswith("env_")
    )

    assert admin.delete("/keys/gbc_nothing0").status_code == 404
    assert admin.post("/keys/gbc_nothing0/rotate").status_code == 404
    assert admin.delete(f"/keys/{chosen}").status_code == 404
    made = ok(admin.post("/keys", json={"scope": "client"}))
    for grace in ("nan", "-1", "inf", "9000"):
        refused = admin.post(f"/keys/{made['id']}/rotate", params={"grace_hours": grace})
        assert refused.status_code in (400, 422), grace
    ok(admin.delete(f"/keys/{made['id']}"))


def test_a_webhook_brings_a_link_that_opens(
    broker: BrokerProcess, new_film: Callable[[], bytes]
) -> None:
    with (
        Receiver() as receiver,
        client_with(broker, CHOSEN["client"]) as client,
        ScriptedWorker(broker, "desk", CHOSEN["worker"]) as worker,
        broker.client() as stranger,
    ):
        ok(client.post(CREATE, json={"prompt": "a cat", "webhook_url": receiver.url}))
        assert worker.upload(worker.take(), new_film()).status_code == 200

        url = json.loads(receiver.take().body)["data"]["job"]["video_url"]
        assert stranger.get(url).status_code == 200
        assert stranger.get(url.partition("?")[0]).status_code == 403


# Every way to start.


def start(folder: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """One that is not expected to run."""
    environ = {name.upper(): str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, str(ROOT / "server.py")],
        cwd=folder,
        env={**os.environ, "SERVER_PORT": "0", **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


REFUSED = "would let everybody on the network use your account"
OPEN = "warning: anybody who reaches this address can use the broker."
LOCAL = "No key is needed on this machine"
ASKED = "Every call needs a key."
IN_CLEAR = "warning: over http keys can be read on the way"
NONE_MADE = "warning: no key is in force"
OPENED = {"dangerously_allow_open_network": 1}
#: Address, whether there is a key, settings → exit status or None, what is said, what is not, and what a call
#: without a key is answered.
# fmt: off
STARTS: list[tuple[str, bool, dict[str, Any], int | None, list[str], list[str], int]] = [
    ("127.0.0.1", False, {}, None, [LOCAL], [ASKED, OPEN], 200),
    ("127.0.0.1", True, {}, None, [ASKED], [LOCAL, IN_CLEAR, NONE_MADE], 401),
    ("127.0.0.1", False, {"auth": "required"}, None, [ASKED, NONE_MADE], [LOCAL], 401),
    ("127.0.0.1", False, {"client_keys": CHOSEN["client"]}, None, [ASKED], [LOCAL], 401),
    ("127.0.0.1", False, OPENED, None, [LOCAL], [OPEN], 200),
    ("0.0.0.0", False, {}, 2, [REFUSED], [], 0),
    ("0.0.0.0", False, {"auth": "required"}, 2, [REFUSED], [], 0),
    ("0.0.0.0", True, {}, None, [ASKED, IN_CLEAR], [LOCAL, OPEN, REFUSED], 401),
    ("0.0.0.0", False, {"admin_keys": CHOSEN["admin"]}, None, [ASKED, IN_CLEAR], [OPEN], 401),
    ("0.0.0.0", False, OPENED, None, [OPEN], [ASKED], 200),
    ("0.0.0.0", True, OPENED, None, [ASKED, IN_CLEAR], [OPEN], 401),
    ("0.0.0.0", False, OPENED | {"auth": "required"}, None, [ASKED, NONE_MADE], [OPEN], 401),
]
# fmt: on


@pytest.mark.parametrize("number", range(len(STARTS)))
def test_every_start_says_who_may_call_and_keeps_to_it(tmp_path: Path, number: int) -> None:
    host, has_key, settings, status, said, unsaid, answer = STARTS[number]
    if has_key:
        make_key(tmp_path, "admin")
    if status is not None:
        ran = start(tmp_path, server_host=host, **settings)
        assert (ran.returncode, ran.stdout) == (status, "")
        assert ran.stderr.count("\n") <= 2
        assert all(line in ran.stderr for line in said)
        return
    with BrokerProcess(tmp_path, server_host=host, **settings) as broker:
        with broker.client() as client:
            assert client.get("/jobs").status_code == answer
        assert all(line in broker.output for line in said), broker.output
        assert not any(line in broker.output for line in unsaid), broker.output


def test_a_revoked_key_is_not_enough_to_listen_where_others_are(tmp_path: Path) -> None:
    end_key(tmp_path, make_key(tmp_path, "admin"))

    ran = start(tmp_path, server_host="0.0.0.0")

    assert (ran.returncode, REFUSED in ran.stderr) == (2, True)


def test_the_doctor_says_whether_keys_are_required_and_how_many_there_are(tmp_path: Path) -> None:
    def doctor(**settings: str) -> str:
        environ = {name.upper(): value for name, value in settings.items()}
        told = subprocess.run(
            [sys.executable, "-m", "broker", "doctor"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SERVER_PORT": "0", **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert CHOSEN["client"] not in told.stdout + told.stderr
        return told.stdout

    assert "good   keys: not required: there is none" in doctor()
    assert not (tmp_path / "jobs.db").exists()
    assert "wrong  keys: required; in force are 0 client, 0 worker, 0 admin" in doctor(
        auth="required"
    )
    key = make_key(tmp_path, "worker")
    make_key(tmp_path, "admin")
    assert "good   keys: required; in force are 1 client, 1 worker, 1 admin" in doctor(
        client_keys=CHOSEN["client"]
    )
    end_key(tmp_path, key)
    with BrokerProcess(tmp_path) as broker:
        told = doctor(server_port=str(broker.port))
    assert "good   keys: required; in force are 0 client, 0 worker, 1 admin" in told
    assert "good   broker: running; what it does is told to an admin key alone" in told
