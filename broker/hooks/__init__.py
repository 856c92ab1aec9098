"""Sends webhooks: what is due in the outbox, signed, to receivers that may be slow, gone or hostile.

The rules are `broker/webhooks.py`. Start at `sender.py`, the loop; `post.py` makes one try, `secret.py` keeps the key.
"""
