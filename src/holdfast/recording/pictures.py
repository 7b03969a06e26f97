"""Pictures of a conversation inside the page: small ones shown, all others named."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.recording.markup import Markup, element, link, opening

PICTURE_BYTES_MAX: Final = 2 << 20  # a larger picture is named, not shown
PICTURES_TOTAL_BYTES_MAX: Final = 24 << 20

Payload = Callable[[str], Iterable[bytes]]
"""The pieces of a payload by its digest; raises a `HoldfastError` where there is none."""


class Picture(msgspec.Struct):
    """What an event says of a picture."""

    type: str = ""
    media_type: str = ""
    bytes: int = 0
    base64: str = ""
    blob: str = ""
    url: str = ""


_DIGEST: Final = re.compile(r"[0-9a-f]{8,128}")
# What a browser shows without running anything in it, and how each begins. SVG is not among them:
# it is a document that can hold a script.
_BEGINNINGS: Final = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}


class Pictures:
    """Puts pictures into the page until there is enough of them; names those it leaves out."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._left = PICTURES_TOTAL_BYTES_MAX

    def show(self, picture: Picture) -> Markup:
        about = f"{picture.media_type or 'unknown type'}, {picture.bytes:,} bytes"
        if picture.url:
            return element("p", "Picture: ", link(picture.url, picture.url), class_="missing")
        content, why = self._content(picture)
        if why:
            return element("p", f"Picture ({about}): {why}", class_="missing")
        self._left -= len(content)
        source = f"data:{picture.media_type};base64,{base64.b64encode(content).decode()}"
        shown = opening("img", src=source, alt=f"Picture ({about})", decoding="async")
        return element("figure", shown, element("figcaption", about, data_quiet=True))

    def _content(self, picture: Picture) -> tuple[bytes, str]:
        """The bytes, or why they are not shown."""
        begins = _BEGINNINGS.get(picture.media_type)
        if begins is None:
            return b"", "not a kind that is shown"
        most = min(PICTURE_BYTES_MAX, self._left)
        if picture.bytes > most:
            return b"", "too large to be in this file"
        try:
            content = self._bytes(picture, most)
        except (HoldfastError, binascii.Error) as error:
            return b"", f"cannot be read ({error})"
        if len(content) > most:
            return b"", "too large to be in this file"
        if not begins.match(content):
            return b"", "is not what it says it is"
        return content, ""

    def _bytes(self, picture: Picture, most: int) -> bytes:
        if picture.base64:
            return binascii.a2b_base64(picture.base64, strict_mode=True)
        if not _DIGEST.fullmatch(picture.blob):
            return b""
        content = bytearray()
        for piece in self._payload(picture.blob):
            content += piece
            if len(content) > most:
                break
        return bytes(content)
