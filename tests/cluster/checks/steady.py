"""I5: what may only go one way goes one way."""

from tests.cluster.checks.evidence import TERMINAL, Evidence, Object, deep, name_of, uid, version

COUNTERS = {
    "Candidate": ("cost.seconds", "cost.gpuSeconds", "cost.tokens", "cost.usd", "repairs", "resamples"),
    "ArchitectureSearch": (
        "cost.seconds",
        "cost.gpuSeconds",
        "cost.tokens",
        "cost.usd",
        "counts.baselines",
        "counts.proposed",
        "counts.complete",
        "counts.rejected",
        "counts.failed",
    ),
}
_TOLERANCE = 1e-6


def nothing_went_back(evidence: Evidence) -> list[str]:
    """I5: terminal phases stay, counters don't fall, no generation is ahead, transition times move on a flip only."""
    found: list[str] = []
    before: dict[str, Object] = {}
    for kind in COUNTERS:
        for row in evidence.of_kind(kind):
            now = row["object"]
            found += _ahead(now)
            if uid(now) in before:
                found += _compared(before[uid(now)], now)
            before[uid(now)] = now
    return found


def _compared(old: Object, new: Object) -> list[str]:
    where = f"I5 {name_of(new)} at revision {version(new)}:"
    found = _transitions(where, old, new)
    if _asked_for(old, new):
        return found
    phases = [deep(o, "status.phase") for o in (old, new)]
    if phases[0] in TERMINAL and phases[0] != phases[1]:
        found.append(f"{where} terminal phase {phases[0]} became {phases[1]}")
    for counter in (*COUNTERS[new["kind"]], "observedGeneration"):
        was, now = (deep(o, f"status.{counter}", 0) for o in (old, new))
        if now < was - _TOLERANCE:
            found.append(f"{where} {counter} fell from {was} to {now}")
    return found


def _asked_for(old: Object, new: Object) -> bool:
    """Whether a user asked to go on after the end: a candidate retried, a search whose spec was edited."""
    path = "status.retried" if new["kind"] == "Candidate" else "status.observedGeneration"
    ended = deep(old, "status.phase") in TERMINAL
    return ended and deep(old, path, "") != deep(new, path, "")


def _ahead(found: Object) -> list[str]:
    generation = found["metadata"].get("generation", 1)
    conditions = deep(found, "status.conditions", [])
    claims = {f"condition {c['type']}": c.get("observedGeneration", 0) for c in conditions}
    claims["status"] = deep(found, "status.observedGeneration", 0)
    return [
        f"I5 {name_of(found)} at revision {version(found)}: {what} speaks of generation {claimed}, "
        f"the object is at {generation}"
        for what, claimed in claims.items()
        if claimed > generation
    ]


def _transitions(where: str, old: Object, new: Object) -> list[str]:
    earlier = {c["type"]: c for c in deep(old, "status.conditions", [])}
    found = []
    for condition in deep(new, "status.conditions", []):
        was = earlier.get(condition["type"])
        if was is None:
            continue
        flipped = was["status"] != condition["status"]
        moved = was["lastTransitionTime"] != condition["lastTransitionTime"]
        if moved and not flipped:
            found.append(
                f"{where} condition {condition['type']} stayed {condition['status']}, but its "
                f"lastTransitionTime moved from {was['lastTransitionTime']} to {condition['lastTransitionTime']}"
            )
    return found
