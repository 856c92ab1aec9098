"""Pairing with a real broker: by HTTP as the extension and the dashboard do, and on the command line."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import ROOT, BrokerProcess

ADMIN = "an-operators-own-key-of-some-length"
EXTENSION = "chrome-extension://cbbjidhpddkbmnhlnldimfkcageanjdb"
NONCE, OTHER = "n" * 43, "o" * 43


class Paired(threading.Thread):
    """A worker that waits for its pairing while the test goes on."""

    def __init__(self, http: httpx.Client, pairing: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._http, self._pairing = http, pairing
        self.told: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        self.told = look(self._http, self._pairing, wait=20).json()

    def answer(self) -> dict[str, Any]:
        self.join(10)
        assert self.told, "the poll was not answered"
        return self.told


def look(
    http: httpx.Client, pairing: dict[str, Any], nonce: str = NONCE, wait: float = 0
) -> httpx.Response:
    return http.get(
        f"/extension/pair/{pairing['pairing_id']}",
        params={"wait": wait},
        headers={"X-Pairing-Nonce": nonce},
    )


def begin(http: httpx.Client, nonce: str = NONCE, name: str = "desk", **headers: str) -> Any:
    return http.post("/extension/pair", json={"nonce": nonce, "name": name}, headers=headers)


def confirm(http: httpx.Client, pairing: dict[str, Any], **given: Any) -> httpx.Response:
    body = {"code": pairing["code"], **given}
    return http.post(f"/pairings/{pairing['pairing_id']}/confirm", json=body)


def with_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "X-Worker-Id": "desk"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """For each test its own: pairings are counted by address."""
    with BrokerProcess(tmp_path, auth="required", admin_keys=ADMIN) as process:
        yield process


@pytest.fixture
def stranger(broker: BrokerProcess) -> Iterator[httpx.Client]:
    with broker.client() as http:
        yield http


@pytest.fixture
def admin(broker: BrokerProcess) -> Iterator[httpx.Client]:
    with broker.client(headers={"Authorization": f"Bearer {ADMIN}"}) as http:
        yield http


def test_a_worker_without_a_key_is_told_so_by_name(stranger: httpx.Client) -> None:
    answer = stranger.get("/extension/poll?mode=chat&wait=0")

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert stranger.get("/health").json() == {"status": "ok"}


def test_a_worker_is_paired_while_it_waits(stranger: httpx.Client, admin: httpx.Client) -> None:
    pairing = begin(stranger).json()
    waiting = Paired(stranger, pairing)
    (shown,) = admin.get("/pairings").json()["data"]

    assert shown["words"] == pairing["words"]
    assert shown["name"] == "desk"
    assert "code" not in shown
    assert confirm(admin, pairing, owner="team").json()["state"] == "confirmed"
    told = waiting.answer()

    assert told["state"] == "paired"
    assert stranger.get(
        "/extension/poll?mode=chat&wait=0", headers=with_key(told["key"])
    ).is_success
    (key,) = (key for key in admin.get("/keys").json()["data"] if key["scope"] == "worker")
    assert (key["label"], key["owner"]) == ("desk", "team")
    assert admin.get("/pairings").json()["data"] == []
    assert look(stranger, pairing).json() == {"state": "paired", "key": None}


def test_a_paired_worker_is_no_client_and_no_operator(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    pairing = begin(stranger).json()
    confirm(admin, pairing)
    key = look(stranger, pairing).json()["key"]

    for path in ("/jobs", "/keys", "/pairings"):
        answer = stranger.get(path, headers=with_key(key))
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "scope_not_allowed"


def test_five_wrong_codes_end_a_pairing(stranger: httpx.Client, admin: httpx.Client) -> None:
    pairing = begin(stranger).json()
    waiting = Paired(stranger, pairing)
    wrong = "".join(str(9 - int(digit)) for digit in pairing["code"])
    statuses = [confirm(admin, pairing, code=wrong).status_code for _ in range(5)]

    assert statuses == [400] * 5
    assert waiting.answer() == {"state": "wrong_codes", "key": None}
    assert confirm(admin, pairing).status_code == 409


def test_a_refused_worker_is_told_while_it_waits(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    pairing = begin(stranger).json()
    waiting = Paired(stranger, pairing)

    assert admin.delete(f"/pairings/{pairing['pairing_id']}").json()["state"] == "refused"
    assert waiting.answer() == {"state": "refused", "key": None}


def test_of_two_that_wait_the_owner_chooses_one(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    one, other = begin(stranger).json(), begin(stranger, OTHER, "other").json()
    assert one["words"] != other["words"]
    confirm(admin, other)

    assert look(stranger, one).json() == {"state": "pending", "key": None}
    assert look(stranger, other, OTHER).json()["state"] == "paired"


def test_with_another_nonce_a_pairing_is_not_there(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    pairing = begin(stranger).json()
    confirm(admin, pairing)

    assert look(stranger, pairing, OTHER).status_code == 404
    assert stranger.get(f"/extension/pair/{pairing['pairing_id']}").status_code == 400
    assert look(stranger, pairing).json()["state"] == "paired"


def test_only_an_operator_says_yes_or_no(stranger: httpx.Client) -> None:
    pairing = begin(stranger).json()

    assert confirm(stranger, pairing).status_code == 401
    assert stranger.delete(f"/pairings/{pairing['pairing_id']}").status_code == 401
    assert stranger.get("/pairings").status_code == 401
    assert look(stranger, pairing).json()["state"] == "pending"


STRANGERS = [
    {"Origin": "https://evil.example"},
    {"Origin": "chrome-extension://" + "a" * 32},
    {"Origin": "null"},
    {"Origin": "https://listed.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-origin"},
]


def test_no_web_page_and_no_other_extension_begins_or_ends_a_pairing(tmp_path: Path) -> None:
    """Not even one whose origin the operator lets in elsewhere."""
    settings = {"auth": "required", "allowed_origins": "https://listed.example"}
    with BrokerProcess(tmp_path, **settings) as broker, broker.client() as http:
        pairing = begin(http, **{"Origin": EXTENSION, "Sec-Fetch-Site": "none"}).json()
        path = f"/extension/pair/{pairing['pairing_id']}?wait=0"
        for headers in STRANGERS:
            assert begin(http, OTHER, **headers).status_code == 403
            answer = http.get(path, headers={"X-Pairing-Nonce": NONCE, **headers})
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "origin_not_allowed"


def test_the_dashboards_own_page_begins_none(broker: BrokerProcess, stranger: httpx.Client) -> None:
    assert begin(stranger, Origin=broker.url).status_code == 403


def test_a_nonce_must_be_one(stranger: httpx.Client) -> None:
    for nonce in (None, "", "short", "n" * 129, "n" * 40 + "/"):
        body = {} if nonce is None else {"nonce": nonce}
        assert stranger.post("/extension/pair", json=body).status_code == 400, nonce


def test_a_name_is_shown_without_what_a_terminal_obeys(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    begin(stranger, name="\x1b[31mmy\u202e desk\n")

    assert admin.get("/pairings").json()["data"][0]["name"] == "[31mmy desk"


def test_only_so_many_wait(stranger: httpx.Client) -> None:
    answers = [begin(stranger, f"{number}" * 43) for number in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 8 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_worker_ends_its_own_key_and_no_other(
    stranger: httpx.Client, admin: httpx.Client
) -> None:
    keys = [admin.post("/keys", json={"scope": "worker"}).json()["key"] for _ in range(2)]

    assert stranger.post("/extension/unpair", headers=with_key(keys[0])).is_success
    polls = [
        stranger.get("/extension/poll?mode=chat&wait=0", headers=with_key(key)) for key in keys
    ]
    assert [poll.status_code for poll in polls] == [401, 204]


def test_a_poll_ends_when_its_key_is_revoked(stranger: httpx.Client, admin: httpx.Client) -> None:
    pairing = begin(stranger).json()
    confirm(admin, pairing)
    key = look(stranger, pairing).json()["key"]
    answers: list[int] = []

    def poll() -> None:
        path = "/extension/poll?mode=chat&wait=25"
        answers.append(stranger.get(path, headers=with_key(key)).status_code)

    waiting = threading.Thread(target=poll, daemon=True)
    waiting.start()
    admin.delete(f"/keys/{key[:12]}")
    waiting.join(10)

    assert answers[0] in (204, 401)
    poll()
    assert answers[1] == 401


def test_a_broker_that_is_told_to_stop_lets_a_waiting_worker_go(
    broker: BrokerProcess, stranger: httpx.Client
) -> None:
    waiting = Paired(stranger, begin(stranger).json())

    broker.terminate()
    assert waiting.answer() == {"state": "pending", "key": None}
    assert broker.wait() == 0


def test_a_restart_forgets_what_waited(
    broker: BrokerProcess, stranger: httpx.Client, admin: httpx.Client
) -> None:
    pairing = begin(stranger).json()
    broker.stop()
    broker.start()

    assert look(stranger, pairing).status_code == 404
    assert admin.get("/pairings").json()["data"] == []


def test_where_no_key_is_asked_for_nothing_is_paired(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as http:
        answer = begin(http)

        assert answer.status_code == 409
        assert http.post("/extension/unpair").status_code == 409
        assert http.get("/pairings").json()["data"] == []
        assert http.get("/extension/poll?mode=chat&wait=0").status_code == 204


# The command line.


def pair(broker: BrokerProcess, *arguments: str, **settings: str) -> Any:
    own = {"SERVER_PORT": str(broker.port), **settings}
    return subprocess.run(
        [sys.executable, "-m", "broker", "pair", *arguments],
        cwd=broker.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **own},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _keys(broker: BrokerProcess) -> list[str]:
    """A line for each, from the database itself: the broker reads it only so often."""
    command = [sys.executable, "-m", "broker", "keys", "list"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, cwd=broker.folder, env=environ, capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()


@pytest.mark.parametrize("settings", [{}, {"ADMIN_KEYS": ADMIN}], ids=["database", "environment"])
def test_the_command_line_lets_a_worker_in(
    settings: dict[str, str], broker: BrokerProcess, stranger: httpx.Client, admin: httpx.Client
) -> None:
    pairing = begin(stranger).json()
    listed = pair(broker, **settings)
    assert " ".join(pairing["words"]) in listed.stdout

    done = pair(broker, pairing["code"], "--owner", "team", **settings)

    assert done.returncode == 0, done.stderr
    assert " ".join(pairing["words"]) in done.stdout
    assert look(stranger, pairing).json()["state"] == "paired"
    keys = admin.get("/keys").json()["data"]
    assert [key["owner"] for key in keys if key["scope"] == "worker"] == ["team"]
    made = [key for key in _keys(broker) if "python -m broker pair" in key]
    assert ["revoked" in key for key in made] == ([] if settings else [True] * 2)


def test_the_command_line_wants_to_know_which_of_several(
    broker: BrokerProcess, stranger: httpx.Client
) -> None:
    one, other = begin(stranger).json(), begin(stranger, OTHER).json()

    assert pair(broker, one["code"]).returncode == 1
    assert look(stranger, one).json()["state"] == "pending"
    assert pair(broker, other["code"], "--id", other["pairing_id"]).returncode == 0
    assert look(stranger, other, OTHER).json()["state"] == "paired"


def test_the_command_line_says_that_a_code_is_wrong(
    broker: BrokerProcess, stranger: httpx.Client
) -> None:
    begin(stranger)
    done = pair(broker, "x")

    assert done.returncode == 1
    assert "4 tries are left" in done.stderr


def test_the_command_line_says_that_no_broker_answers(broker: BrokerProcess) -> None:
    broker.stop()
    done = pair(broker, "12345678")

    assert done.returncode == 1
    assert "No broker answers" in done.stderr
