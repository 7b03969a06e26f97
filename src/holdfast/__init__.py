"""holdfast keeps the conversations of AI coding agents, for good, under a ceiling."""

__version__ = "0.1.0"
