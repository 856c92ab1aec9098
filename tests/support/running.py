"""Runs a coroutine in a test."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], limit_seconds: float = 30.0) -> T:
    """Its result; a test that hangs fails instead."""

    async def limited() -> T:
        async with asyncio.timeout(limit_seconds):
            return await coroutine

    return asyncio.run(limited())
