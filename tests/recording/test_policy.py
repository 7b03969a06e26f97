from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.errors import Exit, HoldfastError
from holdfast.recording import WriteFailed, WritePolicy, WriteRefused
from holdfast.recording.policy import failure


class Place:
    """An allowed root, and a place outside of it that nothing may change."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.outside = base / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.outside / "precious").write_text("precious")
        self.policy = WritePolicy(
            [str(self.root)], str(self.root), str(base / "home"), config="/etc/holdfast.toml"
        )

    def assert_outside_is_untouched(self) -> None:
        assert [entry.name for entry in self.outside.iterdir()] == ["precious"]
        assert (self.outside / "precious").read_text() == "precious"

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(policy: WritePolicy, path: str) -> None:
    with policy.open_for_write(path) as file:
        file.write(b"new")


def write_atomically(policy: WritePolicy, path: str) -> None:
    policy.write_atomically(path, [b"new"])


both = pytest.mark.parametrize("writer", [write, write_atomically])
Writer = Callable[[WritePolicy, str], None]


@both
def test_writes_below_a_root_and_creates_private_files_and_directories(
    place: Place, writer: Writer
) -> None:
    writer(place.policy, str(place.root / "a/b/c.md"))
    file = place.root / "a/b/c.md"
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert place.names() == ["a", "a/b", "a/b/c.md"]


@both
def test_relative_paths_start_at_the_working_directory_and_slashes_may_repeat(
    place: Place, writer: Writer
) -> None:
    writer(place.policy, "notes.md")
    writer(place.policy, f"/{place.root}//a.md")
    assert (place.root / "notes.md").read_bytes() == b"new"
    assert (place.root / "a.md").read_bytes() == b"new"


@both
def test_expands_home_and_dot_in_roots_and_paths(tmp_path: Path, writer: Writer) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    policy = WritePolicy([".", "~/recordings"], str(work), str(home))
    writer(policy, "~/recordings/a.md")
    writer(policy, "./b.md")
    assert (home / "recordings/a.md").read_bytes() == b"new"
    assert (work / "b.md").read_bytes() == b"new"
    with pytest.raises(WriteRefused):
        writer(policy, "~/c.md")
    assert not (home / "c.md").exists()


@both
def test_a_root_that_is_a_symlink_is_the_place_that_it_led_to_at_the_start(
    tmp_path: Path, place: Place, writer: Writer
) -> None:
    link = tmp_path / "link"
    link.symlink_to(place.root)
    policy = WritePolicy([str(link)], str(tmp_path), str(tmp_path))
    writer(policy, str(link / "a.md"))
    writer(policy, str(place.root / "b.md"))
    assert place.names() == ["a.md", "b.md"]

    link.unlink()
    link.symlink_to(place.outside)
    with pytest.raises(WriteRefused):
        writer(policy, str(link / "precious"))
    place.assert_outside_is_untouched()


@both
def test_the_root_of_the_file_system_allows_everything(
    tmp_path: Path, place: Place, writer: Writer
) -> None:
    writer(WritePolicy(["/"], "/", "/"), "/" + str(tmp_path / "a.md"))
    assert (tmp_path / "a.md").read_bytes() == b"new"


@both
def test_refuses_what_is_outside_and_says_where_to_allow_it(place: Place, writer: Writer) -> None:
    path = str(place.outside / "precious")
    with pytest.raises(WriteRefused) as caught:
        writer(place.policy, path)
    assert caught.value.exit == Exit.REFUSED
    message = str(caught.value)
    assert path in message
    assert str(place.root) in message
    assert "add it to recording.allowed_write_roots in /etc/holdfast.toml" in message
    place.assert_outside_is_untouched()


@both
def test_without_roots_everything_is_refused(tmp_path: Path, writer: Writer) -> None:
    with pytest.raises(WriteRefused, match="there are none"):
        writer(WritePolicy([], str(tmp_path), str(tmp_path)), "a.md")


@both
def test_refuses_dot_dot_and_a_directory_whose_name_only_starts_like_a_root(
    place: Place, writer: Writer
) -> None:
    for path in ("../outside/precious", "a/../../outside/precious", "../rooted.md", ".."):
        with pytest.raises(WriteRefused):
            writer(place.policy, path)
    place.assert_outside_is_untouched()
    assert place.names() == []


@both
def test_refuses_a_symlinked_directory_that_leads_out(place: Place, writer: Writer) -> None:
    (place.root / "way").symlink_to(place.outside)
    for path in ("way/precious", "way/new/a.md", "way/../outside/precious"):
        with pytest.raises(WriteRefused, match="leads to"):
            writer(place.policy, path)
    place.assert_outside_is_untouched()


@both
@pytest.mark.parametrize("target", ["precious", "absent"])
def test_refuses_a_symlinked_file_that_leads_out(place: Place, writer: Writer, target: str) -> None:
    (place.root / "a.md").symlink_to(place.outside / target)
    with pytest.raises(WriteRefused):
        writer(place.policy, "a.md")
    place.assert_outside_is_untouched()


@both
def test_follows_symlinks_that_stay_below_a_root(place: Place, writer: Writer) -> None:
    (place.root / "real").mkdir()
    (place.root / "way").symlink_to("real")
    (place.root / "a.md").symlink_to("real/a.md")
    writer(place.policy, "way/b.md")
    writer(place.policy, "a.md")
    assert (place.root / "real/a.md").read_bytes() == b"new"
    assert (place.root / "real/b.md").read_bytes() == b"new"
    assert (place.root / "a.md").is_symlink()


@both
def test_refuses_a_symlink_that_leads_to_itself(place: Place, writer: Writer) -> None:
    (place.root / "loop").symlink_to("loop")
    for path in ("loop", "loop/a.md"):
        with pytest.raises(WriteRefused, match="back to itself"):
            writer(place.policy, path)


@pytest.fixture
def after_looking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets the attacker move between the look at the path and the first open."""

    def arrange(attack: Callable[[], object]) -> None:
        resolve = WritePolicy.resolve

        def resolve_then_attack(policy: WritePolicy, path: str) -> str:
            real = resolve(policy, path)
            attack()
            return real

        monkeypatch.setattr(WritePolicy, "resolve", resolve_then_attack)

    return arrange


Arrange = Callable[[Callable[[], object]], None]


@both
@pytest.mark.parametrize("path", ["sub/precious", "sub/new.md", "sub/deep/er/new.md"])
def test_refuses_a_directory_that_becomes_a_symlink_after_the_look(
    place: Place, after_looking: Arrange, writer: Writer, path: str
) -> None:
    (place.root / "sub").mkdir()

    def swap() -> None:
        (place.root / "sub").rmdir()
        (place.root / "sub").symlink_to(place.outside)

    after_looking(swap)
    with pytest.raises(WriteRefused, match="became a symlink"):
        writer(place.policy, path)
    place.assert_outside_is_untouched()


@both
def test_refuses_a_root_that_becomes_a_symlink_after_the_look(
    place: Place, after_looking: Arrange, writer: Writer
) -> None:
    def swap() -> None:
        place.root.rename(place.root.with_name("moved"))
        place.root.symlink_to(place.outside)

    after_looking(swap)
    with pytest.raises(WriteRefused):
        writer(place.policy, "precious")
    place.assert_outside_is_untouched()


@both
@pytest.mark.parametrize("target", ["precious", "absent"])
def test_refuses_a_file_that_becomes_a_symlink_after_the_look(
    place: Place, after_looking: Arrange, writer: Writer, target: str
) -> None:
    after_looking(lambda: (place.root / "a.md").symlink_to(place.outside / target))
    with pytest.raises(WriteRefused):
        writer(place.policy, "a.md")
    place.assert_outside_is_untouched()


def test_refuses_a_symlink_also_when_the_file_must_be_new(
    place: Place, after_looking: Arrange
) -> None:
    after_looking(lambda: (place.root / "a.md").symlink_to(place.outside / "absent"))
    with pytest.raises(WriteRefused):
        place.policy.open_for_write("a.md", exclusive=True)
    place.assert_outside_is_untouched()


def test_a_directory_that_someone_else_creates_meanwhile_is_used(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def late(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", late)
    write(place.policy, "sub/a.md")
    assert (place.root / "sub/a.md").read_bytes() == b"new"


def test_a_directory_that_is_created_as_a_symlink_meanwhile_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(name: str, mode: int, *, dir_fd: int) -> None:
        os.symlink(place.outside, name, dir_fd=dir_fd)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "mkdir", late)
    with pytest.raises(WriteRefused):
        write(place.policy, "sub/precious")
    place.assert_outside_is_untouched()


def test_refuses_to_empty_a_file_with_another_name_elsewhere(place: Place) -> None:
    (place.root / "a.md").hardlink_to(place.outside / "precious")
    with pytest.raises(WriteRefused, match="hard links"):
        write(place.policy, "a.md")
    with pytest.raises(WriteRefused, match="hard links"):
        place.policy.open_for_write("a.md", append=True)
    place.assert_outside_is_untouched()


def test_an_atomic_write_leaves_the_other_name_of_a_file_as_it_is(place: Place) -> None:
    (place.root / "a.md").hardlink_to(place.outside / "precious")
    write_atomically(place.policy, "a.md")
    assert (place.root / "a.md").read_bytes() == b"new"
    place.assert_outside_is_untouched()


@both
def test_a_pipe_is_refused_without_waiting_for_a_reader(place: Place, writer: Writer) -> None:
    os.mkfifo(place.root / "pipe")
    with pytest.raises(HoldfastError, match="pipe"):
        writer(place.policy, "pipe")
    reader = os.open(place.root / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(WriteRefused, match="pipe"):
            writer(place.policy, "pipe")
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((place.root / "pipe").stat().st_mode)


def test_empties_an_old_file_keeps_it_when_appending_and_refuses_it_when_it_must_be_new(
    place: Place,
) -> None:
    (place.root / "a.md").write_text("something longer")
    write(place.policy, "a.md")
    assert (place.root / "a.md").read_bytes() == b"new"
    with place.policy.open_for_write("a.md", append=True) as file:
        file.write(b"er")
    assert (place.root / "a.md").read_bytes() == b"newer"
    with pytest.raises(WriteFailed, match="name a new file"):
        place.policy.open_for_write("a.md", exclusive=True)
    assert (place.root / "a.md").read_bytes() == b"newer"
    place.policy.open_for_write("b.md", exclusive=True).close()


@both
def test_explains_a_directory_a_file_in_the_way_and_an_impossible_name(
    place: Place, writer: Writer
) -> None:
    (place.root / "sub").mkdir()
    (place.root / "file").touch()
    for path, remedy in [
        ("sub", "add a file name"),
        ("sub/", "add a file name"),
        ("new/", "add a file name"),
        (".", "add a file name"),
        ("file/a.md", "a part of the path is a file"),
        ("n" * 300, "choose a shorter name"),
        ("", "name a file"),
        ("a\0b", "rename it"),
        ("a\ud800b", "rename it"),
    ]:
        with pytest.raises(WriteFailed, match=remedy) as caught:
            writer(place.policy, path)
        assert caught.value.exit == Exit.FAILURE
    assert place.names() == ["file", "sub"]
    with pytest.raises(WriteFailed, match="add a file name"):
        writer(WritePolicy(["/"], "/", "/"), "..")


@both
def test_explains_missing_permission(
    place: Place, monkeypatch: pytest.MonkeyPatch, writer: Writer
) -> None:
    """Injected, as the super-user that tests may run as is never denied."""
    really_open = os.open

    def deny(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(WriteFailed, match="permission denied; change the permissions"):
        writer(place.policy, "a.md")


@both
@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user may write anywhere")
def test_explains_a_read_only_directory(place: Place, writer: Writer) -> None:
    place.root.chmod(0o500)
    try:
        for path in ("a.md", "sub/a.md"):
            with pytest.raises(WriteFailed, match="change the permissions"):
                writer(place.policy, path)
    finally:
        place.root.chmod(0o700)
    assert place.names() == []


def test_an_atomic_write_counts_its_bytes_and_replaces_the_old_file(place: Place) -> None:
    (place.root / "a.md").write_text("old")
    chunks = [b"x" * size for size in (0, 1, 1_000_000, 2, 300_000)]
    assert place.policy.write_atomically("a.md", iter(chunks)) == 1_300_003
    assert (place.root / "a.md").read_bytes() == b"".join(chunks)
    assert place.policy.write_atomically("empty", []) == 0
    assert place.names() == ["a.md", "empty"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(place: Place) -> None:
    (place.root / "a.md").write_text("old")

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            assert (place.root / "a.md").read_text() == "old"
            yield b"n" * 200_000

    assert place.policy.write_atomically("a.md", chunks()) == 1_000_000


def test_a_write_in_small_steps_is_finished(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    really_write = os.write

    def little(file: int, data: memoryview) -> int:
        return really_write(file, data[:7])

    monkeypatch.setattr(os, "write", little)
    assert place.policy.write_atomically("a.md", [b"0123456789" * 5]) == 50
    assert (place.root / "a.md").read_bytes() == b"0123456789" * 5


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_trace(
    place: Place, monkeypatch: pytest.MonkeyPatch, call: str, old: bool
) -> None:
    if old:
        (place.root / "a.md").write_text("old")

    def full(*args: object, **kwargs: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(WriteFailed, match="no space left on device; free some space"):
        place.policy.write_atomically("a.md", [b"new"])
    monkeypatch.undo()
    assert place.names() == (["a.md"] if old else [])
    assert not old or (place.root / "a.md").read_text() == "old"


def test_an_error_of_the_chunks_comes_through_and_leaves_no_trace(place: Place) -> None:
    (place.root / "a.md").write_text("old")

    def chunks(error: BaseException) -> Iterator[bytes]:
        yield b"n" * 1_000_000
        raise error

    for error in (OSError(errno.EIO, "the journal's, not ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            place.policy.write_atomically("a.md", chunks(error))
        assert caught.value is error
    assert place.names() == ["a.md"]
    assert (place.root / "a.md").read_text() == "old"


def test_opening_what_is_there_makes_nothing(place: Place) -> None:
    for path in ("a.md", "folder/a.md"):
        with pytest.raises(FileNotFoundError), place.policy.open_existing(path):
            pass
    assert place.names() == []


def test_what_is_there_can_be_read_written_over_and_written_at_its_end(place: Place) -> None:
    (place.root / "a.md").write_text("old words\n")
    with place.policy.open_existing("a.md") as file:
        assert os.pread(file, 3, 0) == b"old"
        os.pwrite(file, b"OLD", 0)
    with place.policy.open_existing("a.md", append=True) as file:
        with (place.root / "a.md").open("a") as other:
            other.write("theirs\n")
        os.write(file, b"ours\n")
    assert (place.root / "a.md").read_text() == "OLD words\ntheirs\nours\n"


def test_opening_what_is_there_refuses_links_made_after_the_look(
    place: Place, after_looking: Arrange
) -> None:
    (place.root / "sub").mkdir()
    (place.root / "sub" / "precious").touch()

    def swap() -> None:
        (place.root / "sub").rename(place.root / "moved")
        (place.root / "sub").symlink_to(place.outside)

    after_looking(swap)
    with (
        pytest.raises(WriteRefused, match="became a symlink"),
        place.policy.open_existing("sub/precious", append=True),
    ):
        pass
    place.assert_outside_is_untouched()


def test_what_changed_while_it_was_written_anew_is_not_replaced(place: Place) -> None:
    (place.root / "a.md").write_text("old")
    with pytest.raises(WriteFailed, match="changed meanwhile"):
        place.policy.write_atomically("a.md", [b"new"], may_replace=lambda: False)
    assert place.names() == ["a.md"]
    assert (place.root / "a.md").read_text() == "old"


def test_no_handle_stays_open(place: Place) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    (place.root / "way").symlink_to(place.outside)
    (place.root / "loop").symlink_to("loop")
    (place.root / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/b/c.md", "way/precious", "loop/a", "file/a.md", "a/b", "a/b/c.md"):
        for writer in (write, write_atomically):
            try:
                writer(place.policy, path)
            except HoldfastError:
                continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_failure_has_something_to_say_about_every_error() -> None:
    assert "see that it can be written" in str(failure("a.md", OSError("strange")))
    assert "'a\\x1b[2J.md'" in str(failure("a\x1b[2J.md", OSError(errno.EIO, "Input/output error")))
