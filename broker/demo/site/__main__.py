"""`python -m broker.demo.site`: runs the stand-in site until Ctrl-C, and says how to look at it."""

import argparse
import shlex
import threading
from contextlib import suppress
from typing import get_args

from broker.demo.site.stand_in import StandIn
from broker.demo.site.switches import Generation, Switches, Transport


def main() -> None:
    wanted = _arguments()
    switches = Switches(generation=wanted.generation, chat_transport=wanted.chat_transport)
    switches.step_seconds = wanted.step_seconds
    switches.signed_in, switches.feed = not wanted.signed_out, wanted.feed
    with StandIn(switches, port=wanted.port) as site, suppress(KeyboardInterrupt):
        flags = " ".join(shlex.quote(flag) for flag in site.chromium_flags)
        print(
            f"The stand-in site stands at {site.url}, for a Chromium that is started like this:\n"
        )
        print(f"chromium --user-data-dir=$(mktemp -d) {flags} {site.url}\n", flush=True)
        print("Ctrl-C ends it.", flush=True)
        threading.Event().wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m broker.demo.site", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--generation", choices=get_args(Generation), default="autumn")
    parser.add_argument("--chat-transport", choices=get_args(Transport), default="stream")
    parser.add_argument(
        "--step-seconds", type=float, default=0.3, help="between two signs of progress"
    )
    parser.add_argument("--signed-out", action="store_true", help="begin as a stranger")
    parser.add_argument("--feed", action="store_true", help="show other people's posts as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
