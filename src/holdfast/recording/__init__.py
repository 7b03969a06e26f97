"""Recordings and exports: what a session looks like in a file, and which files may be written."""

from holdfast.recording.markdown import SessionHead
from holdfast.recording.markdown import render as render_markdown
from holdfast.recording.policy import WriteFailed, WritePolicy, WriteRefused
from holdfast.recording.view import View

__all__ = [
    "SessionHead",
    "View",
    "WriteFailed",
    "WritePolicy",
    "WriteRefused",
    "render_markdown",
]
