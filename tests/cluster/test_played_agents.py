"""Agents on the playing kubelet: real processes and real tokens, through the real gateway."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asiarch.api.context import Context
from asiarch.api.names import CANDIDATE, MANAGED_BY, PART, SEARCH, context_name, result_name
from asiarch.api.order import Order
from tests.cluster.jobs import Bench, a_job, agent, an_order, terminated
from tests.cluster.kubelet.api import Object
from tests.cluster.kubelet.faults import Fault
from tests.cluster.kubelet.play import played
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.ports import Ports
from tests.cluster.processes import Served, gateway

Kubelets = Callable[..., Playing]
PROPOSE = an_order("s-0001-propose-a1", kind="propose", rung=None)


@pytest.fixture
def bench(plane: ControlPlane, namespace: str) -> Bench:
    return Bench(plane, namespace)


@pytest.fixture
def serving(plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Served]:
    """A gateway that may do what it must."""
    account = f"{namespace}:asiarch-gateway"
    plane.kubectl(
        "create", "clusterrolebinding", namespace, "--clusterrole=admin", f"--serviceaccount={account}"
    )
    plane.kubectl(
        "create", "clusterrolebinding", f"{namespace}-reviews", "--clusterrole=system:auth-delegator",
        f"--serviceaccount={account}",
    )  # fmt: skip
    kubeconfig = plane.kubeconfig(tmp_path / "gateway.kubeconfig", plane.token(namespace, "asiarch-gateway"))
    ports = Ports()
    with gateway(kubeconfig, (ports.take(), ports.take()), tmp_path / "gateway.log") as up:
        up.await_ready(up.ready, 30)
        yield up
    ports.close()
    plane.kubectl("delete", "clusterrolebinding", namespace, f"{namespace}-reviews")


def tell(bench: Bench, order: Order) -> None:
    """Leave an order's context where the gateway looks for it."""
    metadata = {
        "name": context_name(order.name),
        "labels": {MANAGED_BY[0]: MANAGED_BY[1], SEARCH: "s", CANDIDATE: "s-0001", PART: "context"},
    }
    context = Context(order=order, goal="Find something.")
    body = {"metadata": metadata, "data": {"context.json": context.model_dump_json(by_alias=True)}}
    bench.plane.request("POST", f"/api/v1/namespaces/{bench.namespace}/configmaps", body)


def kept(bench: Bench, order: Order) -> tuple[Object, Any]:
    """What the gateway kept of an order: the ConfigMap and the result in it."""
    path = f"/api/v1/namespaces/{bench.namespace}/configmaps/{result_name(order.name)}"
    found = bench.plane.get(path)
    return found, json.loads(found["data"]["result.json"])


def run(bench: Bench, order: Order, url: str, condition: str = "Complete") -> Object:
    tell(bench, order)
    return bench.until(bench.create(a_job(order.name, agent(order, url))), condition, 60)


def test_a_real_agent_leaves_its_result_at_the_gateway(
    bench: Bench, kubelet: Kubelets, serving: Served
) -> None:
    playing = kubelet()
    pod = run(bench, PROPOSE, serving.url)
    found, result = kept(bench, PROPOSE)
    assert result["proposal"]["recipe"]
    assert found["metadata"]["annotations"]["asiarch.dev/pod-uid"] == pod["metadata"]["uid"]
    assert [e.event for e in playing.entries()] == ["started", "ended"]


def test_an_instant_agent_leaves_its_result_at_the_gateway(
    bench: Bench, kubelet: Kubelets, serving: Served
) -> None:
    kubelet(agents="instant")
    run(bench, PROPOSE, serving.url)
    (result,) = played(PROPOSE)
    assert result.proposal is not None
    assert kept(bench, PROPOSE)[1]["proposal"]["recipe"] == result.proposal.recipe


def test_a_result_that_is_sent_twice_is_kept_once(bench: Bench, kubelet: Kubelets, serving: Served) -> None:
    playing = kubelet(agents="instant")
    playing.fault(Fault("double-report"))
    assert "message" not in terminated(run(bench, PROPOSE, serving.url))["agent"]
    assert [e.event for e in playing.entries()] == ["started", "charged", "ended"]


def test_a_benchmark_may_go_past_the_gateway(bench: Bench, kubelet: Kubelets) -> None:
    kubelet(agents="direct")
    pod = run(bench, PROPOSE, "http://nowhere")
    found, result = kept(bench, PROPOSE)
    assert result["order"] == PROPOSE.name
    assert found["metadata"]["annotations"]["asiarch.dev/pod-uid"] == pod["metadata"]["uid"]
    assert found["metadata"]["labels"][PART] == "result"


def test_a_pods_token_names_the_pod(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    pod = agent(PROPOSE, "http://nowhere")
    pod["containers"][0]["command"] = ["sh", "-c", "cat /var/run/asiarch/token > /dev/termination-log"]
    found = bench.until(bench.create(a_job("token", pod)), "Complete")
    told = {"token": terminated(found)["agent"]["message"], "audiences": ["asiarch-gateway"]}
    review = bench.plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": told})[
        "status"
    ]
    assert review["authenticated"]
    assert review["user"]["extra"]["authentication.kubernetes.io/pod-name"] == [found["metadata"]["name"]]
    assert review["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [found["metadata"]["uid"]]
