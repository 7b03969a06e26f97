"""HTML out of parts, such that text cannot become anything but text.

`Markup` is what is HTML already; only the functions of this module and the page's own files make
it. Every other string goes through `escape` on its way into an element or an attribute, so there
is no place at which somebody could forget to. Names of elements and attributes are written in our
code and nowhere else; addresses go through `address`.
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.recording.markdown import without_terminal


class Markup(str):
    """HTML, not text."""

    __slots__ = ()


NOTHING: Final = Markup("")


# What would act instead of being seen. Controls of text direction can show code in another order
# than it runs in, and the characters of tags are seen by models and not by people.
_ACTING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_PICTURES: Final = 0x2400  # of control characters, in their order


def escape(text: str) -> Markup:
    """Text as HTML shows it, wherever it stands. Terminal sequences go, what acts is made seen."""
    if isinstance(text, Markup):
        return text
    if _ACTING.search(text):
        text = _ACTING.sub(_seen, without_terminal(text))
    return Markup(
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&#39;")
    )


def _seen(found: re.Match[str]) -> str:
    number = ord(found.group())
    if number < 0x20:
        return chr(_PICTURES + number)
    if number == 0x7F:
        return "\u2421"
    if 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return f"\u27e8U+{number:04X}\u27e9"


Attribute = str | bool | int | None


def element(name: str, /, *content: str, **attributes: Attribute) -> Markup:
    return Markup(opening(name, **attributes) + "".join(map(escape, content)) + closing(name))


def opening(name: str, /, **attributes: Attribute) -> Markup:
    """`class_` is written for class and `aria_label` for aria-label; None and False are left out"""
    parts = [name]
    for key, value in attributes.items():
        written = key.strip("_").replace("_", "-")
        if value is True:
            parts.append(written)
        elif value is not None and value is not False:
            parts.append(f'{written}="{escape(str(value))}"')
    return Markup(f"<{' '.join(parts)}>")


def closing(name: str) -> Markup:
    return Markup(f"</{name}>")


def joined(*parts: str) -> Markup:
    return Markup("".join(map(escape, parts)))


_ADDRESS: Final = re.compile(r"(?:https?://|mailto:)[^\x00-\x20\x7f-\xa0\\]+", re.IGNORECASE)
ADDRESS_CHARS_MAX: Final = 2_048


def address(target: str) -> str | None:
    """Where a link may lead: to the web or into a mail, and only when somebody follows it."""
    if len(target) <= ADDRESS_CHARS_MAX and _ADDRESS.fullmatch(target):
        return target
    return None


def link(target: str, *content: str) -> Markup:
    """A link, or, where it may not lead, its text with the target to be read."""
    allowed = address(target)
    if allowed is None:
        return element("span", *content, class_="nolink", title=target[:ADDRESS_CHARS_MAX])
    return element("a", *content, href=allowed, rel="noopener noreferrer", target="_blank")
