"""What a worker does with a job it holds: beat, chunks, answer, error, release."""

import json
from collections.abc import Mapping

from pydantic import BaseModel

from broker.api.bodies import read_model
from broker.api.deps import Deps
from broker.api.extension.wire import (
    MAX_EVIDENCE_CHARS,
    BeatAnswer,
    ChunksAnswer,
    CompleteChat,
    Outcome,
    ReleaseJob,
    ReportError,
    SendBeat,
    SendChunks,
)
from broker.api.lean import JSON_BODY, MIB, Body, Call, Door, Handler, Reply, Route
from broker.chunks import Chunk
from broker.config import Settings
from broker.errors import InvalidValue, LeaseLost, NotFound
from broker.failures import Failure, classify
from broker.ids import JobId, LeaseToken, parse_job_id
from broker.jobs import Job
from broker.results import Verdict

_ANSWER_BODY = Body(16 * MIB, (b"application/json",))
#: Whatever is done to a job can meet one that is not there, or not held any more.
_REFUSALS = {404: None, 409: None}


class ActDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._roster = deps.roster
        self._settings = deps.settings
        self._clock = deps.clock

    def routes(self) -> list[Route]:
        return [
            _route("/extension/beat", self.beat, SendBeat, BeatAnswer),
            _route("/extension/chunks", self.chunks, SendChunks, ChunksAnswer, _ANSWER_BODY),
            _route(
                "/extension/complete/chat",
                self.complete,
                CompleteChat,
                Outcome,
                _ANSWER_BODY,
                {202: Outcome, **_REFUSALS},
            ),
            _route("/extension/error", self.error, ReportError, Outcome),
            _route("/extension/release", self.release, ReleaseJob, Outcome),
        ]

    async def beat(self, call: Call) -> Reply:
        """Renew a lease and tell how far the attempt is; hear whether to stop"""
        sent = read_model(SendBeat, await call.body())
        evidence = None if sent.evidence is None else json.dumps(sent.evidence)
        if evidence is not None and len(evidence) > MAX_EVIDENCE_CHARS:
            raise InvalidValue(
                f"evidence may have at most {MAX_EVIDENCE_CHARS} characters.", param="evidence"
            )
        job = await self._queue.beat(
            known_job(sent.job_id),
            call.caller.lease(LeaseToken(sent.lease_token)),
            sent.phase,
            sent.progress,
            evidence,
        )
        assert job.lease is not None
        worker_id = job.lease.worker_id
        self._roster.see(worker_id, (), self._clock.now())
        answer = BeatAnswer(
            lease_expires_at=job.lease.expires_at,
            cancel=job.state.is_final,
            directives=[str(told) for told in self._roster.take_directives(worker_id)],
        )
        return Reply(200, answer.model_dump_json().encode())

    async def chunks(self, call: Call) -> Reply:
        """Add to a streamed answer; repeats are dropped, a gap is refused with the number expected"""
        sent = read_model(SendChunks, await call.body())
        chunks = [Chunk(piece.seq, piece.kind, piece.delta) for piece in sent.chunks]
        token = call.caller.lease(LeaseToken(sent.lease_token))
        job = await self._queue.add_chunks(known_job(sent.job_id), token, chunks)
        answer = ChunksAnswer(stored_seq=job.next_seq - 1)
        return Reply(200, answer.model_dump_json().encode())

    async def complete(self, call: Call) -> Reply:
        """Complete a chat job with its answer"""
        sent = read_model(CompleteChat, await call.body())
        job, verdict = await self._queue.complete_text(
            known_job(sent.job_id),
            sent_token(call, self._settings, sent.lease_token),
            sent.content,
            sent.reasoning,
            sent.finish_reason,
        )
        return verdict_reply(job, verdict)

    async def error(self, call: Call) -> Reply:
        """Report what went wrong; the answer says what was decided"""
        sent = read_model(ReportError, await call.body())
        failure = Failure(classify(sent.code, sent.error), sent.error, sent.retry_at)
        token = sent_token(call, self._settings, sent.lease_token)
        job = await self._queue.fail(known_job(sent.job_id), token, failure)
        return _decided(job)

    async def release(self, call: Call) -> Reply:
        """Give a job back, uncounted; only before its prompt was submitted"""
        sent = read_model(ReleaseJob, await call.body())
        token = call.caller.lease(LeaseToken(sent.lease_token))
        job = await self._queue.release(known_job(sent.job_id), token, sent.reason)
        return _decided(job)


def known_job(text: str) -> JobId:
    job_id = parse_job_id(text)
    if job_id is None:
        raise NotFound()
    return job_id


def sent_token(call: Call, settings: Settings, text: str | None) -> LeaseToken | None:
    """The lease token; it may be missing only where nobody but this machine can connect, and no key is asked for."""
    if text is not None:
        return call.caller.lease(LeaseToken(text))
    if call.caller.key_id is not None or not settings.is_loopback:
        raise LeaseLost(
            "lease_token is required; only a broker on loopback, without keys, does without."
        )
    return None


def verdict_reply(job: Job, verdict: Verdict) -> Reply:
    """200 for a result that is published, 202 for one that came too late and was kept."""
    status = 202 if verdict == Verdict.LATE else 200
    outcome = Outcome(job_id=job.id, outcome=str(verdict))
    return Reply(status, outcome.model_dump_json().encode())


def _decided(job: Job) -> Reply:
    outcome = Outcome(job_id=job.id, outcome=str(job.state), retry_at=job.ready_at)
    return Reply(200, outcome.model_dump_json().encode())


def _route(
    path: str,
    handle: Handler,
    takes: type[BaseModel],
    gives: type[BaseModel],
    body: Body = JSON_BODY,
    answers: Mapping[int, type[BaseModel] | None] = _REFUSALS,
) -> Route:
    return Route(
        "POST",
        path,
        Door.WORKER,
        body,
        handle,
        is_noted=False,
        takes=takes,
        gives=gives,
        answers=answers,
    )
