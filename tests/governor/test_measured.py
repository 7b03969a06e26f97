"""What the kernel tells of children and files adds up with the tree that it was read with."""

from __future__ import annotations

import msgspec

from holdfast.governor import Claim, MappedFiles, OtherChildren, ProcessMemory, TreeMemory

MB = 1 << 20


def process(pid: int, megabytes: int, file_megabytes: int | None = None) -> ProcessMemory:
    file_bytes = None if file_megabytes is None else file_megabytes * MB
    size = megabytes * MB
    return ProcessMemory(pid, "p", 9 * size, size, 0, 9 * size, file_bytes=file_bytes)


def tree(*children: ProcessMemory, file_megabytes: int | None = 5) -> TreeMemory:
    own = process(1, 40, file_megabytes)
    total = sum(each.footprint_bytes for each in (own, *children))
    return TreeMemory(own, children, total, 0, exact=True, peak_footprint_bytes=total)


def test_a_child_that_ended_since_the_tree_was_read_is_still_its_rooms() -> None:
    running = [7]
    claim = Claim(lambda: running)
    others = OtherChildren([claim])
    assert [child.pid for child in claim.found_in(tree(process(7, 20)))] == [7]
    running.clear()  # it ended, after the kernel told of it and before the room was asked
    seen = tree(process(7, 21))
    assert [child.pid for child in claim.found_in(seen)] == [7]
    assert others.usage_in(seen).bytes == 0
    assert claim.found_in(seen) == [], "not for ever: the system gives a pid to others"
    assert others.usage_in(seen).bytes == 21 * MB


def test_children_that_nobody_names_have_a_line() -> None:
    first, second = Claim(lambda: [7]), Claim(lambda: [8])
    others = OtherChildren([first, second])
    seen = tree(process(7, 1), process(8, 2), process(9, 4), process(10, 8))
    claimed = [*first.found_in(seen), *second.found_in(seen)]
    usage = others.usage_in(seen)
    assert (usage.bytes, usage.items) == (12 * MB, 2)
    assert sum(child.footprint_bytes for child in claimed) + usage.bytes == 15 * MB
    assert others.usage() == usage, "without a new tree it is as it was"


def test_a_process_without_pss_weighs_its_rss_and_what_is_in_swap() -> None:
    kept = msgspec.structs.replace(process(7, 3), pss_bytes=None, swap_bytes=5)
    assert kept.footprint_bytes == 27 * MB + 5


def test_files_are_counted_from_the_baseline_on() -> None:
    mapped = MappedFiles(tree(file_megabytes=5))
    assert mapped.usage().bytes == 0
    assert mapped.usage_in(tree(file_megabytes=8)).bytes == 3 * MB
    assert mapped.usage().bytes == 3 * MB
    assert mapped.usage_in(tree(file_megabytes=4)).bytes == 0, "the kernel may drop some"


def test_where_the_kernel_does_not_tell_of_files_nothing_is_made_up() -> None:
    mapped = MappedFiles(tree(file_megabytes=None))
    assert mapped.usage_in(tree(file_megabytes=None)).bytes == 0
