"""Reads the command line and calls the command."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from broker.cli import keys, pair
from broker.cli.backup import make_backup
from broker.cli.doctor import examine
from broker.cli.pack_extension import pack_extension
from broker.cli.restore import restore
from broker.cli.serve import serve
from broker.cli.webhook_secret import tell_secret

#: What was asked for → the exit status.
Deed = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    deed: Deed = given.deed
    return deed(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m broker", description="Grok Broker")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, help: str, deed: Deed) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help)
        added.set_defaults(deed=deed)
        return added

    command("serve", "run the broker (the same as python server.py)", lambda _: serve())
    keeps = "check what keeps a broker from starting or jobs from being done"
    command("doctor", keeps, lambda _: examine())
    tells = "print the secret by which receivers verify webhooks"
    command("webhook-secret", tells, lambda _: tell_secret())
    keys.add_commands(command("keys", "make, list and end keys", keys.run))
    pair.add_arguments(command("pair", "let in a worker that shows a code", pair.run))
    copies = "copy the database, also while the broker runs"
    copying = command("backup", copies, lambda given: make_backup(given.file))
    _add_file(copying, "by default a dated file in BACKUP_PATH")
    restores = "put a copy in the place of the database"
    restoring = command(
        "restore", restores, lambda given: restore(given.file, is_dry=given.dry_run)
    )
    _add_file(restoring, "by default the newest good copy in BACKUP_PATH")
    told = "check the copy, say what would be different, change nothing"
    restoring.add_argument("--dry-run", action="store_true", help=told)
    packs = "pack the extension into a zip that is the same for everybody"
    packing = command("pack-extension", packs, lambda given: pack_extension(given.file))
    _add_file(packing, "by default one in this folder, named for its version")
    return parser


def _add_file(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("file", type=Path, nargs="?", help=help)
