"""`python -m broker …`, run to its end in a folder."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT


def command(
    folder: Path, *arguments: str | Path, **settings: object
) -> subprocess.CompletedProcess[str]:
    given = {name.upper(): str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "broker", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
