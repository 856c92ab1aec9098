"""What becomes of a result: published, repeated, kept as late, or refused. The first valid one wins.

Pure, as in `acts.py`. Whether a file is an acceptable film is decided in `media/`, before.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from broker.acts import ended_attempt
from broker.chunks import ChunkKind, joined
from broker.errors import InvalidValue, LeaseLost, ResultConflict
from broker.ids import UNNAMED_WORKER, TokenHash
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Outcome
from broker.outputs import INCOMPLETE, Result, text_result
from broker.ports import JobView


class Verdict(StrEnum):
    """What became of a result."""

    PUBLISHED = "published"
    #: The very result that is published already: the answer is the same again.
    REPEATED = "repeated"
    #: It came after the job had ended: kept and shown, not published.
    LATE = "late"


def judge(view: JobView, sha256: str) -> Verdict:
    """What a result is. Raises `ResultConflict` where a different one came first."""
    job = view.job
    if not job.state.is_final:
        return Verdict.PUBLISHED
    first = view.result() if job.state == JobState.COMPLETED else view.late_result()
    if first is None or first.finish_reason == INCOMPLETE:
        return Verdict.LATE
    if first.sha256 == sha256:
        return Verdict.REPEATED if job.state == JobState.COMPLETED else Verdict.LATE
    raise ResultConflict()


def _is_better(kept: Result | None) -> bool:
    """Whether a late result is to be kept: none is yet, or only the beginning of an answer."""
    return kept is None or kept.finish_reason == INCOMPLETE


def attempt_of(view: JobView, token_hash: TokenHash | None) -> int:
    """Which attempt of this job the sender holds or held. Raises `LeaseLost` for a stranger."""
    job, number = view.job, None
    if token_hash is None:
        number = _legacy_attempt(view)
    elif job.lease is not None and job.lease.is_for(token_hash):
        number = job.attempt
    elif (earlier := view.attempt_with(token_hash)) is not None:
        number = earlier.number
    if number is None:
        raise LeaseLost("This lease token belongs to no attempt of this job.")
    return number


def _legacy_attempt(view: JobView) -> int | None:
    """The attempt of a worker that sends no token: the present or the last one, if that was such a worker's."""
    if view.job.lease is not None:
        return view.job.attempt if view.job.lease.is_legacy else None
    last = view.last_attempt()
    return last.number if last is not None and last.worker_id == UNNAMED_WORKER else None


@dataclass(slots=True)
class Complete:
    """A result arrives: the first valid one is published, a later one kept or refused."""

    now: float
    kind: JobKind
    token_hash: TokenHash | None
    result: Result | None = None
    #: Chat: the whole answer, or None for what has been streamed.
    text: str | None = None
    reasoning: str | None = None
    finish_reason: str = "stop"
    #: Set by the call, for the caller to read once the change is durable.
    verdict: Verdict = field(default=Verdict.PUBLISHED, init=False)
    published: Result | None = field(default=None, init=False)

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        self.check_kind(job)
        number = attempt_of(view, self.token_hash)
        result = (self.result or self._answer(view, number))._replace(attempt=number)
        self.verdict, self.published = judge(view, result.sha256), None
        if self.verdict == Verdict.LATE:
            return Change(job, late=result) if _is_better(view.late_result()) else None
        if self.verdict == Verdict.REPEATED:
            return None
        self.published = result
        return Change(
            job.ended(JobState.COMPLETED, self.now),
            ended=self._ended(job, number),
            result=result,
        )

    def check_kind(self, job: Job) -> None:
        if job.kind != self.kind:
            raise InvalidValue(f"This is a {job.kind} job, not a {self.kind} job.", param="job_id")

    def _ended(self, job: Job, number: int) -> Attempt | None:
        """The attempt that an earlier one's result overtook. The one that succeeds stays in the job itself."""
        if job.lease is None or number == job.attempt:
            return None
        return ended_attempt(job, self.now, Outcome.OVERTAKEN)

    def _answer(self, view: JobView, number: int) -> Result:
        text, reasoning = self.text, self.reasoning
        if text is None or reasoning is None:
            # The view shows the present attempt's pieces; an earlier one's answer is not made of those.
            has_streamed = view.job.next_seq > 0 and number == view.job.attempt
            streamed = view.chunks() if has_streamed else ()
            text = joined(streamed, ChunkKind.TEXT) if text is None else text
            reasoning = reasoning or joined(streamed, ChunkKind.REASONING) or None
        if not text:
            raise InvalidValue(
                "The answer is empty. Report an error instead of completing the job.",
                param="content",
            )
        return text_result(text, reasoning, self.finish_reason, number, self.now)


@dataclass(frozen=True, slots=True)
class Adopt:
    """A film that was made durable, but whose row was not written before the broker was killed."""

    now: float
    result: Result

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.state.is_final:
            return None
        return Change(job.ended(JobState.COMPLETED, self.now), result=self.result)
