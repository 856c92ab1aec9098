"""Make, list, change and end keys. A key's text is answered once, when it is made."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from broker.api.admin.wire import CreateKey, KeyList, KeyMade, KeyShown
from broker.api.deps import Deps
from broker.ids import Owner
from broker.keyring import Minted, NewKey
from broker.keys import Key, KeyId, Limits, is_of

Grace = Annotated[float, Query(ge=0, le=8760)]


class KeyDoor:
    def __init__(self, deps: Deps) -> None:
        self._ring = deps.ring
        self._notifier = deps.notifier
        self._clock = deps.clock

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/keys", self.list, methods=["GET"])
        router.add_api_route("/keys", self.create, methods=["POST"])
        router.add_api_route("/keys/{key_id}/rotate", self.rotate, methods=["POST"])
        router.add_api_route("/keys/{key_id}", self.revoke, methods=["DELETE"])
        return router

    async def list(self) -> KeyList:
        """List the keys, without what makes them work"""
        return KeyList(data=[self._shown(key) for key in self._ring.all])

    async def create(self, asked: CreateKey) -> KeyMade:
        """Make a key; its text is told this once"""
        models = None if asked.models is None else tuple(asked.models)
        limits = Limits(asked.per_minute, asked.open_jobs, asked.daily_jobs, models)
        owner = Owner(asked.owner) if asked.owner else None
        return self._made(
            await self._ring.create(NewKey(asked.scope, owner, asked.label, asked.days, limits))
        )

    async def rotate(self, key_id: str, grace_hours: Grace = 0.0) -> KeyMade:
        """Make a new key in the place of one, which lasts for the grace"""
        return self._made(await self._ring.rotate(KeyId(key_id), grace_hours * 3600.0))

    async def revoke(self, key_id: str) -> KeyShown:
        """End a key for good; polls that are held with it end within a second"""
        key = await self._ring.revoke(KeyId(key_id))
        # Now, lest a poll is handed one more job before the next round of the watch.
        self._notifier.end_polls(partial(is_of, key.id))
        return self._shown(key)

    def _made(self, minted: Minted) -> KeyMade:
        return KeyMade(**self._shown(minted.key).model_dump(), key=minted.text)

    def _shown(self, key: Key) -> KeyShown:
        return KeyShown(
            id=key.id,
            scope=key.scope,
            owner=key.owner,
            label=key.label,
            is_live=key.is_live(self._clock.now()),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            **key.limits._asdict(),
        )
