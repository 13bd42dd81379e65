"""Text from disk: which files are read, in what order, how much of them, and what is said when they can't be."""

import errno
import os
from pathlib import Path

import pytest

from asiarch.api.search import Dataset
from asiarch_trainer.referee import corpus
from asiarch_trainer.referee.verdict import Verdict


def written(root: Path, *names: str, size: int = 40) -> Path:
    """Files of distinct content, each of `size` bytes."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * size)
    return root


def read(root: Path, **fields: str) -> bytes:
    """All that was read, sorted: how it is split is another matter."""
    found = corpus.read(Dataset(path=str(root), **fields))
    return bytes(sorted(found.train.tobytes() + found.held_out.tobytes()))


def refused(root: Path) -> str:
    with pytest.raises(Verdict) as caught:
        corpus.read(Dataset(path=str(root)))
    assert caught.value.reason == "DatasetInvalid"
    return caught.value.message


@pytest.fixture
def splits_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold out half of all parts, so that a few are enough for both halves."""
    monkeypatch.setattr(corpus, "_HELD_OUT_OF_256", 128)


@pytest.mark.usefixtures("splits_evenly")
def test_files_below_a_directory_are_read_by_the_end_of_their_name(tmp_path: Path) -> None:
    names = ("a.txt", "b.csv", "deep/c.txt", "tests/d.txt", "e.txt", "f.txt", "g.txt")
    assert read(written(tmp_path, *names), suffix=".txt") == b"".join(
        bytes([n]) * 40 for n in (0, 2, 4, 5, 6)
    )


@pytest.mark.usefixtures("splits_evenly")
@pytest.mark.parametrize("most", [200, 220, 240])
def test_a_directory_is_read_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(corpus, "MAX_BYTES", most)
    whole = b"".join(bytes([n]) * 40 for n in range(8))
    assert read(written(tmp_path, *(f"{n}.txt" for n in range(8)))) == whole[:most]


def test_a_file_too_large_for_all_room_is_read_in_part_and_what_to_do_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MAX_BYTES", 30)
    said = refused(written(tmp_path, "huge.txt", "more.txt"))
    assert "1 distinct parts" in said
    assert "Name a larger file, which is split by blocks" in said


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"Dataset {tmp_path / 'none'} does not exist" in refused(tmp_path / "none")


@pytest.mark.usefixtures("splits_evenly")
def test_text_of_another_digest_is_refused_with_both(tmp_path: Path) -> None:
    written(tmp_path, *(f"{n}.txt" for n in range(8)))
    digest = corpus.read(Dataset(path=str(tmp_path))).digest
    assert read(tmp_path, digest=digest)
    (tmp_path / "0.txt").write_bytes(b"changed")
    with pytest.raises(Verdict) as caught:
        corpus.read(Dataset(path=str(tmp_path), digest=digest))
    assert caught.value.reason == "DatasetInvalid"
    now = corpus.read(Dataset(path=str(tmp_path))).digest
    assert caught.value.message.startswith(f"Dataset {tmp_path} has digest {now}; wanted {digest}.")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_storage_that_fails_is_no_fault_of_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    written(tmp_path, "a.txt")
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(Verdict) as caught:
        corpus.read(Dataset(path=str(tmp_path)))
    assert caught.value.reason == "InfrastructureFailed"
    assert (
        caught.value.message
        == f"The storage of dataset {tmp_path} failed: {os.strerror(number)}. It is tried again."
    )


def unlistable(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """Have the kernel refuse to list a directory; it refuses its superuser nothing."""
    listed = os.scandir

    def scandir(path: str) -> "os._ScandirIterator[str]":
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_directory_that_may_not_be_listed_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlistable(monkeypatch, tmp_path)
    said = refused(written(tmp_path, "a.txt"))
    assert f"can't be read at {tmp_path}: Permission denied. It is read as user {os.geteuid()}" in said


@pytest.mark.usefixtures("splits_evenly")
def test_a_volumes_own_directory_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, *(f"{n}.txt" for n in range(6)), "lost+found/x.txt")
    unlistable(monkeypatch, tmp_path / "lost+found")
    assert read(tmp_path) == b"".join(bytes([n]) * 40 for n in range(6))
