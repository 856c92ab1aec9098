"""Who calls, for FastAPI's routes; the lean ones have it on their `Call`."""

from fastapi import Request

from broker.keys import Caller

#: Where the guard leaves it.
CALLER = "broker.caller"


def caller_of_request(request: Request) -> Caller:
    caller: Caller = request.scope[CALLER]
    return caller
