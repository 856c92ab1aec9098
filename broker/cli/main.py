"""Reads the command line and calls the command."""

import argparse
from collections.abc import Callable, Sequence

from broker.cli import keys, pair
from broker.cli.doctor import examine
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
    keys.add_commands(commands.add_parser("keys", help="make, list and end keys"))
    pair.add_arguments(commands.add_parser("pair", help="let in a worker that shows a code"))
    deeds: dict[str, Callable[[], int]] = {
        "serve": serve,
        "doctor": examine,
        "webhook-secret": tell_secret,
    }
    asked = parser.parse_args(arguments)
    if asked.command == "keys":
        return keys.run(asked)
    return pair.run(asked) if asked.command == "pair" else deeds[asked.command]()
