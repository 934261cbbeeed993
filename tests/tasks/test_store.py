"""The store: what was put there comes back as it was, or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from parsimony import files
from parsimony.errors import InfrastructureError
from parsimony.files import FileRef, digest_bytes
from parsimony.flows import settings
from parsimony.tasks.store import AbsentError, ChangedError, Store

SECRET = "s3cr3t-pa55word"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    address = str(tmp_path / "shared") if request.param == "folder" else f"memory://{tmp_path.name}"
    return Store(address=address, cache=tmp_path / "fetched")


def at(tmp_path: Path, name: str = "shared") -> Store:
    return Store(address=str(tmp_path / name), cache=tmp_path / "fetched")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "bundle"
    with files.new_folder(target) as work:
        (work / "model.bin").write_bytes(os.urandom(2000))
        (work / "sub").mkdir()
        (work / "sub" / "labels.json").write_text('["a"]', encoding="utf-8")
        files.write_manifest(work, {"format": 1})
    return target


def path_of(store: Store, digest: str) -> Path:
    return Path(store.address) / "sha256" / digest[:2] / digest[2:]


def test_what_was_put_comes_back_under_its_digest(store: Store) -> None:
    reference = store.put_bytes(b"some texts")
    assert reference == FileRef(
        uri=f"sha256/{digest_bytes(b'some texts')[:2]}/{digest_bytes(b'some texts')[2:]}",
        sha256=digest_bytes(b"some texts"),
        size_bytes=10,
    )
    assert store.get_bytes(reference) == b"some texts"
    assert store.put_bytes(b"some texts") == reference
    assert store.get_bytes(store.put_bytes(b"")) == b""


def test_a_folder_comes_back_whole_and_a_second_reader_uses_the_copy(store: Store, folder: Path) -> None:
    reference = store.put_folder(folder)
    assert reference.sha256 == files.digest_file(folder / files.MANIFEST)
    copy = store.get_folder(reference)
    assert {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()} == {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    elsewhere = Store(address="memory://nothing-is-here", cache=store.cache)
    assert elsewhere.get_folder(reference) == copy


def test_a_copy_on_this_machine_that_was_changed_is_fetched_again(store: Store, folder: Path) -> None:
    reference = store.put_folder(folder)
    copy = store.get_folder(reference)
    (copy / "model.bin").write_bytes(b"another model")
    assert (store.get_folder(reference) / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()


@pytest.mark.parametrize("change", [b"", b"some text", b"some texts!", b"SOME TEXTS", b"x" * 10_000])
def test_what_was_changed_in_the_store_is_refused_and_mended_by_the_next_writer(tmp_path: Path, change: bytes) -> None:
    store = at(tmp_path)
    reference = store.put_bytes(b"some texts")
    path_of(store, reference.sha256).write_bytes(change)
    with pytest.raises(ChangedError, match="is not what was put there"):
        store.get_bytes(reference)
    assert store.put_bytes(b"some texts") == reference
    assert store.get_bytes(reference) == b"some texts"


def test_a_file_of_a_bundle_that_was_changed_in_the_store_leaves_no_copy(tmp_path: Path, folder: Path) -> None:
    store = at(tmp_path)
    reference = store.put_folder(folder)
    path_of(store, files.digest_file(folder / "model.bin")).write_bytes(os.urandom(2000))
    with pytest.raises(ChangedError):
        store.get_folder(reference)
    assert not store.cache.exists() or list(store.cache.iterdir()) == []


@pytest.mark.parametrize("path", ["../escaped", "/etc/escaped", "a/../../escaped", "manifest.json", "c:/escaped", ""])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    store = at(tmp_path)
    inner = store.put_bytes(b"payload")
    listed = {"path": path, "sha256": inner.sha256, "bytes": inner.size_bytes}
    reference = store.put_bytes(json.dumps({"files": [listed]}).encode())
    with pytest.raises(ChangedError, match="outside its folder"):
        store.get_folder(reference)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("name", ["../../secret", "", "f" * 63, "F" * 64, "sha256/ab"])
def test_a_name_that_is_no_digest_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        at(tmp_path).get_bytes(FileRef(uri=name, sha256=name, size_bytes=1))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="PARSIMONY_STORE"):
        at(tmp_path).get_bytes(FileRef(uri="", sha256="0" * 64, size_bytes=1))


def test_a_note_leads_to_its_object_and_a_changed_one_to_nothing(tmp_path: Path) -> None:
    store, key = at(tmp_path), digest_bytes(b"the question")
    assert store.noted(key) is None
    reference = store.put_bytes(b"the result")
    store.note(key, reference)
    assert store.noted(key) == reference
    [note] = (tmp_path / "shared" / "notes").rglob("*.json")
    other = digest_bytes(b"another question")
    moved = note.parents[1] / other[:2] / f"{other[2:]}.json"
    moved.parent.mkdir(parents=True, exist_ok=True)
    moved.write_bytes(note.read_bytes())
    assert store.noted(other) is None
    for damaged in (b"", b"[]", b"{}", note.read_bytes().replace(b'"size_bytes": 10', b'"size_bytes": 11')):
        note.write_bytes(damaged)
        assert store.noted(key) is None


def _write(address: str, cache: str, barrier: object, count: int) -> None:
    store = Store(address=address, cache=Path(cache))
    barrier.wait()  # type: ignore[attr-defined]
    for number in range(count):
        content = bytes([number]) * 50_000
        assert store.get_bytes(store.put_bytes(content)) == content
        store.note(digest_bytes(b"shared"), store.put_bytes(bytes([number])))


@pytest.mark.slow
def test_several_writers_of_the_same_never_show_a_part(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    work = [
        context.Process(target=_write, args=(str(tmp_path / "shared"), str(tmp_path / str(i)), barrier, 20))
        for i in range(3)
    ]
    for process in work:
        process.start()
    for process in work:
        process.join(60)
    assert [process.exitcode for process in work] == [0, 0, 0]
    store = at(tmp_path)
    noted = store.noted(digest_bytes(b"shared"))
    assert noted is not None and len(store.get_bytes(noted)) == 1
    assert list((tmp_path / "shared" / "tmp").iterdir()) == []


@pytest.mark.slow
def test_an_address_is_shown_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for address in (f"s3://key:{SECRET}@bucket/models", f"odd://user:{SECRET}@host/x", f"https://host/?token={SECRET}"):
        store = Store(address=address, cache=tmp_path)
        assert SECRET not in store.shown
        with pytest.raises(InfrastructureError) as refused:
            store.put_bytes(b"x")
        assert SECRET not in str(refused.value)


def test_the_environment_names_the_store_and_without_a_name_it_lies_in_the_home(tmp_path: Path) -> None:
    environment = {"PARSIMONY_HOME": str(tmp_path / "home")}
    assert settings.prepare(environment).store.address == str(tmp_path / "home" / "store")
    assert settings.prepare({**environment, "PARSIMONY_STORE": "memory://x"}).store.address == "memory://x"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve S3 on this machine and make a bucket."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        s3fs.S3FileSystem.clear_instance_cache()  # one that was opened before knows no credentials
        s3fs.S3FileSystem().mkdir("models")
        yield "s3://models/parsimony"
    server.stop()


@pytest.mark.slow
def test_a_bucket_of_s3_is_a_store(bucket: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    store = Store(address=bucket, cache=tmp_path / "fetched")
    reference = store.put_folder(folder)
    assert files.is_complete(store.get_folder(reference))
    key = digest_bytes(b"question")
    store.note(key, reference)
    assert store.noted(key) == reference
    with pytest.raises(AbsentError):
        store.get_bytes(FileRef(uri="", sha256="0" * 64, size_bytes=1))
    s3fs.S3FileSystem().pipe_file(f"{bucket}/{reference.uri}", b"another manifest")
    other = Store(address=bucket, cache=tmp_path / "empty")
    with pytest.raises(ChangedError):
        other.get_folder(reference)
    lost = Store(address="s3://no-such-bucket/x", cache=tmp_path / "empty")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        lost.put_bytes(b"x")
