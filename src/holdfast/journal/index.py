"""What of an event can be found by words, and how text becomes words.

Only conversation is indexed: what people and agents said and thought, what they asked of tools, and
titles; and the texts of streams. Tool output is not: it is most of the bytes and little of what
people look for.

The index splits text at spaces and punctuation, which leaves Chinese, Japanese and Korean text as
one long word. So each such character is made a word of its own, here for texts and in words.py for
queries, where neighbours then become a phrase. Trigrams were rejected: three times the size, and
two-character words, the most common kind, are not found.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from holdfast.events import KINDS, Event, Kind
from holdfast.journal.model import Text

COLUMNS: Final = ("user", "assistant", "thinking", "tool", "system")
SYSTEM: Final = COLUMNS.index("system")
MAX_TEXT_CHARS: Final = 32_768

COLUMN_OF_KIND: Final = {
    Kind.USER: 0,
    Kind.ASSISTANT: 1,
    Kind.THINKING: 2,
    Kind.TOOL_CALL: 3,
    Kind.DECISION_PROPOSED: 1,
    Kind.DECISION_ACCEPTED: 0,
    Kind.SESSION_TITLED: 4,
    Kind.SESSION_SUMMARIZED: 4,
}

_CJK_RANGES: Final = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003134f"
)


@cache
def _cjk() -> re.Pattern[str]:
    """Before and behind each such character: replacing nothing by a constant is what is fast."""
    return re.compile(f"(?=[{_CJK_RANGES}])|(?<=[{_CJK_RANGES}])")


@cache
def _one_cjk() -> re.Pattern[str]:
    return re.compile(f"[{_CJK_RANGES}]")


def is_cjk(char: str) -> bool:
    """Whether a character is a word of its own."""
    return not char.isascii() and _one_cjk().match(char) is not None


def spread(text: str) -> str:
    """Text in which each CJK character stands alone."""
    if text.isascii() or _one_cjk().search(text) is None:  # a sixth of what replacing none costs
        return text
    return _cjk().sub(" ", text)


def text_of(event: Event) -> Text | None:
    """What the index gets of an event, if anything."""
    column = COLUMN_OF_KIND.get(event.kind)
    if column is None and event.kind not in KINDS:  # only streams have kinds of their own
        column = SYSTEM
    if column is None or (not event.text and event.supersedes is None):
        return None
    return Text(event.seq, column, spread(event.text[:MAX_TEXT_CHARS]).encode(), event.supersedes)
