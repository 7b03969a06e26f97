"""The settings one by one: `model.py` read back as a list that can check, parse and explain."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec import Struct
from msgspec import inspect as mi

from holdfast.alerts import AlertRule, fault_of_alert_rule, name_of_alert_rule
from holdfast.settings.model import Settings
from holdfast.settings.patterns import fault_of_glob, fault_of_pattern, fault_of_rule

ENV_PREFIX: Final = "HOLDFAST_"

Kind = mi.IntType | mi.BoolType | mi.LiteralType | mi.VarTupleType | mi.StrType
Value = int | bool | str | tuple[str, ...] | tuple[AlertRule, ...] | None

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
# Lists of more than plain strings: how an item is called, and what checks it.
_ITEMS: Final = {
    "patterns": ("regular expressions", fault_of_pattern),
    "rules": ("`kind=regular expression`", fault_of_rule),
    "globs": ("path patterns", fault_of_glob),
}
TABLES: Final = "tables"  # a list of tables, each an alert rule
_INT_MAX: Final = (1 << 63) - 1  # TOML's, JSON's and SQLite's


class Fault(NamedTuple):
    """What is wrong with a value, or with one item of it."""

    place: int | None  # of the item, from 0 on
    text: str


class SettingDoc(Struct, frozen=True, kw_only=True):
    """One setting: what a person reads about it, and what may stand in it."""

    key: str
    description: str
    default: Value
    kind: Kind
    unset: str = ""  # what holds while it is not set; empty: it always has a value
    in_words: str = ""  # what is allowed, where the kind says too little
    items: str = ""  # of a list of something with a form of its own: a key of `_ITEMS`

    @property
    def section(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def env(self) -> str:
        return ENV_PREFIX + self.key.upper().replace(".", "__")

    @property
    def type(self) -> str:
        match self.kind:
            case mi.IntType():
                return "whole number"
            case mi.BoolType():
                return "true or false"
            case mi.LiteralType():
                return "one of several words"
            case mi.VarTupleType():
                if self.items == TABLES:
                    return "list of tables"
                return f"list of {_ITEMS[self.items][0]}" if self.items else "list of strings"
            case mi.StrType():
                return "text"

    @property
    def allowed(self) -> str:
        return f"{self._range}, or not set" if self.unset else self._range

    @property
    def _range(self) -> str:
        if self.in_words:
            return self.in_words
        match self.kind:
            case mi.IntType(ge=low, le=None):
                return f"{self.type}, {low} or more"
            case mi.IntType(ge=low, le=high):
                return f"{self.type} from {low} to {high}"
            case mi.LiteralType(values=words):
                *others, last = (f'"{word}"' for word in words)
                return f"{', '.join(others)} or {last}"
            case mi.VarTupleType():
                return f"{self.type}, none of them empty"
            case mi.StrType():
                return f"{self.type}, not empty"
            case mi.BoolType():
                return self.type

    def fault(self, value: object) -> str | None:
        """What is wrong with a value, in words."""
        if value is None and self.unset:
            return None
        match self.kind:
            case mi.IntType(ge=low, le=high):
                return _fault_of_number(value, low, high)
            case mi.BoolType():
                return None if isinstance(value, bool) else "is neither true nor false"
            case mi.LiteralType(values=words):
                return None if value in words else "is not one of these words"
            case mi.VarTupleType():
                if self.items == TABLES:
                    return _fault_of_tables(value)
                return _fault_of_list(value, self.items)
            case mi.StrType(pattern=pattern):
                return _fault_of_text(value, pattern)

    def faults(self, value: object) -> list[Fault]:
        """The same, of tables all at once: who mends one rule is to hear of the others too."""
        if self.items == TABLES and isinstance(value, list | tuple):
            return _faults_of_tables(value)
        fault = self.fault(value)
        return [] if fault is None else [Fault(None, fault)]

    def parse(self, text: str) -> object:
        """What the text of a variable stands for; the text itself, for `fault`, when nothing."""
        word = text.strip().lower()
        if self.unset and word in {"", "none", "null"}:
            return None
        match self.kind:
            case mi.IntType():
                return _number(text)
            case mi.BoolType():
                return _BOOLEANS.get(word, text)
            case mi.VarTupleType():
                return _list(text) if self.items in ("", "globs", TABLES) else _list_or_one(text)
            case mi.LiteralType() | mi.StrType():
                return text

    def needs_no_quotes(self, value: object) -> bool:
        """Quoted numbers and booleans are the commonest slip in TOML."""
        if not isinstance(value, str) or not isinstance(self.kind, mi.IntType | mi.BoolType):
            return False
        meant = self.parse(value)
        return meant is not None and self.fault(meant) is None


def describe() -> list[SettingDoc]:
    return [doc for _, _, docs in sections() for doc in docs]


def sections() -> list[tuple[str, str, list[SettingDoc]]]:
    """Each section that holds settings: name, description, settings."""
    return _sections_of(mi.type_info(Settings), "", "")


def _sections_of(
    found: mi.Type, name: str, description: str
) -> list[tuple[str, str, list[SettingDoc]]]:
    assert isinstance(found, mi.StructType)
    docs = []
    below = []
    for field in found.fields:
        key = f"{name}.{field.name}" if name else field.name
        assert isinstance(field.type, mi.Metadata), f"{key} has no description"
        meta = field.type
        says = (meta.extra_json_schema or {})["description"]
        if isinstance(meta.type, mi.StructType):
            below += _sections_of(meta.type, key, says)
        else:
            docs.append(_setting(key, says, field.default, _in_order(found.cls, field.name, meta)))
    return [(name, description, docs), *below] if docs else below


def _in_order(cls: type, name: str, meta: mi.Metadata) -> mi.Metadata:
    """msgspec sorts the words of a choice; we show them as they are written down."""
    if not isinstance(meta.type, mi.LiteralType):
        return meta
    words = get_args(get_type_hints(cls)[name])
    return msgspec.structs.replace(meta, type=mi.LiteralType(words))


def _setting(key: str, description: str, default: Value, meta: mi.Metadata) -> SettingDoc:
    kind = meta.type
    about = meta.extra or {}
    unset = about.get("unset", "")
    if isinstance(kind, mi.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, mi.NoneType))
        assert unset, f"{key} does not say what holds while it is not set"
    assert isinstance(kind, Kind), f"{key} is of a kind that nothing here checks"
    items = (meta.extra or {}).get("items", "")
    return SettingDoc(
        key=key,
        description=description,
        default=default,
        kind=kind,
        unset=unset,
        in_words=about.get("allowed", ""),
        items=items,
    )


def _fault_of_number(value: object, low: int | None, high: int | None) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "is not a whole number"
    if low is not None and value < low:
        return "is too small"
    if value > (_INT_MAX if high is None else high):
        return "is too large"
    return None


def _fault_of_list(value: object, items: str) -> str | None:
    if not isinstance(value, list | tuple):
        return "is not a list"
    for place, item in enumerate(value, start=1):
        if not isinstance(item, str):
            return f"has an item that is not a string (number {place})"
        if not item:
            return f"has an empty item (number {place})"
        fault = _ITEMS[items][1](item) if items else None
        if fault is not None:
            return f"item {place}, {item!r}, {fault}"
    return None


def _fault_of_tables(value: object) -> str | None:
    if not isinstance(value, list | tuple):
        return "is not a list of tables"
    faults = _faults_of_tables(value)
    return faults[0].text if faults else None


def _faults_of_tables(tables: Sequence[object]) -> list[Fault]:
    faults = [
        Fault(place, f"rule {place + 1} {fault}")
        for place, table in enumerate(tables)
        if (fault := fault_of_alert_rule(table)) is not None
    ]
    names: set[str] = set()
    for place, table in enumerate(tables):
        name = name_of_alert_rule(table)
        if name in names:
            faults.append(Fault(place, f"rule {place + 1} has the name {name!r} of one before it"))
        if name is not None:
            names.add(name)
    return sorted(faults)


def _fault_of_text(value: object, pattern: str | None) -> str | None:
    if not isinstance(value, str):
        return "is not text"
    if not value:
        return "is empty"
    return None if pattern is None or re.fullmatch(pattern, value) else "is not of this form"


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _list_or_one(text: str) -> object:
    """Patterns hold commas and colons: without an array the whole text is one of them."""
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return [text] if text.strip() else []


def _list(text: str) -> object:
    """A JSON array when it looks like one; it is also the way to name a folder with a comma."""
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return text
    separator = os.pathsep if os.pathsep in text else ","
    return [item.strip() for item in text.split(separator) if item.strip()]
