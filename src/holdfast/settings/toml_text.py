"""Writing TOML: tomllib only reads it."""

from __future__ import annotations

from typing import Final

import msgspec

_BARE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_DECIMAL_BITS_MAX: Final = 4096  # Python refuses to write much longer numbers in decimal


def write_value(value: object) -> str:
    """Anything that tomllib returns, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{"".join(map(_escape, value))}"'
        case list() | tuple():
            return f"[{', '.join(map(write_value, value))}]"
        case dict():
            pairs = (f"{write_key((key,))} = {write_value(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case msgspec.Struct():
            fields = msgspec.to_builtins(value).items()
            return write_value({name: item for name, item in fields if item is not None})
        case int() if value.bit_length() > _DECIMAL_BITS_MAX:
            return hex(value)
        case _:
            return str(value)


def write_key(path: tuple[str, ...]) -> str:
    """The dotted key, quoted where TOML wants it: a name may itself hold dots and line breaks."""
    return ".".join(name if name and _BARE.issuperset(name) else write_value(name) for name in path)


def _escape(character: str) -> str:
    """What is not printable is escaped too: values are shown in terminals."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
