# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes and locks that processes share: private, never torn, and never in anybody's way."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._sharing import notes as _notes
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import MEMORY, Notes, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

NOTE = name_of("note", "a")
COUNT = """
import sys
from ansible_collections.hostup.cloud.plugins.module_utils._sharing import notes as _notes

_notes.PATIENCE = 60.0
shared = _notes.Notes(sys.exit)
print("ready", flush=True)
sys.stdin.readline()
for _time in range(int(sys.argv[2])):
    shared.change(sys.argv[1], lambda note: ((note or 0) + 1, None))
"""
HOLD = """
import sys
from ansible_collections.hostup.cloud.plugins.module_utils._sharing import notes as _notes

let_go = _notes.Notes(sys.exit).try_to_hold(sys.argv[1])
print("none" if let_go is None else "held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def shared(warned: list[str]) -> Notes:
    return Notes(warned.append)


def add_one(note: Any) -> tuple[int, int]:
    after = (note or 0) + 1
    return after, after


def store(note: Any) -> Callable[[Any], tuple[Any, None]]:
    return lambda _before: (note, None)


def started(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that shares our folder, and has come to its first line."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]},
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def everything_in(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


# --- a private place


def test_everything_is_private(shared: Notes, cache: Path) -> None:
    shared.change(NOTE, add_one)
    let_go = shared.try_to_hold("lock")
    assert let_go
    let_go()
    assert mode(cache) == 0o700
    assert {path.name: mode(path) for path in cache.iterdir()} == {NOTE: 0o600, "lock.lock": 0o600}


@pytest.mark.parametrize("loosened", [0o755, 0o777, 0o500])
def test_a_loosened_mode_is_set_back(cache: Path, warned: list[str], loosened: int) -> None:
    cache.mkdir()
    cache.chmod(loosened)
    Notes(warned.append)
    assert mode(cache) == 0o700 and warned == []


def test_folders_on_the_way_are_made(cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "x" / "y"))
    Notes(warned.append).change(NOTE, add_one)
    assert (cache / "x" / "y" / "hostup" / NOTE).is_file() and warned == []


@pytest.mark.parametrize("base", [None, "", "relative/folder"])
def test_without_a_usable_variable_it_is_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str], base: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if base is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    Notes(warned.append).change(NOTE, add_one)
    assert (tmp_path / "home" / ".cache" / "hostup" / NOTE).is_file()
    assert warned == [] and not (tmp_path / "relative").exists()


def test_names_are_hashed() -> None:
    name = name_of("gate", "https://cloud.hostup.se", "secret-key")
    assert re.fullmatch("gate-[0-9a-f]{32}", name)
    assert name == name_of("gate", "https://cloud.hostup.se", "secret-key")


def test_other_parts_have_other_names() -> None:
    parts: list[tuple[str, ...]] = [
        ("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c"), ("c", "ab"), ("AB", "c"),
        ("å",), ("/..",), (" ",), (),
    ]  # fmt: skip
    names = {name_of(kind, *some) for some in parts for kind in ("gate", "library")}
    assert len(names) == 2 * len(parts)


def test_a_name_that_is_no_unicode() -> None:
    """As a file name that came from the operating system may be."""
    assert name_of("library", "\udcff.iso") != name_of("library", "\udcfe.iso")


# --- notes


@pytest.mark.parametrize("note", [0, 1.5, "x", "å", [1, [2, None]], {"a": {"b": [True]}}, [], {}, False])
def test_what_is_written_is_read(cache: Path, warned: list[str], note: Any) -> None:
    Notes(warned.append).change(NOTE, store(note))
    assert Notes(warned.append).read(NOTE) == note
    assert json.loads((cache / NOTE).read_bytes()) == {"version": 1, "note": note}
    assert warned == []


def test_a_change_knows_what_was_there_and_answers(shared: Notes) -> None:
    assert shared.read(NOTE) is None
    assert [shared.change(NOTE, add_one) for _time in range(3)] == [1, 2, 3]
    assert shared.read(NOTE) == 3
    assert shared.read(name_of("note", "b")) is None


def test_a_shorter_note_leaves_nothing_of_the_longer_one(shared: Notes, cache: Path) -> None:
    shared.change(NOTE, store("x" * 1000))
    shared.change(NOTE, store("y"))
    assert json.loads((cache / NOTE).read_bytes())["note"] == "y"
    shared.change(NOTE, store(None))
    assert shared.read(NOTE) is None


def test_what_does_not_change_is_not_written(shared: Notes, cache: Path) -> None:
    shared.change(NOTE, store([1, 2]))
    (cache / NOTE).write_text(' {"note": [1, 2], "version": 1}')
    os.utime(cache / NOTE, ns=(1, 1))
    before = (cache / NOTE).stat()
    shared.read(NOTE)
    shared.change(NOTE, store([1, 2]))
    after = (cache / NOTE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, 1)
    assert (cache / NOTE).read_text().startswith(" ")


def test_reading_nothing_writes_nothing(shared: Notes, cache: Path) -> None:
    shared.read(NOTE)
    assert (cache / NOTE).read_bytes() == b""


def test_a_failure_of_the_work_changes_nothing(shared: Notes, warned: list[str]) -> None:
    shared.change(NOTE, add_one)
    with pytest.raises(ZeroDivisionError):
        shared.change(NOTE, lambda note: (note / 0, None))
    assert shared.change(NOTE, add_one) == 2 and warned == []


UNREADABLE = {
    "empty": b"",
    "garbage": b"\x00\xff\xfehello",
    "half written": b'{"version": 1, "no',
    "more than one": b'{"version": 1, "note": 5}}',
    "zeros": b"\x00" * 100,
    "not an object": b"[1, 2]",
    "null": b"null",
    "a number": b"5",
    "no version": b'{"note": 5}',
    "no note": b'{"version": 1}',
    "too long": b'{"version": 1, "note": "' + b"x" * 100_000 + b'"}',
    "endless digits": b'{"version": 1, "note": ' + b"9" * 4050 + b"x}",
    "too deep": b"[" * 10_000,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_counts_for_nothing(shared: Notes, cache: Path, warned: list[str], content: bytes) -> None:
    (cache / NOTE).write_bytes(content)
    assert shared.read(NOTE) is None
    assert shared.change(NOTE, add_one) == 1
    assert json.loads((cache / NOTE).read_bytes()) == {"version": 1, "note": 1}
    assert warned == []


@pytest.mark.parametrize("version", [2, 0, "1", None, 99.5, [1]])
def test_another_version_is_left_alone(shared: Notes, cache: Path, warned: list[str], version: Any) -> None:
    content = json.dumps({"version": version, "gate": 5}).encode()
    (cache / NOTE).write_bytes(content)
    assert [shared.change(NOTE, add_one) for _time in range(3)] == [1, 2, 3]
    assert shared.read(NOTE) == 3
    assert (cache / NOTE).read_bytes() == content
    [warning] = warned
    assert "another version" in warning and "They go on without" in warning


def test_another_version_of_one_note_is_nothing_to_the_others(shared: Notes, cache: Path) -> None:
    (cache / NOTE).write_text('{"version": 2}')
    other = name_of("note", "b")
    for name in (NOTE, other):
        shared.change(name, add_one)
    assert (cache / other).stat().st_size > 0


# --- what cannot be used safely


def goes_on_in_memory(shared: Notes, warned: list[str], *names: str) -> str:
    """Notes and locks work all the same; returns the one warning."""
    for name in names or (NOTE, name_of("note", "b")):
        assert [shared.change(name, add_one) for _time in range(3)] == [1, 2, 3]
        assert shared.read(name) == 3
        let_go = shared.try_to_hold(name)
        assert let_go and shared.try_to_hold(name) is None
        let_go()
        again = shared.try_to_hold(name)
        assert again
        again()
    [warning] = warned
    assert warning.startswith("Tasks cannot share")
    return warning


def put_link(path: Path, target: Path) -> None:
    target.write_bytes(b"precious")
    path.symlink_to(target)


def put_dangling_link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def put_fifo(path: Path, _target: Path) -> None:
    os.mkfifo(path)


def put_folder(path: Path, _target: Path) -> None:
    path.mkdir()


every_odd_thing = pytest.mark.parametrize("put", [put_link, put_dangling_link, put_fifo, put_folder])


@every_odd_thing
def test_a_note_that_is_no_file(
    shared: Notes, cache: Path, tmp_path: Path, warned: list[str], put: Callable[[Path, Path], None]
) -> None:
    put(cache / NOTE, tmp_path / "target")
    before = everything_in(tmp_path)
    assert str(cache / NOTE) in goes_on_in_memory(shared, warned, NOTE)
    assert everything_in(tmp_path) == before


@every_odd_thing
def test_a_lock_that_is_no_file(
    shared: Notes, cache: Path, tmp_path: Path, warned: list[str], put: Callable[[Path, Path], None]
) -> None:
    put(cache / f"{NOTE}.lock", tmp_path / "target")
    before = everything_in(tmp_path)
    goes_on_in_memory(shared, warned, NOTE)
    assert everything_in(tmp_path) == before


def a_link_to_a_folder(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    cache.symlink_to(tmp_path / "elsewhere")


def a_link_to_nothing(cache: Path, tmp_path: Path) -> None:
    cache.symlink_to(tmp_path / "elsewhere")


def a_file(cache: Path, _tmp_path: Path) -> None:
    cache.write_bytes(b"precious")


@pytest.mark.parametrize("make", [a_link_to_a_folder, a_link_to_nothing, a_file])
def test_a_folder_that_is_none(
    cache: Path, tmp_path: Path, warned: list[str], make: Callable[[Path, Path], None]
) -> None:
    make(cache, tmp_path)
    before = everything_in(tmp_path), everything_in(cache.parent)
    assert str(cache) in goes_on_in_memory(Notes(warned.append), warned)
    assert (everything_in(tmp_path), everything_in(cache.parent)) == before


def test_a_folder_below_a_file(cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    file = cache.with_name("file")
    file.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    goes_on_in_memory(Notes(warned.append), warned)


def test_somebody_elses_folder(cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    cache.mkdir(mode=0o755)
    somebody = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: somebody)
    assert "belongs to somebody else" in goes_on_in_memory(Notes(warned.append), warned)
    assert list(cache.iterdir()) == [] and mode(cache) == 0o755


def test_somebody_elses_file(shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    (cache / NOTE).write_text('{"version": 1, "note": 5}')
    somebody = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: somebody)
    assert "not a file of ours" in goes_on_in_memory(shared, warned, NOTE)
    assert json.loads((cache / NOTE).read_bytes())["note"] == 5


@pytest.mark.parametrize("base", [None, "relative"])
def test_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str], base: str | None) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    if base is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    goes_on_in_memory(Notes(warned.append), warned)
    assert everything_in(tmp_path) == {}


def test_a_read_only_place(cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "Read-only file system" in goes_on_in_memory(Notes(warned.append), warned)
    assert not cache.exists()


def test_a_full_disk(shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr("os.pwrite", refuse)
        assert "No space left" in goes_on_in_memory(shared, warned)
    assert shared.change(NOTE, add_one) == 4, "what is in memory is not forgotten when there is room again"
    assert (cache / NOTE).read_bytes() == b""
    assert len(warned) == 1


def test_a_disk_that_fills_up(shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    """What had been noted before need not be known any more, but what this process notes is."""

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shared.change(NOTE, store(5))
    monkeypatch.setattr("os.pwrite", refuse)
    assert shared.read(NOTE) == 5, "reading needs no room"
    first = shared.change(NOTE, add_one)
    assert [shared.change(NOTE, add_one), shared.read(NOTE)] == [first + 1, first + 1]
    assert json.loads((cache / NOTE).read_bytes())["note"] == 5
    assert len(warned) == 1


def test_no_room_for_another_file(
    shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    def refuse(path: Any, *_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr("os.open", refuse)
    goes_on_in_memory(shared, warned)
    assert list(cache.iterdir()) == []


def test_a_file_system_without_locks(shared: Notes, monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    goes_on_in_memory(shared, warned)


def test_what_is_in_memory_is_the_whole_processes(cache: Path, warned: list[str]) -> None:
    cache.write_bytes(b"")
    one, other = Notes(warned.append), Notes(warned.append)
    assert [one.change(NOTE, add_one), other.change(NOTE, add_one)] == [1, 2]
    let_go = one.try_to_hold(NOTE)
    assert let_go and other.try_to_hold(NOTE) is None
    let_go()


def test_a_note_that_somebody_keeps_locked(
    shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    monkeypatch.setattr(_notes, "PATIENCE", 0.05)
    shared.change(NOTE, store(5))
    with (cache / NOTE).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        goes_on_in_memory(shared, warned, NOTE)
    assert "keeps it locked" in warned[0]
    assert json.loads((cache / NOTE).read_bytes())["note"] == 5


def test_a_note_that_somebody_has_locked_for_a_moment(shared: Notes, cache: Path, warned: list[str]) -> None:
    shared.change(NOTE, store(5))
    with ThreadPoolExecutor() as pool, (cache / NOTE).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = pool.submit(shared.change, NOTE, add_one)
        assert not waiting.done()
        fcntl.flock(file, fcntl.LOCK_UN)
        assert waiting.result(30) == 6
    assert warned == []


# --- many at once


def test_no_update_of_many_threads_is_lost(warned: list[str]) -> None:
    def count(_number: int) -> list[int]:
        shared = Notes(warned.append)
        return [shared.change(NOTE, add_one) for _time in range(50)]

    with ThreadPoolExecutor(16) as pool:
        answers = [answer for some in pool.map(count, range(16)) for answer in some]
    assert sorted(answers) == list(range(1, 801))
    assert warned == []


def test_no_update_of_many_threads_is_lost_in_memory(cache: Path, warned: list[str]) -> None:
    cache.write_bytes(b"")
    shared = Notes(warned.append)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _number: shared.change(NOTE, add_one), range(800)))
    assert sorted(answers) == list(range(1, 801))


def test_no_update_of_many_processes_is_lost(shared: Notes) -> None:
    processes = [started(COUNT, NOTE, "200") for _number in range(6)]
    assert {says(process) for process in processes} == {"ready"}
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 6
    assert shared.read(NOTE) == 1200


# --- locks


def test_only_one_holds_a_lock(shared: Notes, warned: list[str]) -> None:
    let_go = shared.try_to_hold("a")
    assert let_go and shared.try_to_hold("a") is None
    assert Notes(warned.append).try_to_hold("a") is None
    other = shared.try_to_hold("b")
    assert other
    other()
    let_go()
    again = Notes(warned.append).try_to_hold("a")
    assert again
    again()
    assert warned == []


def test_a_lock_is_no_note(shared: Notes) -> None:
    let_go = shared.try_to_hold(NOTE)
    assert let_go
    assert shared.change(NOTE, add_one) == 1
    let_go()


@pytest.mark.parametrize("in_memory", [False, True])
def test_only_one_of_many_threads_holds_a_lock(cache: Path, warned: list[str], in_memory: bool) -> None:
    if in_memory:
        cache.write_bytes(b"")
    shared = Notes(warned.append)
    inside: list[int] = []
    seen: list[int] = []

    def enter(number: int) -> bool:
        let_go = shared.try_to_hold("a")
        if let_go is None:
            return False
        inside.append(number)
        seen.append(len(inside))
        inside.remove(number)
        let_go()
        return True

    with ThreadPoolExecutor(16) as pool:
        assert any(pool.map(enter, range(500)))
    assert set(seen) == {1}


def test_only_one_process_holds_a_lock(shared: Notes) -> None:
    with started(HOLD, "a") as holder:
        assert says(holder) == "held"
        assert shared.try_to_hold("a") is None
        with started(HOLD, "a") as other:
            assert says(other) == "none"
            other.communicate("\n")
        holder.communicate("\n")
    let_go = shared.try_to_hold("a")
    assert let_go
    with started(HOLD, "a") as other:
        assert says(other) == "none"
        other.communicate("\n")
    let_go()


def test_who_is_killed_holds_nothing(shared: Notes, warned: list[str]) -> None:
    with started(HOLD, "a") as holder:
        assert says(holder) == "held"
        assert shared.try_to_hold("a") is None
        holder.kill()
        holder.communicate(timeout=30)
    let_go = shared.try_to_hold("a")
    assert let_go and warned == []
    let_go()


def test_a_child_process_does_not_inherit_a_lock(shared: Notes) -> None:
    let_go = shared.try_to_hold("a")
    assert let_go
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        let_go()
        again = shared.try_to_hold("a")
        child.kill()
    assert again
    again()


# --- what nobody can need any more


def put_old(cache: Path, kind: str, *parts: str, age: float = MEMORY + 1, suffix: str = "", content: str = "") -> Path:
    """Put a file there that nobody has written to for a while."""
    path = cache / f"{name_of(kind, *parts)}{suffix}"
    path.write_text(content)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_old_files_go_when_there_is_a_new_one(shared: Notes, cache: Path, warned: list[str]) -> None:
    shared.change(NOTE, store(1))
    for number in range(3):
        put_old(cache, "download", str(number), content='{"version": 1, "note": {}}')
        put_old(cache, "gate", str(number), content="[torn")
        put_old(cache, "library", str(number), suffix=".lock")
    assert shared.change(NOTE, add_one) == 2
    assert len(list(cache.iterdir())) == 10, "what is there already makes no work"
    young = put_old(cache, "download", "young", age=MEMORY - 60)
    let_go = shared.try_to_hold(NOTE)
    assert let_go
    assert set(cache.iterdir()) == {cache / NOTE, cache / f"{NOTE}.lock", young}
    let_go()
    assert warned == []


def test_what_somebody_holds_stays(shared: Notes, cache: Path) -> None:
    note, lock = put_old(cache, "download", "a"), put_old(cache, "library", "a", suffix=".lock")
    with note.open("rb") as reader, lock.open("rb") as holder:
        fcntl.flock(reader, fcntl.LOCK_EX)
        fcntl.flock(holder, fcntl.LOCK_EX)
        shared.change(NOTE, add_one)
    assert note.exists() and lock.exists()
    shared.change(name_of("note", "b"), add_one)
    assert not note.exists() and not lock.exists()


def test_what_is_not_ours_stays(shared: Notes, cache: Path, tmp_path: Path, warned: list[str]) -> None:
    strangers = [put_old(cache, "download", "newer", content='{"version": 2}'), cache / "README", cache / "download-1"]
    for path in strangers[1:]:
        path.write_text("")
        os.utime(path, (0, 0))
    put_link(cache / name_of("gate", "a"), tmp_path / "target")
    os.utime(cache / name_of("gate", "a"), (0, 0), follow_symlinks=False)
    put_folder(cache / name_of("gate", "b"), tmp_path)
    os.utime(cache / name_of("gate", "b"), (0, 0))
    before = set(cache.iterdir())
    shared.change(NOTE, add_one)
    assert set(cache.iterdir()) == before | {cache / NOTE}
    assert (tmp_path / "target").read_bytes() == b"precious" and warned == []


def test_there_is_an_end_to_tidying_up(shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notes, "MOST_LOOKED_AT", 5)
    for number in range(20):
        put_old(cache, "download", str(number))
    shared.change(NOTE, add_one)
    assert len(list(cache.iterdir())) >= 16


@pytest.mark.parametrize("what", ["note", "lock"])
def test_a_file_that_goes_before_it_is_locked(
    shared: Notes, cache: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str], what: str
) -> None:
    """Between opening and locking somebody may tidy up: to lock what is gone would lock nobody out."""
    path = cache / (NOTE if what == "note" else f"{NOTE}.lock")
    path.write_text("")
    gone: list[int] = []

    def remove_first(descriptor: int, operation: int) -> None:
        if not gone:
            gone.append(descriptor)
            path.unlink()
        flock(descriptor, operation)

    flock = fcntl.flock
    monkeypatch.setattr("fcntl.flock", remove_first)
    if what == "note":
        assert [shared.change(NOTE, add_one), Notes(warned.append).change(NOTE, add_one)] == [1, 2]
    else:
        let_go = shared.try_to_hold(NOTE)
        assert let_go and Notes(warned.append).try_to_hold(NOTE) is None
        let_go()
    assert gone and path.exists() and warned == []
