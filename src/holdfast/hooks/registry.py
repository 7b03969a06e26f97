"""The agents whose hooks holdfast installs, by the names that its commands take."""

from __future__ import annotations

from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.hooks.base import AgentHooks
from holdfast.hooks.opencode import OpenCode

_ALL: Final[tuple[AgentHooks, ...]] = (OpenCode(),)
HOOKED: Final = tuple(each.agent for each in _ALL)


class NoHooks(HoldfastError):
    """There are none for an agent of this name."""

    exit: ClassVar[Exit] = Exit.USAGE


def hooks_of(agent: str) -> AgentHooks:
    for each in _ALL:
        if each.agent == agent:
            return each
    raise NoHooks(f"there are no hooks for {agent!r}: choose from {', '.join(HOOKED)}")
