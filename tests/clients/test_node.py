"""The tests in `node/`: what they say of OpenAI's client for Node.js and of the AI SDK, each file as one test here."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import WEBHOOK_SECRET
from tests.support.auto_worker import AutoWorker
from tests.support.server import BrokerProcess

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("node/*.test.js"))
LIMIT_SECONDS = 60
OPTIONS = ("--test", "--test-reporter=spec", f"--test-timeout={LIMIT_SECONDS * 1000}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_its_claims_hold(
    file: Path, node: str, broker: BrokerProcess, idle: BrokerProcess, worker: AutoWorker
) -> None:
    ran = subprocess.run(
        [node, *OPTIONS, str(file)],
        cwd=HERE,
        env={
            **os.environ,
            "BASE_URL": broker.url,
            "IDLE_URL": idle.url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_SECONDS,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ℹ tests 0" not in ran.stdout
