"""Answers chats over the site's newer way, one WebSocket with an envelope around each event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from broker.demo.site.chat import MODERATED, Chats, told_conversation
from broker.demo.site.refusals import refusal
from broker.demo.site.world import Conversation, Said, Turn, Wire, World, new_id

CHANNELS = {"thinking": "CHANNEL_ANALYSIS", "answer": "CHANNEL_ASSISTANT_RESPONSE"}


class ChatSocket:
    """One page's socket; several conversations may go over it, each under its own session."""

    def __init__(self, world: World, chats: Chats, socket: WebSocket) -> None:
        self._world = world
        self._chats = chats
        self._socket = socket
        self._conversations: dict[str, str | None] = {}
        self._items: dict[str, tuple[str, list[str]]] = {}
        self._answers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        if self._world.switches.human_check:
            await self._socket.close()
            return
        await self._socket.accept()
        self._world.ledger.note("socket", path="/ws/mgw/")
        try:
            while True:
                await self._take(await self._socket.receive_json())
        except WebSocketDisconnect:
            self._world.ledger.note("socket_closed", path="/ws/mgw/")
        finally:
            for task in self._answers:
                task.cancel()

    async def _take(self, message: Wire) -> None:
        session, event = str(message.get("session_id")), message.get("event", {})
        match event.get("type"):
            case "session.create":
                self._conversations[session] = event.get("conversation_id")
                await self._send(session, "session.created", session={"id": session})
            case "conversation.item.create":
                self._items[session] = _read_item(event["item"])
            case "response.create":
                await self._answer(session, event.get("response", {}))
            case "response.cancel":
                self._stop(self._conversations.get(session) or "")
            case "ping":
                await self._send(session, "pong")

    def _stop(self, conversation_id: str) -> None:
        was_running = self._world.stop(conversation_id)
        self._world.ledger.note("stopped", conversation_id=conversation_id, was_running=was_running)

    async def _answer(self, session: str, wanted: Wire) -> None:
        text, files = self._items.pop(session)
        if refused := refusal(self._world, "chat", text):
            await self._send(session, "error", error=refused.frame)
            return
        private = bool(wanted.get("temporary"))
        conversation = self._chats.conversation(self._conversations.get(session), private=private)
        self._conversations[session] = conversation.id
        turn = self._chats.ask(conversation, text, files, wanted.get("mode"))
        if not self._world.switches.accepts_silently:
            task = asyncio.create_task(self._tell(session, conversation, turn))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _tell(self, session: str, conversation: Conversation, turn: Turn) -> None:
        # Who has gone away hears nothing more; the answer is written to its end all the same.
        with suppress(WebSocketDisconnect, RuntimeError):
            async for kind, fields in self._events(conversation, turn):
                await self._send(session, kind, **fields)

    async def _events(
        self, conversation: Conversation, turn: Turn
    ) -> AsyncIterator[tuple[str, Wire]]:
        said = turn.tape.read()
        first = await anext(said, None)
        told = told_conversation(conversation) | {"id": conversation.id}
        yield "conversation.attached", {"conversation": told}
        yield "response.created", {"response": {"id": turn.id, "status": "in_progress"}}
        item = {"id": new_id(), "type": "message", "role": "assistant"}
        yield "response.output_item.added", {"response_id": turn.id, "item": item}
        part = {"type": "output_text", "text": ""}
        yield "response.content_part.added", {"response_id": turn.id, "part": part}
        as_deltas = self._as_deltas()
        if first:
            yield _piece(first, turn, as_deltas=as_deltas)
        async for piece in said:
            yield _piece(piece, turn, as_deltas=as_deltas)
        for found in _ending(turn):
            yield found

    def _as_deltas(self) -> bool:
        """Every second answer comes in the other kind of pieces; one answer never mixes the two."""
        chosen = self._world.switches.socket_deltas
        chats = [found for found in self._world.ledger.submits() if found.kind == "chat"]
        return len(chats) % 2 == 0 if chosen is None else chosen

    async def _send(self, session: str, kind: str, /, **fields: Any) -> None:
        event = {"type": kind, "event_id": new_id(), **fields}
        await self._socket.send_json({"session_id": session, "event": event})


def _read_item(item: Wire) -> tuple[str, list[str]]:
    parts = item["content"]
    texts = [part["text"] for part in parts if part["type"] == "input_text"]
    return "".join(texts), [part["file_id"] for part in parts if part["type"] == "input_file"]


def _piece(said: Said, turn: Turn, *, as_deltas: bool) -> tuple[str, Wire]:
    if said.channel == "tool":
        card = {"id": new_id(), "markup": said.text}
        return "response.chunk", {"response_id": turn.id, "chunk": {"tool_usage_card": card}}
    if as_deltas and said.channel == "answer":
        return "response.output_text.delta", {"response_id": turn.id, "delta": said.text}
    if as_deltas:
        return "response.reasoning.delta", {"response_id": turn.id, "delta": said.text}
    text = {"text": said.text, "channel": CHANNELS[said.channel]}
    return "response.chunk", {"response_id": turn.id, "chunk": {"text": text}}


def _ending(turn: Turn) -> list[tuple[str, Wire]]:
    if turn.state == "moderated":
        error = {"stream_error": MODERATED.error}
        return [
            ("response.grok.output", {"response_id": turn.id, "output": error}),
            ("response.done", {"response": {"id": turn.id, "status": "incomplete"}}),
        ]
    if turn.state != "done":
        return [("response.done", {"response": {"id": turn.id, "status": "incomplete"}})]
    return [
        ("response.output_text.done", {"response_id": turn.id, "text": turn.text}),
        ("response.done", {"response": {"id": turn.id, "status": "completed"}}),
    ]
