"""What can be set: each setting with its type, range, default and meaning, stated here once.

The check of a value, the error it gives, `docs/settings.md`, the commented config file and the JSON
Schema are all read from these classes (`catalog.py`), so a setting cannot be undocumented.
Lists are tuples: settings do not change while the program runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from holdfast.alerts import DEFAULT_RULES, AlertRule
from holdfast.sources import agents

MIB: Final = 1 << 20
INGEST_WORKERS_MAX: Final = 16

Count = Annotated[int, Meta(ge=1)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Workers = Annotated[int, Meta(ge=1, le=INGEST_WORKERS_MAX)]
Text = Annotated[str, Meta(min_length=1)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+[^\s]*$")]
Texts = tuple[Text, ...]
_PLACEHOLDER: Final = r"\{(?:date|time|agent|title|project|session)\}"
_PLAIN: Final = r"[^{}/\x00-\x1f]"
_TEMPLATE: Final = rf"^{_PLAIN}*(?:{_PLACEHOLDER}{_PLAIN}*)+$"
Patterns = Annotated[Texts, Meta(extra={"items": "patterns"})]
Globs = Annotated[Texts, Meta(extra={"items": "globs"})]
Rules = Annotated[Texts, Meta(extra={"items": "rules"})]


def _unset(meaning: str) -> dict[str, str]:
    """For a setting that may be left out: what holds then."""
    return {"unset": meaning}


def _allowed(words: str) -> dict[str, str]:
    """For a setting whose pattern says little to a person."""
    return {"allowed": words}


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Daemon(Section, frozen=True):
    max_memory_mb: Annotated[
        Count, Meta(description="The ceiling on the PSS + swap of the whole process tree.")
    ] = 200
    heartbeat_ms: Annotated[
        int, Meta(ge=200, description="How often the status is measured and written afresh.")
    ] = 10_000
    stop_deadline_ms: Annotated[
        int,
        Meta(ge=500, description="How long an orderly stop may take before it is cut short."),
    ] = 10_000


class Snapshots(Section, frozen=True):
    max_events_per_session: Annotated[
        Count,
        Meta(description="How many of its newest events a session keeps in memory."),
    ] = 10_000
    max_sessions: Annotated[
        Count, Meta(description="How many sessions stay in memory at the same time.")
    ] = 200
    max_memory_mb: Annotated[
        Count | None,
        Meta(
            description="The budget for sessions in memory; at most `daemon.max_memory_mb`.",
            extra=_unset("30 % of `daemon.max_memory_mb`"),
        ),
    ] = None
    idle_eviction_ms: Annotated[
        Count | None,
        Meta(
            description="Sessions without activity for this long leave memory, never the journal.",
            extra=_unset("idleness evicts nothing"),
        ),
    ] = None
    idle_eviction_mode: Annotated[
        Literal["observe", "enforce"],
        Meta(description="Whether idle sessions are only counted or leave memory."),
    ] = "observe"
    oversized: Annotated[
        Literal["spill", "truncate", "fail"],
        Meta(
            description="What happens to a session that is over the budget by itself: its oldest "
            "events stay in the journal only, or are dropped from view, or the daemon stops."
        ),
    ] = "spill"
    block_bytes: Annotated[
        int,
        Meta(
            ge=16_384,
            le=4_194_304,
            description="How many bytes of events are compressed together into one block.",
        ),
    ] = 262_144


class Journal(Section, frozen=True):
    readers: Annotated[
        int, Meta(ge=1, le=16, description="How many connections may read at the same time.")
    ] = 2
    audit_max_rows: Annotated[
        int,
        Meta(ge=1_000, description="How many audit records are kept; the oldest leave first."),
    ] = 100_000
    wal_max_bytes: Annotated[
        int,
        Meta(
            ge=33_554_432,
            le=1_073_741_824,
            description="How long the write-ahead log may be before the writer waits for it to be "
            "moved into the database. Only who reads an old state of the journal for long makes it "
            "longer.",
        ),
    ] = 67_108_864


class Ingest(Section, frozen=True):
    workers: Annotated[
        Workers | None,
        Meta(
            description="How many child processes read big files at the same time.",
            extra=_unset("as many as the cores and the memory budget allow"),
        ),
    ] = None
    max_line_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=67_108_864,
            description="A line of a log that is longer goes to a blob unread.",
        ),
    ] = 4_194_304
    max_decompressed_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            description="A compressed log that is larger than this when decompressed is not read.",
        ),
    ] = 17_179_869_184
    inline_backlog_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            description="More unread bytes than this in one file are read by a child process.",
        ),
    ] = 4_194_304
    reconcile_secs: Annotated[
        Count,
        Meta(
            description="How often all roots are walked again for what file notifications missed."
        ),
    ] = 30


class AgentLogs(Section, frozen=True):
    """What can be set for each agent."""

    enabled: Annotated[bool, Meta(description="Whether the logs of this agent are read.")] = True
    exclude_projects: Annotated[
        Globs,
        Meta(
            description="Projects of which nothing is kept: patterns of their paths, where `*` "
            "stands for a part of a name, `**` for folders, and what is below is meant too."
        ),
    ] = ()
    roots: Annotated[
        Texts,
        Meta(
            description="Where the agent keeps its data, when that is not where it does by "
            "default; `holdfast sources` shows the folders that are read."
        ),
    ] = ()


if TYPE_CHECKING:

    class Sources(Section, frozen=True):
        """A section for each module in `sources/agents`."""

        warn_deletion_days: int = 7

else:
    _WarnDays = Annotated[
        int,
        Meta(
            ge=0,
            le=3_650,
            description="How many days ahead holdfast warns of logs that an agent will delete.",
        ),
    ]
    Sources = msgspec.defstruct(
        "Sources",
        [("warn_deletion_days", _WarnDays, 7)]
        + [
            (
                name,
                Annotated[AgentLogs, Meta(description=f"Logs of the agent `{name}`.")],
                AgentLogs(),
            )
            for name in agents.NAMES
        ],
        bases=(Section,),
        module=__name__,
        frozen=True,
        kw_only=True,
    )


class Privacy(Section, frozen=True):
    private_tags: Annotated[
        bool,
        Meta(description="Whether `<private>` parts are taken out before anything is kept."),
    ] = True
    secrets: Annotated[
        bool,
        Meta(description="Whether secrets are replaced by a marker that says of which kind."),
    ] = True
    allow: Annotated[
        Patterns,
        Meta(description="Regular expressions; a value that one of them matches whole is kept."),
    ] = ()
    extra: Annotated[
        Rules,
        Meta(
            description="Secrets of your own, each as `kind=regular expression`; "
            "it is searched inside text, without `^` and `$`."
        ),
    ] = ()


PRIVACY_PARTS: Final = {"private_tags": "private parts", "secrets": "secrets"}


class Recording(Section, frozen=True):
    allowed_write_roots: Annotated[
        Texts,
        Meta(
            description="The only folders that recordings, captures and exports may write below; "
            '"." is the folder that the command was run in.'
        ),
    ] = ("~", ".")
    default_folder: Annotated[
        str, Meta(min_length=1, description="Where recordings go that nobody named a place for.")
    ] = "~/holdfast"
    filename_template: Annotated[
        str,
        Meta(
            pattern=_TEMPLATE,
            description="The names of recordings that nobody named, without their ending.",
            extra=_allowed(
                "text without `/` and braces, and any of {date} {time} {agent} {title} {project} "
                "{session}, at least one of them"
            ),
        ),
    ] = "{date}-{title}-{session}"
    format: Annotated[
        Literal["markdown", "jsonl"],
        Meta(description="The format of recordings whose name does not end in one."),
    ] = "markdown"
    in_chat_commands: Annotated[
        bool, Meta(description="Whether `::record` and its kin act when somebody types them.")
    ] = True
    max_active: Annotated[
        int,
        Meta(ge=1, le=1_024, description="How many recordings may be active at the same time."),
    ] = 64
    include_thinking: Annotated[
        bool,
        Meta(description="Whether Markdown and HTML have what the agent thought."),
    ] = False
    include_tools: Annotated[
        bool,
        Meta(description="Whether Markdown and HTML have tool calls and their results."),
    ] = True
    include_commentary: Annotated[
        bool,
        Meta(
            description="Whether Markdown and HTML have what the agent says while it works, "
            "before its last message of a turn."
        ),
    ] = True
    include_system: Annotated[
        bool, Meta(description="Whether Markdown and HTML have system messages.")
    ] = False


class Learnings(Section, frozen=True):
    enabled: Annotated[
        bool,
        Meta(
            description="Whether conversations are looked through, in the background and on this "
            "machine alone, for decisions, preferences, corrections and patterns; "
            "`docs/learnings.md` says how."
        ),
    ] = True
    debounce_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="A session is looked through when it was quiet for so long, or went on "
            "for ten times as long.",
        ),
    ] = 5_000


class Ledger(Section, frozen=True):
    path: Annotated[
        Text | None,
        Meta(
            description="A file that is written anew whenever the ledger changed; it must be below "
            "`recording.allowed_write_roots`.",
            extra=_unset("none is written; `holdfast ledger` shows it"),
        ),
    ] = None
    debounce_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="How long after the first of several changes that file is written.",
        ),
    ] = 2_000


class Resources(Section, frozen=True):
    budget_moderate_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is moderate from this share of `daemon.max_memory_mb`; "
            "below `resources.budget_high_pct`."
        ),
    ] = 70
    budget_high_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is high from this share of `daemon.max_memory_mb`; "
            "below `resources.budget_critical_pct`."
        ),
    ] = 85
    budget_critical_pct: Annotated[
        Percent,
        Meta(description="Pressure is critical from this share of `daemon.max_memory_mb`."),
    ] = 95
    memory_moderate_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is moderate from this share of the machine's memory, or "
            "of the limit of our control group; below `resources.memory_high_pct`."
        ),
    ] = 40
    memory_high_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is high from this share of the machine's memory, or "
            "of the limit of our control group; below `resources.memory_critical_pct`."
        ),
    ] = 60
    memory_critical_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is critical from this share of the machine's memory, or "
            "of the limit of our control group."
        ),
    ] = 80
    stall_some_moderate_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is moderate when something waited for memory for this share "
            "of ten seconds; below `resources.stall_some_high_pct`."
        ),
    ] = 10
    stall_some_high_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is high when something waited for memory for this share "
            "of ten seconds; below `resources.stall_some_critical_pct`."
        ),
    ] = 30
    stall_some_critical_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is critical when something waited for memory for this share "
            "of ten seconds."
        ),
    ] = 60
    stall_full_moderate_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is moderate when everything waited for memory for this share "
            "of ten seconds; below `resources.stall_full_high_pct`."
        ),
    ] = 5
    stall_full_high_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is high when everything waited for memory for this share "
            "of ten seconds; below `resources.stall_full_critical_pct`."
        ),
    ] = 15
    stall_full_critical_pct: Annotated[
        Percent,
        Meta(
            description="Pressure is critical when everything waited for memory for this share "
            "of ten seconds."
        ),
    ] = 40
    critical_exit_secs: Annotated[
        int,
        Meta(
            ge=1,
            description="Pressure of our own that stays critical for this long ends the daemon in "
            "an orderly way with exit code 75, for a service manager to start it again.",
        ),
    ] = 60
    reader_held_secs: Annotated[
        Count,
        Meta(
            description="A connection to the journal that is lent for longer than this is told in "
            "the status and the log."
        ),
    ] = 300
    work_queue_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="How many items of all work queues may be pending; whoever enqueues more "
            "waits for room.",
        ),
    ] = 10_000
    memory_log_interval_secs: Annotated[
        Count, Meta(description="How often memory is read and logged while there is no pressure.")
    ] = 30
    event_capacity: Annotated[
        Count,
        Meta(description="How many events are held ready for those who follow what happens."),
    ] = 1_000
    event_ttl_secs: Annotated[Count, Meta(description="How long each of them is held ready.")] = 60


class Stream(Section, frozen=True):
    max_event_history: Annotated[
        Count, Meta(description="How many of the newest events are kept in memory for followers.")
    ] = 100_000
    max_history_bytes: Annotated[
        int, Meta(ge=65_536, description="How many bytes these may take.")
    ] = 4_000_000
    max_cache_size: Annotated[
        Count,
        Meta(description="How many older events that were read back for followers stay in memory."),
    ] = 50_000
    max_cache_bytes: Annotated[
        int, Meta(ge=65_536, description="How many bytes these may take.")
    ] = 4_000_000
    max_event_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=4_000_000,
            description="How large an event that is appended may be.",
        ),
    ] = 1_000_000
    key_retention_hours: Annotated[
        Count,
        Meta(
            description="How long the key of an appended event is remembered: the same event "
            "again is not stored twice meanwhile."
        ),
    ] = 168


class Tasks(Section, frozen=True):
    max_unfinished: Annotated[
        Count,
        Meta(
            description="How many tasks may be unfinished at the same time; so many finished ones "
            "stay in memory at most."
        ),
    ] = 10_000
    retain_minutes: Annotated[
        Count,
        Meta(
            description="How long a finished task stays in memory, for whoever asks how it went. "
            "The journal keeps it."
        ),
    ] = 60
    timeout_secs: Annotated[
        int,
        Meta(
            ge=0,
            description="How long a task may take that says nothing else; 0: as long as it likes.",
        ),
    ] = 14_400
    heartbeat_secs: Annotated[
        int,
        Meta(
            ge=0,
            description="A running task that nothing is heard of for so long is stale, and after "
            "as long again it was tried in vain; 0: it need not be heard of.",
        ),
    ] = 300
    retries: Annotated[
        int, Meta(ge=0, le=100, description="How often a task is tried again that failed.")
    ] = 2
    observer_min_secs: Annotated[
        int, Meta(ge=1, le=60, description="How far apart looks for stuck tasks are at least.")
    ] = 1
    observer_max_secs: Annotated[
        int, Meta(ge=60, description="How far apart they are at most while tasks run.")
    ] = 60


class Checkpoints(Section, frozen=True):
    max_pending: Annotated[
        Count,
        Meta(
            description="How many checkpoints may wait for an answer; so many that ended stay in "
            "memory at most."
        ),
    ] = 1_000
    expiry_secs: Annotated[
        int,
        Meta(
            ge=0,
            description="When a checkpoint expires that says nothing else; 0: never.",
        ),
    ] = 86_400
    retain_minutes: Annotated[
        Count,
        Meta(
            description="How long one that ended stays in memory, for whoever lost the answer. "
            "The journal keeps it."
        ),
    ] = 1_440


class Intents(Section, frozen=True):
    max_active: Annotated[
        Count,
        Meta(
            description="How many intents may be active at the same time; so many that ended stay "
            "in memory at most."
        ),
    ] = 1_000
    retain_minutes: Annotated[
        Count,
        Meta(
            description="How long one that ended stays in memory; a failed one can be resumed "
            "meanwhile. The journal keeps it."
        ),
    ] = 10_080


class Work(Section, frozen=True):
    max_payload_bytes: Annotated[
        int,
        Meta(ge=64, le=1_048_576, description="How large the payload of an item may be."),
    ] = 65_536
    lease_secs: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="How long a claimed item is one worker's, where it does not say.",
        ),
    ] = 60
    max_attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="After so many attempts an item goes to dead letters, where it does not "
            "say.",
        ),
    ] = 5
    retry_base_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600_000,
            description="How long an item that failed once is left alone at most; each time it "
            "fails again, twice as long.",
        ),
    ] = 1_000
    retry_max_secs: Annotated[
        int, Meta(ge=1, le=86_400, description="The longest that a failed item is left alone.")
    ] = 600
    dead_letters_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="While there are so many dead letters, nothing new is enqueued.",
        ),
    ] = 10_000


class Server(Section, frozen=True):
    loopback_port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(
            description="Serves `/metrics` and `/v1/health`, and nothing else, to programs of this "
            "machine on this port of 127.0.0.1.",
            extra=_unset("the daemon listens on its unix socket only"),
        ),
    ] = None


class Telemetry(Section, frozen=True):
    otlp_endpoint: Annotated[
        Url | None,
        Meta(
            description="Sends figures and holdfast's own log, never conversations, to "
            "`/v1/metrics` and `/v1/logs` below this address by OTLP/HTTP; needs `holdfast[otel]`.",
            extra={
                **_unset("nothing leaves the machine"),
                **_allowed("text, an address with http:// or https://"),
            },
        ),
    ] = None
    otlp_metrics: Annotated[bool, Meta(description="Whether figures are sent there.")] = True
    otlp_logs: Annotated[
        bool, Meta(description="Whether records of holdfast's own log are sent there.")
    ] = True
    otlp_interval_secs: Annotated[
        int, Meta(ge=1, le=3_600, description="How often figures and new records are sent.")
    ] = 60


class Alerts(Section, frozen=True):
    rules: Annotated[
        tuple[AlertRule, ...],
        Meta(
            description="What is watched and what is done about it; `docs/alerts.md` explains it. "
            "Rules that are set here stand in the place of the default ones.",
            extra={
                "items": "tables",
                **_allowed(
                    "list of tables with name, condition, severity, actions and repeat_secs"
                ),
            },
        ),
    ] = DEFAULT_RULES
    webhook_url: Annotated[
        Url | None,
        Meta(
            description="Where the actions `page` and `webhook` send a JSON message.",
            extra={
                **_unset("nothing is sent"),
                **_allowed("text, an address with http:// or https://"),
            },
        ),
    ] = None
    command: Annotated[
        Texts,
        Meta(
            description="The program and arguments that the actions `page` and `command` run, "
            "without a shell; the message is JSON on its standard input."
        ),
    ] = ()
    repeat_secs: Annotated[
        int,
        Meta(
            ge=0,
            description="How often an alert that goes on is told again, where its rule does not "
            "say; 0: never.",
        ),
    ] = 14_400


class Logs(Section, frozen=True):
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe records that are written."),
    ] = "info"
    max_bytes: Annotated[
        int, Meta(ge=65_536, description="A log file that reaches this size is put aside.")
    ] = 4_194_304
    keep_files: Annotated[
        int,
        Meta(ge=1, le=100, description="How many files of each log are kept, the oldest leave."),
    ] = 4


class Settings(Section, frozen=True):
    daemon: Annotated[Daemon, Meta(description="The process as a whole.")] = Daemon()
    snapshots: Annotated[
        Snapshots, Meta(description="Sessions in memory. What leaves memory stays in the journal.")
    ] = Snapshots()
    journal: Annotated[Journal, Meta(description="The database that keeps everything.")] = Journal()
    ingest: Annotated[Ingest, Meta(description="Reading the agents' logs.")] = Ingest()
    sources: Annotated[Sources, Meta(description="Where events come from.")] = Sources()
    privacy: Annotated[
        Privacy, Meta(description="What is taken out of the logs before anything of them is kept.")
    ] = Privacy()
    recording: Annotated[Recording, Meta(description="Files that holdfast writes for people.")] = (
        Recording()
    )
    learnings: Annotated[Learnings, Meta(description="What is learnt from conversations.")] = (
        Learnings()
    )
    ledger: Annotated[
        Ledger,
        Meta(description="Epics, tasks, decisions and learnings, as a projection of the log."),
    ] = Ledger()
    resources: Annotated[
        Resources, Meta(description="When memory counts as scarce, and what is done about it.")
    ] = Resources()
    stream: Annotated[
        Stream, Meta(description="Events that programs append, and following what happens.")
    ] = Stream()
    work: Annotated[Work, Meta(description="Queues of work that wait for somebody to do it.")] = (
        Work()
    )
    tasks: Annotated[Tasks, Meta(description="Tasks that agents and programs work on.")] = Tasks()
    checkpoints: Annotated[
        Checkpoints, Meta(description="What agents ask people, and wait for.")
    ] = Checkpoints()
    intents: Annotated[Intents, Meta(description="Workflows that outlive whoever runs them.")] = (
        Intents()
    )
    server: Annotated[Server, Meta(description="Where the daemon listens.")] = Server()
    telemetry: Annotated[
        Telemetry, Meta(description="Sending what holdfast says of itself to a collector.")
    ] = Telemetry()
    alerts: Annotated[
        Alerts, Meta(description="What somebody is to be told of while it goes wrong.")
    ] = Alerts()
    logs: Annotated[Logs, Meta(description="holdfast's own logs.")] = Logs()

    def source(self, agent: str) -> AgentLogs:
        logs: AgentLogs = getattr(self.sources, agent)
        return logs

    @property
    def snapshots_budget_bytes(self) -> int:
        if self.snapshots.max_memory_mb is not None:
            return self.snapshots.max_memory_mb * MIB
        return max(MIB, self.daemon.max_memory_mb * MIB * _SNAPSHOTS_PCT // 100)

    def import_workers(self, cpus: int) -> int:
        """Unless it is set: no more than the ceiling has room for beside the daemon itself."""
        if self.ingest.workers is not None:
            return self.ingest.workers
        room_bytes = self.daemon.max_memory_mb * MIB - self.snapshots_budget_bytes - _DAEMON_BYTES
        worker_bytes = _WORKER_BYTES + _COPIES_OF_A_LINE * self.ingest.max_line_bytes
        return max(1, min(cpus, room_bytes // worker_bytes, INGEST_WORKERS_MAX))


_SNAPSHOTS_PCT: Final = 30
_DAEMON_BYTES: Final = 40 * MIB  # the daemon without its sessions
_WORKER_BYTES: Final = 32 * MIB  # a child that imports, without the line it is reading
_COPIES_OF_A_LINE: Final = 2  # as read, and as the event it becomes


class Below(Struct, frozen=True):
    """Two settings that must stand in this order."""

    lower: str
    upper: str
    may_equal: bool


ORDERED: Final = (
    Below("snapshots.max_memory_mb", "daemon.max_memory_mb", may_equal=True),
    *(
        Below(
            f"resources.{reading}_{lower}_pct", f"resources.{reading}_{upper}_pct", may_equal=False
        )
        for reading in ("budget", "memory", "stall_some", "stall_full")
        for lower, upper in (("moderate", "high"), ("high", "critical"))
    ),
)
