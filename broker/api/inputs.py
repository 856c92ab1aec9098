"""Input images: kept beside the job at the clients' door, put back in place at the workers'."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from broker.ids import JobId
from broker.jobs import Job, Payload
from broker.media_ports import Image, ImageReader, MediaStore
from broker.queue import JobQueue
from broker.submissions import NewJob

#: Where a request has images. Only there is anything replaced: what somebody wrote stays as it is.
_PLACES = frozenset({"url", "image_url", "file_data"})


async def save_images(media: MediaStore, job_id: JobId, images: Sequence[Image]) -> tuple[str, ...]:
    """Keeps the images under names of this job; durable when this returns."""
    names = tuple(f"{job_id}.{number}" for number in range(len(images)))
    for name, image in zip(names, images, strict=True):
        await media.save_input(image.data, name)
    return names


async def submit_with_images(queue: JobQueue, media: MediaStore, new: NewJob) -> Job:
    """Submits a job whose images have been saved; where no new job comes of it they are removed again."""
    try:
        job = await queue.submit(new)
    except BaseException:
        await _remove(media, new.payload.inputs)
        raise
    if job.id != new.job_id:
        await _remove(media, new.payload.inputs)
    return job


async def _remove(media: MediaStore, names: Sequence[str]) -> None:
    for name in names:
        await media.remove_input(name)


def replaced(value: Any, by: Mapping[str, str], key: str = "") -> Any:
    """A request with other images: the names of inputs for what was sent, or for the names what they stand for."""
    if isinstance(value, dict):
        return {key: replaced(item, by, key) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, by) for item in value]
    return by.get(value, value) if key in _PLACES and isinstance(value, str) else value


async def handed_over(
    media: MediaStore, images: ImageReader, payload: Payload
) -> tuple[list[str], str | None]:
    """What a worker gets: the images as base64, and the request as JSON text, its images in place."""
    if not payload.inputs:
        return [], payload.request
    loaded = [await media.load_input(name) for name in payload.inputs]
    encoded = [base64.b64encode(data).decode("ascii") for data in loaded]
    if payload.request is None:
        return encoded, None
    urls = [
        f"data:{images.mime(data)};base64,{text}"
        for data, text in zip(loaded, encoded, strict=True)
    ]
    by = dict(zip(payload.inputs, urls, strict=True))
    return encoded, json.dumps(replaced(json.loads(payload.request), by))
