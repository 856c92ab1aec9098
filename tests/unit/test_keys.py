"""Keys: how one is written, recognised and kept."""

import re

import pytest

from broker.errors import InvalidValue, LimitReached, ModelNotFound
from broker.ids import LeaseToken, Owner, WorkerId
from broker.keys import (
    DAY_SECONDS,
    LOCAL,
    NO_LIMITS,
    Caller,
    Key,
    KeyHash,
    KeyId,
    Limits,
    Scope,
    Usage,
    check_limits,
    check_model,
    check_terms,
    hash_key,
    is_of,
    is_same,
    is_signed,
    mint,
    read_key,
    shown,
    signature,
)
from tests.support.builders import NOW

SECRET, OTHER_SECRET = b"s" * 32, b"t" * 32
PREFIXES = {Scope.CLIENT: "gbc_", Scope.WORKER: "gbw_", Scope.ADMIN: "gba_"}


@pytest.mark.parametrize("scope", Scope)
def test_a_key_is_one_word_with_its_scope_in_front(scope: Scope) -> None:
    text = mint(scope)

    assert re.fullmatch(PREFIXES[scope] + "[0-9A-Za-z]{57}", text)
    assert read_key(text) == (scope, text[:12])


def test_no_two_keys_are_alike_in_any_part() -> None:
    minted = [mint(Scope.CLIENT) for _ in range(10_000)]

    assert len(set(minted)) == len({text[12:55] for text in minted}) == len(minted)
    for place in range(4, 55):
        assert len({text[place] for text in minted}) == 62


def test_a_typo_is_known_without_asking_anybody() -> None:
    text = mint(Scope.WORKER)
    for place in range(len(text)):
        wrong = "x" if text[place] != "x" else "y"
        assert read_key(text[:place] + wrong + text[place + 1 :]) is None
    swapped = text[:20] + text[21] + text[20] + text[22:]
    assert swapped == text or read_key(swapped) is None


@pytest.mark.parametrize(
    "text",
    ["", "gbc_", "gbc", "sk-proj-abc", "gbc_" + "0" * 57, "gbc_" + "ä" * 57, "gbx_" + "0" * 57],
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert read_key(text) is None


def test_a_key_with_something_around_it_is_none() -> None:
    text = mint(Scope.ADMIN)

    assert [read_key(each) for each in (f" {text}", f"{text}\n", text[:-1], text + "0")] == [
        None
    ] * 4


def test_what_is_kept_tells_nothing_and_fits_one_key_and_one_secret() -> None:
    text = mint(Scope.CLIENT)
    kept = hash_key(SECRET, text)

    assert re.fullmatch("[0-9a-f]{64}", kept)
    assert is_same(kept, hash_key(SECRET, text))
    assert not is_same(kept, hash_key(OTHER_SECRET, text))
    assert not is_same(kept, hash_key(SECRET, mint(Scope.CLIENT)))
    assert shown(KeyId(text[:12])) == f"{text[:12]}…"


def a_key(**fields: object) -> Key:
    key = Key(KeyId("gbw_1"), Scope.WORKER, Owner("o"), "", KeyHash("h"), NOW)
    return key._replace(**fields)  # type: ignore[arg-type]


def test_a_key_lives_until_it_expires_or_is_revoked() -> None:
    assert a_key().is_live(NOW + 1e9)
    assert a_key(expires_at=NOW + 10).is_live(NOW + 9.9)
    assert not a_key(expires_at=NOW + 10).is_live(NOW + 10)
    assert not a_key(revoked_at=NOW - 1, expires_at=NOW + 10).is_live(NOW)


def test_an_end_is_never_put_off() -> None:
    assert a_key(expires_at=NOW + 10).over(NOW + 99).expires_at == NOW + 10
    assert a_key(expires_at=NOW + 99, idle_seconds=50.0).over(NOW + 10) == a_key(
        expires_at=NOW + 10
    )
    assert a_key().over(NOW + 10).expires_at == NOW + 10


# Who calls.

CLIENT = Caller(Owner("alice"), Scope.CLIENT, KeyId("gbc_1"))
WORKER = Caller(Owner("alice"), Scope.WORKER, KeyId("gbw_1"))
ADMIN = Caller(Owner("root"), Scope.ADMIN, KeyId("gba_1"))


@pytest.mark.parametrize(
    ("caller", "own", "foreign"),
    [
        (LOCAL, True, True),
        (ADMIN, True, True),
        (CLIENT, True, False),
        # It sees what it is handed, and has no list to look into, not even its owner's.
        (WORKER, False, False),
    ],
)
def test_who_sees_whose_jobs(caller: Caller, own: bool, foreign: bool) -> None:
    assert caller.may_see(Owner("alice")) is own
    assert caller.may_see(Owner("bob")) is foreign
    assert (caller.only_owner is None) is foreign


def test_a_workers_name_and_leases_are_its_keys_own() -> None:
    name, token = WorkerId("desk"), LeaseToken("lt_1")
    other = WORKER._replace(key_id=KeyId("gbw_12"))

    assert LOCAL.worker(name) == name
    assert LOCAL.lease(token) == token
    assert len({caller.worker(name) for caller in (LOCAL, WORKER, other)}) == 3
    assert len({caller.lease(token) for caller in (LOCAL, WORKER, other)}) == 3
    assert is_of(KeyId("gbw_1"), WORKER.worker(name))
    assert not is_of(KeyId("gbw_1"), other.worker(name))
    assert not is_of(KeyId("gbw_1"), name)


# Limits.


def test_a_limit_is_reached_with_one_job_too_many() -> None:
    limits = Limits(open_jobs=2, daily_jobs=3)

    check_limits(limits, Usage(1, 2), NOW)
    check_limits(NO_LIMITS, Usage(10**6, 10**6), NOW)
    with pytest.raises(LimitReached, match="2 jobs that have not ended"):
        check_limits(limits, Usage(2, 0), NOW)
    with pytest.raises(LimitReached, match="3 jobs a day") as refused:
        check_limits(limits, Usage(0, 3), 5 * DAY_SECONDS - 60)
    assert refused.value.retry_after_seconds == 60


def test_a_key_for_some_models_refuses_the_others_by_any_of_their_names() -> None:
    limits, aliases = Limits(models=("grok",)), {"grok-latest": "grok"}

    check_model(NO_LIMITS, "anything")
    check_model(limits, "grok-latest", lambda name: aliases.get(name, name))
    with pytest.raises(ModelNotFound, match="This key is for grok"):
        check_model(limits, "grok-latest")


@pytest.mark.parametrize(
    ("label", "owner", "limits", "param"),
    [
        ("x" * 101, None, NO_LIMITS, "label"),
        ("two\nlines", None, NO_LIMITS, "label"),
        ("\x1b[31mred", None, NO_LIMITS, "label"),
        ("", "a\x00b", NO_LIMITS, "owner"),
        ("", None, Limits(per_minute=0), "per_minute"),
        ("", None, Limits(open_jobs=-1), "open_jobs"),
        ("", None, Limits(daily_jobs=1_000_001), "daily_jobs"),
        ("", None, Limits(models=()), "models"),
        ("", None, Limits(models=("grok", "")), "models"),
    ],
)
def test_terms_that_no_key_can_have_are_named(
    label: str, owner: str | None, limits: Limits, param: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_terms(label, owner, limits)

    assert refused.value.param == param


# Signed links.


def test_a_signature_fits_one_path_one_end_and_one_secret() -> None:
    sig = signature(SECRET, "/videos/a.mp4", 100)

    assert re.fullmatch("[0-9a-f]{32}", sig)
    assert is_signed(SECRET, "/videos/a.mp4", 100, sig)
    assert not is_signed(SECRET, "/videos/b.mp4", 100, sig)
    assert not is_signed(SECRET, "/videos/a.mp4", 101, sig)
    assert not is_signed(OTHER_SECRET, "/videos/a.mp4", 100, sig)
    for wrong in ("", "ä" * 32, sig.upper() if sig.upper() != sig else "", sig[:-1], sig + "0"):
        assert not is_signed(SECRET, "/videos/a.mp4", 100, wrong)
    # Neither a key's hash nor a link's signature can stand for the other.
    assert not hash_key(SECRET, "/videos/a.mp4\x00100").startswith(sig)
