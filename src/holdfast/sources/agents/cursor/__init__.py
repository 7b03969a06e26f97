"""Cursor: `<root>/projects/<folder of the cwd>/agent-transcripts/…/<session>.jsonl`."""

from holdfast.sources.agents.cursor.source import Agent

__all__ = ["Agent"]
