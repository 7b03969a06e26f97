"""The shapes of Claude Code's log records, as templates over ready JSON.

Arguments called `content`, `block`, `data`, `result` and `fields` are JSON; texts are the escaped
inside of a JSON string (see `text`). Each function gives one line with its newline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from holdfast.demo.text import NEWLINE


class Link(NamedTuple):
    """What ties a record to its session and to the record before it."""

    head: str
    parent: str | None
    uuid: str
    at: str


class Usage(NamedTuple):
    input: int
    cache_write: int
    cache_read: int


class Message(NamedTuple):
    """What all lines of one reply share."""

    id: str
    request: str
    model: str
    usage: Usage


def head(
    *,
    session: str,
    cwd: str,
    branch: str,
    version: str,
    slug: str = "",
    agent: str = "",
) -> str:
    """The fields that are equal in every record of one file. An agent's file is a side chain."""
    fields = (
        f'"isSidechain":{"true" if agent else "false"},"userType":"external","cwd":"{cwd}",'
        f'"sessionId":"{session}","version":"{version}","gitBranch":"{branch}"'
    )
    if agent:
        fields += f',"agentId":"{agent}"'
    return fields + (f',"slug":"{slug}"' if slug else "")


def _open(link: Link) -> str:
    parent = f'"{link.parent}"' if link.parent else "null"
    return f'{{"parentUuid":{parent},{link.head},'


def user(link: Link, content: str, fields: str = "") -> str:
    return (
        f'{_open(link)}"type":"user","message":{{"role":"user","content":{content}}},'
        f'"uuid":"{link.uuid}","timestamp":"{link.at}"{fields}}}\n'
    )


def tool_result(link: Link, block: str, result: str, asked: str) -> str:
    """The answer of a tool; `asked` is the uuid of the record that called it."""
    fields = f',"toolUseResult":{result},"sourceToolAssistantUUID":"{asked}"'
    return user(link, f"[{block}]", fields)


def assistant(link: Link, message: Message, block: str, output: int) -> str:
    return (
        f'{_open(link)}"message":{reply(message, block, output)},"requestId":"{message.request}",'
        f'"type":"assistant","uuid":"{link.uuid}","timestamp":"{link.at}"}}\n'
    )


def reply(message: Message, block: str, output: int) -> str:
    return (
        f'{{"model":"{message.model}","id":"{message.id}","type":"message","role":"assistant",'
        f'"content":[{block}],"stop_reason":null,"stop_sequence":null,'
        f'"usage":{usage(message.usage, output)}}}'
    )


def usage(used: Usage, output: int) -> str:
    return (
        f'{{"input_tokens":{used.input},"cache_creation_input_tokens":{used.cache_write},'
        f'"cache_read_input_tokens":{used.cache_read},"cache_creation":{{'
        f'"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":{used.cache_write}}},'
        f'"output_tokens":{output},"service_tier":"standard","inference_geo":"not_available"}}'
    )


def text_block(text: str) -> str:
    return f'{{"type":"text","text":"{text}"}}'


def thinking_block(text: str, signature: str) -> str:
    return f'{{"type":"thinking","thinking":"{text}","signature":"{signature}"}}'


def tool_use_block(use: str, name: str, arguments: str) -> str:
    return f'{{"type":"tool_use","id":"{use}","name":"{name}","input":{arguments}}}'


def result_block(use: str, content: str, *, error: bool = False) -> str:
    failed = ',"is_error":true' if error else ""
    return f'{{"tool_use_id":"{use}","type":"tool_result","content":{content}{failed}}}'


def image_block(data: str) -> str:
    return (
        f'{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}'
    )


def progress(link: Link, data: str, tool: str, parent_tool: str) -> str:
    return (
        f'{_open(link)}"type":"progress","data":{data},"toolUseID":"{tool}",'
        f'"parentToolUseID":"{parent_tool}","uuid":"{link.uuid}","timestamp":"{link.at}"}}\n'
    )


def bash_progress(link: Link, output: str, *, step: int, seconds: int, use: str) -> str:
    data = (
        f'{{"type":"bash_progress","output":"{output}","fullOutput":"{output}",'
        f'"elapsedTimeSeconds":{seconds},"totalLines":{output.count(NEWLINE) + 1}}}'
    )
    return progress(link, data, f"bash-progress-{step}", use)


def hook_progress(link: Link, event: str, matcher: str, command: str, use: str) -> str:
    name = f"{event}:{matcher}" if matcher else event
    data = (
        f'{{"type":"hook_progress","hookEvent":"{event}","hookName":"{name}",'
        f'"command":"{command}"}}'
    )
    return progress(link, data, use, use)


def agent_progress(
    link: Link, message: str, *, before: Iterable[str], prompt: str, agent: str, use: str
) -> str:
    """`before` holds the agent's earlier messages: older versions repeat all of them each time."""
    data = (
        f'{{"message":{message},"normalizedMessages":[{",".join(before)}],'
        f'"type":"agent_progress","prompt":"{prompt}","agentId":"{agent}"}}'
    )
    return progress(link, data, f"agent_{agent}", use)


def system(link: Link, subtype: str, fields: str) -> str:
    return (
        f'{_open(link)}"type":"system","subtype":"{subtype}",{fields},'
        f'"timestamp":"{link.at}","uuid":"{link.uuid}"}}\n'
    )


def turn_duration(link: Link, millis: int) -> str:
    return system(link, "turn_duration", f'"durationMs":{millis},"isMeta":false')


def stop_hook_summary(link: Link, command: str) -> str:
    return system(
        link,
        "stop_hook_summary",
        f'"hookCount":1,"hookInfos":[{{"command":"{command}"}}],"hookErrors":[],'
        '"preventedContinuation":false,"stopReason":"","hasOutput":true,"level":"suggestion",'
        f'"toolUseID":"{link.uuid}"',
    )


def api_error(link: Link, *, status: int, attempt: int) -> str:
    return system(
        link,
        "api_error",
        f'"level":"error","error":{{"status":{status},"headers":{{}},'
        '"error":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}},'
        f'"retryInMs":{500 * 2**attempt},"retryAttempt":{attempt},"maxRetries":10',
    )


def compact_boundary(link: Link, *, last: str, tokens: int) -> str:
    """A conversation starts anew here: no parent, only a logical one."""
    return system(
        link._replace(parent=None),
        "compact_boundary",
        f'"logicalParentUuid":"{last}","content":"Conversation compacted","isMeta":false,'
        f'"level":"info","compactMetadata":{{"trigger":"auto","preTokens":{tokens}}}',
    )


def compact_summary(link: Link, text: str) -> str:
    return user(link, f'"{text}"', ',"isVisibleInTranscriptOnly":true,"isCompactSummary":true')


def file_history(message: str, at: str, backups: Iterable[str] = (), *, update: bool) -> str:
    return (
        f'{{"type":"file-history-snapshot","messageId":"{message}","snapshot":{{'
        f'"messageId":"{message}","trackedFileBackups":{{{",".join(backups)}}},'
        f'"timestamp":"{at}"}},"isSnapshotUpdate":{"true" if update else "false"}}}\n'
    )


def backup(path: str, name: str, version: int, at: str) -> str:
    return (
        f'"{path}":{{"backupFileName":"{name}@v{version}","version":{version},"backupTime":"{at}"}}'
    )


def queue_operation(session: str, at: str, operation: str, content: str = "") -> str:
    said = f',"content":"{content}"' if content else ""
    return (
        f'{{"type":"queue-operation","operation":"{operation}","timestamp":"{at}",'
        f'"sessionId":"{session}"{said}}}\n'
    )


def summary(text: str, leaf: str) -> str:
    return f'{{"type":"summary","summary":"{text}","leafUuid":"{leaf}"}}\n'


def ai_title(session: str, title: str) -> str:
    return f'{{"type":"ai-title","sessionId":"{session}","aiTitle":"{title}"}}\n'


def custom_title(session: str, title: str) -> str:
    return f'{{"type":"custom-title","sessionId":"{session}","customTitle":"{title}"}}\n'


def last_prompt(session: str, prompt: str, leaf: str) -> str:
    return (
        f'{{"type":"last-prompt","sessionId":"{session}","lastPrompt":"{prompt}",'
        f'"leafUuid":"{leaf}"}}\n'
    )
