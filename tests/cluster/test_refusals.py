"""What a cluster refuses: told with the cluster's own words, others go on, and it heals by itself (E13, E14, F14)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import checker
from tests.cluster.manifests import RECALL, a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    await_metric,
    condition,
    create,
    delete,
    edit,
    events_about,
    objects,
    path,
    settled,
    shared_rig,
    until,
)

Object = dict[str, Any]
HEALS = 60.0
"""Seconds in which a search goes on once the cause is gone."""
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One rig for all tests here; each makes its own trouble and takes it away."""
    with shared_rig(plane, tmp_path_factory.mktemp("refusals"), ("--patience", "0.05")) as made:
        yield made


def degraded(cast: Rig, name: str, reason: str) -> str:
    """Wait until a search says that it is degraded for this reason; returns what it says."""

    def is_so(found: Object) -> bool:
        said = condition(found, "Degraded")
        return (said.get("status"), said.get("reason")) == ("True", reason)

    found = until(cast, name, is_so, f"Degraded for {reason}")
    ready = condition(found, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", reason)
    message = str(condition(found, "Degraded")["message"])
    assert len(message) <= 1024
    assert "candidates started" in message
    cast.plane.wait_for(lambda: reason in events_about(cast, name), f"an event {reason} about {name}", 10)
    event = events_about(cast, name)[reason]
    assert event["type"] == "Warning"
    await_metric(cast, f'asiarch_condition_total{{reason="{reason}"}}')
    return message


def heals(cast: Rig, name: str) -> None:
    """The search goes on by itself to its end, and nothing is broken."""
    settled(cast, name, seconds=HEALS)
    assert condition(cast.search(name), "Degraded")["status"] == "False"
    assert condition(cast.search(name), "Ready")["status"] == "True"
    assert checker.check_all(cast.evidence(name), cast.users) == []


def test_E13_a_thousand_accelerators_keep_nobody_else_waiting(cast: Rig) -> None:
    wide = {"ladder": [{**RECALL, "resources": {"nvidia.com/gpu": 1000}}]}
    cast.apply(a_short_search("wide", evaluation=wide))
    said = degraded(cast, "wide", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in said
    assert "Make room, or ask for less; it starts by itself then." in said
    cast.apply(a_short_search("narrow"))
    cast.await_phase("narrow")
    large = Playing(
        cast.plane, cast.folder, "large", training="instant", agents="instant",
        ledger=cast.kubelet.ledger, resources={"nvidia.com/gpu": 1000},
    )  # fmt: skip
    large.start_ready()
    try:
        heals(cast, "wide")
    finally:
        large.remove()


@contextmanager
def made(cast: Rig, plural: str, body: Object) -> Iterator[None]:
    """An object of the user's that stands in the way for a while."""
    create(cast, plural, body)
    try:
        yield
    finally:
        delete(cast, body["metadata"]["name"], plural)


def test_E14_a_quota_of_no_jobs_is_told_as_quota(cast: Rig) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    with made(cast, "resourcequotas", quota):
        cast.plane.wait_for(lambda: enforced(cast, "none"), "the quota", 30)
        cast.apply(a_short_search("poor"))
        said = degraded(cast, "poor", "QuotaExceeded")
        assert "exceeded quota: none, requested: count/jobs.batch=1, used: count/jobs.batch=" in said
        assert "nothing is lost" in said
        assert objects(cast, "jobs", "asiarch.dev/search=poor") == []
        edit(cast, "none", {"spec": {"hard": {"count/jobs.batch": "100"}}}, "resourcequotas")
        heals(cast, "poor")


def test_F14_a_quota_of_no_pods_is_told_and_heals_once_it_is_raised(cast: Rig) -> None:
    quota = {"metadata": {"name": "podless"}, "spec": {"hard": {"pods": "0"}}}
    with made(cast, "resourcequotas", quota):
        cast.plane.wait_for(lambda: enforced(cast, "podless"), "the quota", 30)
        cast.apply(a_short_search("podless"))
        said = degraded(cast, "podless", "JobRejected")
        assert "gets no pod" in said
        assert f"kubectl -n {cast.namespace} describe job podless-0000-train-recall-a1" in said
        edit(cast, "podless", {"spec": {"hard": {"pods": "100"}}}, "resourcequotas")
        heals(cast, "podless")


def enforced(cast: Rig, name: str) -> bool:
    """Whether a quota has been counted, which it is only a moment after it was made."""
    found = cast.plane.get(f"{path(cast, 'resourcequotas')}/{name}")
    return bool(found.get("status", {}).get("hard") == found["spec"]["hard"])


def test_E14_what_an_admission_policy_says_is_told_word_for_word(cast: Rig) -> None:
    cast.plane.request("POST", POLICIES, _policy("no-jobs", "This team runs no Jobs on Tuesdays."))
    cast.plane.request("POST", BINDINGS, _binding("no-jobs", cast.namespace))
    try:
        cast.plane.wait_for(lambda: refused(cast), "the policy", 30)
        cast.apply(a_short_search("tuesday"))
        said = degraded(cast, "tuesday", "JobRejected")
        assert "This team runs no Jobs on Tuesdays." in said
        assert "Order tuesday-0000-train-recall-a1 can't start" in said
    finally:
        cast.plane.request("DELETE", f"{BINDINGS}/no-jobs")
        cast.plane.request("DELETE", f"{POLICIES}/no-jobs")
    heals(cast, "tuesday")


def refused(cast: Rig) -> bool:
    """Whether a Job would be refused now."""
    job = {
        "metadata": {"generateName": "try-"},
        "spec": {
            "template": {"spec": {"containers": [{"name": "a", "image": "a"}], "restartPolicy": "Never"}}
        },
    }
    try:
        cast.plane.request("POST", f"{path(cast, 'jobs')}?dryRun=All", job)
    except RuntimeError as error:
        return "Tuesdays" in str(error)
    return False


def _policy(name: str, message: str) -> Object:
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["jobs"],
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": message}],
        },
    }


def _binding(name: str, namespace: str) -> Object:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }


def operators_role(cast: Rig) -> Object:
    """The role that the chart gives the operator."""
    roles: list[Object] = objects(cast, "roles")
    return next(role for role in roles if any("jobs" in rule["resources"] for rule in role["rules"]))


def test_F14_a_right_that_is_missing_is_told_as_forbidden(cast: Rig) -> None:
    role = operators_role(cast)
    poorer = [rule for rule in role["rules"] if "jobs" not in rule["resources"]]
    watches = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]}
    edit(cast, role["metadata"]["name"], {"rules": [*poorer, watches]}, "roles")
    try:
        cast.apply(a_short_search("powerless"))
        said = degraded(cast, "powerless", "Forbidden")
        assert 'cannot create resource "jobs" in API group "batch"' in said
    finally:
        edit(cast, role["metadata"]["name"], {"rules": role["rules"]}, "roles")
    heals(cast, "powerless")


def test_F14_all_rights_revoked_for_a_while_are_survived_without_a_restart(cast: Rig) -> None:
    cast.apply(a_short_search("revoked", candidates=3))
    role = operators_role(cast)
    edit(cast, role["metadata"]["name"], {"rules": []}, "roles")
    before = cast.operator.log.read_text().count("forbidden")
    cast.plane.wait_for(lambda: cast.operator.log.read_text().count("forbidden") > before, "a refusal", 30)
    edit(cast, role["metadata"]["name"], {"rules": role["rules"]}, "roles")
    heals(cast, "revoked")
    assert cast.operator.running


def test_no_trouble_ever_made_a_traceback(cast: Rig) -> None:
    assert "Traceback" not in cast.operator.log.read_text()
    assert "Traceback" not in cast.gateway.log.read_text()
