"""Grok Broker: turns the Grok tab a person is signed in to into an OpenAI-style API.

A file here is core: it says what a job, a lease, a chunk is. A folder is an edge: how the core meets the world.
The reading order is one prompt's journey:

1. `app.py` joins the parts; 2. `api/openai/` takes the prompt; 3. `jobs.py` says what a job is;
4. `queue.py` admits it and `store/` keeps it; 5. `api/extension/` hands it to a worker under a lease
(`leases.py`); 6. text comes back in `chunks.py`, a film through `media/`; 7. `notifier.py` wakes whoever waits;
8. `retries.py` and `chores.py` deal with a worker that vanished.
"""

__version__ = "0.1.0"
