"""Having agents tell holdfast what happens in them: what is put into their folders, and back."""

from holdfast.hooks.base import AgentHooks, Done, Status, Where
from holdfast.hooks.registry import HOOKED, NoHooks, hooks_of

__all__ = ["HOOKED", "AgentHooks", "Done", "NoHooks", "Status", "Where", "hooks_of"]
