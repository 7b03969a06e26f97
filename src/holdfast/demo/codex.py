"""A made-up session of Codex CLI: the same talk as in the other logs, as Codex writes it down.

Most things are written twice, as Codex does: as the item that went to the model, and as the event
that its screen showed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from holdfast.demo.conversation import uuid
from holdfast.demo.english import ENGLISH
from holdfast.demo.files import Project
from holdfast.demo.pace import Pace
from holdfast.demo.text import Voice, around, dice, pick
from holdfast.demo.tools import Toolbox

CLI_VERSION: Final = "0.146.0"
MODELS: Final = ("gpt-5.5-codex", "gpt-5.6-sol")
CWD: Final = "/home/hana/src/tidepool"
LASTS: Final = timedelta(hours=2)
CONTEXT_TOKENS: Final = 258_400
INSTRUCTIONS_CHARS: Final = 40_000  # the first line of a log is longer than most
SECRET_CHARS: Final = 900  # of thoughts that only the model can read
ROOM_BYTES: Final = 20_000

Record = dict[str, Any]


class CodexSession:
    """Gives the records of one log, in the order in which Codex writes them."""

    def __init__(self, seed: int, now: datetime, cwd: str = CWD) -> None:
        self._throw = throw = dice(seed, "codex")
        self.begun = now.astimezone(UTC) - LASTS
        self.thread = uuid(throw)
        self._clock = Pace(self.begun, now.astimezone(UTC))
        self._project = project = Project(cwd, f"{seed}/codex")
        self._voice = Voice(throw, ENGLISH, project.names, project.paths)
        self._tools = Toolbox(throw, project, self._voice)
        self._model = pick(throw, MODELS)
        self._spent = [0, 0, 0]  # input, cached, output: running totals
        self._calls = 0

    @property
    def file_name(self) -> str:
        return f"rollout-{self.begun:%Y-%m-%dT%H-%M-%S}-{self.thread}.jsonl"

    def opening(self) -> Iterator[Record]:
        about = {
            "id": self.thread,
            "timestamp": self._clock.now,
            "cwd": self._project.cwd,
            "originator": "codex_cli_rs",
            "cli_version": CLI_VERSION,
            "source": "cli",
            "base_instructions": {"text": self._said(self._voice.prose(INSTRUCTIONS_CHARS))},
            "git": {"branch": pick(self._throw, self._project.branches)},
        }
        yield self._line("session_meta", about)
        around_it = (
            f"<environment_context>\n  <cwd>{self._project.cwd}</cwd>\n</environment_context>"
        )
        yield self._message("user", around_it)

    def turn(self) -> Iterator[Record]:
        """A prompt and what it leads to."""
        throw = self._throw
        number = uuid(throw)
        yield self._event("task_started", turn_id=number, model_context_window=CONTEXT_TOKENS)
        context = {"turn_id": number, "cwd": self._project.cwd, "model": self._model}
        yield self._line("turn_context", {**context, "approval_policy": "never", "effort": "high"})
        prompt = self._said(self._voice.prompt(around(throw, 140, 1.0)))
        yield self._message("user", prompt)
        yield self._event("user_message", message=prompt, images=[], local_images=[])
        for _ in range(1 + int(throw.expovariate(1 / 6))):
            yield from self._step()
        answer = self._said(self._voice.answer(around(throw, 500, 0.8)))
        yield self._event("agent_message", message=answer)
        yield self._message("assistant", answer)
        yield self._tokens(len(answer))
        yield self._event("task_complete", turn_id=number, last_agent_message=answer)

    def _step(self) -> Iterator[Record]:
        thought = self._said(self._voice.prose(around(self._throw, 300, 0.6)))
        yield self._event("agent_reasoning", text=thought)
        yield self._item(
            "reasoning",
            id=f"rs_{uuid(self._throw)}",
            summary=[{"type": "summary_text", "text": thought}],
            content=None,
            encrypted_content="".join(self._throw.choices("ABCDEFabcdef0189_-", k=SECRET_CHARS)),
        )
        self._calls += 1
        call = f"call_{self.thread[:8]}{self._calls:06}"
        use = self._tools.use(ROOM_BYTES)
        name = "shell" if use.name == "Bash" else use.name
        given = json.loads(use.content)
        output = given if isinstance(given, str) else use.content
        yield self._item("function_call", name=name, arguments=use.arguments, call_id=call)
        yield self._tokens(len(use.arguments))
        whole = f"Exit code: 0\nWall time: 0.2 seconds\nOutput:\n{output}"
        yield self._item("function_call_output", call_id=call, output=whole)

    def compaction(self, history: list[Record]) -> Iterator[Record]:
        """The history so far is written down again, and the session goes on from a summary."""
        summary = self._said(self._voice.prose(2_000))
        yield self._line("compacted", {"message": summary, "replacement_history": history})
        yield self._event("context_compacted")

    def _tokens(self, written: int) -> Record:
        spent = (around(self._throw, 60_000, 0.4), 0, written // 4)
        last = (spent[0], spent[0] * 9 // 10, spent[2])
        self._spent = [total + more for total, more in zip(self._spent, last, strict=True)]
        names = ("input_tokens", "cached_input_tokens", "output_tokens")
        info = {
            "total_token_usage": dict(zip(names, self._spent, strict=True)),
            "last_token_usage": dict(zip(names, last, strict=True)),
            "model_context_window": CONTEXT_TOKENS,
        }
        return self._event("token_count", info=info, rate_limits=None)

    def _message(self, role: str, text: str) -> Record:
        kind = "output_text" if role == "assistant" else "input_text"
        return self._item("message", role=role, content=[{"type": kind, "text": text}])

    def _item(self, kind: str, **fields: Any) -> Record:
        return self._line("response_item", {"type": kind, **fields})

    def _event(self, kind: str, **fields: Any) -> Record:
        return self._line("event_msg", {"type": kind, **fields})

    def _line(self, kind: str, payload: Record) -> Record:
        return {"timestamp": self._clock(self._throw.random()), "type": kind, "payload": payload}

    @staticmethod
    def _said(escaped: str) -> str:
        return str(json.loads(f'"{escaped}"'))


def encoded(record: Record) -> bytes:
    """A line as Codex writes it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_codex(root: Path, *, seed: int, now: datetime, turns: int) -> Path:
    """Writes one session below `root`, where Codex keeps its data."""
    session = CodexSession(seed, now)
    path = root / "sessions" / f"{session.begun:%Y/%m/%d}" / session.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(map(encoded, session.opening()))
        for _ in range(turns):
            file.writelines(map(encoded, session.turn()))
    return path
