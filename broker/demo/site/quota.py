"""Tells what is left to use, in the shapes that the real site's page asks for."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.site.refusals import in_seconds, standing_refusal
from broker.demo.site.world import Wire, World

CHATS = 140
CHAT_WINDOW_SECONDS = 7200
FILMS = 60
MEDIA_WINDOW_SECONDS = 64_800


class Quota:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/rest/rate-limits", self.chat, methods=["POST"]),
            Route("/rest/media/imagine/quota_info", self.media, methods=["POST"]),
        ]

    async def chat(self, _: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        told: Wire = {
            "windowSizeSeconds": CHAT_WINDOW_SECONDS,
            "remainingQueries": max(0, CHATS - self._used("chat")),
            "totalQueries": CHATS,
            "lowEffortRateLimits": None,
            "highEffortRateLimits": None,
        }
        if self._is_used_up("chat"):
            wait = {"waitTimeSeconds": self._reset_seconds()} if self._reset_seconds() else {}
            told |= {"remainingQueries": 0, **wait}
        return JSONResponse(told)

    async def media(self, _: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        kinds = {"image": "image", "imagePro": "image", "imageEdit": "image"}
        kinds |= {"video": "video", "video720p": "video"}
        return JSONResponse({key: self._left(kind) for key, kind in kinds.items()})

    def _left(self, kind: str) -> Wire:
        used_up = self._is_used_up(kind)
        told: Wire = {
            "available": not used_up,
            "windowSizeSeconds": MEDIA_WINDOW_SECONDS,
            "remainingQueries": 0 if used_up else max(0, FILMS - self._used(kind)),
        }
        if used_up and (seconds := self._reset_seconds()):
            told["nextAvailableAt"] = in_seconds(seconds)
        return told

    def _used(self, kind: str) -> int:
        return sum(submit.kind == kind for submit in self._world.ledger.submits())

    def _is_used_up(self, kind: str) -> bool:
        limit = self._world.switches.rate_limit
        return limit is not None and kind in limit.kinds

    def _reset_seconds(self) -> int | None:
        limit = self._world.switches.rate_limit
        if limit is None or limit.reset_seconds is None:
            return None
        return round(limit.reset_seconds)
