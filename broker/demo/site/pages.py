"""The site's documents: one shell that the page's own script fills, the sign-in page, and the static files."""

import html
import json
from dataclasses import asdict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from broker.demo.site.cdn import COOKIE
from broker.demo.site.refusals import HUMAN_CHECK
from broker.demo.site.world import World

STATIC = Path(__file__).with_name("static")
PATHS = (
    "/",
    "/c",
    "/c/{id}",
    "/imagine",
    "/imagine/post/{id}",
    "/imagine/saved",
    "/imagine/favorites",
)
COOKIE_SECONDS = 30 * 24 * 3600
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data: https://assets.grok.com https://imagine-public.x.ai",
        "media-src 'self' blob: data: https://assets.grok.com https://imagine-public.x.ai",
        "connect-src 'self' wss://grok.com https://assets.grok.com https://imagine-public.x.ai",
        "form-action 'self' https://grok.com https://accounts.x.ai",
        "object-src 'none'",
        "base-uri 'none'",
    ]
)
#: What the page's script needs to know; the rest is the server's business.
TOLD = ["generation", "chat_transport", "language", "signed_in", "cookie_banner", "age_dialog"]
TOLD += ["paywall_on_load", "flip_to_image", "radios_ignore_clicks", "prompt_mangled"]
TOLD += ["ignores_press", "accepts_silently", "enter_submits", "feed", "forged_messages", "forged"]
TOLD += ["image_count"]
SHELL = """<!doctype html>
<html lang="{language}" class="dark"><head><meta charset="utf-8"><title>Grok</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="stand-in" content="{told}">
<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/style.css">
<script type="module" src="/static/app.js"></script></head>
<body><div id="stand-in-banner">Stand-in site: not grok.com</div><div id="root"></div></body></html>"""
SIGN_IN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<link rel="icon" href="https://grok.com/static/icon.svg"><link rel="stylesheet" href="https://grok.com/static/challenge.css"></head>
<body><main><h1>xAI accounts</h1><h2>Log into your account</h2>
<p>The stand-in asks for no name and no password.</p>
<form method="post" action="/sign-in"><button type="submit">Sign in</button></form>
<p class="note">Stand-in site: not accounts.x.ai</p></main></body></html>"""


class Pages:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[BaseRoute]:
        shells = [Route(path, self.shell) for path in PATHS]
        return [
            *shells,
            Route("/rest/user-settings", self.settings),
            Route("/api/auth/session", self.session),
            Route("/stand-in/verified", self.verified, methods=["POST"]),
            Route("/stand-in/forged", self.forged, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    def account_routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.sign_in),
            Route("/sign-in", self.signed_in, methods=["POST"]),
        ]

    async def shell(self, request: Request) -> Response:
        world = self._world
        if world.switches.human_check:
            world.ledger.note("page", path=request.url.path, status=403)
            return HUMAN_CHECK.response()
        world.ledger.note("page", path=request.url.path, status=200)
        if world.switches.page_stale_heals and world.stale_refusals:
            world.switches.page_stale, world.stale_refusals = False, 0
        text = SHELL.format(language=world.switches.language, told=html.escape(self._told()))
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        response = HTMLResponse(text, headers=headers)
        self._set_session(response)
        return response

    def _told(self) -> str:
        switches = asdict(self._world.switches)
        told = {name: switches[name] for name in TOLD}
        missing = sorted(self._world.switches.missing)
        return json.dumps(told | {"missing": missing, "user_id": self._world.user_id})

    def _set_session(self, response: Response) -> None:
        is_in = self._world.switches.signed_in
        response.set_cookie(
            COOKIE,
            self._world.session if is_in else "",
            max_age=COOKIE_SECONDS if is_in else 0,
            domain=".grok.com",
            secure=True,
            httponly=True,
            samesite="lax",
        )

    async def settings(self, _: Request) -> Response:
        if not self._world.switches.signed_in:
            return JSONResponse({"code": 16, "message": "Not signed in."}, 401)
        return JSONResponse({"userId": self._world.user_id, "preferences": {}})

    async def session(self, _: Request) -> Response:
        if not self._world.switches.signed_in:
            return JSONResponse({"status": "unauthenticated"})
        return JSONResponse({"session": {"userId": self._world.user_id}})

    async def verified(self, _: Request) -> Response:
        self._world.switches.human_check = False
        self._world.ledger.note("verified")
        return RedirectResponse("/", 303)

    async def forged(self, _: Request) -> Response:
        """The page says that it has sent its forged messages."""
        self._world.ledger.note("forged", count=self._world.switches.forged_messages)
        return Response(status_code=204)

    async def sign_in(self, _: Request) -> Response:
        return HTMLResponse(SIGN_IN)

    async def signed_in(self, _: Request) -> Response:
        self._world.switches.signed_in = True
        self._world.ledger.note("signed_in")
        return RedirectResponse("https://grok.com/", 303)
