"""What a folder of exports holds: a page to read, or a line for each file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from holdfast.events import Usage
from holdfast.recording.frame import button, link_here, page_end, page_start
from holdfast.recording.markdown import clean
from holdfast.recording.markup import Markup, closing, element, joined, opening
from holdfast.recording.names import ENDINGS

TITLE: Final = "Conversations"
_COLUMNS: Final = ("Title", "Project", "Agent", "Began", "Updated", "Events", "Size")


class IndexRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exported session. Nothing in it changes unless the session or the export does."""

    file: str
    id: str
    agent: str
    agent_session_id: str
    project: str
    title: str
    started_at: str
    updated_at: str
    events: int
    model: str
    branch: str
    parent: str
    forked_from: str
    usage: Usage
    bytes: int


def index_name(form: str) -> str:
    return f"index.{ENDINGS[form]}"


def render_index(form: str, rows: Iterable[IndexRow]) -> Iterator[bytes]:
    if form == "jsonl":
        for row in rows:
            yield msgspec.json.encode(row) + b"\n"
        return
    pieces = _markdown(rows) if form == "markdown" else _html(rows)
    for piece in pieces:
        yield piece.encode("utf-8", "replace")


def _markdown(rows: Iterable[IndexRow]) -> Iterator[str]:
    yield f"# {TITLE}\n\n"
    for row in rows:
        about = (row.started_at[:10], row.agent, row.project, _events(row.events))
        told = " · ".join(_one_line(part) for part in about if part)
        yield f"- [{_one_line(_title(row))}](<{quote(row.file)}>)  \n  {told}\n"


def _events(count: int) -> str:
    return f"{count:,} event" if count == 1 else f"{count:,} events"


_MARKUP: Final = re.compile(r"[\\`*_{}\[\]<>()#+!|~&-]")


def _one_line(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", " ".join(clean(text).split()))


def _html(rows: Iterable[IndexRow]) -> Iterator[str]:
    yield page_start(TITLE, "index.js")
    yield element("header", element("h1", TITLE), class_="cover")
    yield _bar()
    yield Markup('\n<main id="conversation" class="columns index"><table>\n')
    yield element("thead", element("tr", *(element("th", name) for name in _COLUMNS)))
    yield Markup('\n<tbody id="sessions">\n')
    for row in rows:
        yield _row(row)
    yield Markup("</tbody>\n</table></main>\n")
    yield element("footer", element("p", "Times are UTC. Made by holdfast."))
    yield page_end("index.js")


def _bar() -> Markup:
    return joined(
        opening("div", class_="bar", id="bar", role="search", hidden=True),
        opening(
            "input",
            type="search",
            id="query",
            placeholder="Filter",
            aria_label="Filter the conversations",
            title="Press / to filter, Esc to leave",
            autocomplete="off",
            spellcheck="false",
        ),
        element("output", id="count", aria_live="polite"),
        element("span", class_="gap"),
        button("theme", "◐", "Dark or light"),
        closing("div"),
    )


def _row(row: IndexRow) -> Markup:
    title = link_here(quote(row.file), element("bdi", _title(row)))
    return joined(
        opening("tr"),
        element("td", title, class_="title"),
        element("td", element("bdi", row.project), class_="project"),
        element("td", row.agent),
        _time(row.started_at, "began"),
        _time(row.updated_at, "updated"),
        _number(row.events, f"{row.events:,}", "events right"),
        _number(row.bytes, f"{row.bytes / 1024:,.0f} KiB"),
        closing("tr"),
        "\n",
    )


def _time(at: str, class_: str) -> Markup:
    shown = at[:16].replace("T", " ")
    return element("td", shown, class_=class_ if shown else None, data_key=at)


def _number(value: int, shown: str, class_: str = "right") -> Markup:
    return element("td", shown, class_=class_, data_key=value)


def _title(row: IndexRow) -> str:
    return row.title or row.agent_session_id or row.id
