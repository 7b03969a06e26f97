"""Cline: `<root>/sessions/<id>/<id>.messages.json`, and `<root>/tasks/<id>/` of the editors."""

from holdfast.sources.agents.cline.source import Agent

__all__ = ["Agent"]
