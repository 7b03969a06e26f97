"""Images, documents and other payloads: beside the journal, once each, when they are large.

An event keeps the type and the size of a payload and either the payload itself or the digest under
which it is stored.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from holdfast.sources.base import BlobSink
from holdfast.sources.mending import clean

INLINE_BYTES_MAX: Final = 2_048  # larger images and documents go beside the journal

_BASE64: Final = re.compile(rb'"([A-Za-z0-9+/]{4096,}+={0,2})"(?!\s*:)')
_DATA_URL: Final = re.compile(rb'"data:([a-z0-9.+/-]{1,80});base64,([A-Za-z0-9+/]{2048,}+={0,2})"')
_encode: Final = msgspec.json.Encoder().encode


class Payload(msgspec.Struct):
    """Where the bytes of an image or a document are."""

    type: str | None = None  # "text" stands as it is, anything else is base64
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


def payload_of_url(url: str) -> Payload:
    """What a link points at: the bytes themselves when it is a `data:` URL."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Payload("base64", head[len("data:") : -len(";base64")], data)
    return Payload(url=url)


def stored(source: Payload, blobs: BlobSink) -> dict[str, Any]:
    """A payload as its place beside the journal; small ones stay with their event."""
    about: dict[str, Any] = {"media_type": source.media_type or "", "bytes": 0}
    if source.url:
        return {**about, "url": source.url}
    data = source.data or ""
    payload = _bytes_of(source.type, data)
    about["bytes"] = len(payload)
    if len(payload) <= INLINE_BYTES_MAX:
        return {**about, "text" if source.type == "text" else "base64": data}
    return {**about, "blob": blobs.put(payload).digest}


def without_payloads(content: bytes, blobs: BlobSink) -> Raw:
    """A part of a record as it is, but for payloads: those go beside the journal."""

    def reference(found: re.Match[bytes]) -> bytes:
        try:
            payload = binascii.a2b_base64(found[found.lastindex or 1], strict_mode=True)
        except binascii.Error:
            return found[0]
        return _encode(f"blob:{blobs.put(payload).digest}")

    if b"base64" in content:
        content = _BASE64.sub(reference, content)
        content = _DATA_URL.sub(reference, content)
    return clean(content)


def _bytes_of(kind: str | None, data: str) -> bytes:
    """What the text stands for; the text itself where it is not what it says."""
    if kind != "text":
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except ValueError:
            pass
    return data.encode()
