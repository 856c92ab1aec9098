"""A lease: one worker's time-limited right to act on one job, and the timers that bound it.

Decides who may still act. Knows nothing of what becomes of a job when a lease ends: that is `retries.py`.
"""

import hmac
from enum import StrEnum
from typing import NamedTuple

from broker.ids import TokenHash, WorkerId


class Phase(StrEnum):
    """How far an attempt has come. `SUBMITTED` is the point of no return: from there on quota is spent."""

    ASSIGNED = "assigned"
    PREPARING = "preparing"
    SUBMITTED = "submitted"
    GENERATING = "generating"
    DOWNLOADING = "downloading"
    UPLOADING = "uploading"

    @property
    def is_submitted(self) -> bool:
        return PHASE_ORDER[self] >= PHASE_ORDER[Phase.SUBMITTED]


PHASE_ORDER = {phase: place for place, phase in enumerate(Phase)}


class Timers(NamedTuple):
    """How long each kind of silence is borne, in seconds. One set for each kind of job."""

    #: How long a lease lives without a beat.
    lease_seconds: float
    #: How long a job may go without a phase or progress advance, counted from the claim.
    stall_seconds: float
    #: How long one attempt may take, and how long a submitted job may be recovered.
    run_cap_seconds: float
    #: How long a job may wait for its turn.
    queue_seconds: float
    #: The first beat after a hand-out must come within this; until then the hand-out was not a delivery.
    first_beat_seconds: float = 10.0
    #: How long a job to be recovered is kept for the worker that submitted it.
    reserve_seconds: float = 30.0


class Lease(NamedTuple):
    """What a worker holds. Frozen: every act of the worker makes a new one."""

    token_hash: TokenHash
    worker_id: WorkerId
    claimed_at: float
    #: When the worker's first act proved that the hand-out had arrived.
    confirmed_at: float | None
    expires_at: float
    #: When phase or progress last moved on.
    advanced_at: float
    phase: Phase
    #: Percent, 0 to 100; never goes back within an attempt.
    progress: int
    #: The worker sends no token, so it cannot beat: the lease lasts the whole stall time.
    is_legacy: bool

    @classmethod
    def granted(
        cls,
        token_hash: TokenHash,
        worker_id: WorkerId,
        now: float,
        timers: Timers,
        *,
        is_legacy: bool,
    ) -> "Lease":
        lasts = timers.stall_seconds if is_legacy else timers.first_beat_seconds
        return cls(
            token_hash=token_hash,
            worker_id=worker_id,
            claimed_at=now,
            confirmed_at=now if is_legacy else None,
            expires_at=now + lasts,
            advanced_at=now,
            phase=Phase.ASSIGNED,
            progress=0,
            is_legacy=is_legacy,
        )

    def is_for(self, token_hash: TokenHash) -> bool:
        return hmac.compare_digest(self.token_hash, token_hash)

    def renewed(self, now: float, timers: Timers) -> "Lease":
        """The lease after a sign of life that carried its token."""
        return self._replace(
            confirmed_at=self.confirmed_at or now,
            expires_at=now + timers.lease_seconds,
            is_legacy=False,
        )

    def advanced(self, phase: Phase | None, progress: int | None, now: float) -> "Lease":
        """The lease after the worker told how far it is. Neither phase nor progress ever goes back."""
        on_phase = max(self.phase, phase or self.phase, key=PHASE_ORDER.__getitem__)
        on_progress = max(self.progress, progress or 0)
        if (on_phase, on_progress) == (self.phase, self.progress):
            return self
        return self._replace(phase=on_phase, progress=on_progress, advanced_at=now)

    def touched(self, now: float) -> "Lease":
        """The lease after progress of a kind that has no percentage, such as streamed text."""
        return self._replace(advanced_at=now)

    def deadline(self, timers: Timers) -> float:
        """The moment at which the attempt is over unless the worker moves on."""
        return min(
            self.expires_at,
            self.advanced_at + timers.stall_seconds,
            self.claimed_at + timers.run_cap_seconds,
        )
