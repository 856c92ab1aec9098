"""Decides whether the site takes a request at all, and says no in the shapes the real site uses."""

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from starlette.responses import HTMLResponse, JSONResponse, Response

from broker.demo.site.switches import RateLimit
from broker.demo.site.world import Wire, World

CHALLENGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Just a moment...</title>
<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/challenge.css"></head>
<body><main><h1>grok.com</h1><h2>Verify you are human</h2>
<p>grok.com needs to review the security of your connection before proceeding.</p>
<form method="post" action="/stand-in/verified"><button type="submit">I am a person</button></form>
<p class="note">Stand-in site: not grok.com</p></main></body></html>"""


class Refusal(NamedTuple):
    status: int
    #: As gRPC counts: 7 not allowed, 8 used up, 9 not in this state, 16 not signed in.
    code: int
    message: str
    available_at: str | None = None
    retry_after: int | None = None
    challenge: bool = False

    @property
    def error(self) -> Wire:
        more = {"availableAt": self.available_at} if self.available_at else {}
        return {"code": self.code, "message": self.message, "details": [], **more}

    @property
    def frame(self) -> Wire:
        """The error as a socket carries it, which has no headers."""
        at = in_seconds(self.retry_after) if self.retry_after else self.available_at
        return self._replace(available_at=at).error | {"status": self.status}

    def response(self) -> Response:
        headers = {"Cache-Control": "no-store"}
        if self.challenge:
            return HTMLResponse(CHALLENGE, self.status, headers | {"cf-mitigated": "challenge"})
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return JSONResponse({"error": self.error}, self.status, headers)


HUMAN_CHECK = Refusal(403, 7, "Verify you are human", challenge=True)
STALE = Refusal(403, 7, "This page is out of date. Please reload the page to continue.")
SIGNED_OUT = Refusal(401, 16, "Not signed in.")
PAYWALL = Refusal(402, 9, "Unlock your creativity with Imagine: subscribe to SuperGrok.")


def refusal(world: World, kind: str, prompt: str = "") -> Refusal | None:
    """Why a submit of this kind is not taken; None when it is. Each refusal is written down."""
    found = standing_refusal(world) or _refusal_of_kind(world, kind)
    if found:
        world.stale_refusals += found is STALE
        world.ledger.note("refused", kind=kind, prompt=prompt, why=found.message)
    return found


def standing_refusal(world: World) -> Refusal | None:
    """What stands in the way of every request, whatever it is for."""
    if world.switches.human_check:
        return HUMAN_CHECK
    if world.switches.page_stale:
        return STALE
    return None if world.switches.signed_in else SIGNED_OUT


def _refusal_of_kind(world: World, kind: str) -> Refusal | None:
    if world.switches.paywall and kind != "chat":
        return PAYWALL
    limit = world.switches.rate_limit
    return _limited(limit) if limit and kind in limit.kinds else None


def _limited(limit: RateLimit) -> Refusal:
    seconds = limit.reset_seconds
    if seconds is None:
        return Refusal(429, 8, "Rate limit reached")
    if limit.told_by == "words":
        return Refusal(429, 8, f"Rate limit reached. Try again in {_in_words(seconds)}.")
    if limit.told_by == "header":
        return Refusal(429, 8, "Rate limit reached", retry_after=math.ceil(seconds))
    return Refusal(429, 8, "Rate limit reached", in_seconds(seconds))


def in_seconds(seconds: float) -> str:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


def _in_words(seconds: float) -> str:
    return f"{math.ceil(seconds / 60)} minutes" if seconds > 90 else f"{math.ceil(seconds)} seconds"
