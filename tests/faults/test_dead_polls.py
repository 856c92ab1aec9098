"""A poll may be dead: what is handed to nobody comes back within seconds, and no attempt is used."""

import socket
import struct
from pathlib import Path

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

DEAD = 100
_REQUEST = (
    "GET /extension/poll?mode=video&wait=25 HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\nX-Worker-Id: dead-{number}\r\n\r\n"
)


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["FIN", "RST"])
def test_closed_polls_take_no_job(tmp_path: Path, ending: str) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        polls = _parked_polls(broker, client)
        for poll in polls:
            if ending == "RST":
                poll.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            poll.close()
        for _ in range(DEAD):
            client.post("/v1/videos/generations", json={"prompt": "a cat"})

        held = client.get("/").json()["jobs"].get("processing", 0)
        with ScriptedWorker(broker) as worker:
            taken = [worker.take() for _ in range(DEAD - held)]

    assert held <= 1
    assert {job["attempt"] for job in taken} == {1}


@pytest.mark.faults
def test_a_silently_dropped_poll_gives_its_job_back_uncounted(tmp_path: Path) -> None:
    with (
        BrokerProcess(tmp_path, first_beat_seconds=0.5, sweep_seconds=0.1) as broker,
        broker.client() as client,
    ):
        # Open, and nobody reads: what a suspended laptop leaves behind.
        silent = _parked_polls(broker, client, count=1)
        created = client.post("/v1/videos/generations", json={"prompt": "a cat"}).json()
        with ScriptedWorker(broker) as worker:
            job = worker.take()
            shown = client.get(f"/jobs/{created['id']}").json()
        silent[0].close()

    assert job["job_id"] == created["id"]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["undelivered"]


def _parked_polls(
    broker: BrokerProcess, client: httpx.Client, count: int = DEAD
) -> list[socket.socket]:
    polls = []
    for number in range(count):
        poll = socket.create_connection(("127.0.0.1", broker.port))
        poll.sendall(_REQUEST.format(port=broker.port, number=number).encode())
        polls.append(poll)
    while client.get("/").json()["waiting_polls"] < count:
        pass
    return polls
