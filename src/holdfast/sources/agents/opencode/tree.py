"""The tree of JSON files that OpenCode kept before it had a database, a file for each part.

    storage/session/<project>/<session>.json
    storage/message/<session>/<message>.json
    storage/part/<message>/<part>.json

A session's log is its file, and what belongs to it is found by names. Parts have a folder for each
message, too many to watch; a message's own file is written whenever one of its steps is done, and
that tells. The events are those of the database that the tree was moved into, name by name.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.sources.agents.opencode.records import Time, loosely, without_ids
from holdfast.sources.agents.opencode.telling import AGENT, Item, Session, SessionAbout, Whose
from holdfast.sources.base import Log, Means, Read, Stamp

_ENDING: Final = ".json"
_SESSION: Final = re.compile(r"storage/session/[^/]+/([^/]+)\.json")
_ITEM: Final = re.compile(r"storage/message/([^/]+)/[^/]+\.json")
_ENTERED: Final = re.compile(r"storage(?:/session(?:/[^/]+)?|/message(?:/[^/]+)?)?")
_MESSAGE_OF_PART: Final = re.compile(rb'"messageID"\s*:\s*"([^"]+)"')
_PREFIX: Final = "ses_"  # some versions have it in the name of the file and not in the folders'
PREVIEW_BYTES: Final = 512
CHUNK_BYTES: Final = 65_536
STEP_BYTES_MAX: Final = 4_096
SESSIONS_MAX: Final = 4_096  # whose files are remembered
LOOSE_YOUNG_NS: Final = 50_000_000  # a folder that was changed just now may change unnoticed
LOOSE_AGAIN_S: Final = 2.0  # until a part that did not name its message is looked at again


class _SessionFile(msgspec.Struct):
    id: str | None = None
    parent_id: str | None = msgspec.field(name="parentID", default=None)
    title: str | None = None
    directory: str | None = None
    version: str | None = None
    time: Time | None = None


class _Identified(msgspec.Struct, gc=False):
    id: str | None = None


class _File(msgspec.Struct, frozen=True, gc=False):
    path: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        return os.path.basename(self.path)[: -len(_ENDING)]


def enters(relative: str) -> bool:
    return _ENTERED.fullmatch(relative) is not None


def log_at(root: str, path: str) -> Log | None:
    found = _SESSION.fullmatch(path[len(root) + 1 :])
    return Log(AGENT, path, root, found[1], in_place=True) if found else None


class Trees:
    """What is remembered of the trees, so that one session costs no look at all the others."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], str] = {}  # root and folder of messages -> session
        self._loose: dict[str, _LooseParts] = {}  # by the folder of the parts

    def session_file(self, root: str, path: str) -> str | None:
        """The file of the session that a file belongs to."""
        relative = path[len(root) + 1 :]
        if _SESSION.fullmatch(relative):
            return path
        found = _ITEM.fullmatch(relative)
        if found is None:
            return None
        key = (root, found[1])
        known = self._files.get(key)
        if known is not None and os.path.exists(known):
            return known
        self._files.pop(key, None)
        file = _look_for_session(root, found[1])
        if file is not None:
            if len(self._files) >= SESSIONS_MAX:
                self._files.clear()
            self._files[key] = file
        return file

    def logs(self, path: str, root: str) -> Iterator[tuple[Log, Stamp]]:
        log = log_at(root, path)
        if log is not None:
            yield log, _stamp(_Tree(path, self).files())

    def loose_parts(self, folder: str, message: str) -> list[_File]:
        return self._loose.setdefault(folder, _LooseParts(folder)).of(message)


def _look_for_session(root: str, session: str) -> str | None:
    sessions = os.path.join(root, "storage", "session")
    with suppress(OSError):
        for project in os.listdir(sessions):
            for name in (session, _PREFIX + session):
                candidate = os.path.join(sessions, project, name + _ENDING)
                if os.path.exists(candidate):
                    return candidate
    return None


class _LooseParts:
    """Parts without a folder of their message, which they name themselves.

    Beside them lie the folders of all messages, so they are listed only when something came or
    went. What a part is like now is asked when its message is.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # sessions are looked into on threads
        self._mtime_ns = -1  # of the folder as it was listed
        self._again_s = math.inf
        self._messages: dict[str, str] = {}  # path of a part -> its message
        self._parts: dict[str, list[str]] = {}

    def of(self, message: str) -> list[_File]:
        with self._lock:
            self._look()
            paths = self._parts.get(message, [])
        found = []
        for path in paths:
            with suppress(FileNotFoundError):
                about = os.stat(path)
                found.append(_File(path, about.st_size, about.st_mtime_ns))
        return found

    def _look(self) -> None:
        try:
            mtime_ns = os.stat(self._folder).st_mtime_ns
        except FileNotFoundError:
            self._messages, self._parts, self._mtime_ns = {}, {}, -1
            return
        if mtime_ns == self._mtime_ns and time.monotonic() < self._again_s:
            return
        young = abs(time.time_ns() - mtime_ns) < LOOSE_YOUNG_NS
        self._again_s = math.inf
        messages = {}
        for path in (file.path for file in _listed(self._folder)):
            message = self._messages.get(path) or _message_of_part(path)
            if message is not None:
                messages[path] = message
            else:
                self._again_s = time.monotonic() + LOOSE_AGAIN_S
        self._messages, self._parts = messages, {}
        for path, message in messages.items():
            self._parts.setdefault(message, []).append(path)
        self._mtime_ns = -1 if young else mtime_ns


def _message_of_part(path: str) -> str | None:
    with suppress(FileNotFoundError):
        found = _MESSAGE_OF_PART.search(_beginning(path, CHUNK_BYTES))
        if found is not None:
            return found[1].decode("utf-8", "replace")
    return None


def _stamp(files: Iterator[_File]) -> Stamp:
    size, newest_ns = 0, 0
    for file in files:
        size += file.size
        newest_ns = max(newest_ns, file.mtime_ns)
    return Stamp(size, newest_ns)


class _Tree:
    """The files of one session."""

    def __init__(self, path: str, trees: Trees) -> None:
        self.path = path
        self._trees = trees
        self._storage = os.path.dirname(os.path.dirname(os.path.dirname(path)))
        self._session = os.path.basename(path)[: -len(_ENDING)]

    def session(self) -> _File:
        """Raises FileNotFoundError when the session was deleted."""
        about = os.stat(self.path)
        return _File(self.path, about.st_size, about.st_mtime_ns)

    def files(self) -> Iterator[_File]:
        yield self.session()
        for message in self.messages():
            yield message
            yield from self.parts(message.name)

    def messages(self) -> list[_File]:
        for name in (self._session, self._session.removeprefix(_PREFIX)):
            found = _listed(os.path.join(self._storage, "message", name))
            if found:
                return found
        return []

    def parts(self, message: str) -> list[_File]:
        parts = os.path.join(self._storage, "part")
        own = _listed(os.path.join(parts, message))
        return own + self._trees.loose_parts(parts, message)


def _listed(folder: str) -> list[_File]:
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_ENDING):
                with suppress(FileNotFoundError):
                    if entry.is_file():
                        about = entry.stat()
                        found.append(_File(entry.path, about.st_size, about.st_mtime_ns))
    return sorted(found, key=lambda file: file.path)


def _beginning(path: str, most: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(most)


class TreeReader:
    """All of one session, each time: what is known is passed over by its caller."""

    starts_over = True

    def __init__(
        self,
        log: Log,
        state: bytes,
        means: Means,
        now_ms: Callable[[], float],
        trees: Trees,
    ) -> None:
        self._tree, self._means = _Tree(log.path, trees), means
        self.stamp = _stamp(self._tree.files())
        file = self._tree.session()
        found = loosely(_SessionFile, self._content(file))
        about = found[0] if found else _SessionFile()
        self._first = Read(file.size, "parsed" if found else "bad")
        times = about.time or Time()
        session = SessionAbout(
            log.agent_session_id,
            about.parent_id or "",
            about.title or "",
            about.directory or "",
            about.version or "",
            times.created or 0,
            times.updated or 0,
        )
        self._session = Session(log, session, means.blobs, now_ms, state.decode())
        self.facts, self.unknown = self._session.facts, self._session.unknown

    def read(self) -> Iterator[Read]:
        yield self._first
        yield self._session.head()
        for message in self._tree.messages():
            yield from self._message(message)
        if self._session.open_since_ms is not None:
            # What is still being written must show as a change, whatever happens until then.
            self.stamp = Stamp(self.stamp.size, self.stamp.mtime_ns - 1)

    def state(self) -> bytes:
        return self._session.prompt_title.encode()

    def close(self) -> None:
        """No file is open between two of them."""

    def _message(self, file: _File) -> Iterator[Read]:
        """Nothing of what was deleted since it was listed: the next look tells that it changed."""
        with suppress(FileNotFoundError):
            content = self._content(file)
            identity = _identity(content) or file.name
            parts = self._tree.parts(file.name) or self._tree.parts(identity)
            item = self._item(file, identity, content)
            whose = self._session.whose(item, has_steps=any(map(_is_step, parts)))
            for part in parts:
                yield from self._part(part, identity, whose)
            yield self._told(file, identity, content, None, whose)

    def _part(self, file: _File, message: str, whose: Whose) -> Iterator[Read]:
        with suppress(FileNotFoundError):
            content = self._content(file)
            name = _identity(content) or f"{message}/{file.name}"
            yield self._told(file, name, content, whose)

    def _told(
        self,
        file: _File,
        identity: str,
        content: bytes,
        whose: Whose | None,
        of: Whose | None = None,
    ) -> Read:
        item = self._item(file, identity, content)
        if file.size > self._means.max_item_bytes:
            blob = self._means.blobs.put_stream(_chunks(file.path))
            return self._session.oversized_item(item, content, blob.digest)
        if whose is not None:
            return self._session.part(item, whose)
        assert of is not None
        return self._session.message(item, of)

    def _content(self, file: _File) -> bytes:
        """Of one that is too large, the beginning."""
        if file.size > self._means.max_item_bytes:
            return _beginning(file.path, PREVIEW_BYTES)
        return self._means.clean(_beginning(file.path, file.size))

    def _item(self, file: _File, identity: str, content: bytes) -> Item:
        return Item(identity, without_ids(content), file.size, updated_ms=file.mtime_ns / 1e6)


def _identity(content: bytes) -> str:
    found = loosely(_Identified, content)
    return (found[0].id or "") if found else ""


def _is_step(part: _File) -> bool:
    if part.size >= STEP_BYTES_MAX:
        return False
    with suppress(FileNotFoundError):
        return b'"step-finish"' in _beginning(part.path, STEP_BYTES_MAX)
    return False


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
