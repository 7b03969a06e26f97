"""Which secrets are found, and what looks like one and is none."""

from __future__ import annotations

import hashlib
import json
import re
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.privacy.rules import NAMED, RULES, Shape, Token
from holdfast.settings import Privacy
from tests.support import planted
from tests.support.doors import door
from tests.support.planted import ALNUM, Planted, body

DOOR: Final = door()
ROUNDS: Final = 20
MIB: Final = 1 << 20
EACH: Final = planted.tokens(Random(1)) + planted.shapes(Random(1))


def kept(made: list[Planted]) -> list[str]:
    return [each.kind for each in made if each.secret in DOOR.clean_text(each.text)]


def test_each_form_that_issuers_publish_is_found() -> None:
    made = [each for seed in range(ROUNDS) for each in planted.tokens(Random(seed))]
    assert len(kept(made)) <= len(made) // 200, kept(made)  # chance makes words and repeats


def test_each_form_that_is_told_by_its_surroundings_is_found() -> None:
    made = [each for seed in range(ROUNDS) for each in planted.shapes(Random(seed))]
    assert len(kept(made)) <= len(made) // 100, kept(made)


@pytest.mark.parametrize("each", EACH)
def test_a_marker_says_which_kind_it_was(each: Planted) -> None:
    assert f"[redacted:{each.kind}]" in DOOR.clean_text(each.text)


@pytest.mark.parametrize("each", EACH)
def test_what_is_clean_stays_as_it_is(each: Planted) -> None:
    clean = DOOR.clean_text(each.text)
    assert DOOR.clean_text(clean) == clean
    line = DOOR.clean(json.dumps({"text": each.text}).encode())
    assert DOOR.clean(line) == line


@pytest.mark.parametrize("each", EACH)
def test_what_stands_around_a_secret_stays(each: Planted) -> None:
    clean = DOOR.clean_text(f"before it {each.text} behind it")
    assert clean.startswith("before it ")
    assert clean.endswith(" behind it")


@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_no_layer_of_json_hides_one(
    each: Planted, ensure_ascii: bool
) -> None:  # a parameter of the test
    text = each.text
    for _layer in range(2):
        text = json.dumps({"täxt": text}, ensure_ascii=ensure_ascii)
        assert each.secret not in DOOR.clean(text.encode()).decode()


RANDOM: Final = Random(4)
HEX: Final = "0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"commit {body(RANDOM, HEX, 40)}",
        f"sha256:{body(RANDOM, HEX, 64)}",
        f"token {body(RANDOM, HEX, 32)}",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "session_token: 123e4567-e89b-12d3-a456-426614174000",
        f"toolu_01{body(RANDOM, ALNUM, 22)} msg_01{body(RANDOM, ALNUM, 22)}",
        f"req_011C{body(RANDOM, ALNUM, 20)}",
        f"data:image/png;base64,{body(RANDOM, ALNUM + '+/', 4_000)}==",
        f"integrity sha512-{body(RANDOM, ALNUM + '+/', 86)}==",
        "api_key = os.environ['API_KEY']",
        "const apiKey = process.env.OPENAI_API_KEY_2;",
        "password: string; secret?: number; token: Token2;",
        "password = hash_password(plain2, salt)",
        "PASSWORD=$DB_PASSWORD_2 TOKEN=${CI_TOKEN2} SECRET=%SECRET_1%",
        "api_key: <your key 123>, secret: {{ vault.secret1 }}, token=[redacted:token]",
        "password=xxxxxxxxxxxx1 secret=******** api_key=YOUR_API_KEY_1",
        "postgres://user:password@localhost postgres://$USER:$PASS@host https://u:<pw>@h",
        "curl -u $USER:$PASS https://a; docker run -u 1000:1000 image",
        "src/app/password_reset.ts:123:export function resetPassword2(user: User)",
        "secrets/api-key.yaml token.py:88 credentials.json:12",
        'usage {"input_tokens": 123456, "max_tokens": 32000, "tokenizer": "cl100k_base"}',
        "nextToken: eyJhbGciOi page_token=abc123def456ghi789",
        "Authorization: Bearer <token>",
        "the Bearer authentication of RFC6750, basic understanding of C99",
        "cache_key = 'v2-build-1234567890abcdef'",
        "primary_key=user_id_12345678 sort-key: created_at_20260101",
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
        "grep -- '-----BEGIN PRIVATE KEY-----' file",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        "sk-learn sk-toggle sk_test_ ghp_ AKIA hf_model_name_or_path_to_the_checkpoint",
        "key: value1, monkey: 12, keyboard=qwerty123",
        "token_expires_at: 2026-01-05T09:00:00Z secret_name=prod/db-2",
        "https://host:8080/path@2x.png ssh://git@github.com:22/a.git",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert DOOR.clean_text(text) is text


def test_hashes_of_anything_stay() -> None:
    for seed in range(200):
        digest = hashlib.sha256(str(seed).encode()).hexdigest()
        text = f'"sha": "{digest[:40]}", "etag": "{digest[:32]}", "integrity": "{digest}"'
        assert DOOR.clean_text(text) is text


def test_a_value_that_is_allowed_stays() -> None:
    one, other = planted.tokens(Random(1))[:2]
    open_door = door(Privacy(allow=(re.escape(one.secret), "no-such.*")))
    assert open_door.clean_text(one.text) == one.text
    assert other.secret not in open_door.clean_text(other.text)
    part = door(Privacy(allow=(re.escape(one.secret[:-1]),)))
    assert one.secret not in part.clean_text(one.text)


def test_what_a_person_adds_is_found_wherever_it_stands() -> None:
    own = door(
        Privacy(extra=('ticket=TCK "[0-9]{4}"', "käse=Käse[0-9]{3}".replace("käse=", "cheese=")))
    )
    line = json.dumps({'TCK "1234"': ['a TCK "4711" b', "Käse123"], "x": "TCK 1234"})
    assert json.loads(own.clean(line.encode())) == {
        "[redacted:ticket]": ["a [redacted:ticket] b", "[redacted:cheese]"],
        "x": "TCK 1234",
    }
    assert own.take_found() == {"ticket": 2, "cheese": 1}


def test_what_is_switched_off_is_not_looked_for() -> None:
    secret = planted.tokens(Random(1))[0].text
    text = f"{secret} <private>x</private>"
    assert door(Privacy(secrets=False)).clean_text(text) == f"{secret} [private]"
    assert "<private>x</private>" in door(Privacy(private_tags=False)).clean_text(text)
    assert door(Privacy(private_tags=False, secrets=False)).clean_text(text) == text


def test_a_payload_is_not_looked_into() -> None:
    """A rule that fits by chance must not break a picture."""
    secret = planted.tokens(Random(1))[0]
    assert secret.secret.startswith("sk-ant-")
    noise = body(Random(1), ALNUM, 5_000) + "AKIA" + body(Random(2), "ABCDEFGH234567", 16)
    line = json.dumps({"data": noise, "text": secret.text}).encode()
    assert json.loads(DOOR.clean(line))["data"] == noise


# Whatever is thrown at it: time that grows with the text. A pattern that does not would take hours
# for these, so coming to an end is what is tested.


# What a match can be sought behind for long: repeats without a prefix of their own.
PATIENT: Final = frozenset({"https://a:", "eyJ", "-----BEGIN PRIVATE KEY-----", "<private"})


def hostile() -> list[str]:
    starts = [prefix for rule in RULES if isinstance(rule, Token) for prefix in rule.prefixes]
    words = ["password=", "token:", "secret: ", "api_key='", "Authorization: Bearer ", "bearer "]
    words += ["https://", "https://a:", "eyJ", "eyJa.", "-----BEGIN PRIVATE KEY-----", "-----END"]
    words += ["<private ", "<private", "&lt;private ", "</private", "< ", "curl -u a:", "basic "]
    words += ["hooks.slack.com/services/", "discord MTA", "1234567890:AA", "sig=", "?sig=", "\\n"]
    return [*starts, *words]


@pytest.mark.slow
@pytest.mark.parametrize("start", hostile())
def test_no_text_takes_long(start: str) -> None:
    size = MIB if start in PATIENT else MIB // 8
    DOOR.clean_text(start * (size // len(start)))
    DOOR.clean_text(f"{start}A1-" * (size // len(start)))
    DOOR.clean_text(start + "a" * size)


@given(st.data())
@settings(max_examples=100)
def test_the_screen_sees_all_that_the_patterns_find(data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from([*RULES, None]))
    pattern = NAMED.pattern.decode() if rule is None else rule.pattern
    plain = re.sub(r"(?<=[}*])\+", "", pattern)  # possessive repeats are not known to hypothesis
    text = data.draw(st.from_regex(re.compile(plain, re.ASCII), fullmatch=True))
    near = "discord " if isinstance(rule, Shape) and rule.kind == "discord-token" else ""
    raw = json.dumps(near + text, ensure_ascii=data.draw(st.booleans())).encode()
    clean = DOOR.clean_text(near + text)
    assert clean == near + text or DOOR.suspects(raw)
