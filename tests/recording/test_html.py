"""A session as one page: what is in it, what cannot get into it, and what it costs."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.blobstore import MissingBlob
from holdfast.events import KINDS, Event, Kind
from holdfast.recording.html import FIELDS_MAX, Cover, render
from holdfast.recording.pictures import PICTURE_BYTES_MAX, PICTURES_TOTAL_BYTES_MAX
from holdfast.recording.survey import survey
from holdfast.recording.view import EVERYTHING

AT = "2026-01-02T03:04:05.678Z"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
COVER = Cover(
    title="Fix the bug",
    session="claude/1111",
    facts=[("Project", "/home/hana"), ("Branch", "")],
    left_out=["thinking"],
)
EVIL = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'>\u202e\ud800\x00"
VOID = {"meta", "input", "img", "br", "hr"}


def event(kind: str, text: str = "", data: object = None, **how: Any) -> Event:
    raw = how.pop("raw", None)
    return Event(
        id="",
        session="s",
        seq=how.pop("seq", 0),
        kind=kind,
        at=how.pop("at", AT),
        text=text,
        data=msgspec.Raw(json.dumps(data).encode() if raw is None else raw),
        source=None,
        **how,
    )


def call(name: object, given: object, text: str = "", **how: Any) -> Event:
    return event(Kind.TOOL_CALL, text, {"tool_use_id": "t", "name": name, "input": given}, **how)


def nothing(digest: str) -> Iterable[bytes]:
    raise MissingBlob(digest)


def page(*events: Event, cover: Cover = COVER, payload: Any = nothing) -> str:
    found = survey(events, EVERYTHING, "claude")
    return "".join(render(cover, found, events, payload))


def body(*events: Event, **how: Any) -> str:
    """What stands in the conversation."""
    return page(*events, **how).split("<main", 1)[1].split("</main>", 1)[0]


class Reader(HTMLParser):
    """Well-formed, with ids that are there once, and nothing that loads or runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("style", "srcset", "action", "formaction")
            if name == "src":
                assert re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[\w+/=]*", value or "")
            if name == "href":
                assert re.match(r"#e\d+$|#conversation$|https?://|mailto:", value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.tags.count("script") == reader.tags.count("style") == 1
    return reader


def test_the_page_needs_nothing_else_and_lets_nothing_in() -> None:
    text = page(event(Kind.USER, "hello"))
    assert re.findall(r"https?://[^\s\"'<]+", text) == []
    assert "@import" not in text
    assert "url(" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]


def test_what_the_header_says() -> None:
    text = page()
    assert "<title>Fix the bug</title>" in text
    assert "<dt>Project</dt>" in text
    assert "Branch" not in text, "what is not known is not mentioned"
    assert "Left out: thinking." in text
    assert "width=device-width" in text


def test_messages_tools_and_thinking() -> None:
    text = body(
        event(Kind.USER, "Please *fix* it", seq=0, turn=1),
        event(Kind.THINKING, "Hmm.", seq=1, turn=1),
        call("Bash", {"command": "ls -la | wc", "timeout": 5}, "Bash: ls -la", seq=2, turn=1),
        event(Kind.TOOL_RESULT, "one\ntwo\nthree", {"tool_use_id": "t"}, seq=3, turn=1),
        event(Kind.ASSISTANT, "Done.", seq=4, turn=1),
    )
    assert '<article class="event user" id="e0">' in text
    assert "<em>fix</em>" in text
    assert '<div class="event thinking folded" id="e1"><details>' in text
    assert "Bash</b> <span" in text
    assert "<dt>timeout</dt><dd><code>5</code></dd>" in text
    assert "Bash result</b>" in text
    assert "one two three (+2 lines)" in text
    assert "open" not in re.findall(r"<details[^>]*>", text)


def test_an_edit_shows_what_went_and_what_came_in_the_colours_of_its_file() -> None:
    given = {"file_path": "/a/b.py", "old_string": "a = 1\nb = 2", "new_string": "def f():\n  pass"}
    text = body(call("Edit", given))
    assert '<pre tabindex="0" class="removed">' in text
    assert re.search(r'class="added"><code><span class="k">def</span>', text)


def test_a_tool_that_failed_stands_out() -> None:
    failed = event(Kind.TOOL_RESULT, "no", {"tool_use_id": "x", "is_error": True})
    assert '<div class="event result error folded"' in body(failed)
    empty = event(Kind.TOOL_RESULT, "", {"tool_use_id": "x"})
    assert "(empty)" in body(empty)


def test_turns_are_listed_and_lead_to_their_prompts() -> None:
    text = page(
        event(Kind.USER, "first <b>", seq=3, turn=1),
        event(Kind.ASSISTANT, "x", seq=4, turn=1),
        event(Kind.USER, "second", seq=9, turn=2),
    )
    assert re.findall(r'href="(#e\d+)"><bdi>(.*?)</bdi>', text) == [
        ("#e3", "first &lt;b&gt;"),
        ("#e9", "second"),
    ]
    assert text.count('<section class="turn"') == 2
    assert "<nav" not in page(event(Kind.ASSISTANT, "nobody asked"))


def test_what_has_nothing_to_show_is_not_there() -> None:
    silent = [event(kind) for kind in (Kind.USER, Kind.THINKING, Kind.SYSTEM, Kind.SESSION_TITLED)]
    reader = read(page(*silent))
    assert "article" not in reader.tags
    assert "0 events" in "".join(reader.texts)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_kind_of_event_lets_text_out_of_its_place(kind: str) -> None:
    data = {"tool_use_id": EVIL, "name": EVIL, "input": {EVIL: EVIL, "file_path": f"{EVIL}.py"}}
    text = page(
        event(kind, EVIL, data, turn=1, at=f"2026-01-02T{EVIL}"),
        event(kind, f"```{EVIL}\n{EVIL}\n```", data, seq=1, turn=1),
        cover=Cover(EVIL, EVIL, [(EVIL, EVIL)], [EVIL]),
    )
    reader = read(text)
    assert reader.tags.count("img") == 0
    text.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


@st.composite
def events(draw: st.DrawFn, seq: int) -> Event:
    texts = st.text(max_size=40) | st.sampled_from(["```", "> - `", EVIL, "# x\n\n|a|\n|-|\n"])
    data = st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "input", "type", "images", "is_error", "command", "content", "blob"]
                )
                | texts,
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
    return event(
        draw(st.sampled_from(sorted(KINDS))),
        draw(texts),
        draw(data),
        seq=seq,
        at=draw(st.sampled_from([AT, "", "x"])),
        turn=draw(st.integers(0, 2)),
        sidechain=draw(st.booleans()),
    )


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_events_hold_the_page_is_well_formed(data: st.DataObject) -> None:
    made = [data.draw(events(seq)) for seq in range(data.draw(st.integers(0, 4)))]
    text = page(*made)
    read(text)
    assert text == page(*made), "the same arguments, the same bytes"


@pytest.mark.parametrize("raw", [b"", b"null", b"{", b"[" * 5_000 + b"]" * 5_000, b'"\\ud800"'])
def test_data_that_cannot_be_read_is_shown_as_it_is(raw: bytes) -> None:
    for kind in KINDS:
        read(page(event(kind, "text", raw=raw)))
    given = event(Kind.TOOL_CALL, "t", raw=b'{"input":' + raw + b"}", seq=1)
    read(page(call("x", None), given))


def test_very_many_members_are_not_taken_apart() -> None:
    given = {f"k{n}": n for n in range(FIELDS_MAX + 1)}
    assert "<dt>" not in body(call("x", given))
    assert "<dt>" in body(call("x", {"k": 1}))


def test_events_are_rendered_one_at_a_time() -> None:
    """So that a session need not fit into memory."""
    taken = 0

    def counted() -> Iterator[Event]:
        nonlocal taken
        for seq in range(1_000):
            taken += 1
            yield event(Kind.USER, f"number {seq}", seq=seq)

    pieces = render(COVER, survey([], EVERYTHING), counted(), nothing)
    for piece in pieces:
        if "number 3<" in piece:
            break
    assert taken == 4
    longest = max(map(len, itertools.islice(pieces, 900)))
    assert longest < 2_000


# Pictures.


def picture(**about: object) -> Event:
    told = {"type": "image", "media_type": "image/png", "bytes": len(PNG), **about}
    return event(Kind.USER, "[image: …]", told)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_small_picture_is_in_the_page() -> None:
    assert f'src="data:image/png;base64,{b64(PNG)}"' in body(picture(base64=b64(PNG)))


def test_a_picture_beside_the_journal_is_fetched_by_its_digest() -> None:
    asked = []

    def payload(digest: str) -> Iterable[bytes]:
        asked.append(digest)
        return [PNG[:10], PNG[10:]]

    assert b64(PNG) in body(picture(blob="ab" * 20), payload=payload)
    assert asked == ["ab" * 20]
    body(picture(blob="../../../etc/passwd"), payload=payload)
    assert asked == ["ab" * 20], "what is no digest names no file"


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"media_type": "image/svg+xml", "base64": b64(b"<svg/>")}, "not a kind that is shown"),
        ({"media_type": 'image/png"onload="x', "base64": b64(PNG)}, "not a kind that is shown"),
        ({"base64": b64(b"<html>")}, "is not what it says it is"),
        ({"base64": "no base64!"}, "cannot be read"),
        ({"base64": ""}, "is not what it says it is"),
        ({"bytes": PICTURE_BYTES_MAX + 1, "base64": b64(PNG)}, "too large"),
        ({"blob": "ab" * 20}, "cannot be read"),
    ],
)
def test_a_picture_that_is_not_shown_is_named(about: dict[str, object], why: str) -> None:
    text = body(picture(**about))
    assert "<img" not in text
    assert why in text
    read(page(picture(**about)))


def test_a_picture_that_is_larger_than_it_says_is_not_read_to_its_end() -> None:
    taken = 0

    def payload(_digest: str) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield PNG + b"\0" * 1_000_000

    assert "too large" in body(picture(blob="ab" * 20), payload=payload)
    assert taken <= PICTURE_BYTES_MAX // 1_000_000 + 1


def test_pictures_stop_when_the_page_has_enough_of_them() -> None:
    large = PNG + b"\0" * (PICTURE_BYTES_MAX - len(PNG))
    count = PICTURES_TOTAL_BYTES_MAX // len(large) + 2
    shown = [picture(blob="ab" * 20, bytes=len(large)) for _ in range(count)]
    text = body(*shown, payload=lambda _digest: [large])
    assert text.count("<img") == count - 2
    assert text.count("too large") == 2


def test_a_picture_on_the_web_is_a_link() -> None:
    text = body(picture(url="https://e.org/x.png"))
    assert "<img" not in text
    assert 'href="https://e.org/x.png"' in text
    assert 'href="javascript' not in body(picture(url="javascript:alert(1)"))


def test_pictures_of_a_tool_s_result_are_folded_with_it() -> None:
    told = {"tool_use_id": "t", "images": [{"media_type": "image/png", "base64": b64(PNG)}]}
    text = body(event(Kind.TOOL_RESULT, "", told))
    assert "<details>" in text
    assert "<img" in text
