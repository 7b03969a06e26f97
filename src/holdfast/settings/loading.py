"""From the config file and the environment to `Settings`, or to every problem at once.

Someone who mends one mistake only to be told the next one loses patience; so each value is checked
by itself and complaints are gathered, and nothing is built until there are none.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from holdfast.errors import Exit, HoldfastError
from holdfast.settings.catalog import ENV_PREFIX, SettingDoc, Value, describe
from holdfast.settings.model import ORDERED, Below, Settings
from holdfast.settings.toml_text import write_key, write_value

_SHOWN_CHARS: Final = 100
_MUST_BE_LOWER: Final = {True: ("is more than", "at most"), False: ("is not below", "less than")}
_MUST_BE_HIGHER: Final = {True: ("is less than", "at least"), False: ("is not above", "more than")}


class ConfigError(HoldfastError):
    """The configuration is wrong: one line for each problem."""

    exit: ClassVar[Exit] = Exit.CONFIG

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Origin(Struct, frozen=True):
    """Where a value comes from: the line of the file, the variable, or nowhere."""

    source: Literal["default", "file", "environment"]
    name: str = ""  # of the file or of the variable
    line: int | None = None

    def __str__(self) -> str:
        if self.source == "default":
            return "default"
        return self.name if self.line is None else f"{self.name}:{self.line}"


class Loaded(Struct, frozen=True):
    settings: Settings
    origins: dict[str, Origin]  # of every setting, by dotted key


class Row(NamedTuple):
    key: str
    value: Value
    origin: str


def load(config_file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Loaded:
    """The environment wins over the file, the file over the defaults. Raises `ConfigError`."""
    gathered = _Gathered()
    if config_file is not None:
        gathered.add_file(os.fspath(config_file))
    gathered.add_environment(environ)
    return gathered.finish()


def rows(loaded: Loaded) -> list[Row]:
    """What `config show --origin` prints."""
    return [
        Row(doc.key, _get(loaded.settings, doc.key), str(loaded.origins[doc.key]))
        for doc in describe()
    ]


def _get(settings: Settings, key: str) -> Any:
    return attrgetter(key)(settings)


class _Problem(NamedTuple):
    origin: Origin
    text: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"

    @property
    def rank(self) -> tuple[bool, int, str]:
        """The file from top to bottom, then the variables by name."""
        return self.origin.source != "file", self.origin.line or 0, self.origin.name


class _Gathered:
    """Values that are right by themselves, and what was wrong with the others."""

    def __init__(self) -> None:
        self.docs = {doc.key: doc for doc in describe()}
        self.sections = _with_parents(doc.section for doc in self.docs.values())
        self.values: dict[str, object] = {}
        self.origins = dict.fromkeys(self.docs, Origin("default"))
        self.refused: set[str] = set()
        self.problems: list[_Problem] = []
        self.item_lines: dict[str, list[int]] = {}  # of the file's arrays

    def add_file(self, file: str) -> None:
        text = self._read(file)
        if text is None:
            return
        import tomllib

        from holdfast.settings.toml_lines import item_lines, key_lines

        try:
            document = tomllib.loads(text)
            lines = key_lines(text)
            self.item_lines = {write_key(path): found for path, found in item_lines(text).items()}
        except RecursionError:
            self._complain(Origin("file", file), "is nested too deeply; write it flat")
        except ValueError as error:  # a TOMLDecodeError, or a number that Python refuses to read
            self._complain(*_syntax_problem(file, text, str(error)))
        else:
            self._add_table(document, (), file, lines)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        known = {doc.env: doc for doc in self.docs.values()}
        misspelt = {name.replace("__", "_") for name in known}
        for name in sorted(environ):
            origin = Origin("environment", name)
            if name in known:
                self._add(known[name], known[name].parse(environ[name]), origin)
            elif name.startswith(ENV_PREFIX) and ("__" in name or name in misspelt):
                near = _nearest(name.upper(), known) or "`holdfast config show` lists all settings"
                self._complain(origin, f"names no setting; {near}")

    def finish(self) -> Loaded:
        settings = msgspec.convert(_nested(self.values), Settings)
        for rule in ORDERED:
            if self.refused.isdisjoint((rule.lower, rule.upper)):
                self._check_order(rule, settings)
        if self.problems:
            raise ConfigError(map(str, sorted(self.problems, key=lambda problem: problem.rank)))
        return Loaded(settings, self.origins)

    def _read(self, file: str) -> str | None:
        from pathlib import Path

        origin = Origin("file", file)
        try:
            raw = Path(file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # whoever makes the folders says what to do
                return None
            way_out = "make it a file that you can read, or move it away to use the defaults"
            self._complain(origin, f"cannot be read: {error.strerror}; {way_out}")
            return None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._complain(Origin("file", file, line), "is not UTF-8 text; save it as UTF-8")
            return None

    def _add_table(
        self,
        table: dict[str, Any],
        above: tuple[str, ...],
        file: str,
        lines: Mapping[tuple[str, ...], int],
    ) -> None:
        for name, value in table.items():
            path = (*above, name)
            key = write_key(path)
            origin = Origin("file", file, lines.get(path))
            if key in self.docs:
                self._add(self.docs[key], value, origin)
            elif key in self.sections and isinstance(value, dict):
                self._add_table(value, path, file, lines)
            elif key in self.sections:
                self._complain(origin, f"{_pair(key, value)}: is a section; write [{key}]")
            elif isinstance(value, dict):
                near = _nearest(key, self.sections) or self._listed_beside(())
                self._complain(origin, f"[{key}]: unknown section; {near}")
            else:
                known = self.docs if above else [*self.docs, *self.sections]
                near = _nearest(key, known) or self._listed_beside(above)
                self._complain(origin, f"{_pair(key, value)}: unknown setting; {near}")

    def _add(self, doc: SettingDoc, value: object, origin: Origin) -> None:
        faults = doc.faults(value)
        if not faults:
            self.values[doc.key] = value
            self.origins[doc.key] = origin
            return
        self.refused.add(doc.key)
        for fault in faults:
            if fault.place is not None:
                place = self._place_of(doc, fault.place, origin)
                self._complain(place, f"{doc.key}: {fault.text}")
                continue
            text = fault.text
            if doc.needs_no_quotes(value):
                text = "is in quotes, which make it a string; leave them out"
            self._complain(origin, f"{_pair(doc.key, value)}: {text}; allowed: {doc.allowed}")

    def _place_of(self, doc: SettingDoc, item: int, origin: Origin) -> Origin:
        """Of an item of a list: a rule may stand far below the name of its list."""
        lines = self.item_lines.get(doc.key, [])
        if origin.source != "file" or item >= len(lines):
            return origin
        return msgspec.structs.replace(origin, line=lines[item])

    def _check_order(self, rule: Below, settings: Settings) -> None:
        lower, upper = _get(settings, rule.lower), _get(settings, rule.upper)
        if lower is None or lower < upper or (rule.may_equal and lower == upper):
            return
        if self.origins[rule.lower].source != "default":
            blamed, value, other, limit = rule.lower, lower, rule.upper, upper
            wrong, allowed = _MUST_BE_LOWER[rule.may_equal]
        else:
            blamed, value, other, limit = rule.upper, upper, rule.lower, lower
            wrong, allowed = _MUST_BE_HIGHER[rule.may_equal]
        against = f"{_pair(other, limit)} ({self.origins[other]})"
        text = f"{_pair(blamed, value)}: {wrong} {against}; allowed: {allowed} {limit}"
        self._complain(self.origins[blamed], text)

    def _listed_beside(self, above: tuple[str, ...]) -> str:
        section = ".".join(above)
        beside = [doc.name for doc in self.docs.values() if doc.section == section]
        return _listed(beside or (f"[{one}]" for one in self.sections if "." not in one))

    def _complain(self, origin: Origin, text: str) -> None:
        self.problems.append(_Problem(origin, text))


def _syntax_problem(file: str, text: str, message: str) -> tuple[Origin, str]:
    """tomllib names the place at the end of its message, or says that the text just ends."""
    import re

    place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if place is None:
        whole = Origin("file", file)
        at_end = message.endswith(" (at end of document)")
        last = Origin("file", file, text.rstrip().count("\n") + 1)
        return (last if at_end else whole), f"is not TOML: {message}"
    line, column = place.groups()
    what = message[: place.start()]
    return Origin("file", file, int(line)), f"is not TOML: {what} (column {column})"


def _with_parents(sections: Iterable[str]) -> list[str]:
    """`sources.claude` brings `sources`, which has no settings of its own."""
    found: dict[str, None] = {}
    for section in sections:
        parts = section.split(".")
        for length in range(1, len(parts) + 1):
            found[".".join(parts[:length])] = None
    return list(found)


def _nested(values: Mapping[str, object]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for key, value in values.items():
        *above, name = key.split(".")
        table = root
        for part in above:
            table = table.setdefault(part, {})
        table[name] = value
    return root


def _pair(key: str, value: object) -> str:
    text = write_value(value)
    return f"{key} = {text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + '…'}"


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def _listed(names: Iterable[str]) -> str:
    return f"allowed: {', '.join(names)}"
