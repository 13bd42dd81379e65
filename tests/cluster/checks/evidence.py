"""What a run left behind: objects, archive, ledger, audit log and the history of every status."""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Object = dict[str, Any]
TERMINAL = frozenset({"Complete", "Rejected", "Failed"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
GROUP = "asiarch.dev"
ORDER = "asiarch.dev/order"
_ATTEMPT = re.compile(r"-a(\d+)$")


@dataclass(frozen=True)
class Evidence:
    """Everything that the checks look at, of one search in one namespace."""

    namespace: str
    name: str
    """The search's name."""
    search: Object | None = None
    """None when it has been deleted."""
    candidates: tuple[Object, ...] = ()
    archived: tuple[Object, ...] = ()
    """Records of candidates whose objects are gone."""
    ledger: tuple[Object, ...] = ()
    audit: tuple[Object, ...] = ()
    history: tuple[Object, ...] = ()
    """Rows of `History`: moment, type, object."""

    @property
    def versions(self) -> list[Object]:
        """The search's history in the order of the API server's revisions, each once."""
        ours = (r for r in self.history if self._ours(r["object"]))
        rows = {(uid(r["object"]), version(r["object"]), r["type"] == "DELETED"): r for r in ours}
        return sorted(rows.values(), key=lambda r: version(r["object"]))

    def of_kind(self, kind: str) -> Iterator[Object]:
        """The part of one kind."""
        return (row for row in self.versions if row["object"]["kind"] == kind)

    def _ours(self, found: Object) -> bool:
        match found["kind"]:
            case "ArchitectureSearch":
                return bool(found["metadata"]["name"] == self.name)
            case "Candidate":
                return bool(found["spec"]["searchName"] == self.name)
            case _:
                return bool(found["metadata"].get("labels", {}).get("asiarch.dev/search") == self.name)


def uid(found: Object) -> str:
    """An object's identity."""
    return str(found["metadata"].get("uid", found["metadata"]["name"]))


def version(found: Object) -> int:
    """The revision that wrote an object; one etcd counts for all kinds."""
    return int(found["metadata"]["resourceVersion"])


def name_of(found: Object) -> str:
    """What a sentence calls an object."""
    return f"{found['kind']} {found['metadata']['name']}"


def json_lines(path: Path, start: int = 0) -> tuple[Object, ...]:
    """Read a file of JSON lines from a byte on; one that it falls into, or that is still being written, is left out."""
    if not path.exists():
        return ()
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        whole, _, _ = file.read().rpartition(b"\n")
    return tuple(json.loads(line) for line in whole.splitlines() if line)


def archived_records(config_maps: Iterable[Object]) -> Iterator[Object]:
    """The records in archive segments, whatever their keys are called."""
    for segment in config_maps:
        for packed in (segment.get("binaryData") or {}).values():
            text = gzip.decompress(base64.b64decode(packed)).decode()
            yield from (json.loads(line) for line in text.splitlines() if line)


def attempt_of(order: str) -> tuple[str, int]:
    """An order's name without its attempt, and the attempt."""
    found = _ATTEMPT.search(order)
    return (order, 1) if found is None else (order[: found.start()], int(found[1]))


def moment_of(stamp: str) -> float:
    """Seconds since 1970 of a timestamp of the API server."""
    return datetime.fromisoformat(stamp).timestamp()


def deep(found: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """`deep(search, "status.counts.live")`, or the default where something is missing."""
    value: Any = found
    for part in path.split("."):
        if not isinstance(value, Mapping) or value.get(part) is None:
            return default
        value = value[part]
    return value
