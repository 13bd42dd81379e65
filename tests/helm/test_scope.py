"""Who may do what, where: exactly the rules of files/rules.yaml, in exactly the watched namespaces."""

from typing import Any

import pytest
import yaml

from tests.helm import chart
from tests.helm.generate import CHART

RULES = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
EVERYTHING = ("lease.enabled=true", "rbac.aggregate=true")
TWO = 'watch.namespaces=["team-a","team-b"]'
WIDE = "watch.clusterWide=true"
FORBIDDEN = {
    "*",
    "secrets",
    "pods/exec",
    "pods/log",
    "pods/attach",
    "pods/portforward",
    "serviceaccounts/token",
}
ESCALATING = {"*", "bind", "escalate", "impersonate"}

Grant = tuple[str, str, str]
"""Account, namespace (`*` is the cluster), and which rules."""


def test_the_rules_hold_no_wildcard_and_nothing_that_escalates() -> None:
    for rule in (rule for rules in RULES.values() for rule in rules):
        assert not FORBIDDEN & {*rule["resources"], *rule["apiGroups"]}
        assert not ESCALATING & set(rule["verbs"])
        assert rule.keys() == {"apiGroups", "resources", "verbs"}


def test_no_pair_of_resource_and_verb_is_granted_twice() -> None:
    for part, rules in RULES.items():
        pairs = [(r, v) for rule in rules for r in rule["resources"] for v in rule["verbs"]]
        assert len(pairs) == len(set(pairs)), part


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (
            (),
            {
                ("operator", "system", "operator"),
                ("gateway", "system", "gateway"),
                ("gateway", "*", "reviews"),
            },
        ),
        (
            (TWO,),
            {
                ("operator", "team-a", "operator"),
                ("operator", "team-b", "operator"),
                ("gateway", "team-a", "gateway"),
                ("gateway", "team-b", "gateway"),
                ("gateway", "*", "reviews"),
            },
        ),
        ((WIDE,), {("operator", "*", "operator"), ("gateway", "*", "gateway"), ("gateway", "*", "reviews")}),
        (
            (TWO, WIDE, "lease.enabled=true", "rbac.tokenReviews=false"),
            {("operator", "*", "operator"), ("operator", "system", "lease"), ("gateway", "*", "gateway")},
        ),
    ],
)
def test_each_identity_gets_its_rules_and_no_others(values: tuple[str, ...], wanted: set[Grant]) -> None:
    assert _grants(chart.render(*values)) == wanted


def test_the_only_cluster_role_of_a_namespaced_release_is_that_of_token_reviews() -> None:
    (role,) = chart.of_kind("ClusterRole", chart.render(TWO)).values()
    assert role["rules"] == RULES["reviews"]
    assert chart.of_kind("ClusterRole", chart.render("rbac.tokenReviews=false")) == {}


def test_agents_have_no_permission_and_no_token_in_every_watched_namespace() -> None:
    objects = chart.render(TWO, *EVERYTHING)
    accounts = [
        a for a in objects if a["kind"] == "ServiceAccount" and a["metadata"]["name"] == "asiarch-agent"
    ]
    assert [account["metadata"]["namespace"] for account in accounts] == ["team-a", "team-b"]
    assert not any(account["automountServiceAccountToken"] for account in accounts)
    assert "agent" not in {account for account, _, _ in _grants(objects)}


def test_people_get_our_kinds_where_the_cluster_is_asked_to_add_them() -> None:
    roles = chart.of_kind("ClusterRole", chart.render("rbac.aggregate=true"))
    into = {
        name.rpartition(":")[2]: {
            label.rpartition("-")[2] for label in role["metadata"]["labels"] if "aggregate" in label
        }
        for name, role in roles.items()
    }
    assert into == {"view": {"view", "edit", "admin"}, "edit": {"edit", "admin"}, "reviews": set()}


def test_the_operator_is_told_what_it_watches() -> None:
    def watched(*values: str) -> list[str]:
        (found,) = (c for c in chart.containers(chart.render(*values)) if c["name"] == "operator")
        return [word for word in found["args"] if word.startswith("--namespace")]

    assert watched() == ["--namespace=system"]
    assert watched(TWO) == ["--namespace=team-a", "--namespace=team-b"]
    assert watched(TWO, WIDE) == []


def test_two_releases_share_no_cluster_scoped_name() -> None:
    def names(namespace: str) -> set[tuple[str, str]]:
        found = chart.render(*EVERYTHING, WIDE, "crds.enabled=false", namespace=namespace)
        return {(i["kind"], i["metadata"]["name"]) for i in found if i["kind"] in chart.CLUSTER_SCOPED}

    assert len(names("one")) == 8
    assert not names("one") & names("two")


@pytest.mark.parametrize(
    "values", [(), (TWO, *EVERYTHING), (WIDE, *EVERYTHING)], ids=["default", "two", "wide"]
)
def test_every_namespaced_object_names_its_namespace_and_none_comes_twice(values: tuple[str, ...]) -> None:
    objects = chart.render(*values)
    for item in objects:
        assert ("namespace" in item["metadata"]) != (item["kind"] in chart.CLUSTER_SCOPED), item["metadata"]
    keys = [(i["kind"], i["metadata"].get("namespace"), i["metadata"]["name"]) for i in objects]
    assert len(keys) == len(set(keys))


def _grants(objects: tuple[chart.Object, ...]) -> set[Grant]:
    """What the bindings say, each role's rules found among those of the file."""
    by_rules = {yaml.safe_dump(rules): part for part, rules in RULES.items()}
    roles = {
        _key(o, o): by_rules[yaml.safe_dump(o["rules"])]
        for o in objects
        if o["kind"] in {"Role", "ClusterRole"}
    }
    bindings = [o for o in objects if o["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    return {
        (
            subject["name"].removeprefix("asiarch-"),
            binding["metadata"].get("namespace", "*"),
            roles[_key(binding["roleRef"], binding)],
        )
        for binding in bindings
        for subject in binding["subjects"]
        if subject["namespace"] == "system"
    }


def _key(role: Any, found_in: chart.Object) -> tuple[str, str, str]:
    name = role.get("name") or role["metadata"]["name"]
    namespace = "" if role["kind"] == "ClusterRole" else found_in["metadata"]["namespace"]
    return role["kind"], namespace, name
