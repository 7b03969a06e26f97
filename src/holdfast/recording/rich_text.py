"""Messages as HTML: their Markdown rendered, their code highlighted, whatever they hold.

The parsers are other people's and their worst cases are known: some take time that grows with the
square of what they are given. So both get pieces of limited size, and what is larger, longer or
deeper is shown as it was written. Neither writes HTML here. They take text apart, and what they
found is put together by `markup`, which escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from holdfast.recording.markdown import without_terminal
from holdfast.recording.markup import (
    NOTHING,
    Markup,
    closing,
    element,
    escape,
    joined,
    link,
    opening,
)

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MARKDOWN_CHARS_MAX: Final = 50_000  # of one message; a longer one is plain text
NESTING_MAX: Final = 40  # the same for lists in lists in quotes
HIGHLIGHTED_CHARS_MAX: Final = 8_000  # of one piece of code
HIGHLIGHTED_LINE_CHARS_MAX: Final = 400  # minified code is not read by people
HIGHLIGHTED_TOTAL_CHARS_MAX: Final = 2_000_000  # of one document: about two seconds
# Runs of blank space are what several of the highlighters are slowest at.
_LONG_SPACE: Final = re.compile(r"\s{100}")

# The languages that are highlighted, by the names and file endings that they go by. Not all that
# there are: these were tried with hostile input. Groovy's rules read Java, in a tenth of the time
# that Java's own take on such input.
_LANGUAGES: Final = {
    "bash": "bash sh shell zsh",
    "c": "c h",
    "cpp": "cpp c++ cc cxx hpp",
    "csharp": "csharp cs c#",
    "css": "css scss",
    "dart": "dart",
    "diff": "diff patch",
    "docker": "docker dockerfile",
    "elixir": "elixir ex exs",
    "go": "go golang",
    "graphql": "graphql gql",
    "groovy": "java groovy gradle",
    "haskell": "haskell hs",
    "html": "html htm",
    "ini": "ini cfg conf",
    "javascript": "javascript js mjs cjs",
    "json": "json jsonl json5",
    "jsx": "jsx",
    "kotlin": "kotlin kt kts",
    "lua": "lua",
    "php": "php",
    "powershell": "powershell ps1",
    "protobuf": "protobuf proto",
    "python": "python py pyi python3",
    "ruby": "ruby rb",
    "rust": "rust rs",
    "scala": "scala",
    "sql": "sql",
    "swift": "swift",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "typescript ts mts cts",
    "xml": "xml svg",
    "yaml": "yaml yml",
    "zig": "zig",
}
_LEXER_OF: Final = {name: lexer for lexer, names in _LANGUAGES.items() for name in names.split()}

# What kinds of words have a colour, by the beginning of their names in the highlighter.
_COLOURED: Final = (
    ("Comment.Preproc", "m"),
    ("Comment", "c"),
    ("Keyword", "k"),
    ("Operator.Word", "k"),
    ("Literal.String", "s"),
    ("Literal.Number", "n"),
    ("Name.Function", "f"),
    ("Name.Class", "t"),
    ("Name.Tag", "t"),
    ("Name.Decorator", "m"),
    ("Name.Attribute", "f"),
    ("Name.Builtin", "b"),
    ("Generic.Deleted", "d"),
    ("Generic.Inserted", "i"),
    ("Generic.Subheading", "m"),
    ("Generic.Heading", "m"),
)

# Headings of messages stand below those of the page.
_TAGS: Final = {
    **{name: name for name in ("p", "ul", "li", "blockquote", "thead", "tbody", "tr", "em")},
    **{name: name for name in ("strong", "s")},
    "h1": "h4",
    "h2": "h5",
    "h3": "h6",
    "h4": "h6",
    "h5": "h6",
    "h6": "h6",
}
_INLINE: Final = frozenset({"em", "strong", "s"})
_ALIGNED: Final = {"text-align:right": "right", "text-align:center": "center"}


def language_of(path: str) -> str:
    """By the ending of a file's name; "" for one that is not known."""
    name = path.rpartition("/")[2].lower()
    ending = name.rpartition(".")[2]
    return ending if ending in _LEXER_OF else ""


class RichText:
    """The texts of one document; it knows how much of it was highlighted."""

    def __init__(self) -> None:
        self._left = HIGHLIGHTED_TOTAL_CHARS_MAX

    def prose(self, text: str) -> Markup:
        """A message, as Markdown where that can be done in reasonable time."""
        text = without_terminal(text).strip("\n")
        if len(text) <= MARKDOWN_CHARS_MAX:
            tokens = _parser().parse(text)
            if all(token.level < NESTING_MAX - 1 for token in tokens):
                return joined(*self._blocks(tokens))
        return element("div", text, class_="plain")

    def code(self, text: str, language: str = "", class_: str = "") -> Markup:
        """A block of code, highlighted where that can be done in reasonable time."""
        text = without_terminal(text)
        lexer = _LEXER_OF.get(language.lower(), "")
        inside = self._highlighted(text, lexer) if lexer else escape(text)
        attributes = {"class_": class_ or None}
        return joined(
            opening("pre", tabindex="0", **attributes), element("code", inside), closing("pre")
        )

    def _highlighted(self, text: str, lexer: str) -> Markup:
        if (
            len(text) > min(HIGHLIGHTED_CHARS_MAX, self._left)
            or any(len(line) > HIGHLIGHTED_LINE_CHARS_MAX for line in text.split("\n"))
            or _LONG_SPACE.search(text)
        ):
            return escape(text)
        self._left -= len(text)
        return joined(*_coloured(_lexer(lexer).get_tokens(text)))

    # What the Markdown parser found.

    def _blocks(self, tokens: Iterable[Token]) -> Iterator[Markup]:
        for token in tokens:
            match token.type:
                case "inline":
                    yield self._inline(token.children or [])
                case "fence":
                    info = token.info.strip()
                    label = element("div", info, class_="language") if info else NOTHING
                    code = self.code(token.content, info.split(maxsplit=1)[0] if info else "")
                    yield joined(element("div", label, code, class_="code"), "\n")
                case "code_block":
                    yield joined(self.code(token.content), "\n")
                case "hr":
                    yield Markup("<hr>\n")
                case _ if not token.hidden:
                    yield _block_tag(token)

    def _inline(self, tokens: Iterable[Token]) -> Markup:
        done: list[Markup] = []
        links: list[tuple[int, str]] = []  # where the text of an open link begins, and its target
        for token in tokens:
            match token.type:
                case "text":
                    done.append(escape(token.content))
                case "code_inline":
                    done.append(element("code", token.content))
                case "softbreak" | "hardbreak":
                    done.append(Markup("<br>\n"))
                case "image":
                    target = str(token.attrs.get("src", ""))
                    done.append(link(target, "🖼 ", token.content or target))
                case "link_open":
                    links.append((len(done), str(token.attrs.get("href", ""))))
                case "link_close" if links:
                    start, target = links.pop()
                    done[start:] = [link(target, *done[start:])]
                case _ if token.tag in _INLINE:
                    done.append(opening(token.tag) if token.nesting > 0 else closing(token.tag))
                case _:
                    done.append(escape(token.content))
        return joined(*done)


def _block_tag(token: Token) -> Markup:
    if token.tag == "table":
        # The box scrolls, not the page.
        if token.nesting > 0:
            return Markup('<div class="scroll" tabindex="0"><table>\n')
        return Markup("</table></div>\n")
    if token.tag == "ol" and token.nesting > 0:
        start = str(token.attrs.get("start", ""))
        return opening("ol", start=start if start.isdecimal() else None)
    if token.tag in ("td", "th") and token.nesting > 0:
        return opening(token.tag, class_=_ALIGNED.get(str(token.attrs.get("style", ""))))
    if token.tag in ("td", "th", "ol"):
        return joined(closing(token.tag), "\n")
    tag = _TAGS.get(token.tag)
    if tag is None:
        return escape(token.content)
    return opening(tag) if token.nesting > 0 else joined(closing(tag), "\n")


def _coloured(tokens: Iterable[tuple[Any, str]]) -> Iterator[Markup]:
    """Neighbours of one colour become one span."""
    held, colour = "", ""
    for kind, text in tokens:
        new = _colour_of(kind)
        if new != colour:
            yield _span(held, colour)
            held, colour = "", new
        held += text
    yield _span(held, colour)


def _span(text: str, colour: str) -> Markup:
    return element("span", text, class_=colour) if colour and text else escape(text)


@cache
def _colour_of(kind: Any) -> str:
    name = str(kind).removeprefix("Token.")
    return next((colour for begins, colour in _COLOURED if name.startswith(begins)), "")


@cache
def _parser() -> MarkdownIt:
    """Imported here: only a process that renders pays for it."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": NESTING_MAX})
    parser.enable(["table", "strikethrough"])
    # A line such as `[note]: see below` would vanish as the definition of a link.
    parser.disable("reference")
    # A link that may not lead anywhere is shown with its target, so it has to be found first.
    parser.validateLink = _any_link  # type: ignore[method-assign]
    return parser


def _any_link(url: str) -> bool:  # noqa: ARG001  # asked by the parser
    return True


@cache
def _lexer(name: str) -> Any:
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(name, stripnl=False, ensurenl=False)
