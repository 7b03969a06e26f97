"""Records that do not fit their shape are taken apart, and one odd field costs itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct, field

from holdfast.sources.loose import record_fields, take_apart


class Shape(Struct, rename="camel"):
    said: str = "nothing"
    many_words: int = field(default=3, name="wordCount")
    more: list[str] | None = None


def taken(line: bytes) -> Shape:
    fields = record_fields(line)
    assert fields is not None
    return take_apart(fields, Shape)


def test_fields_that_fit_are_read_and_the_others_are_as_if_absent() -> None:
    assert taken(b'{"said":7,"wordCount":12,"more":["a"],"else":{}}') == Shape("nothing", 12, ["a"])
    assert taken(b'{"said":"yes","wordCount":"x","many_words":9}') == Shape("yes")


def test_the_readers_of_a_shape_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken(b'{"said":"first"}')

    def again(_shape: Any) -> Any:
        raise AssertionError("looked at the shape again")

    monkeypatch.setattr(msgspec.structs, "fields", again)
    assert taken(b'{"said":"second"}') == Shape("second")
