"""`status`: what is held, what memory that costs, and whether all is well."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import ago, bold, counted, cut, dim, plain, put, put_json, size, span
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.cli.sources import expiring_lines
from holdfast.errors import Exit

PATIENCE_S: Final = 15.0  # with a very large journal on a busy machine
MISSING_SHOWN: Final = 2  # places of an agent that is there; `sources -v` shows all
SESSIONS_SHOWN: Final = 10
PROBLEMS_SHOWN: Final = 3
PROBLEMS_FIRST: Final = 8
WATCH_INTERVAL_S: Final = 1.0
BAR_CHARS: Final = 30
PART_SHARE: Final = 0.01  # of the memory in use; what weighs less is told together
ACTIONS_SHOWN: Final = 4
TITLE_COLUMNS: Final = 60


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "status",
        run_status,
        "what is held, what memory that costs, and whether all is well",
        "Works without a daemon too: then it says how the last run ended and what is kept.",
    )
    add_json(parser)
    parser.add_argument("--watch", action="store_true", help="stay, and look again every second")


def run_status(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.watch:
        return _watch(context, as_json=arguments.json)
    status = get_status(context)
    if arguments.json:
        put_json(status)
    else:
        put(render(status))
    return Exit.OK


def get_status(context: Context) -> dict[str, Any]:
    from holdfast.client import Client, NotAnswering, NotRunning

    try:
        client = Client(context.paths, patience_s=PATIENCE_S)
        status: dict[str, Any] = client.get("/v1/status")
    except NotAnswering:  # what the journal knows would look as if nothing were wrong
        raise
    except NotRunning:
        return _offline(context)
    return status


def _offline(context: Context) -> dict[str, Any]:
    import msgspec

    from holdfast.journal.reader import SqliteReader
    from holdfast.journal.sqlite import JournalMissing
    from holdfast.status.build import offline_status
    from holdfast.status.crash import CrashFile
    from holdfast.status.lastrun import RunFile

    paths = context.paths
    try:
        reader = SqliteReader(paths.journal)
    except JournalMissing:
        reader = None
    status = offline_status(
        reader,
        context.sources.values(),
        privacy=context.settings.privacy,
        journal_path=paths.journal,
        data_dir=paths.data_dir,
        last_run=RunFile(paths.run_file, CrashFile(paths.crash_file)).last(),
        warn_days=context.settings.sources.warn_deletion_days,
        work_queue_max=context.settings.resources.work_queue_max,
    )
    if reader is not None:
        reader.close()
    plain_status: dict[str, Any] = msgspec.to_builtins(status)
    return plain_status


def _watch(context: Context, *, as_json: bool) -> int:
    while as_json or not sys.stdout.isatty():  # a pipe gets one after the other, each at once
        status = get_status(context)
        if as_json:
            put_json(status)
        else:
            put(_screen(context, status) + "\n")
        sys.stdout.flush()
        time.sleep(WATCH_INTERVAL_S)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(Text.from_ansi(_screen(context, get_status(context))), refresh=True)
            time.sleep(WATCH_INTERVAL_S)


def _screen(context: Context, status: dict[str, Any]) -> str:
    """The status, and how the last hour was."""
    from holdfast.cli.trends import trends

    return "\n".join(part for part in (render(status), trends(context)) if part)


def render(status: dict[str, Any]) -> str:
    """The status for people."""
    parts = [_daemon(status["daemon"]), *_problems(status["problems"])]
    if status["memory"] is not None:
        parts.append(_memory(status["memory"]))
    if status["importing"]["running"]:
        parts.append(_importing(status["importing"]))
    parts += _sources(status["sources"])
    parts += [
        _journal(status),
        _recordings(status["recordings"]),
        _work(status["work"]),
        _streams(status["streams"]),
        _queues(status["queues"]),
        _privacy(status["privacy"]),
        _sessions(status["sessions"]),
    ]
    return "\n".join(part for part in parts if part)


def _problems(problems: list[str]) -> list[str]:
    """Before all else: what follows is long, and scrolls."""
    lines = [f"{bold('Problem')}   {plain(each)}" for each in problems[:PROBLEMS_FIRST]]
    if len(problems) > PROBLEMS_FIRST:
        lines.append(f"  and {len(problems) - PROBLEMS_FIRST} more: holdfast doctor")
    return lines


def _daemon(daemon: dict[str, Any]) -> str:
    if daemon["running"]:
        line = f"{daemon['state']}, pid {daemon['pid']}, up {span(daemon['uptime_s'])}"
    else:
        line = "not running (start it with: holdfast start)"
    lines = [f"{bold('holdfast')} {daemon['version']}  {line}"]
    last = daemon["last_run"]
    if last and last["ending"] != "stopped":
        lines.append(
            f"{bold('Last run')}  {last['ending']} {ago(last['ended_at'])}: {last['detail']}"
        )
    return "\n".join(lines)


def _parts(memory: dict[str, Any]) -> str:
    """What weighs something by name; the rest of what is known as one."""
    worth_bytes = memory["process"]["tree_bytes"] * PART_SHARE
    large = [each for each in memory["components"] if each["bytes"] >= worth_bytes]
    small_bytes = sum(each["bytes"] for each in memory["components"]) - sum(
        each["bytes"] for each in large
    )
    parts = [("program", memory["baseline_bytes"])]
    parts += [(each["name"], each["bytes"]) for each in large if each["bytes"]]
    parts += [("small parts", small_bytes)] if small_bytes else []
    # Shared pages make the parts weigh a little more than the whole at times.
    parts += [("unexplained", max(0, memory["unaccounted_bytes"]))]
    return ", ".join(f"{name} {size(weight)}" for name, weight in parts)


def _memory(memory: dict[str, Any]) -> str:
    process, snapshots = memory["process"], memory["snapshots"]
    tree, budget = process["tree_bytes"], memory["budget_bytes"]
    lines = [
        (
            f"{bold('Memory')}    {_bar(tree / budget)} {size(tree)} of {size(budget)}, "
            f"{memory['level']}, peak {size(process['peak_tree_bytes'])}"
        ),
        f"  {_parts(memory)}",
        *_pressure(memory["pressure"]),
        *_held_connections(memory["connections"]),
        (
            f"{bold('Resident')}  {snapshots['resident_sessions']} of at most "
            f"{snapshots['max_sessions']} sessions, {snapshots['resident_events']:,} events, "
            f"{size(snapshots['accounted_bytes'])} of {size(snapshots['budget_bytes'])}"
        ),
    ]
    evicted = [
        f"{count} {reason} ({size(snapshots['bytes_reclaimed'][reason])})"
        for reason, count in snapshots["evictions"].items()
        if count
    ]
    if evicted:
        lines.append(f"  evicted: {', '.join(evicted)}")
    dropped, spilled = snapshots["dropped_events"], snapshots["spilled_events"]
    if dropped or spilled:
        lines.append(f"  left memory, kept in the journal: {dropped:,} old, {spilled:,} spilled")
    idle = snapshots["idle_eviction"]
    if idle["idle_ms"] is not None:
        doing = "evicts" if idle["active"] else "configured but inactive (observe): would evict"
        lines.append(f"  idle after {idle['idle_ms']:,} ms: {doing} {idle['would_evict']} now")
    return "\n".join(lines)


def _pressure(pressure: dict[str, Any]) -> list[str]:
    """Why memory is scarce and what is done about it; once all is well, what was done last."""
    actions = pressure["actions"]
    lines = []
    if pressure["level"] != "normal":
        scarce = [
            f"{each['name']} {each['pct']:g} % is {each['level']}"
            for each in pressure["readings"]
            if each["level"] != "normal"
        ]
        ours = (
            "not ours: nothing is refused"
            if pressure["own_level"] == "normal"
            else f"our own {pressure['own_level']}"
        )
        lines.append(
            f"{bold('Pressure')}  {', '.join(scarce)} ({ours}) for {span(pressure['for_s'])}"
        )
        if pressure["holding"]:
            lines.append(f"  doing: {', '.join(pressure['holding'])}")
        lines += [_action(each) for each in actions[:ACTIONS_SHOWN]]
    elif actions:
        lines.append(f"{bold('Pressure')}  none now; last{_action(actions[0])}")
    requests = pressure["requests"]
    if requests["throttled"] or requests["refused"]:
        lines.append(
            f"  requests put off: {requests['throttled']:,} with 429, "
            f"{requests['refused']:,} with 503"
        )
    return lines


def _action(action: dict[str, Any]) -> str:
    return (
        f"  {action['at'][11:19]} {action['done']} {action['step']}: "
        f"{action['effect'] or 'nothing to do'} "
        f"({action['cause']} {action['cause_pct']:g} %, {action['took_ms']:g} ms)"
    )


def _held_connections(connections: dict[str, Any]) -> list[str]:
    return [
        f"  a connection to the journal is held by {each['who']} for {span(each['for_s'])}"
        for each in connections["held_too_long"]
    ]


def _importing(importing: dict[str, Any]) -> str:
    share = importing["done_bytes"] / max(importing["total_bytes"], 1)
    return (
        f"{bold('Import')}    {_bar(share)} {size(importing['done_bytes'])} of "
        f"{size(importing['total_bytes'])}, {importing['events']:,} events"
    )


def _sources(sources: list[dict[str, Any]]) -> list[str]:
    """Agents that were found one by one; the others in a line."""
    found = [each for each in sources if each["files"] or _has_root(each)]
    lines = [_source(source) for source in found]
    if not found:
        lines.append(f"{bold('Source')}    no agent's logs are there yet")
    if len(found) < len(sources):
        others = ", ".join(each["agent"] for each in sources if each not in found)
        lines.append(dim(f"  not here: {others} (holdfast sources says where they are looked for)"))
    return lines


def _has_root(source: dict[str, Any]) -> bool:
    return any(root["exists"] for root in source["roots"])


def _source(source: dict[str, Any]) -> str:
    counts = source["bytes"]
    missing = [root["path"] for root in source["roots"] if not root["exists"]]
    lines = [
        (
            f"{bold('Source')}    {source['agent']}: {counted(source['files'], 'file')}, "
            f"{size(counts['seen'])} seen = {size(counts['parsed'])} parsed + "
            f"{size(counts['skipped'])} skipped + {size(counts['unknown'])} unknown + "
            f"{size(counts['bad'])} bad"
        )
    ]
    if source["gone_files"]:
        lines.append(f"  {source['gone_files']:,} deleted by the agent, kept here")
    if source["unreadable_files"]:
        lines.append(
            f"  {source['unreadable_files']:,} cannot be read: {plain(source['last_error'])}"
        )
    if source["excluded_files"]:
        lines.append(f"  {source['excluded_files']:,} of excluded projects, left alone")
    lines += [f"  {path} does not exist yet" for path in missing[:MISSING_SHOWN]]
    if len(missing) > MISSING_SHOWN:
        lines.append(f"  and {len(missing) - MISSING_SHOWN} more places that are not there yet")
    lines += expiring_lines(source["expiring"], "  ")
    lines += [
        f"  unknown type {plain(each['type'])}: {counted(each['records'], 'record')}, kept raw"
        for each in source["unknown_types"]
    ]
    return "\n".join(lines)


def _journal(status: dict[str, Any]) -> str:
    journal, sessions = status["journal"], status["sessions"]
    lag = journal["index_lag_events"]
    return (
        f"{bold('Journal')}   {counted(sessions['total'], 'session')}, "
        f"{counted(sessions['events'], 'event')}, "
        f"{size(journal['file_bytes'])} on disk"
        + (f", {counted(journal['blobs'], 'payload')} beside it" if journal["blobs"] else "")
        + (f", {lag:,} events not searchable yet" if lag else "")
    )


def _recordings(recordings: dict[str, Any]) -> str:
    """Nothing at all for who never records."""
    words = ("active", "paused", "prepared", "stopped", "lost", "failed", "exported")
    counts = [f"{recordings[word]:,} {word}" for word in words if recordings[word]]
    if refused := recordings["commands_refused"]:
        counts.append(f"{counted(refused, 'command')} refused")
    if not counts:
        return ""
    lines = [f"{bold('Recorded')}  {', '.join(counts)}"]
    lines += [f"  {plain(problem)}" for problem in recordings["last_problems"][:PROBLEMS_SHOWN]]
    return "\n".join(lines)


def _work(work: dict[str, Any] | None) -> str:
    """What waits for a person first; nothing at all where nothing is open."""
    if work is None:
        return ""
    told = []
    if asked := work["checkpoints"]["pending"]:
        told.append(f"{counted(asked, 'checkpoint')} for an answer (holdfast checkpoints)")
    states = work["tasks"]["states"]
    open_tasks = {name: states[name] for name in ("pending", "running", "blocked", "stale")}
    if any(open_tasks.values()):
        counts = [f"{count:,} {name}" for name, count in open_tasks.items() if count]
        told.append(f"tasks: {', '.join(counts)}")
    if active := work["intents"]["active"]:
        told.append(counted(active, "intent"))
    return f"{bold('Waiting')}   {'; '.join(told)}" if told else ""


def _streams(streams: dict[str, Any] | None) -> str:
    """Nothing at all where nobody follows or appends."""
    if streams is None or not (streams["followers"] or streams["appended"]):
        return ""
    told = [counted(streams["followers"], "follower"), f"{streams['appended']:,} events appended"]
    if streams["lagged"]:
        told.append(f"{streams['lagged']:,} times too slow")
    return f"{bold('Streams')}   {', '.join(told)}"


def _queues(work: dict[str, Any]) -> str:
    """Nothing at all for who queues nothing."""
    words = ("ready", "delayed", "waiting", "claimed", "dead")
    counts = [f"{work[word]:,} {word}" for word in words if work[word]]
    if work["waiting_for_room"]:
        counts.append(f"{work['waiting_for_room']:,} wait for room")
    if not counts:
        return ""
    oldest = work["oldest_age_s"]
    since = f", the oldest for {span(oldest)}" if oldest is not None else ""
    used = f"{work['pending']:,} of {work['pending_max']:,} pending"
    return f"{bold('Queued')}    {used}: {', '.join(counts)}{since}"


def _privacy(privacy: dict[str, Any]) -> str:
    """What was taken out, the most first; and what is switched off, which one must not forget."""
    taken = [f"{count:,} {plain(kind)}" for kind, count in privacy["redactions"].items()]
    off = [name for name in ("private_tags", "secrets") if not privacy[name]]
    said = [f"taken out: {', '.join(taken)}"] if taken else []
    said += [f"switched off: {', '.join(f'privacy.{name}' for name in off)}"] if off else []
    return f"{bold('Privacy')}   {'; '.join(said)}" if said else ""


def _sessions(sessions: dict[str, Any]) -> str:
    lines = []
    for each in sessions["newest"][:SESSIONS_SHOWN]:
        where = size(each["resident_bytes"]) if each["resident"] else "on disk"
        lines.append(
            f"  {each['id']}  {ago(each['updated_at']):>10}  {each['events']:>7,} events  "
            f"{where:>9}  {cut(plain(each['title']) or '(no title)', TITLE_COLUMNS)}"
        )
    more = sessions["total"] - len(lines)
    if more > 0:
        lines.append(dim(f"  and {more:,} more: holdfast sessions"))
    return "\n".join(lines)


def _bar(share: float) -> str:
    filled = round(min(max(share, 0.0), 1.0) * BAR_CHARS)
    return "█" * filled + "░" * (BAR_CHARS - filled)
