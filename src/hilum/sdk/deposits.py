"""What every Depositor passes on: the file that was announced, and never the whole of another one.

A partner takes a file for whole when its last byte is there. So the last block waits until size and SHA-256 of
everything are known to be right: who stops before it has handed over nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator

from hilum.errors import HilumError
from hilum.sdk.contracts import Deposit

_BESIDE = 1 << 20  # bytes from which hashing is a thread's work: they take the loop a millisecond


class Unlike(HilumError):
    """The content is not what was announced."""


class Broken(Exception):
    """Whoever gives the pieces failed: `error` is theirs, and goes back to them."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclasses.dataclass(slots=True)
class Progress:
    """`whole`: the last block was given out. Before that the partner cannot have taken the file."""

    whole: bool = False


async def blocks(
    deposit: Deposit, pieces: AsyncIterator[bytes], size: int, progress: Progress | None = None
) -> AsyncGenerator[bytes, None]:
    """The content in blocks of `size` bytes, the last one smaller; none of a file without content.

    Holds two blocks and a piece at most. Raises Unlike (before the last block) and Broken. Close it where it was begun
    (contextlib.aclosing).
    """
    digest, seen, held = hashlib.sha256(), 0, bytearray()
    while True:
        try:
            piece = await anext(pieces, None)
        except Exception as error:  # the content is our own; whatever breaks it is no word of the partner
            raise Broken(error) from error
        if piece is None:
            break
        seen += len(piece)
        if seen > deposit.size:
            raise Unlike(f"the content has more than the {deposit.size} bytes that were announced")
        if len(piece) < _BESIDE:
            digest.update(piece)
        else:
            await asyncio.to_thread(digest.update, piece)
        held += piece
        while len(held) > size:
            with memoryview(held) as view:  # a slice of the array itself would be copied twice
                block = bytes(view[:size])
            del held[:size]
            yield block
    if seen < deposit.size:
        raise Unlike(f"the content has {seen} bytes, {deposit.size} were announced")
    if digest.digest() != deposit.sha256:
        raise Unlike("the content has another SHA-256 than was announced")
    if progress is not None:
        progress.whole = True
    if held:
        yield bytes(held)


def unfinished(deposit_id: str, end: str) -> str:
    """A hidden name for a file that is not whole yet, another one at every try.

    Another one, because a partner may carry out late what a broken connection asked: a name that is used again would
    let it take one try's half for the other's whole. What they begin with is the deposit's own (`begun`).
    """
    return f"{begun(deposit_id)}{secrets.token_hex(4)}{end}"


def begun(deposit_id: str) -> str:
    """What the names of a deposit's unfinished files begin with."""
    return f".{hashlib.sha256(deposit_id.encode()).hexdigest()[:16]}-"
