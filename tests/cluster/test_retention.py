"""Retention: few candidates stay as objects, all stay in the lineage, and what is archived counts as known."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    candidate,
    candidates_of,
    create,
    edit,
    objects,
    path,
    settled,
    shared_rig,
    until,
)

PROPOSALS = 12
FEW: Any = {"retention": {"keepBest": 1, "keepFinished": 3}, "selection": {"pool": 2, "parents": 2}}


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A search of which little is left but its archive."""
    with shared_rig(plane, tmp_path_factory.mktemp("retention")) as made:
        made.apply(a_short_search("s", candidates=PROPOSALS, agents={"parallelism": 3}, **FEW))
        settled(made, "s")
        yield made


def archive(cast: Rig, name: str) -> dict[str, Object]:
    """A search's archived records by name."""
    return {record["name"]: record for record in cast.evidence(name).archived}


def test_only_the_hot_set_stays_and_all_are_in_the_lineage(cast: Rig) -> None:
    cast.plane.wait_for(lambda: len(candidates_of(cast, "s")) <= 6, "the hot set", 30)
    left = {c["metadata"]["name"] for c in candidates_of(cast, "s")}
    gone = archive(cast, "s")
    assert left | gone.keys() == {f"s-{n:04d}" for n in range(PROPOSALS + 1)}
    assert "s-0000" in left
    assert cast.search("s")["status"]["best"]["candidate"] in left
    assert checker.check_all(cast.evidence("s"), cast.users) == []


def test_counts_and_costs_still_tell_of_all(cast: Rig) -> None:
    status = cast.search("s")["status"]
    assert status["counts"] == {"baselines": 1, "proposed": PROPOSALS, "complete": PROPOSALS + 1}
    assert status["cost"]["seconds"] == 7.0 * (PROPOSALS + 1)


def test_the_archive_is_one_small_object_of_the_searchs_own(cast: Rig) -> None:
    (segment,) = objects(cast, "configmaps", "asiarch.dev/search=s,asiarch.dev/part=archive")
    assert segment["metadata"]["name"] == "s-archive-0000"
    assert segment["metadata"]["ownerReferences"][0]["uid"] == cast.search("s")["metadata"]["uid"]
    for record in archive(cast, "s").values():
        assert record["parents"]
        assert record["lesson"]
        assert record["fitness"]


def test_a_pinned_one_stays(cast: Rig) -> None:
    cast.apply(a_short_search("pins", candidates=6, agents={"parallelism": 2}, **FEW))
    cast.plane.wait_for(lambda: exists(cast, "pins-0001"), "a proposal", 60)
    edit(cast, "pins-0001", {"metadata": {"annotations": {"asiarch.dev/pin": "true"}}}, "candidates")
    settled(cast, "pins")
    cast.plane.wait_for(lambda: archive(cast, "pins") != {}, "an archive", 30)
    assert exists(cast, "pins-0001")


def exists(cast: Rig, name: str) -> bool:
    """Whether a candidate's object is there."""
    return name in {c["metadata"]["name"] for c in cast.candidates()}


def test_a_time_to_live_removes_what_is_old(cast: Rig) -> None:
    spec: Any = {"retention": {"keepBest": 1, "ttl": "3s"}, "selection": {"pool": 1, "parents": 1}}
    cast.apply(a_short_search("old", candidates=4, **spec))
    settled(cast, "old")
    cast.plane.wait_for(lambda: len(candidates_of(cast, "old")) <= 2, "the old ones to go", 30)
    assert len(archive(cast, "old")) + len(candidates_of(cast, "old")) == 5
    assert checker.check_all(cast.evidence("old"), cast.users) == []


def test_with_an_archive_the_operator_starts_anew_and_the_search_goes_on(cast: Rig) -> None:
    before = archive(cast, "s")
    cast.operator.kill()
    edit(cast, "s", {"spec": {"budget": {"candidates": PROPOSALS + 2}}})
    cast.start_operator()
    until(cast, "s", lambda s: s["status"]["counts"]["proposed"] == PROPOSALS + 2, "two more")
    settled(cast, "s")
    assert checker.check_all(cast.evidence("s"), cast.users) == []
    after = archive(cast, "s")
    assert {name: after[name] for name in before} == before


def test_what_repeats_an_archived_one_is_drawn_again(cast: Rig) -> None:
    """An engineer's file that is brought again, as the gateway would store it."""
    count = cast.search("s")["spec"]["budget"]["candidates"] + 1
    order = f"s-{count:04d}-build-a1"
    cast.kubelet.fault(Fault("silence", order=order))
    edit(cast, "s", {"spec": {"budget": {"candidates": count}}})
    cast.plane.wait_for(lambda: pods_of(cast, order) != [], "an engineer", 60)
    twin = min(archive(cast, "s").values(), key=lambda record: record["ordinal"])
    code = cast.plane.get(f"{path(cast, 'configmaps')}/s-code-{twin['digest'][:12]}")
    create(cast, "configmaps", brought(cast, order, code["data"]["candidate.py"]))
    drawn = f"s-{count:04d}"
    cast.plane.wait_for(lambda: candidate(cast, drawn)["status"].get("resamples") == 1, "another draw", 30)
    settled(cast, "s")
    assert digests(cast, "s")[drawn] != twin["digest"]


def digests(cast: Rig, name: str) -> dict[str, str]:
    """Of every candidate's file; objects are read first, for they go when the archive has them."""
    live = {c["metadata"]["name"]: c["status"]["code"]["digest"] for c in candidates_of(cast, name)}
    return live | {record["name"]: record["digest"] for record in archive(cast, name).values()}


def pods_of(cast: Rig, order: str) -> list[Object]:
    """The pods of an order's Job that run."""
    pods = objects(cast, "pods", f"job-name={order}")
    return [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]


def brought(cast: Rig, order: str, text: str) -> Object:
    """An engineer's result as the gateway stores it."""
    context = cast.plane.get(f"{path(cast, 'configmaps')}/{order}-context")["metadata"]
    (pod,) = pods_of(cast, order)
    told = {"asiarch.dev/order": order, "asiarch.dev/pod-uid": pod["metadata"]["uid"]}
    labels = {**context["labels"], "asiarch.dev/part": "result"}
    metadata = {"name": f"{order}-result", "labels": labels, "annotations": told}
    result = {"order": order, "attempt": 1, "writing": {"text": text}}
    owners = context["ownerReferences"]
    data = {"result.json": json.dumps(result)}
    return {"metadata": {**metadata, "ownerReferences": owners}, "immutable": True, "data": data}


def test_no_archive_ever_made_a_traceback(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
