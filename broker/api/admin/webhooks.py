"""See which webhooks wait, arrived or died, and send one again. The secret is shown nowhere."""

from typing import Annotated

from fastapi import APIRouter, Query

from broker.api.admin.wire import WebhookList, WebhookShown
from broker.api.deps import Deps
from broker.errors import Conflict, NotFound
from broker.webhooks import Delivery, DeliveryState

Limit = Annotated[int, Query(ge=1, le=500)]


class WebhookDoor:
    def __init__(self, deps: Deps) -> None:
        self._outbox = deps.outbox
        self._clock = deps.clock

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/webhooks", self.list, methods=["GET"])
        router.add_api_route("/webhooks/{webhook_id}/resend", self.resend, methods=["POST"])
        return router

    async def list(
        self, state: DeliveryState | None = None, limit: Limit = 100, cursor: str | None = None
    ) -> WebhookList:
        """List webhooks, those of the newest jobs first"""
        found = await self._outbox.page(state, limit + 1, cursor)
        shown = [webhook_shown(delivery) for delivery in found[:limit]]
        has_more = len(found) > limit
        return WebhookList(
            data=shown, has_more=has_more, next_cursor=shown[-1].id if has_more else None
        )

    async def resend(self, webhook_id: str) -> WebhookShown:
        """Send a webhook again under the same id, with all its tries before it"""
        delivery = await self._outbox.find(webhook_id)
        if delivery is None:
            raise NotFound("There is no such webhook.")
        again = delivery.again(self._clock.now())
        if not await self._outbox.note(delivery, again):
            raise Conflict("The webhook has been tried at this very moment. Look at it again.")
        return webhook_shown(again)


def webhook_shown(delivery: Delivery) -> WebhookShown:
    is_to_come = delivery.state == DeliveryState.WAITING and delivery.next_try_at > 0
    return WebhookShown(
        id=delivery.id,
        job_id=delivery.job_id,
        url=delivery.url,
        state=delivery.state,
        tries=delivery.tries,
        next_try_at=delivery.next_try_at if is_to_come else None,
        last_error=delivery.last_error,
        delivered_at=delivery.delivered_at,
    )
