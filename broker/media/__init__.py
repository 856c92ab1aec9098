"""Where films and images live: the disk now, object storage later. Knows nothing of jobs, queues or HTTP routes.

Start at `disk.py`, which keeps the promises of `broker.ports.MediaStore`. `gate.py` says what an acceptable film
is, `images.py` what an acceptable image is, and `fetch.py` brings an image from the web past an address guard.
"""
