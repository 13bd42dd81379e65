"""The chart on a real API server: all of it is accepted, its pods are let in, and what it grants is granted."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.plane import ControlPlane
from tests.helm import chart
from tests.helm.generate import CHART, ROOT

RULES = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
VARIANTS = {
    "default": (),
    "lease": ("lease.enabled=true", "operator.replicas=2", "rbac.aggregate=true"),
    "wide": ("watch.clusterWide=true",),
    "bare": ("networkPolicies.enabled=false", "rbac.tokenReviews=false", "crds.enabled=false"),
}
ANYBODYS = {
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "clustertrustbundles",
}
"""What Kubernetes itself lets every account do; the bundles since 1.37."""


@pytest.fixture
def installed(plane: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace with a release of the chart; its definitions are those that the control plane has already."""
    rendered = chart.text("crds.enabled=false", "lease.enabled=true", namespace=namespace)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=rendered)
    yield namespace
    plane.kubectl("delete", "--wait=false", "-f", "-", stdin=rendered)


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_what_helm_renders_is_accepted(plane: ControlPlane, namespace: str, values: tuple[str, ...]) -> None:
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
    said = plane.kubectl(*apply, stdin=chart.text(*values, namespace=namespace))
    assert len(said.splitlines()) == len(chart.render(*values, namespace=namespace))


def test_its_pods_are_let_into_a_restricted_namespace(plane: ControlPlane, installed: str) -> None:
    def parts() -> set[str]:
        pods = plane.get(f"/api/v1/namespaces/{installed}/pods")["items"]
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}

    plane.wait_for(lambda: parts() == {"operator", "gateway"}, "the pods of operator and gateway", 30)


@pytest.mark.parametrize(
    ("account", "parts"),
    [
        ("asiarch-operator", ("operator", "lease")),
        ("asiarch-gateway", ("gateway", "reviews")),
        ("asiarch-agent", ()),
        ("default", ()),
    ],
)
def test_an_account_may_do_what_its_rules_say_and_nothing_more(
    plane: ControlPlane, installed: str, account: str, parts: tuple[str, ...]
) -> None:
    wanted = {pair for part in parts for pair in _pairs(RULES[part])}
    plane.wait_for(lambda: wanted <= _allowed(plane, installed, account), f"the rights of {account}", 10)
    found = {pair for pair in _allowed(plane, installed, account) if pair[1] not in ANYBODYS}
    assert found == wanted


def test_a_release_comes_and_goes_and_leaves_the_searches() -> None:
    with ControlPlane() as plane:
        namespace = plane.namespace("system")
        release = ("asiarch", "--namespace", namespace, "--kubeconfig", str(plane.admin))
        values = ("--set", f"lease.enabled=true,images.registry={chart.REGISTRY}")
        for command in ("install", "upgrade"):
            chart.helm(command, *release[:1], str(CHART), *release[1:], *values)
        search = (ROOT / "examples" / "quickstart.yaml").read_text()
        plane.kubectl("create", "--namespace", namespace, "-f", "-", stdin=search)
        chart.helm("uninstall", *release)
        assert plane.kubectl("get", "asearch", "--namespace", namespace, "-o", "name").split() == [
            "architecturesearch.asiarch.dev/quickstart"
        ]
        ours = (
            "role,rolebinding,clusterrole,clusterrolebinding,deployment,service,networkpolicy,serviceaccount"
        )
        selected = ("--namespace", namespace, "-l", "app.kubernetes.io/instance=asiarch", "-o", "name")
        assert plane.kubectl("get", ours, *selected) == ""


def _allowed(plane: ControlPlane, namespace: str, account: str) -> set[tuple[str, str, str]]:
    """What the API server says that an account may do in a namespace."""
    review = plane.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        },
        token=plane.token(namespace, account),
    )
    return set(_pairs(review["status"]["resourceRules"]))


def _pairs(rules: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Group, resource and verb of everything that rules allow."""
    for rule in rules:
        for group in rule["apiGroups"]:
            yield from ((group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"])
