"""Made-up prose: sentences, prompts, thoughts and answers that read like an agent's.

Every text in this package is the *inside of a JSON string, already escaped*: templates are escaped
once, when they are compiled, and the words that fill them never need it. A corpus of hundreds of
megabytes is then plain concatenation: 3.8 s for 351 MB, to which `json.dumps` of each record would
add 1.8 s, and the dicts that it needs more.

Sentences are put together afresh instead of drawn from a pool of ready ones, which would repeat
itself within one compressed block and be smaller than real talk.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from holdfast.demo.english import Grammar

Pools = Mapping[str, Sequence[str]]

NEWLINE = "\\n"  # as it stands inside a JSON string
PARAGRAPH = NEWLINE * 2
_SLOT = re.compile(r"\$([a-zA-Z])")


def dice(*seed: object) -> Random:
    """The one source of chance. The same seed gives the same throws, whatever PYTHONHASHSEED is."""
    return Random("/".join(map(str, seed)))  # noqa: S311 - made-up text, not secrets


def escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def around(throw: Random, middle: float, spread: float) -> int:
    """A size with a long tail: half are below `middle`; `spread` is the deviation of its log."""
    return int(middle * math.exp(spread * throw.normalvariate(0.0, 1.0)))


class Template:
    """Text with one-letter slots, ready to be filled from pools of words."""

    __slots__ = ("_format", "_slots")

    def __init__(self, text: str) -> None:
        self._slots = tuple(_SLOT.findall(text))
        self._format = _SLOT.sub("%s", escaped(text).replace("%", "%%"))

    def fill(self, throw: Random, pools: Pools) -> str:
        chance = throw.random
        return self._format % tuple(
            [(pool := pools[slot])[int(chance() * len(pool))] for slot in self._slots]
        )


@cache
def templates(texts: tuple[str, ...]) -> tuple[Template, ...]:
    return tuple(Template(text) for text in texts)


T = TypeVar("T")


def pick(throw: Random, items: Sequence[T]) -> T:
    """`Random.choice` at a third of its cost: this is the innermost loop."""
    return items[int(throw.random() * len(items))]


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


class Voice:
    """Someone who talks in one language about the things of one project."""

    def __init__(
        self, throw: Random, grammar: Grammar, identifiers: Sequence[str], paths: Sequence[str]
    ) -> None:
        self._throw = throw
        self._grammar = grammar
        # A conversation keeps to its topics; the next one has others.
        topics = throw.sample(grammar.nouns, min(len(grammar.nouns), 110))
        traits = throw.sample(grammar.adjectives, min(len(grammar.adjectives), 60))
        self._pools: dict[str, Sequence[str]] = {
            "n": topics,
            "N": [_with_article(topic) for topic in topics],
            "a": traits,
            "A": [_with_article(trait) for trait in traits],
            "v": throw.sample(grammar.verbs, min(len(grammar.verbs), 60)),
            "b": grammar.adverbs,
            "d": grammar.done,
            "g": grammar.doing,
            "i": [f"`{name}`" for name in identifiers],
            "p": [f"`{path}`" for path in paths],
            "k": NUMBERS,
        }

    def _one_of(self, texts: tuple[str, ...]) -> str:
        return pick(self._throw, templates(texts)).fill(self._throw, self._pools)

    def sentence(self) -> str:
        sentence = self._one_of(self._grammar.sentences)
        if self._grammar.clauses and self._throw.random() < 0.4:
            return f"{sentence[:-1]}, {self._one_of(self._grammar.clauses)}."
        return sentence

    def prose(self, length: int) -> str:
        """Paragraphs of `length` characters, give or take a sentence."""
        parts: list[str] = []
        while length > 0:
            parts.append(self.sentence())
            length -= len(parts[-1])
            parts.append(PARAGRAPH if self._throw.random() < 0.2 else self._grammar.space)
        return "".join(parts[:-1])

    def opener(self) -> str:
        return self._one_of(self._grammar.openers)

    def title(self) -> str:
        return self._one_of(self._grammar.titles)

    def prompt(self, length: int) -> str:
        """What a person types: short, or long with an explanation behind it."""
        prompt = self._one_of(self._grammar.prompts)
        extra = length - len(prompt)
        return prompt if extra < 40 else f"{prompt}{PARAGRAPH}{self.prose(extra)}"

    def answer(self, length: int, code: str = "") -> str:
        """What an agent says; from a few hundred characters on it is Markdown."""
        if length < 300:
            rest = [self.prose(length - 40)] if length >= 60 else []
            return self._grammar.space.join([self.opener(), *rest])
        parts = [self.opener()]
        while length > 0:
            part = self._section(code)
            parts.append(part)
            length -= len(part)
        return PARAGRAPH.join(parts)

    def _section(self, code: str) -> str:
        chance = self._throw.random()
        heading = f"## {self._one_of(self._grammar.headings)}"
        if chance < 0.45:
            return f"{heading}{PARAGRAPH}{self.prose(400)}"
        if chance < 0.9 or not code:
            items = [f"- **{self.title()}**: {self.sentence()}" for _ in range(4)]
            return f"{heading}{PARAGRAPH}{NEWLINE.join(items)}"
        return f"{self.sentence()}{PARAGRAPH}```{NEWLINE}{code}{NEWLINE}```"


NUMBERS = tuple(map(str, (*range(2, 60), *range(60, 400, 7), *range(400, 4000, 113))))
