"""A session as Markdown, one event at a time, that no event can forge.

The hard part is that messages *are* Markdown and come from anywhere: a page that an agent read, a
log that somebody pasted. Four rules keep the frame ours:

* Speaker headings are `# Speaker_2026-01-02_0304_05` (UTC, the time of the first event under
  them) or `# Speaker_undated`, and speakers are letters, digits and `-`. A line of a message that
  reads as one, or as another line that only this writer writes, gets a backslash in front.
* What tools were given and gave back stands in fences longer than any run of backticks inside.
* A message leaves no block open: no code fence and no HTML block reaches past its end.
* Control characters and terminal sequences are gone, so a recording can be shown with `cat`.

The third rule is the subtle one. Whether ``` opens a fence depends on the lists and quotes around
it, so a scanner that looks at single lines can think a fence closed that is open, and the closing
line it then adds opens one. A full CommonMark block parser was rejected: three times this module,
and other renderers differ in the corners. Instead `_closing` follows a message only as long as
every reading of it agrees, which covers what people and models write. Past that point it appends
lines after which every reading is outside of any block again: an opening fence with an info
string, which an open fence takes for content, then the fence that closes either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from holdfast.events import EMPTY, Event, Kind
from holdfast.recording.view import View
from holdfast.sources.registry import spoken_name


class SessionHead(msgspec.Struct):
    """The front matter: what a reader wants to know before the first line."""

    id: str
    title: str
    desc: str
    created: str
    updated: str
    participants: list[str]
    session: str  # "claude/<the agent's own session id>"
    tags: list[str]


_DEFAULTS: Final = View()
_USER: Final = "User"
_SYSTEM: Final = "System"


def render(head: SessionHead, events: Iterable[Event], options: View = _DEFAULTS) -> Iterator[str]:
    """The pieces of the document. The same arguments give the same text, on every machine."""
    yield front_matter(head)
    writer = MarkdownWriter(head.session.partition("/")[0], options)
    yield from filter(None, map(writer.piece, events))


_LATER_VERSION: Final = "\n*a later version of what stands above:*\n"


class MarkdownWriter:
    """What comes of each event, one after the other; `current` is all it has to remember."""

    def __init__(self, agent: str, options: View = _DEFAULTS, *, current: str = "") -> None:
        self._agent = agent
        self._options = options
        self.current = current  # whose heading stands above what comes next

    def piece(self, event: Event) -> str:
        """Whole blocks, "" for an event that is not shown."""
        text = ""
        if event.kind == Kind.SESSION_COMPACTED:
            text = "\n---\n\n*conversation compacted here*\n"
        body = _body(event, self._options)
        if not body:
            return text
        if event.supersedes is not None:
            body = _LATER_VERSION + body
        name = speaker(event, self._agent)
        if name != self.current:
            self.current = name
            text += f"\n# {name}_{_stamp(event.at)}\n"
        return text + body


def notice(text: str) -> str:
    """A line in which holdfast itself says something. No message can hold one."""
    return f"\n*holdfast: {escaped(text)}*\n"


def speaker(event: Event, agent: str = "") -> str:
    """Who an event belongs to; `agent` is for events that did not come from an agent's log."""
    assistant = _assistant(event.source.agent if event.source else agent)
    if event.sidechain:
        return f"{assistant}-subagent"
    match event.kind:
        case Kind.USER:
            return _USER
        case Kind.ASSISTANT | Kind.THINKING | Kind.TOOL_CALL | Kind.TOOL_RESULT:
            return assistant
        case Kind.DECISION_PROPOSED | Kind.DECISION_ACCEPTED:
            return {"user": _USER, "system": _SYSTEM}.get(event.actor or "", assistant)
        case _:
            return _SYSTEM


def _assistant(agent: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", spoken_name(agent) or agent).strip("-") or "assistant"
    name = name[0].upper() + name[1:]
    return f"{name}-agent" if name in {_USER, _SYSTEM} else name


def _stamp(at: str) -> str:
    try:
        time = datetime.fromisoformat(at)
        if time.tzinfo is not None:
            time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        return "undated"
    text = time.isoformat()
    return f"{text[:10]}_{text[11:13]}{text[14:16]}_{text[17:19]}"


# What one event becomes: "" or blocks that each start with an empty line.


def _body(event: Event, options: View) -> str:
    match event.kind:
        case Kind.USER | Kind.ASSISTANT:
            return _prose(event.text)
        case Kind.THINKING:
            return _thinking(event.text) if options.thinking else ""
        case Kind.TOOL_CALL:
            return _tool_call(event) if options.tools else ""
        case Kind.TOOL_RESULT:
            return _tool_result(event) if options.tools else ""
        case Kind.DECISION_PROPOSED:
            return _label("Decision proposed") + _prose(event.text)
        case Kind.DECISION_ACCEPTED:
            return _label("Decision accepted") + _prose(event.text)
        case _:
            return _system(event) if options.system else ""


def _thinking(text: str) -> str:
    text = clean(text).strip("\n")
    if not text.strip():
        return ""
    quoted = "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))
    return f"\n> [!note] Thinking\n{quoted}\n"


class _Call(msgspec.Struct):
    name: str = ""
    input: msgspec.Raw = EMPTY


class _Result(msgspec.Struct):
    is_error: bool | None = None
    images: msgspec.Raw = EMPTY


class _Picture(msgspec.Struct):
    media_type: str = ""
    bytes: int = 0


_call_decoder: Final = msgspec.json.Decoder(_Call)
_result_decoder: Final = msgspec.json.Decoder(_Result)
_pictures_decoder: Final = msgspec.json.Decoder(list[_Picture])
_members_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

# What decoding raises on data that is not what it should be; the data is then shown as it is.
_UNREADABLE: Final = (ValueError, RecursionError)

_SHELLS: Final = frozenset({"Bash", "shell", "run_shell_command"})


def _tool_call(event: Event) -> str:
    try:
        call = _call_decoder.decode(event.data)
    except _UNREADABLE:
        return _label("Tool: unknown") + _payload(event.data, event.text)
    label = _label(f"Tool: {call.name or 'unknown'}")
    if call.name in _SHELLS and (command := _command(call.input)):
        return label + command
    return label + _payload(call.input, event.text)


def _command(data: msgspec.Raw) -> str:
    try:
        members = _members_decoder.decode(data)
        command = msgspec.json.decode(members.pop("command"), type=str)
    except (KeyError, *_UNREADABLE):
        return ""
    rest = _json(msgspec.Raw(msgspec.json.encode(members))) if members else ""
    return _fenced(clean(command), "bash") + rest


def _tool_result(event: Event) -> str:
    try:
        result = _result_decoder.decode(event.data)
    except _UNREADABLE:
        result = _Result()
    label = "Tool error" if result.is_error else "Tool result"
    output = clean(event.text)
    pictures = _pictures(result.images)
    if not output:
        return _label(label, pictures or " (empty)")
    return _label(label, pictures) + _fenced(output)


def _pictures(images: msgspec.Raw) -> str:
    """What a document of text can say of pictures, as messages say it of theirs."""
    try:
        found = _pictures_decoder.decode(images) if bytes(images) else []
    except _UNREADABLE:
        return ""
    return "".join(
        f" [image: {escaped(each.media_type) or 'unknown type'}, {each.bytes:,} bytes]"
        for each in found
    )


def _system(event: Event) -> str:
    if event.kind == Kind.SYSTEM:
        return _prose(event.text)
    if event.kind == Kind.SESSION_COMPACTED and not event.text:
        return ""
    if event.kind == Kind.PROVIDER_RAW or not event.text:
        return _label(event.kind) + _payload(event.data, event.text)
    return _label(event.kind) + _prose(event.text)


def _payload(data: msgspec.Raw, text: str) -> str:
    if bytes(data) not in {b"", b"null"}:
        return _json(data)
    return _fenced(clean(text)) if text else ""


_MARKUP: Final = re.compile(r"[\\`*<\[\]&]")


def _label(text: str, after: str = "") -> str:
    """A bold line of our own; `text` may hold a name that a log gave."""
    return f"\n**{escaped(text)}**{after}\n"


def escaped(text: str) -> str:
    """One line of plain text."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(clean(text).split()))


_BACKTICKS: Final = re.compile("`+")


def _fenced(text: str, info: str = "") -> str:
    longest = max((len(run.group()) for run in _BACKTICKS.finditer(text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"\n{fence}{info}\n{text}{end}{fence}\n"


# Indentation costs two bytes a level on every line, so a deeply nested payload would grow a
# thousandfold. Past this size it is shown as it was stored.
_INDENTED_JSON_MAX_BYTES: Final = 64 * 1024


def _json(data: msgspec.Raw) -> str:
    raw = bytes(data)
    if len(raw) <= _INDENTED_JSON_MAX_BYTES:
        try:
            raw = msgspec.json.format(raw, indent=2)
        except _UNREADABLE:
            return _fenced(clean(raw.decode("utf-8", "replace")))
    return _fenced(_escape_unprintable(raw.decode("utf-8", "replace")), "json")


# Text of messages.

# Any digit: a reader's `\d` takes them all.
_STAMP: Final = r"_(?:\d{4}-\d\d-\d\d_\d{4}_\d\d|undated)"
_FORGED: Final = re.compile(
    r"^([ \t]*)(?="
    rf"#+[ \t].*{_STAMP}"
    r"|\*\*(?:Tool: |Tool result|Tool error|Decision proposed|Decision accepted)"
    r"|\*(?:conversation compacted here\*|a later version of|holdfast: )"
    r"|>[ \t]*\[!note\][ \t]+Thinking"
    r")",
    re.MULTILINE,
)
_UNDERLINE: Final = re.compile(r"\n([ \t]*)(?==+[ \t]*$)", re.MULTILINE)
_STAMPED: Final = re.compile(_STAMP)
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*$", re.MULTILINE)


def _prose(text: str) -> str:
    text = clean(text).strip("\n")
    if not text.strip():
        return ""
    text = _FORGED.sub(r"\1\\", text)
    text = _UNDERLINE.sub(_escape_underline, text)
    text = _FRONT_MATTER.sub(r"\\\g<0>", text)
    return f"\n{text}\n{_closing(text)}"


def _escape_underline(match: re.Match[str]) -> str:
    """`User_2026-01-02_0304_05` above a line of `=` is a heading too."""
    above = match.string.rfind("\n", 0, match.start()) + 1
    forged = _STAMPED.search(match.string, above, match.start())
    return f"{match.group()}\\" if forged else match.group()


_CONTAINERS: Final = r"(?:[ \t>]|[-+*](?=[ \t])|[0-9]{1,9}[.)](?=[ \t]))*"
_FENCE: Final = re.compile(rf"({_CONTAINERS})(`{{3,}}|~{{3,}})(.*)")
_INDENT: Final = re.compile(r"[ \t]*")
_HTML: Final = re.compile(rf"{_CONTAINERS}<[A-Za-z/!?]")
# HTML blocks that an empty line does not end, each with what does.
_LASTING_HTML: Final = re.compile(
    rf"^{_CONTAINERS}<(?:"
    r"(?:script|pre|style|textarea)(?![a-z0-9-])(?!.*</(?:script|pre|style|textarea)>)"
    r"|!--(?!.*-->)|\?(?!.*\?>)|![a-z](?!.*>)|!\[CDATA\[(?!.*\]\]>)"
    r")",
    re.MULTILINE | re.IGNORECASE,
)
# Ends each kind of them, and is a comment where none is open.
_END_OF_HTML: Final = "<!-- </script></pre></style></textarea> ?> ]]> -->"


def _closing(text: str) -> str:
    """Lines that end whatever block `text` leaves open; "" for nearly every message."""
    fences = "```" in text or "~~~" in text
    if fences and (fence := _open_fence(text)) is not None:
        return f"{fence}\n" if fence else ""
    lines = []
    if _LASTING_HTML.search(text):
        lines += ["", _END_OF_HTML]
    if fences:
        for mark in "`~":
            runs = re.finditer(mark + "{3,}", text)
            if longest := max((len(run.group()) for run in runs), default=0):
                lines += ["", mark * longest + "end", mark * longest]
    return "\n".join([*lines, ""]) if lines else ""


def _open_fence(text: str) -> str | None:
    """The fence that `text` leaves open, "" for none, None when readings of it may differ."""
    fence, width = "", 0
    html = False
    for line in text.split("\n"):
        if not line.strip(" \t"):
            html = False
        elif fence:
            indent = _columns(line)
            mark = line.strip(" \t")
            if len(mark) >= len(fence) and not mark.strip(fence[0]):
                if indent == width or (width == 0 and indent < 4):
                    fence = ""
                elif width:
                    return None
            elif indent < width:
                return None  # a list that held the fence ends here, and the fence with it
        elif found := _FENCE.match(line):
            containers, mark, info = found.groups()
            if mark[0] == "`" and "`" in info:
                continue  # a code span
            if html or containers.strip(" "):
                return None
            fence, width = mark, len(containers)
        elif _LASTING_HTML.match(line):
            return None
        elif _HTML.match(line):
            html = True
    return None if width and fence else fence


def _columns(line: str) -> int:
    indent = _INDENT.match(line)
    return len(indent.group().expandtabs(4)) if indent else 0


# Characters.

_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TERMINAL: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    # OSC and the other strings; only when they end, so that none swallows what follows
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_LINE_ENDS: Final = re.compile(r"\r+\n|[\r\u2028\u2029]")


def clean(text: str) -> str:
    """Without terminal sequences; every line end is `\\n`, every other control is U+FFFD."""
    if not _UNSAFE.search(text):
        return text
    return _UNSAFE.sub("\ufffd", without_terminal(text))


def without_terminal(text: str) -> str:
    """Without terminal sequences, and every line end is `\\n`."""
    return _LINE_ENDS.sub("\n", _TERMINAL.sub("", text))


_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")
# JSON may hold these as they are; YAML, terminals and line counters take them for more than text.
_UNPRINTABLE: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _escape_unprintable(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _scalar(text: str) -> str:
    """A YAML double-quoted scalar, which a JSON string is once nothing unprintable is in it."""
    return _escape_unprintable(json.dumps(_SURROGATES.sub("\ufffd", text), ensure_ascii=False))


def front_matter(head: SessionHead) -> str:
    return "\n".join(["---", *head_lines(head).values(), "---", ""])


def head_lines(head: SessionHead) -> dict[str, str]:
    """Each key of the front matter with its line."""
    lines = {}
    for key in head.__struct_fields__:
        value = getattr(head, key)
        if isinstance(value, str):
            lines[key] = f"{key}: {_scalar(value)}"
        else:
            lines[key] = list_line(key, value)
    return lines


def list_line(key: str, values: Iterable[str]) -> str:
    return f"{key}: [{', '.join(map(_scalar, values))}]"
