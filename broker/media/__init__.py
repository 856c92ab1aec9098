"""Where films, pictures and input images live: the disk now, object storage later. Knows no jobs, queues or HTTP.

Start at `disk.py`, which keeps the promises of `broker.media_ports.MediaStore`. `gate.py` says what an acceptable
film is, `pictures.py` what acceptable pictures are, `images.py` what an acceptable input image is, `variants.py` keeps
the stills of films, and `fetch.py` brings an image from the web past an address guard.
"""
