"""Settings: read once, frozen, and a bad value named together with what would be right."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from broker.config import Settings
from broker.errors import BadSetting
from broker.jobs import JobKind
from broker.values import Auth, PayloadLog

#: The seed's names and defaults, but for the address: ours is reachable from this machine only.
SEED = {
    "SERVER_HOST": ("server_host", "127.0.0.1"),
    "SERVER_PORT": ("server_port", 8000),
    "VIDEO_STORAGE_PATH": ("video_storage_path", Path("videos")),
    "LOG_PATH": ("log_path", Path("logs")),
    "DB_PATH": ("db_path", Path("jobs.db")),
    "MAX_VIDEO_AGE_DAYS": ("max_video_age_days", 7),
    "JOB_TIMEOUT_SECONDS": ("job_timeout_seconds", 300),
    "CHAT_JOB_TIMEOUT_SECONDS": ("chat_job_timeout_seconds", 60),
    "CHAT_COMPLETION_WAIT_SECONDS": ("chat_completion_wait_seconds", 60),
}


def settings(**environ: str) -> Settings:
    return Settings.from_env(environ)


@pytest.mark.parametrize("variable", SEED)
def test_the_seeds_variables_keep_their_names_and_defaults(variable: str) -> None:
    name, default = SEED[variable]

    assert getattr(settings(), name) == default


def test_every_field_is_set_by_the_variable_of_its_name() -> None:
    given = settings(
        SERVER_PORT="9000",
        VIDEO_STORAGE_PATH="/data/films",
        MAX_VIDEO_AGE_DAYS="0",
        LOG_PAYLOADS="none",
        IMAGE_FETCH="yes",
        PUBLIC_BASE_URL="https://broker.example/base/",
        ALLOWED_HOSTS="Broker.LAN, desk ,",
        ALLOWED_ORIGINS="https://app.example,chrome-extension://abc",
    )

    assert given.server_port == 9000
    assert given.video_storage_path == Path("/data/films")
    assert given.max_video_age_days == 0
    assert given.log_payloads == PayloadLog.NONE
    assert given.image_fetch is True
    assert given.public_base_url == "https://broker.example/base"
    assert given.allowed_hosts == ("broker.lan", "desk")
    assert given.allowed_origins == ("https://app.example", "chrome-extension://abc")


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert settings(SERVER_PORT="", DB_PATH="") == settings()


def test_other_peoples_variables_are_left_alone() -> None:
    assert settings(PATH="/bin", server_port="1") == settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(settings(), "server_port", 1)  # noqa: B010 - that it cannot is the claim


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVER_PORT", "eighty"),
        ("AUTH", "off"),
        ("LINK_HOURS", "0"),
        ("SERVER_PORT", "-1"),
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "80.5"),
        ("JOB_TIMEOUT_SECONDS", "0"),
        ("JOB_TIMEOUT_SECONDS", "-5"),
        ("JOB_TIMEOUT_SECONDS", "nan"),
        ("JOB_TIMEOUT_SECONDS", "inf"),
        ("JOB_TIMEOUT_SECONDS", "five"),
        ("MAX_VIDEO_AGE_DAYS", "-1"),
        ("MAX_VIDEO_AGE_DAYS", "nan"),
        ("KEEP_BACKUPS", "0"),
        ("MAX_PARKED_POLLS", "1.5"),
        ("LOG_PAYLOADS", "some"),
        ("IMAGE_FETCH", "maybe"),
        ("DANGEROUSLY_ALLOW_OPEN_NETWORK", "2"),
        ("PUBLIC_BASE_URL", "broker.example"),
        ("PUBLIC_BASE_URL", "ftp://broker.example"),
        ("PUBLIC_BASE_URL", "http://broker.example/?x=1"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "app.example"),
        ("ALLOWED_ORIGINS", "https://app.example/"),
        ("ALLOWED_ORIGINS", "https://app.example/path"),
        ("ALLOWED_ORIGINS", "https://["),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(variable: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({variable: value})

    told = refused.value.message
    assert told.startswith(f"{variable}={value!r} is not ")
    assert len(told) > len(f"{variable}={value!r} is not ") + 5


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"POLL_WAIT_SECONDS": "26"}, "POLL_WAIT_SECONDS"),
        ({"VIDEO_LEASE_SECONDS": "39"}, "VIDEO_LEASE_SECONDS"),
        ({"CHAT_LEASE_SECONDS": "30"}, "CHAT_LEASE_SECONDS"),
        ({"BEAT_SECONDS": "46"}, "CHAT_LEASE_SECONDS"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(environ: dict[str, str], named: str) -> None:
    with pytest.raises(BadSetting, match=named):
        Settings.from_env(environ)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "broker.lan", "10.0.0.1"])
def test_an_address_that_others_reach_is_refused_while_there_is_no_key(host: str) -> None:
    wide = settings(SERVER_HOST=host)
    with pytest.raises(BadSetting, match="SERVER_HOST"):
        wide.check_keys(has_keys=False)
    wide.check_keys(has_keys=True)
    assert wide.requires_key

    opened = settings(SERVER_HOST=host, DANGEROUSLY_ALLOW_OPEN_NETWORK="1")
    opened.check_keys(has_keys=False)
    assert not opened.is_loopback
    assert not opened.requires_key
    assert replace(opened, auth=Auth.REQUIRED).requires_key


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "::1", "127.8.8.8"])
def test_an_address_of_this_machine_needs_no_leave(host: str) -> None:
    given = settings(SERVER_HOST=host)
    given.check_keys(has_keys=False)
    assert given.is_loopback
    assert not given.requires_key
    assert settings(SERVER_HOST=host, AUTH="required").requires_key


KEY = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    "value", ["short", f"{KEY},short", "x" * 23, f"with a space {KEY}", f"ä{KEY}", f"{KEY}\x7f"]
)
def test_a_key_of_ones_own_is_long_and_fits_a_header_and_a_wrong_one_is_not_shown(
    value: str,
) -> None:
    with pytest.raises(BadSetting) as refused:
        settings(CLIENT_KEYS=value)

    assert "CLIENT_KEYS is not keys of at least 24 plain characters" in refused.value.message
    assert value not in refused.value.message
    assert KEY not in refused.value.message


def test_keys_of_ones_own_are_in_no_picture_of_the_settings() -> None:
    given = settings(CLIENT_KEYS=f"{KEY}1 , {KEY}2,", WORKER_KEYS=f"{KEY}3", ADMIN_KEYS=f"{KEY}4")

    assert given.client_keys == (f"{KEY}1", f"{KEY}2")
    assert KEY not in repr(given)


def test_one_key_cannot_have_two_scopes() -> None:
    with pytest.raises(BadSetting, match="twice") as refused:
        settings(CLIENT_KEYS=KEY, ADMIN_KEYS=KEY)

    assert KEY not in refused.value.message


def test_the_timers_are_those_of_the_design() -> None:
    timers = settings().timers

    video, chat = timers[JobKind.VIDEO], timers[JobKind.CHAT]
    assert (video.lease_seconds, chat.lease_seconds) == (150, 90)
    assert (video.stall_seconds, chat.stall_seconds) == (300, 60)
    assert (video.run_cap_seconds, chat.run_cap_seconds) == (900, 600)
    assert (video.queue_seconds, chat.queue_seconds) == (24 * 3600, 60)
    assert video.first_beat_seconds == chat.first_beat_seconds == 10
    assert settings().beat_seconds == settings().poll_wait_seconds == 20


def test_the_timers_follow_their_variables() -> None:
    given = settings(
        JOB_TIMEOUT_SECONDS="400",
        CHAT_JOB_TIMEOUT_SECONDS="70",
        CHAT_COMPLETION_WAIT_SECONDS="80",
        FIRST_BEAT_SECONDS="5",
    ).timers

    assert given[JobKind.VIDEO].stall_seconds == 400
    assert given[JobKind.CHAT].stall_seconds == 70
    assert given[JobKind.CHAT].queue_seconds == 80
    assert given[JobKind.VIDEO].first_beat_seconds == 5


def test_every_default_could_have_been_given_as_a_variable() -> None:
    plain = {
        field.name.upper(): str(field.default)
        for field in fields(Settings)
        if isinstance(field.default, str | int | float | Path) and field.default is not False
    }

    assert Settings.from_env(plain) == settings()
