"""One database, one broker: a second is refused at once and told who holds it."""

import time
from pathlib import Path

import pytest

from tests.support.server import BrokerProcess

EXIT_RUNNING = 4


@pytest.mark.faults
@pytest.mark.parametrize("way_in", ["same path", "symlink", "other folder"])
def test_a_second_broker_is_refused_and_told_who_holds_the_file(
    tmp_path: Path, way_in: str
) -> None:
    folder, other = tmp_path / "one", tmp_path / "two"
    folder.mkdir()
    other.mkdir()
    database = folder / "jobs.db"
    with BrokerProcess(folder) as first:
        if way_in == "symlink":
            (other / "link.db").symlink_to(database)
            database = other / "link.db"
        second = BrokerProcess(folder if way_in == "same path" else other, db_path=database)
        began = time.monotonic()
        second.launch()

        assert second.wait(10) == EXIT_RUNNING
        assert time.monotonic() - began < 5
        assert f"process {first.pid}" in second.output
        assert second.output.count("\n") <= 3
        with first.client() as client:
            assert client.get("/").status_code == 200


@pytest.mark.faults
def test_a_stale_lock_is_no_obstacle(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    broker.kill()

    broker.start()

    assert broker.stop() == 0
