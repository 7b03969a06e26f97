"""What is a command in a message and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.recording.commands import COMMANDS_MAX, BadCommand, Command, find_commands


def told(message: str) -> list[tuple[str, str]]:
    """Name and path of each command; "bad" and the reason of each that is none."""
    return [
        ("bad", each.reason) if isinstance(each, BadCommand) else (each.name, each.path)
        for each in find_commands(message)
    ]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("::init", [("init", "")]),
        ("::init notes.md", [("init", "notes.md")]),
        ("::record", [("record", "")]),
        ("::capture", [("capture", "")]),
        ("::capture ~/talks/notes.md", [("capture", "~/talks/notes.md")]),
        ("::export /tmp/x.jsonl", [("export", "/tmp/x.jsonl")]),
        ("::stop", [("stop", "")]),
        ("please do\n\n   ::record   \nand then go on", [("record", "")]),
        ("::init a.md\r\n::record\r::stop", [("init", "a.md"), ("record", ""), ("stop", "")]),
        ("\ufeff::record", [("record", "")]),
        ("::stop.", [("stop", "")]),
        ("::record !", [("record", "")]),
        ("::stop\n::stop", [("stop", ""), ("stop", "")]),
    ],
)
def test_commands(message: str, found: list[tuple[str, str]]) -> None:
    assert told(message) == found


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ('"my notes.md"', "my notes.md"),
        ("'my notes.md'", "my notes.md"),
        ("“my notes.md”.", "my notes.md"),
        ("‘my notes.md’", "my notes.md"),  # noqa: RUF001
        ("„meine Notizen.md“", "meine Notizen.md"),
        ("«mes notes.md»", "mes notes.md"),
        ("`my notes.md`", "my notes.md"),
        ("`` a`b.md ``", "a`b.md"),
        ("<my notes.md>", "my notes.md"),
        ("[notes](notes.md)", "notes.md"),
        ("[notes](my%20notes.md)", "my notes.md"),
        ("[notes](<my notes.md>)!", "my notes.md"),
        ('[notes](notes.md "a title")', "notes.md"),
        ("[n](file:///home/hana/a%20b.md)", "/home/hana/a b.md"),
        ("`[notes](notes.md)`", "notes.md"),
        ("**notes.md**", "notes.md"),
        ("**my notes**.", "my notes"),
        ("***notes.md***", "notes.md"),
        ("*notes.md*", "notes.md"),
        ("__notes.md__", "notes.md"),
        ("**`my notes.md`**", "my notes.md"),
        ("`**notes.md**`", "notes.md"),
        ("__init__", "__init__"),
        ("_drafts/", "_drafts/"),
        ("file:///home/hana/a%20b.md", "/home/hana/a b.md"),
        ("notes.md.", "notes.md"),
        ("notes.md, ", "notes.md"),
        ("my notes.md", "my notes.md"),
        ("my notes/", "my notes/"),
        ('"notes.md."', "notes.md."),
        (".", "."),
        ("..", ".."),
        ("../", "../"),
        ("a::b.md", "a::b.md"),
        ("検索/メモ.md", "検索/メモ.md"),
        ("\u00a0notes.md", "notes.md"),
        ("~bob/x.md", "~bob/x.md"),
        ("100%25.md", "100%25.md"),
    ],
)
def test_paths(typed: str, path: str) -> None:
    assert told(f"::capture {typed}") == [("capture", path)]


@pytest.mark.parametrize(
    "message",
    [
        "```\n::stop\n```",
        "~~~sh\n::stop\n~~~",
        "````\n```\n::stop\n````",
        "```\n~~~\n::stop",
        "```\n::stop",
        "- like this:\n  ```\n  ::stop\n  ```",
        "- ```\n  ::stop\n  ```",
        "1. so\n\n    ```\n::stop\n    ```",
        "> ```\n> ::stop\n> ```",
        "> ::stop",
        "- ::stop",
        "    ::stop",
        "\t::stop",
        "`::stop`",
        "a `code span\n::stop\nover lines` here",
        "<!-- \n::stop\n-->",
        "before <!-- \n::stop\n--> behind",
        "<!--\n\n::stop",
        "<pre>\n::stop\n</pre>",
        "say ::stop to end",
        ":: stop the server first",
        "::: note",
        ":::stop()",
        "**::stop** ends it, they say",
        "std::vector<int> x;",
        "::std::vector<int> x;",
        "::before",
        "::before {",
        "::-webkit-scrollbar",
        "::selection { color: red }",
        "::first-line",
        "::init()",
        "::record::field",
        "::Stopwatch::start()",
        "::recorder.begin()",
        "::youtube[Video]{#id}",
        "::foo bar",
        "::a_name",
        "",
    ],
)
def test_what_is_quoted_or_code_is_passed_over_without_a_word(message: str) -> None:
    assert told(message) == []


@pytest.mark.parametrize(
    "before",
    [
        "```\nx\n```",
        "~~~\nx\n~~~~",
        "- ```\n  x\n  ```",
        "> ```\n> x",
        "``` not a fence ` ```",
        "a ` alone",
        "<!-- x -->",
        "<pre>x</pre>",
        "<pre>\nx\n</pre>",
        "    indented",
        "- item\n\ntext",
        "a <!-- that never ends",
    ],
)
def test_what_is_closed_before_does_not_matter(before: str) -> None:
    assert told(f"{before}\n::stop") == [("stop", "")]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("::export", "needs a path"),
        ("::stop now", "takes nothing"),
        ("::record notes.md", "::capture PATH"),
        ("::recrod", "`::record`"),
        ("::Record", "`::record`"),
        ("::STOP", "`::stop`"),
        ("::captrue notes.md", "`::capture`"),
        ("::exports", "`::export`"),
        ("::help", "::init, ::record, ::capture, ::export, ::stop"),
        ("::capture this is a sentence", "quotes"),
        ('::capture "my notes.md', "not closed"),
        ("::capture “my notes.md", "not closed"),
        ('::capture ""', "empty"),
        ("::capture `a\tb`", "control character"),
        ("::capture `a\0b`", "control character"),
        ("::capture [x](https://example.org/a.md)", "address"),
        ("::capture " + "x" * 5_000, "too long"),
        ("::capture **notes.md", "not closed"),
        ("::capture:notes.md", "`::capture notes.md`"),
        ("::capture=notes.md", "`::capture notes.md`"),
        ('::export"notes.md"', "`::export notes.md`"),
        ("::capture/tmp/notes.md", "`::capture notes.md`"),
        ("::capture: what we say", "`::capture notes.md`"),
        ("::stop:now", "takes nothing"),
        (":: stop", "`::stop`"),
        (":::capture notes.md", "`::capture`"),
        ("**::stop**", "nothing around it"),
        ("__::stop__", "nothing around it"),
        ("**::capture notes.md**", "nothing around it"),
    ],
)
def test_a_slip_is_told_with_what_to_do(message: str, says: str) -> None:
    ((name, reason),) = told(message)
    assert name == "bad"
    assert says in reason


def test_good_ones_stand_beside_bad_ones() -> None:
    found = told("::recrod\n::init notes.md\n::stop it\n::record")
    assert [name for name, _ in found] == ["bad", "init", "bad", "record"]


def test_equal_lines_are_told_apart_and_others_change_nothing() -> None:
    stops = [each for each in find_commands("::stop\n::record\n::stop") if each.text == "::stop"]
    assert [each.nth for each in stops] == [0, 1]


def test_a_message_of_commands_only_is_cut_with_a_word() -> None:
    found = find_commands("::stop\n" * (COMMANDS_MAX + 10))
    assert len(found) == COMMANDS_MAX + 1
    assert isinstance(found[-1], BadCommand)


HOSTILE = [
    "`" * 1_000_000 + "\n::stop",
    "::stop\n" * 150_000,
    "`a" * 500_000 + "\n::stop",
    "<!--" * 250_000 + "\n::stop",
    "> " * 500_000 + "```\n::stop",
    "``` \n" * 200_000 + "::stop",
    "- " * 500_000 + "\n::stop",
    "::capture [" + "[" * 1_000_000,
    "::capture [x](" + " (a" * 1_300 + ")x",
    "::capture " + '"' * 1_000_000,
    "1. " * 300_000 + "::stop",
    "::" * 500_000,
    "\n".join("`" * (width % 1_400) for width in range(1_400)) + "\n::stop",
    " " * 1_000_000 + "::stop",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_megabyte_is_answered(number: int) -> None:
    """In tenths of a second; work that grows faster than the message would take hours."""
    assert len(find_commands(HOSTILE[number])) <= COMMANDS_MAX + 1


lines = st.sampled_from(
    [
        *("::stop", "::record", "::capture a.md", "::recrod", "text", "", "  ", "> ", "- item"),
        *("```", "~~~", "````", "- ```", "> ```", "    ```", "`", "`` x", "<!--", "-->", "<pre>"),
        *("</pre>", "\t::stop", "1. x", "::before", "std::x"),
    ]
)


@given(st.lists(lines, max_size=12).map("\n".join))
def test_a_command_is_a_line_that_says_so_and_stands_in_no_open_fence(message: str) -> None:
    spoken = [line.strip() for line in message.split("\n")]
    for each in find_commands(message):
        assert each.text in spoken
    assert find_commands(f"```\n{message.replace('`', '')}") == []
    assert find_commands("\n".join(f"> {line}" for line in message.split("\n"))) == []


@given(st.text(), st.text(alphabet="`\"'<>[]() :.~/a\n", max_size=200))
def test_nothing_that_is_typed_is_an_error(anything: str, marks: str) -> None:
    for message in (anything, marks, f"::capture {marks}", f"::{anything}"):
        for each in find_commands(message):
            assert isinstance(each, Command | BadCommand)
            assert each.text


@given(st.from_regex(r"[\w/.-][\w /.-]{0,30}\w\.md", fullmatch=True))
def test_a_path_in_any_quotes_is_the_same_path(path: str) -> None:
    for pair in ['""', "''", "``", "“”", "‘’", "<>", "«»"]:  # noqa: RUF001
        assert told(f"::capture {pair[0]}{path}{pair[1]}") == [("capture", path)]
