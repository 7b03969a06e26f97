"""One made-up session, turn by turn: who says what, in which order, in how many lines.

The order and the shares are those of real logs: a reply streams as several lines with one message
id, a thought before most of them; each tool call is answered by a user record that says everything
twice; hooks, long commands and sub-agents report progress in between.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Protocol

from holdfast.demo import records
from holdfast.demo.code import Output
from holdfast.demo.english import ENGLISH, Grammar
from holdfast.demo.files import Project
from holdfast.demo.records import Link, Message
from holdfast.demo.text import NEWLINE, PARAGRAPH, Voice, around, pick
from holdfast.demo.tools import Toolbox

COMPACT_TOKENS = 155_000
BYTES_PER_TOKEN = 8  # of log: what a tool says is logged twice, and metadata costs no tokens
MODELS = ("claude-opus-4-6", "claude-opus-4-6", "claude-sonnet-5", "claude-opus-4-5-20251101")
VERSIONS = ("2.1.7", "2.1.12", "2.1.32", "2.1.42", "2.1.80", "2.1.112")
_HOOK = "${CLAUDE_PROJECT_DIR}/scripts/hooks/"
_LETTERS = bytes.maketrans(b"+/", b"xy")
_PNG = "iVBORw0KGgoAAAANSUhEUgAA"


class Clock(Protocol):
    """Gives the time as it is written in a log, `gap_s` seconds after the last one."""

    def __call__(self, gap_s: float, /) -> str: ...


Spawn = Callable[[str, str, int], int]  # agent id, prompt, room: writes its file, gives its size


class Conversation:
    """Writes the records of one log file, each with the one before it as its parent."""

    def __init__(
        self,
        throw: Random,
        project: Project,
        session: str,
        clock: Clock,
        emit: Callable[[str], None],
        *,
        language: Grammar = ENGLISH,
        agent: str = "",
        spawn: Spawn | None = None,
        parent: str | None = None,
    ) -> None:
        self.session = session
        self.parent = parent
        self._throw = throw
        self._clock = clock
        self._write = emit
        self._written = 0  # characters
        self._spawn = spawn
        self._spawned = False
        self._voice = Voice(throw, language, project.names, project.paths)
        self._thinker = (
            self._voice
            if language is ENGLISH
            else Voice(throw, ENGLISH, project.names, project.paths)
        )
        self._tools = Toolbox(throw, project, self._voice)
        self._head = records.head(
            session=session,
            cwd=project.cwd,
            branch=pick(throw, project.branches),
            version=pick(throw, VERSIONS),
            slug="-".join(pick(throw, ENGLISH.adjectives) for _ in range(2))
            + f"-{pick(throw, ENGLISH.nouns)}",
            agent=agent,
        )
        self._project = project
        self._model = pick(throw, MODELS)
        self._hooks = 0.2 + 0.35 * throw.random()
        self._context = 14_000 + int(throw.random() * 12_000)
        self._cached = 0
        self._backups: dict[str, int] = {}
        self._prompt = ""

    # What a session is made of

    def open(self) -> None:
        if self._throw.random() < 0.2:
            self._emit(records.summary(self._voice.title(), self._uuid()))
        if self._throw.random() < 0.5:
            link = self._link(0.2)
            command = f"{_HOOK}session-start.sh"
            self._emit(
                records.hook_progress(link, "SessionStart", "startup", command, self._uuid())
            )

    def turn(self, room: int, remark: str = "") -> None:
        """A prompt and all that it leads to, in about `room` bytes at most."""
        end = self._written + room
        if self._context > COMPACT_TOKENS:
            self._compact()
        spoken = self._throw.random() < 0.5
        self._ask(room, remark if spoken else "")
        steps = min(1 + int(self._throw.expovariate(1 / 9.5)), room // 7_000)
        for left in range(steps, 0, -1):
            room = end - self._written
            if room < 4_000:
                break
            self._step(min(room * 2 // 3, max(room * 3 // left, 300_000)))
        self._answer(end - self._written, "" if spoken else remark)
        self._finish()

    def errand(self, prompt: str, steps: int, room: int) -> None:
        """A sub-agent's whole file: one order, some work, one report."""
        self._user(f'"{prompt}"')
        for _ in range(steps):
            self._step(room // steps)
        self._answer(room, "")

    def close(self) -> None:
        chance = self._throw.random()
        if chance < 0.35:
            self._emit(records.ai_title(self.session, self._voice.title()))
        elif chance < 0.5:
            self._emit(records.custom_title(self.session, self._voice.title()))
        if self._prompt and self.parent and chance < 0.25:
            self._emit(records.last_prompt(self.session, self._prompt, self.parent))

    def image(self, size: int) -> None:
        """A pasted screenshot that fills a line of `size` bytes."""
        text = records.text_block(self._voice.prompt(60))
        link = self._link(around(self._throw, 60, 1.0))
        room = size - len(records.user(link, f"[{text},{records.image_block('')}]").encode())
        image = records.image_block(self._picture(room))
        self._emit(records.user(link, f"[{text},{image}]"))
        self._answer(2_000, "")

    # The parts of a turn

    def _ask(self, room: int, remark: str) -> None:
        throw = self._throw
        length = around(throw, 4_000, 1.0) if throw.random() < 0.06 else around(throw, 110, 1.0)
        prompt = self._voice.prompt(min(length, room // 4))
        if remark:
            prompt = f"{remark} {prompt}"
        self._prompt = prompt
        chance = throw.random()
        if chance < 0.06:
            path = f"{self._project.cwd}/{pick(throw, self._project.paths)}"
            prompt = (
                f"<ide_opened_file>The user opened the file {path} in the IDE. This may or may not "
                f"be related to the current task.</ide_opened_file>{NEWLINE}{prompt}"
            )
        elif chance < 0.1:
            prompt += (
                f"{PARAGRAPH}<system-reminder>{NEWLINE}{self._voice.sentence()}{NEWLINE}"
                "</system-reminder>"
            )
        elif chance < 0.14:
            at = self._clock(2)
            self._emit(records.queue_operation(self.session, at, "enqueue", prompt))
            self._emit(records.queue_operation(self.session, self._clock(1), "dequeue"))
        link = self._link(around(throw, 90, 1.2))
        self._emit(records.file_history(link.uuid, link.at, self._backed_up(link.at), update=False))
        self._say(records.user(link, f'"{prompt}"', ',"permissionMode":"default"'))

    def _step(self, room: int) -> None:
        """One reply that calls tools, and what they answer."""
        throw = self._throw
        if throw.random() < 0.004:
            link = self._link(4)
            self._emit(records.api_error(link, status=529, attempt=1))
        if self._tools_spawn(room):
            return
        count = 1 if throw.random() < 0.87 else 2 if throw.random() < 0.8 else 3
        uses = [self._tools.use(room // count) for _ in range(count)]
        blocks = self._thoughts(0.67, room)
        if throw.random() < 0.36:
            blocks.append(records.text_block(self._voice.answer(min(around(throw, 90, 0.8), 700))))
        ids = [self._id("toolu_01") for _ in uses]
        blocks += [
            records.tool_use_block(number, use.name, use.arguments)
            for number, use in zip(ids, uses, strict=True)
        ]
        asked = self._reply(blocks)[-count:]
        for number, use, record in zip(ids, uses, asked, strict=True):
            self._hook("PreToolUse", use.name, number, 0.35)
            if use.slow:
                self._watch(number, use.slow)
            link = self._link(0.05 + throw.random() * 3)
            answer = records.result_block(number, use.content)
            self._say(records.tool_result(link, answer, use.result, record))
            self._hook("PostToolUse", use.name, number, 0.9)
            if use.edited:
                self._backup(use.edited)

    def _answer(self, room: int, remark: str) -> None:
        length = min(around(self._throw, 420, 1.0), 6_000, max(40, room // 4))
        code = NEWLINE.join(self._project.file(pick(self._throw, self._project.paths)).lines(1, 14))
        text = self._voice.answer(length, code)
        block = records.text_block(f"{text}{PARAGRAPH}{remark}" if remark else text)
        self._reply([*self._thoughts(0.6, room), block])

    def _finish(self) -> None:
        if self._throw.random() < self._hooks:
            self._hook("Stop", "", self._uuid(), 1.0)
            self._emit(records.stop_hook_summary(self._link(0.4), f"{_HOOK}stop.sh"))
        if self._throw.random() < 0.6:
            millis = 2_000 + int(self._throw.random() * 240_000)
            self._emit(records.turn_duration(self._link(0.01), millis))

    def _compact(self) -> None:
        last = self.parent or self._uuid()
        link = self._link(40)
        self._emit(records.compact_boundary(link, last=last, tokens=self._context))
        self._context, self._cached = 18_000, 0
        text = (
            "This session is being continued from a previous conversation that ran out of context. "
            "The conversation is summarized below:"
        )
        body = self._thinker.answer(around(self._throw, 9_000, 0.4))
        self._say(records.compact_summary(self._link(0.001), f"{text}{PARAGRAPH}{body}"))

    # Sub-agents

    def _tools_spawn(self, room: int) -> bool:
        """Sometimes the tool is another agent; a session that may `spawn` does so at least once."""
        forced = self._spawn is not None and not self._spawned
        if not forced and (room < 20_000 or self._throw.random() > 0.021):
            return False
        throw = self._throw
        prompt = self._thinker.prompt(around(throw, 500, 0.6))
        number, agent = self._id("toolu_01"), f"a{throw.getrandbits(24):06x}"
        order = f'{{"subagent_type":"Explore","description":"{self._thinker.title()}"'
        block = records.tool_use_block(number, "Task", f'{order},"prompt":"{prompt}"}}')
        asked = self._reply([*self._thoughts(0.8, room), block])[-1]
        if self._spawn is not None:
            self._spawned = True
            self._written += self._spawn(agent, prompt, room)
        else:
            self._report(number, agent, prompt, room)
        report = f'[{{"type":"text","text":"{self._thinker.answer(around(throw, 2_500, 0.5))}"}}]'
        millis, tokens = 9_000 + int(throw.random() * 90_000), 9_000 + int(throw.random() * 60_000)
        result = (
            f'{{"status":"completed","prompt":"{prompt}","agentId":"{agent}","content":{report},'
            f'"totalDurationMs":{millis},"totalTokens":{tokens},"totalToolUseCount":12}}'
        )
        answer = records.result_block(number, report)
        self._say(records.tool_result(self._link(1), answer, result, asked))
        return True

    def _report(self, use: str, agent: str, prompt: str, room: int) -> None:
        before: list[str] = []
        cumulative = self._throw.random() < 0.4  # as older versions do it
        number = ""
        work = self._tools.use(0)
        end = self._written + room
        for step in range(6 + int(self._throw.expovariate(1 / 28))):
            if self._written > end:
                break
            link = self._link(0.3 + self._throw.random() * 4)
            if step % 2 == 0:
                number, work = self._id("toolu_01"), self._tools.use(min(room // 8, 24_000))
                message = self._message("claude-haiku-4-5-20251001")
                block = records.tool_use_block(number, work.name, work.arguments)
                said = (
                    f'"message":{records.reply(message, block, 8)},"requestId":"{message.request}"'
                )
                kind = "assistant"
            else:
                block = records.result_block(number, work.content)
                said = f'"message":{{"role":"user","content":[{block}]}}'
                kind = "user"
            told = f'{{"type":"{kind}","timestamp":"{link.at}",{said},"uuid":"{self._uuid()}"}}'
            self._emit(
                records.agent_progress(
                    link, told, before=before, prompt=prompt, agent=agent, use=use
                )
            )
            if cumulative and len(before) < 34:
                before.append(told)

    # Records and their chain

    def _thoughts(self, chance: float, room: int) -> list[str]:
        if self._throw.random() > chance:
            return []
        thought = self._thinker.prose(
            min(around(self._throw, 260, 1.25), 12_000, max(60, room // 6))
        )
        sealed = b64encode(self._throw.randbytes(240 + len(thought) // 2)).decode()
        return [records.thinking_block(thought, f"E{sealed}")]

    def _reply(self, blocks: list[str]) -> list[str]:
        """Streams one message; gives the uuids of its lines. Tokens come with the last one."""
        message = self._message(self._model)
        first = 1 + int(self._throw.random() * 9)
        total = first + 8 + sum(map(len, blocks)) // 4
        written = []
        for left, block in enumerate(reversed(range(len(blocks)))):
            link = self._link(0.4 + self._throw.random() * 3)
            output = total if block == 0 else first
            self._say(records.assistant(link, message, blocks[left], output))
            written.append(link.uuid)
        return written

    def _message(self, model: str) -> Message:
        grown = self._context - self._cached
        usage = records.Usage(1 + int(self._throw.random() * 11), grown, self._cached)
        self._cached = self._context
        return Message(self._id("msg_01"), self._id("req_011"), model, usage)

    def _watch(self, use: str, output: Output) -> None:
        """A command that takes long shows its last lines every second or so."""
        seconds = 2
        for step in range(1 + int(self._throw.expovariate(1 / 4.2))):
            shown = self._project.run(self._throw, output, 20 + int(self._throw.random() * 260))
            link = self._link(1)
            self._emit(records.bash_progress(link, shown, step=step, seconds=seconds, use=use))
            seconds += 1

    def _hook(self, event: str, tool: str, use: str, often: float) -> None:
        if self._throw.random() < self._hooks * often:
            command = f"{_HOOK}{event.lower()}.sh"
            self._emit(records.hook_progress(self._link(0.02), event, tool, command, use))

    def _backup(self, path: str) -> None:
        self._backups[path] = self._backups.get(path, 0) + 1
        if len(self._backups) > 12:
            del self._backups[next(iter(self._backups))]
        if self._throw.random() < 0.5:
            at = self._clock(0.01)
            backups = self._backed_up(at)
            self._emit(records.file_history(self.parent or "", at, backups, update=True))

    def _backed_up(self, at: str) -> list[str]:
        return [
            records.backup(path, _digest(path), version, at)
            for path, version in self._backups.items()
        ]

    def _user(self, content: str) -> None:
        self._say(records.user(self._link(around(self._throw, 60, 1.0)), content))

    def _say(self, line: str) -> None:
        """Emits a record that the model gets to read."""
        self._context += len(line) // BYTES_PER_TOKEN
        self._emit(line)

    def _emit(self, line: str) -> None:
        self._written += len(line)
        self._write(line)

    def _link(self, gap_s: float) -> Link:
        link = Link(self._head, self.parent, self._uuid(), self._clock(gap_s))
        self.parent = link.uuid
        return link

    def _uuid(self) -> str:
        return uuid(self._throw)

    def _id(self, prefix: str) -> str:
        return prefix + b64encode(self._throw.randbytes(15)).translate(_LETTERS).decode()

    def _picture(self, length: int) -> str:
        body = b64encode(self._throw.randbytes(max(0, length - len(_PNG)) // 4 * 3))
        return _PNG + body.decode()


def uuid(throw: Random) -> str:
    digits = f"{throw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _digest(path: str) -> str:
    return blake2b(path.encode(), digest_size=8).hexdigest()
