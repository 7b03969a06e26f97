"""How figures, times and tables are written for people."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli import output

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1_000, "1.0 KiB"),
        (1_024, "1.0 KiB"),
        (1_536, "1.5 KiB"),
        (999 << 10, "999.0 KiB"),
        (1_000 << 10, "1.0 MiB"),
        (209_715_200, "200.0 MiB"),
        (1 << 30, "1.0 GiB"),
        (5_000 << 30, "5,000.0 GiB"),
        (-2_048, "-2.0 KiB"),
    ],
)
def test_a_size_is_written_in_the_units_of_the_settings(count: int, text: str) -> None:
    assert output.size(count) == text


@given(st.integers(-(1 << 50), 1 << 50))
def test_a_size_fits_its_column(count: int) -> None:
    text = output.size(count)
    assert text.endswith(" GiB") or len(text.removeprefix("-")) <= len("999.9 KiB")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("", "-"),
        ("2026-01-01T00:00:00.000Z", "just now"),
        ("2026-01-01T00:00:30.000Z", "just now"),  # a clock that is ahead
        ("2025-12-31T23:59:01.000Z", "just now"),
        ("2025-12-31T23:59:00.000Z", "1 min ago"),
        ("2025-12-31T23:00:01.000Z", "59 min ago"),
        ("2025-12-31T22:00:00.000Z", "2 h ago"),
        ("2025-12-31T00:00:00.000Z", "1 d ago"),
        ("2025-01-01T00:00:00.000Z", "365 d ago"),
        ("yesterday", "yesterday"),
    ],
)
def test_a_time_is_said_as_people_say_it(at: str, text: str) -> None:
    assert output.ago(at, NOW_S) == text


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("plain", 5),
        ("naïve", 5),
        ("nai\u0308ve", 5),  # the dots stand on the letter before them
        ("会話", 4),
        ("대화", 4),
        ("ﾃｽﾄ", 3),  # half-width forms
        ("a會b", 4),
        ("🎉", 2),
        ("a\u200db", 2),  # a joiner takes no room
    ],
)
def test_the_width_of_a_text_is_what_a_terminal_needs(text: str, columns: int) -> None:
    assert output.width(text) == columns


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 30))
def test_what_is_cut_fits_and_says_that_it_was_cut(text: str, room: int) -> None:
    cut = output.cut(text, room)
    assert output.width(cut) <= room
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    assert (cut == text) == (output.width(text) <= room)


def columns_of(line: str, mark: str) -> int:
    return output.width(line[: line.index(mark)])


def test_columns_stay_in_line_under_wide_characters() -> None:
    rows = [("1", "short", "|a"), ("2", "会話を保存する", "|b"), ("3", "🎉 done", "|c")]
    lines = output.table(("N", "NAME", "|END"), rows).splitlines()
    assert len({columns_of(line, "|") for line in lines}) == 1


def test_figures_stand_at_the_right_of_their_column() -> None:
    lines = output.table(("N", "T"), [("1", "a"), ("1,000", "b")], right=frozenset({0}))
    assert lines.splitlines() == ["    N  T", "    1  a", "1,000  b"]


def test_a_table_without_rows_is_its_head() -> None:
    assert output.table(("ID", "TITLE"), []) == "ID  TITLE"


def test_the_last_column_is_cut_where_the_terminal_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "WIDTH_WITHOUT_TERMINAL", 40)
    lines = output.table(("ID", "TITLE"), [("1", "会" * 50)]).splitlines()
    assert output.width(lines[1]) <= 40
    assert lines[1].endswith("…")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(2, 30))
def test_what_is_wrapped_fits_and_nothing_of_it_is_gone(text: str, room: int) -> None:
    lines = output.wrapped(text, room)
    assert all(output.width(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_last_column_that_is_wanted_whole_goes_on_below_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [("1", "an outcome that takes more than a line"), ("2", "short")]
    monkeypatch.setattr(output, "WIDTH_WITHOUT_TERMINAL", 24)
    lines = output.table(("N", "OUTCOME"), rows, whole=True).splitlines()
    assert lines[1] == "1  an outcome that takes more than a line"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = output.table(("N", "OUTCOME"), rows, whole=True).splitlines()
    assert lines[1:] == ["1  an outcome that takes", "   more than a line", "2  short"]


def test_no_title_can_steer_a_terminal() -> None:
    hostile = "a\x1b[2Jb\x07c\nd\x9be\u2028f"
    assert output.plain(hostile) == "a [2Jb c d e f"
    assert not any(unicodedata.category(char) == "Cc" for char in output.plain(hostile))


def test_talk_goes_to_stderr_and_data_to_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.say("for people")
    output.put_json({"for": "programs"})
    output.put_bytes([b"raw", b"\xff"])
    out, err = capfdbinary.readouterr()
    assert err == b"for people\n"
    assert out == b'{"for":"programs"}\nraw\xff'


def test_there_is_no_style_where_nobody_looks() -> None:
    assert output.bold("x") == output.dim("x") == "x"


@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_no_color_is_obeyed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, no_color: str, *, styled: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert (output.bold("x") != "x") is styled
