"""See which workers ask to be let in, and say yes or no to each."""

from fastapi import APIRouter

from broker.api.admin.wire import ConfirmPairing, PairingList, PairingShown
from broker.api.deps import Deps
from broker.ids import Owner
from broker.pairing import MAX_WRONG_CODES, Grant, Pairing, PairingId


class PairingsDoor:
    def __init__(self, deps: Deps) -> None:
        self._desk = deps.pairing

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/pairings", self.list, methods=["GET"])
        router.add_api_route("/pairings/{pairing_id}/confirm", self.confirm, methods=["POST"])
        router.add_api_route("/pairings/{pairing_id}", self.refuse, methods=["DELETE"])
        return router

    async def list(self) -> PairingList:
        """List the workers that wait to be let in; their codes are shown by them alone"""
        return PairingList(data=[_shown(pairing) for pairing in self._desk.pending])

    async def confirm(self, pairing_id: str, given: ConfirmPairing) -> PairingShown:
        """Let a worker in, with the code that it shows; five wrong ones end the pairing"""
        code = "".join(given.code.split())
        grant = Grant(Owner(given.owner) if given.owner else None, given.label)
        return _shown(self._desk.confirm(PairingId(pairing_id), code, grant))

    async def refuse(self, pairing_id: str) -> PairingShown:
        """Turn a worker away"""
        return _shown(self._desk.refuse(PairingId(pairing_id)))


def _shown(pairing: Pairing) -> PairingShown:
    return PairingShown(
        id=pairing.id,
        state=pairing.state,
        name=pairing.name,
        words=list(pairing.words),
        address=pairing.address,
        tries_left=MAX_WRONG_CODES - pairing.wrong_codes,
        expires_at=pairing.ends_at,
    )
