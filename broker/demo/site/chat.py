"""Answers chats as the site does, over its HTTP stream: thoughts, internal markup, words, then the whole text."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.responses import Response

from broker.demo.answers import describe_image, shortened, words_of
from broker.demo.site.ledger import Submit
from broker.demo.site.lines import streamed
from broker.demo.site.refusals import Refusal, refusal
from broker.demo.site.world import Conversation, Said, Turn, Wire, World, new_id, now

WORDS_IN_A_TOKEN = 3
TOOL_MARKUP = "<xai:tool_usage_card><xai:tool_name>web_search</xai:tool_name></xai:tool_usage_card>"
MODERATED = Refusal(200, 3, "Content Moderated. Try a different idea.")


class Chats:
    """Takes messages, runs answers, and streams one to whoever asked for it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, body: Wire, conversation_id: str | None = None) -> Response:
        """A message by HTTP; without a conversation it begins one."""
        world = self._world
        message = str(body["message"])
        if refused := refusal(world, "chat", message):
            return refused.response()
        conversation = self.conversation(conversation_id, private=bool(body.get("temporary")))
        turn = self.ask(conversation, message, body.get("fileAttachments", []), body.get("modeId"))
        if world.switches.accepts_silently:
            return Response(b"", media_type="application/json")
        return streamed(self._watch(conversation, turn, is_first=conversation_id is None))

    def conversation(self, conversation_id: str | None, *, private: bool = False) -> Conversation:
        known = self._world.conversations
        found = known.get(conversation_id or "") or Conversation(new_id(), private=private)
        known[found.id] = found
        return found

    def ask(self, conversation: Conversation, text: str, files: list[str], mode: Any) -> Turn:
        """Adds the person's turn and begins the answer. This is what costs quota."""
        world = self._world
        images = world.attached(files)
        if not conversation.turns:
            conversation.title = shortened(text, 48) or "New conversation"
        answer = Turn(new_id(), "assistant", state="running")
        conversation.turns += [Turn(new_id(), "human", text, images=images), answer]
        world.ledger.submit(
            Submit(
                kind="chat",
                prompt=text,
                images=tuple(image.sha256 for image in images),
                options={"model": mode, "private": conversation.private},
                post_id=None,
                conversation_id=conversation.id,
                generation=world.switches.generation,
            )
        )
        world.spawn(conversation.id, self._answer(conversation, answer))
        return answer

    async def _answer(self, conversation: Conversation, turn: Turn) -> None:
        world = self._world
        try:
            await world.holds.pass_by("accepted")
            pieces = list(self._pieces(conversation))
            for number, said in enumerate(pieces):
                if world.switches.cut_off and number > len(pieces) // 2:
                    turn.state = "incomplete"
                    return
                _say(turn, said)
                if number == 0:
                    await world.holds.pass_by("progress")
                    if world.switches.stalled:
                        await asyncio.Event().wait()
                await world.step()
            await world.holds.pass_by("final")
            turn.state = "moderated" if world.switches.moderation else "done"
        except asyncio.CancelledError:
            turn.state = "stopped"
            raise
        finally:
            turn.tape.end()

    def _pieces(self, conversation: Conversation) -> Iterator[Said]:
        asked = conversation.turns[-2]
        thinking = self._world.switches.thinking
        if thinking is None:
            thinking = f"The user wrote {len(asked.text)} characters. I show what arrived."
        answer = self._world.switches.answer
        yield from (Said("thinking", token) for token in tokens(thinking))
        yield Said("tool", TOOL_MARKUP)
        if self._world.switches.moderation:
            return
        text = default_answer(asked) if answer is None else answer
        yield from (Said("answer", token) for token in tokens(text))

    async def _watch(
        self, conversation: Conversation, turn: Turn, *, is_first: bool
    ) -> AsyncIterator[Wire]:
        """Later turns carry their fields directly under `result`, as the site has it."""
        said = turn.tape.read()
        first = await anext(said, None)
        if is_first:
            yield {"result": {"conversation": told_conversation(conversation)}}
        asked = conversation.turns[conversation.turns.index(turn) - 1]
        yield _result(is_first, {"userResponse": told_turn(asked), "responseId": turn.id})
        if first:
            yield _result(is_first, told_piece(turn, first))
        async for piece in said:
            yield _result(is_first, told_piece(turn, piece))
        if turn.state == "moderated":
            yield {"error": MODERATED.error}
        elif turn.state == "done":
            for found in _ending(turn):
                yield _result(is_first, found)
            yield {"result": {"title": {"newTitle": conversation.title}}}


def _say(turn: Turn, said: Said) -> None:
    if said.channel == "thinking":
        turn.thinking += said.text
    elif said.channel == "answer":
        turn.text += said.text
    turn.tape.write(said)


def tokens(text: str) -> Iterator[str]:
    words = words_of(text)
    for place in range(0, len(words), WORDS_IN_A_TOKEN):
        yield "".join(words[place : place + WORDS_IN_A_TOKEN])


def _result(is_first: bool, found: Wire) -> Wire:
    return {"result": {"response": found} if is_first else found}


def told_conversation(conversation: Conversation) -> Wire:
    return {
        "conversationId": conversation.id,
        "title": conversation.title,
        "starred": False,
        "createTime": conversation.created,
        "modifyTime": now(),
        "temporary": conversation.private,
        "mediaTypes": [],
    }


def told_turn(turn: Turn) -> Wire:
    """A turn as the page reads it after a reload, and as the stream echoes it."""
    return {
        "responseId": turn.id,
        "message": turn.text,
        "sender": "human" if turn.sender == "human" else "ASSISTANT",
        "partial": turn.state == "running",
        "state": turn.state,
        "thinkingTrace": turn.thinking,
        "fileAttachments": [image.id for image in turn.images],
        "fileNames": [image.name for image in turn.images],
        "fileUris": [image.path for image in turn.images],
        "cardAttachmentsJson": [],
        "metadata": {},
    }


def told_piece(turn: Turn, said: Said) -> Wire:
    tags = {"thinking": "summary", "tool": "tool_usage_card", "answer": "final"}
    return {
        "token": said.text,
        "isThinking": said.channel == "thinking",
        "isSoftStop": False,
        "messageTag": tags[said.channel],
        "messageStepId": 0 if said.channel == "thinking" else 1,
        "rolloutId": "Grok",
        "responseId": turn.id,
    }


def _ending(turn: Turn) -> Iterator[Wire]:
    yield {"token": "", "isThinking": False, "isSoftStop": True, "responseId": turn.id}
    yield {"finalMetadata": {"followUpSuggestions": [], "feedbackLabels": []}}
    whole = told_turn(turn) | {"generatedImageUrls": [], "webSearchResults": [], "steps": []}
    yield {"modelResponse": whole, "responseId": turn.id}


def default_answer(asked: Turn) -> str:
    """Honest, and with every kind of mark-up that a page has to show."""
    seen = [f"- **Text**: {len(asked.text)} characters, {asked.text.count(chr(10)) + 1} line(s)"]
    seen += [f"- **Picture**: {_described(image.data)}" for image in asked.images]
    return "\n\n".join(
        [
            f"You wrote: “{shortened(asked.text, 200)}”",
            "No model has read it. This is the *stand-in site*, and it only shows what arrived:",
            "\n".join(seen),
            "An answer may hold code:",
            '```python\nfor kind in ("video", "image", "chat"):\n    print(f"<{kind}> & more")\n```',
            "| Part | Arrived |\n| --- | --- |\n| text | yes |\n"
            f"| pictures | {len(asked.images)} |",
            "A link to [the sign-in page](https://accounts.x.ai/sign-in), and `code` in a line.",
        ]
    )


def _described(data: bytes) -> str:
    return describe_image(base64.b64encode(data).decode())
