"""Webhooks: whom to tell, in which words, how signed, how often; and the loop that sends them."""

import asyncio
import base64
import hashlib
import hmac
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from broker.config import Settings
from broker.errors import BadSetting, InvalidValue, StartRefused, StoreFailed
from broker.hooks import sender as module
from broker.hooks.secret import secret_of
from broker.hooks.sender import Sender
from broker.ids import JobId
from broker.jobs import Change, Job, JobKind, JobState, Payload
from broker.notifier import News
from broker.outputs import Result, text_result
from broker.store.memory import MemoryStore
from broker.store.memory_outbox import MemoryOutbox
from broker.webhooks import (
    PAUSE_SECONDS,
    Answer,
    Delivery,
    DeliveryState,
    answered,
    event_of,
    is_response,
    read_secret,
    receiver_of,
    signed_headers,
    written_secret,
)
from tests.support.builders import NOW, a_film_result, a_job, a_picture_result
from tests.support.clock import ManualClock
from tests.support.house import Log
from tests.support.running import run

URL = "https://receiver.example/hook"
DAY_SECONDS = 86_400
#: The example that Standard Webhooks publishes.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = read_secret(SECRET)


def a_delivery(**fields: Any) -> Delivery:
    made = Delivery("msg_1", JobId("job_1"), URL, DeliveryState.WAITING, 0, 0.0, None, None)
    return made._replace(**fields)


def ended(job: Job, state: JobState = JobState.COMPLETED, code: str | None = None) -> Job:
    processing = job if state == JobState.CANCELLED else job.moved(JobState.PROCESSING)
    return processing.ended(state, NOW + 9, code, code and "It went wrong.")


# The signature.


def test_the_signature_is_that_of_the_published_example() -> None:
    headers = signed_headers(
        KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330.9, b'{"test": 2432232314}'
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_is_read_as_it_was_written(size: int) -> None:
    assert read_secret(written_secret(bytes(range(size)))) == bytes(range(size))


@pytest.mark.parametrize(
    "text",
    [
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsec_not base64",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(BadSetting) as error:
        Settings.from_env({"WEBHOOK_SECRET": text})
    assert error.value.message == "WEBHOOK_SECRET is not whsec_ and 24 to 64 bytes in base64."


def test_the_settings_do_not_show_the_secret() -> None:
    assert SECRET not in repr(Settings.from_env({"WEBHOOK_SECRET": SECRET}))


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(db_path=tmp_path / "new" / "jobs.db")

    secret = secret_of(settings)

    path = tmp_path / "new" / "jobs.db.webhook-secret"
    assert len(read_secret(secret)) == 32
    assert secret_of(settings) == secret == path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_secret_that_is_set_makes_no_file(tmp_path: Path) -> None:
    settings = Settings(db_path=tmp_path / "jobs.db", webhook_secret=SECRET)

    assert secret_of(settings) == SECRET
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_secret_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "jobs.db.webhook-secret").write_text("whsec_short")

    with pytest.raises(StartRefused, match="does not hold a webhook secret"):
        secret_of(Settings(db_path=tmp_path / "jobs.db"))


# Whom to tell.


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("https://Receiver.Example", "https://receiver.example/"),
        ("HTTP://receiver.example:8080/a?b=C#d", "http://receiver.example:8080/a?b=C"),
        ("https://1.1.1.1/hook", "https://1.1.1.1/hook"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://a.example/" + "x" * 1982, "https://a.example/" + "x" * 1982),
    ],
)
def test_a_public_url_is_taken_in_one_spelling(asked: str, told: str) -> None:
    assert receiver_of(asked, None, may_be_private=False) == told


@pytest.mark.parametrize(
    "asked",
    [
        7,
        "",
        "receiver.example",
        "ftp://receiver.example/",
        "https://",
        "https:///hook",
        "https://user@receiver.example/",
        "https://user:secret@receiver.example/",
        "https://127.0.0.1\\@receiver.example/",
        "https://receiver.example/a b",
        "https://receiver.example/\r\nX: y",
        "https://bücher.example/",
        "https://receiver.example:port/",
        "https://[::1/",
        "https://a.example/" + "x" * 1983,
    ],
)
def test_what_is_no_receiver_is_refused_by_name(asked: Any) -> None:
    with pytest.raises(InvalidValue) as error:
        receiver_of(asked, None, may_be_private=True)
    assert error.value.param == "webhook_url"


PRIVATE_HOSTS = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "api.localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[::1]",
    "[::]",
    "[fd12::1]",
    "[fe80::1]",
    "169.254.169.254",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_a_host_that_is_visibly_private_is_refused_unless_allowed(host: str) -> None:
    url = f"http://{host}:8080/hook"

    with pytest.raises(InvalidValue, match="public address") as error:
        receiver_of(url, None, may_be_private=False)
    assert error.value.param == "webhook_url"
    assert receiver_of(url, None, may_be_private=True) == url.lower()


def test_a_request_that_names_nobody_tells_the_operators_receiver() -> None:
    assert receiver_of(None, URL, may_be_private=False) == URL
    assert receiver_of(None, None, may_be_private=False) is None


def test_the_operators_own_receiver_may_be_private_only_where_that_is_allowed() -> None:
    private = {"WEBHOOK_URL": "http://localhost:9000"}

    with pytest.raises(BadSetting, match="set WEBHOOK_ALLOW_PRIVATE=1 too"):
        Settings.from_env(private)
    with pytest.raises(BadSetting, match="WEBHOOK_URL='gopher://a/' is not"):
        Settings.from_env({"WEBHOOK_URL": "gopher://a/"})
    allowed = Settings.from_env(private | {"WEBHOOK_ALLOW_PRIVATE": "1"})
    assert allowed.webhook_url == "http://localhost:9000/"


# How often.


def test_eight_tries_are_made_within_24_hours() -> None:
    for roll in (0.0, 0.5, 1.0):
        delivery, now, tries = a_delivery(), NOW, 0
        while delivery.state == DeliveryState.WAITING:
            delivery = delivery.tried(answered(503), now, roll)
            tries += 1
            # A try takes up to ten seconds.
            now = delivery.next_try_at + 10

        assert (tries, delivery.state) == (8, DeliveryState.DEAD)
        assert 0.8 * DAY_SECONDS < delivery.next_try_at - NOW < DAY_SECONDS
        assert delivery.last_error == "The receiver answered 503."


def test_a_pause_is_spread_by_the_roll() -> None:
    first = [a_delivery().tried(answered(500), NOW, roll).next_try_at for roll in (0.0, 0.5, 1.0)]

    assert first == pytest.approx([NOW + 4.75, NOW + 5, NOW + 5.25])


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_the_end_of_it(status: int) -> None:
    after = a_delivery(tries=2, last_error="Silence.").tried(answered(status), NOW, 0.5)

    assert after == a_delivery(
        tries=3, state=DeliveryState.DELIVERED, delivered_at=NOW, last_error=None
    )


@pytest.mark.parametrize("status", [199, 301, 302, 400, 401, 404, 429, 500])
def test_any_other_status_is_tried_again(status: int) -> None:
    assert a_delivery().tried(answered(status), NOW, 0.5).state == DeliveryState.WAITING


def test_a_receiver_that_is_gone_is_not_tried_again() -> None:
    after = a_delivery().tried(answered(410), NOW, 0.5)

    assert (after.state, after.tries) == (DeliveryState.DEAD, 1)


def test_what_is_sent_again_has_all_its_tries_before_it() -> None:
    dead = a_delivery(tries=8, state=DeliveryState.DEAD, last_error="Silence.")

    assert dead.again(NOW) == a_delivery(next_try_at=NOW)


# What is said.


def said(job: Job, result: Result | None = None, *, as_response: bool = False) -> Mapping[str, Any]:
    return event_of(
        a_delivery(),
        job,
        result,
        lambda path: f"http://broker{path}?sig=1",
        is_response=as_response,
    )


def test_a_finished_film_is_told_in_the_words_of_the_openai_sdk_and_of_its_job() -> None:
    job = ended(a_job())

    assert said(job, a_film_result()) == {
        "id": "msg_1",
        "object": "event",
        "type": "video.completed",
        "created_at": int(NOW + 9),
        "data": {
            "id": f"video_{job.id[4:]}",
            "job": {
                "job_id": job.id,
                "request_id": _uuid(job.id),
                "kind": "video",
                "model": "grok",
                "status": "completed",
                "created": NOW,
                "started_at": None,
                "finished_at": NOW + 9,
                "attempt": 0,
                "retry_of": None,
                "error": None,
                "video_url": f"http://broker/videos/{job.id}.mp4?sig=1",
                "video_size": 1000,
                "video_seconds": 6.0,
                "image_urls": [],
            },
        },
    }


def _uuid(job_id: str) -> str:
    digits = job_id[4:]
    cuts = [0, 8, 12, 16, 20, 32]
    return "-".join(digits[a:b] for a, b in zip(cuts, cuts[1:], strict=False))


def test_a_film_that_was_pruned_is_no_longer_pointed_at() -> None:
    told = said(ended(a_job()), a_film_result()._replace(removed_at=NOW))

    assert told["data"]["job"]["video_url"] is None


def test_pictures_are_told_by_their_addresses() -> None:
    job = ended(a_job(JobKind.IMAGE))

    told = said(job, a_picture_result("a", "b"))

    assert (told["type"], told["data"]["id"]) == ("image.completed", job.id)
    assert told["data"]["job"]["image_urls"] == [
        f"http://broker/images/{job.id}.{number}.png?sig=1" for number in (1, 2)
    ]


def test_a_failed_job_says_why() -> None:
    told = said(ended(a_job(), JobState.FAILED, "moderated"))

    assert told["type"] == "video.failed"
    assert told["data"]["job"]["error"] == {"code": "moderated", "message": "It went wrong."}


@pytest.mark.parametrize(
    ("state", "code", "finish", "of_chat", "of_response"),
    [
        (JobState.COMPLETED, None, "stop", "completed", "completed"),
        (JobState.COMPLETED, None, "length", "completed", "incomplete"),
        (JobState.FAILED, "moderated", None, "failed", "incomplete"),
        (JobState.FAILED, "expired", None, "failed", "failed"),
        (JobState.CANCELLED, "cancelled", None, "failed", "cancelled"),
    ],
)
def test_a_text_is_told_as_a_chat_or_as_a_response(
    state: JobState, code: str | None, finish: str | None, of_chat: str, of_response: str
) -> None:
    job = ended(a_job(JobKind.CHAT), state, code)
    result = text_result("the answer", None, finish, 1, NOW) if finish else None

    chat, response = said(job, result), said(job, result, as_response=True)

    assert (chat["type"], chat["data"]["id"]) == (f"chat.{of_chat}", f"chatcmpl-{job.id}")
    assert response["type"] == f"response.{of_response}"
    assert response["data"]["id"] == f"resp_{job.id[4:]}"
    assert "the answer" not in json.dumps([chat, response])


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        (None, False),
        ('{"messages": [{"content": "a \\"response\\" please"}]}', False),
        ('{"response": "yes", "messages": []}', False),
        ('{"messages": [], "response": {"store": true}}', True),
    ],
)
def test_a_response_is_known_by_what_was_kept_of_its_request(
    request_text: str | None, expected: bool
) -> None:
    assert is_response(Payload("p", request_text)) is expected


# The loop.


class Post:
    """Answers as it was told, else with 200; an origin that hangs answers nothing until it is let go."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []
        self.was_called = asyncio.Event()
        self.statuses: list[int] = []
        self.hanging: dict[str, asyncio.Event] = {}

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append((url, headers, body))
        self.was_called.set()
        for origin, event in self.hanging.items():
            if url.startswith(origin):
                await event.wait()
        return answered(self.statuses.pop(0) if self.statuses else 200)


async def all_that_can_run() -> None:
    """Nothing here waits for a disk or a wire, so some turns of the loop are enough."""
    for _ in range(100):
        await asyncio.sleep(0)


class Office:
    """A sender with its outbox, its clock and a post in the test's hands."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.outbox = MemoryOutbox(self.store)
        self.clock = ManualClock(NOW)
        self.log = Log()
        self.log.warning = self.log.error  # type: ignore[attr-defined]
        self.post = Post()
        self.sender = Sender(
            self.outbox,
            self.store,
            self.clock,
            self.log,  # type: ignore[arg-type]
            self.post,
            KEY,
            lambda path: f"http://broker{path}",
            roll=lambda: 0.5,
        )

    async def ended(self, url: str = URL, **fields: Any) -> Job:
        job = a_job(**fields)
        await self.store.add(job, Payload("a secret prompt"), None, url)
        return await self.store.change(
            job.id, lambda view: Change(view.job.ended(JobState.CANCELLED, NOW, "cancelled"))
        )

    async def send(self) -> int:
        begun = await self.sender.begin_due()
        await self.sender.finished()
        return begun

    async def delivery(self, job: Job) -> Delivery:
        found = await self.outbox.of_job(job.id)
        assert found is not None
        return found


def test_an_event_is_sent_once_signed_and_without_the_prompt() -> None:
    async def scene() -> None:
        office = Office()
        job = await office.ended()

        assert (await office.send(), await office.send()) == (1, 0)

        ((url, headers, body),) = office.post.sent
        delivery = await office.delivery(job)
        assert url == URL
        assert headers["webhook-id"] == delivery.id == json.loads(body)["id"]
        signed = f"{delivery.id}.{int(NOW)}.".encode() + body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert b"secret prompt" not in body
        assert (delivery.state, delivery.delivered_at) == (DeliveryState.DELIVERED, NOW)

    run(scene())


def test_what_was_delivered_while_it_was_found_due_is_not_sent_again() -> None:
    async def scene() -> None:
        office = Office()
        await office.ended()
        answers = [await office.outbox.due(NOW, 10), []]
        await office.send()

        async def late(now: float, limit: int, but: Sequence[str] = ()) -> Sequence[Delivery]:
            return answers.pop(0)

        office.outbox.due = late  # type: ignore[method-assign]
        assert await office.send() == 1

        assert len(office.post.sent) == 1

    run(scene())


def test_a_receiver_that_fails_is_tried_eight_times_and_its_event_is_then_dead() -> None:
    async def scene() -> None:
        office = Office()
        office.post.statuses = [500] * 8
        job = await office.ended()

        for pause in PAUSE_SECONDS:
            assert await office.send() == 1
            office.clock.advance(pause - 0.1)
            assert await office.send() == 0
            office.clock.advance(0.1)
        await office.send()
        office.clock.advance(1e9)

        assert await office.send() == 0
        assert (await office.delivery(job)).state == DeliveryState.DEAD
        assert len({headers["webhook-id"] for _, headers, _ in office.post.sent}) == 1
        assert len({body for _, _, body in office.post.sent}) == 1
        stamps = [int(headers["webhook-timestamp"]) for _, headers, _ in office.post.sent]
        assert len(stamps) == 8
        assert stamps == sorted(set(stamps))
        assert [event for event, _ in office.log.told] == ["webhook_dead"]

    run(scene())


def test_an_origin_that_hangs_holds_up_no_other() -> None:
    async def scene() -> None:
        office = Office()
        office.post.hanging["https://hangs.example/"] = let_go = asyncio.Event()
        for number in range(100):
            await office.ended(f"https://hangs.example/{number}")
        others = [await office.ended() for _ in range(3)]

        assert await office.sender.begin_due() == module.MAX_SENDING_TO_ONE + 3
        await all_that_can_run()

        assert [(await office.delivery(job)).state for job in others] == ["delivered"] * 3
        let_go.set()
        await office.sender.finished()
        while await office.send():
            pass
        assert len(office.post.sent) == 103

    run(scene())


def test_no_more_than_a_bounded_number_of_tries_is_under_way() -> None:
    async def scene() -> None:
        office = Office()
        office.post.hanging["https://"] = let_go = asyncio.Event()
        for number in range(2 * module.MAX_SENDING):
            await office.ended(f"https://{number}.example/")

        assert await office.sender.begin_due() == module.MAX_SENDING
        assert await office.sender.begin_due() == 0
        let_go.set()
        await office.sender.finished()

    run(scene())


def test_the_end_of_a_job_wakes_the_loop_and_a_stop_ends_it() -> None:
    async def scene() -> None:
        office = Office()
        office.sender.start()
        job = await office.ended()
        office.sender.hear(News(job))
        await office.post.was_called.wait()
        await office.sender.stop()

        await office.ended()
        office.sender.hear(News(job))
        await asyncio.sleep(0)
        assert len(office.post.sent) == 1

    run(scene())


def test_a_try_that_a_stop_cuts_off_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)

    async def scene() -> None:
        office = Office()
        office.post.hanging[URL] = asyncio.Event()
        job = await office.ended()
        await office.sender.begin_due()
        await office.post.was_called.wait()

        await office.sender.stop()

        delivery = await office.delivery(job)
        assert (delivery.state, delivery.tries) == (DeliveryState.WAITING, 0)
        office.post.hanging.clear()
        assert await office.send() == 1
        assert (await office.delivery(job)).state == DeliveryState.DELIVERED

    run(scene())


def test_a_delivery_that_could_not_be_noted_is_not_sent_again_at_once() -> None:
    async def scene() -> None:
        office = Office()
        await office.ended()

        async def fails(before: Delivery, after: Delivery) -> bool:
            raise StoreFailed

        office.outbox.note = fails  # type: ignore[method-assign]
        await office.sender.begin_due()
        await all_that_can_run()

        assert await office.sender.begin_due() == 0
        assert len(office.post.sent) == 1
        assert office.log.told[0][0] == "webhook_failed"
        await office.sender.stop()

    run(scene())
