"""Claude Code: `<root>/projects/<folder of the cwd>/<session>.jsonl`, subagents below that."""

from holdfast.sources.claude.source import ClaudeSource

__all__ = ["ClaudeSource"]
