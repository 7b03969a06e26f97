"""What is said twice, and told once.

Codex writes a prompt as an event and as an item, an answer as both and as an item of its turn, in
an order that depends on its version. Who says what is counted apart: what a source says for the
n-th time is new when no other has said it n times. So it does not matter which comes first, or
whether the others come at all, and what a person really says twice is told twice.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

REMEMBERED_TEXTS: Final = 64
DIGEST_BYTES: Final = 8

Said = dict[bytes, list[int]]  # digest of a text -> how often, by whom


class By(IntEnum):
    """Who may say the same thing."""

    EVENT = 0
    ITEM = 1
    TURN = 2
    END = 3


_SOURCES: Final = len(By)


def is_twin(said: Said, role: str, text: str, by: By) -> bool:
    """Whether another source said it, and this is only its twin. Remembers it in `said`."""
    joined = text.replace("\n", "").strip()  # pieces are joined by newlines, or by nothing
    key = digest(role, joined.encode("utf-8", "replace"))
    counts = said.pop(key, None)
    if counts is None:  # nearly half of all
        counts, told = [0] * _SOURCES, 0
    else:
        told = max(counts)
    counts[by] += 1
    said[key] = counts
    if len(said) > REMEMBERED_TEXTS:
        del said[next(iter(said))]
    return counts[by] <= told


def digest(role: str, content: bytes) -> bytes:
    return hashlib.blake2b(b"%b\0%b" % (role.encode(), content), digest_size=DIGEST_BYTES).digest()
