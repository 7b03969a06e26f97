"""What sources have in common that find their logs below folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from holdfast.errors import Exit, HoldfastError
from holdfast.sources.base import Log, Place, first_text, is_utf8_path


class RelativeRoot(HoldfastError):
    """A root that means another folder wherever a command is run."""

    exit: ClassVar[Exit] = Exit.CONFIG


class FolderSource:
    """Finds the logs of one agent below its roots. An agent says where they are and whose."""

    agent: ClassVar[str]
    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = (".jsonl",)
    inside: ClassVar[tuple[str, ...]] = ("",)  # the folders of a root that hold logs
    variables: ClassVar[tuple[str, ...]] = ()  # of the agent's own, that name a root

    def __init__(self, roots: Sequence[str], origin: str = "") -> None:
        self.place = Place([os.path.realpath(os.path.expanduser(root)) for root in roots], origin)
        self._roots = [
            os.path.join(root, folder) if folder else root
            for root in self.place.roots
            for folder in self.inside
        ]

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        """Where the agent keeps its logs when nobody says otherwise."""
        raise NotImplementedError

    def log_at(self, root: str, path: str) -> Log | None:
        """Whose log a path below a root is."""
        raise NotImplementedError

    @classmethod
    def from_environment(cls, configured: Sequence[str], environ: Mapping[str, str]) -> Self:
        setting = f"sources.{cls.agent}.roots"
        for root in configured:
            if not root.startswith(("/", "~")):
                raise RelativeRoot(
                    f"{setting} holds {root!r}, and the daemon runs in no folder of "
                    "yours: write the whole path, or begin it with ~"
                )
        if configured:
            return cls(configured, setting)
        place = cls.default_place(environ)
        return cls(place.roots, place.origin)

    def roots(self) -> list[str]:
        return self._roots

    def enters(self, folder: str) -> bool:  # noqa: ARG002  # of the protocol: all of them
        return True

    def suffixes(self) -> tuple[str, ...]:
        return self.endings

    def projects_of(self, log: Log, head: bytes) -> list[str]:
        cwd = first_text(head, "cwd")
        return [cwd or log.relative.partition("/")[0]]

    def identify(self, key: str) -> Log | None:
        if key.endswith(self.endings) and is_utf8_path(key):
            for root in self._roots:
                if key.startswith(root + "/"):
                    return self.log_at(root, key)
        return None


def place_of(environ: Mapping[str, str], variable: str, otherwise: str) -> Place:
    """The folder that an agent's own variable names, else the usual one."""
    named = environ.get(variable)
    return Place([named], f"${variable}") if named else Place([otherwise], "the agent's default")
