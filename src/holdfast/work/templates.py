"""Checkpoints that come again and again: what is asked, what it takes, what may be answered."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Final

import msgspec

from holdfast.work.entities import NotThere, NotValid


class Template(msgspec.Struct, frozen=True):
    """`{name}` in its texts is a field, which whoever asks must fill in."""

    name: str
    about: str
    title: str
    question: str
    options: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, in the order in which they are read."""
        parts = [*Formatter().parse(self.title), *Formatter().parse(self.question)]
        return tuple(dict.fromkeys(name for _text, name, _spec, _how in parts if name))

    def filled(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Title and question."""
        missing = [name for name in self.fields if not fields.get(name)]
        foreign = [name for name in fields if name not in self.fields]
        if missing or foreign:
            wrong = [f"{name} is missing" for name in missing]
            wrong += [f"{name} is no field of it" for name in foreign]
            raise NotValid(
                f"the template {self.name} takes {', '.join(self.fields)}: {', '.join(wrong)}"
            )
        return self.title.format(**fields), self.question.format(**fields)


TEMPLATES: Final = (
    Template(
        "plan",
        "before a plan is carried out",
        "Plan: {goal}",
        "Goal: {goal}\n\nSteps:\n{steps}\n\nGo ahead with this plan?",
    ),
    Template(
        "command",
        "before a command that may destroy something is run",
        "Run: {command}",
        "Command: {command}\nWhere: {where}\nWhy: {why}\n\nRun it?",
        ("once", "always in this session"),
    ),
    Template(
        "design",
        "before one of two designs is built",
        "Design: {subject}",
        "{subject}\n\nFirst: {first}\nSecond: {second}\n\nWhich one?",
        ("first", "second"),
    ),
    Template(
        "completion",
        "before work counts as done",
        "Done: {work}",
        "{work}\n\nHow it was checked:\n{evidence}\n\nIs it done?",
    ),
)


def template(name: str) -> Template:
    for each in TEMPLATES:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in TEMPLATES)
    raise NotThere(f"there is no template {name!r}: there are {names}")
