"""OpenCode: `<data>/opencode*.db`, and the tree of JSON files that older versions kept."""

from holdfast.sources.agents.opencode.source import Agent

__all__ = ["Agent"]
