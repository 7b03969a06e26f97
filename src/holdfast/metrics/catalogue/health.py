"""Health: of these a sound daemon has few, however long it runs."""

from __future__ import annotations

from typing import Final

from holdfast.metrics.figure import (
    Figure,
    from_health,
    from_memory,
)

FIGURES: Final = (
    Figure(
        "holdfast_tasks",
        "gauge",
        "The daemon's own tasks that run.",
        from_memory(lambda m: m.tasks.active),
        kept=True,
    ),
    Figure(
        "holdfast_tasks_spawned_total",
        "counter",
        "Tasks that were begun.",
        from_memory(lambda m: m.tasks.spawned),
    ),
    Figure(
        "holdfast_tasks_completed_total",
        "counter",
        "Tasks that ended, also with an error.",
        from_memory(lambda m: m.tasks.completed),
    ),
    Figure(
        "holdfast_tasks_failed_total",
        "counter",
        "Tasks that ended with an error.",
        from_memory(lambda m: m.tasks.failed),
    ),
    Figure(
        "holdfast_timers",
        "gauge",
        "Duties that come back by the clock.",
        from_health(lambda h: h.timers),
    ),
    Figure(
        "holdfast_http_connections",
        "gauge",
        "Connections to the sockets that the daemon listens on.",
        from_health(lambda h: h.http_connections),
    ),
    Figure(
        "holdfast_journal_readers",
        "gauge",
        "Connections that read the journal; beside them there is the one that writes.",
        from_memory(lambda m: m.connections.open),
    ),
    Figure(
        "holdfast_journal_readers_limit",
        "gauge",
        "How many there may be, `journal.readers`.",
        from_memory(lambda m: m.connections.readers_max),
    ),
    Figure(
        "holdfast_journal_readers_lent",
        "gauge",
        "How many are at work.",
        from_memory(lambda m: m.connections.lent),
        kept=True,
    ),
    Figure(
        "holdfast_journal_readers_waited_for",
        "gauge",
        "How many readers wait for one.",
        from_memory(lambda m: m.connections.waiting),
    ),
    Figure(
        "holdfast_journal_readers_held_too_long",
        "gauge",
        "How many have been lent for longer than `resources.reader_held_secs`.",
        from_memory(lambda m: len(m.connections.held_too_long)),
    ),
    Figure(
        "holdfast_waiting_logs",
        "gauge",
        "Logs that were seen to have changed and are not read yet.",
        from_health(lambda h: h.waiting_logs),
    ),
    Figure(
        "holdfast_followed_logs",
        "gauge",
        "Logs that were written to lately and are looked at often.",
        from_health(lambda h: h.followed_logs),
    ),
    Figure(
        "holdfast_pending_captures",
        "gauge",
        "Commands from outside that wait for the recorder.",
        from_health(lambda h: h.pending_captures),
    ),
    Figure(
        "holdfast_pending_learnings",
        "gauge",
        "Sessions that wait to be looked through for learnings.",
        from_health(lambda h: h.pending_learnings),
    ),
    Figure(
        "holdfast_history_points",
        "gauge",
        "Points in the history of figures.",
        from_health(lambda h: h.history_points),
    ),
    Figure(
        "holdfast_log_records_total",
        "counter",
        "Records written to both logs since the start.",
        from_health(lambda h: h.log_records),
    ),
    Figure(
        "holdfast_log_records_dropped_total",
        "counter",
        "Records that could not be written.",
        from_health(lambda h: h.log_records_dropped),
    ),
)
