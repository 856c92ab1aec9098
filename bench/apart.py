"""Work that must not disturb what is measured: another process, which yields to everybody on the load's core."""

import asyncio
import os
import sys

from bench.server import ROOT


async def apart(*arguments: str) -> None:
    """Runs this Python with these arguments to its end. Raises `RuntimeError` if it fails."""
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    os.setpriority(os.PRIO_PROCESS, process.pid, 15)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    if status:
        raise RuntimeError(f"A helper process ended with status {status}.")
