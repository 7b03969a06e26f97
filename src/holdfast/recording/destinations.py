"""Which file a command means: from what was typed to a path that may be written.

A command can come from text that somebody pasted, so a path gets no farther than a person would
want: below the allowed roots, into a file that ends as our formats do (a name that does not gets an
ending, so that no `.bashrc` is ever written to), and never among the logs that holdfast reads or
the files that it keeps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from holdfast.journal.model import SessionRow
from holdfast.recording.naming import file_name, numbered
from holdfast.recording.policy import WriteFailed, WritePolicy, WriteRefused

_FORMS: Final = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".jsonl": "jsonl",
    ".html": "html",
}
_ENDINGS: Final = {"markdown": ".md", "jsonl": ".jsonl"}  # of what settings may name
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OF_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\|[^/]*\\")
_VARIABLE: Final = re.compile(r"(?:^|/)(?:\$(?:[A-Za-z_{(])|%[A-Za-z_]\w*%)")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of where recordings go."""

    allowed_write_roots: tuple[str, ...]
    default_folder: str
    filename_template: str
    form: str  # where no ending says another
    home: str
    config_file: str
    guarded: tuple[str, ...]  # folders that hold what holdfast reads or keeps


class Destination(msgspec.Struct, frozen=True):
    path: str  # absolute, without symlinks
    form: str


class Destinations:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._guarded = tuple(os.path.realpath(each) for each in rules.guarded)

    def policy(self, cwd: str) -> WritePolicy:
        """What may be written on behalf of a session, or of a command that was run in `cwd`."""
        rules = self._rules
        return WritePolicy(
            rules.allowed_write_roots, cwd or rules.home, rules.home, config=rules.config_file
        )

    def choose(
        self,
        typed: str,
        *,
        cwd: str,
        row: SessionRow,
        at: str,
        forms: Sequence[str],
        is_taken: Callable[[str], bool],
    ) -> Destination:
        """The file for what was typed; a folder, or nothing, gets a name of its own."""
        typed = typed or self._folder()
        self._refuse_what_leads_nowhere(typed, cwd)
        policy = self.policy(cwd)
        if self._is_folder(typed, cwd):
            name = file_name(self._rules.filename_template, row, at, _ENDINGS[self._rules.form])
            path = numbered(
                self._allowed(policy, os.path.join(typed, name)),
                lambda path: is_taken(path) or os.path.lexists(path),
            )
            return Destination(path, self._rules.form)
        ending = os.path.splitext(typed)[1].lower()
        form = _FORMS.get(ending, self._rules.form)
        if form not in forms:
            known = ", ".join(each for each, form in _FORMS.items() if form in forms)
            raise WriteFailed(f"cannot write {typed!r} in this format; a name may end in {known}")
        if ending not in _FORMS:
            typed += _ENDINGS[form]
        return Destination(self._allowed(policy, typed), form)

    def _folder(self) -> str:
        return self._rules.default_folder.rstrip("/") + "/"

    def _is_folder(self, typed: str, cwd: str) -> bool:
        if typed.rpartition("/")[2] in ("", ".", "..") or typed == "~":
            return True
        if typed.startswith("~/"):
            typed = self._rules.home + typed[1:]
        return os.path.isdir(os.path.join(cwd, typed))

    def _allowed(self, policy: WritePolicy, path: str) -> str:
        real = policy.resolve(path)
        for guarded in self._guarded:
            if real == guarded or real.startswith(guarded.rstrip("/") + "/"):
                raise WriteRefused(
                    f"refused to write {path!r}: {guarded} holds what holdfast itself reads or "
                    "keeps; name a file elsewhere"
                )
        return real

    def _refuse_what_leads_nowhere(self, typed: str, cwd: str) -> None:
        """What is no path here would else become folders of odd names."""
        if _ADDRESS.match(typed):
            raise WriteFailed(
                f"cannot write {typed!r}: that is an address; a recording goes into a file here"
            )
        if _VARIABLE.search(typed):
            raise WriteFailed(
                f"cannot write {typed!r}: variables are not understood; name the folder itself, "
                "or begin with ~/ for your home"
            )
        if os.sep == "/" and _OF_WINDOWS.match(typed):
            raise WriteFailed(
                f"cannot write {typed!r}: folders are told apart by / here, and \\ stands in no "
                "path; put quotes around one with spaces"
            )
        if typed.startswith("~") and typed != "~" and not typed.startswith("~/"):
            raise WriteFailed(
                f"cannot write {typed!r}: only ~/ is understood, your own home; name the whole path"
            )
        if typed.startswith(("/", "~")):
            return
        if not os.path.isabs(cwd):
            raise WriteFailed(
                f"cannot write {typed!r}: the folder of the session is not known; name a path that "
                "begins with / or ~/"
            )
        if not os.path.isdir(cwd):
            raise WriteFailed(
                f"cannot write {typed!r}: the folder of the session, {cwd!r}, is gone; name a path "
                "that begins with / or ~/"
            )
