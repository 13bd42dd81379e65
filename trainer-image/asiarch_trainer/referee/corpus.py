"""Real text as bytes: read from disk, split by content, digested.

The split depends on the files' digests alone, so it is the same wherever the same text lies; a single file is split
by blocks. Shapes: N windows, T time.
"""

import errno
import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asiarch.api.reason import Reason
from asiarch.api.search import STANDARD_LIBRARY, Dataset
from asiarch_trainer.referee.generators import Examples
from asiarch_trainer.referee.verdict import Verdict

MAX_BYTES = 64 << 20
_BLOCK = 4096
_HELD_OUT_OF_256 = 26
_SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3"})

_PASSING = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET, errno.ENOTCONN,
        errno.EAGAIN, errno.EINTR, errno.ENODEV, errno.ENXIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    }
)  # fmt: skip
"""What a disk, a network or a machine says that fails: of the dataset it says nothing."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Corpus:
    """Text to learn from, text that is held out, and the digest of both."""

    train: Bytes
    held_out: Bytes
    digest: str


def read(dataset: Dataset) -> Corpus:
    """Read a file, a directory or `stdlib`; raises `DatasetInvalid` if it is of no use, or another one than named."""
    found = split(list(_parts(dataset)), dataset.path)
    if dataset.digest not in (None, found.digest):
        raise Verdict(
            Reason.DATASET_INVALID,
            f"Dataset {dataset.path} has digest {found.digest}; wanted {dataset.digest}. The text has changed, or other"
            " files of it are read. Put it back as it was, or name the digest found in a new search.",
        )
    return found


def split(parts: Sequence[bytes], name: str) -> Corpus:
    """Hold out about a tenth of the parts, chosen by their digests."""
    by_digest = sorted({sha256(part).digest(): part for part in parts}.items())
    held_out = b"".join(part for key, part in by_digest if key[0] < _HELD_OUT_OF_256)
    train = b"".join(part for key, part in by_digest if key[0] >= _HELD_OUT_OF_256)
    digest = sha256(b"".join(key for key, _ in by_digest)).hexdigest()
    if not held_out or not train:
        raise Verdict(
            Reason.DATASET_INVALID,
            f"Dataset {name} has {len(by_digest)} distinct parts with {len(held_out)} bytes to hold out and"
            f" {len(train)} to learn from; wanted some of both. Name a larger file, which is split by blocks, or a"
            " directory of more files.",
        )
    return Corpus(np.frombuffer(train, np.uint8), np.frombuffer(held_out, np.uint8), digest)


def windows(text: Bytes, rng: np.random.Generator, count: int, length: int) -> Examples:
    """Draw windows anywhere in the text; each byte's target is the next one."""
    starts_N = rng.integers(0, len(text) - length, count)
    whole_NT = text[starts_N[:, None] + np.arange(length + 1)].astype(np.int32)
    return whole_NT[:, :-1].copy(), whole_NT[:, 1:].copy()


def require(corpus: Corpus, length: int, name: str) -> None:
    """Refuse a corpus whose parts are shorter than a window."""
    shortest = min(len(corpus.train), len(corpus.held_out))
    if shortest <= length + 1:
        raise Verdict(
            Reason.DATASET_INVALID,
            f"Dataset {name} has only {shortest} bytes in its smaller part; wanted more than a sequence of {length}.",
        )


def _parts(dataset: Dataset) -> Iterator[bytes]:
    path, suffix = Path(dataset.path), dataset.suffix
    if dataset.path == STANDARD_LIBRARY:
        path, suffix = Path(sysconfig.get_path("stdlib")), ".py"
    try:
        if not path.exists():
            wanted = f"name a file, a directory or {STANDARD_LIBRARY}"
            raise Verdict(Reason.DATASET_INVALID, f"Dataset {dataset.path} does not exist; {wanted}.")
        yield from _blocks(path) if path.is_file() else _files(path, suffix)
    except OSError as error:
        if error.errno in _PASSING:
            raise Verdict(
                Reason.INFRASTRUCTURE_FAILED,
                f"The storage of dataset {dataset.path} failed: {error.strerror}. It is tried again.",
            ) from error
        where = f" at {error.filename}" if error.filename else ""
        raise Verdict(
            Reason.DATASET_INVALID,
            f"Dataset {dataset.path} can't be read{where}: {error.strerror}. It is read as user"
            f" {os.geteuid()}, who must be allowed to.",
        ) from error


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _ in range(MAX_BYTES // _BLOCK):
            if not (block := file.read(_BLOCK)):
                return
            yield block


def _files(root: Path, suffix: str) -> Iterator[bytes]:
    """The files of a directory in the order of their paths, as far as there is room; raises OSError."""
    left = MAX_BYTES
    for path in sorted(_below(root, suffix)):
        with path.open("rb") as file:
            content = file.read(left)
        yield content
        left -= len(content)
        if not left:
            return


def _below(root: Path, suffix: str) -> Iterator[Path]:
    """The files below a directory; raises OSError if it can't be listed, and passes over directories in it that can't.

    Of those a volume has its own (`lost+found`).
    """

    def refuse(error: OSError) -> None:
        if error.filename == str(root):
            raise error

    for folder, _, names in os.walk(root, onerror=refuse):
        if not _SKIPPED & set(Path(folder).relative_to(root).parts):
            found = (Path(folder, name) for name in names if name.endswith(suffix))
            yield from (path for path in found if path.is_file())
