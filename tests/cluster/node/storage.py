"""What a node keeps between runs, so that the next one starts in seconds: images, and the system they stand on."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import binaries


def kept() -> Path:
    """The folder of what a node keeps; safe to remove whenever no node runs."""
    folder = binaries.cache().parent / "node"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone() -> Iterator[None]:
    """Let one node at a time run on this machine: images, cgroups and rules are there once."""
    with (kept() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
