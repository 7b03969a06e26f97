"""Gemini CLI: `<root>/tmp/<project>/chats/session-*.json` and `.jsonl`, subagents below that."""

from holdfast.sources.agents.gemini.source import Agent

__all__ = ["Agent"]
