"""Recordings and exports: what a session looks like in a file, and which files may be written."""

from holdfast.recording.markdown import MarkdownOptions, SessionHead
from holdfast.recording.markdown import render as render_markdown
from holdfast.recording.policy import WriteFailed, WritePolicy, WriteRefused

__all__ = [
    "MarkdownOptions",
    "SessionHead",
    "WriteFailed",
    "WritePolicy",
    "WriteRefused",
    "render_markdown",
]
