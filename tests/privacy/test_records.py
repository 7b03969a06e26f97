"""One record: what is cleaned in it, and that all else stays as it was, to the byte."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.privacy.records import decoded, encoded, spoken, unescaped
from tests.support import planted
from tests.support.doors import door

DOOR: Final = door()
SECRET: Final = planted.tokens(Random(3))[3].secret
ANYTHING: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def cleaned(value: object) -> Any:
    return json.loads(DOOR.clean(json.dumps(value).encode()))


def test_every_string_is_cleaned_keys_too_at_any_depth() -> None:
    deep: Any = f"x {SECRET} y"
    for _ in range(5_000):
        deep = [deep]
    line = b'{"a":' + b"[" * 50_000 + f'"{SECRET}"'.encode() + b"]" * 50_000 + b"}"
    assert SECRET.encode() not in DOOR.clean(line)
    assert cleaned({f"k {SECRET}": [{"b": [SECRET]}]}) == {
        "k [redacted:openrouter-key]" if "sk-or" in SECRET else f"k {cleaned(SECRET)}": [
            {"b": [cleaned(SECRET)]}
        ]
    }


def test_what_is_not_a_string_stays_to_the_byte() -> None:
    line = f'{{"a" : 1e400, "b":0.10000000000000000001,"a":[ -0 ],\t"c":"{SECRET}" ,"d":null}}'
    clean = DOOR.clean(line.encode()).decode()
    assert clean == line.replace(SECRET, cleaned(SECRET))


def test_a_line_with_nothing_in_it_is_the_same_object() -> None:
    line = b'{"text":"nothing \\u003c here, tokens: 12"}'
    assert DOOR.clean(line) is line


@pytest.mark.parametrize(
    "hidden",
    [
        "".join(f"\\u{ord(char):04x}" for char in SECRET),
        "".join(f"\\u{ord(char):04X}" if place % 3 else char for place, char in enumerate(SECRET)),
        "\\n" + SECRET,
        "\\u000a" + SECRET + "\\u0022",
        "\\ud83d\\ude00" + SECRET,
        "\\ud83d" + SECRET,  # half a pair
    ],
)
def test_no_escape_hides_anything(hidden: str) -> None:
    clean = DOOR.clean(f'{{"a":"{hidden}"}}'.encode())
    assert "[redacted:" in json.loads(clean)["a"]
    assert SECRET not in json.dumps(json.loads(clean), ensure_ascii=False)


@pytest.mark.parametrize(
    "tag",
    [
        "<private>",
        "\\u003cprivate\\u003e",
        "\\u003C\\u0070rivate>",
        "<\\u0050RIVATE>",
        "<\\nprivate>",
        "<\\u000aprivate>",
    ],
)
def test_no_escape_hides_a_tag(tag: str) -> None:
    assert json.loads(DOOR.clean(f'{{"a":"x {tag}y<\\/private> z"}}'.encode())) == {
        "a": "x [private] z"
    }


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


def test_a_tag_goes_on_in_the_parts_of_its_message() -> None:
    record = {
        "type": "user",
        "message": {
            "role": "user",
            "content": [
                *parts("a <private>b", "c"),
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "d", "n": 1}},
                *parts("e</private> f", "g"),
            ],
        },
        "cwd": "/home/hana",
    }
    clean = cleaned(record)
    assert [each.get("text") for each in clean["message"]["content"]] == [
        "a [private]",
        "[private]",
        None,
        "[private] f",
        "g",
    ]
    assert clean["message"]["content"][2] == {
        "type": "tool_use",
        "id": "t1",
        "name": "Bash",
        "input": {"command": "[private]", "n": 1},
    }
    assert (clean["type"], clean["cwd"]) == ("user", "/home/hana")


def test_a_tag_that_is_never_closed_hides_the_rest_of_its_message_only() -> None:
    nested = {"type": "tool_result", "content": parts("x <private>y", "z")}
    record = {
        "messages": [
            {"content": [nested, *parts("w")], "at": "now"},
            {"content": parts("v"), "text": "u <private>t"},
            {"content": parts("s")},
        ],
        "cwd": "/c",
    }
    clean = cleaned(record)
    first, second, third = clean["messages"]
    assert first["content"][0]["content"] == parts("x [private]", "[private]")
    assert first["content"][1] == parts("[private]")[0]
    assert first["at"] == "now"
    assert second == {"content": parts("v"), "text": "u [private]"}
    assert third == {"content": parts("s")}
    assert clean["cwd"] == "/c"


def test_what_a_name_says_is_a_secret_is_one() -> None:
    value = planted.body(Random(1), planted.ALNUM, 24) + "a7"
    found = cleaned(
        {"input": {"password": value, "api_key": value, "apiKey": value, "note": value}}
    )
    assert found == {
        "input": {
            "password": "[redacted:password]",
            "api_key": "[redacted:api-key]",
            "apiKey": "[redacted:api-key]",
            "note": value,
        }
    }


@given(ANYTHING)
def test_what_has_nothing_in_it_comes_out_as_it_went_in(value: object) -> None:
    line = json.dumps(value).encode()
    clean = DOOR.clean(line)
    assert json.loads(clean) == json.loads(line)


@given(ANYTHING, st.sampled_from([SECRET, "<private>p</private>"]))
def test_what_is_planted_anywhere_goes_and_the_shape_stays(value: object, secret: str) -> None:
    def plant(where: Any) -> Any:
        if isinstance(where, str):
            return f"{where} {secret} {where}"
        if isinstance(where, list):
            return [plant(item) for item in where]
        if isinstance(where, dict):
            return {key: plant(item) for key, item in where.items()}
        return where

    def shape(where: Any) -> Any:
        if isinstance(where, list):
            return [shape(item) for item in where]
        if isinstance(where, dict):
            return {key: shape(item) for key, item in where.items()}
        return "" if isinstance(where, str) else where

    planted_in = json.dumps(plant(value)).encode()
    clean = DOOR.clean(planted_in)
    assert secret not in json.dumps(json.loads(clean), ensure_ascii=False)
    assert shape(json.loads(clean)) == shape(value)


@given(st.text())
def test_a_string_is_read_and_written_as_json_does(text: str) -> None:
    whole = text.encode("utf-8", "replace").decode()
    assert decoded(json.dumps(whole).encode()).decode() == whole
    assert json.loads(encoded(whole.encode())) == whole
    assert spoken(json.dumps(whole)[1:-1].encode()) == whole


@given(st.text())
def test_raw_json_without_needless_escapes_is_the_same_json(text: str) -> None:
    whole = text.encode("utf-8", "replace").decode()
    for raw in (json.dumps(whole), json.dumps(whole).replace("/", "\\/")):
        assert json.loads(unescaped(raw.encode())) == whole
