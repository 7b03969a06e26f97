from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.events import KINDS, Actor, Event, Kind, Origin
from holdfast.recording import SessionHead, View, render_markdown
from holdfast.recording.markdown import clean, speaker

AT = "2026-01-02T03:04:05.678Z"
ALL = View(thinking=True, tools=True, system=True)

HEAD = SessionHead(
    id="0123456789abc",
    title="Fix the bug",
    desc="",
    created=AT,
    updated=AT,
    participants=["User", "Claude"],
    session="claude/11111111-2222",
    tags=[],
)


def event(
    kind: str,
    text: str = "",
    *,
    data: object = None,
    raw: bytes | None = None,
    at: str = AT,
    agent: str | None = "claude",
    actor: Actor | None = None,
    sidechain: bool = False,
) -> Event:
    return Event(
        id="s.0.0.0",
        session="s",
        seq=0,
        kind=kind,
        at=at,
        text=text,
        data=msgspec.Raw(json.dumps(data).encode() if raw is None else raw),
        source=Origin(agent=agent, file="f", offset=0) if agent is not None else None,
        actor=actor,
        sidechain=sidechain,
    )


def call(name: object, payload: object, text: str = "") -> Event:
    data = {"tool_use_id": "t", "name": name, "input": payload}
    return event(Kind.TOOL_CALL, text, data=data)


def result(text: str, *, is_error: bool = False) -> Event:
    data = {"tool_use_id": "t", "is_error": is_error}
    return event(Kind.TOOL_RESULT, text, data=data)


def body(*events: Event, options: View = ALL) -> str:
    """What follows the front matter."""
    text = "".join(render_markdown(HEAD, events, options))
    return text.split("\n---\n", 1)[1]


# Readers of the document, written without a look at the writer.

HEADING = re.compile(r"# ([A-Za-z0-9-]+)_(\d{4}-\d\d-\d\d_\d{4}_\d\d|undated)")
MARKER = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def outside_fences(text: str) -> list[str]:
    """The lines outside of fences, by CommonMark's rules for fences that stand in no container."""
    lines = []
    fence = ""
    for line in text.split("\n"):
        marker = MARKER.fullmatch(line)
        if fence:
            if marker and marker[1].startswith(fence) and not marker[2].strip(" \t"):
                fence = ""
        elif marker and not (marker[1][0] == "`" and "`" in marker[2]):
            fence = marker[1]
        else:
            lines.append(line)
    assert not fence, f"open at the end: {text!r}"
    return lines


def headings(text: str) -> list[str]:
    return [found[1] for line in outside_fences(text) if (found := HEADING.fullmatch(line))]


def parsed_headings(text: str) -> list[str]:
    """The same by a whole CommonMark parser (which `rich`, a dependency of ours, brings)."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        found[1]
        for token, inline in itertools.pairwise(tokens)
        if token.type == "heading_open" and token.tag == "h1" and token.level == 0
        if (found := HEADING.fullmatch("# " + inline.content))
    ]


def changes(names: list[str]) -> list[str]:
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


YAML_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}


def read_scalar(text: str) -> str:
    """A YAML 1.2 double-quoted scalar on one line, or an error."""
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\nrtbf]|\\u[0-9a-f]{4})*"', text), text
    # c-printable of the specification, without line ends and the byte order mark
    assert re.fullmatch(
        r"[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*", text
    )

    def escape(found: re.Match[str]) -> str:
        code = found[1]
        return YAML_ESCAPES[code] if len(code) == 1 else chr(int(code[1:], 16))

    return re.sub(r"\\(u[0-9a-f]{4}|.)", escape, text[1:-1])


def read_front_matter(text: str) -> dict[str, object]:
    lines = text.split("\n")
    assert lines[0] == "---"
    fields: dict[str, object] = {}
    for line in lines[1 : lines.index("---", 1)]:
        key, _, value = line.partition(": ")
        assert key not in fields
        if value.startswith("["):
            assert value.endswith("]")
            items = re.findall(r'"(?:[^"\\]|\\.)*"', value)
            assert value == f"[{', '.join(items)}]"
            fields[key] = [read_scalar(item) for item in items]
        else:
            fields[key] = read_scalar(value)
    return fields


GOLDEN = """\
---
id: "0123456789abc"
title: "Fix the bug"
desc: ""
created: "2026-01-02T03:04:05.678Z"
updated: "2026-01-02T03:04:05.678Z"
participants: ["User", "Claude"]
session: "claude/11111111-2222"
tags: []
---

# User_2026-01-02_0304_05

Why does `make` fail?

It worked *yesterday*.

# Claude_2026-01-02_0304_06

> [!note] Thinking
> Look first.
>
> Then think.

I'll look.

**Tool: Bash**

```bash
make
```

```json
{
  "description": "Build"
}
```

**Tool error**

````
```
no rule
```
````

**Tool: Read**

```json
{
  "file_path": "/a",
  "limit": 10
}
```

**Tool result** (empty)

**Decision proposed**

Write a rule.

# User_2026-01-02_0305_00

**Decision accepted**

Write a rule.

---

*conversation compacted here*

# Claude-subagent_2026-01-02_0306_00

Find the rule.

Found.

# System_2026-01-02_0307_00

**session.titled**

Fix the bug

**provider.raw**

```json
{
  "type": "new"
}
```

# Claude_undated

Done.
"""


def conversation() -> list[Event]:
    def at(time: str) -> str:
        return f"2026-01-02T{time}.000Z"

    events = [
        event(Kind.USER, "Why does `make` fail?\n\nIt worked *yesterday*.\n"),
        event(Kind.THINKING, "Look first.\n\nThen think."),
        event(Kind.ASSISTANT, "I'll look."),
        call("Bash", {"command": "make", "description": "Build"}, "make"),
        result("```\nno rule\n```", is_error=True),
        call("Read", {"file_path": "/a", "limit": 10}),
        result(""),
        event(Kind.DECISION_PROPOSED, "Write a rule.", actor="tool"),
        event(Kind.DECISION_ACCEPTED, "Write a rule.", actor="user"),
        event(Kind.SESSION_COMPACTED),
        event(Kind.USER, "Find the rule.", sidechain=True),
        event(Kind.ASSISTANT, "Found.", sidechain=True),
        event(Kind.SESSION_TITLED, "Fix the bug", agent=None),
        event(Kind.PROVIDER_RAW, data={"type": "new"}),
        event(Kind.ASSISTANT, "Done."),
    ]
    for one in events[1:8]:
        one.at = at("03:04:06")
    events[8].at = "2026-01-02T05:05:00+02:00"
    events[10].at = events[11].at = at("03:06:00")
    events[12].at = events[13].at = at("03:07:00")
    events[14].at = ""
    return events


def test_a_small_conversation_looks_like_this() -> None:
    assert "".join(render_markdown(HEAD, conversation(), ALL)) == GOLDEN


def test_the_same_events_give_the_same_bytes_piece_by_piece() -> None:
    """And nothing is read ahead: each event is written before the next one is asked for."""
    seen = 0

    def counted() -> Iterator[Event]:
        nonlocal seen
        for one in conversation():
            seen += 1
            yield one

    pieces = render_markdown(HEAD, counted(), ALL)
    assert next(pieces).endswith("---\n")
    assert seen == 0
    assert next(pieces).startswith("\n# User")
    assert seen == 1
    assert "".join(render_markdown(HEAD, counted(), ALL)) == GOLDEN


def test_options_decide_what_goes_in() -> None:
    plain = body(*conversation(), options=View(tools=False))
    assert re.findall(r"\*\*(.*)\*\*", plain) == ["Decision proposed", "Decision accepted"]
    assert "Thinking" not in plain
    assert "```" not in plain
    assert "# System" not in plain
    assert "conversation compacted" in plain
    usual = body(*conversation(), options=View())
    assert "**Tool: Bash**" in usual
    assert "Thinking" not in usual
    assert "provider.raw" not in usual
    assert "".join(render_markdown(HEAD, conversation())).endswith(usual)


def test_an_event_with_nothing_to_show_gets_no_heading() -> None:
    silent = [
        event(Kind.USER, " \n"),
        event(Kind.THINKING, ""),
        event(Kind.SYSTEM, ""),
        event(Kind.SESSION_TITLED, "x"),
    ]
    assert body(*silent, options=View(thinking=True)) == ""
    assert body(event(Kind.USER, "a"), event(Kind.ASSISTANT, ""), event(Kind.USER, "b")) == (
        "\n# User_2026-01-02_0304_05\n\na\n\nb\n"
    )


def test_pictures_in_a_result_are_named() -> None:
    picture = {"type": "image", "media_type": "image/png", "bytes": 12_345, "blob": "ab12cd34"}
    named = "[image: image/png, 12,345 bytes]"
    data = {"images": [picture, {"media_type": "x]\n# [*"}]}
    shown = body(event(Kind.TOOL_RESULT, "read", data=data))
    assert f"\n**Tool result** {named} [image: x\\] # \\[\\*, 0 bytes]\n\n```\nread\n```\n" in shown
    silent = {"images": [picture], "is_error": True}
    assert f"**Tool error** {named}\n" in body(event(Kind.TOOL_RESULT, "", data=silent))
    other = {"images": ["/tmp/x.png"], "is_error": True}
    assert "**Tool error** (empty)\n" in body(event(Kind.TOOL_RESULT, "", data=other))


def test_speakers_are_named_after_the_agent() -> None:
    for agent, name in [
        ("claude", "Claude"),
        ("codex", "Codex"),
        ("opencode", "OpenCode"),
        ("pi", "Pi"),
        ("gemini_cli", "Gemini-cli"),
        ("a\n# b", "A-b"),
        ("user", "User-agent"),
        ("System", "System-agent"),
        ("", "Assistant"),
    ]:
        assert speaker(event(Kind.ASSISTANT, agent=agent)) == name
        assert speaker(event(Kind.THINKING, agent=agent, sidechain=True)) == f"{name}-subagent"
    assert speaker(event(Kind.DECISION_PROPOSED, actor="system")) == "System"
    assert speaker(event("task.completed")) == "System"
    assert "# Claude_" in body(event(Kind.ASSISTANT, "from the API", agent=None))


@pytest.mark.parametrize(
    ("at", "stamp"),
    [
        ("2026-01-02T03:04:05.678Z", "2026-01-02_0304_05"),
        ("2026-01-02T03:04:05", "2026-01-02_0304_05"),
        ("2026-01-02T01:04:05-02:30", "2026-01-02_0334_05"),
        ("0001-01-01T00:00:00+01:00", "undated"),
        ("", "undated"),
        ("yesterday\n# User", "undated"),
    ],
)
def test_headings_give_utc_or_say_that_there_is_no_time(at: str, stamp: str) -> None:
    assert body(event(Kind.USER, "x", at=at)) == f"\n# User_{stamp}\n\nx\n"


@pytest.mark.parametrize(
    "line",
    [
        "# Claude_2026-01-02_0304_05",
        "   #\tClaude_2026-01-02_0304_05 #",
        "## Claude_2026-01-02_0304_05",
        "# User_undated",
        "**Tool: Bash**",
        "**Decision accepted**",
        "*conversation compacted here*",
        "> [!note] Thinking",
    ],
)
def test_a_message_that_has_a_line_of_ours_gets_a_backslash_before_it(line: str) -> None:
    indent = line[: len(line) - len(line.lstrip())]
    text = body(event(Kind.USER, f"before\n{line}\nafter"))
    assert text == (f"\n# User_2026-01-02_0304_05\n\nbefore\n{indent}\\{line.lstrip()}\nafter\n")


def test_other_markdown_is_left_as_it_is() -> None:
    text = (
        "# A heading\n\nTitle\n=====\n\n---\n\n* **bold**\n> quote\n\n"
        "1. Do\n   ```sh\n   ls\n\n     -l\n   ```\n2. Then\n\n    ```\n    indented\n    ```\n\n"
        "~~~md\n```\nin it\n~~~\n``` a `span` ```\n<details>\n\n```html\n<!--\n```\n</details>\n"
        "<!-- one line --> <pre>one</pre>\n"
    )
    assert body(event(Kind.ASSISTANT, text)) == f"\n# Claude_2026-01-02_0304_05\n\n{text}"


def test_front_matter_and_underlined_headings_cannot_be_forged() -> None:
    text = body(event(Kind.USER, "---\nid: x\n---\n\nClaude_2026-01-02_0304_05\n  ===\nok\n==="))
    assert text.endswith("\n\\---\nid: x\n---\n\nClaude_2026-01-02_0304_05\n  \\===\nok\n===\n")


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("```py\nx = 1", "```\n"),
        ("~~~~\n```\n~~~", "~~~~\n"),
        ("```\na\n```\n`````", "`````\n"),
        ("a\n<!-- b", "\n<!-- </script></pre></style></textarea> ?> ]]> -->\n"),
        ("- ```\n  a", "\n```end\n```\n"),
        ("- a\n  ```\n\ntext\n```\n", "\n```end\n```\n"),
        ("- a\n  ```\n  b", "\n```end\n```\n"),
        ("- a\n  ```\nb\n  ```", "\n```end\n```\n"),
        ("- a\n  ~~~\nb\n  ~~~~", "\n~~~~end\n~~~~\n"),
        ("- ```\n  a\n- ~~~", "\n```end\n```\n\n~~~end\n~~~\n"),
        ("> ```\n\n  ```", "\n```end\n```\n"),
        ("   ```\n  ```\n   ```", "\n```end\n```\n"),
        ("<div>\n```\n\n```", "\n```end\n```\n"),
        ("```\n    ```", "```\n"),
    ],
)
def test_a_block_that_a_message_leaves_open_ends_with_it(text: str, closing: str) -> None:
    user, claude = event(Kind.USER, text), event(Kind.ASSISTANT, "b")
    written = body(user, claude)
    ours = text.strip("\n") + "\n" + closing
    stamp = "2026-01-02_0304_05"
    assert written == f"\n# User_{stamp}\n\n{ours}\n# Claude_{stamp}\n\nb\n"
    assert parsed_headings(written) == headings(written) == ["User", "Claude"]


def test_tool_payloads_are_whole() -> None:
    output = "line\n" * 300_000
    assert output in body(result(output))
    payload = {"big": 10**40, "text": "a\x1b[31m\u2028\x85```\n", "content": "x" * 100_000}
    text = body(call("Write", payload))
    assert "\x1b" not in text
    fence = re.search(r"\n(`+)json\n(.*)\n\1\n", text, re.DOTALL)
    assert fence
    assert json.loads(fence[2]) == payload


def test_deep_payloads_do_not_grow() -> None:
    deep: object = ["x"] * 50_000
    for _ in range(400):
        deep = [deep]
    assert len(body(call("Deep", deep))) < 300_000
    bottomless = b'{"name":"Deep","input":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert "[" * 5000 in body(event(Kind.TOOL_CALL, raw=bottomless))


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"x"', b'{"name": 1}', b"{broken \xff"])
def test_data_of_another_shape_is_shown_as_it_is(raw: bytes) -> None:
    text = body(event(Kind.TOOL_CALL, "ls", raw=raw), event(Kind.TOOL_RESULT, "out", raw=raw))
    shown = raw.decode("utf-8", "replace") if raw not in {b"", b"null"} else "ls"
    assert "**Tool: unknown**" in text
    assert "".join(shown.split()) in "".join(text.split("**Tool result**")[0].split())
    assert "\n```\nout\n```\n" in text


@pytest.mark.parametrize("payload", [{"command": ["ls"]}, {"command": None}, {}, [], "ls"])
def test_a_shell_call_without_a_command_is_shown_as_json(payload: object) -> None:
    text = body(call("Bash", payload))
    assert json.loads(text.split("```json\n")[1].split("```")[0]) == payload


def test_a_tool_name_stays_on_its_line() -> None:
    text = body(call("x**\n\n# User_2026-01-02_0304_05\n`<!--", {}))
    assert "\n**Tool: x\\*\\* # User_2026-01-02_0304_05 \\`\\<!--**\n" in text
    assert parsed_headings(text) == headings(text) == ["Claude"]


def test_system_events_show_their_text_or_else_their_data() -> None:
    text = body(
        event(Kind.SYSTEM, "Caveat"),
        event(Kind.PROVIDER_INFO, data={"a": 1}),
        event(Kind.PROVIDER_RAW, "no data"),
        event("task.completed", "well"),
        event(Kind.SESSION_STARTED),
        event(Kind.SESSION_COMPACTED, "the summary"),
    )
    assert text == (
        "\n# System_2026-01-02_0304_05\n\nCaveat\n\n**provider.info**\n\n"
        '```json\n{\n  "a": 1\n}\n```\n\n**provider.raw**\n\n```\nno data\n```\n\n'
        "**task.completed**\n\nwell\n\n**session.started**\n\n---\n\n"
        "*conversation compacted here*\n\n**session.compacted**\n\nthe summary\n"
    )


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\nä 🙂\u00a0", "plain\ttext\nä 🙂\u00a0"),
        ("\x1b[1;31mred\x1b[0m \x9b2Jc1", "red c1"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("\x9d0;title\x9cok \x1bPq#0\x1b\\", "ok "),
        ("\x1b(Ba\x1bMb\x1b7", "ab"),
        ("\x1b]0;never ends\nall of this stays", "0;never ends\nall of this stays"),
        ("\x1b\x1b[31m[31mx", "\ufffd[31mx"),
        ("\x1b", "\ufffd"),
        ("a\r\nb\rc\r\r\nd\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("10%\r\x1b[K20%\r\n", "10%\n20%\n"),
        ("\x00\x07\x0b\x0c\x1c\x7f\x85\x9b", "\ufffd" * 8),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
    ],
)
def test_terminal_sequences_go_and_controls_become_visible(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


FRAGMENTS = st.sampled_from(
    [
        *("```", "~~~", "````", "~~~~", "``", "`", "```sh", "    ", "   ", "  ", " ", "\t"),
        *("\n", "\n", "\n", "\n\n", "- ", "-", "1. ", "2. ", "10) ", "* ", "> ", ">", "    - "),
        *("<!--", "-->", "<pre>", "</pre>", "<div>", "</div>", "<?", "?>", "<![CDATA[", "]]>"),
        *("<!X", "<a>", "<script", "a", "x y", "[a]: ", "[a]: /u '", "'", "\\", "---", "==="),
        *("# User_2026-01-02_0304_05", "User_2026-01-02_0304_05", "# System_undated", "#"),
        *("**Tool: Bash**", "\r", "\u2028", "\x1b[31m", "\x1b]0;", "\x07", "\x0c", "\ud800", "|"),
    ]
)
TEXTS = st.one_of(
    st.lists(FRAGMENTS, max_size=25).map("".join),
    st.text(st.characters(exclude_categories=[]), max_size=40),
)
PAYLOADS = st.one_of(
    TEXTS, st.dictionaries(st.one_of(TEXTS, st.just("command")), TEXTS, max_size=3)
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from([*sorted(KINDS), Kind.USER, Kind.ASSISTANT]))
    payload = draw(PAYLOADS)
    name = draw(st.one_of(st.just("Bash"), TEXTS))
    data: object = {"name": name, "input": payload} if kind == Kind.TOOL_CALL else payload
    return event(
        draw(st.one_of(st.just(kind), TEXTS)),
        draw(TEXTS),
        data=data,
        at=draw(st.sampled_from([AT, "", "x"])),
        agent=draw(st.one_of(st.just("claude"), st.none(), TEXTS)),
        actor=draw(st.sampled_from([None, "user", "tool"])),
        sidechain=draw(st.booleans()),
    )


def expected_speakers(conversation: list[Event], options: View) -> list[str]:
    shown = [one for one in conversation if "\n# " in "\n" + body(one, options=options)]
    return changes([speaker(one, "claude") for one in shown])


@given(
    st.lists(events(), max_size=6),
    st.builds(View, st.booleans(), st.booleans(), st.booleans()),
)
@settings(deadline=None)
def test_whatever_events_hold_the_headings_are_the_changes_of_speaker(
    conversation: list[Event], options: View
) -> None:
    text = body(*conversation, options=options)
    expected = expected_speakers(conversation, options)
    assert headings(text) == expected
    assert parsed_headings(text) == expected
    text.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)


@given(TEXTS, st.sampled_from([Kind.USER, Kind.DECISION_PROPOSED, Kind.THINKING, Kind.SYSTEM]))
@settings(max_examples=300, deadline=None)
def test_no_message_reaches_past_its_end(text: str, kind: str) -> None:
    """The sharpest form of it: a speaker follows at once, and the document ends outside of all."""
    end = event(Kind.TOOL_RESULT, "end", agent="other")
    written = body(event(kind, text), end)
    assert headings(written)[-1] == parsed_headings(written)[-1] == "Other"
    assert len(headings(written)) == len(parsed_headings(written)) <= 2
    tokens = MarkdownIt("commonmark").parse(written)
    assert (tokens[-1].type, tokens[-1].content, tokens[-1].level) == ("fence", "end\n", 0)


@given(TEXTS)
@settings(deadline=None)
def test_nothing_breaks_out_of_a_fence(text: str) -> None:
    for one in (
        result(text),
        call("Bash", {"command": text, "x": text}),
        call("Read", {"x": text}),
        event(Kind.PROVIDER_RAW, data=text),
    ):
        tokens = MarkdownIt("commonmark").parse(body(one))
        kinds = [token.type for token in tokens if token.level == 0 and token.nesting >= 0]
        assert kinds[:2] == ["heading_open", "paragraph_open"]
        assert set(kinds[2:]) <= {"fence"}
    shown = [token for token in MarkdownIt("commonmark").parse(body(result(text))) if token.content]
    if clean(text):
        assert shown[-1].content == clean(text).removesuffix("\n") + "\n"


@given(TEXTS)
def test_thinking_stays_quoted(text: str) -> None:
    lines = body(event(Kind.THINKING, text)).removesuffix("\n").split("\n")[3:]
    assert all(line == ">" or line.startswith("> ") for line in lines)


@given(
    st.lists(TEXTS, min_size=6, max_size=6),
    st.lists(TEXTS, max_size=3),
    st.lists(TEXTS, max_size=3),
)
def test_front_matter_reads_back(
    fields: list[str], participants: list[str], tags: list[str]
) -> None:
    identity, title, desc, created, updated, session = fields
    head = SessionHead(identity, title, desc, created, updated, participants, session, tags)
    text = "".join(render_markdown(head, []))
    text.encode()
    read = read_front_matter(text)
    assert list(read) == list(head.__struct_fields__)

    def as_written(value: str) -> str:
        return re.sub(r"[\ud800-\udfff]", "\ufffd", value)

    for key, value in msgspec.structs.asdict(head).items():
        wanted = as_written(value) if isinstance(value, str) else [as_written(v) for v in value]
        assert read[key] == wanted


def test_titles_that_yaml_would_misread() -> None:
    for title in ('say "no": yes', "- item", "#c", "a\nb: c\n---\n", "\x85\u2028\ufeff", "\\", "~"):
        head = msgspec.structs.replace(HEAD, title=title)
        assert read_front_matter("".join(render_markdown(head, [])))["title"] == title
