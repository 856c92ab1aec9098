"""From the clients' words to a job's, and back. No waiting and no storage."""

import json
from collections.abc import Sequence
from typing import Any, assert_never, get_args

from broker.api.openai.wire import (
    Aspect,
    CreateChatCompletion,
    CreateImage,
    CreateVideo,
    ImagePart,
    ImageUrl,
    Message,
    Prompted,
    RefusalPart,
    TextPart,
    Usage,
    Video,
)
from broker.errors import InvalidValue, UnsupportedParameter
from broker.ids import uuid_spelling, video_spelling
from broker.jobs import Job, JobState
from broker.outputs import Result

#: Sizes that clients ask for are not all exact: 1792x1024 means 16:9.
SIZE_TOLERANCE = 0.05
_ROLE_NAMES = {
    "system": "System",
    "developer": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
    "function": "Tool",
}


# Videos.


def input_images(asked: Prompted) -> list[str]:
    given = asked.image if isinstance(asked.image, list) else [asked.image]
    return [image.url if isinstance(image, ImageUrl) else image for image in given if image]


def video_options(asked: CreateVideo) -> str | None:
    options = {
        "duration_seconds": asked.duration,
        "aspect": asked.aspect_ratio,
        "resolution": asked.resolution,
    }
    present = {name: value for name, value in options.items() if value is not None}
    return json.dumps(present) if present else None


def seed_status(state: JobState) -> Any:
    """The seed knows four states: a cancelled job has failed, with the code `cancelled`."""
    return "failed" if state == JobState.CANCELLED else state.value


def video_of(job: Job, base_url: str) -> Video:
    has_ended_badly = job.state in (JobState.FAILED, JobState.CANCELLED)
    return Video(
        id=job.id,
        created=int(job.created_at),
        model=job.model,
        status=seed_status(job.state),
        video_url=None if has_ended_badly else f"{base_url}/videos/{job.id}.mp4",
        error=job.error_message,
        error_code=job.error_code,
        request_id=uuid_spelling(job.id),
        video_id=video_spelling(job.id),
        progress=job.progress,
        phase=job.phase,
        waiting_reason=job.waiting_reason,
        retry_at=None if job.ready_at is None else int(job.ready_at),
    )


# Images.


def image_options(asked: CreateImage) -> str:
    aspect = asked.aspect_ratio or _aspect_of(asked.size)
    return json.dumps({"aspect": aspect, "n": asked.n or 1} if aspect else {"n": asked.n or 1})


def _aspect_of(size: str | None) -> str | None:
    """The shape of a size in pixels. Raises `InvalidValue` for one that the page does not offer."""
    if size in (None, "auto"):
        return None
    width, height = (int(side) for side in size.split("x"))
    for aspect in get_args(Aspect):
        wide, high = (int(side) for side in aspect.split(":"))
        if abs(width * high / (height * wide) - 1) <= SIZE_TOLERANCE:
            return str(aspect)
    offered = ", ".join(get_args(Aspect))
    raise InvalidValue(f"{size} has none of the shapes that there are: {offered}.", param="size")


# Chat.


def refuse_unsupported(asked: CreateChatCompletion) -> None:
    """Raises for what a person at Grok's page could not do either; nothing is dropped in silence."""
    if asked.n not in (None, 1):
        raise UnsupportedParameter("n must be 1: the page gives one answer.", param="n")
    if asked.stop not in (None, [], ""):
        raise UnsupportedParameter("stop is not supported.", param="stop")
    wanted = (asked.response_format or {}).get("type", "text")
    if wanted != "text":
        raise UnsupportedParameter(
            f"response_format {wanted!r} is not supported; ask for JSON in the prompt.",
            param="response_format",
        )
    if "audio" in (asked.modalities or ()):
        raise UnsupportedParameter("Audio is not supported.", param="modalities")
    for param, choice in (
        ("tool_choice", asked.tool_choice),
        ("function_call", asked.function_call),
    ):
        if choice not in (None, "auto", "none"):
            raise UnsupportedParameter(
                f"Grok's page cannot be made to call a tool: {param} must be auto or none.",
                param=param,
            )


def chat_prompt(messages: Sequence[Message]) -> str:
    """What is typed into the page: one user turn as it is, a conversation with its speakers named, in order."""
    turns = [(message.role, _text_of(message)) for message in messages]
    spoken = [(role, text) for role, text in turns if text]
    if not spoken and not chat_images(messages):
        raise InvalidValue("The messages have no text and no image.", param="messages")
    if [role for role, _ in spoken] == ["user"]:
        return spoken[0][1]
    return "\n\n".join(f"{_ROLE_NAMES[role]}: {text}" for role, text in spoken)


def chat_images(messages: Sequence[Message]) -> list[str]:
    """The images of all turns, in order, each once."""
    parts = [p for m in messages if isinstance(m.content, list) for p in m.content]
    return list(dict.fromkeys(p.image_url.url for p in parts if isinstance(p, ImagePart)))


def _text_of(message: Message) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    return "\n".join(text for part in message.content if (text := _text_of_part(part)))


def _text_of_part(part: TextPart | ImagePart | RefusalPart) -> str:
    match part:
        case TextPart():
            return part.text
        case RefusalPart():
            return part.refusal
        case ImagePart():
            return ""
        case _:
            assert_never(part)


def completion_of(job: Job, result: Result, usage: Usage) -> dict[str, Any]:
    """A `ChatCompletion`, built as it goes on the line: its parts are ours and need no second check."""
    return _completion(
        job,
        {
            "role": "assistant",
            "content": result.text,
            "refusal": None,
            "reasoning_content": result.reasoning,
        },
        result.finish_reason or "stop",
        usage,
    )


def refused_completion(job: Job, usage: Usage) -> dict[str, Any]:
    """What Grok would not answer: an empty answer that says so, as clients expect of a content filter."""
    refusal = {
        "role": "assistant",
        "content": None,
        "refusal": job.error_message,
        "reasoning_content": None,
    }
    return _completion(job, refusal, "content_filter", usage)


def _completion(
    job: Job, message: dict[str, Any], finish_reason: str, usage: Usage
) -> dict[str, Any]:
    return {
        "id": completion_id(job),
        "object": "chat.completion",
        "created": int(job.created_at),
        "model": job.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        ],
        "usage": usage.model_dump(),
        "system_fingerprint": None,
    }


def completion_id(job: Job) -> str:
    return f"chatcmpl-{job.id}"


def estimated_usage(prompt: str, message_count: int, answer: str) -> Usage:
    """Four bytes a token and four tokens a message: within a fifth for English and code."""
    asked = _tokens(prompt) + 4 * message_count
    answered = _tokens(answer)
    return Usage(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)
