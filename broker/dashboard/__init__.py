"""The page an operator sees: static files, served as they lie here, without a build step.

Nothing but files. They use the admin door like anybody; who serves them, and under which policy, is the admin door's.
"""

from pathlib import Path

#: The folder with `index.html` and everything it loads.
STATIC = Path(__file__).parent / "static"
