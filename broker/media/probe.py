"""Prints what libmediainfo says of the film on standard input; `gate.py` runs this as a process of its own.

Apart, because it must be able to die: one wrong byte in a film's tables keeps the library busy for minutes and
fills gigabytes. Judges nothing, and imports nothing of the broker.
"""

import sys

from pymediainfo import MediaInfo

#: Ten minutes at 60 frames a second are read within 40 MiB.
MEMORY_BYTES = 512 * 1024 * 1024


def main() -> None:
    _bound_memory()
    # Handed over as an open file, so that the library opens no name that stands in the film or beside it.
    sys.stdout.write(MediaInfo.parse(sys.stdin.buffer).to_json())


def _bound_memory() -> None:
    if sys.platform != "win32":
        import resource

        _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if ceiling == resource.RLIM_INFINITY else min(MEMORY_BYTES, ceiling)
        resource.setrlimit(resource.RLIMIT_AS, (limit, ceiling))


if __name__ == "__main__":
    main()
