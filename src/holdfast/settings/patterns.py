"""Lists whose items are patterns: what is wrong with one, said before anything is read with it."""

from __future__ import annotations

import re
import warnings
from typing import Final

KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_NOT_ANCHORS: Final = re.compile(r"\\[^AZ]|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_ANCHORS: Final = re.compile(r"\^|\$|\\[AZ]")


def fault_of_pattern(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will mean something else in a later Python
            found = re.compile(text)
    except FutureWarning as warning:
        return f"is not clear: {warning}"
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    return "matches nothing at all, which is everywhere" if found.match("") else None


def fault_of_rule(text: str) -> str | None:
    """`kind=pattern`, searched inside text: where that begins and ends differs, so no anchors."""
    kind, equals, pattern = text.partition("=")
    if not equals or not KIND.fullmatch(kind):
        return (
            "is not kind=pattern, with a kind of small letters, digits and '-' (as in "
            "'internal-token=itk_[a-z0-9]{20}')"
        )
    if _ANCHORS.search(_NOT_ANCHORS.sub("", pattern)):
        return "has '^', '$', '\\A' or '\\Z': it is searched inside text, leave them out"
    return fault_of_pattern(pattern)


def fault_of_glob(text: str) -> str | None:
    if text.startswith(("/", "~/", "**")) or text == "~":
        return None
    return "is no whole path: begin it with '/', '~/' or '**'"
