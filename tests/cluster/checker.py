"""Verifies a run against I1–I9, from the API server, the audit log and the ledger alone.

    evidence = gather(Reader(url, token), namespace, "search", Files(ledger, audit, history))
    assert check_all(evidence, users=(operator, gateway), reference=Reference(lineage, counts)) == []

The functions of each invariant stand in `checks/`; every sentence they return begins with the invariant's name.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.checks.evidence import Evidence, archived_records, json_lines
from tests.cluster.checks.leftovers import Reader
from tests.cluster.checks.lineage import canonical, nothing_lost, same_lineage
from tests.cluster.checks.money import nothing_overspent
from tests.cluster.checks.runs import nothing_ran_twice
from tests.cluster.checks.steady import nothing_went_back
from tests.cluster.checks.traces import nothing_foreign, same_counts, tally

_API = "/apis/asiarch.dev/v1alpha1"


@dataclass(frozen=True)
class Files:
    """Where a run's records lie."""

    ledger: Path
    audit: Path
    history: Path
    audit_start: int = 0
    """Where the run begins in an audit log that other runs have filled: its size before."""


@dataclass(frozen=True)
class Reference:
    """What a run without faults came to; `counts` is none where retries may differ."""

    lineage: str
    counts: Mapping[str, int] | None = None


def gather(reader: Reader, namespace: str, name: str, files: Files) -> Evidence:
    """Collect what a run has left, of one search."""
    candidates = reader.items(f"{_API}/namespaces/{namespace}/candidates")
    selector = f"labelSelector=asiarch.dev/search={name},asiarch.dev/part=archive"
    segments = reader.items(f"/api/v1/namespaces/{namespace}/configmaps?{selector}")
    ledger = json_lines(files.ledger)
    audit = json_lines(files.audit, files.audit_start)
    return Evidence(
        namespace=namespace,
        name=name,
        search=reader.get(f"{_API}/namespaces/{namespace}/architecturesearches/{name}"),
        candidates=tuple(c for c in candidates if c["spec"]["searchName"] == name),
        archived=tuple(archived_records(segments)),
        ledger=tuple(row for row in ledger if row["namespace"] == namespace and row["search"] == name),
        audit=tuple(line for line in audit if line.get("objectRef", {}).get("namespace") == namespace),
        history=json_lines(files.history),
    )


def reference_of(evidence: Evidence, users: Collection[str]) -> Reference:
    """Make a clean run the reference of others of the same search; every candidate still has its object."""
    return Reference(canonical(evidence.candidates), tally(evidence.audit, users))


def check_all(
    evidence: Evidence, users: Collection[str] = (), reference: Reference | None = None
) -> list[str]:
    """Every violation of I1, I2, I3, I5 and I7's second half, and of I4 and I9 where a reference is given.

    A search that has been deleted has no lineage any more. I6, I7's first half and I8 speak of moments that the test
    chooses: `nothing_written`, `nothing_left`, `beyond_the_role`, `never_used`.
    """
    found = [
        *(nothing_lost(evidence) if evidence.search is not None else ()),
        *nothing_ran_twice(evidence),
        *nothing_overspent(evidence),
        *nothing_went_back(evidence),
        *nothing_foreign(evidence.audit, users),
    ]
    if reference is not None:
        found += same_lineage(evidence, reference.lineage)
        if reference.counts is not None:
            found += same_counts(tally(evidence.audit, users), reference.counts)
    return found
