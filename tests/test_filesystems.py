"""Paths on any filesystem, by fsspec and by Beam."""

from __future__ import annotations

import errno
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystem import FileSystem
from apache_beam.testing.util import assert_that, equal_to
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from hypothesis import given, strategies as st

from beam_distilabel import filesystems
from beam_distilabel.beam_filesystem import BeamFileSystem
from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import ATTEMPTS, open_file, persistently, url_to_fs, write_file
from beam_distilabel.layout import open_parquet
from beam_distilabel.steps import LoadDataFromFileSystem
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from tests.beam_filesystems import ROOT, FlatFileSystem, TreeFileSystem

ROWS = [{"n": index, "text": f"row {index}"} for index in range(20)]


@pytest.fixture(params=["flat", "tree", "memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Iterator[str]:
    """A URL below which nothing is yet."""
    monkeypatch.setenv(ROOT, str(tmp_path))
    yield f"file://{tmp_path}/top" if request.param == "file" else f"{request.param}://top"
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]


def filled(place: str) -> tuple[Any, str]:
    """A filesystem with `a/one.txt`, `a/b/two.txt`, `ab/three.txt` below the folder."""
    for name in ("a/one.txt", "a/b/two.txt", "ab/three.txt"):
        with open_file(f"{place}/{name}", "w") as file:
            file.write(name)
    return url_to_fs(place)


def test_it_is_fsspec_where_fsspec_knows_the_scheme_and_beam_elsewhere(place: str) -> None:
    filesystem, name = url_to_fs(f"{place}/a")
    scheme = place.partition(":")[0]
    known = {"memory": MemoryFileSystem, "file": LocalFileSystem}
    assert type(filesystem) is known.get(scheme, BeamFileSystem)
    if scheme in ("flat", "tree"):
        assert name == filesystem.unstrip_protocol(name) == f"{place}/a"
        expected = FlatFileSystem if scheme == "flat" else TreeFileSystem
        assert type(filesystem._beam) is expected


def test_listing(place: str) -> None:
    filesystem, top = filled(place)
    assert filesystem.ls(f"{top}/a", detail=False) == [f"{top}/a/b", f"{top}/a/one.txt"]
    entries = {entry["name"]: entry for entry in filesystem.ls(f"{top}/a/", detail=True)}
    assert [(entries[f"{top}/a/{name}"]["type"]) for name in ("b", "one.txt")] == [
        "directory",
        "file",
    ]
    assert entries[f"{top}/a/one.txt"]["size"] == len("a/one.txt")
    assert filesystem.ls(f"{top}/a/one.txt", detail=False) == [f"{top}/a/one.txt"]
    assert filesystem.find(f"{top}/a") == [f"{top}/a/b/two.txt", f"{top}/a/one.txt"]
    assert filesystem.find(f"{top}/a", maxdepth=1) == [f"{top}/a/one.txt"]
    assert list(filesystem.find(f"{top}/a", detail=True)) == filesystem.find(f"{top}/a")
    assert filesystem.find(f"{top}/a/one.txt") == [f"{top}/a/one.txt"]
    assert filesystem.glob(f"{top}/a/*.txt") == [f"{top}/a/one.txt"]
    assert filesystem.glob(f"{top}/**/t*.txt") == [f"{top}/a/b/two.txt", f"{top}/ab/three.txt"]
    assert [root for root, _, _ in filesystem.walk(f"{top}/a")] == [f"{top}/a", f"{top}/a/b"]
    assert filesystem.du(f"{top}/a") == len("a/one.txt") + len("a/b/two.txt")


def test_what_is_there_and_what_is_not(place: str) -> None:
    filesystem, top = filled(place)
    file, folder, nothing = f"{top}/a/one.txt", f"{top}/a/b", f"{top}/a/o"
    assert [filesystem.exists(path) for path in (file, folder, nothing)] == [True, True, False]
    assert [filesystem.isfile(path) for path in (file, folder, nothing)] == [True, False, False]
    assert [filesystem.isdir(path) for path in (file, folder, nothing)] == [False, True, False]
    assert filesystem.info(file)["size"] == filesystem.size(file) == len("a/one.txt")
    assert filesystem.find(nothing) == []
    uses: list[Any] = [filesystem.ls, filesystem.info, filesystem.rm_file, filesystem.open]
    for use in uses:
        with pytest.raises(FileNotFoundError):
            use(nothing)
    if isinstance(filesystem, BeamFileSystem):
        # A bucket is not asked for; a folder is.
        assert filesystem.isdir(f"{place}-other") is (filesystem.scheme == "flat")
        assert filesystem.modified(file) > 1_600_000_000


def test_reading_and_writing(place: str) -> None:
    filesystem, top = url_to_fs(place)
    path = f"{top}/a/data.bin.gz"  # Beam itself would compress by the name
    filesystem.makedirs(f"{top}/a", exist_ok=True)
    filesystem.makedirs(f"{top}/a", exist_ok=True)
    content = bytes(range(256)) * 40
    with filesystem.open(path, "wb") as file:
        file.write(content[:5000])
        file.write(content[5000:])
    assert filesystem.cat_file(path) == content
    assert filesystem.cat_file(path, start=10, end=300) == content[10:300]
    with filesystem.open(path, "rb") as file:
        assert file.seekable() and file.readable()
        file.seek(-6, 2)
        assert file.read() == content[-6:] and file.tell() == len(content)
        file.seek(256)
        assert file.read(4) == bytes((0, 1, 2, 3))
    filesystem.pipe({f"{top}/a/x": b"1", f"{top}/a/y": b"22"})
    assert filesystem.cat(f"{top}/a/x") == b"1"
    filesystem.pipe_file(f"{top}/a/x", b"replaced")
    assert filesystem.cat_file(f"{top}/a/x") == b"replaced"
    filesystem.touch(f"{top}/a/empty")
    assert filesystem.info(f"{top}/a/empty")["size"] == 0 and filesystem.isfile(f"{top}/a/empty")
    assert f"{top}/a/empty" in filesystem.find(f"{top}/a")
    with open_file(f"{place}/new/text.txt", "w") as text:
        text.write("grün\n")
    assert open_file(f"{place}/new/text.txt", "r").read() == "grün\n"


def test_parquet(place: str) -> None:
    table = pa.table({"n": list(range(1000))})
    with open_file(f"{place}/part.parquet", "wb") as file:
        pq.write_table(table, file, row_group_size=100)
    metadata = pq.ParquetFile(open_file(f"{place}/part.parquet"))
    assert metadata.num_row_groups == 10 and metadata.read_row_group(3)["n"][0].as_py() == 300


def test_a_parquet_file_is_closed_after_use(place: str, tmp_path: Path) -> None:
    def opened() -> list[str]:
        return [f.path for f in psutil.Process().open_files() if f.path.startswith(str(tmp_path))]

    with open_file(f"{place}/a.parquet", "wb") as file:
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    with open_parquet(f"{place}/a.parquet") as parquet:
        assert parquet.read().num_rows == len(ROWS)
        if not place.startswith("memory"):
            assert len(opened()) == 1
    assert parquet.closed and not opened()
    with open_file(f"{place}/b.parquet", "w") as text:
        text.write("no Parquet")
    with pytest.raises(pa.ArrowInvalid):
        open_parquet(f"{place}/b.parquet")
    assert not opened()


def test_copies_moves_and_removals(place: str) -> None:
    filesystem, top = filled(place)
    filesystem.cp_file(f"{top}/a/one.txt", f"{top}/a/copy.txt")
    assert filesystem.cat_file(f"{top}/a/copy.txt") == b"a/one.txt"
    filesystem.mv(f"{top}/a/copy.txt", f"{top}/a/one.txt")  # replaces
    filesystem.mv(f"{top}/a", f"{top}/moved", recursive=True)
    assert [file.removeprefix(top) for file in filesystem.find(top)] == [
        "/ab/three.txt",
        "/moved/b/two.txt",
        "/moved/one.txt",
    ]
    assert not filesystem.exists(f"{top}/a")
    filesystem.rm_file(f"{top}/moved/one.txt")
    with pytest.raises(FileNotFoundError):
        filesystem.mv(f"{top}/none", f"{top}/other", recursive=True)
    filesystem.rm(f"{top}/moved", recursive=True)
    assert [file.removeprefix(top) for file in filesystem.find(top)] == ["/ab/three.txt"]


@pytest.mark.parametrize("place", ["flat", "tree"], indirect=True)
def test_files_and_folders_are_not_taken_for_each_other(place: str) -> None:
    filesystem, top = filled(place)
    for use in (filesystem.rm, filesystem.rm_file):
        with pytest.raises(IsADirectoryError):
            use(f"{top}/a")
    with pytest.raises(OSError, match="not empty"):
        filesystem.rmdir(f"{top}/a")
    for mode, error in (("ab", ValueError), ("xb", FileExistsError)):
        with pytest.raises(error):
            filesystem.open(f"{top}/a/one.txt", mode)
    filesystem.copy(f"{top}/a", f"{top}/again", recursive=True)
    assert filesystem.cat_file(f"{top}/again/b/two.txt") == b"a/b/two.txt"
    filesystem.mv(f"{top}/a", f"{top}/a")
    assert filesystem.exists(f"{top}/a/b/two.txt")


def test_empty_folders_are_folders_where_there_are_real_ones(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path))
    tree, top = url_to_fs("tree://top")
    tree.makedirs(f"{top}/empty/inner")
    tree.touch(f"{top}/empty/file")
    assert tree.isdir(f"{top}/empty/inner") and tree.ls(f"{top}/empty/inner") == []
    assert [(entry["name"][len(top) :], entry["type"]) for entry in tree.ls(f"{top}/empty")] == [
        ("/empty/file", "file"),
        ("/empty/inner", "directory"),
    ]
    with pytest.raises(FileExistsError):
        tree.makedirs(f"{top}/empty/inner")
    with pytest.raises(FileExistsError):
        tree.makedirs(f"{top}/empty/file", exist_ok=True)
    tree.rmdir(f"{top}/empty/inner")
    assert not tree.exists(f"{top}/empty/inner")
    flat, top = url_to_fs("flat://top")
    flat.makedirs(f"{top}/empty")
    assert not flat.exists(f"{top}/empty")


def test_a_name_that_beam_takes_for_a_pattern_removes_nothing_else(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path))
    filesystem, top = url_to_fs("flat://top")
    for name in ("f*", "four", "f[o]ur"):
        filesystem.pipe_file(f"{top}/{name}", b"")
    assert len(filesystem.ls(top)) == 3
    for name in ("f*", "f[o]ur"):
        with pytest.raises(DistilabelUserError, match="as a pattern"):
            filesystem.rm_file(f"{top}/{name}")
    assert len(filesystem.ls(top)) == 3


@given(st.lists(st.text("ab.-ü %", min_size=1).filter(lambda part: part not in (".", "..")),
                min_size=1, max_size=4))  # fmt: skip
def test_parent_and_name_make_the_path(parts: list[str]) -> None:
    path = "gs://bucket/" + "/".join(parts)
    parent = BeamFileSystem._parent(path)
    assert f"{parent}/{parts[-1]}" == path == BeamFileSystem._strip_protocol(path + "//")
    assert BeamFileSystem._parent("gs://bucket") == "gs://"


def test_a_filesystem_is_cached_and_can_be_pickled(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path))
    filesystem, top = filled("flat://top")
    assert url_to_fs("flat://other")[0] is filesystem
    again = pickle.loads(pickle.dumps(filesystem))
    assert again == filesystem and again.find(top) == filesystem.find(top)
    assert url_to_fs("tree://other")[0] != filesystem


# -- which filesystem --------------------------------------------------------------------------


@pytest.fixture
def no_gcsfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package is not installed."""
    monkeypatch.delitem(_registry, "gs", raising=False)
    monkeypatch.delitem(_registry, "gcs", raising=False)
    monkeypatch.setitem(sys.modules, "gcsfs", None)


class _Bucket(FlatFileSystem):
    """Beam's filesystem for `gs`, as `apache-beam[gcp]` brings one."""

    known_scheme = "hidden-until-asked-for"

    @classmethod
    def scheme(cls) -> str:
        return cls.known_scheme


@pytest.mark.parametrize("url", ["gs://bucket/folder", "gcs://bucket/folder/"])
def test_beams_package_stands_in_for_fsspecs(
    no_gcsfs: None, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for known in FileSystem.get_all_subclasses():
        if known.scheme() == "gs":  # the real one, where Google's packages are installed
            monkeypatch.setattr(known, "scheme", classmethod(lambda cls: "gs-elsewhere"))
    monkeypatch.setattr(_Bucket, "known_scheme", "gs")
    filesystem, name = url_to_fs(url, auto_mkdir=True)
    assert isinstance(filesystem, BeamFileSystem) and name == "gs://bucket/folder"
    assert type(filesystem._beam) is _Bucket
    with pytest.raises(DistilabelUserError) as raised:
        url_to_fs(url, token="hf_very_secret", project="mine")
    assert "(got project, token)" in str(raised.value) and "pip install gcsfs" in str(raised.value)
    assert "secret" not in str(raised.value) and "mine" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_a_missing_package_is_named(no_gcsfs: None, scheme: str) -> None:
    url = f"{scheme}://key:very_secret@bucket/folder?signature=very_secret"
    with pytest.raises(DistilabelUserError) as raised:
        url_to_fs(url, token="very_secret")
    message = str(raised.value)
    assert f"{scheme}://...@bucket/folder" in message and "very_secret" not in message
    assert "pip install gcsfs" in message and "apache-beam[gcp]" in message


def test_a_scheme_that_nothing_knows() -> None:
    with pytest.raises(DistilabelUserError, match="neither fsspec nor Beam knows .* 'nosuch'"):
        url_to_fs("nosuch://folder")
    if importlib.util.find_spec("azure") is None:  # Beam has the class, not what it imports
        with pytest.raises(DistilabelUserError, match="apache-beam.azure"):
            url_to_fs("azfs://account/container")
    with pytest.raises(DistilabelUserError, match="package is missing .*'smb'.*smbprotocol"):
        url_to_fs("smb://host/share")


# -- a dataset ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["flat", "tree", "memory"], indirect=True)
def test_a_dataset_is_written_read_and_replaced(place: str) -> None:
    url = f"{place}/out"
    with beam.Pipeline() as pipeline:
        rows = pipeline | beam.Create(ROWS)
        _ = {
            "default": rows,
            "other": rows | beam.Filter(lambda row: row["n"] < 3),
        } | WriteDistiset(url, max_shard_rows=7)
    distiset = create_distiset(url)
    assert sorted(distiset) == ["default", "other"]
    assert sorted(distiset["default"]["train"]["n"]) == list(range(20))
    assert len(distiset["other"]["train"]) == 3

    with beam.Pipeline() as pipeline:
        read = pipeline | LoadDataFromFileSystem(data_files=f"{url}/default", filetype="parquet")
        assert_that(read | beam.Map(lambda row: row["n"]), equal_to(list(range(20))))

    with pytest.raises(DistilabelUserError, match="already holds a result"):
        with beam.Pipeline() as pipeline:
            _ = {"default": pipeline | beam.Create(ROWS)} | WriteDistiset(url)
    with beam.Pipeline() as pipeline:
        _ = {"default": pipeline | beam.Create(ROWS[:1])} | WriteDistiset(url, overwrite=True)
    filesystem, folder = url_to_fs(url)
    assert [file.removeprefix(folder) for file in filesystem.find(folder)] == [
        "/default/train-00000-of-00001.parquet"
    ]


def test_a_class_that_a_program_has_registered(monkeypatch: Any) -> None:
    class Shelf(MemoryFileSystem):
        protocol = "shelf"

    monkeypatch.setitem(_registry, "shelf", Shelf)  # as `register_implementation` does
    filesystem, _ = url_to_fs("shelf://box/note")
    assert type(filesystem) is Shelf


class Troubled:
    """Fails with `errors`, one call after the other, then works."""

    def __init__(self, *errors: OSError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_what_passes_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(filesystems.time, "sleep", pauses.append)
    hiccups = Troubled(*(OSError(errno.EIO, "hiccup") for _ in range(ATTEMPTS - 1)))
    assert persistently("Asking", hiccups) == "done"
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert f"Asking failed (attempt 1 of {ATTEMPTS}): [Errno 5] hiccup" in caplog.text
    broken = Troubled(*(OSError(errno.EIO, "hiccup") for _ in range(ATTEMPTS)))
    with pytest.raises(OSError, match="hiccup"):
        persistently("Asking", broken)
    assert broken.calls == ATTEMPTS


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        PermissionError(errno.EACCES, "not yours"),
        FileNotFoundError("of an object store, without a number"),
    ],
)
def test_what_lasts_is_not_tried_again(error: OSError) -> None:
    attempt = Troubled(error)
    with pytest.raises(type(error)):
        persistently("Asking", attempt)
    assert attempt.calls == 1


def test_a_file_is_written_whole_or_not_at_all(place: str, monkeypatch: Any) -> None:
    path = f"{place}/folder/file.json"
    write_file(path, "first")
    write_file(path, "zweitens: \u00fc".encode())
    assert open_file(path, "r").read() == "zweitens: \u00fc"
    filesystem, name = url_to_fs(path)

    def no_room(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(type(filesystem), "mv", no_room)
    with pytest.raises(OSError, match="full"):
        write_file(path, "third")
    assert filesystem.ls(filesystem._parent(name), detail=False) == [name]
    assert open_file(path, "r").read() == "zweitens: \u00fc"
