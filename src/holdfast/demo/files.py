"""Made-up projects: source files to read, edit and search, and what commands print about them.

A file is built once, when it is first touched, and kept as escaped text: the same file is read and
edited again and again in real sessions too, and tool output is more than half of all bytes, so
cutting it from ready text is what makes the generator fast.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from random import Random

from holdfast.demo.code import BLOCKS, GREP, OUTPUTS, Output
from holdfast.demo.english import ENGLISH
from holdfast.demo.text import NEWLINE, NUMBERS, Pools, Voice, around, dice, pick, templates

FILES_PER_PROJECT = 70
MIDDLE_LINES = 700
MAX_LINES = 3_600
_TEAM = ("ana", "bela", "chidi", "dmitri", "eun-ji", "farah", "goran", "hana")


class SourceFile:
    """A file of a project, as escaped text."""

    def __init__(self, path: str, throw: Random, pools: Pools) -> None:
        self.path = path
        wanted = min(around(throw, MIDDLE_LINES, 0.85), MAX_LINES)
        blocks = templates(BLOCKS[path.rpartition(".")[2]])
        own = {slot: throw.sample(pool, min(len(pool), 24)) for slot, pool in pools.items()}
        parts: list[str] = []
        while wanted > 0:
            part = pick(throw, blocks).fill(throw, own) + NEWLINE
            parts.append(part)
            wanted -= part.count(NEWLINE) + 1
        self.plain = NEWLINE.join(parts)
        ends = accumulate(len(line) + len(NEWLINE) for line in self.plain.split(NEWLINE))
        self._ends = array("I", [0, *ends])
        self.count = len(self._ends) - 1

    def lines(self, first: int, count: int) -> list[str]:
        """Lines from `first` (which counts from 1) on."""
        last = min(first - 1 + count, self.count)
        return self.plain[self._ends[first - 1] : self._ends[last] - len(NEWLINE)].split(NEWLINE)


def numbered(lines: list[str], first: int) -> str:
    """Lines as the Read tool shows them."""
    return NEWLINE.join([f"{at:6}→{line}" for at, line in enumerate(lines, first)])


class Project:
    """Somewhere that people work: a directory, its files, and the words for what is in them."""

    def __init__(self, cwd: str, seed: str) -> None:
        self.cwd = cwd
        self._seed = seed
        throw = dice(seed)
        self._kind = pick(throw, ("py", "py", "go", "ts", "ts"))
        self.paths = tuple(self._path(throw) for _ in range(FILES_PER_PROJECT))
        self.names = tuple(self._name(throw) for _ in range(320))
        self.branches = ("main", *(_branch(throw) for _ in range(9)))
        comments = Voice(throw, ENGLISH, self.names, self.paths)
        self.pools: Pools = {
            "f": self.names,
            "c": tuple({_title(_camel(throw)): None for _ in range(160)}),
            "v": tuple({pick(throw, ENGLISH.nouns): None for _ in range(120)}),
            "m": self.paths,
            "w": throw.sample(ENGLISH.nouns, 140),
            "x": tuple(comments.sentence().replace("`", "") for _ in range(260)),
            "k": NUMBERS,
            "h": tuple(f"{throw.getrandbits(32):08x}" for _ in range(2_000)),
            "s": tuple(f"{throw.random() * 9:.2f}" for _ in range(300)),
            "t": tuple(_time_of_day(throw) for _ in range(700)),
            "u": _TEAM,
        }
        self._files: dict[str, SourceFile] = {}

    def file(self, path: str) -> SourceFile:
        if path not in self._files:
            self._files[path] = SourceFile(path, dice(self._seed, path), self.pools)
        return self._files[path]

    def lines(self, throw: Random, patterns: tuple[str, ...], length: int) -> list[str]:
        """Lines of output, about `length` characters of them."""
        ready = templates(patterns)
        lines: list[str] = []
        while length > 0:
            lines.append(pick(throw, ready).fill(throw, self.pools))
            length -= len(lines[-1]) + 2
        return lines

    def run(self, throw: Random, output: Output, length: int) -> str:
        return NEWLINE.join(self.lines(throw, output.lines, length))

    def grep(self, throw: Random, length: int) -> list[str]:
        return self.lines(throw, GREP, length)

    def command(self, throw: Random) -> tuple[Output, str]:
        output = pick(throw, OUTPUTS)
        return output, templates((output.command,))[0].fill(throw, self.pools)

    def _name(self, throw: Random) -> str:
        if self._kind == "py":
            parts = [pick(throw, ENGLISH.verbs), pick(throw, ENGLISH.nouns)]
            if throw.random() < 0.4:
                parts.append(pick(throw, ENGLISH.nouns))
            return "_".join(parts)
        return _camel(throw)

    def _path(self, throw: Random) -> str:
        folders = "/".join(pick(throw, _FOLDERS) for _ in range(1 + int(throw.random() * 3)))
        name = f"{pick(throw, ENGLISH.nouns)}_{pick(throw, ENGLISH.nouns)}"
        test = "_test" if throw.random() < 0.25 else ""
        return f"{folders}/{name}{test}.{self._kind}"


_FOLDERS = (
    "src", "internal", "cmd", "lib", "app", "server", "client", "core", "tests", "pkg",
    "services", "components", "store", "api", "tools",
)  # fmt: skip


def _branch(throw: Random) -> str:
    return f"{pick(throw, _TEAM)}/{pick(throw, ENGLISH.verbs)}-{pick(throw, ENGLISH.nouns)}"


def _camel(throw: Random) -> str:
    verb, noun = pick(throw, ENGLISH.verbs), pick(throw, ENGLISH.nouns).capitalize()
    return verb + noun + (pick(throw, ENGLISH.nouns).capitalize() if throw.random() < 0.4 else "")


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _time_of_day(throw: Random) -> str:
    seconds, millis = int(throw.random() * 86_400), int(throw.random() * 1_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"
