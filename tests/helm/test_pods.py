"""Our own pods are as restricted as those of a search, and reach nothing that they don't need."""

import re
from typing import Any

import pytest

from asiarch.kube import arguments
from asiarch.kube.deployment import Deployment, Images
from tests.helm import chart
from tests.helm.restricted import faults

AGENTS = {"app.kubernetes.io/managed-by": "asiarch", "asiarch.dev/part": "agent"}
ADDRESS = "192.0.2.7"
TWO = 'watch.namespaces=["team-a","team-b"]'


@pytest.mark.parametrize(
    "values", [(), ("operator.replicas=2", "lease.enabled=true")], ids=["default", "lease"]
)
def test_every_pod_is_restricted(values: tuple[str, ...]) -> None:
    pods = _pods(*values)
    assert pods.keys() == {"operator", "gateway"}
    assert {part: faults(pod) for part, pod in pods.items()} == {"operator": [], "gateway": []}


def test_the_check_of_restricted_sees_what_is_missing() -> None:
    bare = {"hostNetwork": True, "volumes": [{"name": "v", "hostPath": {}}], "containers": [{"name": "c"}]}
    assert len(faults(bare)) == 7


def test_every_container_has_requests_and_limits() -> None:
    for container in chart.containers(chart.render()):
        assert container["resources"] == {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        }


def test_every_probe_asks_a_port_that_the_container_has() -> None:
    for container in chart.containers(chart.render()):
        ports = {port["name"] for port in container["ports"]}
        probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {name: probe["path"] for name, probe in probes.items()} == {
            "startup": "/livez",
            "liveness": "/livez",
            "readiness": "/readyz",
        }
        assert {probe["port"] for probe in probes.values()} <= ports


def test_an_operator_goes_before_the_next_one_comes() -> None:
    deployments = chart.of_kind("Deployment", chart.render())
    assert deployments["asiarch-operator"]["spec"]["strategy"] == {"type": "Recreate"}
    assert {d["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for d in deployments.values()} == {
        30
    }


def test_agents_are_told_the_gateways_address_by_the_services_own_variables() -> None:
    objects = chart.render(release="lab")
    (service,) = chart.of_kind("Service", objects)
    told = _arguments(objects)
    assert told.gateway_url == f"http://{service}.system.svc:8081"
    assert told.gateway_address == ADDRESS
    assert f"--gateway-address=$({service.upper().replace('-', '_')}_SERVICE_HOST)" in _args(
        objects, "operator"
    )
    assert _pods()["operator"]["enableServiceLinks"]


@pytest.mark.parametrize("address", ["", "192.0.2.7"])
def test_a_gateway_elsewhere_has_its_own_address_or_none(address: str) -> None:
    url, values = "http://gateway.example.com", f'operator.gatewayAddress="{address}"'
    told = _arguments(chart.render(f'operator.gatewayUrl="{url}"', values))
    assert (told.gateway_url, told.gateway_address) == (url, address)


def test_the_operator_understands_what_the_chart_tells_it() -> None:
    values = ("lease.enabled=true", 'training.runtimeClass="gvisor"', 'images.pullPolicy="Never"', TWO)
    told = arguments.settings(_filled_in(_args(chart.render(*values), "operator"))[1:])
    assert (told.namespaces, told.lease, told.port) == (("team-a", "team-b"), "system", 8080)
    assert told.deployment == Deployment(
        images=Images(*(f"{chart.REGISTRY}/asiarch/{name}:0.1.0" for name in ("operator", "trainer"))),
        gateway_url="http://asiarch-gateway.system.svc:8081",
        gateway_address=ADDRESS,
        agent_service_account="asiarch-agent",
        pull_policy="Never",
        runtime_class="gvisor",
    )


def test_the_gateway_serves_the_account_that_agents_have() -> None:
    objects = chart.render('agents.serviceAccount="lab-agent"')
    assert "--agent-service-account=lab-agent" in _args(objects, "gateway")
    assert _arguments(objects).agent_service_account == "lab-agent"


def test_every_selector_finds_its_own_pods_alone() -> None:
    objects = chart.render()
    pods = {
        name: d["spec"]["template"]["metadata"]["labels"]
        for name, d in chart.of_kind("Deployment", objects).items()
    }
    for name, deployment in chart.of_kind("Deployment", objects).items():
        assert _found(deployment["spec"]["selector"]["matchLabels"], pods) == {name}
    service = chart.of_kind("Service", objects)["asiarch-gateway"]
    assert _found(service["spec"]["selector"], pods) == {"asiarch-gateway"}


def test_workloads_are_closed_both_ways_in_every_watched_namespace() -> None:
    policies = chart.of_kind("NetworkPolicy", chart.render(TWO))
    for namespace in ("team-a", "team-b"):
        closed = policies[f"{namespace}/asiarch-workloads"]["spec"]
        assert closed["policyTypes"] == ["Ingress", "Egress"]
        assert not closed.keys() & {"ingress", "egress"}
        assert closed["podSelector"] == {
            "matchLabels": {"app.kubernetes.io/managed-by": "asiarch"},
            "matchExpressions": [
                {"key": "asiarch.dev/part", "operator": "In", "values": ["agent", "training"]}
            ],
        }


def test_agents_reach_the_gateways_pods_and_nothing_else() -> None:
    objects = chart.render(TWO)
    policy = chart.of_kind("NetworkPolicy", objects)["team-a/asiarch-agents"]["spec"]
    assert policy["podSelector"]["matchLabels"] == AGENTS
    ((peer,), ports) = (policy["egress"][0]["to"], policy["egress"][0]["ports"])
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "system"}
    gateway = chart.of_kind("Deployment", objects)["asiarch-gateway"]["spec"]["template"]["metadata"][
        "labels"
    ]
    assert _found(peer["podSelector"]["matchLabels"], {"gateway": gateway}) == {"gateway"}
    assert ports == [{"port": 8081, "protocol": "TCP"}]
    assert len(policy["egress"]) == 1


@pytest.mark.parametrize(
    ("value", "namespaces"),
    [
        (
            TWO,
            {
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
                ]
            },
        ),
        ("watch.clusterWide=true", {}),
    ],
)
def test_the_gateway_hears_the_agents_of_watched_namespaces(value: str, namespaces: dict[str, Any]) -> None:
    policy = chart.of_kind("NetworkPolicy", chart.render(value))
    agents, metrics = next(p for name, p in policy.items() if name.endswith("asiarch-gateway"))["spec"][
        "ingress"
    ]
    assert agents["from"] == [{"namespaceSelector": namespaces, "podSelector": {"matchLabels": AGENTS}}]
    assert [port["port"] for port in agents["ports"]] == [8081]
    assert [port["port"] for port in metrics["ports"]] == [8082]


@pytest.mark.parametrize("part", ["operator", "gateway"])
def test_ours_reach_the_api_server_alone(part: str) -> None:
    policies = chart.of_kind(
        "NetworkPolicy",
        chart.render('networkPolicies.apiServer={"ports": [6443], "cidrs": ["192.0.2.1/32"]}'),
    )
    assert policies[f"asiarch-{part}"]["spec"]["egress"] == [
        {"ports": [{"port": 6443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}
    ]


def test_the_policies_can_be_left_to_others() -> None:
    assert chart.of_kind("NetworkPolicy", chart.render("networkPolicies.enabled=false")) == {}


def _pods(*values: str) -> dict[str, Any]:
    deployments = chart.of_kind("Deployment", chart.render(*values))
    return {name.rpartition("-")[2]: d["spec"]["template"]["spec"] for name, d in deployments.items()}


def _arguments(objects: tuple[chart.Object, ...]) -> Deployment:
    """How the operator understands that it was deployed."""
    command, *words = _filled_in(_args(objects, "operator"))
    assert command == "operate"
    return arguments.settings(words).deployment


def _args(objects: tuple[chart.Object, ...], part: str) -> list[str]:
    (container,) = (c for c in chart.containers(objects) if c["name"] == part)
    return list(container["args"])


def _filled_in(words: list[str]) -> list[str]:
    """The words as a kubelet hands them over: it puts the Service's address in its variable's place."""
    return [re.sub(r"\$\([A-Z_]+_SERVICE_HOST\)", ADDRESS, word) for word in words]


def _found(selector: dict[str, str], pods: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, labels in pods.items() if selector.items() <= labels.items()}
