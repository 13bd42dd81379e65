"""I1: no candidate is lost. I4: the same lineage as without faults."""

import json
import re
from collections import Counter
from collections.abc import Iterable

from tests.cluster.checks.evidence import GROUP, TERMINAL, Evidence, Object, deep


def nothing_lost(evidence: Evidence) -> list[str]:
    """I1: all that ever existed are in the final lineage, with a terminal phase and ordinals without a gap."""
    rows = _final(evidence)
    found = [f"I1 {name} existed and is in no lineage" for name in sorted(_existed(evidence) - set(rows))]
    for name, (ordinal, phase, _) in sorted(rows.items()):
        if ordinal is None:
            found.append(f"I1 {name} has no ordinal")
        if phase not in TERMINAL:
            found.append(f"I1 {name} ended in phase {phase}")
    ordinals = Counter(ordinal for ordinal, _, _ in rows.values() if ordinal is not None)
    found += [f"I1 ordinal {n} is borne by {times} candidates" for n, times in ordinals.items() if times > 1]
    gaps = sorted(set(range(max(ordinals, default=-1) + 1)) - set(ordinals))
    if gaps:
        found.append(f"I1 ordinals have gaps: {gaps}")
    return found + _unsound(rows)


def _unsound(rows: dict[str, tuple[int | None, str, list[str]]]) -> list[str]:
    """Parents that are none: unknown, or not earlier. A candidate that was rejected for it is in order."""
    found = []
    for name, (ordinal, phase, parents) in sorted(rows.items()):
        for parent in parents if phase != "Rejected" else ():
            if parent not in rows:
                found.append(f"I1 {name} descends from {parent}, which is in no lineage")
            elif (rows[parent][0] or 0) >= (ordinal or 0):
                found.append(
                    f"I1 {name} (ordinal {ordinal}) descends from {parent} (ordinal {rows[parent][0]})"
                )
    return found


def _final(evidence: Evidence) -> dict[str, tuple[int | None, str, list[str]]]:
    """Ordinal, phase and parents by name, from what is archived and what is there."""
    rows = {
        r["name"]: (r["ordinal"], r.get("phase", "Pending"), list(r.get("parents", ())))
        for r in evidence.archived
    }
    for candidate in evidence.candidates:
        parents = list(candidate["spec"].get("parents", ()))
        phase = deep(candidate, "status.phase", "Pending")
        rows[candidate["metadata"]["name"]] = (deep(candidate, "status.ordinal"), phase, parents)
    return rows


def _existed(evidence: Evidence) -> set[str]:
    """Names of all candidates that were ever created: by the audit log, and by the history."""
    ours = re.compile(rf"{re.escape(evidence.name)}-\d{{4,}}")
    names = {row["object"]["metadata"]["name"] for row in evidence.of_kind("Candidate")}
    for line in evidence.audit:
        target = line.get("objectRef", {})
        if (
            target.get("apiGroup") != GROUP
            or target.get("resource") != "candidates"
            or line["verb"] != "create"
        ):
            continue
        name = target.get("name", "")
        if deep(line, "responseStatus.code") == 201 and ours.fullmatch(name):
            names.add(name)
    return names


def canonical(candidates: Iterable[Object]) -> str:
    """A lineage as text: ordinal, parents, digest of the code, scores, phase, reason; no times, costs or attempts.

    Takes `Candidate` objects, of a cluster or from a laptop's `candidates/*.yaml`.
    """
    rows = sorted(
        map(_row, candidates), key=lambda row: (row["ordinal"] is None, row["ordinal"], row["name"])
    )
    return "\n".join(json.dumps(row, sort_keys=True) for row in rows)


def _row(candidate: Object) -> Object:
    status = candidate.get("status", {})
    return {
        "ordinal": status.get("ordinal"),
        "name": candidate["metadata"]["name"],
        "origin": candidate["spec"]["origin"],
        "parents": candidate["spec"].get("parents", []),
        "code": deep(status, "code.digest"),
        "rungs": [_measured(rung) for rung in status.get("rungs", ())],
        "fitness": status.get("fitness"),
        "phase": status.get("phase"),
        "reason": status.get("reason"),
    }


def _measured(rung: Object) -> Object:
    kept = {field: rung.get(field) for field in ("name", "score", "loss", "parameters", "data")}
    timeless = {
        name: value for name, value in rung.get("metrics", {}).items() if not name.endswith("seconds")
    }
    return {**kept, "seeds": rung.get("seeds", []), "groups": rung.get("groups", []), "metrics": timeless}


def same_lineage(evidence: Evidence, reference: str) -> list[str]:
    """I4: byte-equal to `canonical` of a run without faults; a removed candidate counts as it was seen last."""
    seen = {row["object"]["metadata"]["name"]: row["object"] for row in evidence.of_kind("Candidate")}
    kept = {record["name"] for record in evidence.archived}
    last = {name: found for name, found in seen.items() if name in kept}
    last |= {candidate["metadata"]["name"]: candidate for candidate in evidence.candidates}
    found, wanted = canonical(last.values()).splitlines(), reference.splitlines()
    wrong = [
        f"I4 lineage differs: {ours} where the reference has {theirs}"
        for ours, theirs in zip(found, wanted, strict=False)
        if ours != theirs
    ]
    if len(found) != len(wanted):
        wrong.append(f"I4 lineage has {len(found)} candidates, the reference {len(wanted)}")
    return wrong
