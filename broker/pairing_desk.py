"""`PairingDesk`: workers that ask to be let in, and the owner's word on each. Knows no HTTP.

Kept in memory alone: a restart ends what was pending, and the worker asks anew. The key is made in the moment in which
its worker fetches it, so one that was never fetched does not exist.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from broker.errors import Conflict, InvalidValue, LimitReached, NotFound
from broker.keyring import KeyRing, NewKey
from broker.keys import Scope
from broker.pairing import (
    MAX_PENDING,
    MAX_WRONG_CODES,
    Grant,
    Pairing,
    PairingId,
    PairingState,
    new_pairing,
)
from broker.ports import Clock

#: So many pairings of one address may begin within a minute.
MAX_STARTS = 10
MINUTE = 60.0
#: How often a waiting worker is looked after.
LOOK_SECONDS = 0.5
#: One pairing has one worker; it may ask anew before its old call is seen to be dead.
MAX_WAITING = 3


class Seen(NamedTuple):
    """What a worker is told of its pairing; its key only once."""

    state: PairingState
    key: str | None = None


class PairingDesk:
    def __init__(self, ring: KeyRing, clock: Clock, is_needed: Callable[[], bool]) -> None:
        """`is_needed` says whether a key is asked for at all."""
        self._ring = ring
        self._clock = clock
        self._is_needed = is_needed
        self._pairings: dict[PairingId, Pairing] = {}
        self._moved: dict[PairingId, asyncio.Event] = {}
        self._waiting: Counter[PairingId] = Counter()
        self._starts: Counter[str] = Counter()
        self._minute = 0

    @property
    def pending(self) -> Sequence[Pairing]:
        """Those that wait for the owner, the oldest first."""
        self._look()
        return [p for p in self._pairings.values() if p.state == PairingState.PENDING]

    def start(self, nonce: str, name: str, address: str) -> Pairing:
        """A new pairing; the pending one of this nonce where there is one.

        Raises `Conflict` where no key is asked for or the nonce is used up, and `LimitReached`.
        """
        self._check_needed()
        self._look()
        if (known := self._of_nonce(nonce)) is not None:
            return known
        self._check_limits(address)
        pairing = self._distinct(nonce, name, address)
        self._pairings[pairing.id] = pairing
        self._moved[pairing.id] = asyncio.Event()
        return pairing

    def left(self, pairing: Pairing) -> float:
        """How many seconds it has."""
        return max(0.0, pairing.ends_at - self._clock.now())

    async def wait(
        self, pairing_id: PairingId, nonce: str, wait_seconds: float, goes_on: Callable[[], bool]
    ) -> Seen:
        """How the pairing stands: at once if it has been decided, else when it is or the wait is over.

        `goes_on` says whether somebody still waits. Raises `NotFound` for another's, and `LimitReached`.
        """
        over_at = self._clock.now() + wait_seconds
        with self._place(self._own(pairing_id, nonce).id):
            while True:
                pairing = self._own(pairing_id, nonce)
                is_here = goes_on()
                if pairing.state == PairingState.CONFIRMED and is_here:
                    return await self._hand_over(pairing)
                left = over_at - self._clock.now()
                if pairing.state != PairingState.PENDING or not is_here or left <= 0:
                    return Seen(pairing.state)
                await self._sleep(pairing.id, min(LOOK_SECONDS, left))

    def confirm(self, pairing_id: PairingId, code: str, grant: Grant) -> Pairing:
        """The owner's yes, with the code that the worker shows.

        Raises `NotFound`, `Conflict` for one that waits no more, and `InvalidValue` for a wrong code, which counts.
        """
        self._check_needed()
        tried = self._put(self._known(pairing_id).tried(code, grant, self._clock.now()))
        if tried.state == PairingState.CONFIRMED:
            return tried
        left = MAX_WRONG_CODES - tried.wrong_codes
        told = f"{left} tries are left." if left else "The pairing is over: begin it anew."
        raise InvalidValue(f"This is not the code that the worker shows. {told}", param="code")

    def refuse(self, pairing_id: PairingId) -> Pairing:
        """The owner's no. Raises `NotFound`, and `Conflict` for one that waits no more."""
        return self._put(self._known(pairing_id).refused(self._clock.now()))

    async def _hand_over(self, pairing: Pairing) -> Seen:
        # First, so that nobody else is handed one while the key is being written.
        self._put(pairing._replace(state=PairingState.PAIRED, ends_at=self._clock.now()))
        label = pairing.name if pairing.grant.label is None else pairing.grant.label
        try:
            minted = await self._ring.create(NewKey(Scope.WORKER, pairing.grant.owner, label))
        except BaseException:
            self._put(pairing)
            raise
        return Seen(PairingState.PAIRED, minted.text)

    def _distinct(self, nonce: str, name: str, address: str) -> Pairing:
        """One with other words and another code than those that wait."""
        while True:
            new = new_pairing(nonce, name, address, self._clock.now())
            if not any(new.words == p.words or new.code == p.code for p in self.pending):
                return new

    def _of_nonce(self, nonce: str) -> Pairing | None:
        known = next((p for p in self._pairings.values() if p.is_of(nonce)), None)
        if known is not None and known.state != PairingState.PENDING:
            raise Conflict("This nonce has been used. Begin with a new one.")
        return known

    def _known(self, pairing_id: PairingId) -> Pairing:
        self._look()
        pairing = self._pairings.get(pairing_id)
        if pairing is None:
            raise NotFound("There is no such pairing.")
        return pairing

    def _own(self, pairing_id: PairingId, nonce: str) -> Pairing:
        pairing = self._known(pairing_id)
        if not pairing.is_of(nonce):
            raise NotFound("There is no such pairing.")
        return pairing

    def _put(self, pairing: Pairing) -> Pairing:
        self._pairings[pairing.id] = pairing
        self._moved[pairing.id].set()
        return pairing

    def _look(self) -> None:
        """Ends what is due, and forgets what has been over for a while."""
        now = self._clock.now()
        for pairing_id, pairing in list(self._pairings.items()):
            self._pairings[pairing_id] = pairing = pairing.at(now)
            if pairing.is_forgotten(now):
                del self._pairings[pairing_id], self._moved[pairing_id]

    def _check_needed(self) -> None:
        if not self._is_needed():
            raise Conflict("No key is asked for here: a worker needs no pairing.")

    def _check_limits(self, address: str) -> None:
        now = self._clock.now()
        if int(now // MINUTE) != self._minute:
            self._minute = int(now // MINUTE)
            self._starts.clear()
        open_ones = [p for p in self._pairings.values() if p.state.is_open]
        if len(open_ones) >= MAX_PENDING:
            first = min(pairing.ends_at for pairing in open_ones)
            raise LimitReached(f"{MAX_PENDING} workers wait to be paired already.", first - now)
        self._starts[address] += 1
        if self._starts[address] > MAX_STARTS:
            raise LimitReached("Too many pairings began at this address.", MINUTE - now % MINUTE)

    @contextmanager
    def _place(self, pairing_id: PairingId) -> Iterator[None]:
        if self._waiting[pairing_id] >= MAX_WAITING:
            raise LimitReached("Somebody waits for this pairing already.", 1.0)
        self._waiting[pairing_id] += 1
        try:
            yield
        finally:
            self._waiting[pairing_id] -= 1
            self._waiting += Counter()

    async def _sleep(self, pairing_id: PairingId, seconds: float) -> None:
        """Until the pairing moves, or so long."""
        moved = self._moved[pairing_id]
        moved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await moved.wait()
