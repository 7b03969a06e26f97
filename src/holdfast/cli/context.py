"""What every command needs: where things are, what is set, and who answers questions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.paths import Paths

if TYPE_CHECKING:
    from holdfast.client import Client
    from holdfast.journal.model import SessionFilter
    from holdfast.journal.protocol import ReaderScope
    from holdfast.journal.reader import SqliteReader
    from holdfast.library import Library, Redact
    from holdfast.settings import Loaded, Settings
    from holdfast.sources.base import Source

JsonObject = dict[str, Any]


class Context:
    """One per command; everything in it is made when it is first asked for."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = dict(os.environ if environ is None else environ)

    @cached_property
    def paths(self) -> Paths:
        return Paths.from_env(self.environ)

    @cached_property
    def loaded(self) -> Loaded:
        from holdfast.settings import load

        return load(self.paths.config_file, self.environ)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @cached_property
    def client(self) -> Client:
        from holdfast.client import Client

        return Client(self.paths)

    @cached_property
    def sources(self) -> dict[str, Source]:
        from holdfast.sources.registry import enabled_sources

        return enabled_sources(self.settings.source, self.environ)

    @property
    def answers(self) -> Answers:
        """The daemon when it runs, else the journal itself."""
        if os.path.exists(self.paths.socket) and self.client.is_running():
            return DaemonAnswers(self.client)
        return JournalAnswers(self.library(), self.reader, self.paths.blobs)

    def library(self, redact: Redact | None = None) -> Library:
        """The journal itself, read by this process."""
        from holdfast.library import Library

        return Library(self.reader, redact=redact)

    @contextmanager
    def reader(self) -> Iterator[SqliteReader]:
        from holdfast.journal.reader import SqliteReader

        reader = SqliteReader(self.paths.journal)
        try:
            yield reader
        finally:
            reader.close()


class Answers(Protocol):
    """What the reading commands ask. Answers are JSON values, whoever gives them."""

    def sessions(self, **filters: object) -> list[JsonObject]: ...
    def sessions_json(self, **filters: object) -> Iterator[bytes]:
        """The same in pieces, however many there are."""
        ...

    def count_sessions(self, **filters: object) -> int: ...
    def session(self, name: str) -> JsonObject: ...
    def search(self, **query: object) -> list[JsonObject]: ...
    def lines(self, session: str, first: int, last: int | None) -> Iterator[bytes]:
        """Canonical lines in pieces, each of whole lines."""
        ...

    def blobs(self, **wanted: Any) -> JsonObject: ...
    def blob(self, digest: str) -> Iterator[bytes]: ...
    def recordings(self, limit: int | None) -> JsonObject: ...


class DaemonAnswers:
    def __init__(self, client: Client) -> None:
        self._client = client

    def sessions(self, **filters: object) -> list[JsonObject]:
        answer: list[JsonObject] = self._client.get("/v1/sessions", **_asked(filters))
        return answer

    def sessions_json(self, **filters: object) -> Iterator[bytes]:
        return self._client.stream("GET", "/v1/sessions", **_asked(filters))

    def count_sessions(self, **filters: object) -> int:
        return int(self._client.get("/v1/sessions", count="true", **_asked(filters))["count"])

    def session(self, name: str) -> JsonObject:
        answer: JsonObject = self._client.get(f"/v1/sessions/{name}")
        return answer

    def search(self, **query: object) -> list[JsonObject]:
        answer: list[JsonObject] = self._client.get("/v1/search", **query)
        return answer

    def lines(self, session: str, first: int, last: int | None) -> Iterator[bytes]:
        asked = {"from": first, "to": last}
        return _whole_lines(self._client.stream("GET", f"/v1/sessions/{session}/events", **asked))

    def blobs(self, **wanted: Any) -> JsonObject:
        wanted["dropped"] = "true" if wanted.get("dropped") else ""
        answer: JsonObject = self._client.get("/v1/blobs", **wanted)
        return answer

    def blob(self, digest: str) -> Iterator[bytes]:
        return self._client.stream("GET", f"/v1/blobs/{digest}")

    def recordings(self, limit: int | None) -> JsonObject:
        asked = {"all": "true"} if limit is None else {"limit": limit}
        answer: JsonObject = self._client.get("/v1/recordings", **asked)
        return answer


class JournalAnswers:
    def __init__(self, library: Library, readers: ReaderScope, blobs: str) -> None:
        self._library = library
        self._readers = readers
        self._blobs = blobs

    def sessions(self, **filters: Any) -> list[JsonObject]:
        wanted, resident = _filter(filters)
        return [_plain(each) for each in self._library.sessions(wanted, resident=resident)]

    def sessions_json(self, **filters: Any) -> Iterator[bytes]:
        wanted, resident = _filter(filters)
        return self._library.sessions_json(wanted, resident=resident)

    def count_sessions(self, **filters: Any) -> int:
        wanted, resident = _filter(filters)
        return self._library.count_sessions(wanted, resident=resident)

    def session(self, name: str) -> JsonObject:
        return _plain(self._library.session(name))

    def search(self, **query: Any) -> list[JsonObject]:
        from holdfast.journal.model import SearchQuery

        return [_plain(hit) for hit in self._library.search(SearchQuery(**query))]

    def lines(self, session: str, first: int, last: int | None) -> Iterator[bytes]:
        return self._library.lines(session, first, last)

    def blobs(self, **wanted: Any) -> JsonObject:
        from holdfast import payloads
        from holdfast.blobstore import BlobStore
        from holdfast.journal.model import BlobFilter

        with self._readers() as reader:
            return _plain(payloads.report(reader, BlobStore(self._blobs), BlobFilter(**wanted)))

    def blob(self, digest: str) -> Iterator[bytes]:
        from holdfast import payloads
        from holdfast.blobstore import BlobStore

        with self._readers() as reader:
            return payloads.content(reader, BlobStore(self._blobs), digest)

    def recordings(self, limit: int | None) -> JsonObject:
        from holdfast.recording.listing import list_recordings

        with self._readers() as reader:
            return _plain(list_recordings(reader, {}, limit))


def _asked(filters: dict[str, Any]) -> dict[str, object]:
    resident = filters.pop("resident", None)
    return {**filters, "resident": None if resident is None else str(resident).lower()}


def _filter(filters: dict[str, Any]) -> tuple[SessionFilter, bool | None]:
    from holdfast.journal.model import SessionFilter

    resident = filters.pop("resident", None)
    return SessionFilter(**filters), resident


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What comes over a socket is cut anywhere; answers are cut between lines."""
    rest = b""
    for chunk in chunks:
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest


def _plain(value: object) -> JsonObject:
    import msgspec

    plain: JsonObject = msgspec.to_builtins(value)
    return plain
