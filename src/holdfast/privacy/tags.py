r"""`<private>…</private>`: what a person marks is not kept, whatever else is wrong with the marks.

Every doubt is decided for privacy. A tag that is never closed hides the rest of its message; one
whose `>` is missing is one; tags count wherever they stand, in code and between backticks too, for
nobody can tell from a log which of them were meant. Case, attributes and white space do not matter;
`&lt;private&gt;` and the `\u003cprivate\u003e` of JSON inside JSON are the same tag. Names that
only begin so (`<privateKey>`, `<private-note>`) are others.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MARKER: Final = b"[private]"

_SPACE: Final = rb"(?:\s|\\[nrtf])*+"
_TAG: Final = re.compile(
    rb"(?i)(?:<|&lt;|\\u003c)" + _SPACE + rb"(?P<close>(?:\\?/" + _SPACE + rb")?)"
    rb"private(?![\w.:\[-])(?P<rest>(?:(?!&[lg]t;|\\u003[ce])[^<>])*+)(?P<end>(?:>|&gt;|\\u003e)?)"
)


class Cut(NamedTuple):
    text: bytes
    depth: int  # how many tags are still open at its end
    parts: int  # how many were taken out


def cut_private(text: bytes, depth: int = 0) -> Cut:
    """Text without its private parts; `depth` tags are open where it begins."""
    kept: list[bytes] = []
    count = 1 if depth and text else 0
    position = 0  # of what is not decided yet; while a tag is open, nothing from here on is kept
    for tag in _TAG.finditer(text):
        # Of a tag without its `>` only the name is taken: what follows may be anything.
        end = tag.end() if tag["end"] else tag.start("rest")
        if tag["close"]:
            if depth == 1:
                kept.append(MARKER)
            elif depth == 0:  # what it closes is not here: the mark itself must not stay
                kept += (text[position : tag.start()], MARKER)
                count += 1
            depth = max(0, depth - 1)
            position = end if depth == 0 else position
            continue
        if depth == 0:
            kept.append(text[position : tag.start()])
            count += 1
        if tag["rest"].rstrip().endswith(b"/") and tag["end"]:  # empty: it hides nothing
            if depth == 0:
                kept.append(MARKER)
                position = end
            continue
        depth += 1
    if not count:
        return Cut(text, depth, 0)
    kept.append(MARKER if depth else text[position:])
    return Cut(b"".join(kept), depth, count)
