"""What a journal holds, said so that two of them can be compared whatever road led there.

Where blocks are cut and in which order sessions came in depends on when things happened; both may
differ. What people get out of it may not.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from holdfast.journal.model import SearchQuery, SessionFilter
from holdfast.journal.reader import SqliteReader
from tests.support.home import Home

# What depends on where blocks were cut.
_INCIDENTAL: Final = ("stored_bytes",)


def picture(home: Home, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Sessions with their exported bytes, the ledger of each file, totals, and what words find."""
    with home.reader() as reader:
        return {
            "problems": reader.check(),
            "sessions": {row.agent_session_id: _session(reader, row) for row in _rows(reader)},
            "files": {cursor.path: _file(cursor) for cursor in reader.cursors()},
            "totals": _totals(reader),
            "unknown": sorted(
                (each.type, each.records, each.bytes) for each in reader.unknown_types()
            ),
            "blobs": [(blob.digest, blob.bytes) for blob in reader.blobs()],
            "found": {word: _found(reader, word) for word in words},
        }


def differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two pictures differ, one line each; short enough to read."""
    if found == wanted:
        return []
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return [f"{path}: {str(found)[:300]} instead of {str(wanted)[:300]}"]
    differing = []
    for key in {**found, **wanted}:
        where = f"{path}/{key}"
        if key not in found:
            differing.append(f"{where}: missing")
        elif key not in wanted:
            differing.append(f"{where}: not wanted")
        else:
            differing += differences(found[key], wanted[key], where)
    return differing


def _rows(reader: SqliteReader) -> list[Any]:
    return reader.sessions(SessionFilter())


def _session(reader: SqliteReader, row: Any) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(row)
    for name in _INCIDENTAL:
        del facts[name]
    exported = hashlib.sha256()
    lines = 0
    for piece in reader.read(row.id):
        exported.update(piece)
        lines += piece.count(b"\n")
    return {**facts, "lines": lines, "exported": exported.hexdigest()}


def _file(cursor: Any) -> dict[str, Any]:
    ledger = cursor.ledger
    return {
        "session": cursor.session,
        "parsed": ledger.parsed,
        "skipped": ledger.skipped,
        "unknown": ledger.unknown,
        "bad": ledger.bad,
        "size": cursor.size,
        "offset": cursor.offset,
        "gone": bool(cursor.gone_at),
        "error": cursor.error,
    }


def _totals(reader: SqliteReader) -> dict[str, int]:
    totals: dict[str, int] = msgspec.to_builtins(reader.totals())
    for name in _INCIDENTAL:
        del totals[name]
    del totals["blob_bytes"]
    return totals


def _found(reader: SqliteReader, word: str) -> list[tuple[str, int, str]]:
    hits = reader.search(SearchQuery(words=word, limit=1_000))
    return sorted((hit.session, hit.seq, hit.snippet) for hit in hits)
