"""Takes secrets out of a text. Which rules are tried is what the screen found in it.

So a rule costs nothing where nothing reminds of it, is compiled when it is first needed, and text
with one suspicious word is not searched for ninety others. Each rule takes linear time on any text:
repeats are bounded or possessive, and what has a beginning and an end is found by `bytes.find`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final

from holdfast.privacy import values
from holdfast.privacy.rules import NAMED, RULES, Look, Shape
from holdfast.privacy.screen import FIRST_RULE, PEM, Screen
from holdfast.privacy.screen import NAMED as NAMED_FOUND

PEM_MAX: Final = 20_000  # characters of one key, escapes and line numbers included
PEM_GAP_MAX: Final = 200  # between two long runs of a key whose end is missing
NAME_MAX: Final = 64
JUDGED_CHARS: Final = 128  # of a value: what is random shows soon
PRIVATE_KEY: Final = "private-key"

_PEM_BEGIN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?:-----)?")
_PEM_RUN: Final = re.compile(rb"[A-Za-z0-9+/=]{32,}")
_PEM_LAST: Final = re.compile(
    rb"(?:\r?\n|\\[nr])++(?:[ \t\"'|>:\d-]|\xe2\x86\x92){0,24}+[A-Za-z0-9+/=]{1,76}+"
)
_IN_MARKER: Final = re.compile(rb"\[redacted:[a-z-]*$")
_BEFORE_NAME: Final = re.compile(rb"[\w.-]*$")

_LOOKS: Final[dict[Look, Callable[[bytes], bool]]] = {
    "token": values.is_token,
    "url": values.is_url_password,
    "random": values.is_random,
    "password": values.is_password,
    "basic": values.is_basic,
    "any": lambda _value: True,
}


class Extra:
    """A rule of the user's own; it is searched in text, so it knows letters beyond ASCII."""

    def __init__(self, kind: str, pattern: str) -> None:
        self.kind = kind
        self.pattern = re.compile(pattern)


class Secrets:
    """The rules, with what is exempt from them and what was added to them."""

    def __init__(
        self, screen: Screen, *, builtin: bool, allow: Sequence[str], extra: Sequence[Extra]
    ) -> None:
        self._screen = screen
        self._builtin = builtin
        self._allow = [re.compile(pattern) for pattern in allow]
        self._extra = extra
        self.found: Counter[str] = Counter()

    def scrub(self, text: bytes) -> bytes:
        """The text with a marker for each secret; the very same object when there is none."""
        if self._builtin:
            text = self._scrub(text, self._screen.found(text))
        return self._scrub_extra(text) if self._extra else text

    def value_of(self, name: bytes, value: bytes) -> bytes:
        """What JSON gives a name, judged by that name."""
        kind = values.secret_of(name, value, quoted=True, tight=True)
        return self._marker(kind) if kind and not self._allowed(value) else value

    def _scrub(self, text: bytes, found: set[int]) -> bytes:
        if PEM in found:
            text = self._cut_keys(text)
        for number in sorted(found):
            if number >= FIRST_RULE:
                kind, pattern, look = _rule(number)
                text = pattern.sub(partial(self._judged, kind, look), text)
        return self._scrub_named(text) if NAMED_FOUND in found else text

    def _judged(self, kind: str, look: Look, match: re.Match[bytes]) -> bytes:
        value = match["value"]
        if not _LOOKS[look](value[:JUDGED_CHARS]) or self._allowed(value):
            return match[0]
        start, end = match.span("value")
        return (
            match[0][: start - match.start()] + self._marker(kind) + match[0][end - match.start() :]
        )

    def _scrub_named(self, text: bytes) -> bytes:
        """Assignments; behind one that is none, the search goes on in what would be its value."""
        lower = text.lower()
        kept: list[bytes] = []
        done = position = 0
        while (match := NAMED.search(lower, position)) is not None:
            start, end = match.span("value")
            position = start
            before = text[max(0, match.start() - NAME_MAX) : match.start()]
            if _IN_MARKER.search(before):
                continue
            lead = _BEFORE_NAME.search(before)
            name = (lead[0] if lead else b"") + text[match.start() : match.start("gap")]
            opened = text[match.start("open") : match.end("open")]
            value = text[start:end].rstrip(b")]}>.:")
            quoted = opened[-1:] in (b'"', b"'", b"`")
            kind = values.secret_of(name, value[:JUDGED_CHARS], quoted=quoted, tight=not opened)
            if kind and not self._allowed(value):
                kept += (text[done:start], self._marker(kind))
                done = position = start + len(value)
        return b"".join((*kept, text[done:])) if kept else text

    def _cut_keys(self, text: bytes) -> bytes:
        kept: list[bytes] = []
        done = 0
        end_at = -2  # where the next end of a key stands; -1: there is none any more
        for begin in _PEM_BEGIN.finditer(text):
            if begin.start() < done:
                continue
            if -2 <= end_at < begin.end() and end_at != -1:
                end_at = text.find(b"-----END", begin.end())
            if end_at >= 0 and end_at - begin.end() <= PEM_MAX:
                line = text.find(b"-----", end_at + len(b"-----END"))
                near = 0 <= line - end_at <= NAME_MAX
                end = line + len(b"-----") if near else end_at + len(b"-----END")
            else:
                end = _end_of_torn_key(text, begin.end())
            if end == begin.end():  # the line alone, as in a rule that looks for keys
                continue
            kept += (text[done : begin.start()], self._marker(PRIVATE_KEY))
            done = end
        return b"".join((*kept, text[done:])) if kept else text

    def _scrub_extra(self, text: bytes) -> bytes:
        decoded = cleaned = text.decode("utf-8", "surrogateescape")
        for extra in self._extra:
            cleaned = extra.pattern.sub(partial(self._own, extra.kind), cleaned)
        return text if cleaned == decoded else cleaned.encode("utf-8", "surrogateescape")

    def _own(self, kind: str, match: re.Match[str]) -> str:
        value = match[0]
        if not value or self._allowed(value.encode("utf-8", "surrogateescape")):
            return value
        return self._marker(kind).decode()

    def _allowed(self, value: bytes) -> bool:
        if not self._allow:
            return False
        text = value.decode("utf-8", "replace")
        return any(pattern.fullmatch(text) for pattern in self._allow)

    def _marker(self, kind: str) -> bytes:
        self.found[kind] += 1
        return f"[redacted:{kind}]".encode()


@cache
def _rule(number: int) -> tuple[str, re.Pattern[bytes], Look]:
    rule = RULES[number - FIRST_RULE]
    look = rule.look if isinstance(rule, Shape) else "token"
    return rule.kind, re.compile(rule.pattern.encode()), look


def _end_of_torn_key(text: bytes, begin: int) -> int:
    """Behind the last long run of a key whose end is missing, and the short one that follows."""
    end = begin
    while end - begin < PEM_MAX:
        near = _PEM_RUN.search(text, end, end + PEM_GAP_MAX)
        if near is None:
            break
        run = _PEM_RUN.match(text, near.start())
        assert run is not None  # what began within reach goes on behind it
        end = run.end()
    if end == begin:
        return begin
    last = _PEM_LAST.match(text, end)
    return last.end() if last else end
