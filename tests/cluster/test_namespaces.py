"""Several namespaces and one operator: one that can't be listed, or is deleted, takes none of the others down."""

import pytest

from tests.cluster import scenarios
from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import API
from tests.cluster.stage import Object, Scene, Stage

OFTEN = ("--resync", "1.5")
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


@pytest.mark.long
def test_one_namespace_without_rights_or_deleted_keeps_no_other_from_its_work(shared_stage: Stage) -> None:
    plane = shared_stage.plane
    with shared_stage.scene((*OFTEN, "--namespace", "annexe")) as scene:
        assert scenarios.play(scene, scenarios.small("before")) == []
        assert well(scene)
        assert unreachable(scene) == {scene.namespace: 0, "annexe": 1}

        plane.namespace("annexe", SERVICE_ACCOUNTS, RESTRICTED)
        plane.request("POST", f"{API}/namespaces/annexe/architecturesearches", scenarios.small("late"))
        grant_what_is_granted_in(scene, "annexe")
        scene.until(lambda: phase(plane, "annexe", "late") == "Complete", "the search there", 90.0)
        assert unreachable(scene) == {scene.namespace: 0, "annexe": 0}

        plane.request("DELETE", "/api/v1/namespaces/annexe")
        scene.until(lambda: unreachable(scene)["annexe"] == 1, "a refusal", 90.0)
        assert scenarios.play(scene, scenarios.small("after")) == []
        assert well(scene)
        assert scene.operator.starts == 1

        scene.operator.kill()
        scene.start_operator()
        assert scenarios.play(scene, scenarios.small("anew")) == []
        assert well(scene)


def test_an_operator_that_may_list_nothing_says_which_right_is_missing(shared_stage: Stage) -> None:
    with shared_stage.scene((*OFTEN, "--namespace", "nowhere")) as scene:
        bindings = f"{RBAC}/{scene.namespace}/rolebindings"
        before = scene.plane.get(bindings)["items"]
        for one in before:
            scene.plane.request("DELETE", f"{bindings}/{one['metadata']['name']}")
        scene.start_operator()
        missing = f'in the namespace "{scene.namespace}"'
        log = scene.operator.log
        scene.until(lambda: log.exists() and missing in log.read_text(), "a warning", 30.0)
        assert not scene.operator.ready()
        assert scene.operator.fetch("/livez") == "ok\n"
        for one in before:
            scene.plane.request("POST", bindings, anew(one))
        assert scenarios.play(scene, scenarios.small("poor")) == []


def well(scene: Scene) -> bool:
    """Whether the operator is alive and ready, as a kubelet sees it."""
    return [scene.operator.fetch(page) for page in ("/livez", "/readyz")] == ["ok\n"] * 2


def unreachable(scene: Scene) -> dict[str, int]:
    """What the operator's metric says, by namespace."""
    lines = (scene.operator.fetch("/metrics") or "").splitlines()
    series = (line.split() for line in lines if line.startswith("asiarch_namespace_unreachable{"))
    return {name.partition('"')[2].rstrip('"}'): int(float(value)) for name, value in series}


def phase(plane: ControlPlane, namespace: str, name: str) -> str:
    """The phase of a search; empty when it has none."""
    found = plane.get(f"{API}/namespaces/{namespace}/architecturesearches/{name}")
    return str(found.get("status", {}).get("phase", ""))


def grant_what_is_granted_in(scene: Scene, namespace: str) -> None:
    """Give operator and gateway the same rights in another namespace."""
    for plural in ("roles", "rolebindings"):
        for one in scene.plane.get(f"{RBAC}/{scene.namespace}/{plural}")["items"]:
            scene.plane.request("POST", f"{RBAC}/{namespace}/{plural}", anew(one))


def anew(found: Object) -> Object:
    """An object as it can be created again, in any namespace."""
    return {**found, "metadata": {"name": found["metadata"]["name"]}}
