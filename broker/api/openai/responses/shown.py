"""A job as a `Response`, whole and at any moment of its life. No waiting and no storage."""

from typing import Any

from broker.api.errors import Problem
from broker.api.openai.chat.answering import Answer, Ended, Question
from broker.ids import response_spelling
from broker.jobs import Job, JobState

Item = dict[str, Any]
#: The finish reason of a text that is not whole → why, in the words of a response.
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
#: Our codes → those that are published for failed responses; every other is `server_error`.
_ERROR_CODES = {
    "rate_limit_exceeded": "rate_limit_exceeded",
    "bad_input": "invalid_prompt",
    "upload_rejected": "invalid_image",
}


def shown_open(job: Job, echo: dict[str, Any]) -> dict[str, Any]:
    """A response that has not ended. Only one in the background is said to be queued: nobody waits for it."""
    is_queued = job.state == JobState.PENDING and echo["background"]
    return _shown(job, echo, "queued" if is_queued else "in_progress")


def shown_ended(
    ended: Ended, echo: dict[str, Any], question: Question, output: list[Item] | None = None
) -> dict[str, Any]:
    """A response that has ended; with what has been streamed of it as its output, where it was."""
    job, answer = ended.job, ended.answer
    if answer is None:
        assert ended.problem is not None
        return _shown_failed(job, echo, ended.problem, output or [])
    cut = _CUT.get(answer.finish_reason)
    return {
        **_shown(job, echo, "incomplete" if cut else "completed"),
        "completed_at": None if cut or job.finished_at is None else int(job.finished_at),
        "incomplete_details": {"reason": cut} if cut else None,
        "output": items_of(job, answer) if output is None else output,
        "usage": _usage(question, answer),
    }


def _usage(question: Question, answer: Answer) -> dict[str, Any]:
    usage = question.usage(answer.text or answer.refusal or "", answer.reasoning or "")
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
        "estimated": True,
    }


def _shown_failed(
    job: Job, echo: dict[str, Any], problem: Problem, output: list[Item]
) -> dict[str, Any]:
    if problem.code == "cancelled":
        return {**_shown(job, echo, "cancelled"), "output": output}
    error = {
        "code": _ERROR_CODES.get(problem.code, "server_error"),
        "message": problem.message,
        "reason": problem.code,
    }
    return {**_shown(job, echo, "failed"), "error": error, "output": output}


def _shown(job: Job, echo: dict[str, Any], status: str) -> dict[str, Any]:
    shown = {
        "id": response_spelling(job.id),
        "object": "response",
        "created_at": int(job.created_at),
        "completed_at": None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": job.model,
        "output": [],
        **echo,
    }
    if shown["user"] is None:
        # Published as a text: absent where there is none, and so is the usage until the end.
        del shown["user"]
    return shown


# What an answer is made of.


def items_of(job: Job, answer: Answer) -> list[Item]:
    """An answer as output items: its reasoning, where there is any, then its message."""
    items = [thought(job, 0, answer.reasoning)] if answer.reasoning else []
    status = item_status(answer)
    return [*items, message(job, status, [content_of(answer)])]


def item_status(answer: Answer) -> str:
    return "incomplete" if answer.finish_reason in _CUT else "completed"


def content_of(answer: Answer) -> Item:
    return words(answer.text) if answer.text is not None else refusal(answer.refusal or "")


def message(job: Job, status: str, content: list[Item]) -> Item:
    return {
        "id": f"msg_{job.id[4:]}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def thought(job: Job, number: int, text: str | None, status: str = "completed") -> Item:
    """Reasoning as an item; without its text where that is still to come."""
    return {
        "id": f"rs_{job.id[4:]}_{number}",
        "type": "reasoning",
        "status": status,
        "summary": [] if text is None else [summary(text)],
    }


def words(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal(text: str) -> Item:
    return {"type": "refusal", "refusal": text}


def summary(text: str) -> Item:
    return {"type": "summary_text", "text": text}
