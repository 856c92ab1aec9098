"""Tells a page what there is: one post, all posts, one conversation, all conversations. Starts nothing."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.site.chat import told_conversation, told_turn
from broker.demo.site.images import Images
from broker.demo.site.refusals import standing_refusal
from broker.demo.site.video import Videos
from broker.demo.site.world import Picture, Post, Upload, Video, Wire, World, new_id

NOT_FOUND = {"error": {"code": 5, "message": "Not found", "details": []}}


class Posts:
    def __init__(self, world: World, videos: Videos, images: Images) -> None:
        self._world = world
        self._videos = videos
        self._images = images

    def routes(self) -> list[Route]:
        conversations = "/rest/app-chat/conversations"
        return [
            Route("/rest/media/post/create", self.create, methods=["POST"]),
            Route("/rest/media/post/get", self.get, methods=["POST"]),
            Route("/rest/media/post/list", self.all, methods=["POST"]),
            Route(conversations, self.conversations),
            Route(f"{conversations}/{{id}}/responses", self.responses),
            Route(f"{conversations}/{{id}}/stop", self.stop, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """A post that holds an uploaded picture: the oldest page makes one as soon as a file is set."""
        if refused := standing_refusal(self._world):
            return refused.response()
        upload = self._world.uploads.get((await request.json()).get("fileMetadataId", ""))
        if upload is None:
            return JSONResponse(NOT_FOUND, 404)
        post_id = new_id()
        self._world.sources[post_id] = upload
        return JSONResponse({"post": self._source(post_id, upload)})

    async def get(self, request: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        found = self._find((await request.json()).get("id", ""))
        return JSONResponse({"post": found}) if found else JSONResponse(NOT_FOUND, 404)

    def _find(self, post_id: str) -> Wire | None:
        world = self._world
        post = world.posts.get(post_id)
        if post is None and post_id in world.pictures:
            post = world.pictures[post_id][0]
        if post:
            return self._told(post)
        upload = world.sources.get(post_id)
        return self._source(post_id, upload) if upload else None

    async def all(self, _: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        posts = [self._told(post) for post in reversed(self._world.posts.values())]
        return JSONResponse({"posts": posts})

    def _source(self, post_id: str, upload: Upload) -> Wire:
        return {
            "id": post_id,
            "mediaType": "MEDIA_POST_TYPE_IMAGE",
            "mediaUrl": f"https://assets.grok.com/{upload.path}",
            "fileMetadataId": upload.id,
            "mimeType": upload.type,
            "originalPrompt": "",
            "childPosts": [],
            "state": "done",
            "videos": [],
            "pictures": [],
        }

    def _told(self, post: Post) -> Wire:
        kind = post.kind.upper()
        done = [video for video in post.videos if video.state == "done"]
        urls = [self._videos.address(video) for video in done]
        return {
            "id": post.id,
            "mediaType": f"MEDIA_POST_TYPE_{kind}",
            "mediaUrl": urls[0] if urls else "",
            "hdMediaUrl": "",
            "mimeType": "video/mp4" if post.kind == "video" else "image/jpeg",
            "originalPrompt": post.prompt,
            "conversationId": post.conversation_id,
            "createTime": post.created,
            "childPosts": [],
            "state": post.state,
            "progress": post.progress,
            "videos": [{"id": video.id, "url": self._videos.address(video)} for video in done],
            "pictures": self._pictures(post),
            "source": post.images[0].path if post.images else None,
        }

    def _pictures(self, post: Post) -> list[Wire]:
        return [
            {
                "id": picture.id,
                "order": picture.order,
                "state": picture.state,
                "url": self._images.address(picture) if picture.state == "done" else None,
            }
            for picture in post.pictures
        ]

    async def conversations(self, _: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        known = reversed(self._world.conversations.values())
        chats = [told_conversation(found) for found in known if not found.private]
        return JSONResponse({"conversations": chats})

    async def responses(self, request: Request) -> Response:
        if refused := standing_refusal(self._world):
            return refused.response()
        found_id = request.path_params["id"]
        for post in self._world.posts.values():
            if post.conversation_id == found_id:
                return JSONResponse({"responses": [self._card(post)], "post": self._told(post)})
        if conversation := self._world.conversations.get(found_id):
            told = told_conversation(conversation)
            turns = [told_turn(turn) for turn in conversation.turns]
            return JSONResponse({"conversation": told, "responses": turns})
        return JSONResponse(NOT_FOUND, 404)

    def _card(self, post: Post) -> Wire:
        cards = [{"video_chunk": self._video_chunk(post, video)} for video in post.videos]
        cards += [{"image_chunk": self._image_chunk(post, found)} for found in post.pictures]
        return {
            "responseId": post.id,
            "sender": "ASSISTANT",
            "partial": post.state == "running",
            "cardAttachmentsJson": [json.dumps(card) for card in cards],
            "fileAttachments": [video.id for video in post.videos if video.state == "done"],
        }

    def _video_chunk(self, post: Post, video: Video) -> Wire:
        return {
            "videoUuid": video.id,
            "videoUrl": self._videos.address(video) if video.state == "done" else "",
            "progress": video.progress,
            "mimeType": "video/mp4",
            "resolution": post.options.get("resolution"),
        }

    def _image_chunk(self, post: Post, picture: Picture) -> Wire:
        return {
            "imageUuid": picture.id,
            "imageUrl": self._images.address(picture) if picture.state == "done" else "",
            "progress": picture.progress,
            "mimeType": "image/jpeg",
            "imagePrompt": {"prompt": post.prompt},
        }

    async def stop(self, request: Request) -> Response:
        """The person pressed Stop or Cancel."""
        found_id = request.path_params["id"]
        posts = [post.id for post in self._world.posts.values() if post.conversation_id == found_id]
        stopped = self._world.stop(posts[0] if posts else found_id)
        self._world.ledger.note("stopped", conversation_id=found_id, was_running=stopped)
        return JSONResponse({"stopped": stopped})
