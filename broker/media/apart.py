"""Runs one of the scripts beside it on a file, in a process of its own that may be killed. Does not know what it reads.

What a worker hands in is read by libraries that a wrong byte can keep busy, fill with memory, or worse. None of them
is loaded into the broker.
"""

import subprocess
import sys
from io import FileIO
from pathlib import Path


def read_apart(script: str, file: FileIO, *args: str, seconds: float) -> bytes:
    """What the script prints, given the file from where it stands. Raises `subprocess.SubprocessError` otherwise."""
    done = subprocess.run(
        # -P: nothing is imported from beside the script. An own session: Ctrl-C in the broker's terminal lets
        # an upload that is being checked end well.
        [sys.executable, "-P", str(Path(__file__).with_name(script)), *args],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        start_new_session=True,
        check=True,
    )
    return done.stdout
