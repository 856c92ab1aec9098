"""The film that another is made of: which job of ours a client means, and what a worker is told of it.

The page takes no film from outside, so only one that was made here will do.
"""

import json
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from broker.api.openai.videos.wire import EditVideo, VideoReference
from broker.errors import MissingParameter, NotFound, NotReady, UnsupportedParameter
from broker.ids import JobId, parse_job_id
from broker.jobs import Job, JobKind
from broker.offers import Offers
from broker.outputs import Result
from broker.ports import Record

_FILM_PATH = re.compile(r"/videos/([A-Za-z0-9_-]+)(?:\.mp4|/content)\Z", re.ASCII)
_WHAT_WORKS = "Give the id or the url of a video that was made here."


def require_operation(name: str, offers: Offers) -> None:
    """Raises `UnsupportedParameter` where it is known that no page can do this to a film."""
    if offers.operations is None or name in offers.operations:
        return
    known = ", ".join(sorted(offers.operations)) or "nothing"
    message = f"No page that is connected can {name} a video. With a video they can do: {known}."
    raise UnsupportedParameter(message, param="video")


def named_source(asked: EditVideo, files: Collection[str]) -> JobId:
    """The job whose film is meant. Raises a `BadRequest`, or `NotFound` for an id that names none."""
    if "video" in files:
        message = f"The page takes no video file. {_WHAT_WORKS}"
        raise UnsupportedParameter(message, param="video")
    given = asked.video or asked.video_url
    if isinstance(given, VideoReference):
        return _of_reference(given)
    if not given:
        raise MissingParameter(f"video is required. {_WHAT_WORKS}", param="video")
    return _of_url(given, "video") if "/" in given or ":" in given else id_of(given)


def film_of(record: Record | None) -> tuple[Job, Result]:
    """The completed job. Raises `NotFound` or, where it may yet complete, `NotReady`."""
    if record is None or record.job.kind != JobKind.VIDEO:
        raise NotFound()
    if record.result is not None:
        return record.job, record.result
    if record.job.state.is_final:
        raise NotFound("The job has ended without a video.")
    raise NotReady()


def source_options(operation: str, job: Job, film: Result) -> dict[str, Any]:
    """What the worker is told: what to do, and to which film, by all that its own attempt knew of it."""
    source: dict[str, Any] = {
        "job_id": job.id,
        "evidence": json.loads(job.evidence) if job.evidence else None,
    }
    if film.duration_seconds:
        source["duration_seconds"] = film.duration_seconds
    if film.width and film.height:
        source["size"] = f"{film.width}x{film.height}"
    return {"operation": operation, "source": source}


def _of_reference(given: VideoReference) -> JobId:
    if given.id:
        return id_of(given.id)
    if given.url:
        return _of_url(given.url, "video.url")
    if given.file_id is not None:
        message = f"Files are not kept here. {_WHAT_WORKS}"
        raise UnsupportedParameter(message, param="video.file_id")
    raise MissingParameter(f"video needs an id or a url. {_WHAT_WORKS}", param="video")


def id_of(text: str) -> JobId:
    """The job that an id names in any spelling. Raises `NotFound`."""
    job_id = parse_job_id(text)
    if job_id is None:
        raise NotFound()
    return job_id


def _of_url(url: str, param: str) -> JobId:
    """Our films are known by their path: a broker has many names, and the id alone gives leave."""
    try:
        match = _FILM_PATH.search(urlsplit(url).path)
    except ValueError:
        match = None
    job_id = parse_job_id(match[1]) if match else None
    if job_id is None:
        message = f"The page takes no videos from elsewhere. {_WHAT_WORKS}"
        raise UnsupportedParameter(message, param=param)
    return job_id
