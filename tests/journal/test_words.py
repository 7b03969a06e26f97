"""What a person types becomes terms, and terms are marked where a text holds them."""

from __future__ import annotations

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.journal.index import MAX_TEXT_CHARS, spread
from holdfast.journal.words import (
    QUERY_CHARS_MAX,
    SNIPPET_CHARS,
    TOKENS_MAX,
    Highlighter,
    Term,
    apart,
    fold,
    parse,
    stemmed,
    tokens,
)


def term(*words: str, prefix: bool = False) -> Term:
    return Term(words, prefix)


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("", []),
        ("  \n ", []),
        ("Apples  and\tPEARS", [term("apples"), term("and"), term("pears")]),
        ("again Again", [term("again")]),
        ('"build failed" twice', [term("build", "failed"), term("twice")]),
        ('"never closed', [term("never", "closed")]),
        ("foo_bar.baz()", [term("foo", "bar", "baz")]),
        ("begin*", [term("begin", prefix=True)]),
        ('"build fail*"', [term("build", "fail", prefix=True)]),
        ("a*", [term("a")]),
        ("* ** -- — 🙏 ()", []),
        ("Café naïve", [term("cafe"), term("naive")]),
        ("全文検索 색인", [term("全", "文", "検", "索"), term("색", "인")]),
        ("v1.2", [term("v1", "2")]),
        ("мир ß", [term("мир"), term("ß")]),
    ],
)
def test_what_is_typed_becomes_terms(typed: str, terms: list[Term]) -> None:
    assert parse(typed) == terms


def test_a_pasted_page_is_cut_between_words() -> None:
    assert parse("word " * QUERY_CHARS_MAX) == [term("word")]
    terms = parse(" ".join(f"w{number}" for number in range(5_000)))
    assert terms == [term(f"w{number}") for number in range(TOKENS_MAX)]
    (phrase,) = parse('"' + "a b " * 900 + 'c*"')
    assert len(phrase.tokens) == TOKENS_MAX
    assert not phrase.prefix, "its end was cut off"
    assert parse("x" * (QUERY_CHARS_MAX + 1)) == []


@given(st.text(max_size=300))
@settings(deadline=None)
def test_nothing_that_is_typed_is_an_error_or_unbounded(typed: str) -> None:
    terms = parse(typed)
    assert sum(len(each.tokens) for each in terms) <= TOKENS_MAX
    assert len(set(terms)) == len(terms)
    assert all(token and token == fold(token) for each in terms for token in each.tokens)
    assert all(each.tokens for each in apart(terms))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("why did the uploads fail", [term("upload", prefix=True), term("fail", prefix=True)]),
        ("to be or not to be", [term("to"), term("be"), term("or"), term("not")]),
        ('"the migrations" ran*', [term("migr", prefix=True), term("ran", prefix=True)]),
        ("fail failed failing", [term("fail", prefix=True)]),
        ("缓存失效", [term("缓", "存"), term("存", "失"), term("失", "效")]),
        ("全 v2検索", [term("全"), term("v2"), term("検", "索")]),
        ("", []),
    ],
)
def test_a_question_is_taken_apart_into_its_telling_words(typed: str, words: list[Term]) -> None:
    assert apart(parse(typed)) == words


def test_words_lose_their_endings_only_while_something_remains() -> None:
    seen = [stemmed(word) for word in ("migrations", "failed", "boxes", "red", "used", "quickly")]
    assert seen == ["migr", "fail", "boxe", "red", "used", "quick"]


@given(st.text())
@example("İ ß ﬁ e\u0301 が 한 ǅ")
@settings(deadline=None)
def test_folding_keeps_each_character_in_its_place(text: str) -> None:
    assert len(fold(text)) == len(text)


LETTERS = st.sampled_from("abzAZ09éÖßжяλω検索색かが_-.,'\"*()—…🙏\t ")


@given(st.text(LETTERS, max_size=40))
@settings(deadline=None, max_examples=150)
def test_words_are_split_as_the_index_splits_them(text: str) -> None:
    """Else a query would look for words that the index does not have."""
    found = index_tokens(spread(text))
    assert [fold(token) for token in found] == tokens(text)


def index_tokens(text: str) -> list[str]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE words USING fts5 (x, tokenize = 'unicode61 remove_diacritics 2')"
    )
    connection.execute("CREATE VIRTUAL TABLE each USING fts5vocab (words, 'instance')")
    connection.execute("INSERT INTO words VALUES (?)", (text,))
    rows = connection.execute("SELECT term FROM each ORDER BY offset").fetchall()
    connection.close()
    return [str(row[0]) for row in rows]


# Snippets.


def shown(text: str, typed: str) -> str:
    return Highlighter(parse(typed)).snippet(text)


@pytest.mark.parametrize(
    ("text", "typed", "snippet"),
    [
        ("The Needle is here", "needle", "The **Needle** is here"),
        ("one\n\n two\tthree", "two", "one **two** three"),
        ("a needle and needles", "needle", "a **needle** and **needles**"),
        ("it fails, failed", "failing", "it **fails**, **failed**"),
        ("support the port", "port", "support the **port**"),
        ("use foo_bar.baz(x)", "foo.bar", "use **foo_bar**.baz(x)"),
        ("foo bar, bar foo", '"bar foo"', "foo bar, **bar foo**"),
        ("a beginning", "begin*", "a **beginning**"),
        ("cat category", "cat", "**cat** category"),
        ("un café français", "CAFE Francais", "un **café** **français**"),
        ("全文検索と検索", "検索", "全文**検索**と**検索**"),
        ("a 検索 index", "検索index", "a **検索 index**"),
        ("nothing of it", "other", "nothing of it"),
        ("to be or not to be", "to be", "**to** **be** or not **to** **be**"),
        ("the cat", "the cat", "the **cat**"),
        ("", "x", ""),
        ("no terms", "", "no terms"),
    ],
)
def test_a_snippet_marks_what_was_found(text: str, typed: str, snippet: str) -> None:
    assert shown(text, typed) == snippet


def test_a_snippet_is_cut_around_the_first_word() -> None:
    text = "before " * 200 + "needle" + " behind" * 200
    snippet = shown(text, "needle")
    assert "before **needle** behind" in snippet
    assert (snippet[0], snippet[-1]) == ("…", "…")
    assert len(snippet) == SNIPPET_CHARS + len("…**") * 2
    assert shown("needle" + " behind" * 200, "needle").startswith("**needle**")
    assert shown("before " * 200 + "needle", "needle").endswith("**needle**")


def test_only_the_indexed_part_of_a_huge_text_is_looked_at() -> None:
    assert "**" not in shown("x" * MAX_TEXT_CHARS + " needle", "needle")


@given(st.text(LETTERS, max_size=60), st.text(LETTERS, max_size=12))
@settings(deadline=None)
def test_a_snippet_without_its_marks_is_the_text(text: str, typed: str) -> None:
    text = text.replace("*", "")
    assert shown(text, typed).replace("**", "") == " ".join(text.split())
