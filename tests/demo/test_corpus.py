"""The made-up corpus has the shapes, shares and sizes of real logs, and is the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import zstandard

from holdfast.demo import LogFile, Manifest, generate
from holdfast.demo.corpus import encoded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REAL_LOGS = Path(__file__).parents[3] / "shared" / "logs" / "claude"

Record = dict[str, Any]


class Written:
    """A corpus on disk, read back once."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.raw = {file.path: file.path.read_bytes() for file in manifest.files}

    @cached_property
    def lines(self) -> list[bytes]:
        return [line for raw in self.raw.values() for line in raw.splitlines(keepends=True)]

    @cached_property
    def by_file(self) -> list[tuple[LogFile, list[Record]]]:
        return [
            (file, [json.loads(line) for line in self.raw[file.path].splitlines()])
            for file in self.manifest.files
        ]

    @cached_property
    def records(self) -> list[Record]:
        return [record for _, records in self.by_file for record in records]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Written:
    root = tmp_path_factory.mktemp("corpus")
    return Written(generate(root, seed=7, sessions=30, total_bytes=24_000_000, now=NOW))


def blocks(record: Record, kind: str) -> Iterator[Record]:
    """The blocks of one kind in a message of the conversation itself."""
    content = record.get("message", {}).get("content", "")
    if not isinstance(content, str):
        yield from (block for block in content if block["type"] == kind)


def tree_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.json*")):
        digest.update(f"{path.relative_to(root)} {path.stat().st_mtime_ns}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


_GENERATE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from holdfast.demo import generate
generate(Path(sys.argv[1]), seed=3, sessions=8, total_bytes=900_000,
         now=datetime(2026, 3, 1, 12, tzinfo=UTC))
"""


def test_the_same_arguments_give_the_same_tree_whatever_the_hash_seed(tmp_path: Path) -> None:
    digests = set()
    for hash_seed in ("0", "1"):
        root = tmp_path / hash_seed
        subprocess.run(
            [sys.executable, "-c", _GENERATE, str(root)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
        )
        digests.add(tree_digest(root))
    assert len(digests) == 1


def test_another_seed_gives_another_tree(tmp_path: Path) -> None:
    for seed in (1, 2):
        generate(tmp_path / str(seed), seed=seed, sessions=3, total_bytes=100_000, now=NOW)
    assert tree_digest(tmp_path / "1") != tree_digest(tmp_path / "2")


@pytest.mark.parametrize(("sessions", "wanted"), [(12, 5_000_000), (40, 4_000_000)])
def test_the_total_is_met_within_three_percent(tmp_path: Path, sessions: int, wanted: int) -> None:
    manifest = generate(tmp_path, seed=1, sessions=sessions, total_bytes=wanted, now=NOW)
    assert manifest.bytes == pytest.approx(wanted, rel=0.03)
    assert manifest.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl"))
    assert len(manifest.sessions) == sessions


def test_record_types_have_the_shares_of_real_logs(corpus: Written) -> None:
    counts = Counter(record["type"] for record in corpus.records)
    shares = {kind: 100 * count / counts.total() for kind, count in counts.items()}
    real = {"assistant": 40, "progress": 32, "user": 22, "file-history-snapshot": 3}
    for kind, share in real.items():
        assert shares[kind] == pytest.approx(share, abs=2.5), kind


def test_line_sizes_have_the_quantiles_of_real_logs(corpus: Written) -> None:
    sizes = sorted(map(len, corpus.lines))
    assert sizes[len(sizes) // 2] == pytest.approx(1_052, rel=0.25)
    assert sizes[len(sizes) * 9 // 10] == pytest.approx(6_170, rel=0.25)
    assert sum(sizes) / len(sizes) == pytest.approx(3_675, rel=0.25)
    assert sizes[-1] > 300_000


def test_session_sizes_have_a_heavy_tail(corpus: Written) -> None:
    sizes = sorted(file.bytes for file in corpus.manifest.sessions)
    assert sizes[-1] > 0.2 * sum(sizes)
    assert sizes[len(sizes) // 2] < 0.5 * sum(sizes) / len(sizes)


def test_logs_compress_about_as_well_as_real_ones(corpus: Written) -> None:
    """The five real sessions: 6.3 without their one image, 5.1 to 8.7 each."""
    compress = zstandard.ZstdCompressor(level=3).compress
    raw = b"".join(line for line in corpus.lines if b'"image/png"' not in line)
    chunks = [raw[at : at + 262_144] for at in range(0, len(raw), 262_144)]
    assert 4.7 < len(raw) / sum(len(compress(chunk)) for chunk in chunks) < 7


def test_the_manifest_says_what_is_on_disk(corpus: Written) -> None:
    for file, records in corpus.by_file:
        stamps = [record["timestamp"] for record in records if "timestamp" in record]
        assert (file.lines, file.bytes) == (len(records), len(corpus.raw[file.path]))
        assert file.first <= stamps[0]
        assert file.last == stamps[-1]
        assert {record.get("sessionId", file.session) for record in records} == {file.session}
        assert {record.get("cwd", file.cwd) for record in records} == {file.cwd}
        folder = file.path.relative_to(corpus.manifest.root / "projects").parts[0]
        assert folder == encoded(file.cwd)


def test_a_folder_is_named_after_its_cwd() -> None:
    assert encoded("/home/hana/.worktrees/a_b.c-1é") == "-home-hana--worktrees-a-b-c-1-"


def test_time_goes_forward_and_ends_in_the_last_sixty_days(corpus: Written) -> None:
    ages = []
    for file, records in corpus.by_file:
        stamps = [record["timestamp"] for record in records if "timestamp" in record]
        assert stamps == sorted(stamps), file.path
        last = datetime.fromisoformat(file.last)
        ages.append(NOW - last)
        since = last - datetime.fromtimestamp(0, UTC)
        assert file.path.stat().st_mtime_ns == since // timedelta(microseconds=1) * 1_000
    assert min(ages) > timedelta(0)
    assert timedelta(days=40) < max(ages) < timedelta(days=61)


def test_each_record_follows_one_that_came_before(corpus: Written) -> None:
    for file, records in corpus.by_file:
        seen: set[str | None] = {None}
        for record in records:
            if "uuid" in record:
                assert record["parentUuid"] in seen, file.path
                assert record["uuid"] not in seen
                seen.add(record["uuid"])
        starts = [record for record in records if record.get("parentUuid", "") is None]
        boundaries = [record for record in starts if record.get("subtype") == "compact_boundary"]
        assert len(starts) == 1 + len(boundaries)


def test_the_lines_of_one_reply_share_its_id_and_their_tokens_grow(corpus: Written) -> None:
    replies: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for file, records in corpus.by_file:
        for record in records:
            if record["type"] == "assistant":
                key = (str(file.path), record["message"]["id"], record["requestId"])
                replies[key].append(record["message"])
    for messages in replies.values():
        tokens = [message["usage"]["output_tokens"] for message in messages]
        assert tokens == sorted(tokens)
        assert len(tokens) == 1 or tokens[-1] > tokens[0]
        assert len({message["usage"]["cache_read_input_tokens"] for message in messages}) == 1
    kinds = Counter(
        tuple(message["content"][0]["type"] for message in messages)
        for messages in replies.values()
    )
    assert kinds["thinking", "text", "tool_use"] > 10


def test_the_cache_grows_until_the_conversation_is_compacted(corpus: Written) -> None:
    compactions = 0
    for _, records in corpus.by_file:
        read = 0
        for before, record in zip([{}, *records], records, strict=False):
            if record.get("isCompactSummary"):
                assert before["subtype"] == "compact_boundary"
                compactions, read = compactions + 1, 0
            elif record["type"] == "assistant":
                cached = record["message"]["usage"]["cache_read_input_tokens"]
                assert cached >= read or cached == 0  # a fork begins with a cold cache
                read = cached
    assert compactions


def test_each_tool_call_is_answered_twice_in_one_record(corpus: Written) -> None:
    for file, records in corpus.by_file:
        calls = {block["id"]: block for record in records for block in blocks(record, "tool_use")}
        answers = {
            block["tool_use_id"]: record
            for record in records
            for block in blocks(record, "tool_result")
        }
        assert set(answers) <= set(calls)
        # Only where a fork cuts its parent short does a call stay open.
        assert file.forked_from or set(answers) == set(calls)
        for use, record in answers.items():
            (result,) = blocks(record, "tool_result")
            if calls[use]["name"] == "Bash":
                assert record["toolUseResult"]["stdout"] == result["content"]
            if calls[use]["name"] == "AskUserQuestion":
                answered = record["toolUseResult"]["answers"]
                asked = [each["question"] for each in record["toolUseResult"]["questions"]]
                assert list(answered) == asked


def test_all_kinds_of_records_occur(corpus: Written) -> None:
    kinds = set()
    for record in corpus.records:
        data = record.get("data", {})
        kinds.add((record["type"], record.get("subtype") or data.get("type") or ""))
    assert {
        ("progress", "bash_progress"),
        ("progress", "hook_progress"),
        ("progress", "agent_progress"),
        ("system", "turn_duration"),
        ("system", "stop_hook_summary"),
        ("system", "compact_boundary"),
        ("system", "api_error"),
        ("summary", ""),
        ("ai-title", ""),
        ("custom-title", ""),
        ("queue-operation", ""),
    } <= kinds
    raw = b"".join(corpus.lines)
    for mark in (b"<system-reminder>", b"<ide_opened_file>", b'"image/png"', b"AskUserQuestion"):
        assert mark in raw


def test_people_write_in_other_scripts_too(corpus: Written) -> None:
    prompts = "".join(
        record["message"]["content"]
        for record in corpus.records
        if record["type"] == "user" and isinstance(record["message"]["content"], str)
    )
    for sample in ("してください", "请", "ä", "해"):
        assert sample in prompts


def test_a_needle_is_in_its_session_and_in_no_other(corpus: Written) -> None:
    assert len(corpus.manifest.needles) == 3
    for needle in corpus.manifest.needles:
        found = {
            file.session
            for file in corpus.manifest.files
            if needle.word.encode() in corpus.raw[file.path]
        }
        assert found == {needle.session}
        (own,) = (file for file in corpus.manifest.sessions if file.session == needle.session)
        text = corpus.raw[own.path].decode()
        assert all(word in text for word in needle.question.split())


def test_a_fork_replays_its_parent_under_its_own_session_id(corpus: Written) -> None:
    forks = [file for file in corpus.manifest.sessions if file.forked_from]
    assert forks
    files = {file.session: file for file in corpus.manifest.sessions}
    for fork in forks:
        parent = files[fork.forked_from]
        old, new = parent.session.encode(), fork.session.encode()
        own = corpus.raw[fork.path].splitlines(keepends=True)
        replayed = corpus.raw[parent.path].splitlines(keepends=True)[: fork.replayed]
        assert 0 < fork.replayed < len(own)
        assert own[: fork.replayed] == [line.replace(old, new) for line in replayed]
        assert old not in b"".join(own)


def test_sub_agents_write_side_chains_beside_their_session(corpus: Written) -> None:
    agents = [pair for pair in corpus.by_file if pair[0].agent]
    assert agents
    files = {file.session: file for file in corpus.manifest.sessions}
    for file, records in agents:
        folder = files[file.session].path.with_suffix("") / "subagents"
        assert file.path == folder / f"agent-{file.agent}.jsonl"
        assert json.loads(file.path.with_suffix(".meta.json").read_text())["agentType"]
        chained = [record for record in records if "uuid" in record]
        assert all(record["isSidechain"] for record in chained)
        assert {record["agentId"] for record in chained} == {file.agent}
        # The parent's records name the agent that it called.
        assert f'"agentId":"{file.agent}"'.encode() in corpus.raw[files[file.session].path]


@pytest.mark.skipif(not REAL_LOGS.exists(), reason="a clone of the project has no real logs")
def test_records_have_no_field_that_real_ones_lack(corpus: Written) -> None:
    real = fields_by_kind(_real_records())
    for kind, fields in fields_by_kind(corpus.records).items():
        assert fields <= real[kind] | {"slug", "agentId"}, kind


def fields_by_kind(records: list[Record]) -> dict[str, set[str]]:
    fields: dict[str, set[str]] = defaultdict(set)
    for record in records:
        fields[f"{record['type']} {record.get('subtype', '')}"] |= set(record)
        for part in ("message", "data", "snapshot"):
            if isinstance(record.get(part), dict):
                kind = record[part].get("type") or record["type"]
                fields[f"{part} {kind}"] |= set(record[part])
    return fields


def _real_records() -> list[Record]:
    records = []
    for path in REAL_LOGS.rglob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # some real lines are broken
    return [record for record in records if isinstance(record, dict) and "type" in record]
