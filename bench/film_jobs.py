"""A video job up to the moment its film is sent, and the sending: what the benches of big bodies share.

`python -m bench.film_jobs PORT JOB_ID LEASE_TOKEN FILM WORKER` is the sending alone.
"""

import asyncio
import sys
from pathlib import Path

from bench.apart import apart
from bench.calls import Calls, HandOut, handed_out
from bench.films import Film
from bench.load import Connection, expect_success
from bench.transfer import upload


async def claimed_video(port: int, worker_id: str) -> HandOut:
    """A new video job in the hands of this worker, who has submitted its prompt and has the film."""
    calls = Calls(port)
    connection = await Connection.open(port)
    try:
        expect_success(await connection.ask(calls.create_video))
        job = handed_out(await connection.ask(calls.poll("video", worker_id)))
        for phase in ("submitted", "uploading"):
            expect_success(await connection.ask(calls.beat(job, phase, worker_id)))
        return job
    finally:
        connection.close()


async def send_film(port: int, job: HandOut, film: Film, worker_id: str) -> float:
    """Seconds until the film was accepted. Raises `RuntimeError` if it was not."""
    head = Calls(port).upload_head(job, film.size_bytes, worker_id)
    seconds, response = await asyncio.to_thread(upload, port, head, film.path)
    expect_success(response)
    return seconds


async def send_film_apart(port: int, job: HandOut, film: Film, worker_id: str) -> None:
    """The same from another process, so that many can be under way. Raises `RuntimeError` if it was refused."""
    await apart("-m", "bench.film_jobs", str(port), *job, str(film.path), worker_id)


def _main(port: str, job_id: str, lease_token: str, path: str, worker_id: str) -> None:
    film = Film(Path(path), Path(path).stat().st_size)
    asyncio.run(send_film(int(port), HandOut(job_id, lease_token), film, worker_id))


if __name__ == "__main__":
    _main(*sys.argv[1:])
