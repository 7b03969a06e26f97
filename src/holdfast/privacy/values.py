"""Whether what stands where a secret would stand is one: placeholders, code and words are not.

Half of all that looks like a password in a conversation with a coding agent is a variable, a
documentation's example or a field's name. A secret is random: it mixes kinds of characters, and it
is not made of words.
"""

from __future__ import annotations

import binascii
import math
import re
from collections import Counter
from typing import Final

TOKEN_DISTINCT_MIN: Final = 6  # different characters in a body
SECRET_CHARS_MIN: Final = 12  # of a key that is known by its name alone
TOKEN_CHARS_MIN: Final = 16  # of what is only called a token
PASSWORD_CHARS_MIN: Final = 6
BITS_MIN: Final = 3.0  # of entropy per character
PASSWORD_BITS_MIN: Final = 2.2
WORD_CHARS: Final = 3.5  # letters that stand together in text, on average
DIGITS_SHARE: Final = 0.12  # random letters and digits have 16 to 28 %

_STANDS_FOR: Final = re.compile(
    rb"(?i)\[private\]|example|placeholder|change[_-]?me|redacted|your[_-]|<|>|\$\{|\{\{|\}\}|x{4}|\*{3}|\.{3}"
    rb"|dummy|insert[_-]|replace[_-]|process\.env|os\.environ|getenv|import\.meta|\bnull\b|undefined"
)
_VARIABLE: Final = re.compile(rb"[$%{(\[<@!#&*]")
_PATH: Final = re.compile(rb"(?:~|\.{0,2})/|[A-Za-z]:\\|[a-z][a-z0-9+.-]*://")
_CODE: Final = re.compile(rb"[A-Za-z_$][\w$]*(?:(?:\.|->|::|\?\.|\[)[\w$\].]*)*[)\]};]*$")
_CONSTANT: Final = re.compile(rb"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
_CALL: Final = re.compile(rb"[\w$.]+[(\[{]")
_HEX: Final = re.compile(rb"(?:0x|sha\d*[-:])?[0-9a-fA-F]+$")
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_PLACE: Final = re.compile(rb"\d{1,7}[:-]")  # a line of a file that is named like a secret
_DATE: Final = re.compile(rb"\d{4}-\d\d-\d\d")
_PARTS: Final = re.compile(rb"[A-Za-z][a-z]*+")
_DOC_PASSWORDS: Final = frozenset(
    (b"password", b"passwd", b"pass", b"pwd", b"pw", b"secret", b"token", b"user", b"username")
)
_ABOUT: Final = re.compile(
    rb"(?i)(?:expir\w*|_at|_?id|_?ids|_ur[il]|_?path|_?file|_?name|_?type|_?count|_?len|_?length"
    rb"|_?size|_?hash|_?hint|_?field|_?ttl|_?limit|_?usage|_?used|_?version|_?ref|_?regex|_?pattern"
    rb"|_?policy|_?label|_?prefix|_?digest|_?index|_?arn|manager|(?:next|page|ward|continuation|sync)_?token|izer\w*|ize\w*)$"
)
_STRONG: Final = re.compile(
    rb"(?i)api[_-]?key|secret|access[_-]?key|private[_-]?key|account[_-]?key|auth[_-]?key"
    rb"|signing[_-]?key|encryption[_-]?key|shared[_-]?key|master[_-]?key"
)
_PASSWORD: Final = re.compile(rb"(?i)passw(?:or)?d|passwd|passphrase|(?:^|[_.-])pwd")
_TOKEN: Final = re.compile(rb"(?i)token|credential")
_SYMBOLS: Final = re.compile(rb"[^A-Za-z0-9_.:/-]")
_DIGIT: Final = re.compile(rb"[0-9]")
_LETTER: Final = re.compile(rb"[A-Za-z\x80-\xff]")


def bits_per_char(value: bytes) -> float:
    """Shannon's entropy of a value's own characters."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0


def stands_for(value: bytes) -> bool:
    """A variable, a placeholder, or what was redacted before."""
    return _VARIABLE.match(value) is not None or _STANDS_FOR.search(value) is not None


def is_wordy(value: bytes) -> bool:
    """Made of words, as names in code are."""
    parts = _PARTS.findall(value)
    letters = sum(map(len, parts))
    digits = len(_DIGIT.findall(value))
    return bool(parts) and letters / len(parts) >= WORD_CHARS and digits < DIGITS_SHARE * len(value)


def is_token(value: bytes) -> bool:
    """A value with a form of its own needs only to be no example of it."""
    if _STANDS_FOR.search(value) is not None or len(set(value)) < TOKEN_DISTINCT_MIN:
        return False
    return value.isupper() or not is_wordy(value)


def is_url_password(value: bytes) -> bool:
    return not stands_for(value) and value.lower() not in _DOC_PASSWORDS


def is_password(value: bytes) -> bool:
    """What stands where a password stands, as far as no user's number or group does."""
    return is_url_password(value) and _DIGIT.search(value) is not None and not value.isdigit()


def is_basic(value: bytes) -> bool:
    """`user:password` in base64."""
    try:
        decoded = binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return False
    return b":" in decoded and decoded.isascii() and decoded.decode().isprintable()


def is_random(value: bytes) -> bool:
    """What nobody would call a variable: for values without a form of their own."""
    if stands_for(value) or _PATH.match(value) or _DATE.match(value):
        return False
    if _DIGIT.search(value) is None or _LETTER.search(value) is None:
        return False
    return bits_per_char(value) >= BITS_MIN and not is_wordy(value)


def secret_of(name: bytes, value: bytes, *, quoted: bool, tight: bool) -> str:
    """The kind of secret that an assignment gives a name, or "".

    `quoted`: the value stands in quotes; `tight`: it stands right behind a `=`, as in `.env`.
    """
    if _ABOUT.search(name) or stands_for(value) or _PATH.match(value) or _DATE.match(value):
        return ""
    if not quoted and (_is_elsewhere(value) or (not tight and _is_code(value))):
        return ""
    if _PASSWORD.search(name):
        return "password" if _is_password(name, value) else ""
    if _STRONG.search(name):
        if len(value) < SECRET_CHARS_MIN or not is_random(value):
            return ""
        if b"aws" in name.lower():
            return "aws-secret-key"
        return "api-key" if b"api" in name.lower() else "secret"
    if not _TOKEN.search(name) or len(value) < TOKEN_CHARS_MIN or not is_random(value):
        return ""
    return "" if _HEX.match(value) or _UUID.match(value) else "token"


def _is_elsewhere(value: bytes) -> bool:
    """Not the value itself, but where it is or what gives it."""
    return any(each.match(value) for each in (_PLACE, _CALL, _CONSTANT))


def _is_code(value: bytes) -> bool:
    """A name or a path of names; a long random value may look like one too."""
    if _CODE.match(value) is None:
        return False
    return b"." in value or len(value) < TOKEN_CHARS_MIN or not is_random(value)


def _is_password(name: bytes, value: bytes) -> bool:
    if len(value) < PASSWORD_CHARS_MIN or bits_per_char(value) < PASSWORD_BITS_MIN:
        return False
    lower = value.lower()
    if lower in _DOC_PASSWORDS or b"password" in lower or lower in name.lower():
        return False
    mixed = _DIGIT.search(value) is not None and _LETTER.search(value) is not None
    return (mixed or _SYMBOLS.search(value) is not None) and not _is_sentence(value)


def _is_sentence(value: bytes) -> bool:
    return value[-1:] in b".:!?" and value[:-1].isalpha()
