"""A session as one HTML file that needs nothing else, one event at a time.

What a message holds comes from anywhere, and people open the file in a browser and pass it on.
Three things keep it harmless, each by itself: all text goes through `markup.escape`; the page's
policy lets the browser run the one script and the one style sheet whose digests it names, and load
nothing; and there is nothing in the page that loads anything.

The page is complete without its script: parts fold and links lead somewhere. The script adds the
search, the buttons, and the dark or light of the reader's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from holdfast.events import Event, Kind
from holdfast.recording.frame import button, link_here, page_end, page_start
from holdfast.recording.markdown import speaker
from holdfast.recording.markup import (
    NOTHING,
    Markup,
    closing,
    element,
    escape,
    joined,
    opening,
)
from holdfast.recording.pictures import Payload, Picture, Pictures
from holdfast.recording.rich_text import RichText, language_of
from holdfast.recording.survey import Survey

BRIEF_CHARS: Final = 160
FIELD_LINE_CHARS: Final = 100  # a longer value gets a block of its own
FIELDS_MAX: Final = 40
INDENTED_JSON_MAX_BYTES: Final = 64 * 1024  # indentation multiplies what is deeply nested
CALLS_REMEMBERED: Final = 64  # a result that comes later than that is not named after its tool


class Cover(msgspec.Struct, frozen=True):
    """What stands above the conversation."""

    title: str
    session: str  # "claude/<the agent's own session id>"
    facts: list[tuple[str, str]]  # name and value
    left_out: list[str]


def render(
    cover: Cover, survey: Survey, events: Iterable[Event], payload: Payload
) -> Iterator[str]:
    """The pieces of the document. The same arguments give the same text, on every machine."""
    yield page_start(cover.title, "page.js")
    yield _cover(cover)
    yield _search_bar()
    yield opening("div", class_="columns")
    yield from _turns(survey)
    yield opening("main", id="conversation")
    page = _Page(cover.session.partition("/")[0], payload)
    for event in events:
        yield page.event(event)
    yield page.end()
    yield closing("main")
    yield closing("div")
    yield _footer(cover, page.shown)
    yield page_end("page.js")


def _cover(cover: Cover) -> Markup:
    facts = [
        element("div", element("dt", name), element("dd", element("bdi", value)))
        for name, value in cover.facts
        if value
    ]
    return joined(
        opening("header", class_="cover"),
        element("h1", element("bdi", cover.title or "(no title)")),
        element("dl", *facts),
        closing("header"),
        "\n",
    )


def _search_bar() -> Markup:
    """Shown by the script, as nothing of it works without."""
    return joined(
        opening("div", class_="bar", id="bar", role="search", hidden=True),
        opening(
            "input",
            type="search",
            id="query",
            placeholder="Search",
            aria_label="Search in this conversation",
            title="Press / to search, Enter for the next hit, Esc to leave",
            autocomplete="off",
            spellcheck="false",
            enterkeyhint="search",
        ),
        element("output", id="count", aria_live="polite"),
        button("previous", "↑", "Previous hit (Shift+Enter)"),
        button("next", "↓", "Next hit (Enter)"),
        element("span", class_="gap"),
        button("unfold", "Unfold all", "Unfold tools and thinking"),
        button("theme", "◐", "Dark or light"),
        closing("div"),
        "\n",
    )


def _turns(survey: Survey) -> Iterator[Markup]:
    if not survey.turns:
        return
    yield joined(
        Markup('<nav aria-label="Turns"><details id="turns" open>'),
        element("summary", f"Turns ({len(survey.turns) + survey.turns_left:,})"),
        Markup("<ol>\n"),
    )
    for turn in survey.turns:
        target = link_here(f"#e{turn.seq}", element("bdi", turn.words or "…"))
        yield joined(element("li", target, value=turn.number), "\n")
    yield Markup("</ol>")
    if survey.turns_left:
        yield element("p", f"and {survey.turns_left:,} more")
    yield Markup("</details></nav>\n")


def _footer(cover: Cover, shown: int) -> Markup:
    said = f"{shown:,} events of {cover.session}."
    if cover.left_out:
        said += f" Left out: {', '.join(cover.left_out)}."
    return joined(element("footer", element("p", said, " Times are UTC. Made by holdfast.")), "\n")


# Events.


class _Call(msgspec.Struct):
    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    tool_use_id: str = ""
    name: str = ""
    is_error: bool = False
    images: list[Picture] = []


_call_of: Final = msgspec.json.Decoder(_Call).decode
_result_of: Final = msgspec.json.Decoder(_Result).decode
_picture_of: Final = msgspec.json.Decoder(Picture).decode
_members_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string_of: Final = msgspec.json.Decoder(str).decode

# What decoding raises on data that is not what it should be; the data is then shown as it is.
_UNREADABLE: Final = (ValueError, RecursionError)

_CODE_FIELDS: Final = {"content": "", "new_string": "added", "old_string": "removed"}
_PATH_FIELDS: Final = ("file_path", "path", "notebook_path")
_DIFF: Final = ("diff --git ", "--- a/")
_COMMAND_FIELDS: Final = frozenset({"command", "cmd"})


class _Page:
    """What the events before have to do with the next: turns, days, speakers, names of tools."""

    def __init__(self, agent: str, payload: Payload) -> None:
        self.shown = 0
        self._agent = agent
        self._text = RichText()
        self._pictures = Pictures(payload)
        self._turn = -1
        self._day = ""
        self._speaker = ""
        self._calls: dict[str, str] = {}

    def event(self, event: Event) -> Markup:
        body = self._body(event)
        if not body:
            return NOTHING
        self.shown += 1
        return joined(self._before(event), body, "\n")

    def end(self) -> Markup:
        return closing("section") if self._turn >= 0 else NOTHING

    def _before(self, event: Event) -> Markup:
        parts = []
        if event.turn != self._turn:
            parts.append(self.end())
            self._turn = event.turn
            self._speaker = ""
            about = f"Turn {event.turn}" if event.turn else "Before the first turn"
            parts.append(opening("section", class_="turn", aria_label=about))
        if event.at[:10] != self._day:
            self._day = event.at[:10]
            parts.append(element("p", self._day or "undated", class_="day"))
        return joined(*parts)

    def _body(self, event: Event) -> Markup:
        match event.kind:
            case Kind.USER | Kind.ASSISTANT:
                return self._message(event)
            case Kind.DECISION_PROPOSED:
                return self._said(event, "decision", "Decision proposed")
            case Kind.DECISION_ACCEPTED:
                return self._said(event, "decision", "Decision accepted")
            case Kind.THINKING:
                return self._prose_folded(event, "thinking", "Thinking")
            case Kind.TOOL_CALL:
                return self._tool_call(event)
            case Kind.TOOL_RESULT:
                return self._tool_result(event)
            case Kind.SESSION_COMPACTED:
                about = element("p", "conversation compacted here", class_="cut")
                return _event(event, "system", about)
            case _:
                return self._system(event)

    # What was said.

    def _message(self, event: Event) -> Markup:
        name = "user" if event.kind == Kind.USER else "assistant"
        picture = _decoded(_picture_of, event.data, Picture())
        if picture.type == "image":
            return self._article(event, name, self._pictures.show(picture))
        return self._said(event, name)

    def _said(self, event: Event, class_: str, label: str = "") -> Markup:
        if not event.text.strip():
            return NOTHING
        prose = element("div", self._text.prose(event.text), class_="prose", dir="auto")
        return self._article(event, class_, prose, label)

    def _article(self, event: Event, class_: str, content: Markup, label: str = "") -> Markup:
        name = speaker(event, self._agent)
        if label:
            name = f"{name} · {label}"
        # Who speaks is said where that changes; of what follows, people who listen hear it too.
        heading = element("h3", name, class_="again" if name == self._speaker else None)
        self._speaker = name
        head = element("header", heading, data_quiet=True)
        side = " subagent" if event.sidechain else ""
        return element(
            "article", head, _place(event), content, class_=f"event {class_}{side}", id=_id(event)
        )

    def _prose_folded(self, event: Event, class_: str, label: str) -> Markup:
        if not event.text.strip():
            return NOTHING
        prose = element("div", self._text.prose(event.text), class_="prose", dir="auto")
        return _folded(event, class_, label, _brief(event.text), prose)

    # What tools were asked and gave back.

    def _tool_call(self, event: Event) -> Markup:
        call = _decoded(_call_of, event.data, None)
        if call is None:
            return _folded(event, "call", "Tool", _brief(event.text), self._json(event.data))
        name = call.name or "Tool"
        self._calls[call.tool_use_id] = name
        if len(self._calls) > CALLS_REMEMBERED:
            del self._calls[next(iter(self._calls))]
        brief = _brief(event.text.removeprefix(f"{name}:"))
        return _folded(event, "call", name, brief, self._input(call.input))

    def _input(self, given: msgspec.Raw) -> Markup:
        """Short values as a list, long ones as blocks; what is no object as it is."""
        members = _decoded(_members_of, given, None)
        if members is None or len(members) > FIELDS_MAX:
            return self._json(given)
        texts = {name: _value(raw) for name, raw in members.items()}
        paths = [texts[name] for name in _PATH_FIELDS if name in texts]
        language = language_of(paths[0]) if paths else ""
        short, blocks = [], []
        for name, value in texts.items():
            block = name in _COMMAND_FIELDS or "\n" in value or len(value) > FIELD_LINE_CHARS
            if not block:
                short += [element("dt", name), element("dd", element("code", value))]
                continue
            written = language if name in _CODE_FIELDS else ""
            if name in _COMMAND_FIELDS:
                written = "bash"
            elif not written and bytes(members[name])[:1] in (b"{", b"["):
                written = "json"
            blocks += [
                element("p", name, class_="field", data_quiet=True),
                self._text.code(value, written, _CODE_FIELDS.get(name, "")),
            ]
        return joined(element("dl", *short, class_="fields") if short else NOTHING, *blocks)

    def _tool_result(self, event: Event) -> Markup:
        result = _decoded(_result_of, event.data, _Result())
        name = result.name or self._calls.get(result.tool_use_id, "")
        label = " ".join([*([name] if name else []), "error" if result.is_error else "result"])
        text = event.text.strip("\n")
        lines = text.count("\n") + 1
        brief = _brief(text) + (f" (+{lines - 1:,} lines)" if lines > 2 else "")
        pictures = [self._pictures.show(picture) for picture in result.images]
        language = "diff" if text.startswith(_DIFF) else ""
        parts = [self._text.code(text, language)] if text.strip() else []
        if not parts and not pictures:
            parts, brief = [element("p", "(empty)")], "(empty)"
        class_ = "result error" if result.is_error else "result"
        return _folded(event, class_, label, brief, joined(*parts, *pictures))

    # What is neither.

    def _system(self, event: Event) -> Markup:
        label = {Kind.SYSTEM: "System", Kind.SESSION_SUMMARIZED: "Summary"}.get(
            event.kind, event.kind
        )
        prose = event.kind != Kind.PROVIDER_RAW and event.text.strip()
        if event.kind in (Kind.SYSTEM, Kind.SESSION_SUMMARIZED, Kind.SESSION_TITLED):
            return self._prose_folded(event, "system", label)
        parts = [self._text.code(event.text)] if prose else []
        if bytes(event.data) not in (b"", b"null"):
            parts.append(self._json(event.data))
        if not parts:
            return NOTHING
        return _folded(event, "system", label, _brief(event.text), joined(*parts))

    def _json(self, data: msgspec.Raw) -> Markup:
        raw = bytes(data)
        if len(raw) <= INDENTED_JSON_MAX_BYTES:
            try:
                raw = msgspec.json.format(raw, indent=2)
            except _UNREADABLE:
                return self._text.code(raw.decode("utf-8", "replace"))
        return self._text.code(raw.decode("utf-8", "replace"), "json")


T = TypeVar("T")
U = TypeVar("U")


def _decoded(decode: Callable[[bytes], T], data: msgspec.Raw, instead: U) -> T | U:
    try:
        return decode(data)
    except _UNREADABLE:
        return instead


def _value(raw: msgspec.Raw) -> str:
    """A string as its text, all else as JSON."""
    text = _decoded(_string_of, raw, None)
    if text is not None:
        return text
    data = bytes(raw)
    if FIELD_LINE_CHARS < len(data) <= INDENTED_JSON_MAX_BYTES:
        try:
            data = msgspec.json.format(data, indent=2)
        except _UNREADABLE:
            return data.decode("utf-8", "replace")
    return data.decode("utf-8", "replace")


def _event(event: Event, class_: str, *content: str) -> Markup:
    side = " subagent" if event.sidechain else ""
    return element("div", *content, _place(event), class_=f"event {class_}{side}", id=_id(event))


def _folded(event: Event, class_: str, label: str, brief: str, content: Markup) -> Markup:
    summary = element(
        "summary",
        element("b", label, data_quiet=True),
        " ",
        element("span", brief, class_="brief", data_quiet=True),
    )
    body = element("div", content, class_="body")
    return _event(event, f"{class_} folded", element("details", summary, body))


def _place(event: Event) -> Markup:
    """The time, which is also where to link to."""
    time = event.at[11:19] or f"#{event.seq}"
    shown = element("time", time, datetime=event.at) if event.at else escape(time)
    return link_here(f"#{_id(event)}", shown, class_="at", title=event.at, data_quiet="")


def _id(event: Event) -> str:
    return f"e{event.seq}"


def _brief(text: str) -> str:
    return " ".join(text[: 4 * BRIEF_CHARS].split())[:BRIEF_CHARS]
