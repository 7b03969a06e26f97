"""What no agent would write: odd values and bytes, columns, tables and pages."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import apsw
from msgspec import Raw
from msgspec.structs import replace

from holdfast.conformance.in_place.sample import Entry, StoreSample
from holdfast.conformance.meaning import ODD_VALUES
from holdfast.conformance.mutation import damage
from holdfast.conformance.values import inner_of, members_of, places, replaced

ENTRIES_MAX: Final = 8
CHANGES_MAX: Final = 4
CONTENT_BYTES_MAX: Final = 4_000_000
STATEMENTS_MAX: Final = 5
BYTES_MAX: Final = 48  # that are written over at one place of a file
LONG_CHARS: Final = 200_000
OVER_THE_CAP_BYTES: Final = 1_200_000

_ODD_JSON: Final = (
    b'"\\ud83d"',
    b"[" * 500 + b"]" * 500,
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    b"1e400",
)
_MARK: Final = "odd json %d"  # stands for one of them until all is written down
_VALUES: Final[tuple[Any, ...]] = (
    *ODD_VALUES,
    *(_MARK % number for number in range(len(_ODD_JSON))),
    "x" * LONG_CHARS,
    "\x00\x1b[2J",
    "data:image/png;base64," + "A" * 8_192,
    [{"type": "text", "text": str(number)} for number in range(300)],
)
# What a column may hold whatever its type says, as SQL.
_COLUMN_VALUES: Final = (
    "NULL", "-1", "9223372036854775807", "-9223372036854775808", "1e308", "9e999", "-9e999",
    "''", "'x'", "'2026-13-45 99:99:99'", "x'fffe'", "x''", "CAST(x'eda0bd' AS TEXT)",
    "CAST(x'00' AS TEXT)", "'[]'", "'{}'", "'null'", f"zeroblob({OVER_THE_CAP_BYTES})",
    f"CAST(zeroblob({LONG_CHARS}) AS TEXT)", "printf('%.*c', 300, 'x')", "0.5", "rowid",
)  # fmt: skip


_ONE_ROW: Final = 'WHERE rowid = (SELECT rowid FROM "{table}" LIMIT 1 OFFSET {at})'
_STATEMENTS: Final = (
    'UPDATE OR IGNORE "{table}" SET "{column}" = {value} {where}',
    'UPDATE OR IGNORE "{table}" SET "{column}" = {value} {one}',
    'UPDATE OR IGNORE "{table}" SET "{column}" = "{other}"',
    'DELETE FROM "{table}" {one}',
    'ALTER TABLE "{table}" DROP COLUMN "{column}"',
    'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{column}_then"',
    'ALTER TABLE "{table}" ADD COLUMN "of_tomorrow" TEXT DEFAULT {value}',
    'ALTER TABLE "{table}" RENAME TO "{table}_then"',
    'DROP TABLE "{table}"',
    'DROP INDEX "{index}"',
    # Without its keys, and each row twice.
    """CREATE TABLE copy AS SELECT * FROM "{table}" UNION ALL SELECT * FROM "{table}";
       DROP TABLE "{table}"; ALTER TABLE copy RENAME TO "{table}\"""",
    # A view has no row numbers.
    """ALTER TABLE "{table}" RENAME TO "{table}_then";
       CREATE VIEW "{table}" AS SELECT * FROM "{table}_then\"""",
    """PRAGMA writable_schema = ON;
       UPDATE sqlite_schema SET sql = replace(sql, 'text', 'x') WHERE name = '{table}'""",
    "PRAGMA user_version = {number}",
)
EVERY_ROW: Final = 0.2  # so often every row is changed


def wild_entries(sample: StoreSample, throw: Random) -> list[Entry]:
    """Some items of a sample in any order, and some of them changed."""
    known = [*sample.entries, *sample.unknown, *sample.anchors]
    chosen = throw.sample(known, throw.randint(1, min(ENTRIES_MAX, len(known))))
    return [_wild(entry, throw, known) if throw.random() < 0.6 else entry for entry in chosen]


def _wild(entry: Entry, throw: Random, known: Sequence[Entry]) -> Entry:
    content = entry.content
    if isinstance(content, bytes) or throw.random() < 0.1:
        torn = bytearray(content if isinstance(content, bytes) else _written(content))
        damage(torn, throw, [_bytes_of(each) for each in known])
        return replace(entry, content=bytes(torn))
    for _ in range(throw.randint(1, CHANGES_MAX)):
        changed = throw.choice(_CHANGES)(content, throw, known)
        if len(_written(changed)) > CONTENT_BYTES_MAX:
            break  # what is repeated and repeated again is soon more than a machine has
        content = changed
    name = throw.choice(known).name if throw.random() < 0.1 else entry.name
    place = throw.choice(known).place if throw.random() < 0.1 else entry.place
    if throw.random() < 0.05:
        place = entry.name  # it belongs to itself
    return replace(entry, content=Raw(_written(content)), name=name, place=place)


def _written(content: Any) -> bytes:
    written = json.dumps(content, separators=(",", ":")).encode()
    for number, odd in enumerate(_ODD_JSON):
        written = written.replace(b'"%b"' % (_MARK % number).encode(), odd)
    return written


def _bytes_of(entry: Entry) -> bytes:
    content = entry.content
    return content if isinstance(content, bytes) else _written(content)


def _any_place(content: Any, throw: Random) -> tuple[Any, ...]:
    found = places(content)
    return throw.choice(found) if found else ()


def _odd(content: Any, throw: Random, _known: Sequence[Entry]) -> Any:
    return replaced(content, _any_place(content, throw), throw.choice(_VALUES))


def _transplanted(content: Any, throw: Random, known: Sequence[Entry]) -> Any:
    """Something of another item, or of this one: of itself it would be a part of itself."""
    other = throw.choice(known).content
    if isinstance(other, bytes):
        return content
    return replaced(content, _any_place(content, throw), inner_of(other, _any_place(other, throw)))


def _without(content: Any, throw: Random, _known: Sequence[Entry]) -> Any:
    place = _any_place(content, throw)
    if not place:
        return content
    outer = inner_of(content, place[:-1])
    left = [(at, value) for at, value in members_of(outer) if at != place[-1]]
    less = dict(left) if isinstance(outer, dict) else [value for _at, value in left]
    return replaced(content, place[:-1], less)


def _repeated(content: Any, throw: Random, _known: Sequence[Entry]) -> Any:
    lists = [place for place in places(content) if isinstance(inner_of(content, place), list)]
    if not lists:
        return content
    place = throw.choice(lists)
    times = throw.choice((2, 3, 20))  # each a copy: what is the same twice would change twice
    return replaced(
        content,
        place,
        [copy.deepcopy(each) for _ in range(times) for each in inner_of(content, place)],
    )


def _renamed(content: Any, throw: Random, _known: Sequence[Entry]) -> Any:
    """A value under the name of another."""
    found = places(content)
    names = [place[-1] for place in found if isinstance(place[-1], str)]
    if not names:
        return content
    place = throw.choice(found)
    outer = inner_of(content, place[:-1])
    if not isinstance(outer, dict):
        return content
    return replaced(content, place[:-1], {**outer, throw.choice(names): outer[place[-1]]})


_CHANGES: Final[tuple[Callable[[Any, Random, Sequence[Entry]], Any], ...]] = (
    _odd,
    _odd,
    _transplanted,
    _without,
    _repeated,
    _renamed,
)


# Databases.


def spoil_tables(connection: apsw.Connection, throw: Random) -> None:
    """A few statements; what SQLite itself refuses does no harm."""
    for _ in range(throw.randint(1, STATEMENTS_MAX)):
        statement = _statement(connection, throw)
        if statement:
            try:
                connection.execute(statement).fetchall()
            except apsw.Error:
                continue


def _statement(connection: apsw.Connection, throw: Random) -> str:
    query = "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    try:
        things = connection.execute(query).fetchall()
    except apsw.Error:
        return ""
    tables = [str(name) for kind, name in things if kind == "table"]
    indexes = [str(name) for kind, name in things if kind == "index"]
    if not tables:
        return ""
    table = throw.choice(tables)
    columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info('{table}')")]
    if not columns:
        return ""
    column, other = throw.choice(columns), throw.choice(columns)
    value, at = throw.choice(_COLUMN_VALUES), throw.randint(0, 6)
    one = _ONE_ROW.format(table=table, at=at)
    where = "" if throw.random() < EVERY_ROW else one
    return throw.choice(_STATEMENTS).format(
        table=table,
        column=column,
        other=other,
        value=value,
        one=one,
        where=where,
        index=throw.choice(indexes) if indexes else "none",
        number=throw.randint(0, 1 << 31),
    )


def spoil_pages(content: bytearray, throw: Random) -> None:
    """Bytes that were written over anywhere, pages in the place of others, an end that is gone."""
    for _ in range(throw.randint(1, 3)):
        how = throw.randrange(5)
        size = len(content)
        at = throw.randrange(max(1, size))
        if how == 0:
            content[at : at + BYTES_MAX] = throw.randbytes(throw.randint(1, BYTES_MAX))
        elif how == 1:
            content[: throw.randint(1, 100)] = throw.randbytes(throw.randint(1, 100))
        elif how == 2:
            del content[at:]
        elif how == 3:
            page = 4_096
            source, target = throw.randrange(1 + size // page), throw.randrange(1 + size // page)
            content[target * page : (target + 1) * page] = content[
                source * page : (source + 1) * page
            ]
        else:  # the cells of a page point anywhere
            page_at = at - at % 4_096
            content[page_at + 8 : page_at + 40] = throw.randbytes(32)
