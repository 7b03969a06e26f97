from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError
from holdfast.folders import FolderError
from holdfast.paths import SOCKET_PATH_MAX_BYTES, Paths

HOME = {"HOME": "/home/ada"}


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def below(top: Path) -> Paths:
    return Paths.from_env({"HOLDFAST_HOME": str(top)})


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Paths]:
    """Folders whose names are too long for a socket."""
    paths = below(tmp_path / ("x" * SOCKET_PATH_MAX_BYTES))
    yield paths
    fallback = Path(paths.socket).parent
    if fallback.is_symlink() or fallback.is_file():
        fallback.unlink()
    elif fallback.exists():
        fallback.rmdir()


def test_holdfast_home_holds_everything() -> None:
    paths = Paths.from_env({**HOME, "HOLDFAST_HOME": "/srv/hf", "XDG_DATA_HOME": "/elsewhere"})
    assert paths.config_file == "/srv/hf/config.toml"
    assert paths.data_dir == "/srv/hf/data"
    assert paths.state_dir == "/srv/hf/state"
    assert paths.runtime_dir == "/srv/hf/run"


def test_every_file_has_its_place() -> None:
    paths = Paths.from_env({"HOLDFAST_HOME": "/srv/hf"})
    assert paths.journal == "/srv/hf/data/journal.db"
    assert paths.lock == "/srv/hf/data/journal.lock"
    assert paths.blobs == "/srv/hf/data/blobs"
    assert paths.logs == "/srv/hf/state/logs"
    assert paths.run_file == "/srv/hf/state/run.json"
    assert paths.status_file == "/srv/hf/state/status.json"
    assert paths.socket == "/srv/hf/run/holdfast.sock"


def test_a_tilde_is_the_home_that_the_environment_names() -> None:
    assert Paths.from_env({**HOME, "HOLDFAST_HOME": "~/hf"}).data_dir == "/home/ada/hf/data"
    assert Paths.from_env({**HOME, "HOLDFAST_HOME": "~"}).data_dir == "/home/ada/data"


def test_a_tilde_with_a_name_is_that_users_home() -> None:
    expected = os.path.expanduser("~root")
    assert Paths.from_env({**HOME, "HOLDFAST_HOME": "~root/hf"}).state_dir == f"{expected}/hf/state"


def test_a_relative_holdfast_home_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Paths.from_env({"HOLDFAST_HOME": "a/../hf"}).data_dir == str(tmp_path / "hf" / "data")


@pytest.mark.parametrize("unset", [{}, {"HOLDFAST_HOME": ""}])
def test_without_holdfast_home_the_xdg_folders_hold(unset: dict[str, str]) -> None:
    paths = Paths.from_env(
        {
            **HOME,
            **unset,
            "XDG_CONFIG_HOME": "/c",
            "XDG_DATA_HOME": "/d",
            "XDG_STATE_HOME": "/s",
            "XDG_RUNTIME_DIR": "/r",
        }
    )
    assert paths.config_file == "/c/holdfast/config.toml"
    assert paths.data_dir == "/d/holdfast"
    assert paths.state_dir == "/s/holdfast"
    assert paths.runtime_dir == "/s/holdfast/run"  # not XDG_RUNTIME_DIR: cron does not know it


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_xdg_values_that_are_missing_or_not_absolute_are_ignored(value: str | None) -> None:
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    paths = Paths.from_env(HOME | ({} if value is None else dict.fromkeys(names, value)))
    assert paths.config_file == "/home/ada/.config/holdfast/config.toml"
    assert paths.data_dir == "/home/ada/.local/share/holdfast"
    assert paths.state_dir == "/home/ada/.local/state/holdfast"
    assert paths.runtime_dir == "/home/ada/.local/state/holdfast/run"


def test_without_home_the_user_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", {"~": "/home/from-passwd"}.__getitem__)
    assert Paths.from_env({}).data_dir == "/home/from-passwd/.local/share/holdfast"


def test_a_user_without_any_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(FolderError, match="set HOLDFAST_HOME"):
        Paths.from_env({})
    assert Paths.from_env({"HOLDFAST_HOME": "/srv/hf"}).data_dir == "/srv/hf/data"


def test_a_socket_path_stays_where_it_is_up_to_the_last_byte_that_works() -> None:
    spare = SOCKET_PATH_MAX_BYTES - len("//run/holdfast.sock")
    fits = Paths.from_env({"HOLDFAST_HOME": "/" + "a" * spare})
    assert len(fits.socket) == SOCKET_PATH_MAX_BYTES
    assert fits.socket == f"{fits.runtime_dir}/holdfast.sock"
    longer = Paths.from_env({"HOLDFAST_HOME": "/" + "a" * (spare + 1)})
    assert longer.socket.startswith(f"/tmp/holdfast-{os.getuid()}-")


def test_the_length_of_a_socket_path_is_counted_in_bytes() -> None:
    assert Paths.from_env({"HOLDFAST_HOME": "/" + "é" * 60}).socket.startswith("/tmp/holdfast-")


def test_short_socket_paths_are_stable_and_differ_by_data_folder() -> None:
    one, two = ({"HOLDFAST_HOME": f"/{name * 120}"} for name in "ab")
    assert Paths.from_env(one).socket == Paths.from_env(one).socket
    assert Paths.from_env(one).socket != Paths.from_env(two).socket
    folder, file = os.path.split(Paths.from_env(one).socket)
    assert file == "holdfast.sock"
    assert len(folder.rpartition("-")[2]) == 8


def test_every_folder_is_made_for_the_user_alone(tmp_path: Path) -> None:
    top = tmp_path / "not" / "yet" / "there"
    paths = below(top)
    paths.ensure_dirs()
    made = (paths.data_dir, paths.blobs, paths.state_dir, paths.logs, paths.runtime_dir)
    assert {mode(path) for path in (*made, str(top), str(top.parent))} == {0o700}


def test_folders_that_exist_keep_their_mode(tmp_path: Path) -> None:
    paths = below(tmp_path)
    Path(paths.data_dir).mkdir(0o750)
    Path(paths.data_dir).chmod(0o750)
    paths.ensure_dirs()
    paths.ensure_dirs()
    assert mode(paths.data_dir) == 0o750


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    paths = below(tmp_path)
    Path(paths.data_dir).write_text("")
    with pytest.raises(FolderError, match=r"data is in the way: it is not a folder"):
        paths.ensure_dirs()


def test_a_folder_that_cannot_be_made_is_named_with_the_reason_and_the_way_out() -> None:
    paths = Paths.from_env({"HOLDFAST_HOME": "/" + "x" * 300})
    with pytest.raises(FolderError, match="HOLDFAST_HOME to a folder that you can write") as caught:
        paths.ensure_dirs()
    assert f"{paths.data_dir}: File name too long;" in str(caught.value)
    assert isinstance(caught.value, HoldfastError)


def test_a_read_only_home_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, mode: int = 0) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(FolderError) as caught:
        below(tmp_path).ensure_dirs()
    assert f"{tmp_path}/data: Read-only file system; set HOLDFAST_HOME" in str(caught.value)


def test_a_folder_that_exists_but_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FolderError, match=r"cannot write to the folder .*/data; .*HOLDFAST_HOME"):
        below(tmp_path).ensure_dirs()


def test_another_process_may_make_the_same_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def late(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        raise FileExistsError(17, "File exists", str(path))

    monkeypatch.setattr(os, "mkdir", late)
    paths = below(tmp_path)
    paths.ensure_dirs()
    assert Path(paths.blobs).is_dir()


def test_the_short_socket_folder_is_made_for_the_user_alone(far: Paths) -> None:
    far.check_socket_dir()  # nothing there yet, nothing to refuse
    far.ensure_dirs()
    assert mode(os.path.dirname(far.socket)) == 0o700


def test_a_short_socket_folder_of_ours_is_closed_to_others(far: Paths) -> None:
    folder = Path(far.socket).parent
    folder.mkdir()
    folder.chmod(0o777)
    far.check_socket_dir()
    assert mode(str(folder)) == 0o700


def test_a_short_socket_folder_of_someone_else_is_refused(
    far: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(far.socket).parent
    folder.mkdir(0o700)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    elsewhere = Path(far.socket).parent
    monkeypatch.setattr(Paths, "_socket_dir", property(lambda self: str(folder)))
    assert elsewhere != folder
    for use in (far.ensure_dirs, far.check_socket_dir):
        with pytest.raises(FolderError, match="not a folder of this user"):
            use()


def test_a_link_in_place_of_the_short_socket_folder_is_refused(far: Paths, tmp_path: Path) -> None:
    Path(far.socket).parent.symlink_to(tmp_path)
    for use in (far.ensure_dirs, far.check_socket_dir):
        with pytest.raises(FolderError, match="not a folder of this user"):
            use()


def test_naming_paths_imports_next_to_nothing() -> None:
    """The status path has 10 ms; one heavy import here would take most of them."""
    program = (
        "import sys; before = set(sys.modules); import holdfast.paths as p;"
        "p.Paths.from_env({'HOME': '/h'}).socket; print(*sorted(set(sys.modules) - before))"
    )
    source = Path(__file__).parents[1] / "src"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    with_os = {"_collections_abc", "_stat", "genericpath", "os", "os.path", "posixpath", "stat"}
    assert set(ran.stdout.split()) <= with_os | {"__future__", "holdfast", "holdfast.paths"}
