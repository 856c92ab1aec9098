"""What becomes of a job after a failed or lost attempt: the table, the pauses, and never a second submit."""

import json

import pytest

from broker.chunks import Chunk, ChunkKind
from broker.errors import ResultConflict
from broker.failures import RULES, Failure, classify
from broker.ids import UNNAMED_WORKER, WorkerId
from broker.jobs import Action, Job, JobKind, JobState, OnLost, Outcome
from broker.leases import Phase
from broker.results import Verdict
from broker.retries import (
    MAX_LOSSES,
    after_failure,
    after_loss,
    after_recovery,
    after_undelivered,
    backoff_seconds,
)
from broker.workers import Hello
from tests.support.builders import NOW, TIMERS, WORKER, a_job, a_lease
from tests.support.desk import Desk, in_loop

#: Failure class → does it use an attempt up, and what comes next for a job whose prompt was not yet sent.
TABLE = {
    "rate_limited": (False, "wait"),
    "site_down": (False, "again"),
    "not_logged_in": (False, "hand on"),
    "challenge_required": (False, "hand on"),
    "paywall": (False, "hand on"),
    "ui_changed": (False, "hand on"),
    "page_stale": (False, "again"),
    "person_busy": (False, "again"),
    "tab_closed": (True, "again"),
    "browser_closed": (True, "again"),
    "download_failed": (False, "recover"),
    "result_rejected": (True, "recover"),
    "submit_unknown": (True, "recover"),
    "no_progress": (True, "again"),
    "run_cap": (True, "again"),
    "incomplete": (True, "fail"),
    "generation_failed": (True, "fail"),
    "moderated": (True, "fail"),
    "option_refused": (False, "fail"),
    "option_not_set": (False, "fail"),
    "bad_input": (True, "fail"),
    "upload_rejected": (True, "fail"),
    "unknown": (True, "again"),
}
#: What says that the site turned the prompt away, where it comes right after submit was pressed.
REFUSALS = ["rate_limited", "not_logged_in", "challenge_required", "paywall", "page_stale"]
SET_ASIDE = {"rate_limited", "not_logged_in", "challenge_required", "paywall", "ui_changed"}
ENDING = [name for name, (_, following) in TABLE.items() if following == "fail"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def held(
    phase: Phase = Phase.ASSIGNED, kind: JobKind = JobKind.VIDEO, *, legacy: bool = False, **fields
) -> Job:
    """A job in a worker's hands since NOW."""
    lease = a_lease(kind, is_legacy=legacy).advanced(phase, None, NOW)
    submitted_at = NOW if phase.is_submitted else None
    given = {"submitted_at": submitted_at, "attempt": 1, "lease": lease} | fields
    return a_job(kind, state=JobState.PROCESSING, **given)


def failed(job: Job, name: str, now: float = NOW + 60, **told) -> Job:
    return after_failure(job, Failure(name, "", **told), now, TIMERS[job.kind], 0.0)


def lost(job: Job, now: float = NOW + 200) -> Job:
    return after_loss(job, now, TIMERS[job.kind], 0.0)


def following(job: Job, now: float = NOW + 60) -> str:
    if job.state == JobState.FAILED:
        return "fail"
    if job.action == Action.RECOVER:
        return "recover"
    if job.waiting_reason == "rate_limited":
        return "wait"
    return "hand on" if job.ready_at is None else "again"


def test_the_table_has_every_class() -> None:
    assert set(RULES) == set(TABLE)


@pytest.mark.parametrize("name", list(TABLE))
def test_each_class_uses_what_it_uses_and_leads_where_it_leads(name: str) -> None:
    after = failed(held(Phase.PREPARING), name)

    uses_attempt, leads_to = TABLE[name]
    assert after.losses == int(uses_attempt)
    assert following(after) == leads_to


@pytest.mark.parametrize("name", list(TABLE))
@pytest.mark.parametrize("phase", [Phase.GENERATING, Phase.DOWNLOADING, Phase.UPLOADING])
def test_once_the_site_works_on_it_no_failure_leads_to_a_second_submit(
    name: str, phase: Phase
) -> None:
    for evidence in (None, '{"baseline": []}', '{"post_id": "p"}'):
        after = failed(held(phase, evidence=evidence), name)

        assert after.state == JobState.FAILED or after.action == Action.RECOVER


@pytest.mark.parametrize("name", list(TABLE))
@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.SUBMITTED])
def test_a_worker_that_was_to_recover_never_opens_the_way_to_a_second_submit(
    name: str, phase: Phase
) -> None:
    recovering = held(phase, submitted_at=NOW - 100, attempt=2)

    after = failed(recovering, name)

    assert after.state == JobState.FAILED or after.action == Action.RECOVER


@pytest.mark.parametrize("name", REFUSALS)
def test_a_prompt_that_the_site_turned_away_may_be_submitted_again(name: str) -> None:
    before = json.dumps({"baseline": ["post_old"]})

    for evidence in (None, before):
        after = failed(held(Phase.SUBMITTED, evidence=evidence), name)

        assert after.state == JobState.PENDING
        assert after.action == Action.SUBMIT
        assert after.losses == 0


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("known", [{"post_id": "p"}, {"conversation_id": "c"}])
def test_a_prompt_that_left_a_trace_on_the_site_was_not_turned_away(
    name: str, known: dict[str, str]
) -> None:
    after = failed(held(Phase.SUBMITTED, evidence=json.dumps(known)), name)

    assert after.action == Action.RECOVER


def test_a_rate_limit_waits_until_it_ends() -> None:
    told = failed(held(), "rate_limited", retry_at=NOW + 7200)
    untold = failed(held(), "rate_limited", now=NOW)

    assert told.ready_at is not None
    assert NOW + 7200 + 5 <= told.ready_at <= NOW + 7200 + 30
    assert told.waiting_reason == "rate_limited"
    assert untold.ready_at is not None
    assert untold.ready_at >= NOW + 900


def test_a_rate_limit_uses_no_attempt_however_often_it_comes() -> None:
    job = held()
    for _ in range(3 * MAX_LOSSES):
        after = failed(job, "rate_limited", retry_at=NOW + 600)
        assert after.state == JobState.PENDING
        assert after.losses == 0
        job = after._replace(state=JobState.PROCESSING, lease=job.lease)


def test_a_job_that_cannot_wait_for_the_end_of_a_limit_is_told_so_at_once() -> None:
    chat = failed(held(kind=JobKind.CHAT), "rate_limited", retry_at=NOW + 600)

    assert (chat.state, chat.error_code) == (JobState.FAILED, "rate_limited")
    assert chat.ready_at is not None
    assert chat.ready_at >= NOW + 600
    assert chat.deadline_at == float("inf")


@pytest.mark.parametrize("name", [n for n in TABLE if n not in ENDING])
def test_a_worker_without_a_token_ends_its_job_with_what_it_reports(name: str) -> None:
    """It told no phase, so it may have pressed submit."""
    after = after_failure(
        held(legacy=True), Failure(name, "Page says no"), NOW, TIMERS[JobKind.VIDEO], 0.0
    )

    assert (after.state, after.error_code) == (JobState.FAILED, name)
    assert after.error_message == "Page says no"


def test_a_lost_worker_before_submit_costs_one_of_three_tries() -> None:
    pauses = []
    job = held(Phase.PREPARING)
    for losses in range(1, MAX_LOSSES):
        after = lost(job, NOW)
        assert (after.state, after.losses, after.action) == (
            JobState.PENDING,
            losses,
            Action.SUBMIT,
        )
        assert after.ready_at is not None
        pauses.append(after.ready_at - NOW)
        job = after._replace(state=JobState.PROCESSING, lease=job.lease)

    assert pauses == [5, 10]
    assert lost(job).state == JobState.FAILED
    assert MAX_LOSSES == 3


def test_pauses_double_up_to_five_minutes_and_are_spread() -> None:
    assert [backoff_seconds(losses, 0.0) for losses in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert backoff_seconds(30, 0.0) == 300
    assert backoff_seconds(1, 0.5) > backoff_seconds(1, 0.1)
    assert backoff_seconds(1, 0.999) < 2 * backoff_seconds(1, 0.0)


def test_a_job_lost_after_submit_is_recovered_first_by_the_worker_that_knows_it() -> None:
    job = held(Phase.GENERATING, evidence='{"post_id": "p"}')

    after = lost(job)

    assert (after.state, after.action) == (JobState.PENDING, Action.RECOVER)
    assert after.waiting_reason == "recovering"
    assert after.evidence == '{"post_id": "p"}'
    assert after.reserved_for == WORKER
    assert after.reserved_until == NOW + 200 + 30
    assert after.ready_at is None


def test_recovery_is_over_when_the_run_cap_is() -> None:
    job = held(Phase.GENERATING)

    assert lost(job, NOW + 899).deadline_at == NOW + 900
    over = lost(job, NOW + 900)
    assert (over.state, over.error_code) == (JobState.FAILED, "result_lost")


def test_recovery_is_tried_more_than_three_times_within_the_run_cap() -> None:
    after = lost(held(Phase.GENERATING, losses=7, attempt=8))

    assert (after.state, after.action) == (JobState.PENDING, Action.RECOVER)
    assert after.ready_at is not None


def test_on_lost_retry_recovers_first_then_submits_once_more_and_not_twice() -> None:
    job = held(Phase.GENERATING, on_lost=OnLost.RETRY, evidence='{"post_id": "p"}')

    first = lost(job)
    assert (first.state, first.action) == (JobState.PENDING, Action.RECOVER)
    assert (first.reserved_for, first.deadline_at) == (WORKER, NOW + 200 + 30)

    second = after_recovery(first, NOW + 230, 0.0, "result_lost", "It was lost.")
    assert (second.state, second.action, second.evidence) == (
        JobState.PENDING,
        Action.SUBMIT,
        None,
    )

    third = after_recovery(
        second._replace(submitted_at=NOW + 300), NOW + 900, 0.0, "result_lost", "It was lost."
    )
    assert third.state == JobState.FAILED


def test_a_recovery_that_is_lost_itself_ends_what_is_not_to_be_recovered_for_long() -> None:
    for on_lost, state in ((OnLost.RETRY, JobState.PENDING), (OnLost.FAIL, JobState.FAILED)):
        job = held(Phase.GENERATING, on_lost=on_lost)
        job = job._replace(submitted_at=NOW - 60)

        after = lost(job)

        assert after.state == state
        assert after.state.is_final or after.action == Action.SUBMIT


def test_on_lost_fail_never_submits_again() -> None:
    after = lost(held(Phase.GENERATING, on_lost=OnLost.FAIL))

    assert after.state == JobState.FAILED or after.action == Action.RECOVER


@pytest.mark.parametrize("name", [n for n in TABLE if n not in ENDING])
def test_an_answer_that_a_client_has_begun_to_read_is_never_begun_again(name: str) -> None:
    begun = held(Phase.GENERATING, JobKind.CHAT, is_streaming=True, next_seq=2)

    for after in (failed(begun, name), lost(begun)):
        assert (after.state, after.error_code) == (JobState.FAILED, "stream_interrupted")


def test_a_stream_of_which_nothing_was_sent_is_tried_again() -> None:
    after = lost(held(Phase.PREPARING, JobKind.CHAT, is_streaming=True), NOW + 10)

    assert (after.state, after.action) == (JobState.PENDING, Action.SUBMIT)


def test_a_legacy_worker_that_falls_silent_may_have_submitted_so_its_job_fails() -> None:
    after = lost(held(legacy=True))

    assert (after.state, after.error_code) == (JobState.FAILED, "timeout")


def test_a_hand_out_that_never_arrived_uses_nothing_up() -> None:
    after = after_undelivered(held())

    assert (after.state, after.losses) == (JobState.PENDING, 0)
    assert after.ready_at is None
    assert after.lease is None


@pytest.mark.parametrize("name", [n for n in TABLE if n not in ENDING])
@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.GENERATING])
def test_whatever_waits_has_a_deadline_and_no_lease(name: str, phase: Phase) -> None:
    after = failed(held(phase), name)

    assert after.state == JobState.PENDING
    assert after.deadline_at < float("inf")
    assert after.lease is None
    assert after.next_seq == 0


@pytest.mark.parametrize(
    ("code", "text", "name"),
    [
        ("moderated", "rate limit reached", "moderated"),
        (None, "Rate limit reached, try later", "rate_limited"),
        (None, "You've hit your limit: TOO MANY REQUESTS", "rate_limited"),
        (None, "Content moderated", "moderated"),
        (None, "Please sign in to continue", "not_logged_in"),
        (None, "not logged in: login page shown", "not_logged_in"),
        (None, "captcha shown", "challenge_required"),
        (None, "Submit button not found on page", "ui_changed"),
        (None, "download of the video failed", "download_failed"),
        ("made_up", "something odd", "unknown"),
        (None, "", "unknown"),
    ],
)
def test_a_free_text_error_is_sorted_by_its_words(code: str | None, text: str, name: str) -> None:
    assert classify(code, text) == name


@pytest.mark.parametrize("name", RULES)
@in_loop
async def test_a_failure_is_noted_and_says_what_it_says_of_its_worker(
    desk: Desk, name: str
) -> None:
    held = await desk.held(phase=Phase.PREPARING)

    job = await desk.fail(held, name)

    (attempt,) = await desk.store.attempts(held.job.id)
    assert (attempt.outcome, attempt.failure, attempt.phase) == (
        Outcome.FAILED,
        name,
        Phase.PREPARING,
    )
    assert job.state in (JobState.PENDING, JobState.FAILED)
    await desk.submit()
    assert (await desk.claim(JobKind.VIDEO) is None) == (name in SET_ASIDE)
    await desk.submit(JobKind.CHAT)
    assert await desk.claim(JobKind.CHAT) is not None


@in_loop
async def test_unnamed_workers_are_never_set_aside_as_they_never_say_hello(desk: Desk) -> None:
    for name in SET_ASIDE:
        held = await desk.held(worker=UNNAMED_WORKER)
        await desk.queue.fail(held.job.id, None, Failure(name, "login page"))
        held = await desk.held(worker=UNNAMED_WORKER)
        await desk.fail(held, name)

        assert await desk.claim(worker=UNNAMED_WORKER) is None
        await desk.submit()
        last = await desk.taken(worker=UNNAMED_WORKER)
        assert await desk.deliver(last, b"film " + name.encode()) == Verdict.PUBLISHED


@in_loop
async def test_a_rate_limited_job_waits_uncounted_and_says_until_when(desk: Desk) -> None:
    held = await desk.held(phase=Phase.SUBMITTED)

    job = await desk.fail(held, "rate_limited", retry_at=NOW + 3600)

    assert (job.state, job.losses, job.waiting_reason) == (JobState.PENDING, 0, "rate_limited")
    assert job.ready_at is not None
    assert NOW + 3600 < job.ready_at <= NOW + 3630
    await desk.passes(3600)
    assert await desk.claim() is None
    await desk.passes(30)
    assert (await desk.taken()).action == Action.SUBMIT


@in_loop
async def test_a_limited_worker_is_left_in_peace_until_the_limit_ends(desk: Desk) -> None:
    """Also where the job itself could not wait, and so carries no moment of its own."""
    held = await desk.held(JobKind.CHAT, is_streaming=True)
    await desk.queue.add_chunks(held.job.id, held.token, [Chunk(0, ChunkKind.TEXT, "It ")])
    await desk.fail(held, "rate_limited", retry_at=NOW + 600)

    await desk.passes(599)
    await desk.submit(JobKind.CHAT)
    assert await desk.claim(JobKind.CHAT) is None
    await desk.passes(31)

    assert await desk.claim(JobKind.CHAT) is not None


@pytest.mark.parametrize("kind", [JobKind.VIDEO, JobKind.IMAGE])
@in_loop
async def test_a_result_that_is_not_valid_is_looked_for_once_more_and_then_given_up(
    desk: Desk, kind: JobKind
) -> None:
    held = await desk.held(kind, Phase.DOWNLOADING)
    first = await desk.fail(held, "result_rejected")
    assert (first.state, first.waiting_reason) == (JobState.PENDING, "recovering")
    await desk.passes(10)
    again = await desk.taken()
    assert again.action == Action.RECOVER

    second = await desk.fail(again, "result_rejected")

    assert (second.state, second.error_code) == (JobState.FAILED, "result_rejected")


@in_loop
async def test_a_recovery_that_was_lost_in_between_does_not_make_it_the_first_time_again(
    desk: Desk,
) -> None:
    held = await desk.held(phase=Phase.DOWNLOADING)
    await desk.fail(held, "result_rejected")
    await desk.passes(10)
    await desk.beat(await desk.taken())
    await desk.passes(150)
    await desk.passes(30)

    second = await desk.fail(await desk.taken(), "result_rejected")

    assert (second.state, second.error_code) == (JobState.FAILED, "result_rejected")


@in_loop
async def test_where_the_client_allowed_it_a_result_that_is_not_valid_is_made_once_more(
    desk: Desk,
) -> None:
    held = await desk.held(phase=Phase.DOWNLOADING, on_lost=OnLost.RETRY)
    await desk.fail(held, "result_rejected")
    await desk.passes(10)
    await desk.fail(await desk.taken(), "result_rejected")
    await desk.passes(60)
    anew = await desk.taken()
    assert anew.action == Action.SUBMIT
    await desk.beat(anew, Phase.DOWNLOADING)

    last = await desk.fail(anew, "result_rejected")

    assert (last.state, last.error_code) == (JobState.FAILED, "result_rejected")


PIECES = (
    Chunk(0, ChunkKind.REASONING, "Hm."),
    Chunk(1, ChunkKind.TEXT, "Once "),
    Chunk(2, ChunkKind.TEXT, "upon"),
)


@pytest.mark.parametrize(
    ("how", "is_streaming"), [("incomplete", False), ("incomplete", True), ("lost", True)]
)
@in_loop
async def test_what_a_chat_had_streamed_when_it_failed_is_kept_with_it(
    desk: Desk, how: str, is_streaming: bool
) -> None:
    held = await desk.held(JobKind.CHAT, is_streaming=is_streaming)
    await desk.queue.add_chunks(held.job.id, held.token, PIECES)

    if how == "incomplete":
        await desk.fail(held, how)
    else:
        await desk.passes(90)

    record = await desk.store.get(held.job.id)
    assert record is not None
    assert (record.job.state, record.result) == (JobState.FAILED, None)
    assert record.late is not None
    assert (record.late.text, record.late.reasoning) == ("Once upon", "Hm.")
    assert record.late.finish_reason == "incomplete"


@in_loop
async def test_the_whole_answer_takes_the_place_of_its_beginning_and_stays(desk: Desk) -> None:
    held = await desk.held(JobKind.CHAT)
    await desk.queue.add_chunks(held.job.id, held.token, PIECES)
    await desk.fail(held, "incomplete")
    complete = desk.queue.complete_text

    told = await complete(held.job.id, held.token, "Once upon a time.")
    again = await complete(held.job.id, held.token, "Once upon a time.")
    with pytest.raises(ResultConflict):
        await complete(held.job.id, held.token, "Once upon a hill.")

    assert (told[1], again[1]) == (Verdict.LATE, Verdict.LATE)
    record = await desk.store.get(held.job.id)
    assert record is not None
    assert record.late is not None
    assert (record.late.text, record.late.finish_reason) == ("Once upon a time.", "stop")
    assert record.job.state == JobState.FAILED


@in_loop
async def test_a_chat_that_failed_without_a_word_keeps_nothing(desk: Desk) -> None:
    silent, thinking = await desk.held(JobKind.CHAT), await desk.held(JobKind.CHAT)
    await desk.queue.add_chunks(thinking.job.id, thinking.token, PIECES[:1])

    for held in (silent, thinking):
        await desk.fail(held, "incomplete")
        record = await desk.store.get(held.job.id)
        assert record is not None
        assert (record.job.error_code, record.late) == ("incomplete", None)


@in_loop
async def test_a_limit_on_one_kind_leaves_a_worker_the_others(desk: Desk) -> None:
    desk.roster.see(WORKER, tuple(JobKind), NOW)
    held = await desk.held(JobKind.IMAGE, Phase.SUBMITTED)
    await desk.fail(held, "rate_limited", retry_at=NOW + 100)
    image, video = await desk.submit(JobKind.IMAGE), await desk.submit(JobKind.VIDEO)

    assert (await desk.taken()).job.id == video
    assert await desk.claim() is None
    assert (await desk.taken(worker=WorkerId("wrk_other"))).job.id == image


#: What a page may be in → what the job is then, whether the attempt counts, and whether the worker is set aside.
PAGE_STATES = {
    "needs_login": ("pending", 0, True),
    "needs_human": ("pending", 0, True),
    "rate_limited": ("pending", 0, True),
    "moderated": ("failed", 1, False),
    "paywalled": ("pending", 0, True),
    "page_stale": ("pending", 0, False),
    "selector_missing": ("pending", 0, True),
    "option_not_set": ("failed", 0, False),
    "submit_unknown": ("pending", 1, False),
    "stalled": ("pending", 1, False),
    "incomplete": ("failed", 1, False),
}


@pytest.mark.parametrize("state", PAGE_STATES)
@in_loop
async def test_each_state_of_the_page_has_its_effect(desk: Desk, state: str) -> None:
    worker = desk.roster.see(WORKER, tuple(JobKind), NOW)
    held = await desk.held(JobKind.VIDEO, Phase.PREPARING)

    job = await desk.fail(held, classify(state, ""), retry_at=NOW + 100)

    is_aside = desk.roster.open_kinds(worker, [JobKind.VIDEO], NOW) == []
    assert (job.state, job.losses, is_aside) == PAGE_STATES[state]


@pytest.mark.parametrize("state", ["needs_login", "needs_human", "paywalled", "selector_missing"])
@in_loop
async def test_a_worker_whose_page_is_ready_again_gets_the_job_that_waits(
    desk: Desk, state: str
) -> None:
    desk.roster.see(WORKER, tuple(JobKind), NOW)
    held = await desk.held(JobKind.VIDEO, Phase.PREPARING)
    await desk.fail(held, classify(state, ""))
    assert await desk.claim() is None
    desk.roster.greet(WORKER, Hello("desk", "1", tuple(JobKind), page_state=state), NOW)
    assert await desk.claim() is None

    desk.roster.greet(WORKER, Hello("desk", "1", tuple(JobKind)), NOW)

    assert (await desk.taken()).job.id == held.job.id


@in_loop
async def test_every_failed_job_says_why(desk: Desk) -> None:
    for name in RULES:
        held = await desk.held(phase=Phase.GENERATING, worker=WorkerId(f"wrk_{name}"))
        job = await desk.fail(held, name)
        if job.state == JobState.FAILED:
            assert job.error_code == name
            assert job.error_message
        else:
            assert job.waiting_reason


@pytest.mark.parametrize(
    ("state", "failure_class"),
    [
        ("needs_login", "not_logged_in"),
        ("needs_human", "challenge_required"),
        ("paywalled", "paywall"),
        ("selector_missing", "ui_changed"),
        ("stalled", "no_progress"),
    ],
)
def test_a_state_of_the_page_names_its_failure_class(state: str, failure_class: str) -> None:
    assert classify(state, "some words") == failure_class
