"""Damaging a journal on purpose."""

from __future__ import annotations

import apsw


def turn_a_bit(journal: str, number: int = 0) -> int:
    """In the middle of a block, the first unless another is asked for; its position."""
    connection = apsw.Connection(journal)
    try:
        rows = connection.execute("SELECT pos, data FROM blocks ORDER BY pos").fetchall()
        position, data = rows[number]
        assert isinstance(position, int)
        assert isinstance(data, bytes)
        turned = bytearray(data)
        turned[len(turned) // 2] ^= 8
        connection.execute("UPDATE blocks SET data = ? WHERE pos = ?", (bytes(turned), position))
    finally:
        connection.close()
    return position


def blank_words(journal: str) -> None:
    """The pages of the index are there, and hold nothing."""
    connection = apsw.Connection(journal)
    try:
        connection.execute(
            "UPDATE words_data SET block = zeroblob(length(block)) WHERE id > 10 AND block <> ''"
        )
    finally:
        connection.close()


def overwrite(journal: str) -> None:
    """Some pages in the middle of the file, the write-ahead log being empty."""
    connection = apsw.Connection(journal)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    with open(journal, "r+b") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(size // 2)
        file.write(b"\xa5" * (size // 4))
