"""Reads the command line and calls the command."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from broker.cli.backup import make_backup
from broker.cli.doctor import examine
from broker.cli.pack_extension import pack_extension
from broker.cli.restore import restore
from broker.cli.serve import serve
from broker.cli.webhook_secret import tell_secret


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    if given.command == "backup":
        return make_backup(given.file)
    if given.command == "restore":
        return restore(given.file, is_dry=given.dry_run)
    if given.command == "pack-extension":
        return pack_extension(given.file)
    deeds = {"serve": serve, "doctor": examine, "webhook-secret": tell_secret}
    return deeds[given.command]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m broker", description="Grok Broker")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the broker (the same as python server.py)")
    commands.add_parser(
        "doctor", help="check what keeps a broker from starting or jobs from being done"
    )
    commands.add_parser(
        "webhook-secret", help="print the secret by which receivers verify webhooks"
    )
    copying = commands.add_parser("backup", help="copy the database, also while the broker runs")
    copying.add_argument(
        "file", type=Path, nargs="?", help="by default a dated file in BACKUP_PATH"
    )
    restoring = commands.add_parser("restore", help="put a copy in the place of the database")
    restoring.add_argument(
        "file", type=Path, nargs="?", help="by default the newest good copy in BACKUP_PATH"
    )
    restoring.add_argument(
        "--dry-run",
        action="store_true",
        help="check the copy, say what would be different, change nothing",
    )
    packing = commands.add_parser(
        "pack-extension", help="pack the extension into a zip that is the same for everybody"
    )
    packing.add_argument("file", type=Path, nargs="?")
    return parser
