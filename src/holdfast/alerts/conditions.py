"""The language of alert conditions: `memory_usage_pct > 60 for 30s`.

    condition  =  any [ "for" span ]
    any        =  all { "or" all }
    all        =  term { "and" term }
    term       =  "not" term  |  "(" any ")"  |  name relation number
    relation   =  ">" | ">=" | "<" | "<=" | "==" | "!="
    number     =  digits [ "." digits ] [ "%" | "KB" | "MB" | "GB" | "s" | "m" | "h" | "d" ]
    span       =  digits "s" | "m" | "h" | "d"

A condition is parsed into comparisons and never evaluated as code: a config file that somebody
else may write must not run anything. A figure that the platform does not tell is neither above nor
below a number: a comparison with it does not hold, and `not` of it does not hold either, so that an
alert never speaks of what nobody measured.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from holdfast.alerts.names import NAMES, Unit

Relation = Literal[">", ">=", "<", "<=", "==", "!="]
Figures = Mapping[str, float | None]

NESTING_MAX: Final = 32
_RELATIONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_SPANS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIZES: Final = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_UNITS: Final[dict[str, tuple[Unit, float]]] = {
    "%": ("percent", 1),
    **{name: ("bytes", size) for name, size in _SIZES.items()},
    **{name: ("seconds", seconds) for name, seconds in _SPANS_S.items()},
}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<unit>%|[A-Za-z]+)?|(?P<word>[a-z_]+)|(?P<sign>[<>]=?|[=!]=|[()])"
    r"|(?P<other>\S))"
)


class BadCondition(ValueError):
    """Says what is wrong and where, in the words of a person who mends it."""


class Comparison(NamedTuple):
    name: str
    relation: str
    number: float

    def holds(self, figures: Figures) -> bool | None:
        figure = figures.get(self.name)
        return None if figure is None else _RELATIONS[self.relation](figure, self.number)

    def names(self) -> list[str]:
        return [self.name]


class Not(NamedTuple):
    term: Term

    def holds(self, figures: Figures) -> bool | None:
        held = self.term.holds(figures)
        return None if held is None else not held

    def names(self) -> list[str]:
        return self.term.names()


class Joined(NamedTuple):
    """Of several terms all (`and`) or at least one (`or`); an unknown one counts if it must."""

    how: Literal["and", "or"]
    terms: tuple[Term, ...]

    def holds(self, figures: Figures) -> bool | None:
        decides = self.how == "or"
        held = [term.holds(figures) for term in self.terms]
        if decides in held:
            return decides
        return None if None in held else not decides

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for term in self.terms for name in term.names()))


Term = Comparison | Not | Joined


class Condition(NamedTuple):
    term: Term
    for_s: float  # how long it must hold, and then not hold, before that counts

    def holds(self, figures: Figures) -> bool:
        return self.term.holds(figures) is True

    def names(self) -> list[str]:
        return self.term.names()


def parse(text: str) -> Condition:
    """Raises `BadCondition`."""
    return _Parser(text).condition()


class _Token(NamedTuple):
    kind: str  # "number", "word", "sign", "end"
    text: str
    unit: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def condition(self) -> Condition:
        term = self._any()
        for_s = 0.0
        if self._take("for"):
            for_s = self._span()
        self._expect_end()
        return Condition(term, for_s)

    def _any(self) -> Term:
        return self._joined("or", lambda: self._joined("and", self._term))

    def _joined(self, how: Literal["and", "or"], part: Callable[[], Term]) -> Term:
        terms = [part()]
        while self._take(how):
            terms.append(part())
        return terms[0] if len(terms) == 1 else Joined(how, tuple(terms))

    def _term(self) -> Term:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise BadCondition(f"is nested more than {NESTING_MAX} deep")
        term = self._unnested()
        self._depth -= 1
        return term

    def _unnested(self) -> Term:
        if self._take("not"):
            return Not(self._term())
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise BadCondition(f"lacks a `)` {self._here()}")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        name = self._now()
        if name.kind != "word":
            raise BadCondition(f"lacks the name of a figure {self._here()}")
        if name.text not in NAMES:
            raise BadCondition(f"speaks of `{name.text}`, which is no figure; {_near(name.text)}")
        self._next += 1
        relation = self._now()
        if relation.text not in _RELATIONS:
            signs = " ".join(_RELATIONS)
            raise BadCondition(f"lacks one of {signs} behind `{name.text}`")
        self._next += 1
        return Comparison(name.text, relation.text, self._number(name.text))

    def _number(self, name: str) -> float:
        token = self._now()
        if token.kind != "number":
            raise BadCondition(f"lacks a number {self._here()}")
        self._next += 1
        if not token.unit:
            return float(token.text)
        unit, factor = _UNITS.get(token.unit, ("", 1.0))
        if unit != NAMES[name].unit:
            raise BadCondition(
                f"compares `{name}`, in {NAMES[name].unit}, with `{token.text}{token.unit}`"
            )
        return float(token.text) * factor

    def _span(self) -> float:
        token = self._now()
        if token.kind != "number" or token.unit not in _SPANS_S:
            raise BadCondition("lacks a time behind `for`, such as 30s, 5m or 1h")
        self._next += 1
        return float(token.text) * _SPANS_S[token.unit]

    def _expect_end(self) -> None:
        if self._now().kind != "end":
            raise BadCondition(f"goes on with `{self._now().text}` where it should end")

    def _take(self, text: str) -> bool:
        taken = self._now().text == text
        self._next += taken
        return taken

    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _here(self) -> str:
        token = self._now()
        return "at its end" if token.kind == "end" else f"before `{token.text}`"


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while found := _TOKEN.match(text, at):
        if found["other"]:
            raise BadCondition(f"has a `{found['other']}` that means nothing")
        kind = found.lastgroup if found.lastgroup != "unit" else "number"
        assert kind is not None
        tokens.append(_Token(kind, found[kind], found["unit"] or "", found.start()))
        at = found.end()
    return [*tokens, _Token("end", "", "", len(text))]


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, NAMES, n=1)
    return f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(NAMES)}"
