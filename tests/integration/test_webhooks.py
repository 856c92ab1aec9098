"""Webhooks from a real broker to a receiver on this machine, through refusals, restarts and kill -9."""

import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from tests.support.receiver import Received, Receiver
from tests.support.server import ROOT, BrokerProcess
from tests.support.worker import ScriptedWorker

NewFilm = Callable[[], bytes]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {"webhook_allow_private": 1, "sweep_seconds": 0.2}
    with BrokerProcess(tmp_path_factory.mktemp("broker"), **settings) as process:
        yield process


def create(client: httpx.Client, url: object) -> str:
    body = {"prompt": "a secret cat", "webhook_url": url}
    answer = client.post("/v1/videos/generations", json=body)
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def secret_of(broker: BrokerProcess) -> str:
    return (broker.folder / "jobs.db.webhook-secret").read_text().strip()


def unwrapped(broker: BrokerProcess, received: Received) -> Any:
    """The event as a client's own SDK verifies and reads it."""
    openai = OpenAI(api_key="unused", base_url="http://unused")
    event = openai.webhooks.unwrap(received.body, received.headers, secret=secret_of(broker))
    return event.to_dict()


def deliveries(client: httpx.Client, job_id: str, state: str) -> list[dict[str, Any]]:
    listed = client.get("/webhooks", params={"state": state}).json()
    assert (listed["object"], listed["has_more"]) == ("list", False)
    return [found for found in listed["data"] if found["job_id"] == job_id]


def noted(client: httpx.Client, job_id: str, state: str) -> dict[str, Any]:
    """The delivery of this job, as soon as the broker has noted what became of it."""
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        if found := deliveries(client, job_id, state):
            return found[0]
    raise AssertionError(f"the webhook was never {state}")


def test_a_finished_video_is_told_once_signed_and_with_what_its_job_says(
    broker: BrokerProcess,
    client: httpx.Client,
    worker: ScriptedWorker,
    receiver: Receiver,
    new_film: NewFilm,
) -> None:
    job_id = create(client, receiver.url)
    assert worker.upload(worker.take(), new_film()).status_code == 200

    received = receiver.take()

    event = unwrapped(broker, received)
    assert (event["object"], event["type"]) == ("event", "video.completed")
    assert event["id"] == received.headers["webhook-id"]
    assert event["data"]["id"] == f"video_{job_id[4:]}"
    shown = client.get(f"/jobs/{job_id}").json()
    told = event["data"]["job"]
    assert told.pop("job_id") == shown["id"]
    assert told.pop("request_id")
    assert told == {name: shown[name] for name in told}
    assert client.get(told["video_url"]).status_code == 200
    assert b"secret cat" not in received.body
    delivery = noted(client, job_id, "delivered")
    assert (delivery["id"], delivery["tries"]) == (event["id"], 1)
    assert client.get(f"/jobs/{job_id}").json()["webhook"] == delivery
    assert receiver.is_empty()


def test_a_response_in_the_background_is_told_by_the_id_that_its_client_was_given(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker, receiver: Receiver
) -> None:
    body = {"model": "grok", "input": "Hello", "background": True, "webhook_url": receiver.url}
    created = client.post("/v1/responses", json=body).json()
    worker.answer(worker.take("chat"), "a secret answer")

    received = receiver.take()

    event = unwrapped(broker, received)
    assert (event["type"], event["data"]["id"]) == ("response.completed", created["id"])
    assert b"secret answer" not in received.body


def test_a_deferred_chat_is_told_by_the_id_that_its_client_was_given(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker, receiver: Receiver
) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": "grok", "messages": messages, "deferred": True, "webhook_url": receiver.url}
    created = client.post("/v1/chat/completions", json=body).json()
    worker.answer(worker.take("chat"), "Hi.")

    event = unwrapped(broker, receiver.take())

    assert event["type"] == "chat.completed"
    assert event["data"]["job"]["request_id"] == created["request_id"]


def test_a_job_that_is_tried_again_tells_the_same_receiver(
    broker: BrokerProcess, client: httpx.Client, receiver: Receiver
) -> None:
    job_id = create(client, receiver.url)
    client.delete(f"/jobs/{job_id}")
    receiver.take()

    again = client.post(f"/jobs/{job_id}/retry").json()["id"]
    client.delete(f"/jobs/{again}")

    told = unwrapped(broker, receiver.take())["data"]["job"]
    assert (told["job_id"], told["retry_of"]) == (again, job_id)


def test_the_openai_sdk_refuses_a_body_that_was_changed(
    broker: BrokerProcess, client: httpx.Client, receiver: Receiver
) -> None:
    client.delete(f"/jobs/{create(client, receiver.url)}")
    received = receiver.take()
    assert unwrapped(broker, received)["type"] == "video.failed"

    changed = received._replace(body=received.body.replace(b"video.failed", b"video.completed"))
    with pytest.raises(InvalidWebhookSignatureError):
        unwrapped(broker, changed)


def test_a_receiver_that_was_down_is_tried_again(
    broker: BrokerProcess, client: httpx.Client, receiver: Receiver
) -> None:
    receiver.statuses = [503]
    job_id = create(client, receiver.url)
    client.delete(f"/jobs/{job_id}")

    first, second = receiver.take(), receiver.take()

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert unwrapped(broker, second)["data"]["job"]["status"] == "cancelled"
    assert noted(client, job_id, "delivered")["tries"] == 2


def test_a_dead_webhook_is_listed_and_sent_again_by_hand(
    client: httpx.Client, receiver: Receiver
) -> None:
    receiver.statuses = [410]
    job_id = create(client, receiver.url)
    client.delete(f"/jobs/{job_id}")
    first = receiver.take()
    dead = noted(client, job_id, "dead")

    assert dead["last_error"] == "The receiver answered 410."
    again = client.post(f"/webhooks/{dead['id']}/resend").json()

    assert (again["state"], again["tries"]) == ("waiting", 0)
    assert receiver.take().headers["webhook-id"] == first.headers["webhook-id"]
    assert noted(client, job_id, "delivered")["id"] == dead["id"]


def test_the_list_of_webhooks_goes_on_behind_its_cursor(
    client: httpx.Client, receiver: Receiver
) -> None:
    made = [create(client, receiver.url) for _ in range(3)]

    page = client.get("/webhooks", params={"limit": 2}).json()
    rest = client.get("/webhooks", params={"limit": 1, "cursor": page["next_cursor"]}).json()

    assert [found["job_id"] for found in page["data"] + rest["data"]] == made[::-1]
    assert client.get("/webhooks", params={"cursor": "msg_0"}).status_code == 404
    assert client.get("/webhooks", params={"state": "lost"}).status_code == 400
    assert client.post("/webhooks/msg_0/resend").status_code == 404


def test_a_deleted_job_takes_its_webhook_along(client: httpx.Client, receiver: Receiver) -> None:
    job_id = create(client, receiver.url)
    client.delete(f"/jobs/{job_id}")
    receiver.take()
    webhook_id = noted(client, job_id, "delivered")["id"]

    client.delete(f"/jobs/{job_id}")

    assert deliveries(client, job_id, "delivered") == []
    assert client.post(f"/webhooks/{webhook_id}/resend").status_code == 404


def test_what_is_no_receiver_is_refused_by_name(client: httpx.Client) -> None:
    for url in ("ftp://receiver.example/", "https://user@receiver.example/", 7):
        body = {"prompt": "a cat", "webhook_url": url}
        answer = client.post("/v1/videos/generations", json=body)

        # The seed's route answers a refused field with 422.
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["param"] == "webhook_url"


def test_a_webhook_outlives_kill_9_between_the_end_of_its_job_and_its_delivery(
    tmp_path: Path, receiver: Receiver, new_film: NewFilm
) -> None:
    receiver.may_answer.clear()
    with BrokerProcess(tmp_path, webhook_allow_private=1) as broker:
        with broker.client() as client, ScriptedWorker(broker) as worker:
            job_id = create(client, receiver.url)
            assert worker.upload(worker.take(), new_film()).status_code == 200
            cut_off = receiver.take()
            broker.kill()
        receiver.may_answer.set()
        broker.start()
        with broker.client() as client:
            again = receiver.take()

            assert again.headers["webhook-id"] == cut_off.headers["webhook-id"]
            assert again.body == cut_off.body
            assert unwrapped(broker, again)["data"]["job"]["job_id"] == job_id
            assert noted(client, job_id, "delivered")["tries"] == 1


def test_by_default_nothing_private_is_called_and_the_operators_url_is_told_of_all_others(
    tmp_path: Path, receiver: Receiver
) -> None:
    own = "https://receiver.invalid/hook"
    with BrokerProcess(tmp_path, webhook_url=own) as broker, broker.client() as client:
        for url in (receiver.url, "http://localhost/", "http://127.1/", "http://[::1]/"):
            body = {"prompt": "a cat", "webhook_url": url}
            answer = client.post("/v1/videos/generations", json=body)

            assert answer.status_code == 422
            assert "public address" in answer.json()["error"]["message"]
        (delivery,) = deliveries(client, create(client, None), "waiting")
        assert (delivery["url"], delivery["next_try_at"]) == (own, None)
    assert receiver.is_empty()


def test_the_command_line_prints_the_secret_of_this_broker(
    broker: BrokerProcess, client: httpx.Client
) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "broker", "webhook-secret"],
        cwd=broker.folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    path = broker.folder / "jobs.db.webhook-secret"
    assert printed.stdout.strip() == secret_of(broker)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_of(broker) not in client.get("/webhooks").text
