"""The demo: a worker that makes real films and answers without any site, so that the broker can be tried at once.

Speaks only the public HTTP doors, as anybody's worker or client would. Knows nothing of the core's inside.
"""
