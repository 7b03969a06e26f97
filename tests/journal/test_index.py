"""What of an event is indexed."""

from __future__ import annotations

import pytest

from holdfast.events import KINDS, Kind
from holdfast.journal.conformance import at, said
from holdfast.journal.index import COLUMN_OF_KIND, COLUMNS, MAX_TEXT_CHARS, is_cjk, spread, text_of


def test_conversation_is_indexed_and_the_output_of_tools_is_not() -> None:
    indexed = {kind for kind in KINDS if text_of(said("s", 0, "text", kind, at(1)))}
    assert {Kind.USER, Kind.ASSISTANT, Kind.THINKING, Kind.TOOL_CALL} <= indexed
    assert not {Kind.TOOL_RESULT, Kind.PROVIDER_RAW, Kind.PROVIDER_INFO} & indexed


def test_each_kind_goes_to_a_column_that_there_is() -> None:
    assert set(COLUMN_OF_KIND) <= KINDS
    assert set(COLUMN_OF_KIND.values()) <= set(range(len(COLUMNS)))


def test_nothing_is_indexed_of_an_event_without_text() -> None:
    assert text_of(said("s", 0, "", Kind.USER, at(1))) is None


def test_a_huge_text_is_indexed_to_its_limit() -> None:
    text = text_of(said("s", 7, "x" * (MAX_TEXT_CHARS + 1), Kind.ASSISTANT, at(1)))
    assert text is not None
    assert (text.seq, text.column, len(text.text)) == (7, 1, MAX_TEXT_CHARS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain words", ["plain", "words"]),
        ("検索v2を", ["検", "索", "v2", "を"]),
        ("한국어", ["한", "국", "어"]),
        ("ﾊﾝｶｸ", ["ﾊ", "ﾝ", "ｶ", "ｸ"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
        ("naïve мир", ["naïve", "мир"]),
    ],
)
def test_characters_that_are_words_stand_alone(text: str, words: list[str]) -> None:
    assert spread(text).split() == words
    assert all(is_cjk(word) for word in words if len(word) == 1)
    assert not any(is_cjk(word[0]) for word in words if len(word) > 1)
