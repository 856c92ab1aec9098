"""Takes the pictures that a page attaches, in the older and in the newer way."""

import asyncio
import base64
import hashlib
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.site.refusals import standing_refusal
from broker.demo.site.world import Upload, World, new_id


class Uploads:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/rest/app-chat/upload-file", self.older, methods=["POST"]),
            Route("/http/upload-file-v2/direct", self.newer, methods=["POST"]),
        ]

    async def older(self, request: Request) -> Response:
        body = await request.json()
        data = base64.b64decode(body["content"])
        return await self._keep(data, body["fileName"], body["fileMimeType"], is_newer=False)

    async def newer(self, request: Request) -> Response:
        name = unquote(request.headers.get("x-file-name", "image"))
        media_type = request.headers.get("content-type", "application/octet-stream")
        return await self._keep(await request.body(), name, media_type, is_newer=True)

    async def _keep(self, data: bytes, name: str, media_type: str, *, is_newer: bool) -> Response:
        world = self._world
        if refused := standing_refusal(world):
            return refused.response()
        await asyncio.sleep(world.switches.upload_seconds)
        file_id = new_id()
        path = f"users/{world.user_id}/{file_id}/content"
        digest = hashlib.sha256(data).hexdigest()
        upload = Upload(file_id, name, media_type, data, digest, path)
        world.uploads[upload.id] = upload
        world.ledger.note("upload", name=name, type=media_type, size=len(data), id=upload.id)
        told = {
            "fileMetadataId": upload.id,
            "fileName": name,
            "fileMimeType": media_type,
            "fileUri": upload.path,
        }
        return JSONResponse({"fileMetadata": told, "terminalError": None} if is_newer else told)
