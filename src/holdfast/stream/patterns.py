"""Which kinds and streams somebody wants: `message.*,task.done`, `orders/*`, `@conversations`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError

PATTERN_CHARS_MAX: Final = 1_000
CONVERSATIONS: Final = "@conversations"  # whatever agents wrote, which no program appended
STREAMS: Final = "@streams"  # whatever programs appended
_GROUPS: Final = {CONVERSATIONS: False, STREAMS: True}


class BadPattern(HoldfastError):
    """A pattern that says nothing."""

    exit: ClassVar[Exit] = Exit.USAGE


class Pattern:
    """Matches any of its parts; `*` stands for any run of characters."""

    __slots__ = ("_matches", "everything", "exact", "groups", "names", "text")

    def __init__(self, text: str) -> None:
        parts = [part.strip() for part in text.split(",")]
        if not all(parts) or len(text) > PATTERN_CHARS_MAX:
            raise BadPattern(
                f"{text!r} is no pattern: write names with commas between them, and `*` for any "
                "run of characters, as in message.*,task.completed"
            )
        self.text = text
        self.groups = {_GROUPS[part] for part in parts if part in _GROUPS}
        names = [part for part in parts if part not in _GROUPS]
        self.everything = "*" in names or len(self.groups) == len(_GROUPS)
        self.names = () if "*" in text or self.groups else tuple(names)  # all that it matches
        one = len(parts) == 1 and "*" not in text and not self.groups
        self.exact = text.strip() if one else ""  # the only name that it matches
        wanted = "|".join(".*".join(map(re.escape, name.split("*"))) for name in names)
        self._matches = re.compile(wanted, re.DOTALL).fullmatch if names else None

    def matches(self, name: str, *, is_stream: bool = True) -> bool:
        if self.everything or is_stream in self.groups:
            return True
        return self._matches is not None and self._matches(name) is not None


@lru_cache(maxsize=64)
def pattern(text: str) -> Pattern:
    return Pattern(text or "*")
