"""The ledger: what really ran, written by the playing kubelet outside the cluster; the ground truth for every check.

A file of JSON lines, one entry each, appended as it happens; whoever reads it needs nothing else of the kubelet.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Happening = Literal["started", "ended", "charged"]
"""An order's processes began; they ended; a result with this cost left the pod (at most once for each of them)."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened to one pod."""

    time: float
    event: Happening
    namespace: str
    search: str
    order: str
    attempt: int
    index: int
    kind: str
    """The order's kind: propose, build, repair, analyze or train."""
    job: str
    """The Job's uid."""
    pod: str
    """The pod's uid."""
    name: str = ""
    """The pod's name."""
    seconds: float = 0.0
    """What the result says that it cost (charged), or how long the pod ran (ended)."""
    digest: str = ""
    """SHA-256 of the result's canonical JSON; empty where there was none."""
    how: str = ""
    """How it ended: Completed, or why not."""


class Ledger:
    """The writer's end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, entry: Entry) -> None:
        """Append one entry; it is in the file when this returns."""
        self._file.write(json.dumps(asdict(entry), separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def read(path: Path) -> tuple[Entry, ...]:
    """All entries so far; a last line that a killed writer left unfinished is left out."""
    if not path.exists():
        return ()
    whole, _, _ = path.read_text().rpartition("\n")
    return tuple(Entry(**json.loads(line)) for line in whole.splitlines())


def now() -> float:
    """The ledger's clock."""
    return time.time()
