"""Where a key stands: `toml_lines` against texts whose lines are known because they were built."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.settings.toml_lines import KeyPath, item_lines, key_lines
from holdfast.settings.toml_text import write_key, write_value

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lines_of(text: str) -> dict[str, int]:
    tomllib.loads(text)
    return {write_key(path): line for path, line in key_lines(text).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# a = 1", {}),
        ("a = 1", {"a": 1}),
        ("\n\n  a=1#b = 2\n\tb = 2", {"a": 3, "b": 4}),
        ("[t]\na = 1\n[u]\na = 2", {"t": 1, "t.a": 2, "u": 3, "u.a": 4}),
        ("[ a . 'b' ]\nc = 1", {"a": 1, "a.b": 1, "a.b.c": 2}),
        ("a.b.c = 1\na.d = 2", {"a": 1, "a.b": 1, "a.b.c": 1, "a.d": 2}),
        ("[a.b]\n[a]\nc = 1", {"a": 1, "a.b": 1, "a.c": 3}),
        ('"a b" = 1\n"" = 2\n\'x"y\' = 3', {'"a b"': 1, '""': 2, '"x\\"y"': 3}),
        ('"a\\u002eb" = 1\n"]#=" = 2\n["]"]\n', {'"a.b"': 1, '"]#="': 2, '"]"': 3}),
        ("a = {b = 1, c = {d = 2}}\ne = 3", {"a": 1, "a.b": 1, "a.c": 1, "a.c.d": 1, "e": 2}),
        ("a = {b = [\n1,\n], c = 2}", {"a": 1, "a.b": 1, "a.c": 3}),
        ('a = """\nb = 1\n"""\nc = 2', {"a": 1, "c": 4}),
        ("a = '''\n[b]\nc = \"\"\"'''\nd = 2", {"a": 1, "d": 4}),
        ('a = """x\\"""" # """\nb = 1', {"a": 1, "b": 2}),
        ('a = """""x"""""\nb = 1', {"a": 1, "b": 2}),
        ("a = '''''x'''''\nb = 1", {"a": 1, "b": 2}),
        ('a = """\\\\"""\nb = 1', {"a": 1, "b": 2}),
        (
            "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''\ne = 1",
            {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
        ),
        ("a = [ # b = 1 ]\n  ']', \"]\", # ]\n]\nc = 1", {"a": 1, "c": 4}),
        ("a = [{b = 1}, [{c = 2}]]\nd = 1", {"a": 1, "d": 2}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\n[c]\nd = 3", {"a": 1, "c": 5, "c.d": 6}),
        ("a = 1979-05-27 07:32:00\nb = -inf\nc = 0x1F", {"a": 1, "b": 2, "c": 3}),
        ("a = 1\r\nb = '''x\r\ny'''\r\n\r\nc = 1\r\n", {"a": 1, "b": 2, "c": 5}),
    ],
)
def test_keys_stand_where_they_are_written(text: str, expected: dict[str, int]) -> None:
    assert lines_of(text) == expected


def test_what_tomllib_nests_the_walk_nests_too() -> None:
    """Else a file that tomllib takes could end the program with a RecursionError."""
    depth = sys.getrecursionlimit()
    while True:
        text = f"a = {'[' * depth}{']' * depth}\nb = 1"
        try:
            tomllib.loads(text)
        except RecursionError:
            depth -= 20
        else:
            break
    assert key_lines(text)["b",] == 2


@dataclass
class Built:
    """A text under construction, with the line of each key as it is written."""

    text: str = ""
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def note(self, path: KeyPath) -> None:
        line = self.text.count("\n") + 1
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)


MISLEADING = (
    "",
    "x = 1",
    "[t]",
    "#",
    "]",
    "}",
    ",",
    "=",
    "'",
    '"',
    "\\\\",
    "é\u2028",
    "\n",
    "\na = 1\n",
)
spaces = st.sampled_from(["", " ", "\t", "  "])
comments = st.sampled_from(["", "# x = 1", " #[t]", '\t# """', "# '''", "# [[", "# }]"])
plain = st.sampled_from(
    [
        "1",
        "0x1f",
        "1_000",
        "true",
        "-inf",
        "nan",
        "1e9",
        "1979-05-27 07:32:00Z",
        "07:32:00",
    ]
)
words = st.lists(st.sampled_from(MISLEADING), max_size=5).map("".join)


def one_line(text: str) -> str:
    return text.replace("\n", " ")


strings = st.one_of(
    words.map(write_value),
    words.map(lambda text: f"'{one_line(text).replace(chr(39), '')}'"),
    words.map(lambda text: '"""' + text.replace('"""', '""\\"').rstrip('"') + '"""'),
    words.map(lambda text: '"""' + text.replace('"', "") + '"""""'),
    words.map(lambda text: "'''" + text.replace("'", "") + "''''"),
)
name_styles = st.sampled_from(
    [
        "n{}".format,
        "'n#]={}'".format,
        '"n.{}"'.format,
        '"n\\u003d\\"{}"'.format,
        "{}".format,
    ]
)


class Writer:
    """Draws a TOML text statement by statement; names are numbered, so none comes twice."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.built = Built()
        self.count = 0

    def put(self, text: str) -> None:
        self.built.text += text

    def key(self) -> tuple[str, KeyPath]:
        parts: list[str] = []
        path: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            self.count += 1
            part = self.draw(name_styles)(self.count)
            parts.append(part)
            path += tomllib.loads(f"{part} = 1")
        return self.draw(st.sampled_from([".", " . ", "\t."])).join(parts), tuple(path)

    def gap(self) -> None:
        for _ in range(self.draw(st.integers(0, 2))):
            self.put(f"{self.draw(spaces)}{self.draw(comments)}\n")
        self.put(self.draw(spaces))

    def pair(self, table: KeyPath | None, depth: int) -> None:
        written, path = self.key()
        full = None if table is None else table + path
        if full is not None:
            self.built.note(full)
        self.put(f"{written}{self.draw(spaces)}={self.draw(spaces)}")
        self.value(full, depth)

    def value(self, path: KeyPath | None, depth: int) -> None:
        shape = self.draw(
            st.sampled_from(["plain", "string", "array", "inline"][: 4 if depth else 2])
        )
        if shape == "plain":
            self.put(self.draw(plain))
        elif shape == "string":
            self.put(self.draw(strings))
        elif shape == "array":
            self.array(depth - 1)
        else:
            self.inline(path, depth - 1)

    def array(self, depth: int) -> None:
        self.put("[")
        for _ in range(self.draw(st.integers(0, 3))):
            self.gap()
            self.value(None, depth)
            self.gap()
            self.put(",")
        self.gap()
        self.put("]")

    def inline(self, path: KeyPath | None, depth: int) -> None:
        self.put("{")
        for place in range(self.draw(st.integers(0, 3))):
            self.put(f"{',' if place else ''}{self.draw(spaces)}")
            self.pair(path, depth)
        self.put(f"{self.draw(spaces)}}}")

    def document(self) -> Built:
        table: KeyPath | None = ()
        for _ in range(self.draw(st.integers(0, 8))):
            self.gap()
            shape = self.draw(st.sampled_from(["pair", "pair", "pair", "table", "array of tables"]))
            if shape == "pair":
                self.pair(table, 2)
            else:
                table = self.header("[" if shape == "table" else "[[")
            self.put(f"{self.draw(spaces)}{self.draw(comments)}\n")
        return self.built

    def header(self, bracket: str) -> KeyPath | None:
        written, path = self.key()
        self.built.note(path)
        closing = "]" * len(bracket)
        self.put(f"{bracket}{self.draw(spaces)}{written}{self.draw(spaces)}{closing}")
        return path if bracket == "[" else None


@st.composite
def documents(draw: st.DrawFn) -> Built:
    return Writer(draw).document()


def paths_in(table: dict[str, Any], above: KeyPath = ()) -> set[KeyPath]:
    found = {(*above, name) for name in table}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= paths_in(value, (*above, name))
    return found


@patient
@given(documents())
def test_the_line_of_every_key_of_any_text_is_the_one_it_was_written_on(built: Built) -> None:
    assert paths_in(tomllib.loads(built.text)) == set(built.lines)
    assert key_lines(built.text) == built.lines


@patient
@given(documents())
def test_windows_line_ends_change_no_line(built: Built) -> None:
    text = built.text.replace("\n", "\r\n")
    assert paths_in(tomllib.loads(text)) == set(built.lines)
    assert key_lines(text) == built.lines


scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.datetimes(),
    st.dates(),
    st.times(),
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@patient
@given(st.lists(st.text(), min_size=1).map(tuple), values)
def test_what_is_written_reads_back(path: KeyPath, value: object) -> None:
    read: Any = tomllib.loads(f"{write_key(path)} = {write_value(value)}")
    for name in path:
        read = read[name]
    assert read == value


@patient
@given(st.text(st.characters(codec=None)), st.integers())
def test_anything_can_be_shown_on_one_line(text: str, number: int) -> None:
    """A variable may hold bytes that are not Unicode, and TOML numbers of any length."""
    for value in (text, "\udcff", number << 100_000):
        assert write_value(value).isprintable()


def test_of_arrays_it_tells_where_each_item_begins() -> None:
    text = """a = [1, 2,
  3]
[s]
rules = [
  { name = "x", deep = [
    1 ] }, # not here
  { name = "y" },
]
[[s.tables]]
name = "x"

[[s.tables]]
"""
    assert item_lines(text) == {
        ("a",): [1, 1, 2],
        ("s", "rules"): [5, 7],
        ("s", "tables"): [9, 12],
    }
    assert ("s", "tables", "name") not in key_lines(text)
