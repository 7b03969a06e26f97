"""Whether a chunk of raw log can hold anything to clean: the one question asked of each byte.

All anchors of all rules are one automaton of Vectorscan (`hyperscan` on PyPI), which reads 2.7 GB a
second here; one `bytes.find` per anchor, RE2 and Aho-Corasick were slower by four times and more
(docs/decisions/0010-privacy-at-the-door.md has the table). It sees raw bytes, so it must be right
in spite of JSON's escapes: a character that need not be escaped and is, is by itself a reason to
look closer.

Compiling takes 30 ms and 3 MB that a process does not get rid of, loading takes neither. So it is
compiled once per version in a process of its own, kept in a file, and told to children.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.privacy.rules import NAMED_SCREEN, RULES

# `<`, `</`, with what may stand in between; `\u003c` counts as an escape that need not be.
_GAP: Final = r"(?:\s|\\[nrtf]|\\u00[01][0-9a-f]|\\?/)*"
TAG_SCREEN: Final = rf"(?i)(?:<|&lt;|\\u003c){_GAP}private"
ESCAPE_SCREEN: Final = r"\\u00[2-7][0-9a-fA-F]"
PEM_SCREEN: Final = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"

TAGS: Final = 0
ESCAPES: Final = 1
PEM: Final = 2
NAMED: Final = 3
FIRST_RULE: Final = 4

# What is looked for, each with the number of what it is a sign of.
SCREENS: Final = (
    (TAGS, TAG_SCREEN),
    (ESCAPES, ESCAPE_SCREEN),
    (PEM, PEM_SCREEN),
    (NAMED, NAMED_SCREEN),
    *((number, screen) for number, rule in enumerate(RULES, FIRST_RULE) for screen in rule.screens),
)

_FILE: Final = re.compile(r"privacy-[0-9a-f]+\.screen")
_COMPILE: Final = (
    "import sys; from holdfast.privacy.screen import compiled; sys.stdout.buffer.write(compiled())"
)


class ScreenFailed(HoldfastError):
    """Without its screen nothing may be read: what is private would go by unseen."""

    exit: ClassVar[Exit] = Exit.FAILURE


class Screen:
    """The compiled screens and their working memory: use it from one thread at a time."""

    def __init__(self, content: bytes) -> None:
        import hyperscan

        self._database = hyperscan.loadb(content, mode=hyperscan.HS_MODE_BLOCK)
        self._database.scratch = hyperscan.Scratch(self._database)
        self._found: set[int] = set()

    def suspects(self, chunk: bytes) -> bool:
        self._found.clear()
        self._database.scan(chunk, match_event_handler=self._each)
        return bool(self._found)

    def found(self, text: bytes) -> set[int]:
        """What a text has signs of."""
        self._found.clear()
        self._database.scan(text, match_event_handler=self._each)
        return {SCREENS[place][0] for place in self._found}

    def _each(self, place: int, *_where: object) -> None:
        self._found.add(place)


def compiled() -> bytes:
    """All screens as one automaton, for this machine's processor."""
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[screen.encode() for _number, screen in SCREENS],
        ids=list(range(len(SCREENS))),
        elements=len(SCREENS),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(SCREENS),
    )
    content: bytes = hyperscan.dumpb(database)
    return content


def kept_screen(folder: str, compile_screen: Callable[[], bytes]) -> bytes:
    """The compiled screens from their file, which is made anew when it is not of this version.

    A process that ends soon compiles by itself, which is faster than `compiled_apart`.
    """
    path = os.path.join(folder, f"privacy-{_version()}.screen")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return _keep(path, compile_screen())
    return content if _is_sound(content) else _keep(path, compile_screen())


def compiled_apart() -> bytes:
    """Compiled by a process that ends with it, and gives back the memory that it took."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-I", "-c", _COMPILE], capture_output=True, check=False, timeout=60
    )
    if done.returncode or not _is_sound(done.stdout):
        why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ScreenFailed(
            f"the screen for private parts and secrets could not be made ({why}): nothing is read "
            "without it; install holdfast again, or report this"
        )
    return done.stdout


def _version() -> str:
    """Changes with the screens; whether library and processor still fit, loading finds out."""
    hasher = hashlib.blake2b(digest_size=8)
    for part in (os.uname().machine, *(screen for _number, screen in SCREENS)):
        hasher.update(part.encode() + b"\0")
    return hasher.hexdigest()


def _is_sound(content: bytes) -> bool:
    import hyperscan

    try:
        Screen(content)
    except (hyperscan.error, ValueError):
        return False
    return True


def _keep(path: str, content: bytes) -> bytes:
    """Write the file whole or not at all; without it the next process compiles again."""
    import tempfile

    with suppress(OSError):
        descriptor, partial = tempfile.mkstemp(prefix=".privacy-", dir=os.path.dirname(path))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(partial, path)
            for name in os.listdir(os.path.dirname(path)):
                if _FILE.fullmatch(name) and name != os.path.basename(path):  # of another version
                    os.unlink(os.path.join(os.path.dirname(path), name))
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(partial)
            raise
    return content
