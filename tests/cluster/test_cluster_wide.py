"""An operator that serves all namespaces, by a ClusterRole: those that are there, and those that come later."""

from pathlib import Path

import yaml

from tests.cluster import checker
from tests.cluster.checks.evidence import json_lines
from tests.cluster.checks.rights import beyond_the_role
from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.manifests import a_short_search
from tests.cluster.plane import ControlPlane
from tests.cluster.rig import API, Rig
from tests.cluster.shared import settled, shared_rig
from tests.cluster.test_rights import rules_of


def test_searches_of_every_namespace_are_served_by_exactly_the_charts_rights(tmp_path: Path) -> None:
    with ControlPlane() as plane:
        plane.install()
        plane.namespace("earlier", SERVICE_ACCOUNTS, RESTRICTED)
        apply_in(plane, "earlier")
        folder = tmp_path / "wide"
        folder.mkdir()
        with shared_rig(plane, folder, wide=True) as cast:
            plane.namespace("later", SERVICE_ACCOUNTS, RESTRICTED)
            apply_in(plane, "later")
            cast.apply(a_short_search("s"))
            settled(cast, "s")
            assert checker.check_all(cast.evidence("s"), cast.users) == []
            others = ("earlier", "later")
            plane.wait_for(lambda: {phase(plane, one) for one in others} == {"Complete"}, "the others", 60)
            assert rights_exceeded(cast) == []


def apply_in(plane: ControlPlane, namespace: str) -> None:
    """Apply a short search as a user of a namespace would."""
    plane.kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml.safe_dump(a_short_search("s")))


def phase(plane: ControlPlane, namespace: str) -> str:
    """How far a namespace's search is."""
    found = plane.get(f"{API}/namespaces/{namespace}/architecturesearches/s")
    return str(found.get("status", {}).get("phase", ""))


def rights_exceeded(cast: Rig) -> list[str]:
    """I8, for operator and gateway, in all namespaces."""
    audit = json_lines(cast.plane.audit_log)
    accounts = ("asiarch-operator", "asiarch-gateway")
    rules = {user: rules_of(cast, name) for user, name in zip(cast.users, accounts, strict=True)}
    assert all(rules.values())
    return [fault for user, mine in rules.items() for fault in beyond_the_role(mine, audit, user)]
