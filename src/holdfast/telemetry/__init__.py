"""Sending figures and the operational log to a collector, from a process of its own.

What speaks OTLP takes 11 MB more than the interpreter, so the daemon does not load it. It starts a
child when `telemetry.otlp_endpoint` is set, which counts into the tree like every other child.
"""

from holdfast.telemetry.job import Job, Said

__all__ = ["Job", "Said"]
