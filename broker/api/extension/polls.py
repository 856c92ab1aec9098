"""A worker asks for work: hello and the long poll."""

import json

from broker.api.bodies import read_model
from broker.api.deps import Deps
from broker.api.extension.pack import PackFile
from broker.api.extension.wire import HandedJob, SayHello, Welcome
from broker.api.inputs import handed_over
from broker.api.lean import JSON_BODY, Call, Door, QueryParam, Reply, Route
from broker.errors import BrokerError, InvalidValue, NotFound
from broker.failures import Failure
from broker.handouts import Assignment, Poll
from broker.ids import (
    UNNAMED_WORKER,
    LeaseToken,
    WorkerId,
    new_worker_id,
    parse_job_id,
    parse_worker_id,
)
from broker.jobs import Action, JobKind
from broker.workers import Hello

_encode = json.JSONEncoder().encode
#: Chrome ends a service worker whose fetch takes 30 s to answer.
MAX_WAIT_SECONDS = 25.0


_POLL_QUERY = (
    QueryParam(
        "mode",
        {"type": "array", "items": {"enum": [*JobKind]}, "minItems": 1},
        "What it can do; the first is tried first.",
        is_required=True,
    ),
    QueryParam("wait", {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS}, "Seconds."),
)


_IMAGE_LOST = Failure("bad_input", "An image that came with the request is not there any more.")


class PollDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._roster = deps.roster
        self._media = deps.media
        self._images = deps.images
        self._settings = deps.settings
        self._clock = deps.clock
        self._pack = PackFile(deps.settings.pack_path)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/extension/poll",
                Door.WORKER,
                handle=self.poll,
                is_noted=False,
                gives=HandedJob,
                query=_POLL_QUERY,
                answers={204: None},
            ),
            Route(
                "POST",
                "/extension/hello",
                Door.WORKER,
                JSON_BODY,
                self.hello,
                takes=SayHello,
                gives=Welcome,
            ),
        ]

    async def hello(self, call: Call) -> Reply:
        """Say hello: name, kinds, page state; learn the timers and which leases are over"""
        said = read_model(SayHello, await call.body())
        name = _worker_name(call)
        if name == UNNAMED_WORKER:
            name = new_worker_id()
        worker_id = call.caller.worker(name)
        hello = Hello(
            said.name,
            said.version,
            tuple(said.kinds),
            said.slots,
            said.page_state,
            said.page_detail,
            said.pack_version,
            said.capabilities,
            said.quota,
        )
        self._roster.greet(worker_id, hello, self._clock.now())
        held = [(h.job_id, call.caller.lease(LeaseToken(h.lease_token))) for h in said.held or ()]
        lost = [job_id for job_id, token in held if not await self._still_holds(job_id, token)]
        if said.held is not None:
            tokens = [token for _, token in held]
            await self._queue.give_up_others(worker_id, tokens)
        welcome = Welcome(
            worker_id=name,
            poll_wait_seconds=self._settings.poll_wait_seconds,
            beat_seconds=self._settings.beat_seconds,
            first_beat_seconds=self._settings.first_beat_seconds,
            pack_version=await self._pack.version(),
            lost=lost,
            directives=[str(told) for told in self._roster.take_directives(worker_id)],
        )
        return Reply(200, welcome.model_dump_json().encode())

    async def poll(self, call: Call) -> Reply:
        """Ask for a job; held open until there is one or the wait is over"""
        query = call.query()
        worker_id = call.caller.worker(_worker_name(call))
        wait = self._wait(query.get("wait"))
        # What the operator asked while no poll was open must not wait for the end of this one.
        if self._roster.has_directives(worker_id):
            wait = 0.0
        poll = Poll(worker_id, _kinds(query.get("mode")), wait, call.is_alive, call.caller.key_id)
        assignment = await self._queue.claim(poll)
        if assignment is None:
            return self._nothing(poll)
        try:
            return Reply(200, await self._handed(assignment, poll.worker_id))
        except NotFound:
            # As after a restore without the images: no worker could do it, and each would be given it again.
            await self._queue.fail(assignment.job.id, assignment.token, _IMAGE_LOST)
            return self._nothing(poll)

    async def _still_holds(self, text: str, token: LeaseToken) -> bool:
        job_id = parse_job_id(text)
        if job_id is None:
            return False
        try:
            job = await self._queue.beat(job_id, token)
        except BrokerError:
            return False
        return not job.state.is_final

    def _wait(self, given: list[str] | None) -> float:
        if given is None:
            return self._settings.poll_wait_seconds
        try:
            wait = float(given[-1])
        except ValueError:
            wait = -1.0
        if not 0 <= wait <= MAX_WAIT_SECONDS:
            raise InvalidValue(
                f"wait must be from 0 to {MAX_WAIT_SECONDS:g} seconds.", param="wait"
            )
        return wait

    def _nothing(self, poll: Poll) -> Reply:
        """204; the headers say why a waiting job was not handed over and what the worker is asked to do."""
        worker = self._roster.find(poll.worker_id)
        headers: tuple[tuple[bytes, bytes], ...] = ((b"x-next-poll-ms", b"0"),)
        if self._queue.is_draining:
            headers = ((b"x-next-poll-ms", b"5000"), (b"retry-after", b"5"))
        if worker is None:
            return Reply(204, headers=headers)
        skipped = self._roster.skipped(worker, poll.kinds, self._clock.now())
        if self._queue.is_disk_full:
            skipped = {kind: "disk_full" for kind in poll.kinds if kind.leaves_files} | skipped
        if skipped:
            told = ", ".join(f"{kind}={reason}" for kind, reason in skipped.items())
            headers += ((b"x-broker-skipped", told.encode("ascii", "replace")),)
        if directives := self._roster.take_directives(poll.worker_id):
            headers += ((b"x-broker-directives", ", ".join(directives).encode()),)
        return Reply(204, headers=headers)

    async def _handed(self, assignment: Assignment, worker_id: WorkerId) -> bytes:
        job, payload = assignment.job, assignment.payload
        try:
            images, request = await handed_over(self._media, self._images, payload)
        except NotFound:
            # Whoever recovers a job does not send its images again.
            if assignment.action != Action.RECOVER:
                raise
            images, request = [], payload.request
        directives = self._roster.take_directives(worker_id)
        head = _encode(
            {
                "job_id": job.id,
                "job_type": job.kind,
                "prompt": payload.prompt,
                "image": images[0] if images else None,
                # A chat's stand in its request.
                "images": images if payload.request is None else [],
                "lease_token": assignment.token,
                "attempt": job.attempt,
                "lease_seconds": assignment.lease_seconds,
                "action": assignment.action,
                "directives": [str(directive) for directive in directives],
            }
        )
        # These are JSON already; parsing them only to write them again would be most of a hand-out's work.
        rest = (
            f', "request": {request or "null"}, "options": {payload.options or "null"}, '
            f'"evidence": {job.evidence or "null"}}}'
        )
        return (head[:-1] + rest).encode()


def _worker_name(call: Call) -> WorkerId:
    given = call.header(b"x-worker-id")
    if given is None:
        return UNNAMED_WORKER
    worker_id = parse_worker_id(given)
    if worker_id is None:
        raise InvalidValue(
            "X-Worker-Id takes up to 64 letters, digits, dots, dashes and underscores.",
            param="x-worker-id",
        )
    return worker_id


def _kinds(given: list[str] | None) -> tuple[JobKind, ...]:
    if not given:
        raise InvalidValue(
            "Say which jobs you take: mode=video, mode=image, mode=chat, or several.", param="mode"
        )
    try:
        return tuple(dict.fromkeys(JobKind(mode) for mode in given))
    except ValueError:
        known = ", ".join(JobKind)
        raise InvalidValue(f"There is no such mode; there are: {known}.", param="mode") from None
