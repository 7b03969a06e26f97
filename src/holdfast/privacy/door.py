"""The door: every raw line of every log goes through it before anything else sees it.

Behind it stands everything that could keep a line - events, titles, raw records, payloads, the
index, logs - so all of them are clean without knowing of it. The common case is a line without
anything: `suspects` asks that of a whole chunk at once, and such a line comes out as the very same
object. Cleaning follows from the line and the settings alone: a log that is read again gives the
same events again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from holdfast.privacy.records import clean_event, clean_record, spoken, unescaped
from holdfast.privacy.rules import NAME
from holdfast.privacy.screen import TAGS, Screen, compiled_apart
from holdfast.privacy.secrets import Extra, Secrets
from holdfast.privacy.tags import cut_private
from holdfast.settings import Privacy
from holdfast.sources.mending import is_json, mended, pieces

PRIVATE: Final = "private"
OVERLAP_BYTES: Final = 65_536  # of a streamed line: what may belong to what comes next


class Door:
    """Takes private parts and secrets out of what comes in. Use it from one thread at a time."""

    def __init__(
        self,
        screen: bytes,
        *,
        private_tags: bool = True,
        secrets: bool = True,
        allow: Sequence[str] = (),
        extra: Sequence[Extra] = (),
    ) -> None:
        self._screen = Screen(screen)
        self._tags = private_tags
        self._extra = tuple(extra)
        self._acts = private_tags or secrets
        self._named = secrets
        self._secrets = Secrets(self._screen, builtin=secrets, allow=allow, extra=extra)
        self._private = 0

    @classmethod
    def from_settings(cls, privacy: Privacy, screen: bytes = b"") -> Door:
        """`screen` as `kept_screen` gives it; without it the screens are compiled anew."""
        return cls(
            screen or compiled_apart(),
            private_tags=privacy.private_tags,
            secrets=privacy.secrets,
            allow=privacy.allow,
            extra=[Extra(*each.split("=", 1)) for each in privacy.extra],
        )

    def take_found(self) -> dict[str, int]:
        """How much was replaced since the last call, by kind."""
        if not self._private and not self._secrets.found:
            return {}
        found = Counter(self._secrets.found)
        if self._private:
            found[PRIVATE] = self._private
        self._secrets.found.clear()
        self._private = 0
        return dict(found)

    def suspects(self, chunk: bytes) -> bool:
        """Whether any line of a chunk needs a closer look; False means that each is clean."""
        if self._acts and self._screen.suspects(chunk):
            return True
        if not self._extra:
            return False
        text = spoken(chunk)
        return any(extra.pattern.search(text) for extra in self._extra)

    def clean(self, line: bytes) -> bytes:
        """A line as it may be kept; the very same object when nothing was found in it."""
        if not self.suspects(line):
            return line
        if is_json(line):
            return self._clean_json(line)
        found = pieces(line, rescue=True)
        cleaned = [
            self._clean_json(piece) if is_json(piece) else self._clean_raw(piece, 0)[0]
            for piece in found
        ]
        if all(new is old for new, old in zip(cleaned, found, strict=True)):
            return line
        return b"".join(cleaned)

    def clean_event(self, line: bytes, depth: int) -> tuple[bytes, int]:
        """An event that is stored, and how many tags are open behind it (`records.clean_event`)."""
        if not depth and not self.suspects(line):
            return line, 0
        return clean_event(line, self, depth)

    def clean_text(self, text: str) -> str:
        """The same for text that stands by itself."""
        content = text.encode("utf-8", "replace")
        cleaned = self.cleaned(content, 0)[0]
        return text if cleaned == content else cleaned.decode("utf-8", "replace")

    def clean_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same for a line that is too long to be held: as text, a stretch at a time."""
        rest, depth = b"", 0
        for chunk in chunks:
            held = rest + chunk
            end = _place_to_cut(held)
            clean, depth = self._clean_raw(held[:end], depth)
            rest = held[end:]
            if clean:
                yield clean
        if rest:
            yield self._clean_raw(rest, depth)[0]

    # What the walk through a record asks.

    def names_secret(self, name: bytes) -> bool:
        return self._named and _names_secret(name)

    def value_of(self, name: bytes, value: bytes) -> bytes:
        return self._secrets.value_of(name, value)

    def cleaned(self, text: bytes, depth: int) -> tuple[bytes, int]:
        """Text without private parts and secrets, and how many tags are open at its end."""
        if self._tags and (depth or TAGS in self._screen.found(text)):
            text, depth, count = cut_private(text, depth)
            self._private += count
        return self._secrets.scrub(text), depth

    def _clean_json(self, line: bytes) -> bytes:
        whole = mended(line)  # what is no UTF-8 in it is replaced before anything is compared
        clean = clean_record(whole, self)
        return line if clean is whole else clean

    def _clean_raw(self, content: bytes, depth: int) -> tuple[bytes, int]:
        """What is no JSON, or a stretch of it: as text, whatever its escapes."""
        if not depth and not self.suspects(content):
            return content, 0
        text = unescaped(content)
        clean, depth = self.cleaned(text, depth)
        return (content if clean is text or clean == text else clean), depth


@lru_cache
def _names_secret(name: bytes) -> bool:
    return NAME.search(name) is not None and b"[redacted:" not in name


def cleaned_lines(lines: bytes, door: Door) -> bytes:
    """Lines of JSON, each clean; the very same object when they are."""
    if not door.suspects(lines):
        return lines
    found = lines.split(b"\n")
    cleaned = [door.clean(line) for line in found]
    changed = any(new is not old for new, old in zip(cleaned, found, strict=True))
    return b"\n".join(cleaned) if changed else lines


def _place_to_cut(held: bytes) -> int:
    """Where a stretch may end without ending in the middle of something.

    Keys reach over lines, tags over white space, all else ends with its line or its string.
    """
    latest = len(held) - OVERLAP_BYTES
    if latest <= 0:
        return 0
    place = max(held.rfind(b"\\n", 0, latest), held.rfind(b'"', 0, latest))
    place = place if place > latest // 2 else held.rfind(b" ", 0, latest)
    place = place if place > 0 else latest
    for begin, end in ((b"-----BEGIN", b"-----END"), (b"<", b">")):
        open_at = held.rfind(begin, max(0, place - OVERLAP_BYTES), place)
        if open_at > 0 and held.find(end, open_at, place) < 0:
            place = min(place, open_at)
    return place
