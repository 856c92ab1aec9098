"""Streamed text: numbered pieces of one attempt's answer. Repeats are dropped, gaps refused.

Decides what may be appended. Knows nothing of where chunks are kept or who reads them.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from broker.errors import ChunkGap


class ChunkKind(StrEnum):
    TEXT = "text"
    REASONING = "reasoning"


class Chunk(NamedTuple):
    """One piece. `seq` counts from 0 within an attempt, over both kinds together."""

    seq: int
    kind: ChunkKind
    delta: str


def fresh(chunks: Iterable[Chunk], next_seq: int) -> tuple[Chunk, ...]:
    """Those of `chunks` that are new when `next_seq` is expected. Raises `ChunkGap` where one is missing."""
    new: list[Chunk] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.seq):
        if chunk.seq > next_seq:
            raise ChunkGap(next_seq)
        if chunk.seq == next_seq:
            new.append(chunk)
            next_seq += 1
    return tuple(new)


def joined(chunks: Sequence[Chunk], kind: ChunkKind) -> str:
    """The text of one kind, whole."""
    return "".join(chunk.delta for chunk in chunks if chunk.kind == kind)
