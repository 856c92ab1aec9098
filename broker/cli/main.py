"""Reads the command line and calls the command."""

import argparse
from collections.abc import Callable, Sequence

from broker.cli.doctor import examine
from broker.cli.keys import add_commands, run
from broker.cli.serve import serve
from broker.cli.webhook_secret import tell_secret


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m broker", description="Grok Broker")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the broker (the same as python server.py)")
    commands.add_parser(
        "doctor", help="check what keeps a broker from starting or jobs from being done"
    )
    commands.add_parser(
        "webhook-secret", help="print the secret by which receivers verify webhooks"
    )
    add_commands(commands.add_parser("keys", help="make, list and end keys"))
    deeds: dict[str, Callable[[], int]] = {
        "serve": serve,
        "doctor": examine,
        "webhook-secret": tell_secret,
    }
    asked = parser.parse_args(arguments)
    return run(asked) if asked.command == "keys" else deeds[asked.command]()
