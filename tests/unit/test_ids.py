"""Names of things: three spellings of one job, nothing else ever a file name."""

import re

import pytest

from broker.ids import (
    LeaseToken,
    hash_token,
    new_job_id,
    new_lease_token,
    new_worker_id,
    parse_job_id,
    parse_worker_id,
    uuid_spelling,
    video_spelling,
)

HEX = "0123456789abcdef0123456789abcdef"
JOB = f"job_{HEX}"


@pytest.mark.parametrize(
    "spelling",
    [JOB, f"video_{HEX}", f"chatcmpl-job_{HEX}", "01234567-89ab-cdef-0123-456789abcdef"],
)
def test_one_job_has_several_spellings(spelling: str) -> None:
    assert parse_job_id(spelling) == JOB


def test_every_spelling_we_give_out_names_the_same_job() -> None:
    job_id = new_job_id()

    assert parse_job_id(video_spelling(job_id)) == job_id
    assert parse_job_id(uuid_spelling(job_id)) == job_id
    assert video_spelling(job_id).startswith("video_")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid_spelling(job_id))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job_",
        HEX,
        JOB[:-1],
        JOB + "0",
        JOB.upper(),
        f" {JOB}",
        f"{JOB}\n",
        f"{JOB}.mp4",
        f"{JOB}.late",
        f"../{JOB}",
        f"job_{HEX[:-3]}/..",
        f"job_{HEX[:-1]}\0",
        f"job_{HEX[:-1]}g",
        f"job_{HEX[:-1]}\N{ARABIC-INDIC DIGIT ONE}",
        f"file_{HEX}",
        "0123456789abcdef-0123-4567-89ab-cdef",
        "01234567_89ab_cdef_0123_456789abcdef",
    ],
)
def test_nothing_else_is_taken_for_a_job(text: str) -> None:
    assert parse_job_id(text) is None


def test_ids_and_tokens_cannot_be_guessed() -> None:
    jobs, tokens = {new_job_id() for _ in range(100)}, {new_lease_token() for _ in range(100)}

    assert len(jobs) == len(tokens) == 100
    assert all(re.fullmatch(r"job_[0-9a-f]{32}", job_id) for job_id in jobs)
    assert all(re.fullmatch(r"lt_[0-9a-f]{32}", token) for token in tokens)


def test_a_stored_hash_gives_no_token_away() -> None:
    token = new_lease_token()

    assert hash_token(token) == hash_token(LeaseToken(str(token)))
    assert hash_token(token) != hash_token(new_lease_token())
    assert token.removeprefix("lt_") not in hash_token(token)


@pytest.mark.parametrize("text", ["wrk_1", "desk.left-2", "A", "9" * 64])
def test_a_worker_may_name_itself(text: str) -> None:
    assert parse_worker_id(text) == text


def test_a_name_that_the_broker_gives_may_be_used() -> None:
    given = new_worker_id()

    assert parse_worker_id(given) == given


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "a/b", "a\n", "9" * 65, "ä", "a\0"])
def test_a_worker_name_is_short_and_plain(text: str) -> None:
    assert parse_worker_id(text) is None
