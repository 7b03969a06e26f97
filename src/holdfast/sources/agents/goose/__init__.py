"""Goose: `<data>/goose/sessions/sessions.db`."""

from holdfast.sources.agents.goose.source import Agent

__all__ = ["Agent"]
