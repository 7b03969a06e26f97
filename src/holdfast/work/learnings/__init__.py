"""What people and agents settle, want, correct and find out, taken from what they say."""

from holdfast.work.learnings.captures import PROJECTION, STREAM, LearningExtractor
from holdfast.work.learnings.extract import extract
from holdfast.work.learnings.listing import LearningEntry, LearningFilter, list_learnings
from holdfast.work.learnings.model import TYPES, Learning, Place

__all__ = [
    "PROJECTION",
    "STREAM",
    "TYPES",
    "Learning",
    "LearningEntry",
    "LearningExtractor",
    "LearningFilter",
    "Place",
    "extract",
    "list_learnings",
]
