"""I2: no order runs twice at the same attempt, and a step is never under way in two pods."""

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from tests.cluster.checks.evidence import Evidence, Object, attempt_of


def nothing_ran_twice(evidence: Evidence) -> list[str]:
    """I2: one Job uid and one pod uid for each order, attempt and index; one pod of a step at a time."""
    started = [row for row in evidence.ledger if row["event"] == "started"]
    found = []
    for key, rows in sorted(_grouped(started, "order", "attempt", "index").items()):
        order, attempt, index = key
        for what in ("job", "pod"):
            uids = sorted({row[what] for row in rows})
            if len(uids) > 1:
                found.append(f"I2 {order} attempt {attempt} index {index} ran in {len(uids)} {what}s: {uids}")
    return found + _overlaps(evidence.ledger)


def _overlaps(ledger: Iterable[Object]) -> list[str]:
    """Two pods of one step and index at once; other attempts of an order are the same step."""
    ended = {row["pod"]: row["time"] for row in ledger if row["event"] == "ended"}
    lives: dict[tuple[str, int], list[tuple[float, float, str]]] = defaultdict(list)
    for row in ledger:
        if row["event"] == "started":
            step = attempt_of(row["order"])[0]
            life = (row["time"], ended.get(row["pod"], math.inf), row["pod"])
            if life not in lives[step, row["index"]]:
                lives[step, row["index"]].append(life)
    found = []
    for (step, index), pods in sorted(lives.items()):
        pods.sort()
        for (_, end, one), (start, _, other) in pairwise(pods):
            if start < end:
                over = "it had not ended" if end == math.inf else f"{end - start:.3f} s before it ended"
                found.append(f"I2 {step} index {index}: pod {other} started while {one} was live, {over}")
    return found


def _grouped(rows: Iterable[Object], *fields: str) -> dict[tuple[str, int, int], list[Object]]:
    groups: dict[tuple[str, int, int], list[Object]] = defaultdict(list)
    for row in rows:
        order, attempt, index = (row[field] for field in fields)
        groups[order, attempt, index].append(row)
    return groups
