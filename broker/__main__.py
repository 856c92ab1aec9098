"""`python -m broker` is the command line."""

import sys

from broker.cli.main import main

sys.exit(main(sys.argv[1:]))
