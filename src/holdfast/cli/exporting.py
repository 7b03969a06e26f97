"""`export`: conversations as files. It reads the journal itself, whether a daemon runs or not.

So what an export costs, it costs here: the daemon neither holds what makes pages nor renders them
(docs/decisions/0009), and there is one road from the journal to a file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from holdfast.cli.context import Context
from holdfast.cli.output import counted, put_bytes, put_json, say, size
from holdfast.cli.parsing import Commands, add_command, add_json, agent, moment
from holdfast.errors import Exit, HoldfastError

if TYPE_CHECKING:
    from holdfast.library import Library, SessionEntry
    from holdfast.recording.index import IndexRow
    from holdfast.recording.policy import WritePolicy
    from holdfast.recording.view import View

PROBLEMS_SHOWN: Final = 10
STDOUT: Final = "-"
PARTS: Final = (
    ("thinking", "what the agent thought"),
    ("tools", "tool calls and results"),
    ("commentary", "what the agent says before its last message of a turn"),
    ("system", "system messages"),
)


class WrongSelection(HoldfastError):
    """The options do not go together."""

    exit: ClassVar[Exit] = Exit.USAGE


class HereIsGone(HoldfastError):
    """The working folder does not exist any more."""


ENDINGS: Final = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".jsonl": "jsonl"}


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "export",
        export,
        "write conversations as Markdown, HTML or JSON lines",
        "One session goes to stdout, or with -o to a file or into a folder under a name of its\n"
        "own. Several, or --all, --project, --agent or --since, go into a folder with an index.\n"
        "Files are written only below recording.allowed_write_roots.",
    )
    parser.add_argument("session", metavar="SESSION", nargs="*")
    parser.add_argument(
        "-f",
        "--format",
        choices=("markdown", "html", "jsonl"),
        help="to read, one page for any browser, or one canonical event a line "
        "(default: by the ending of PATH, else markdown)",
    )
    parser.add_argument(
        "-o",
        "--output",
        default=STDOUT,
        metavar="PATH",
        help="a file, a folder, or - for stdout (default)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a file that is there, whatever it is"
    )
    parser.add_argument(
        "--redact",
        action="store_true",
        help="without secrets and private parts, also what was stored before they were known",
    )
    parser.add_argument(
        "--all", action="store_true", help="every conversation; streams are exported by name"
    )
    parser.add_argument(
        "--agent", type=agent, default="", help="every session of an agent, such as claude"
    )
    parser.add_argument("--project", default="", help="every session with this in its path")
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="only what happened since: 2026-11-20, or a span back from now: 30m, 12h, 7d, 2w",
    )
    parser.add_argument("--until", type=moment, metavar="WHEN", help="only what happened before")
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="KIND",
        help="only this kind of event, such as message.user or message.*; may be repeated",
    )
    for name, words in PARTS:
        parser.add_argument(
            f"--{name}",
            action=argparse.BooleanOptionalAction,
            default=None,
            help=f"{words} (default from recording.include_{name}; JSON lines have everything)",
        )
    add_json(parser)


def export(context: Context, arguments: argparse.Namespace) -> int:
    arguments.format = _format(arguments.format, arguments.output)
    view = _view(context, arguments)
    names = list(dict.fromkeys(arguments.session))
    chosen = bool(arguments.all or arguments.agent or arguments.project)
    _check(arguments, names, chosen=chosen)
    job = _Job(context, arguments.format, view, _redact(context) if arguments.redact else None)
    if len(names) == 1:
        force = arguments.force
        return job.one(names[0], arguments.output, force=force, as_json=arguments.json)
    problems: list[dict[str, Any]] = []
    entries = job.named(names, problems) if names else job.chosen(arguments)
    return job.many(entries, arguments.output, problems, as_json=arguments.json)


def _format(given: str | None, target: str) -> str:
    """By the ending of the file's name, unless it is said; the two must agree."""
    ending = os.path.splitext(target)[1].lower()
    meant = ENDINGS.get(ending)
    if given is not None and meant is not None and meant != given:
        raise WrongSelection(f"{target} ends like {meant}, and -f says {given}: change one of them")
    return given or meant or "markdown"


def _redact(context: Context) -> Callable[[bytes], bytes]:
    """All that the door knows: it was asked for, whatever is let in otherwise."""
    import msgspec

    from holdfast.privacy import Door
    from holdfast.settings import PRIVACY_PARTS

    whole = msgspec.structs.replace(context.settings.privacy, **dict.fromkeys(PRIVACY_PARTS, True))
    return Door.from_settings(whole).clean


def _check(arguments: argparse.Namespace, names: list[str], *, chosen: bool) -> None:
    if names and chosen:
        raise WrongSelection("name sessions, or choose them with --all, --agent or --project")
    if not names and not chosen and not arguments.since and not arguments.until:
        raise WrongSelection(
            "nothing to export: name a session, or choose with --all, --agent, --project, --since"
        )
    if arguments.output != STDOUT:
        return
    if len(names) != 1:
        raise WrongSelection("several sessions go into a folder: add -o FOLDER/")
    if arguments.json:
        raise WrongSelection("--json reports what was written to files: add -o PATH")


def _view(context: Context, arguments: argparse.Namespace) -> View:
    """Options win over settings. Who asks for kinds, or for lines, gets all that they name."""
    from holdfast.recording.view import View, checked_kinds

    everything = arguments.format == "jsonl" or bool(arguments.kind)
    recording = context.settings.recording

    def shown(name: str) -> bool:
        given: bool | None = getattr(arguments, name)
        if given is not None:
            return given
        return everything or bool(getattr(recording, f"include_{name}"))

    return View(
        thinking=shown("thinking"),
        tools=shown("tools"),
        commentary=shown("commentary"),
        system=shown("system"),
        since=arguments.since or "",
        until=arguments.until or "",
        kinds=checked_kinds(arguments.kind),
    )


class _Job:
    """One run of the command."""

    def __init__(
        self,
        context: Context,
        form: str,
        view: View,
        redact: Callable[[bytes], bytes] | None,
    ) -> None:
        self._context = context
        self._form = form
        self._view = view
        self._library: Library = context.library(redact)

    # Which sessions.

    def named(self, names: list[str], problems: list[dict[str, Any]]) -> list[SessionEntry]:
        found: dict[str, SessionEntry] = {}
        for name in names:
            try:
                entry = self._library.session(name)
            except HoldfastError as error:
                problems.append(_problem(name, error))
            else:
                found[entry.id] = entry
        return list(found.values())

    def chosen(self, arguments: argparse.Namespace) -> list[SessionEntry]:
        """Newest first. A session that has nothing of the time asked for is not among them."""
        from holdfast.journal.model import SessionFilter

        wanted = SessionFilter(
            agent=arguments.agent, project=arguments.project, since=self._view.since
        )
        until = self._view.until
        return [
            entry
            for entry in self._library.sessions(wanted)
            if not until or entry.started_at < until
        ]

    # Where they go.

    def one(self, name: str, target: str, *, force: bool, as_json: bool) -> int:
        entry = self._library.session(name)
        if target == STDOUT:
            put_bytes(self._pieces(entry))
            self._say_what_is_empty(entry)
            return Exit.OK
        if target.endswith("/") or os.path.isdir(os.path.expanduser(target)):
            target = os.path.join(target, self._name(entry))
        elif not force and os.path.lexists(os.path.expanduser(target)):
            raise AlreadyThere(f"{target} is there already: name a new file, or add --force")
        refuse_own(self._context, target)
        written = write_policy(self._context).write_atomically(target, self._pieces(entry))
        if as_json:
            done = {"session": entry.id, "file": target, "bytes": written}
            put_json({"written": [done], "index": None, "problems": []})
        else:
            say(f"Wrote {target} ({size(written)}).")
        self._say_what_is_empty(entry)
        return Exit.OK

    def _say_what_is_empty(self, entry: SessionEntry) -> None:
        """No failure: what was asked for is there, and it is nothing."""
        view = self._view
        narrowed = view.since or view.until or view.kinds
        if narrowed and not self._library.shows_any(entry.id, view):
            say(
                f"Nothing of {entry.id} ({entry.started_at} to {entry.updated_at}) is left by "
                "--since, --until, --kind and the like: the export has no events."
            )

    def many(
        self,
        entries: list[SessionEntry],
        folder: str,
        problems: list[dict[str, Any]],
        *,
        as_json: bool,
    ) -> int:
        from holdfast.recording.index import index_name, render_index

        policy = write_policy(self._context)
        index = os.path.join(folder, index_name(self._form))
        refuse_own(self._context, index)
        policy.resolve(index)  # a folder that is refused is refused once, before the work
        rows: list[IndexRow] = []
        with _progress(len(entries)) as step:
            for entry in entries:
                step(entry.title)
                try:
                    rows.append(self._write(policy, folder, entry))
                except HoldfastError as error:
                    problems.append(_problem(entry.id, error))
                except Exception as error:  # noqa: BLE001  # a bug costs the session that shows it
                    problems.append(_problem(entry.id, _Inside(error)))
        if rows:
            policy.write_atomically(index, render_index(self._form, rows))
        report = {
            "written": [
                {"session": row.id, "file": os.path.join(folder, row.file), "bytes": row.bytes}
                for row in rows
            ],
            "index": index if rows else None,
            "problems": problems,
        }
        if as_json:
            put_json(report)
        _tell(report)
        return int(problems[0]["exit"]) if problems else Exit.OK

    def _write(self, policy: WritePolicy, folder: str, entry: SessionEntry) -> IndexRow:
        from holdfast.recording.index import IndexRow

        name = self._name(entry)
        written = policy.write_atomically(os.path.join(folder, name), self._pieces(entry))
        facts = {
            field: getattr(entry, field)
            for field in IndexRow.__struct_fields__
            if field not in ("file", "bytes", "events")
        }
        events = entry.inherited + entry.events
        return IndexRow(file=name, bytes=written, events=events, **facts)

    def _pieces(self, entry: SessionEntry) -> Iterator[bytes]:
        if self._form == "html":
            from holdfast.blobstore import BlobStore, MissingBlob

            store = BlobStore(self._context.paths.blobs)

            def payload(digest: str) -> Iterator[bytes]:
                try:
                    yield from store.get(digest)
                except MissingBlob:  # a page is for others: it names no folder of this machine
                    raise PictureGone("it was dropped and is not kept any more") from None

            return self._library.page(entry.id, self._view, payload)
        form: Any = self._form
        return self._library.export(entry.id, form, self._view)

    def _name(self, entry: SessionEntry) -> str:
        from holdfast.recording.names import file_name

        return file_name(
            day=entry.started_at[:10],
            agent=entry.agent,
            title=entry.title,
            session=entry.id,
            form=self._form,
        )


def refuse_own(context: Context, target: str) -> None:
    """What holdfast keeps, and what it reads, is never the place for a file that people ask for."""
    from holdfast.sources.registry import every_source

    real = os.path.realpath(os.path.join(here(), os.path.expanduser(target)))
    paths, settings = context.paths, context.settings
    sources = every_source(settings.source, context.environ)
    own = [
        paths.data_dir,
        paths.state_dir,
        paths.runtime_dir,
        paths.config_file,
        *(root for source, _enabled in sources for root in source.roots()),
    ]
    for each in map(os.path.realpath, own):
        if real == each or real.startswith(each.rstrip("/") + "/"):
            raise OwnPlace(
                f"refused to write {target!r}: {each} holds what holdfast itself reads or "
                "keeps; name another place"
            )


def write_policy(context: Context) -> WritePolicy:
    from holdfast.recording.policy import WritePolicy

    return WritePolicy(
        context.settings.recording.allowed_write_roots,
        here(),
        os.path.expanduser("~"),
        config=context.paths.config_file,
    )


class AlreadyThere(HoldfastError):
    """Somebody may have written into it."""

    exit: ClassVar[Exit] = Exit.REFUSED


class OwnPlace(HoldfastError):
    """The journal, the settings or a log of an agent would be gone."""

    exit: ClassVar[Exit] = Exit.REFUSED


class PictureGone(HoldfastError):
    """A picture that a page would show."""


class _Inside(HoldfastError):
    """Nobody foresaw it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"holdfast failed inside ({error!r}): please report it")


def _problem(session: str, error: HoldfastError) -> dict[str, Any]:
    return {"session": session, "error": str(error), "exit": int(error.exit)}


def _tell(report: dict[str, Any]) -> None:
    written, problems = report["written"], report["problems"]
    if written:
        total = size(sum(each["bytes"] for each in written))
        say(f"Wrote {counted(len(written), 'session')} ({total}); the list is {report['index']}.")
    elif not problems:
        say("No session fits: nothing was written.")
    for problem in problems[:PROBLEMS_SHOWN]:
        say(f"Not exported: {problem['session']}: {problem['error']}")
    if len(problems) > PROBLEMS_SHOWN:
        say(f"and {len(problems) - PROBLEMS_SHOWN} more; --json lists all")


def here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise HereIsGone("the folder you are in was deleted: change into another one") from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar where somebody looks; called with the title of each session as its turn comes."""
    if not sys.stderr.isatty():
        yield lambda _title: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from holdfast.cli.output import plain

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        done = -1

        def step(title: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=escape(plain(title)[:60]))

        yield step
