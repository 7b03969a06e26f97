"""From the records of one Codex CLI log to events.

Codex writes most things two or three times: as the item that went to the model, as the event that
its screen showed, and as the item of a turn. Each is told once, by whichever record comes first;
the others are skipped. Which of them there are depends on the version, so none is relied on.

Traps, each with its test: input tokens include the cached ones, and `token_count` repeats running
totals that may start again; a fork begins with the records of another session, its `session_meta`
included; what programs tell the model stands in messages of the user; `compacted` repeats the whole
history, and can be nearly all of a log.

An event is never much larger than the record it came from: see `Telling`.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind, session_id
from holdfast.journal.model import NO_USAGE, TitleRank
from holdfast.sources.agents.codex.records import (
    ASKING_EVENTS,
    COMPLETED,
    ENDED_EVENTS,
    ENDED_ITEMS,
    EVENT,
    RESPONSE,
    Asked,
    Compacted,
    Content,
    Ended,
    Item,
    Meta,
    MetaSource,
    Record,
    Said,
    TokenCount,
    TurnContext,
    TurnItem,
    read_outline,
    read_record,
    read_source,
    understood,
)
from holdfast.sources.agents.codex.results import TEXTS, Result, result_of_end, result_of_output
from holdfast.sources.agents.codex.tokens import Total, spent
from holdfast.sources.agents.codex.twins import By, digest, is_twin
from holdfast.sources.agents.codex.twins import Said as Twins
from holdfast.sources.agents.codex.words import (
    answers_of,
    call_line,
    command_of,
    is_image_mark,
    own_words,
    plan_text,
    question_text,
    text_of,
)
from holdfast.sources.loose import (
    NOTHING,
    UNREADABLE,
    fields_of,
    is_there,
    items_of,
    tolerant,
)
from holdfast.sources.payloads import Payload, payload_of_url, stored
from holdfast.sources.telling import (
    NAME_CHARS_MAX,
    NO_TYPE,
    PATH_CHARS_MAX,
    TITLE_CHARS,
    LineParser,
    Memory,
    Telling,
    Told,
    remember,
)
from holdfast.sources.text import instant, one_line
from holdfast.sources.tools import ToolCall, ToolResult

AGENT: Final = "codex"

# Superseded by what follows them, or said by others.
SKIPPED_EVENTS: Final = frozenset(
    {
        "agent_message_content_delta",
        "agent_message_delta",
        "agent_reasoning_delta",
        "agent_reasoning_raw_content_delta",
        "agent_reasoning_section_break",
        "exec_command_begin",
        "exec_command_output_delta",
        "image_generation_begin",
        "item_started",
        "mcp_tool_call_begin",
        "patch_apply_begin",
        "patch_apply_updated",
        "plan_delta",
        "raw_response_item",
        "reasoning_content_delta",
        "reasoning_raw_content_delta",
        "web_search_begin",
    }
)
INFO_EVENTS: Final = frozenset(
    {
        "background_event",
        "collab_agent_interaction_end",
        "collab_agent_spawn_end",
        "collab_close_end",
        "collab_resume_end",
        "collab_waiting_end",
        "deprecation_notice",
        "entered_review_mode",
        "error",
        "exited_review_mode",
        "guardian_assessment",
        "guardian_warning",
        "hook_completed",
        "hook_started",
        "model_reroute",
        "model_verification",
        "session_configured",
        "shutdown_complete",
        "stream_error",
        "sub_agent_activity",
        "task_started",
        "terminal_interaction",
        "thread_goal_updated",
        "thread_rolled_back",
        "thread_settings_applied",
        "turn_diff",
        "turn_started",
        "undo_completed",
        "undo_started",
        "warning",
    }
)
TURN_ENDS: Final = frozenset({"task_complete", "turn_aborted", "turn_complete"})
INFO_ITEMS: Final = frozenset({"CollabAgentToolCall", "HookPrompt", "Sleep", "SubAgentActivity"})
INFO_RESPONSES: Final = frozenset(
    {"additional_tools", "compaction", "compaction_summary", "context_compaction", "ghost_snapshot"}
)
INFO_TYPES: Final = frozenset(
    {"inter_agent_communication", "inter_agent_communication_metadata", "world_state"}
)
SKIPPED_TYPES: Final = frozenset({"state"})
CALLS: Final = frozenset(
    {"custom_tool_call", "function_call", "local_shell_call", "tool_search_call", "web_search_call"}
)
OUTPUTS: Final = frozenset(
    {"custom_tool_call_output", "function_call_output", "tool_search_output"}
)
# Calls without a name of their own.
CALL_NAMES: Final = {
    "image_generation_call": "image_generation",
    "local_shell_call": "local_shell",
    "tool_search_call": "tool_search",
    "web_search_call": "web_search",
}
END_NAMES: Final = {
    "CommandExecution": "exec_command",
    "FileChange": "apply_patch",
    "ImageGeneration": "image_generation",
    "ImageView": "view_image",
    "WebSearch": "web_search",
    "exec_command_end": "exec_command",
    "image_generation_end": "image_generation",
    "patch_apply_end": "apply_patch",
    "view_image_tool_call": "view_image",
    "web_search_end": "web_search",
}
PLAN: Final = "update_plan"
QUESTION: Final = "request_user_input"

REMEMBERED_CALLS: Final = 64
IMAGES_MAX: Final = 256  # of one message: each is an event
KNOWN_PARTS: Final = TEXTS | {"input_image", "image", "local_image", "mention", "skill"}
HISTORY_KEY: Final = b'"replacement_history":['


_encode = msgspec.json.Encoder().encode
_read_json: Final = msgspec.json.Decoder(Raw).decode


class Answered(msgspec.Struct, array_like=True):
    """How much of a call's result was told, whether as a failure, and how many images of it."""

    length: int
    failed: bool
    images: int


class CodexMemory(Memory):
    """What Codex says once and means from then on."""

    is_met: bool = False  # its first session_meta was there: others are of other sessions
    begun: str = ""  # when it says that it began
    cwd: str = ""
    model: str = ""
    settings: bytes = b""  # digest of the last turn_context that was told
    total: Total | None = None  # of the last token_count
    said: Twins = msgspec.field(default_factory=dict)  # in this turn
    asked: dict[str, str] = msgspec.field(default_factory=dict)  # call -> name of its tool
    answered: dict[str, Answered] = msgspec.field(default_factory=dict)


class CodexParser(LineParser[Record, CodexMemory]):
    """Turns the records of one log into events."""

    agent = AGENT
    memory_type = CodexMemory

    def named(self, name: str) -> None:
        """A name that is not in the log."""
        if name:
            self.facts.title = one_line(name, TITLE_CHARS)
            self.facts.title_rank = TitleRank.PERSON

    def read(self, line: bytes) -> Record:
        return read_record(line)

    def understood(self, line: bytes) -> Record | None:
        return understood(line)

    def outline(self, line: bytes) -> Record:
        return read_outline(line)

    def is_skipped(self, record: Record) -> bool:
        return record.group in SKIPPED_TYPES or (
            record.group == EVENT and record.kind in SKIPPED_EVENTS
        )

    def telling(self, record: Record, offset: int, line: bytes) -> _Telling:
        return _Telling(self, record, offset, line)

    def _dense(self, offset: int, line: bytes) -> Told:
        """A long history is made of many small things, and is not taken apart."""
        return self.oversized(offset, line, len(line)) or super()._dense(offset, line)

    def oversized(self, offset: int, head: bytes, length: int) -> Told | None:
        """The history that a compaction repeats is in the log already; its summary comes first."""
        before, found, _history = head.partition(HISTORY_KEY)
        if not found:
            return None
        try:
            line = before + found + b"]}}"
            record = read_record(line)
        except UNREADABLE:
            return None
        if record.group != "compacted":
            return None
        return self.telling(record, offset, line).compacted(length, items=None)


class _Telling(Telling):
    """One record on its way to events."""

    __slots__ = ("_memory", "_record")

    def __init__(self, parser: CodexParser, record: Record, offset: int, line: bytes) -> None:
        super().__init__(parser, record, offset, line)
        self._record = record
        self._memory = parser.memory
        facts = self.memory.facts
        if self._memory.begun:  # a fork goes on with records that are older than itself
            facts.started_at = self._memory.begun
        self.cwd = self._memory.cwd
        self.branch = facts.branch
        self.sidechain = bool(facts.parent)

    def told(self) -> Told:
        group, kind = self._record.group, self._record.kind
        if self._record.body is None:
            return self._plain(group, kind)
        if group == RESPONSE:
            return self._response(kind)
        if group == EVENT:
            return self._event(kind)
        if group == COMPLETED:
            return self._completed(kind)
        if group == "compacted":
            return self._compacted()
        return self._turn_context() if group == "turn_context" else self._meta()

    def _plain(self, group: str, kind: str) -> Told:
        """A record that nothing is read of."""
        if group == COMPLETED and kind == "ContextCompaction":
            return self._marked_compacted(By.TURN)
        if group in INFO_TYPES or (group == COMPLETED and kind in INFO_ITEMS):
            return "parsed", [self.info(kind or group)]
        return self.raw(self._record.type or NO_TYPE)

    # What went to the model, and what came from it.

    def _response(self, kind: str) -> Told:
        item = cast("Item", self._record.body)
        if kind == "message":
            return self._message(item)
        if kind == "reasoning":
            return self._reasoning(item)
        if kind in CALLS:
            return self._call(kind, item)
        if kind in OUTPUTS:
            return self._output(item)
        if kind == "image_generation_call":
            return self._image_generation(item)
        if kind == "agent_message":
            about = {"author": item.author or "", "recipient": item.recipient or ""}
            data = Raw(_encode({**about, "parts": self._kept_parts(item.content)}))
            return "parsed", [self.event(Kind.SYSTEM, text_of(item.content), data=data)]
        if kind in INFO_RESPONSES:
            return "parsed", [self.info(kind)]
        return self.raw(f"{RESPONSE}/{kind or NO_TYPE}")

    def _message(self, item: Item) -> Told:
        if item.content is None:
            return self.raw(f"{RESPONSE}/message (no content)")
        if _images(item.content) > IMAGES_MAX:
            return self.raw(f"{RESPONSE}/message (too many parts)")
        if item.role == "user":
            return self._user(item.content, By.ITEM)
        if item.role == "assistant":
            return self._assistant(item.content, By.ITEM)
        events = [self.event(Kind.SYSTEM, text_of(item.content))]
        return "parsed", events + self._others(item.content, "system", By.ITEM)

    def _user(
        self, content: str | list[Content], by: By, local_images: list[str] | None = None
    ) -> Told:
        parts = [content] if isinstance(content, str) else [part.text or "" for part in content]
        own = [own_words(part).rstrip("\n") for part in parts]
        words = "\n".join(filter(str.strip, own))
        others = "\n".join(
            part
            for part, mine in zip(parts, own, strict=True)
            if not mine.strip() and part.strip() and not is_image_mark(part)
        )
        events: list[Event] = []
        if others and not self._is_said("system", others, by):
            events.append(self.event(Kind.SYSTEM, others))
        if words and not self._is_said("user", words, by):
            about: dict[str, object] = {}
            original = "\n".join(p for p, mine in zip(parts, own, strict=True) if mine.strip())
            if words != original.rstrip("\n"):
                about["original"] = original
            if local_images:
                about["local_images"] = [path[:PATH_CHARS_MAX] for path in local_images]
            events.append(self.said(words, Raw(_encode(about)) if about else EMPTY))
        if isinstance(content, list):
            events += self._others(content, "user", by)
        return ("parsed" if events else "skipped"), events

    def _assistant(self, content: str | list[Content], by: By) -> Told:
        words = text_of(content)
        events: list[Event] = []
        if words and not self._is_said("assistant", words, by):
            events.append(
                self.event(Kind.ASSISTANT, words, actor="assistant", model=self._memory.model)
            )
        if isinstance(content, list):
            events += self._others(content, "assistant", by)
        return ("parsed" if events else "skipped"), events

    def _others(self, content: str | list[Content], actor: Actor, by: By) -> list[Event]:
        """Images, and parts that no rule knows."""
        events: list[Event] = []
        if isinstance(content, str):
            return events
        raws: list[Raw] | None = None
        for number, part in enumerate(content):
            if part.image_url:
                events += self._image(part.image_url, actor, by)
            elif part.type not in KNOWN_PARTS:
                raws = self._raw_parts() if raws is None else raws
                whole = bytes(raws[number]) if number < len(raws) else self.line
                events.append(self.raw_part(f"{actor}/{part.type or NO_TYPE}", whole))
        return events

    def _image(self, url: str, actor: Actor, by: By) -> list[Event]:
        if self._is_said("image", url, by):
            return []
        return [self.payload("image", payload_of_url(url), actor)]

    def _payload(self) -> Raw:
        """The payload as it stands there."""
        payload = self._record.payload
        return payload if is_there(payload) else read_outline(self.line).payload

    def _raw_parts(self) -> list[Raw]:
        return items_of(fields_of(self._payload()).get("content", NOTHING))

    def _kept_parts(self, content: str | list[Content] | None) -> list[Raw]:
        """Of a message, the parts that are not text, as they were."""
        if not isinstance(content, list) or all(part.type in TEXTS for part in content):
            return []
        raws = self._raw_parts()
        return [
            self.kept(bytes(raw))
            for part, raw in zip(content, raws, strict=False)
            if part.type not in TEXTS
        ]

    def _reasoning(self, item: Item) -> Told:
        parts = [part.text for part in item.summary or () if part.text]
        if isinstance(item.content, list):
            parts += [part.text for part in item.content if part.text]
        if parts:
            return self._thoughts(parts, By.ITEM)
        return "parsed", [self._thinking("", Raw(b'{"redacted":true}'))]

    def _thoughts(self, parts: list[str], by: By) -> Told:
        new = [part for part in parts if part and not self._is_said("thinking", part, by)]
        if not new:
            return "skipped", []
        return "parsed", [self._thinking("\n\n".join(new))]

    def _thinking(self, text: str, data: Raw = EMPTY) -> Event:
        model = self._memory.model
        return self.event(Kind.THINKING, text, actor="assistant", data=data, model=model)

    # What tools were asked, and gave back.

    def _call(self, kind: str, item: Item) -> Told:
        name = item.name or CALL_NAMES.get(kind, "")
        if not name:
            return self.raw(f"{RESPONSE}/{kind} (no name)")
        if is_there(item.action):
            given = self.kept(bytes(item.action))
        else:
            given = self._given(item.arguments if item.input is None else item.input)
        events = self._asked(item.call_id or item.id or "", name, given)
        return ("parsed" if events else "skipped"), events

    def _given(self, arguments: str | dict[str, Raw] | None) -> Raw:
        """Arguments are JSON in a string; a patch is a string."""
        if arguments is None:
            return EMPTY
        if isinstance(arguments, str) and arguments.startswith("{"):
            inner = arguments.encode("utf-8", "replace")
            if tolerant(_read_json, Raw(inner), None) is not None:
                return self.kept(inner)
        return self.kept(_encode(arguments))

    def _asked(self, call: str, name: str, given: Raw, line: str = "") -> list[Event]:
        if call and call in self._memory.asked:
            return []
        remember(self._memory.asked, call, name[:NAME_CHARS_MAX], REMEMBERED_CALLS)
        kind, text = Kind.TOOL_CALL, line or call_line(name, given)
        if name == PLAN:
            kind, text = Kind.DECISION_PROPOSED, plan_text(given) or text
            self._is_said("plan", text, By.ITEM)
        elif name == QUESTION:
            kind, text = Kind.DECISION_PROPOSED, question_text(given) or text
        data = Raw(_encode(ToolCall(call, name, given)))
        model = self._memory.model
        return [self.event(kind, text, actor="assistant", data=data, model=model)]

    def _output(self, item: Item) -> Told:
        call = item.call_id or item.id or ""
        result = result_of_output(item.output, self._raw_output)
        events = self._answered(call, result)
        return ("parsed" if events else "skipped"), events

    def _raw_output(self) -> Raw:
        fields = fields_of(self._payload())
        return fields.get("output", fields.get("tools", NOTHING))

    def _answered(self, call: str, result: Result) -> list[Event]:
        """A result is told again only where it says more than what was told of it."""
        before = self._memory.answered.get(call) if call else None
        told = Answered(len(result.body), result.failed, len(result.images))
        if before is not None and told.length <= before.length:
            says_more = told.failed > before.failed or told.images > before.images
            if not says_more:
                return []
        remember(self._memory.answered, call, told, REMEMBERED_CALLS)
        name = self._memory.asked.get(call, "")
        about = ToolResult(call, name, result.failed)
        kind, text = Kind.TOOL_RESULT, result.text
        actor: Actor = "tool"
        if name == QUESTION and (answers := answers_of(result.text)):
            kind, actor = Kind.DECISION_ACCEPTED, "user"
            about.answers = answers
            text = "\n".join(f"{asked} -> {', '.join(said)}" for asked, said in answers.items())
        about.images = [stored(image, self.parser.blobs) for image in result.images]
        about.others = [self.kept(bytes(other)) for other in result.others]
        return [self.event(kind, text, actor=actor, data=Raw(_encode(about)))]

    def _image_generation(self, item: Item) -> Told:
        call = item.id or item.call_id or ""
        given = Raw(_encode({"prompt": item.revised_prompt or ""}))
        events = self._asked(call, "image_generation", given)
        if item.result:
            events += self._answered(call, Result("", body=item.result, images=[_png(item.result)]))
        return ("parsed" if events else "skipped"), events

    def _ended(self, kind: str) -> Told:
        """What was asked too, where nothing else says it: code calls tools, and people do."""
        ended = cast("Ended", self._record.body)
        call = ended.call_id or ended.id or ended.camel_call_id or ""
        invoked = ended.invocation
        tool = (invoked.tool if invoked else None) or ended.tool
        server = (invoked.server if invoked else None) or ended.server
        name = END_NAMES.get(kind) or (tool and (f"{server}.{tool}" if server else tool))
        name = name or ended.kind or kind
        events: list[Event] = []
        if kind == "dynamic_tool_call_request":
            events += self._asked(call, name, self._kept(ended.arguments))
            return ("parsed" if events else "skipped"), events
        if not call or call not in self._memory.asked:
            given, line = self._given_of(ended)
            events += self._asked(call, name, given, line and f"{name}: {line}")
        result = result_of_end(ended)
        if result is not None:
            events += self._answered(call, result)
        return ("parsed" if events else "skipped"), events

    def _kept(self, raw: Raw) -> Raw:
        return self.kept(bytes(raw)) if is_there(raw) else EMPTY

    def _given_of(self, ended: Ended) -> tuple[Raw, str]:
        """What an end says of what was asked."""
        arguments = ended.invocation.arguments if ended.invocation else ended.arguments
        if is_there(arguments):
            return self._kept(arguments), ""
        if command := command_of(ended.command):
            about = {"command": command, "workdir": (ended.cwd or "")[:PATH_CHARS_MAX]}
            return Raw(_encode(about)), ""
        if is_there(ended.changes):
            return EMPTY, ", ".join(list(fields_of(ended.changes))[:8])[:NAME_CHARS_MAX]
        if is_there(ended.action):
            return self._kept(ended.action), ended.query or ""
        what = ended.query or ended.revised_prompt or ended.path or ""
        return Raw(_encode({"query": what})) if what else EMPTY, what[:NAME_CHARS_MAX]

    # What the screen showed.

    def _event(self, kind: str) -> Told:
        if kind in ENDED_EVENTS:
            return self._ended(kind)
        if kind == "token_count":
            return self._tokens(cast("TokenCount", self._record.body))
        if kind in ASKING_EVENTS:
            return self._decision(kind, cast("Asked", self._record.body))
        said = cast("Said", self._record.body)
        if kind == "user_message":
            images = said.images or []
            if len(images) > IMAGES_MAX:
                return self.raw(f"{EVENT}/user_message (too many parts)")
            told, events = self._user(said.message or "", By.EVENT, said.local_images)
            for url in images:
                events += self._image(url, "user", By.EVENT)
            return ("parsed" if events else told), events
        if kind == "agent_message":
            return self._assistant(said.message or "", By.EVENT)
        if kind in ("agent_reasoning", "agent_reasoning_raw_content"):
            return self._thoughts([said.text or ""], By.EVENT)
        if kind == "context_compacted":
            return self._marked_compacted(By.EVENT)
        if kind == "thread_name_updated":
            name = said.thread_name or ""
            self.titled(name, TitleRank.PERSON)
            return "parsed", [self.event(Kind.SESSION_TITLED, name)]
        if kind in TURN_ENDS:
            return self._turn_end(kind, said)
        if kind in INFO_EVENTS:
            return "parsed", [self.info(kind, said.message or "")]
        return self.raw(f"{EVENT}/{kind or NO_TYPE}")

    def _turn_end(self, kind: str, said: Said) -> Told:
        last = said.last_agent_message or ""
        events = self._assistant(last, By.END)[1]
        data = EMPTY
        if last:  # it is said
            fields = fields_of(self._payload())
            fields.pop("last_agent_message", None)
            data = self.kept(_encode(fields))
        text = f"{kind}: {said.reason}" if said.reason else kind
        events.append(self.event(Kind.PROVIDER_INFO, text, data=data if last else self.whole()))
        self._memory.said = {}
        return "parsed", events

    def _decision(self, kind: str, asked: Asked) -> Told:
        call = asked.call_id or asked.id or ""
        if kind == "plan_update":
            text = plan_text(self._payload())
            if self._is_said("plan", text, By.EVENT):
                return "skipped", []
        elif kind == QUESTION:
            if call and call in self._memory.asked:
                return "skipped", []
            remember(self._memory.asked, call, QUESTION, REMEMBERED_CALLS)
            text = question_text(self._payload())
        else:
            text = ": ".join(
                filter(None, (asked.reason or asked.message, command_of(asked.command)))
            )
        data = self.kept(bytes(self._payload()))
        event = self.event(Kind.DECISION_PROPOSED, text or kind, actor="assistant", data=data)
        return "parsed", [event]

    # Items of turns, in logs that have them.

    def _completed(self, kind: str) -> Told:
        if kind in ENDED_ITEMS:
            return self._ended(kind)
        item = cast("TurnItem", self._record.body)
        if kind == "Reasoning":
            return self._thoughts([*(item.summary_text or ()), *(item.raw_content or ())], By.TURN)
        if kind == "Plan":
            if self._is_said("plan", item.text or "", By.TURN):
                return "skipped", []
            event = self.event(Kind.DECISION_PROPOSED, item.text or "", actor="assistant")
            return "parsed", [event]
        content = item.content or []
        if _images(content) > IMAGES_MAX:
            return self.raw(f"{COMPLETED}/{kind} (too many parts)")
        if kind == "AgentMessage":
            return self._assistant(content, By.TURN)
        paths = [part.path for part in content if part.type == "local_image" and part.path]
        return self._user(content, By.TURN, paths)

    # What is said of the session.

    def _meta(self) -> Told:
        meta = cast("Meta", self._record.body)
        facts = self.memory.facts
        if self._memory.is_met:  # of the session whose beginning this one repeats
            return "parsed", [self.info(self._record.group)]
        self._memory.is_met = True
        facts.started_at = self._memory.begun = instant(meta.timestamp) or self.at
        spawned = tolerant(read_source, meta.source, MetaSource()).subagent
        parent = meta.parent_thread_id or (
            spawned.thread_spawn.parent_thread_id if spawned and spawned.thread_spawn else None
        )
        if parent and parent != facts.agent_session_id:
            facts.parent = session_id(AGENT, parent)
        if meta.forked_from_id and meta.forked_from_id != facts.agent_session_id:
            facts.forked_from = session_id(AGENT, meta.forked_from_id)
        facts.agent_version = (meta.cli_version or "")[:NAME_CHARS_MAX]
        facts.branch = ((meta.git.branch if meta.git else "") or "")[:NAME_CHARS_MAX]
        self._moved(meta.cwd or "")
        self.cwd, self.branch = self._memory.cwd, facts.branch
        self.sidechain = bool(facts.parent)
        text = f"Codex {facts.agent_version}".rstrip()
        return "parsed", [self.event(Kind.SESSION_STARTED, text, data=self.whole())]

    def _moved(self, cwd: str) -> None:
        """The session stands where it began; its events, where they happened."""
        if cwd:
            facts = self.memory.facts
            self.cwd = self._memory.cwd = cwd[:PATH_CHARS_MAX]
            facts.cwd = facts.cwd or self._memory.cwd
            facts.project = facts.project or facts.cwd

    def _turn_context(self) -> Told:
        turn = cast("TurnContext", self._record.body)
        self._moved(turn.cwd or "")
        if turn.model:
            self._memory.model = self.memory.facts.model = turn.model[:NAME_CHARS_MAX]
        told = [turn.effort, turn.approval_policy, turn.sandbox_policy, turn.collaboration_mode]
        settings = digest(
            "settings", b"\0".join([_encode([turn.cwd, turn.model]), *map(bytes, told)])
        )
        if settings == self._memory.settings:
            return "skipped", []
        self._memory.settings = settings
        return "parsed", [self.info(self._record.group)]

    def _compacted(self) -> Told:
        history = cast("Compacted", self._record.body).replacement_history
        return self.compacted(len(self.line), items=len(items_of(history)))

    def compacted(self, size: int, *, items: int | None) -> Told:
        """The summary. The history that comes with it is in the log before it."""
        compacted = cast("Compacted", self._record.body)
        summary = compacted.message or ""
        about = {"bytes": size, "items": items, "window_number": compacted.window_number}
        data = Raw(_encode({name: value for name, value in about.items() if value is not None}))
        events = []
        if not self._is_said("compacted", "", By.ITEM):
            events.append(self.event(Kind.SESSION_COMPACTED, "", data=data))
        if summary:
            events.append(self.event(Kind.SESSION_SUMMARIZED, summary))
        return "skipped", events

    def _marked_compacted(self, by: By) -> Told:
        if self._is_said("compacted", "", by):
            return "skipped", []
        return "parsed", [self.event(Kind.SESSION_COMPACTED, "", data=self.whole())]

    def _tokens(self, count: TokenCount) -> Told:
        added, self._memory.total = spent(count, self._memory.total)
        if added == NO_USAGE:
            return "skipped", []
        self._usage = added
        return "parsed", [self.info(self._record.kind)]

    def _is_said(self, role: str, text: str, by: By) -> bool:
        return is_twin(self._memory.said, role, text, by)


def _images(content: str | list[Content]) -> int:
    return 0 if isinstance(content, str) else sum(part.image_url is not None for part in content)


def _png(data: str) -> Payload:
    return Payload("base64", "image/png", data)
