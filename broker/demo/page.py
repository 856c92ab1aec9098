"""What stands where Grok's page would be: it takes a prompt once and remembers what it took.

A worker that was lost after submitting finds its submission here again, as a person finds a post on the site.
Makes no film and no answer itself.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

#: Submissions that are remembered at most; the oldest is forgotten first.
MAX_REMEMBERED = 500


class Submission(NamedTuple):
    """A prompt as it was sent. `post_id` is the page's name for it; for a chat, the conversation's."""

    post_id: str
    job_id: str
    prompt: str
    #: Base64, as the broker handed it out.
    image: str | None = None
    request: dict[str, Any] | None = None
    options: dict[str, Any] | None = None


class DemoPage:
    """Remembers submissions in memory and, where a folder is given, beyond the life of the process."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._by_post: dict[str, Submission] = {}
        #: How often submit was pressed, for whoever wants to know that nothing was paid for twice.
        self.presses = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._by_post = {kept.post_id: kept for kept in _read_all(folder)}

    def submit(
        self,
        job_id: str,
        prompt: str,
        *,
        image: str | None = None,
        request: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Submission:
        """Presses the button. The submission is kept before this returns."""
        self.presses += 1
        post_id = secrets.token_hex(8)
        submission = Submission(post_id, job_id, prompt, image, request, options)
        if self._folder is not None:
            _write(self._folder / f"{post_id}.json", submission)
        self._by_post[post_id] = submission
        while len(self._by_post) > MAX_REMEMBERED:
            self.forget(next(iter(self._by_post)))
        return submission

    def find(self, evidence: Mapping[str, Any] | None, job_id: str) -> Submission | None:
        """The submission that the evidence names, or else the one that was made for this job."""
        named = evidence or {}
        post_id = named.get("post_id") or named.get("conversation_id")
        if isinstance(post_id, str) and post_id in self._by_post:
            return self._by_post[post_id]
        made = (kept for kept in self._by_post.values() if kept.job_id == job_id)
        return next(made, None)

    def forget(self, post_id: str) -> None:
        """What is delivered need not be found again."""
        self._by_post.pop(post_id, None)
        if self._folder is not None:
            (self._folder / f"{post_id}.json").unlink(missing_ok=True)


def _write(path: Path, submission: Submission) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(submission._asdict(), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _read_all(folder: Path) -> list[Submission]:
    """Oldest first. A file that is not a submission is passed over: a page shows what it can."""
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        try:
            found.append(Submission(**json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError):
            continue
    return found
