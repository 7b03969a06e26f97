"""What every page that we write has around it: one style sheet, one script, and a strict policy.

The policy is in the page itself. It lets the browser run the script and the style sheet whose
digests it names, show pictures that are in the page, and load nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from holdfast.recording.markup import Markup, element, joined, opening


def page_start(title: str, script: str) -> Markup:
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest('page.css')}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return joined(
        Markup('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'),
        _line("meta", http_equiv="Content-Security-Policy", content=policy),
        _line("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _line("meta", name="color-scheme", content="light dark"),
        _line("meta", name="referrer", content="no-referrer"),
        _line("meta", name="generator", content="holdfast"),
        element("title", title),
        # Between the tags stands the file and nothing more: the policy names its digest.
        Markup(f"\n<style>{_file('page.css')}</style>\n</head>\n<body>\n"),
        element("a", "Skip to the content", class_="skip", href="#conversation"),
        "\n",
    )


def page_end(script: str) -> Markup:
    return Markup(f"<script>{_file(script)}</script>\n</body>\n</html>\n")


def _line(name: str, /, **attributes: str) -> Markup:
    return joined(opening(name, **attributes), "\n")


@cache
def _file(name: str) -> str:
    return (Path(__file__).parent / "page" / name).read_text("utf-8")


def _digest(name: str) -> str:
    digest = hashlib.sha256(_file(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def button(name: str, text: str, about: str) -> Markup:
    return element("button", text, type="button", id=name, title=about, aria_label=about)


def link_here(target: str, *content: str, **attributes: str) -> Markup:
    """A link to what we made ourselves: a part of this page, a file beside it."""
    return element("a", *content, href=target, **attributes)
