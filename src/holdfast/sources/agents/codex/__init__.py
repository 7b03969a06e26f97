"""Codex CLI: `<root>/sessions/YYYY/MM/DD/rollout-<time>-<thread>.jsonl`, and where it archives."""

from holdfast.sources.agents.codex.source import Agent

__all__ = ["Agent"]
