"""Secrets for tests, put together when they are needed: none stands in a file of ours.

Each is random within the form that its issuer gives it, so that what looks for leaked secrets in
repositories finds nothing here, and what a test looks for is nowhere by chance.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from holdfast.privacy.rules import TOKENS, Token

_RANGES: Final = {
    "A-Z": string.ascii_uppercase,
    "a-z": string.ascii_lowercase,
    "0-9": string.digits,
    "a-f": "abcdef",
    "A-F": "ABCDEF",
    "2-7": "234567",
}
ALNUM: Final = string.ascii_letters + string.digits


class Planted(NamedTuple):
    """A text with a secret in it."""

    kind: str
    secret: str  # what must be gone
    text: str


def letters(chars: str) -> str:
    """The characters of a class of a regular expression."""
    found = "".join(_RANGES[each] for each in re.findall(r"\w-\w", chars))
    return found + re.sub(r"\w-\w|\\", "", chars)


def body(dice: Random, chars: str, count: int) -> str:
    return "".join(dice.choice(chars) for _ in range(count))


def token_of(dice: Random, token: Token, prefix: str) -> str:
    """With letters and digits at its ends, where issuers have them too."""
    plain = "".join(sorted(set(letters(token.chars)) & set(ALNUM)))
    inside = body(dice, letters(token.chars), token.least - 2)
    return prefix + dice.choice(plain) + inside + dice.choice(plain)


def tokens(dice: Random) -> list[Planted]:
    """One of each prefix of each rule."""
    found = []
    for token in TOKENS:
        for prefix in token.prefixes:
            value = token_of(dice, token, prefix)
            found.append(Planted(token.kind, value, f"it is {value} here"))
    return found


def shapes(dice: Random) -> list[Planted]:
    return [make(dice) for make in _SHAPES]


def _around(kind: str, value: str, before: str, after: str = "") -> Planted:
    return Planted(kind, value, before + value + after)


def _jwt(dice: Random) -> Planted:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": body(dice, string.digits, 10), "name": "Hana"}
    value = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{body(dice, ALNUM, 43)}"
    return _around("jwt", value, "cookie session=")


def private_key(dice: Random, *, end: bool = True, newline: str = "\n") -> str:
    kind = dice.choice(("RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""))
    rows = [body(dice, ALNUM + "+/", 64) for _ in range(20)] + [body(dice, ALNUM, 30) + "=="]
    dashes = "-" * 5
    first, last = (
        f"{dashes}BEGIN {kind}PRIVATE KEY{dashes}",
        f"{dashes}END {kind}PRIVATE KEY{dashes}",
    )
    return newline.join([first, *rows, *([last] if end else [])])


def _pem(dice: Random) -> Planted:
    value = private_key(dice)
    return Planted("private-key", value.split("\n")[7], f"key:\n{value}\nbehind it")


def _torn_pem(dice: Random) -> Planted:
    value = private_key(dice, end=False)
    return Planted("private-key", value.split("\n")[20], f"key:\n{value}")


def _escaped_pem(dice: Random) -> Planted:
    value = private_key(dice, newline="\\n")
    return Planted("private-key", value.split("\\n")[9], f'{{"private_key": "{value}"}}')


def _numbered_pem(dice: Random) -> Planted:
    rows = private_key(dice).split("\n")
    text = "\n".join(f"{number:>6}→{row}" for number, row in enumerate(rows, 1))
    return Planted("private-key", rows[12], text)


_SHAPES: Final[tuple[Callable[[Random], Planted], ...]] = (
    _jwt,
    _pem,
    _torn_pem,
    _escaped_pem,
    _numbered_pem,
    lambda dice: _around(
        "slack-webhook",
        f"T{body(dice, string.ascii_uppercase, 8)}/B{body(dice, string.ascii_uppercase, 8)}/"
        + body(dice, ALNUM, 24),
        "https://hooks.slack.com/services/",
    ),
    lambda dice: _around(
        "discord-webhook",
        body(dice, ALNUM, 68),
        f"https://discord.com/api/webhooks/{body(dice, '123456789', 18)}/",
    ),
    lambda dice: _around(
        "discord-token",
        f"MTA{body(dice, ALNUM, 21)}.{body(dice, ALNUM, 6)}.{body(dice, ALNUM, 38)}",
        "discord bot: ",
    ),
    lambda dice: _around(
        "telegram-token",
        f"{body(dice, '123456789', 10)}:AA{body(dice, ALNUM, 33)}",
        "https://api.telegram.org/bot",
        "/getMe",
    ),
    lambda dice: _around("twilio-key", "SK" + body(dice, "0123456789abcdef", 32), "sid "),
    lambda dice: _around(
        "azure-secret",
        f"{body(dice, ALNUM, 3)}8Q~{body(dice, ALNUM, 34)}",
        "client ",
    ),
    lambda dice: _around(
        "azure-key",
        base64.b64encode(dice.randbytes(64)).decode(),
        "DefaultEndpointsProtocol=https;AccountName=hana;AccountKey=",
        ";EndpointSuffix=core.windows.net",
    ),
    lambda dice: _around(
        "azure-sas",
        body(dice, ALNUM, 43) + "%3D",
        "https://hana.blob.core.windows.net/c?sv=2024-01-01&sig=",
    ),
    lambda dice: _around(
        "url-password", body(dice, ALNUM, 14), "postgres://hana:", "@db.local/app"
    ),
    lambda dice: _around(
        "authorization", body(dice, ALNUM, 40), 'curl -H "Authorization: Bearer ', '" https://a'
    ),
    lambda dice: _around("authorization", body(dice, ALNUM, 40), "Authorization: token "),
    lambda dice: _around("bearer-token", body(dice, ALNUM, 40), "it sends Bearer "),
    lambda dice: _around(
        "basic-auth",
        base64.b64encode(f"hana:{body(dice, ALNUM, 16)}".encode()).decode(),
        "Authorization: Basic ",
    ),
    lambda dice: _around(
        "curl-password", body(dice, ALNUM, 11) + "7", "curl -u hana:", " https://a"
    ),
    lambda dice: _around(
        "aws-secret-key",
        body(dice, ALNUM + "+/", 38) + "a7",
        "aws_secret_access_key = ",
    ),
    lambda dice: _around("password", body(dice, ALNUM, 13) + "a7", "DB_PASSWORD="),
    lambda dice: _around("password", body(dice, ALNUM, 13) + "a7", 'password: "', '",'),
    lambda dice: _around("password", body(dice, ALNUM, 13) + "a7", "PGPASSWORD=", " psql"),
    lambda dice: _around("api-key", body(dice, ALNUM, 30) + "a7", "api_key: '", "'"),
    lambda dice: _around("api-key", body(dice, ALNUM, 30) + "a7", "X-Api-Key: "),
    lambda dice: _around("secret", body(dice, ALNUM, 30) + "a7", 'client_secret="', '"'),
    lambda dice: _around(
        "secret", body(dice, ALNUM, 30) + "a7", '{\\"client_secret\\": \\"', '\\"}'
    ),
    lambda dice: _around("token", body(dice, ALNUM, 30) + "a7", "export CI_TOKEN="),
)
