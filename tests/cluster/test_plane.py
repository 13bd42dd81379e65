"""The control plane that the other tests stand on: it is real, and what we define is served and guarded by it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from asiarch.kube.client import CONFIG_MAPS, PAGE, Api, Page, configured
from asiarch.kube.limits import Limits
from tests.cluster.plane import ROOT, ApiError, ControlPlane, KubectlError
from tests.kube.test_limits import Unwatched

CRDS = ("architecturesearches", "candidates")
SEARCH = """
apiVersion: asiarch.dev/v1alpha1
kind: ArchitectureSearch
metadata: {name: s}
spec:
  goal: Find something.
  seed: 1
  baselines: [{name: delta-net}]
  evaluation:
    ladder:
    - {name: gates, task: Gates}
    - {name: recall, task: SyntheticRecall}
  budget: {candidates: 5}
"""
REFUSED = {
    "two gates": ("task: SyntheticRecall", "task: Gates", "Gates on the first rung only"),
    "a baseline that nobody ships": ("delta-net", "no-such-net", "a mixer that asiarch ships"),
    "a byte model without data": ("SyntheticRecall", "ByteLanguageModel", "a dataset for the task"),
    "cores as an accelerator": (
        "task: SyntheticRecall",
        "task: SyntheticRecall, resources: {cpu: 1}",
        "extended resources alone",
    ),
    "a field that nobody knows": ("seed: 1", "seeds: 1", "unknown field"),
}


@pytest.mark.parametrize("plural", CRDS)
def test_both_kinds_are_served(plane: ControlPlane, plural: str) -> None:
    crd = plane.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.asiarch.dev")
    conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(plane: ControlPlane, namespace: str, path: Path) -> None:
    said = plane.kubectl("create", "-n", namespace, "--dry-run=server", "-f", str(path))
    assert "created (server dry run)" in said


@pytest.mark.parametrize(("old", "new", "wanted"), REFUSED.values(), ids=REFUSED)
def test_a_search_with_a_fault_is_refused(
    plane: ControlPlane, namespace: str, old: str, new: str, wanted: str
) -> None:
    with pytest.raises(KubectlError, match=wanted):
        plane.kubectl("create", "-n", namespace, "-f", "-", stdin=SEARCH.replace(old, new))


def test_what_is_fixed_in_a_search_cannot_be_changed(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=SEARCH)
    with pytest.raises(KubectlError, match="start another search for it"):
        plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=SEARCH.replace("seed: 1", "seed: 2"))


def test_a_service_account_may_do_nothing_until_it_is_allowed(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    token = plane.token(namespace, "asiarch-operator")
    with pytest.raises(ApiError, match=r"asiarch-operator. cannot list resource .pods.") as refused:
        plane.request("GET", f"/api/v1/namespaces/{namespace}/pods", token=token)
    assert refused.value.status == httpx.codes.FORBIDDEN
    with pytest.raises(KubectlError, match="cannot list resource"):
        plane.kubectl(
            "get", "pods", "-n", namespace, kubeconfig=plane.kubeconfig(tmp_path / "kubeconfig", token)
        )


def test_an_unsafe_pod_is_refused(plane: ControlPlane, namespace: str) -> None:
    body = {"metadata": {"name": "unsafe"}, "spec": {"containers": [{"name": "one", "image": "any"}]}}
    with pytest.raises(ApiError, match="violates PodSecurity"):
        plane.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)


def test_the_audit_log_names_who_did_what(plane: ControlPlane, namespace: str) -> None:
    assert f'"objectRef":{{"resource":"namespaces","name":"{namespace}"' in plane.audit_log.read_text()


def test_the_api_server_comes_back_with_all_it_knew(plane: ControlPlane, namespace: str) -> None:
    plane.apiserver.kill()
    plane.apiserver.start()
    plane.wait_ready()
    assert plane.exists(f"/api/v1/namespaces/{namespace}")


def test_a_paused_etcd_keeps_a_write_waiting_and_loses_none(plane: ControlPlane, namespace: str) -> None:
    create = ("create", "configmap", "kept", "-n", namespace)
    plane.etcd.pause()
    try:
        with pytest.raises(KubectlError, match=r"(?i)timeout|deadline"):
            plane.kubectl(*create, "--request-timeout=1s")
    finally:
        plane.etcd.resume()
    plane.wait_ready()
    assert plane.exists("/api/v1/namespaces/default")


def test_a_list_comes_in_pages_and_what_is_known_as_metadata_alone(
    plane: ControlPlane, namespace: str
) -> None:
    labels: dict[str, Any] = {"labels": {"mark": "listed"}}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(PAGE + 1):
        metadata = {**labels, "name": f"m-{number:04d}"}
        plane.request("POST", path, {"metadata": metadata, "data": {"text": "long"}})

    async def pages() -> list[Page]:
        async with Api(await configured(str(plane.admin)), Limits(lambda: 0.0), Unwatched()) as api:
            last = f"m-{PAGE:04d}"
            known = api.pages(
                CONFIG_MAPS, namespace, "mark=listed", lambda one: one["metadata"]["name"] != last
            )
            return [page async for page in known]

    whole, brief = ["metadata", "data"], ["metadata"]
    seen = [
        (page.whole, len(page.items), [k for k in whole if k in page.items[0]])
        for page in asyncio.run(pages())
    ]
    assert seen == [(False, PAGE, brief), (False, 1, brief), (True, 1, whole)]
