"""A full disk: new work is refused by name, reading goes on, and nothing has to be restarted."""

from pathlib import Path

from tests.support.films import make_film
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

#: More room than any disk has.
EVERYTHING_MIB = 9_999_999


def test_a_full_disk_refuses_new_work_and_reading_goes_on(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", text_seed="full").read_bytes()
    broker = BrokerProcess(tmp_path, min_free_disk_mib=0)
    with broker, broker.client() as client, ScriptedWorker(broker) as worker:
        done = client.post("/v1/videos/generations", json={"prompt": "done"}).json()
        worker.upload(worker.take(), film)
        held = client.post("/v1/videos/generations", json={"prompt": "held"}).json()
        job = worker.take()
        waiting = client.post("/v1/videos/generations", json={"prompt": "waiting"}).json()
    full = BrokerProcess(tmp_path, min_free_disk_mib=EVERYTHING_MIB)
    with full, full.client() as client, ScriptedWorker(full) as worker:
        refused = client.post("/v1/videos/generations", json={"prompt": "more"})
        no_room = worker.upload(job, film)
        nothing = worker.http.get("/extension/poll?mode=video&wait=0")

        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
        assert refused.headers["retry-after"] == "60"
        assert no_room.status_code == 507
        assert (nothing.status_code, nothing.headers["x-broker-skipped"]) == (
            204,
            "video=disk_full",
        )
        assert client.get("/").json()["disk_full"] is True
        assert client.get(f"/videos/{done['id']}.mp4").content == film
        assert client.get(f"/v1/videos/generations/{held['id']}").json()["status"] == "processing"
        assert client.get(f"/v1/videos/generations/{waiting['id']}").json()["status"] == "pending"
        assert len(client.get("/jobs").json()["data"]) == 3
