"""What the doors are given: the core and the settings, by one name each."""

from typing import NamedTuple

from broker.api.links import Links
from broker.config import Settings
from broker.keyring import KeyRing
from broker.log import ProgramLog, RequestLog
from broker.media_ports import ImageReader, MediaStore
from broker.notifier import Notifier
from broker.pairing_desk import PairingDesk
from broker.ports import Clock, Store
from broker.queue import JobQueue
from broker.webhooks import Outbox
from broker.workers import Roster


class Deps(NamedTuple):
    queue: JobQueue
    store: Store
    media: MediaStore
    images: ImageReader
    notifier: Notifier
    roster: Roster
    settings: Settings
    clock: Clock
    log: ProgramLog
    request_log: RequestLog
    outbox: Outbox
    ring: KeyRing
    links: Links
    pairing: PairingDesk
