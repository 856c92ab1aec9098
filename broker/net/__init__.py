"""Requests to the outside that cannot be led into this machine or its network. Knows no images, webhooks or jobs.

`guarded.py` sends a request to an address that was checked, `names.py` asks the system for addresses.
"""
