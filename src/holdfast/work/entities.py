"""What tasks, checkpoints and intents share: ids, how they are found, how a change is written."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.events import EMPTY
from holdfast.journal.streams import NewEvent

TEXT_CHARS_MAX: Final = 20_000  # of a title, a question, a comment, a result
NAME_CHARS_MAX: Final = 200  # of who did it, of a session, of a key
LISTED_MAX: Final = 5  # names in a message
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # as ids of sessions
_ID_CHARS: Final = 8
_KEYED_ID_CHARS: Final = 12  # two keys must never give the same


class NotThere(HoldfastError):
    """Nothing has that id."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class Ambiguous(HoldfastError):
    """The beginning of an id fits several."""

    exit: ClassVar[Exit] = Exit.AMBIGUOUS


class WrongState(HoldfastError):
    """It is over, or not as far: nothing was changed."""

    exit: ClassVar[Exit] = Exit.CONFLICT


class TooMany(HoldfastError):
    """As many as may be are there already."""

    exit: ClassVar[Exit] = Exit.BUSY


class NotValid(HoldfastError):
    """What is asked for makes no sense by itself."""

    exit: ClassVar[Exit] = Exit.USAGE


def new_id(key: str = "", family: str = "") -> str:
    """A short one; the same one again for the same key of a family."""
    if not key:
        return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))
    digest = hashlib.blake2b(f"{family}\0{key}".encode(), digest_size=_KEYED_ID_CHARS).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)


def matching(name: str, ids: Iterable[str], noun: str, gone: str) -> str:
    """The id that a person typed, or whose beginning; `gone` says where else to look."""
    found = [each for each in ids if each.startswith(name)] if name else []
    if name in found:
        return name
    if len(found) > 1:
        shown = ", ".join(sorted(found)[:LISTED_MAX])
        raise Ambiguous(f"{name!r} fits {len(found)} {noun}s: {shown}; type more of it")
    if not found:
        raise NotThere(f"there is no {noun} {name!r} {gone}")
    return found[0]


def checked(**texts: str) -> None:
    """Nothing that people send is larger than a state may grow by."""
    for name, text in texts.items():
        limit = TEXT_CHARS_MAX if name in _LONG else NAME_CHARS_MAX
        if len(text) > limit:
            raise NotValid(
                f"{name} has {len(text):,} characters, {limit:,} are the most: keep what is longer "
                "in a file and name that"
            )


_LONG: Final = frozenset(
    {"title", "question", "comment", "note", "memo", "result", "error", "reason"}
)


def changed(
    kind: str, entity: str, data: msgspec.Struct, *, text: str = "", by: str = "", key: str = ""
) -> NewEvent:
    """One event each change, under the id of what changed."""
    content = msgspec.json.encode(data)
    return NewEvent(
        kind=kind,
        text=text,
        data=msgspec.Raw(content) if content != b"{}" else EMPTY,
        actor=by,
        key=key,
        correlation=entity,
    )


Decide = Callable[[int], list[NewEvent]]  # given the time in milliseconds since 1970
