"""Folders with a manifest: complete or not there, and nothing in them that the manifest does not vouch for."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Literal

import pytest
import rooms

from parsimony import files
from parsimony.errors import InfrastructureError
from parsimony.files import FileRef, locks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that verifies: one file at the top, one below."""
    target = tmp_path / "kept"
    with files.new_folder(target) as work:
        (work / "model.bin").write_bytes(b"weights")
        (work / "sub").mkdir()
        (work / "sub" / "labels.json").write_text('["a"]', encoding="utf-8")
        files.write_manifest(work, {"format": 1})
    return target


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest of a folder as an attacker or a broken disk would."""
    path = folder / files.MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    changed = change(manifest)
    path.write_text(json.dumps(manifest if changed is None else changed), encoding="utf-8")


# --- digests --------------------------------------------------------------------------------------


def test_a_file_and_its_bytes_have_the_same_digest(tmp_path: Path) -> None:
    data = os.urandom(3 * 2**20 + 17)
    (tmp_path / "file").write_bytes(data)
    assert files.digest_file(tmp_path / "file") == files.digest_bytes(data) == hashlib.sha256(data).hexdigest()
    assert files.reference_to(tmp_path / "file") == FileRef(
        uri=str(tmp_path / "file"), sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)
    )


def test_equal_values_have_equal_digests_and_others_have_others() -> None:
    assert files.digest_of({"a": 1, "b": [2]}, "é") == files.digest_of({"b": (2,), "a": 1}, "é")
    values = [("a", "b"), ("ab",), ("a", ["b"]), (1,), ("1",), (None,), (), ([],)]
    assert len({files.digest_of(*value) for value in values}) == len(values)


def test_what_json_cannot_hold_has_no_digest() -> None:
    with pytest.raises(TypeError):
        files.digest_of(object())


# --- code -----------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    with rooms.copied(tmp_path / "parsimony") as sources:
        yield sources


def _code_digest(*names: str) -> str:
    files.code_digest.cache_clear()
    return files.code_digest(*names)


@pytest.mark.slow
def test_the_digest_of_code_changes_with_every_file_of_its_rooms_and_with_no_other(copy: Path) -> None:
    before = _code_digest("graphs", "compression")
    inside = [path for room in ("graphs", "compression") for path in rooms.sources(copy, room)]
    assert {path.parent.name for path in inside} == {"graphs", "compression", "techniques"}
    for path in sorted(copy.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        assert (_code_digest("graphs", "compression") != before) == (path in inside), path
        path.write_text(text, encoding="utf-8")
    assert _code_digest("graphs", "compression") == before


def test_a_new_file_and_a_new_name_change_the_digest_of_a_room(copy: Path) -> None:
    digests = [_code_digest("graphs")]
    (copy / "graphs" / "new.py").touch()
    digests.append(_code_digest("graphs"))
    (copy / "graphs" / "new.py").rename(copy / "graphs" / "newer.py")
    digests.append(_code_digest("graphs"))
    assert len(set(digests)) == 3


def test_rooms_have_one_digest_in_any_order_and_what_is_no_room_has_none(copy: Path) -> None:
    assert _code_digest("graphs", "data") == _code_digest("data", "graphs") != _code_digest("data")
    assert _code_digest("errors") != _code_digest("candidates")
    with pytest.raises(FileNotFoundError):
        _code_digest("no_room")


# --- one file -------------------------------------------------------------------------------------


def test_json_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    files.write_json(path, {"é": [1, 2]})
    with pytest.raises(TypeError):
        files.write_json(path, {"good": 1, "bad": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": [1, 2]}
    assert list(path.parent.iterdir()) == [path]


def test_what_is_written_can_be_read_by_whoever_the_umask_lets(tmp_path: Path) -> None:
    """A bundle is served by another user than the one who built it."""
    with files.new_folder(tmp_path / "kept") as work:
        (work / "plain").write_text("x", encoding="utf-8")
        files.write_manifest(work, {})
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "kept").iterdir()}
    (tmp_path / "made the usual way").mkdir()
    assert modes[files.MANIFEST] == modes["plain"]
    assert (tmp_path / "kept").stat().st_mode == (tmp_path / "made the usual way").stat().st_mode


# --- verifying ------------------------------------------------------------------------------------


def test_a_manifest_lists_every_other_file_with_its_digest_and_bytes(folder: Path) -> None:
    assert files.verify_folder(folder) == {
        "format": 1,
        "files": [
            {"path": "model.bin", "sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7},
            {"path": "sub/labels.json", "sha256": hashlib.sha256(b'["a"]').hexdigest(), "bytes": 5},
        ],
    }
    assert files.is_complete(folder)
    assert files.folder_bytes(folder) == 12 + (folder / files.MANIFEST).stat().st_size


def test_a_manifest_below_another_is_a_file_like_any_other(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "outer") as work:
        (work / "inner").mkdir()
        (work / "inner" / files.MANIFEST).write_text("{}", encoding="utf-8")
        files.write_manifest(work, {})
    assert files.is_complete(tmp_path / "outer")
    (tmp_path / "outer" / "inner" / files.MANIFEST).write_text("[]", encoding="utf-8")
    assert not files.is_complete(tmp_path / "outer")


def remove(folder: Path) -> None:
    (folder / "model.bin").unlink()


def add(folder: Path) -> None:
    (folder / "sub" / "extra.pkl").write_bytes(b"x")


def change_a_byte(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"Weights")


def cut(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"weight")


def link_symbolically(folder: Path) -> None:
    (folder / "model.bin").rename(folder.parent / "elsewhere")
    (folder / "model.bin").symlink_to(folder.parent / "elsewhere")


def link_hard(folder: Path) -> None:
    os.link(folder / "model.bin", folder.parent / "elsewhere")


def link_a_folder(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent)


def link_nowhere(folder: Path) -> None:
    (folder / "more").symlink_to(folder / "absent")


def link_the_manifest(folder: Path) -> None:
    (folder / files.MANIFEST).rename(folder.parent / "elsewhere")
    (folder / files.MANIFEST).symlink_to(folder.parent / "elsewhere")


def swap(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b'["a"]')
    (folder / "sub" / "labels.json").write_bytes(b"weights")


def make_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, r"holds \['model.bin'\] beside or without what its manifest lists"),
        (add, r"holds \['sub/extra.pkl'\] beside or without what its manifest lists"),
        (change_a_byte, "model.bin has SHA-256 [0-9a-f]{12}…, its manifest says [0-9a-f]{12}…"),
        (cut, "model.bin has 6 bytes, its manifest says 7"),
        (swap, "model.bin has 5 bytes, its manifest says 7"),
        (link_symbolically, "model.bin is a link"),
        (link_hard, "model.bin is a link"),
        (link_a_folder, r"holds \['more'\] beside"),
        (link_nowhere, r"holds \['more'\] beside"),
        (link_the_manifest, "manifest.json is a link"),
        (make_a_pipe, r"holds \['pipe'\] beside"),
    ],
)
def test_a_folder_that_is_not_what_its_manifest_says_is_refused(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(InfrastructureError, match=message):
        files.verify_folder(folder)
    assert not files.is_complete(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "{folder}/../secret", "/etc/hostname", "./model.bin", "sub/../model.bin"]
)
def test_a_manifest_that_points_out_of_its_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_bytes(b"weights")

    def point(manifest: dict) -> None:
        manifest["files"][0]["path"] = name.format(folder=folder)

    rewrite(folder, point)
    with pytest.raises(InfrastructureError, match="beside or without what its manifest lists"):
        files.verify_folder(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", "{}", '{"files": []}', '{"files": {}}', '{"files": 3}', '{"files": ["model.bin"]}',
     '{"files": [{"path": "model.bin"}]}', '{"files": [{"path": "model.bin", "sha256": "00", "bytes": "many"}]}', "[" * 100_000],
)  # fmt: skip
def test_a_manifest_that_cannot_be_read_makes_the_folder_incomplete(folder: Path, text: str) -> None:
    (folder / files.MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InfrastructureError, match=r"is not a manifest|lists no files"):
        files.verify_folder(folder)
    assert not files.is_complete(folder)


def test_a_manifest_that_is_not_text_makes_the_folder_incomplete(folder: Path) -> None:
    (folder / files.MANIFEST).write_bytes(b"\xff\xfe{}")
    with pytest.raises(InfrastructureError, match="is not a manifest"):
        files.verify_folder(folder)


def test_a_folder_without_a_manifest_is_incomplete(folder: Path) -> None:
    (folder / files.MANIFEST).unlink()
    with pytest.raises(InfrastructureError, match=r"has no manifest.json: it is incomplete"):
        files.verify_folder(folder)
    assert not files.is_complete(folder)
    assert not files.is_complete(folder / "absent")
    assert not files.is_complete(folder / "model.bin")


# --- new folders ----------------------------------------------------------------------------------


def crash_in(target: Path, end: type[BaseException]) -> None:
    """Begin to fill a new folder and end as a crash would."""
    with files.new_folder(target) as work:
        (work / "half").write_bytes(b"x")
        raise end


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_crash_inside_a_new_folder_leaves_nothing(tmp_path: Path, end: type[BaseException]) -> None:
    with pytest.raises(end):
        crash_in(tmp_path / "store" / "target", end)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_crash_leaves_the_folder_that_was_there(folder: Path) -> None:
    before = files.verify_folder(folder)
    with pytest.raises(RuntimeError):
        crash_in(folder, RuntimeError)
    assert files.verify_folder(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_appears_only_when_its_block_has_ended(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with files.new_folder(target) as work:
        (work / "file").write_bytes(b"x")
        assert not target.exists()
        assert work.parent == target.parent  # the same file system, so that renaming is one step
    assert [p.name for p in tmp_path.rglob("*")] == ["target", "file"]


def test_a_folder_of_the_same_name_is_replaced_whole(folder: Path) -> None:
    with files.new_folder(folder) as work:
        (work / "other").write_bytes(b"y")
        files.write_manifest(work, {"format": 2})
    assert sorted(p.name for p in folder.iterdir()) == [files.MANIFEST, "other"]
    assert files.verify_folder(folder)["format"] == 2


def test_what_a_killed_run_left_is_swept_at_once_and_what_a_run_works_on_never(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "alive") as alive:
        os.utime(alive, (0, 0))
        left, whole = tmp_path / ".c.tmp-2233", tmp_path / "d"
        for folder in (left, whole):
            folder.mkdir()
            (folder / "file").write_text("x", encoding="utf-8")
        assert files.sweep(tmp_path) == 1
        assert sorted(p.name for p in tmp_path.iterdir()) == [alive.name, "d"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alive", "d"]
    assert files.sweep(tmp_path / "nowhere") == 0


def write(target: Path, text: str, present: Literal["replaced", "kept"] = "replaced") -> None:
    with files.new_folder(target, present) as work:
        (work / "file").write_text(text, encoding="utf-8")
        files.write_manifest(work, {})


def test_a_complete_folder_stays_where_its_readers_have_it_when_it_is_made_again(folder: Path) -> None:
    before = folder.stat().st_ino
    with files.new_folder(folder) as work:
        (work / "model.bin").write_bytes(b"weights")
        (work / "sub").mkdir()
        (work / "sub" / "labels.json").write_text('["a"]', encoding="utf-8")
        files.write_manifest(work, {"format": 1})
    write(folder, "another outcome of the same sources", "kept")
    assert folder.stat().st_ino == before
    assert files.is_complete(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_an_incomplete_folder_is_replaced_by_what_is_made_from_the_same_sources(folder: Path) -> None:
    (folder / "model.bin").unlink()
    write(folder, "whole", "kept")
    assert files.is_complete(folder)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def make_and_read(target: Path, gate: Barrier, number: int, failed: Queue[str]) -> None:
    """Make a folder and read it, again and again, as one of many processes would."""
    gate.wait(30)
    try:
        for _ in range(10):
            write(target, f"of {number}", "kept")
            files.verify_folder(target)
    except BaseException as error:
        failed.put(f"{type(error).__name__}: {error}")
        raise


@pytest.mark.slow
def test_of_many_processes_that_make_one_folder_none_finds_it_missing_or_changed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate, failed = context.Barrier(12), context.Queue()
    processes = [
        context.Process(target=make_and_read, args=(tmp_path / "kept", gate, number, failed)) for number in range(12)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 12, failed.get(timeout=1)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_new_folder_can_be_made_in_one_that_is_held_and_in_one_that_is_new(tmp_path: Path) -> None:
    with locks.held(tmp_path), files.new_folder(tmp_path / "outer") as outer:
        write(outer / "inner", "text")
        files.write_manifest(outer, {})
    assert files.is_complete(tmp_path / "outer" / "inner")


def test_a_folder_is_held_by_one_process_alone_or_by_several_together(tmp_path: Path) -> None:
    with locks.held(tmp_path, "together") as first, locks.held(tmp_path, "together") as second:
        assert (first, second) == ("mine", "mine")
        with locks.held(tmp_path) as third:
            assert third == "theirs"
    with locks.held(tmp_path) as alone:
        assert alone == "mine"


def test_what_is_discarded_is_gone_a_file_as_well_as_a_folder(folder: Path) -> None:
    (folder.parent / "file").touch()
    for path in (folder, folder.parent / "file", folder.parent / "nothing"):
        files.discard(path)
    assert list(folder.parent.iterdir()) == []
