"""A stand-in for the Grok site: its addresses, its markup and its traffic, served on this machine.

People try the extension here before they sign in, and the end-to-end tests drive it. Nothing here reaches the real
site, and no model answers.
"""
