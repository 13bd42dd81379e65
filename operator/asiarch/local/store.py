"""The directory of one search: objects as YAML, code and orders as files, each written whole or not at all.

A reader at any moment, and a start after `kill -9`, see every file either as it was or as it is to be.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from asiarch.api.candidate import Candidate, CandidateStatus
from asiarch.api.document import parse, write
from asiarch.api.order import Order
from asiarch.api.search import ArchitectureSearch, SearchStatus


class AlreadyRunningError(Exception):
    """Another process works on the same directory."""


def write_whole(path: Path, text: str) -> None:
    """Write a file by temporary file, fsync and rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        rest = text.encode()
        while rest:
            # A disk that is nearly full takes a part, and refuses only the next.
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)


def dump(model: BaseModel) -> dict[str, Any]:
    """A model as plain data in its YAML spelling, without what is left at its default."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class Store:
    """One search's directory, held by one process at a time."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is read or made yet."""
        self.directory = directory.absolute()
        self._heads: dict[Path, str] = {}
        self._lock: int | None = None

    def open(self) -> None:
        """Make the directory's parts and take its lock; raises AlreadyRunningError."""
        for part in ("candidates", "code", "orders"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            message = f"{self.directory} is in use by another asiarch run. Wait for it, stop it, or name another --dir."
            raise AlreadyRunningError(message) from None
        self._lock = lock

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def search(self) -> ArchitectureSearch | None:
        """Read the search, if it has been written."""
        path = self.directory / "search.yaml"
        if not path.exists():
            return None
        return ArchitectureSearch.model_validate(parse(path.read_text(), str(path)))

    def candidates(self) -> Iterator[Candidate]:
        """Read every candidate."""
        for path in sorted((self.directory / "candidates").glob("*.yaml")):
            yield Candidate.model_validate(parse(path.read_text(), str(path)))

    def write_search(self, search: ArchitectureSearch) -> None:
        """Write the search with its status; the head is dumped again only when the spec changed."""
        self._heads.pop(self.directory / "search.yaml", None)
        self.write_search_status(search, search.status)

    def write_search_status(self, search: ArchitectureSearch, status: SearchStatus) -> None:
        """Write the search's status beside its unchanged spec."""
        self._write(self.directory / "search.yaml", search, status)

    def write_candidate(self, candidate: Candidate, status: CandidateStatus) -> None:
        """Write a candidate's status beside its spec, which never changes."""
        self._write(self._candidate_path(candidate.name), candidate, status)

    def _candidate_path(self, name: str) -> Path:
        return self.directory / "candidates" / f"{name}.yaml"

    def _write(self, path: Path, thing: ArchitectureSearch | Candidate, status: BaseModel) -> None:
        head = self._heads.get(path)
        if head is None:
            data = {"apiVersion": thing.api_version, "kind": thing.kind}
            head = self._heads[path] = write(
                {**data, "metadata": dump(thing.metadata), "spec": dump(thing.spec)}
            )
        write_whole(path, head + write({"status": dump(status)}))

    def forget(self, name: str) -> None:
        """Drop what is held in memory of a candidate that will not be written again."""
        self._heads.pop(self._candidate_path(name), None)

    def keep_code(self, digest: str, text: str) -> None:
        """Store a candidate's file under its digest."""
        path = self.code_path(digest)
        if not path.exists():
            write_whole(path, text)

    def code_path(self, digest: str) -> Path:
        """Where a candidate's file stands."""
        return self.directory / "code" / f"{digest}.py"

    def code(self, digest: str) -> str:
        """Read a candidate's file."""
        return self.code_path(digest).read_text()

    def order_directory(self, order: str) -> Path:
        """Where an order's files stand."""
        return self.directory / "orders" / order

    def was_started(self, order: str) -> bool:
        """Whether an order's process was ever about to be started."""
        return (self.order_directory(order) / "order.json").exists()

    def begin_order(self, order: Order, context: str | None) -> Path:
        """Write an order down, its context first; from then on it counts as started, once for this attempt."""
        place = self.order_directory(order.name)
        place.mkdir(parents=True, exist_ok=True)
        if context is not None:
            (place / "context.json").write_text(context)
        write_whole(
            place / "order.json", order.model_dump_json(by_alias=True, indent=1, exclude_defaults=True)
        )
        return place
