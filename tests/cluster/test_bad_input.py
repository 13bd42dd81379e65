"""Bad inputs that the API server lets through: told in words with the next step, no children, healed by themselves."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.checks.evidence import Object
from tests.cluster.manifests import RECALL, a_short_search
from tests.cluster.plane import ApiError, ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    await_metric,
    candidate,
    candidates_of,
    condition,
    create,
    delete,
    edit,
    events_about,
    objects,
    settled,
    shared_rig,
    until,
)

PROMPT = 30.0
"""Seconds in which what was missing is found once it is there."""
MIXER = '''"""A user's own file: it passes its input on."""

import torch
from torch import nn


class Mixer(nn.Module):
    """Passes its input on."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        super().__init__()

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        return x_BTC
'''
BYTES = {**RECALL, "name": "bytes", "task": "ByteLanguageModel"}
INJECTION = "$(touch /pwn);\"'\n{{7*7}}${HOME}../../ %s \u202e\x1b[31m🙂"


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here."""
    with shared_rig(plane, tmp_path_factory.mktemp("bad")) as made:
        yield made


def a_candidate(name: str, search: str, **spec: Any) -> Object:
    """A Candidate as a user would write it."""
    return {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "Candidate",
        "metadata": {"name": name},
        "spec": {"searchName": search, "origin": "User", "idea": "Gate the values.", **spec},
    }


def a_file(name: str, text: str = MIXER) -> Object:
    """A ConfigMap with a candidate's file."""
    return {"metadata": {"name": name}, "data": {"candidate.py": text}}


def complains(cast: Rig, name: str, kind: str, reason: str, bad: str) -> str:
    """A search's condition is bad for a reason, with event and metric; returns what it says."""

    def is_so(found: Object) -> bool:
        said = condition(found, kind)
        return (said.get("status"), said.get("reason")) == (bad, reason)

    found = until(cast, name, is_so, f"{kind}={bad} for {reason}")
    message = str(condition(found, kind)["message"])
    assert len(message) <= 1024
    assert "candidates started" in message
    assert condition(found, "Ready")["status"] == "False"
    cast.plane.wait_for(lambda: reason in events_about(cast, name), f"an event {reason} about {name}", 10)
    assert events_about(cast, name)[reason]["type"] == "Warning"
    await_metric(cast, f'asiarch_invalid_total{{reason="{reason}"}}')
    return message


def refused(cast: Rig, name: str, reason: str) -> str:
    """A candidate is rejected for a reason, without a child; returns what it says."""
    cast.plane.wait_for(lambda: candidate(cast, name).get("status", {}).get("phase") == "Rejected", name, 60)
    status = candidate(cast, name)["status"]
    assert status["reason"] == reason
    assert objects(cast, "jobs", f"asiarch.dev/candidate={name}") == []
    cast.plane.wait_for(lambda: reason in events_about(cast, name), f"an event {reason} about {name}", 10)
    assert events_about(cast, name)[reason]["type"] == "Warning"
    return str(status["message"])


PARENTS = {
    "missing": ["nobody"],
    "cycle": ["cycle-two"],
    "cycle-two": ["cycle"],
    "other-search": ["elsewhere-0000"],
}


def test_E8_parents_that_are_none_are_named(cast: Rig) -> None:
    cast.apply(a_short_search("elsewhere"), a_short_search("kin", candidates=9))
    settled(cast, "elsewhere")
    for name, parents in PARENTS.items():
        create(cast, "candidates", a_candidate(name, "kin", parents=parents))
    for name in ("missing", "cycle", "other-search"):
        wanted = "is not an earlier candidate of this search. Name one of lower ordinal, or none."
        assert refused(cast, name, "InvalidParent") == f"Parent {PARENTS[name][0]} {wanted}"
    with pytest.raises(ApiError, match="wanted other candidates than itself"):
        create(cast, "candidates", a_candidate("self", "kin", parents=["self"]))
    settled(cast, "kin")
    assert checker.check_all(cast.evidence("kin"), cast.users) == []


def test_E9_a_candidate_without_a_search_is_left_alone(cast: Rig) -> None:
    create(cast, "candidates", a_candidate("orphan", "no-such-search"))
    time.sleep(2)
    assert "status" not in candidate(cast, "orphan")
    assert objects(cast, "jobs", "asiarch.dev/candidate=orphan") == []
    delete(cast, "orphan", "candidates")


def test_E9_a_forged_owner_or_origin_is_not_run_and_not_charged(cast: Rig) -> None:
    cast.apply(a_short_search("strict", candidates=1))
    forged = a_candidate("forged", "strict")
    forged["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "asiarch.dev/v1alpha1",
            "kind": "ArchitectureSearch",
            "name": "elsewhere",
            "uid": cast.search("elsewhere")["metadata"]["uid"],
            "controller": True,
        }
    ]
    create(cast, "candidates", forged)
    claimed = a_candidate("claimed", "strict", origin="Proposed")
    del claimed["spec"]["idea"]
    create(cast, "candidates", claimed)
    said = complains(cast, "strict", "Degraded", "Orphan", "True")
    assert "only new ones of origin User may join. It is not run and not charged." in said
    settled(cast, "strict")
    for name in ("forged", "claimed"):
        assert "status" not in candidate(cast, name)
        assert objects(cast, "jobs", f"asiarch.dev/candidate={name}") == []
        delete(cast, name, "candidates")
    until(cast, "strict", lambda s: condition(s, "Degraded")["status"] == "False", "to be well", PROMPT)


def test_E11_a_baselines_file_that_is_missing_holds_the_search_until_it_is_there(cast: Rig) -> None:
    baselines = [{"name": "gated-linear-attention"}, {"name": "mine", "source": {"configMap": "mine"}}]
    cast.apply(a_short_search("waiting", baselines=baselines))
    said = complains(cast, "waiting", "Accepted", "SourceNotFound", "False")
    found = f"ConfigMap mine (key: candidate.py) not found in namespace {cast.namespace}."
    assert f"{found} Create it; the search resumes by itself." in said
    create(cast, "configmaps", a_file("mine"))
    until(cast, "waiting", lambda s: condition(s, "Accepted")["status"] == "True", "to resume", PROMPT)
    settled(cast, "waiting")
    assert cast.search("waiting")["status"]["counts"]["baselines"] == 2


def test_E11_a_users_file_that_is_missing_holds_only_its_candidate(cast: Rig) -> None:
    cast.apply(a_short_search("others", candidates=2))
    source = a_candidate("bring", "others", source={"configMap": "brought"})
    del source["spec"]["idea"]
    create(cast, "candidates", source)
    said = complains(cast, "others", "Degraded", "SourceNotFound", "True")
    assert "Candidate bring: ConfigMap brought (key: candidate.py) not found" in said
    cast.plane.wait_for(lambda: len(candidates_of(cast, "others")) == 3, "the others to go on", 30)
    create(cast, "configmaps", a_file("brought", MIXER.replace("own file", "second file")))
    settled(cast, "others")
    assert candidate(cast, "bring")["status"]["phase"] in ("Complete", "Rejected")


def test_E11_a_file_that_is_too_large_is_told_with_its_size(cast: Rig) -> None:
    create(cast, "configmaps", a_file("large", "#" * 300_000))
    baselines = [{"name": "mine", "source": {"configMap": "large"}}]
    cast.apply(a_short_search("fat", baselines=baselines))
    said = complains(cast, "fat", "Accepted", "SourceInvalid", "False")
    assert "ConfigMap large (key: candidate.py) has 300000 bytes; wanted at most 204800" in said
    assert objects(cast, "jobs", "asiarch.dev/search=fat") == []
    delete(cast, "large", "configmaps")
    create(cast, "configmaps", a_file("large", MIXER.replace("own file", "third file")))
    settled(cast, "fat")


def test_E11_a_dataset_that_is_missing_holds_the_search_until_it_is_there(cast: Rig) -> None:
    cast.apply(
        a_short_search("wordless", evaluation={"ladder": [{**BYTES, "dataset": {"configMap": "words"}}]})
    )
    said = complains(cast, "wordless", "Accepted", "DatasetInvalid", "False")
    assert "spec.evaluation.ladder[0].dataset: ConfigMap words not found in namespace" in said
    assert objects(cast, "jobs", "asiarch.dev/search=wordless") == []
    create(cast, "configmaps", {"metadata": {"name": "words"}, "data": {"words.txt": "To be, or not to be."}})
    until(cast, "wordless", lambda s: condition(s, "Accepted")["status"] == "True", "to resume", PROMPT)
    settled(cast, "wordless")


def test_E11_a_claim_that_is_missing_is_waited_for(cast: Rig) -> None:
    dataset = {"persistentVolumeClaim": "fineweb", "path": "sample"}
    cast.apply(a_short_search("claimless", evaluation={"ladder": [{**BYTES, "dataset": dataset}]}))
    said = complains(cast, "claimless", "Degraded", "DatasetInvalid", "True")
    assert 'persistentvolumeclaim "fineweb" not found' in said
    assert "Create the claim that the rung's dataset names" in said
    volume = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadOnlyMany"],
        "hostPath": {"path": "/nowhere"},
    }
    claim = {
        "accessModes": ["ReadOnlyMany"],
        "resources": {"requests": {"storage": "1Mi"}},
        "volumeName": cast.namespace,
        "storageClassName": "",
    }
    cast.plane.request(
        "POST", "/api/v1/persistentvolumes", {"metadata": {"name": cast.namespace}, "spec": volume}
    )
    create(cast, "persistentvolumeclaims", {"metadata": {"name": "fineweb"}, "spec": claim})
    settled(cast, "claimless")
    cast.plane.request("DELETE", f"/api/v1/persistentvolumes/{cast.namespace}")


def test_E11_a_path_that_only_a_laptop_has_is_refused_by_field(cast: Rig) -> None:
    cast.apply(a_short_search("homely", evaluation={"ladder": [{**BYTES, "dataset": {"path": "texts"}}]}))
    said = complains(cast, "homely", "Accepted", "ConfigInvalid", "False")
    assert 'spec.evaluation.ladder[0].dataset.path: found "texts" alone, as on a laptop' in said
    assert objects(cast, "jobs", "asiarch.dev/search=homely") == []
    delete(cast, "homely")


def test_a_pod_template_that_weakens_the_sandbox_is_refused_by_field(cast: Rig) -> None:
    template = {"spec": {"hostNetwork": True}}
    cast.apply(a_short_search("loose", evaluation={"ladder": [RECALL], "podTemplate": template}))
    said = complains(cast, "loose", "Accepted", "ConfigInvalid", "False")
    assert "spec.evaluation.podTemplate.spec.hostNetwork" in said
    assert objects(cast, "jobs", "asiarch.dev/search=loose") == []
    edit(cast, "loose", {"spec": {"evaluation": {"podTemplate": None}}})
    settled(cast, "loose")


def test_E19_a_searchs_status_edited_by_hand_is_repaired(cast: Rig) -> None:
    cast.apply(a_short_search("forger"))
    before = settled(cast, "forger")["status"]
    nonsense: Object = {
        "phase": "Failed",
        "counts": {"complete": 999},
        "message": "pwned",
        "conditions": [],
        "best": None,
    }
    edit(cast, "forger", {"status": nonsense}, sub="/status")
    found = until(cast, "forger", lambda s: s["status"]["phase"] == "Complete", "to be repaired", PROMPT)[
        "status"
    ]
    for field in ("phase", "counts", "message", "best", "cost", "reason"):
        assert found[field] == before[field]
    assert {c["type"]: c["status"] for c in found["conditions"]} == {
        c["type"]: c["status"] for c in before["conditions"]
    }


def test_E19_a_foreign_finalizer_is_left_alone_and_nothing_starts_behind_it(cast: Rig) -> None:
    cast.apply(a_short_search("kept", candidates=3))
    cast.plane.wait_for(lambda: len(candidates_of(cast, "kept")) > 1, "a proposal", 60)
    edit(cast, "kept", {"metadata": {"finalizers": ["example.com/mine"]}})
    delete(cast, "kept")
    time.sleep(5)
    before = {job["metadata"]["name"] for job in objects(cast, "jobs", "asiarch.dev/search=kept")}
    time.sleep(3)
    assert {job["metadata"]["name"] for job in objects(cast, "jobs", "asiarch.dev/search=kept")} <= before
    assert cast.search("kept")["metadata"]["finalizers"] == ["example.com/mine"]
    assert "example.com/mine" in events_about(cast, "kept")["DeletionWaits"]["note"]
    edit(cast, "kept", {"metadata": {"finalizers": None}})
    cast.plane.wait_for(lambda: candidates_of(cast, "kept") == [], "its candidates to go", 30)


def test_E21_a_search_of_a_later_version_is_left_alone_and_others_go_on(cast: Rig) -> None:
    """An object past our schema, as a newer definition would let in: read, told of, never written."""
    name = "architecturesearches.asiarch.dev"
    where = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    old = cast.plane.get(where)
    newer = cast.plane.get(where)
    spec = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["selection"]["properties"]["policy"]["enum"].append("Quantum")
    cast.plane.request("PUT", where, newer)
    try:
        body = a_short_search("future", selection={"policy": "Quantum"})
        cast.plane.wait_for(lambda: accepted(cast, body), "the newer definition", 30)
        cast.apply(a_short_search("present"))
        settled(cast, "present")
        assert "status" not in cast.search("future")
        assert objects(cast, "jobs", "asiarch.dev/search=future") == []
        assert cast.operator.running
        delete(cast, "future")
    finally:
        old["metadata"].pop("resourceVersion")
        cast.plane.request(
            "PUT", where, {**old, "metadata": {**old["metadata"], "resourceVersion": _version(cast, where)}}
        )


def _version(cast: Rig, where: str) -> str:
    return str(cast.plane.get(where)["metadata"]["resourceVersion"])


def accepted(cast: Rig, body: Object) -> bool:
    """Whether the API server takes an object by now."""
    try:
        create(cast, "architecturesearches", body)
    except ApiError:
        return False
    return True


def test_every_text_reaches_its_children_as_it_was_written(cast: Rig) -> None:
    search = a_short_search("inject", candidates=2, goal=INJECTION)
    search["metadata"]["annotations"] = {"note": INJECTION}
    create(cast, "architecturesearches", search)
    create(cast, "candidates", a_candidate("theirs", "inject", idea=INJECTION))
    cast.plane.wait_for(lambda: contexts(cast, "inject") != [], "a context", 60)
    settled(cast, "inject")
    told = contexts(cast, "inject")
    assert any(INJECTION in one for one in told)
    assert candidate(cast, "theirs")["status"]["motivation"] == INJECTION
    jobs = objects(cast, "jobs", "asiarch.dev/search=inject")
    for job in jobs:
        assert "touch" not in str(job["spec"])
    for event in events_about(cast, "inject").values():
        assert "\x1b" not in event["note"]


def contexts(cast: Rig, name: str) -> list[str]:
    """Every text that a search's agents were told, whatever field it stood in."""
    maps = objects(cast, "configmaps", f"asiarch.dev/search={name},asiarch.dev/part=context")
    return [text for one in maps for text in texts(json.loads(one["data"]["context.json"]))]


def texts(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def test_no_input_ever_made_a_traceback_or_a_restart(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
    assert "Traceback" not in cast.gateway.log.read_text()
    assert (cast.operator.starts, cast.gateway.starts) == (1, 1)
