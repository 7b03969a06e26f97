"""A database as OpenCode keeps it, made up: for tests and benches, which have nobody's own."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Final, Self

import apsw

SCHEMA: Final = """
CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL);
CREATE TABLE session (
    id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
    slug text NOT NULL, directory text NOT NULL, path text, title text NOT NULL,
    version text NOT NULL, share_url text, summary_diffs text,
    time_created integer NOT NULL, time_updated integer NOT NULL,
    time_compacting integer, time_archived integer
);
CREATE INDEX session_parent_idx ON session (parent_id);
CREATE TABLE message (
    id text PRIMARY KEY, session_id text NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL
);
CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
CREATE TABLE part (
    id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL
);
CREATE INDEX part_message_id_id_idx ON part (message_id, id);
CREATE INDEX part_session_idx ON part (session_id);
CREATE TABLE session_message (
    id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL, seq integer NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL
);
CREATE UNIQUE INDEX session_message_session_seq_idx ON session_message (session_id, seq);
"""
START_MS: Final = 1_772_000_000_000
Json = dict[str, Any]


class OpenCode:
    """OpenCode, as far as its database sees it: time passes with each change, unless told."""

    def __init__(self, path: str, *, wal: bool = True, now_ms: int = START_MS) -> None:
        self.path = path
        self.now_ms = now_ms
        self.connection = apsw.Connection(path)
        self.connection.set_busy_timeout(5_000)
        self.connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}").fetchall()
        self.connection.execute("PRAGMA synchronous = OFF")
        if not self.connection.execute("SELECT 1 FROM sqlite_schema").fetchall():
            self.connection.execute(SCHEMA).fetchall()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def tick(self) -> int:
        self.now_ms += 10
        return self.now_ms

    def new_id(self, prefix: str) -> str:
        """Ascending, as OpenCode's are."""
        self._count += 1
        return f"{prefix}_{self.now_ms:x}{self._count:06x}"

    def session(
        self,
        identity: str,
        *,
        title: str = "New session - 2026-02-25T06:13:20.000Z",
        parent: str | None = None,
        directory: str = "/home/hana/src/tidepool",
    ) -> str:
        at = self.tick()
        self.connection.execute(
            "INSERT INTO session (id, project_id, parent_id, slug, directory, title, version, "
            "time_created, time_updated) VALUES (?, 'global', ?, ?, ?, ?, '1.3.0', ?, ?)",
            (identity, parent, identity, directory, title, at, at),
        )
        return identity

    def rename(self, session: str, title: str) -> None:
        self.connection.execute(
            "UPDATE session SET title = ?, time_updated = ? WHERE id = ?",
            (title, self.tick(), session),
        )

    def message(self, session: str, data: Json, *, at_ms: int | None = None) -> str:
        at = self.tick() if at_ms is None else at_ms
        identity = self.new_id("msg")
        data = {**data, "time": {"created": at, **data.get("time", {})}}
        self.connection.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?)", (identity, session, at, at, _text(data))
        )
        return identity

    def part(self, session: str, message: str, data: Json, *, at_ms: int | None = None) -> str:
        at = self.tick() if at_ms is None else at_ms
        identity = self.new_id("prt")
        self.connection.execute(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)",
            (identity, message, session, at, at, _text(data)),
        )
        return identity

    def change(self, table: str, identity: str, data: Json, *, at_ms: int | None = None) -> None:
        at = self.tick() if at_ms is None else at_ms
        statement = {
            "message": "UPDATE message SET data = ?, time_updated = ? WHERE id = ?",
            "part": "UPDATE part SET data = ?, time_updated = ? WHERE id = ?",
            "session_message": "UPDATE session_message SET data = ?, time_updated = ? WHERE id = ?",
        }[table]
        self.connection.execute(statement, (_text(data), at, identity))

    def second(self, session: str, kind: str, data: Json) -> str:
        """A message of version 2."""
        at = self.tick()
        identity = self.new_id("msg")
        [(seq,)] = self.connection.execute("SELECT count(*) FROM session_message").fetchall()
        data = {**data, "time": {"created": at, **data.get("time", {})}}
        self.connection.execute(
            "INSERT INTO session_message VALUES (?, ?, ?, ?, ?, ?, ?)",
            (identity, session, kind, seq, at, at, _text(data)),
        )
        return identity

    def delete(self, session: str) -> None:
        for statement in (
            "DELETE FROM part WHERE session_id = ?",
            "DELETE FROM message WHERE session_id = ?",
            "DELETE FROM session WHERE id = ?",
        ):
            self.connection.execute(statement, (session,))

    # What happens in a conversation.

    def asks(self, session: str, words: str) -> str:
        message = self.message(session, {"role": "user", "agent": "build", "model": MODEL})
        self.part(session, message, {"type": "text", "text": words})
        return message

    def answers(self, session: str, text: str, *, tool: str = "", tokens: int = 100) -> str:
        """A whole step: thought, a tool if one is named, an answer, and what it took."""
        message = self.message(session, {"role": "assistant", **_NAMES})
        spent = {
            "input": tokens,
            "output": tokens // 10,
            "reasoning": 0,
            "cache": {"read": tokens * 5, "write": tokens // 4},
        }
        at = self.now_ms
        over = {"start": at, "end": at + 5}
        self.part(session, message, {"type": "step-start", "snapshot": "a3f9"})
        self.part(session, message, {"type": "reasoning", "text": f"Hm. {text}", "time": over})
        if tool:
            self.part(session, message, tool_part(tool, f"{text} from {tool}", at))
        self.part(session, message, {"type": "text", "text": text, "time": over})
        step = {"type": "step-finish", "reason": "stop", "cost": 0.01, "tokens": spent}
        self.part(session, message, step)
        done = {"created": at, "completed": self.now_ms}
        self.change(
            "message",
            message,
            {"role": "assistant", **_NAMES, "tokens": spent, "cost": 0.01, "time": done},
        )
        return message


MODEL: Final = {"providerID": "anthropic", "modelID": "claude-tide-4"}
_NAMES: Final = {**MODEL, "mode": "build", "path": {"cwd": "/home/hana/src/tidepool", "root": "/"}}


def tool_part(tool: str, output: str, at: int, status: str = "completed") -> Json:
    state: Json = {"status": status, "input": {"command": f"{tool} --deep"}}
    if status in ("completed", "error"):
        state["error" if status == "error" else "output"] = output
        state |= {"title": tool, "metadata": {}, "time": {"start": at, "end": at + 5}}
    elif status == "running":
        state["time"] = {"start": at}
    return {"type": "tool", "callID": f"call_{at}", "tool": tool, "state": state}


def _text(data: Json) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)
