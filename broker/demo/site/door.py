"""One server for all of the site's hosts: the `Host` header says which of them is asked."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from broker.demo.site.cdn import Cdn
from broker.demo.site.chat import Chats
from broker.demo.site.chat_socket import ChatSocket
from broker.demo.site.images import Images
from broker.demo.site.pages import Pages
from broker.demo.site.posts import Posts
from broker.demo.site.quota import Quota
from broker.demo.site.uploads import Uploads
from broker.demo.site.video import Videos
from broker.demo.site.world import World


class Door:
    """Hands each submit to whoever makes its kind."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._videos = Videos(world)
        self._images = Images(world)
        self._chats = Chats(world)

    def app(self) -> Starlette:
        cdn, pages = Cdn(self._world), Pages(self._world)
        return Starlette(
            routes=[
                Host("grok.com", Router(self._site_routes(pages))),
                Host("assets.grok.com", Router(cdn.private_routes())),
                Host("imagine-public.x.ai", Router(cdn.public_routes())),
                Host("accounts.x.ai", Router(pages.account_routes())),
            ]
        )

    def _site_routes(self, pages: Pages) -> list[BaseRoute]:
        conversations = "/rest/app-chat/conversations"
        return [
            Route(f"{conversations}/new", self.new, methods=["POST"]),
            Route(f"{conversations}/{{id}}/responses", self.more, methods=["POST"]),
            WebSocketRoute("/ws/mgw/", self.chat_socket),
            WebSocketRoute("/ws/imagine/listen", self._images.serve),
            *Posts(self._world, self._videos, self._images).routes(),
            *Uploads(self._world).routes(),
            *Quota(self._world).routes(),
            *pages.routes(),
        ]

    async def new(self, request: Request) -> Response:
        body = await request.json()
        override = body.get("responseMetadata", {}).get("modelConfigOverride", {})
        models = override.get("modelMap", {})
        if "imageEditModelConfig" in models:
            return self._images.edit(body)
        if body.get("mediaGenInput") or "videoGenModelConfig" in models:
            return self._videos.submit(body)
        return self._chats.submit(body)

    async def more(self, request: Request) -> Response:
        return self._chats.submit(await request.json(), request.path_params["id"])

    async def chat_socket(self, socket: WebSocket) -> None:
        await ChatSocket(self._world, self._chats, socket).serve()
