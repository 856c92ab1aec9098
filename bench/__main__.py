"""`python -m bench [NAME...] [--quick] [--write]`: runs the benches in order, each figure on its last line.

`--write` puts the figures of a whole run into `bench/README.md`. Ends with status 1 only if a bench broke: a missed
target is a figure, not an error.
"""

import argparse
import asyncio
import importlib
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

import uvloop

import bench
from bench import table
from bench.figures import Row
from bench.handover import fdatasync_p50
from bench.plan import Plan, quick, whole
from bench.server import CORES, on_cores

#: No bench takes longer. One that would hangs, and is broken off.
BENCH_SECONDS = 150.0
#: Our own server and load make up to two; what is above that is somebody else's.
BUSY_LOAD = 2.5


def main() -> int:
    chosen = _arguments()
    benches = [name for name in _all_benches() if _is_wanted(name, chosen.names)]
    if not benches:
        print(f"No such bench. There are: {', '.join(_all_benches())}", file=sys.stderr)
        return 2
    # Ended from outside as by Ctrl-C, so that the servers are stopped; a shell may have had Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_cores(CORES[-1:]):
        plan = (quick if chosen.quick else whole)(Path(folder))
        rows, broken = _run(benches, plan)
        if chosen.write and not broken:
            table.write(rows, uvloop.run(fdatasync_p50(plan.folder, plan.jobs)) * 1000)
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=bench.__doc__)
    parser.add_argument("names", nargs="*", help="b01, B1, create …; all if none is named")
    parser.add_argument("--quick", action="store_true", help="a short look; figures are rough")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/README.md")
    chosen = parser.parse_args()
    if chosen.write and (chosen.quick or chosen.names):
        parser.error("--write keeps the figures of a whole run only")
    return chosen


def _all_benches() -> list[str]:
    modules = (module.name for module in pkgutil.iter_modules(bench.__path__))
    return sorted(name for name in modules if name[0] == "b" and name[1:3].isdigit())


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    """By its file's name, by what follows the number in it, or by its figure's name."""
    number, _, what = name.partition("_")
    own = {name, number, what, f"b{int(number[1:])}"}
    return not wanted or any(word.lower() in own for word in wanted)


def _run(benches: Sequence[str], plan: Plan) -> tuple[list[Row], bool]:
    rows: list[Row] = []
    broken = False
    for name in benches:
        started = time.monotonic()
        print(f"{name} … {_unrest()}", flush=True)
        try:
            found = _figures_of(name, plan)
        # A broken bench is told of and must not keep the others from running.
        except Exception as error:
            broken = True
            print(f"{name} broke after {time.monotonic() - started:.0f} s: {error!r}", flush=True)
            continue
        rows += found
        for row in found:
            print(*filter(None, [getattr(row, "sides", ""), row.line]), sep="\n", flush=True)
    return rows, broken


def _unrest() -> str:
    """A warning when somebody else is using the cores: then even ratios wander."""
    others = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"(load {others:.1f}: this machine is busy)" if others > BUSY_LOAD else ""


def _figures_of(name: str, plan: Plan) -> list[Row]:
    found: list[Row] = uvloop.run(_in_time(importlib.import_module(f"bench.{name}").run(plan)))
    return found


async def _in_time(measuring: Awaitable[list[Row]]) -> list[Row]:
    async with asyncio.timeout(BENCH_SECONDS):
        return await measuring


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped before the end; nothing was kept.")
