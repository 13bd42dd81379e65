"""F11, I7: a search that is deleted goes at once and whole, whatever it was doing and whoever is down."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import json_lines, moment_of
from tests.cluster.checks.leftovers import Reader, nothing_left
from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig, rig
from tests.cluster.shared import (
    candidate,
    candidates_of,
    create,
    delete,
    objects,
    path,
    settled,
    shared_rig,
    until,
)

Object = dict[str, Any]
GONE = 30.0
"""Seconds in which nothing may be left of a deleted search."""
PHASES = {
    "Evaluating": Fault("silence", kind="train"),
    "Proposing": Fault("silence", kind="propose"),
    "Building": Fault("silence", kind="build"),
    "Repairing": Fault("silence", kind="repair"),
    "Analyzing": Fault("silence", kind="analyze"),
}


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here; agents' orders of a search named `hold-…` fall silent as the test says."""
    with shared_rig(plane, tmp_path_factory.mktemp("deletion")) as made:
        yield made


def held(cast: Rig, name: str, fault: Fault, *others: Fault) -> None:
    """Start a search that stands still at an order which falls silent."""
    cast.kubelet.fault(fault, *others)
    cast.apply(a_short_search(name, candidates=2))
    await_order(cast, name, fault.kind)


def await_order(cast: Rig, name: str, kind: str) -> None:
    """Wait until a search's first order of a kind runs."""
    where = f"{name}-0000-train-recall-a1" if kind == "train" else f"{name}-0001-{kind}-a1"
    cast.plane.wait_for(lambda: running(cast, where), f"{where} to run", 60)


def running(cast: Rig, job: str) -> bool:
    """Whether a Job has a pod that runs."""
    pods = objects(cast, "pods", f"job-name={job}")
    return any(pod.get("status", {}).get("phase") == "Running" for pod in pods)


def everything(cast: Rig) -> list[Object]:
    """Every object in the rig's namespace."""
    return list(Reader(cast.plane.url, cast.plane.admin_token).everything(cast.namespace))


def left(cast: Rig, name: str, uids: set[str]) -> list[str]:
    """What is left of a search."""
    mine = [one for one in everything(cast) if belongs(one, name, uids)]
    return nothing_left(mine, uids)


def belongs(found: Object, name: str, uids: set[str]) -> bool:
    """Whether an object is a search's, by its label, its owners or its name."""
    metadata = found["metadata"]
    label = (metadata.get("labels") or {}).get("asiarch.dev/search")
    owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
    return (
        label == name
        or bool(owners & uids)
        or bool(metadata["name"].startswith(f"{name}-"))
        or metadata["name"] == name
    )


def uids_of(cast: Rig, name: str) -> set[str]:
    """The search's own uid and its candidates'."""
    return {cast.search(name)["metadata"]["uid"], *(c["metadata"]["uid"] for c in candidates_of(cast, name))}


def deleted_whole(cast: Rig, *names: str) -> None:
    """Delete searches: their pods and all that was their own go in time, and nothing starts afterwards."""
    uids = {name: uids_of(cast, name) for name in names}
    begun = time.time()
    for name in names:
        delete(cast, name)
    for name in names:
        await_gone(cast, name, uids[name])
    assert time.time() < begun + GONE
    time.sleep(max(0.0, begun + 6.0 - time.time()))
    for name in names:
        assert left(cast, name, uids[name]) == []
        started = (e for e in cast.kubelet.entries() if e.search == name and e.event == "started")
        assert [e for e in started if e.time > begun + 5] == []
        assert created_after(cast, name, begun + 5) == []


def await_gone(cast: Rig, name: str, uids: set[str]) -> None:
    """Wait until nothing is left of a search; what still is stands in the error."""
    until, found = time.monotonic() + GONE, left(cast, name, uids)
    while found and time.monotonic() < until:
        time.sleep(0.2)
        found = left(cast, name, uids)
    assert found == []


def created_after(cast: Rig, name: str, moment: float) -> list[str]:
    """Jobs of a search that were created after a moment."""
    lines = json_lines(cast.plane.audit_log)
    made = (
        line for line in lines
        if line["verb"] == "create" and line.get("objectRef", {}).get("resource") == "jobs"
        and line["objectRef"].get("namespace") == cast.namespace
        and line["objectRef"].get("name", "").startswith(f"{name}-")
    )  # fmt: skip
    return [one["objectRef"]["name"] for one in made if moment_of(one["requestReceivedTimestamp"]) > moment]


def test_F11_deleted_at_every_phase_of_a_candidate(cast: Rig) -> None:
    names = {phase: f"while-{phase.lower()}" for phase in PHASES}
    silent = [replace(fault, order=f"{names[phase]}-*") for phase, fault in PHASES.items()]
    broken = Fault("crash", kind="train", container="player", order=f"{names['Repairing']}-0001-*", times=1)
    cast.kubelet.fault(*silent, broken)
    cast.apply(*(a_short_search(name) for name in names.values()))
    for phase, name in names.items():
        await_order(cast, name, PHASES[phase].kind)
        assert phase in {c["status"]["phase"] for c in candidates_of(cast, name)}
    deleted_whole(cast, *names.values())


def test_F11_deleted_while_the_operator_is_down(cast: Rig) -> None:
    held(cast, "down", PHASES["Building"])
    cast.operator.kill()
    try:
        deleted_whole(cast, "down")
    finally:
        cast.start_operator()
        cast.operator.await_ready(cast.operator.ready, 30)
    assert left(cast, "down", set()) == []


def test_F11_an_end_that_comes_with_the_operators_death_starts_nothing(cast: Rig) -> None:
    """Deleted and created again under the same name: the new one owes the old one nothing."""
    held(cast, "again", PHASES["Building"])
    old = uids_of(cast, "again")
    cast.operator.kill()
    delete(cast, "again")
    cast.plane.wait_for(
        lambda: not cast.plane.exists(f"{path(cast, 'architecturesearches')}/again"), "its end", 30
    )
    cast.kubelet.fault()
    cast.apply(a_short_search("again"))
    cast.start_operator()
    settled(cast, "again")
    assert not old & uids_of(cast, "again")
    assert cast.search("again")["status"]["counts"] == {"baselines": 1, "proposed": 1, "complete": 2}
    cast.plane.wait_for(
        lambda: nothing_left(orphans(cast, old), old) == [], "the old one's children to go", GONE
    )


def orphans(cast: Rig, uids: set[str]) -> list[Object]:
    """Objects that some uids own."""
    owned = ((one, one["metadata"].get("ownerReferences") or ()) for one in everything(cast))
    return [one for one, owners in owned if {owner["uid"] for owner in owners} & uids]


def test_F11_a_child_that_is_deleted_by_force_is_made_again(cast: Rig) -> None:
    names = {plural: f"forced-{plural}" for plural in ("pods", "jobs")}
    cast.kubelet.fault(
        *(Fault("silence", kind="build", order=f"{name}-*", times=1) for name in names.values())
    )
    cast.apply(*(a_short_search(name) for name in names.values()))
    for plural, name in names.items():
        await_order(cast, name, "build")
        found = objects(cast, plural, f"asiarch.dev/candidate={name}-0001,asiarch.dev/part=agent")
        (victim,) = (one for one in found if one["metadata"]["name"].startswith(f"{name}-0001-build"))
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        delete(cast, victim["metadata"]["name"], plural, **options)
    for name in names.values():
        settled(cast, name)
        assert candidate(cast, f"{name}-0001")["status"]["phase"] == "Complete"
        assert checker.check_all(cast.evidence(name), cast.users) == []


@pytest.mark.parametrize("when", ["alive", "finished"])
def test_F11_a_deleted_candidate_keeps_its_place_in_the_lineage(cast: Rig, when: str) -> None:
    name = f"lost-{when}"
    held(
        cast,
        name,
        Fault("silence", kind="build" if when == "alive" else "analyze", order=f"{name}-0001-*", times=1),
    )
    if when == "finished":
        cast.kubelet.fault()
        delete(cast, f"{name}-0001-analyze-a1", "jobs", propagationPolicy="Background")
        until(cast, name, lambda s: s["status"]["counts"].get("complete", 0) >= 2, "a finished proposal")
    delete(cast, f"{name}-0001", "candidates")
    cast.plane.wait_for(lambda: cast.evidence(name).archived != (), "its record", 30)
    settled(cast, name)
    evidence = cast.evidence(name)
    (record,) = evidence.archived
    assert (record["name"], record["ordinal"], record["reason"]) == (f"{name}-0001", 1, "Deleted")
    assert [c["status"]["ordinal"] for c in candidates_of(cast, name)] == [0, 2]
    assert checker.check_all(evidence, cast.users) == []


def test_F11_a_users_candidate_may_be_deleted_too(cast: Rig) -> None:
    cast.kubelet.fault(Fault("silence", kind="build", order="mine-*", times=1))
    cast.apply(a_short_search("own"))
    body = {
        "apiVersion": "asiarch.dev/v1alpha1", "kind": "Candidate", "metadata": {"name": "mine"},
        "spec": {"searchName": "own", "origin": "User", "idea": "Gate the values."},
    }  # fmt: skip
    create(cast, "candidates", body)
    cast.plane.wait_for(lambda: running(cast, "mine-build-a1"), "the engineer", 60)
    delete(cast, "mine", "candidates")
    settled(cast, "own")
    assert [(r["name"], r["reason"]) for r in cast.evidence("own").archived] == [("mine", "Deleted")]
    assert checker.check_all(cast.evidence("own"), cast.users) == []


def test_F11_a_namespace_goes_with_everything_in_it(
    cast: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = cast.plane.namespace("doomed", SERVICE_ACCOUNTS, RESTRICTED)
    where = f"/api/v1/namespaces/{name}"
    with rig(cast.plane, name, tmp_path_factory.mktemp(name), cast.kubelet) as doomed:
        held(doomed, "s", PHASES["Building"])
        cast.plane.request("DELETE", where)
        cast.plane.wait_for(lambda: not cast.plane.exists(where), "the namespace to be gone", GONE)
        assert doomed.operator.running


def test_no_deletion_ever_made_a_traceback(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
