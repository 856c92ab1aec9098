"""Settings: read once from the environment, checked, frozen. Every one has a line in `docs/operating.md`."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from broker import values
from broker.addresses import is_private, tidy_url
from broker.errors import BadSetting
from broker.jobs import JobKind
from broker.leases import Timers

#: Lies beside the code, wherever the broker is started.
SHIPPED_PACK = Path(__file__).resolve().parents[1] / "extension" / "sites" / "grok.json"


def _setting(
    default: Any, read: Callable[[str], Any], right: str, *, is_secret: bool = False
) -> Any:
    """A field with its default, how its variable is read, and what a right value looks like."""
    metadata = {"read": read, "right": right, "is_secret": is_secret}
    return field(default=default, repr=not is_secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is set by the environment variable of the same name in capitals."""

    server_host: str = _setting("127.0.0.1", values.text, "an address or name of this machine")
    server_port: int = _setting(8000, values.port, "a port from 0 to 65535")
    #: Where clients reach the broker, for links to films; None: the address each client called.
    public_base_url: str | None = _setting(
        None, values.base_url, "a URL such as http://broker.lan:8000"
    )
    #: Further names under which the broker may be called, beside those of the loopback interface.
    allowed_hosts: tuple[str, ...] = _setting((), values.names, "names, separated by commas")
    #: Web pages and extensions that may call: exact origins.
    allowed_origins: tuple[str, ...] = _setting(
        (), values.origins, "origins such as https://app.example"
    )
    dangerously_allow_open_network: bool = _setting(False, values.switch, "1 or 0")

    #: Whether a key is asked for: `auto` asks once there is a key, or more than this machine can connect.
    auth: values.Auth = _setting(values.Auth.AUTO, values.auth, "auto or required")
    #: Keys of the operator's own, for containers: each at least 24 characters long.
    client_keys: tuple[str, ...] = _setting(
        (), values.keys, "keys of at least 24 plain characters, separated by commas", is_secret=True
    )
    worker_keys: tuple[str, ...] = _setting(
        (), values.keys, "keys of at least 24 plain characters, separated by commas", is_secret=True
    )
    admin_keys: tuple[str, ...] = _setting(
        (), values.keys, "keys of at least 24 plain characters, separated by commas", is_secret=True
    )
    #: How long a link to a film or image can be opened without a key, where keys are asked for.
    link_hours: float = _setting(24.0, values.seconds, "hours, more than 0")

    video_storage_path: Path = _setting(Path("videos"), values.path, "a folder")
    log_path: Path = _setting(Path("logs"), values.path, "a folder")
    db_path: Path = _setting(Path("jobs.db"), values.path, "a file")
    backup_path: Path = _setting(Path("backups"), values.path, "a folder")

    max_video_age_days: float = _setting(7.0, values.amount, "days; 0 keeps for ever")
    max_video_storage_gib: float = _setting(20.0, values.amount, "GiB; 0 for no cap")
    max_job_age_days: float = _setting(90.0, values.seconds, "days, more than 0")
    max_upload_mib: float = _setting(512.0, values.seconds, "MiB, more than 0")
    min_free_disk_mib: float = _setting(2048.0, values.amount, "MiB; 0 switches the check off")
    keep_backups: int = _setting(7, values.count, "a whole number, 1 or more")

    job_timeout_seconds: float = _setting(300.0, values.seconds, "seconds, more than 0")
    chat_job_timeout_seconds: float = _setting(60.0, values.seconds, "seconds, more than 0")
    chat_completion_wait_seconds: float = _setting(60.0, values.seconds, "seconds, more than 0")
    image_wait_seconds: float = _setting(240.0, values.seconds, "seconds, more than 0")
    #: After this long a waiting client is promised an answer, because some give up on silence.
    silent_wait_seconds: float = _setting(240.0, values.seconds, "seconds, more than 0")
    video_lease_seconds: float = _setting(150.0, values.seconds, "seconds, more than 0")
    image_lease_seconds: float = _setting(150.0, values.seconds, "seconds, more than 0")
    chat_lease_seconds: float = _setting(90.0, values.seconds, "seconds, more than 0")
    video_run_cap_seconds: float = _setting(900.0, values.seconds, "seconds, more than 0")
    image_run_cap_seconds: float = _setting(900.0, values.seconds, "seconds, more than 0")
    chat_run_cap_seconds: float = _setting(600.0, values.seconds, "seconds, more than 0")
    video_queue_seconds: float = _setting(86_400.0, values.seconds, "seconds, more than 0")
    first_beat_seconds: float = _setting(10.0, values.seconds, "seconds, more than 0")
    beat_seconds: float = _setting(20.0, values.seconds, "seconds, more than 0")
    poll_wait_seconds: float = _setting(20.0, values.seconds, "seconds, 25 at most")
    sweep_seconds: float = _setting(1.0, values.seconds, "seconds, more than 0")
    prune_seconds: float = _setting(600.0, values.seconds, "seconds, more than 0")
    receive_header_seconds: float = _setting(10.0, values.seconds, "seconds, more than 0")
    receive_stall_seconds: float = _setting(30.0, values.seconds, "seconds, more than 0")
    max_parked_polls: int = _setting(10_000, values.count, "a whole number, 1 or more")
    shutdown_seconds: float = _setting(20.0, values.seconds, "seconds, more than 0")

    log_payloads: values.PayloadLog = _setting(
        values.PayloadLog.SHORT, values.payloads, "none, short or full"
    )
    keep_logs_days: float = _setting(7.0, values.seconds, "days, more than 0")
    image_fetch: bool = _setting(False, values.switch, "1 or 0")
    #: Who is told of the end of every job whose request names nobody.
    webhook_url: str | None = _setting(None, tidy_url, "an http(s) URL without credentials")
    #: What webhooks are signed with; None: one that is made once and kept beside the database.
    webhook_secret: str | None = _setting(
        None, values.secret, "whsec_ and 24 to 64 bytes in base64", is_secret=True
    )
    webhook_allow_private: bool = _setting(False, values.switch, "1 or 0")
    #: The page pack that workers fetch; None: the one that ships with the extension.
    pack_file: Path | None = _setting(None, values.path, "a file")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises `BadSetting`, naming the variable, its value and what would be right."""
        given = {
            entry.name: _read(entry.name.upper(), environ[entry.name.upper()], entry.metadata)
            for entry in fields(cls)
            if environ.get(entry.name.upper(), "") != ""
        }
        settings = cls(**given)
        settings.check()
        return settings

    def check(self) -> None:
        """Raises `BadSetting` where settings do not fit together."""
        if self.poll_wait_seconds > 25:
            raise BadSetting(
                "POLL_WAIT_SECONDS: 25 at most; Chrome ends a worker that waits for 30."
            )
        for name in JobKind:
            lease = getattr(self, f"{name}_lease_seconds")
            if lease < 2 * self.beat_seconds:
                raise BadSetting(
                    f"{name.upper()}_LEASE_SECONDS={lease:g} must be at least twice "
                    f"BEAT_SECONDS={self.beat_seconds:g}, or one lost beat loses the job."
                )
        if self.webhook_url and not self.webhook_allow_private and is_private(self.webhook_url):
            raise BadSetting("WEBHOOK_URL is a private address: set WEBHOOK_ALLOW_PRIVATE=1 too.")
        chosen = [*self.client_keys, *self.worker_keys, *self.admin_keys]
        if len(set(chosen)) < len(chosen):
            raise BadSetting("CLIENT_KEYS, WORKER_KEYS, ADMIN_KEYS: one key stands there twice.")

    def check_keys(self, *, has_keys: bool) -> None:
        """Raises `BadSetting` where more than this machine can connect, and nobody would be asked for a key."""
        if not (self.is_loopback or has_keys or self.dangerously_allow_open_network):
            raise BadSetting(
                f"SERVER_HOST={self.server_host} would let everybody on the network use your account, and "
                "no key is in force. Create one (python -m broker keys create --scope admin), use "
                "127.0.0.1, or set DANGEROUSLY_ALLOW_OPEN_NETWORK=1 if you mean it."
            )

    @property
    def requires_key(self) -> bool:
        """Whether a key is asked for even before there is one."""
        is_wide = not self.is_loopback and not self.dangerously_allow_open_network
        return self.auth == values.Auth.REQUIRED or is_wide

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine can connect."""
        if self.server_host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.server_host).is_loopback
        except ValueError:
            return False

    @property
    def own_url(self) -> str:
        """The address that this broker listens at."""
        host = f"[{self.server_host}]" if ":" in self.server_host else self.server_host
        return f"http://{host}:{self.server_port}"

    @property
    def pack_path(self) -> Path:
        return self.pack_file or SHIPPED_PACK

    @property
    def timers(self) -> dict[JobKind, Timers]:
        return {
            JobKind.VIDEO: Timers(
                lease_seconds=self.video_lease_seconds,
                stall_seconds=self.job_timeout_seconds,
                run_cap_seconds=self.video_run_cap_seconds,
                queue_seconds=self.video_queue_seconds,
                first_beat_seconds=self.first_beat_seconds,
            ),
            JobKind.IMAGE: Timers(
                lease_seconds=self.image_lease_seconds,
                stall_seconds=self.job_timeout_seconds,
                run_cap_seconds=self.image_run_cap_seconds,
                queue_seconds=self.image_wait_seconds,
                first_beat_seconds=self.first_beat_seconds,
            ),
            JobKind.CHAT: Timers(
                lease_seconds=self.chat_lease_seconds,
                stall_seconds=self.chat_job_timeout_seconds,
                run_cap_seconds=self.chat_run_cap_seconds,
                queue_seconds=self.chat_completion_wait_seconds,
                first_beat_seconds=self.first_beat_seconds,
            ),
        }


def _read(name: str, value: str, metadata: Mapping[str, Any]) -> Any:
    try:
        return metadata["read"](value)
    except (ValueError, KeyError):
        told = name if metadata["is_secret"] else f"{name}={value!r}"
        raise BadSetting(f"{told} is not {metadata['right']}.") from None
