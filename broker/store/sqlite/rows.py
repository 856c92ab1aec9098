"""Rows to records and back. Column order is that of `migrations/0001_initial.sql`."""

import json
from collections.abc import Sequence
from typing import Any

from broker.chunks import Chunk, ChunkKind
from broker.ids import JobId
from broker.jobs import Attempt, Job, JobKind, JobState, OnLost, Outcome, Payload
from broker.leases import Lease, Phase
from broker.outputs import Picture, Result

Row = Sequence[Any]

# Looking a value up in a dict costs a third of calling the enum.
_KINDS = {kind.value: kind for kind in JobKind}
_STATES = {state.value: state for state in JobState}
_ON_LOST = {choice.value: choice for choice in OnLost}
_PHASES = {phase.value: phase for phase in Phase}
_CHUNK_KINDS = {kind.value: kind for kind in ChunkKind}
_NO_LEASE = (None,) * len(Lease._fields)
_PICTURES_AT = Result._fields.index("pictures")
_LEASE_AT = Job._fields.index("lease")


def to_job(row: Row) -> Job:
    """A row of `jobs`, its number first."""
    _, id_, owner, kind, model, state, priority, on_lost, streaming, *rest = row[: _LEASE_AT + 1]
    return Job._make(
        (
            id_,
            owner,
            _KINDS[kind],
            model,
            _STATES[state],
            priority,
            _ON_LOST[on_lost],
            streaming == 1,
            *rest,
            _to_lease(row[_LEASE_AT + 1 :]),
        )
    )


def _to_lease(row: Row) -> Lease | None:
    if row[0] is None:
        return None
    *head, phase, progress, is_legacy = row
    return Lease._make((*head, _PHASES[phase], progress, is_legacy == 1))


def from_job(job: Job) -> tuple[Any, ...]:
    return (*job[:_LEASE_AT], *(job.lease or _NO_LEASE))


def changed_values(job: Job) -> tuple[Any, ...]:
    """What `save_job` writes, in its order."""
    return (
        job.state,
        job.turn,
        job.ready_at,
        job.queue_deadline_at,
        job.deadline_at,
        job.losses,
        job.on_lost,
        job.submitted_at,
        job.evidence,
        job.reserved_for,
        job.reserved_until,
        job.next_seq,
        job.waiting_reason,
        job.error_code,
        job.error_message,
        job.finished_at,
        *(job.lease or _NO_LEASE),
    )


def to_payload(row: Row) -> Payload:
    prompt, request, options, inputs = row
    return Payload(prompt, request, options, tuple(json.loads(inputs)))


def from_payload(payload: Payload) -> tuple[Any, ...]:
    inputs = json.dumps(payload.inputs) if payload.inputs else "[]"
    return (payload.prompt, payload.request, payload.options, inputs)


def to_attempt(job_id: JobId, row: Row) -> Attempt:
    _, *head, phase, outcome, failure, detail = row
    return Attempt._make((job_id, *head, _PHASES[phase], Outcome(outcome), failure, detail))


def to_chunk(row: Row) -> Chunk:
    seq, kind, delta = row
    return Chunk(seq, _CHUNK_KINDS[kind], delta)


def from_result(result: Result) -> tuple[Any, ...]:
    """All but its pictures, which have a table of their own."""
    return result[:_PICTURES_AT]


def to_results(
    rows: Sequence[Row], pictures: Sequence[Row] = ()
) -> tuple[Result | None, Result | None]:
    """The published result and the late one, of the rows of one job."""
    found: dict[int, Result] = {}
    for is_late, *of_it in rows:
        its_own = tuple(Picture(*row) for late, *row in pictures if late == is_late)
        found[is_late] = Result._make((*of_it, its_own))
    return found.get(0), found.get(1)
