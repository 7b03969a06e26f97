"""The settings as people and programs read them: a config file, a page, a JSON Schema."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.settings.catalog import TABLES, SettingDoc, sections
from holdfast.settings.model import Settings
from holdfast.settings.toml_text import write_value

_WIDTH: Final = 98

_CONFIG_HEAD: Final = """\
# The configuration of holdfast. Every setting is listed with its default.
#
# To change one, take the "#" before its name away and write another value. What stays commented
# follows the program, also when a later version has a better default.
# `holdfast config show --origin` tells which values hold and where each one comes from.
"""

_DOCS_HEAD: Final = """\
# Settings

<!-- Made from src/holdfast/settings/model.py by render_docs(); tests/test_settings.py compares. -->

A setting comes from the environment, else from the config file, else it has its default.
`holdfast config show --origin` tells which value holds and where it comes from; a wrong or unknown
setting stops the program with exit code 3 and a line for each mistake.

- The config file is TOML: `$HOLDFAST_HOME/config.toml` when `HOLDFAST_HOME` is set, else
  `$XDG_CONFIG_HOME/holdfast/config.toml`, else `~/.config/holdfast/config.toml`. It may be missing.
- The variable of a setting is `HOLDFAST_`, the section, two underscores, the name, all in capitals:
  `HOLDFAST_DAEMON__MAX_MEMORY_MB=300`. Booleans are true or false, yes or no, on or off, 1 or 0.
  A list is separated by `:` or, when it has none, by commas; or it is a JSON array. An empty value,
  `none` or `null` stands for "not set", where that is allowed.
- The end of a name is its unit: `_mb` is 1,048,576 bytes, `_ms` milliseconds, `_secs` seconds,
  `_pct` percent. A number without a unit counts things.
"""


def render_default_config() -> str:
    """Commented throughout, so that defaults which change later reach those who kept the file."""
    parts = [_CONFIG_HEAD]
    for section, description, docs in sections():
        parts.append(f"\n{_comment(description)}[{section}]\n")
        parts += [f"\n{_explained(doc)}#{_assignment(doc)}\n" for doc in docs]
    return "".join(parts)


def _explained(doc: SettingDoc) -> str:
    unset = f" Not set: {doc.unset}." if doc.unset else ""
    return _comment(doc.description) + _comment(f"Allowed: {doc.allowed}.{unset}")


def _assignment(doc: SettingDoc) -> str:
    """TOML has no null: what is not set by default waits for a value."""
    return f"{doc.name} = {'' if doc.default is None else write_value(doc.default)}".rstrip()


def _comment(text: str) -> str:
    from textwrap import wrap

    return "".join(f"# {line}\n" for line in wrap(text, _WIDTH, break_on_hyphens=False))


def render_docs() -> str:
    parts = [_DOCS_HEAD]
    for section, description, docs in sections():
        parts.append(f"\n## `[{section}]`\n\n{description}\n\n")
        parts.append("| setting | default | allowed | meaning |\n|---|---|---|---|\n")
        parts += map(_docs_row, docs)
    return "".join(parts)


def _docs_row(doc: SettingDoc) -> str:
    default = f"not set: {doc.unset}" if doc.default is None else _default(doc)
    return f"| `{doc.name}`<br>`{doc.env}` | {default} | {doc.allowed} | {doc.description} |\n"


def _default(doc: SettingDoc) -> str:
    if doc.items == TABLES and isinstance(doc.default, tuple):
        return "<br>".join(f"`{write_value(table)}`" for table in doc.default)
    return f"`{write_value(doc.default)}`"


def json_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of holdfast",
        **msgspec.json.schema(Settings),
    }
