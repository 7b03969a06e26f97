"""Figures: each has one name and one meaning, whoever asks for it, now or of the last day."""

from holdfast.metrics.exposition import OPENMETRICS, PLAIN, Dialect, dialect_for, exposition
from holdfast.metrics.figures import FIGURES, Figure, Point, Reading, read_all
from holdfast.metrics.history import History, Stretch
from holdfast.metrics.latest import FigureList, Latest, Taken, listed
from holdfast.metrics.page import render_page

__all__ = [
    "FIGURES",
    "OPENMETRICS",
    "PLAIN",
    "Dialect",
    "Figure",
    "FigureList",
    "History",
    "Latest",
    "Point",
    "Reading",
    "Stretch",
    "Taken",
    "dialect_for",
    "exposition",
    "listed",
    "read_all",
    "render_page",
]
