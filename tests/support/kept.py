"""Everything that a home keeps, as bytes to search: what is compressed in it is unpacked too."""

from __future__ import annotations

import os
from typing import Any

import apsw
import zstandard

from holdfast import blocks
from tests.support.home import Home


def everything(home: Home) -> dict[str, bytes]:
    """Each file below the home, by its path; blocks and payloads also as what they hold."""
    found: dict[str, bytes] = {}
    for folder, _folders, names in os.walk(home.home):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            found[path] = content
            if path.endswith(".zst"):
                unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(content)
                found[f"{path} (unpacked)"] = unpacked
    if os.path.exists(home.paths.journal):
        found["blocks"] = _blocks(home.paths.journal)
    return found


def where(home: Home, secret: str) -> list[str]:
    """The places that still have it; the index keeps words in small letters."""
    wanted = {secret.encode(), secret.lower().encode()}
    return [
        path
        for path, content in everything(home).items()
        if any(each in content or each in content.lower() for each in wanted)
    ]


def _blocks(path: str) -> bytes:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows: list[Any] = connection.execute("SELECT data FROM blocks").fetchall()
        return b"".join(blocks.unseal(data) for (data,) in rows)
    finally:
        connection.close()
