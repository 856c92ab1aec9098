"""A worker without a key asks for one, and one that has a key gives it back."""

from broker.api.bodies import read_model
from broker.api.deps import Deps
from broker.api.extension.wire import PairingBegun, PairingSeen, StartPairing, Unpaired
from broker.api.lean import Body, Call, Door, QueryParam, Reply, Route
from broker.api.waits import parse_seconds
from broker.errors import Conflict, InvalidValue, MissingParameter
from broker.pairing import PairingId

#: Chrome ends a service worker whose fetch takes 30 s to answer.
MAX_WAIT_SECONDS = 25.0
_BODY = Body(4096, (b"application/json",))
_WAIT = QueryParam(
    "wait", {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS}, "Seconds."
)


class PairingDoor:
    def __init__(self, deps: Deps) -> None:
        self._desk = deps.pairing
        self._ring = deps.ring
        self._notifier = deps.notifier

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/extension/pair",
                Door.PAIRING,
                _BODY,
                self.start,
                takes=StartPairing,
                gives=PairingBegun,
                answers={409: None, 429: None},
            ),
            Route(
                "GET",
                "/extension/pair/{pairing_id}",
                Door.PAIRING,
                handle=self.wait,
                is_noted=False,
                gives=PairingSeen,
                query=(_WAIT,),
                answers={404: None, 429: None},
            ),
            Route(
                "POST",
                "/extension/unpair",
                Door.WORKER,
                handle=self.unpair,
                gives=Unpaired,
                answers={404: None, 409: None},
            ),
        ]

    async def start(self, call: Call) -> Reply:
        """Ask to be let in; learn the code and the words that the owner compares"""
        said = read_model(StartPairing, await call.body())
        address = (call.scope.get("client") or ("unknown", 0))[0]
        # It is shown to somebody who decides by it: nothing that a terminal obeys, or that turns text around.
        name = "".join(char for char in said.name if char.isprintable()).strip()
        pairing = self._desk.start(said.nonce, name, address)
        begun = PairingBegun(
            pairing_id=pairing.id,
            code=pairing.code,
            words=list(pairing.words),
            expires_seconds=self._desk.left(pairing),
        )
        return Reply(200, begun.model_dump_json().encode())

    async def wait(self, call: Call) -> Reply:
        """Hear whether the owner has confirmed; the key is answered once"""
        nonce = call.header(b"x-pairing-nonce")
        if nonce is None:
            raise MissingParameter("X-Pairing-Nonce is required.", param="x-pairing-nonce")
        pairing_id = PairingId(call.params["pairing_id"])
        seconds = _wait_seconds(call)

        def goes_on() -> bool:
            return call.is_alive() and not self._notifier.is_draining

        state, key = await self._desk.wait(pairing_id, nonce, seconds, goes_on)
        return Reply(200, PairingSeen(state=state, key=key).model_dump_json().encode())

    async def unpair(self, call: Call) -> Reply:
        """End the key that this call is made with"""
        key_id = call.caller.key_id
        if key_id is None:
            raise Conflict("No key is asked for here: there is none to end.")
        key = await self._ring.revoke(key_id)
        return Reply(200, Unpaired(key_id=key.id).model_dump_json().encode())


def _wait_seconds(call: Call) -> float:
    given = call.query().get("wait")
    seconds = MAX_WAIT_SECONDS if given is None else parse_seconds(given[-1])
    if seconds is None or seconds > MAX_WAIT_SECONDS:
        raise InvalidValue(f"wait: seconds, from 0 to {MAX_WAIT_SECONDS:g}.", param="wait")
    return seconds
