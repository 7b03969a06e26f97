"""Claude Code: `<root>/projects/<folder of the cwd>/<session>.jsonl`, subagents below that."""

from holdfast.sources.agents.claude.source import Agent

__all__ = ["Agent"]
