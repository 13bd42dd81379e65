"""What happened at the proxy, one JSON line each, written at once; and the same as totals."""

import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.cluster.faults.call import Call

EARLY_TOLERANCE = 0.005
"""Seconds by which a clock may differ before a call counts as too early."""
IN_FLIGHT = 0.05
"""Seconds in which a call arrives that was sent before the answer to another one like it was there."""


class Journal:
    """Counts calls and writes, and keeps each write, fault, kill and early call."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("a", encoding="utf-8")
        self.calls = 0
        self.writes = 0
        self.faults: Counter[str] = Counter()
        self.kills: list[dict[str, Any]] = []
        self.early: list[dict[str, Any]] = []
        self._not_before: dict[tuple[str, str], float] = {}
        self._asked: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def next_call(self) -> int:
        """Number a call, from 1."""
        self.calls += 1
        return self.calls

    def next_write(self) -> int:
        """Number a write, from 1."""
        self.writes += 1
        return self.writes

    def restart(self) -> None:
        """Count from the beginning again."""
        self.calls, self.writes = 0, 0
        self.faults.clear()
        self.kills.clear()
        self.early.clear()
        self.forget_retries()
        self._note(event="restart")

    def forget_retries(self) -> None:
        """Nobody waits for a Retry-After any more: a new process was never asked to."""
        self._not_before.clear()

    def write(self, call: Call, k: int, body: bytes, outcome: dict[str, Any]) -> None:
        """Keep a write; `outcome` has what the API server answered and what the client was told."""
        digest = hashlib.sha256(body).hexdigest()
        self._note(event="write", k=k, verb=call.verb, path=call.path, digest=digest, **outcome)

    def fault(self, kind: str, call: Call) -> None:
        """Keep that a call or a watch suffered something."""
        self.faults[kind] += 1
        self._note(event="fault", kind=kind, verb=call.verb, path=call.path)

    def kill(self, pid: int, k: int, moment: str) -> None:
        """Keep that the operator was killed."""
        self.kills.append(self._note(event="kill", pid=pid, k=k, at=moment))

    def ask_to_wait(self, client: str, key: str, seconds: float) -> None:
        """A Retry-After goes out, for one call of one client."""
        self._asked[client, key] = time.monotonic()
        self._not_before[client, key] = self._asked[client, key] + seconds

    def note_early(self, client: str, key: str, call: Call) -> None:
        """Keep a call that comes before a Retry-After is over: `same` is the refused call again, else another one."""
        if not self._not_before:
            return
        now = time.monotonic() + EARLY_TOLERANCE
        self._not_before = {key: t for key, t in self._not_before.items() if t > now}
        waiting = {
            asked: t
            for (who, asked), t in self._not_before.items()
            if who == client and now - self._asked[who, asked] > IN_FLIGHT
        }
        if not waiting:
            return
        same = key in waiting
        left = waiting[key] if same else max(waiting.values())
        self.early.append(
            self._note(event="early", verb=call.verb, path=call.path, same=same, seconds=round(left - now, 3))
        )

    def totals(self) -> dict[str, Any]:
        """What `GET /state` tells of it."""
        return {
            "calls": self.calls,
            "writes": self.writes,
            "faults": dict(self.faults),
            "kills": self.kills,
            "early": self.early,
        }

    def _note(self, **row: Any) -> dict[str, Any]:
        row["moment"] = time.time()
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        return row


def retry_key(call: Call, body: bytes) -> str:
    """What makes two calls the same call: the path, and for a create also what is created."""
    made = hashlib.sha256(body).hexdigest()[:16] if call.verb == "create" else ""
    return f"{call.verb} {call.path} {made}"
