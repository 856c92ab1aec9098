"""Runs the broker: `python server.py`, or `uvicorn server:app`."""

import sys

from broker.app import Application
from broker.cli.serve import serve

app = Application()

if __name__ == "__main__":
    sys.exit(serve())
