"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is half, nothing is done twice."""

import asyncio
import hashlib
import random
import sqlite3
from pathlib import Path

import pytest

from tests.support.films import make_film
from tests.support.load import Load, Promises
from tests.support.running import run
from tests.support.server import BrokerProcess

PAIRS = 8


@pytest.mark.faults
@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=pytest.mark.nightly)])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, kills: int) -> None:
    films = [make_film(tmp_path / f"{n}.mp4", text_seed=str(n)).read_bytes() for n in range(3)]
    folder = tmp_path / "broker"
    folder.mkdir()

    promises = run(_killed_again_and_again(folder, films, kills), 60.0 + 10.0 * kills)

    assert len(promises.films) > kills
    _judge(folder, promises)


async def _killed_again_and_again(folder: Path, films: list[bytes], kills: int) -> Promises:
    chance = random.Random(2026)
    load = Load(films, seed=2026)
    broker = BrokerProcess(folder, sweep_seconds=0.2)
    await _start(broker, load)
    async with asyncio.TaskGroup() as group:
        for number in range(PAIRS):
            group.create_task(load.client())
            group.create_task(load.worker(f"worker-{number}"))
        for _ in range(kills):
            await load.acts(chance.randrange(1, 60))
            load.is_up.clear()
            await asyncio.to_thread(broker.kill)
            await _start(broker, load)
            assert not list((folder / "videos" / ".incoming").glob("*")), (
                "a part outlived the start"
            )
        load.stop_creating()
    await asyncio.to_thread(broker.stop)
    return load.promises


async def _start(broker: BrokerProcess, load: Load) -> None:
    await asyncio.to_thread(broker.start)
    load.url = broker.url
    load.is_up.set()


def _judge(folder: Path, promises: Promises) -> None:
    """Compares what was promised with what is there."""
    with sqlite3.connect(folder / "jobs.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        states = dict(db.execute("SELECT id, state FROM jobs"))
        results = {
            job_id: (sha256, size)
            for job_id, sha256, size in db.execute(
                "SELECT jobs.id, sha256, size_bytes FROM results JOIN jobs ON jobs.n = job_n"
            )
        }
        open_without_deadline = db.execute(
            "SELECT count(*) FROM jobs WHERE state IN ('pending', 'processing') AND deadline_at > 9e18"
        ).fetchone()
        counted = dict(
            db.execute("SELECT state, sum(n) FROM counts GROUP BY state HAVING sum(n) > 0")
        )
    db.close()
    assert promises.created <= set(states), "an acknowledged job is lost"
    for job_id, sha256 in promises.films.items():
        assert states[job_id] == "completed"
        assert results[job_id][0] == sha256, "an acknowledged film was replaced"
    for job_id, (sha256, size) in results.items():
        film = (folder / "videos" / f"{job_id}.mp4").read_bytes()
        assert (hashlib.sha256(film).hexdigest(), len(film)) == (sha256, size), "half a film"
    assert not promises.submitted_again, "a submitted job was handed out to be submitted again"
    assert open_without_deadline == (0,)
    assert counted == {state: list(states.values()).count(state) for state in set(states.values())}
