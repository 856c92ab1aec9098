"""What the stand-in site remembers: posts, conversations, uploaded pictures. Lives on the site's event loop alone.

Generations go on here while no page watches, so a page that is loaded again finds them further on, or done.
"""

import asyncio
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from broker.demo.site.holds import Holds
from broker.demo.site.ledger import Ledger
from broker.demo.site.switches import Switches
from broker.demo.site.tape import Tape

State = Literal["running", "done", "moderated", "stopped", "incomplete"]
#: An object as it goes over the line.
Wire = dict[str, Any]


def new_id() -> str:
    return str(uuid4())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Upload:
    id: str
    name: str
    type: str
    data: bytes
    sha256: str
    #: Below https://assets.grok.com/.
    path: str


@dataclass
class Video:
    """One film; a post has two where the site asks which is better."""

    id: str
    side: int
    state: State = "running"
    progress: int = 0
    film: bytes | None = None


@dataclass
class Picture:
    id: str
    order: int
    #: Pictures made from a picture are for the person alone: they lie where the session is asked for.
    private: bool = False
    state: State = "running"
    progress: int = 0
    data: bytes | None = None


@dataclass
class Post:
    """One submit on /imagine and what came of it."""

    id: str
    kind: Literal["video", "image"]
    prompt: str
    options: dict[str, Any]
    conversation_id: str
    images: tuple[Upload, ...] = ()
    parent_id: str | None = None
    state: State = "running"
    videos: list[Video] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    created: str = field(default_factory=now)
    tape: Tape[Wire] = field(default_factory=Tape)

    @property
    def progress(self) -> int:
        return self.videos[0].progress if self.videos else 0


@dataclass(frozen=True)
class Said:
    """A piece of an answer."""

    channel: Literal["thinking", "tool", "answer"]
    text: str


@dataclass
class Turn:
    id: str
    sender: Literal["human", "assistant"]
    text: str = ""
    thinking: str = ""
    images: tuple[Upload, ...] = ()
    state: State = "done"
    tape: Tape[Said] = field(default_factory=Tape)


@dataclass
class Conversation:
    id: str
    title: str = "New conversation"
    private: bool = False
    turns: list[Turn] = field(default_factory=list)
    created: str = field(default_factory=now)


class World:
    """Everything the site's doors share."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self.ledger = Ledger()
        self.holds = Holds()
        #: What the session cookie has to say.
        self.session = secrets.token_urlsafe(24)
        self.user_id = new_id()
        self.posts: dict[str, Post] = {}
        self.conversations: dict[str, Conversation] = {}
        self.uploads: dict[str, Upload] = {}
        #: Posts that hold an uploaded picture and nothing else yet.
        self.sources: dict[str, Upload] = {}
        self.videos: dict[str, tuple[Post, Video]] = {}
        self.pictures: dict[str, tuple[Post, Picture]] = {}
        self.films: dict[str, bytes] = {}
        #: How often this page was told that it is out of date.
        self.stale_refusals = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Goes on whether or not anybody listens."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._ended(name, ended))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()):
            self.ledger.note("broken", task=name, error=repr(error))

    def stop(self, name: str) -> bool:
        task = self._tasks.get(name)
        return bool(task and task.cancel())

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self) -> None:
        await asyncio.sleep(self.switches.step_seconds)

    def add_post(self, post: Post) -> None:
        """A later post of the same id is shown in place of the earlier, whose files stay."""
        self.posts[post.id] = post
        self.videos.update({video.id: (post, video) for video in post.videos})
        self.pictures.update({picture.id: (post, picture) for picture in post.pictures})

    def attached(self, ids: list[str]) -> tuple[Upload, ...]:
        return tuple(self.uploads[file_id] for file_id in ids if file_id in self.uploads)
