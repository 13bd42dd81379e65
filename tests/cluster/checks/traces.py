"""What the audit log shows: I6 no write when nothing changes, I7 nothing foreign touched, I9 the same counts."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from tests.cluster.checks.evidence import GROUP, WRITES, Object, deep, moment_of

FREE = frozenset({"events", "leases", "tokenreviews", "selfsubjectaccessreviews", "selfsubjectreviews"})
"""Kinds whose writes follow no search: I7 lets them be, I9 does not count them."""
_ATTEMPT = re.compile(r"-a\d+(?=$|-context$|-result$)")
_BY_NAME = re.compile(rf"{GROUP}/job in \(([^()]+)\),{GROUP}/candidate-uid in \([^()]+\)")
_COUNTED = frozenset({"create", "delete", "deletecollection"})


def _writes(audit: Iterable[Object], users: Collection[str]) -> Iterable[tuple[Object, str, str]]:
    """Writes of these users that the API server carried out, each with its resource and object.

    One that deletes several objects, each named and with its owner, is that many.
    """
    for line in audit:
        target = line.get("objectRef", {})
        done = deep(line, "responseStatus.code", 0) < 300 and line.get("stage") == "ResponseComplete"
        if done and line["verb"] in WRITES and line["user"]["username"] in users:
            names = _chosen(line) if line["verb"] == "deletecollection" else ()
            one = line if not names else {**line, "verb": "delete"}
            for name in names or (target.get("name", ""),):
                yield one, target.get("resource", ""), name


def _chosen(line: Object) -> Sequence[str]:
    """The objects that a deletion of many names one by one; none if it chooses them in any other way."""
    query = parse_qs(urlsplit(str(line.get("requestURI", ""))).query)
    found = _BY_NAME.fullmatch(query.get("labelSelector", [""])[0])
    return () if found is None or "fieldSelector" in query else found[1].split(",")


def nothing_written(audit: Iterable[Object], users: Collection[str], since: float, until: float) -> list[str]:
    """I6: these users wrote nothing between two moments."""
    return [
        f"I6 {line['user']['username']} did {line['verb']} {resource} {name} at "
        f"{line['requestReceivedTimestamp']}, when nothing changed"
        for line, resource, name in _writes(audit, users)
        if since <= moment_of(line["requestReceivedTimestamp"]) <= until
    ]


def nothing_foreign(audit: Iterable[Object], users: Collection[str]) -> list[str]:
    """I7: these users wrote only our own resources, and objects that one of them had created."""
    audit = tuple(audit)
    made = {
        (resource, line["objectRef"].get("namespace"), name)
        for line, resource, name in _writes(audit, users)
        if line["verb"] == "create"
    }
    return [
        f"I7 {line['user']['username']} did {line['verb']} {resource} {name or '(many)'}, which is not ours"
        for line, resource, name in _writes(audit, users)
        if resource not in FREE
        and line["objectRef"].get("apiGroup") != GROUP
        and (resource, line["objectRef"].get("namespace"), name) not in made
    ]


def tally(audit: Iterable[Object], users: Collection[str]) -> dict[str, int]:
    """How many objects of each kind these users created and deleted; all attempts of an order count as one.

    An attempt that was lost before anything was created leaves its objects to the next one.
    """
    counted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for line, resource, name in _writes(audit, users):
        if resource in FREE or line["objectRef"].get("subresource") or line["verb"] not in _COUNTED:
            continue
        if line["verb"] == "delete" and name.endswith("-context"):
            # What a lost attempt was told goes with the next one.
            continue
        step = _ATTEMPT.sub("", name)
        again = line["verb"] == "delete" and counted[f"delete {resource}", step][name]
        counted[f"{line['verb']} {resource}", step][name] += 0 if again else 1
    totals: Counter[str] = Counter()
    for (what, _), attempts in counted.items():
        totals[what] += max(attempts.values())
    return dict(totals)


def same_counts(found: Mapping[str, int], reference: Mapping[str, int]) -> list[str]:
    """I9: `tally` of this run equals the reference's."""
    return [
        f"I9 {what}: {found.get(what, 0)} times, {reference.get(what, 0)} in the reference"
        for what in sorted({*found, *reference})
        if found.get(what, 0) != reference.get(what, 0)
    ]
