"""Pairing a worker: what it asks, what both sides are shown, who may confirm, and when it is over. Rules, no waiting.

The worker shows a code, and whoever confirms has to type it, so nobody confirms by mistake what they do not see. Both
sides show the same three words, so that of two that wait at once each is known.
"""

import hashlib
import hmac
import secrets
from enum import StrEnum
from typing import NamedTuple, NewType

from broker.errors import Conflict
from broker.ids import Owner

PairingId = NewType("PairingId", str)

#: How long a code is good for.
PAIRING_SECONDS = 120.0
#: How long a confirmed worker may take to fetch its key.
FETCH_SECONDS = 60.0
#: How long the end of a pairing is told to its worker; then it is forgotten.
TOLD_SECONDS = 120.0
MAX_WRONG_CODES = 5
MAX_PENDING = 8
_CODE_DIGITS = 8
#: As many as a byte has values; short, of one spelling, and none that sounds like another.
_WORD_LIST = """
acorn actor album alley amber anchor angle ankle apple apron arrow atlas attic autumn badge bagel banjo barn
basil basket beach beard berry bicycle birch blanket blossom bonnet bottle branch brass bread breeze brick
bridge broom bubble bucket butter button cabin cactus camel candle canoe canvas captain carpet carrot castle
cedar cellar chalk cherry chess chimney cider circle cloud clover cobalt coffee comet compass copper coral
cotton cradle crane crayon cricket crystal curtain dancer desert diamond dolphin donkey dragon drawer drum eagle
easel echo elbow ember engine falcon feather fern fiddle finch flame flute forest fossil fountain foxglove frost
garden garlic ginger glacier glove goat granite grape guitar hammer harbour harp hazel helmet heron hill honey
horse ice igloo indigo iris island ivory ivy jacket jasmine jelly jewel jungle kayak kettle kitten ladder lagoon
lake lantern laurel leaf lemon letter lily linen lion lizard lobster locket lotus magnet mango maple marble
meadow melon mirror mitten moon moss mountain muffin mustard needle nest noodle nutmeg oak oasis ocean olive
onion opal orange orchid otter owl oyster paddle palace panda paper parrot peach pearl pebble pencil penguin
pepper piano pigeon pillow pilot pine planet plum pocket pony poppy potato prairie puzzle pyramid quartz quilt
rabbit radish rain raven ribbon river robin rocket rose ruby saddle saffron sailor salmon sand scarf shadow
shell shovel silk silver snow socket spider spoon spruce squirrel stone storm sugar summer sunset swan table tea
temple thistle thunder tiger timber tomato tower tulip tunnel turtle valley vanilla velvet violin walnut water
whale yarn zebra
"""
_WORDS = tuple(_WORD_LIST.split())


class PairingState(StrEnum):
    PENDING = "pending"
    #: The owner said yes; the worker has not fetched its key.
    CONFIRMED = "confirmed"
    #: The key has been handed over.
    PAIRED = "paired"
    REFUSED = "refused"
    WRONG_CODES = "wrong_codes"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        return self in (PairingState.PENDING, PairingState.CONFIRMED)


class Grant(NamedTuple):
    """What the owner gives: whose the worker is, and what its key is called."""

    owner: Owner | None = None
    label: str | None = None


class Pairing(NamedTuple):
    """One worker that asks to be let in. Moments are Unix seconds."""

    id: PairingId
    nonce_hash: str
    #: As the worker calls itself.
    name: str
    #: Where it called from.
    address: str
    code: str
    words: tuple[str, ...]
    ends_at: float
    state: PairingState = PairingState.PENDING
    wrong_codes: int = 0
    grant: Grant = Grant()

    def is_of(self, nonce: str) -> bool:
        """Whether the worker with this nonce began it."""
        return hmac.compare_digest(self.nonce_hash, hash_nonce(nonce))

    def at(self, now: float) -> "Pairing":
        """As it stands now."""
        if self.state.is_open and now >= self.ends_at:
            return self.ended(PairingState.EXPIRED, now)
        return self

    def tried(self, code: str, grant: Grant, now: float) -> "Pairing":
        """After somebody typed a code. Raises `Conflict` where none is waited for."""
        self._check_pending()
        if hmac.compare_digest(self.code.encode(), code.encode()):
            confirmed = self._replace(state=PairingState.CONFIRMED, grant=grant)
            return confirmed._replace(ends_at=now + FETCH_SECONDS)
        wrong = self._replace(wrong_codes=self.wrong_codes + 1)
        is_over = wrong.wrong_codes >= MAX_WRONG_CODES
        return wrong.ended(PairingState.WRONG_CODES, now) if is_over else wrong

    def refused(self, now: float) -> "Pairing":
        """Raises `Conflict` for one that is over already."""
        self._check_pending()
        return self.ended(PairingState.REFUSED, now)

    def ended(self, state: PairingState, now: float) -> "Pairing":
        return self._replace(state=state, ends_at=now)

    def is_forgotten(self, now: float) -> bool:
        return not self.state.is_open and now >= self.ends_at + TOLD_SECONDS

    def _check_pending(self) -> None:
        if self.state != PairingState.PENDING:
            told = self.state.replace("_", " ")
            raise Conflict(f"This pairing waits for nothing any more: {told}.")


def new_pairing(nonce: str, name: str, address: str, now: float) -> Pairing:
    salt = secrets.token_bytes(32)
    code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}}"
    pairing_id = PairingId(f"pair_{secrets.token_hex(16)}")
    ends_at = now + PAIRING_SECONDS
    hashed = hash_nonce(nonce)
    return Pairing(pairing_id, hashed, name, address, code, words_of(nonce, salt), ends_at)


def words_of(nonce: str, salt: bytes) -> tuple[str, ...]:
    """Three words that only this nonce gives here. They tell pairings apart; they are no secret."""
    digest = hmac.new(salt, b"words\0" + nonce.encode(), hashlib.sha256).digest()
    return tuple(_WORDS[byte] for byte in digest[:3])


def hash_nonce(nonce: str) -> str:
    return hashlib.sha256(b"nonce\0" + nonce.encode()).hexdigest()
