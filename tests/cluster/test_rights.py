"""I8: operator and gateway use exactly the rights that the chart grants, no more and no fewer."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.checks.evidence import Object, json_lines
from tests.cluster.checks.rights import beyond_the_role, never_used
from tests.cluster.kubelet.faults import Fault
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import Rig
from tests.cluster.shared import (
    create,
    delete,
    edit,
    events_about,
    objects,
    settled,
    shared_rig,
    until,
)
from tests.cluster.test_bad_input import a_candidate

FEW: Any = {"retention": {"keepBest": 1, "keepFinished": 2}, "selection": {"pool": 1, "parents": 1}}
CLUSTER = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.fixture(scope="module")
def cast(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A search to which everything happens that makes somebody use a right."""
    with shared_rig(plane, tmp_path_factory.mktemp("rights"), ("--lease", "{namespace}")) as made:
        made.kubelet.fault(Fault("silence", order="s-000?-build-a1", times=1))
        made.apply(a_short_search("s", candidates=6, stopPolicy="Cancel", **FEW))
        create(made, "candidates", a_candidate("mine", "s"))
        await_job(made, "s-0002-build-a1", "s-0001-build-a1")
        for moment in (1, 2):
            rest(made, moment)
        lose_a_job_while_the_operator_is_down(made)
        settled(made, "s")
        lose_a_candidate(made)
        yield made


def await_job(cast: Rig, *names: str) -> str:
    """Wait until one of these Jobs is there; returns its name."""

    def there() -> list[str]:
        return [job["metadata"]["name"] for job in objects(cast, "jobs") if job["metadata"]["name"] in names]

    cast.plane.wait_for(lambda: there() != [], f"{names}", 60)
    return there()[0]


def rest(cast: Rig, times: int) -> None:
    """Suspend the search and go on; the second time, the same event is counted instead of posted again."""
    edit(cast, "s", {"spec": {"suspend": True}})
    until(cast, "s", lambda s: s["status"]["phase"] == "Suspended", "to rest")
    cast.plane.wait_for(lambda: counted(cast) >= times, f"the event to be counted {times} times", 10)
    edit(cast, "s", {"spec": {"suspend": False}})
    until(cast, "s", lambda s: s["status"]["phase"] == "Running", "to go on")


def counted(cast: Rig) -> int:
    """How often the search is known to have rested."""
    event = events_about(cast, "s").get("Suspended")
    return 0 if event is None else int((event.get("series") or {"count": 1})["count"])


def lose_a_job_while_the_operator_is_down(cast: Rig) -> None:
    """An order that was named, whose Job nobody can find: it is looked for before it is given up."""
    cast.kubelet.fault(Fault("silence", kind="analyze"))
    cast.plane.wait_for(lambda: analysts(cast) != [], "an analyst", 60)
    cast.operator.kill()
    cast.kubelet.fault()
    for name in analysts(cast):
        delete(cast, name, "jobs", propagationPolicy="Background")
    cast.start_operator()


def lose_a_candidate(cast: Rig) -> None:
    """A candidate that is gone while its search knows of it: the API server itself is asked."""
    cast.kubelet.fault(Fault("silence", order="t-0001-build-a1"))
    cast.apply(a_short_search("t"))
    await_job(cast, "t-0001-build-a1")
    delete(cast, "t-0001", "candidates")
    settled(cast, "t")


def analysts(cast: Rig) -> list[str]:
    """The Jobs of analysts that have a pod at work."""
    jobs = objects(cast, "jobs", "asiarch.dev/part=agent")
    return [
        job["metadata"]["name"]
        for job in jobs
        if "analyze" in job["metadata"]["name"] and job["status"].get("active")
    ]


def rules_of(cast: Rig, account: str) -> list[Object]:
    """The rules of every role that an account is given."""
    found = []
    for kind, where in (("rolebindings", ""), ("clusterrolebindings", "cluster")):
        bindings = (
            objects(cast, kind)
            if not where
            else cast.plane.get(CLUSTER.replace("roles", "rolebindings"))["items"]
        )
        for binding in bindings:
            subjects = [(s.get("namespace"), s["name"]) for s in binding.get("subjects", ())]
            if (cast.namespace, account) in subjects:
                found += role(cast, binding["roleRef"])["rules"]
    return found


def role(cast: Rig, reference: Object) -> Object:
    """The role that a binding names."""
    everywhere = reference["kind"] == "ClusterRole"
    roles = cast.plane.get(CLUSTER)["items"] if everywhere else objects(cast, "roles")
    return next(dict(one) for one in roles if one["metadata"]["name"] == reference["name"])


@pytest.mark.parametrize("account", ["asiarch-operator", "asiarch-gateway"])
def test_I8_every_right_is_used_and_none_is_missing(cast: Rig, account: str) -> None:
    rules, audit = rules_of(cast, account), json_lines(cast.plane.audit_log)
    user = f"system:serviceaccount:{cast.namespace}:{account}"
    assert rules
    assert beyond_the_role(rules, audit, user) == []
    assert never_used(rules, audit, user) == []


def test_I8_an_agent_has_no_right_at_all(cast: Rig) -> None:
    assert rules_of(cast, "asiarch-agent") == []
