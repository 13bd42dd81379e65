"""F4, F5, F6: watches that break, lag or lose events; lists from the past; states that nobody saw."""

import time
from typing import get_args

import pytest

from tests.cluster import scenarios
from tests.cluster.faults.settings import Faults, Stale, WatchFault, WatchKind
from tests.cluster.rig import API
from tests.cluster.stage import FULL, Stage

KINDS: tuple[WatchKind, ...] = get_args(WatchKind)
LOSING = frozenset({"black-hole", "drop", "bookmarks", "reorder"})
"""After these only a full list helps, as it comes every five minutes; here every few seconds."""
OFTEN = ("--resync", "1.5")
WATCHED = ("architecturesearches", "candidates", "jobs", "pods", "configmaps")


@pytest.mark.parametrize("kind", KINDS)
def test_f4_a_broken_watch_breaks_no_invariant(shared_stage: Stage, kind: WatchKind) -> None:
    name = f"watch-{kind}"
    fault = WatchFault(kind=kind, streams=len(WATCHED), after=0 if kind == "gone" else 2, seconds=5, rate=0.5)
    with shared_stage.scene(OFTEN if kind in LOSING else ()) as scene:
        scene.proxy.faults(Faults(watches=(fault,)))
        assert scenarios.play(scene, scenarios.small(name)) == []
        lost = "event-lost" if kind in {"drop", "bookmarks"} else name
        served = scene.proxy.state()["faults"].get(lost, 0)
        assert served >= 1
        # Each refusal of a watch may end a process; whatever else befalls watches, one at most.
        assert scene.operator.starts <= 1 + (served if kind == "gone" else 1)


@pytest.mark.skipif(not FULL, reason="takes two minutes: ASIARCH_FULL=1")
def test_f4_a_black_hole_is_noticed_within_90_seconds(shared_stage: Stage) -> None:
    with shared_stage.scene() as scene:
        scene.proxy.faults(Faults(watches=(WatchFault(kind="black-hole", streams=len(WATCHED), after=2),)))
        assert scenarios.play(scene, scenarios.small("hole")) == []


@pytest.mark.skipif(not FULL, reason="takes three minutes: ASIARCH_FULL=1")
def test_f4_watches_that_never_begin_are_told_from_quiet_ones(shared_stage: Stage) -> None:
    with shared_stage.scene(OFTEN) as scene:
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{scene.namespace}/roles"
        role = next(r for r in scene.plane.get(roles)["items"] if "watch" in str(r["rules"]))
        deaf = [{**r, "verbs": [v for v in r["verbs"] if v != "watch"]} for r in role["rules"]]
        where, merge = f"{roles}/{role['metadata']['name']}", "application/merge-patch+json"
        scene.plane.request("PATCH", where, {"rules": deaf}, kind=merge)
        assert scenarios.play(scene, scenarios.small("deaf")) == []
        assert scene.operator.fetch("/livez") == "ok\n"

        def dead() -> bool:
            patch = {"metadata": {"annotations": {"moment": str(time.time())}}}
            path = f"{API}/namespaces/{scene.namespace}/architecturesearches/deaf"
            scene.plane.request("PATCH", path, patch, kind=merge)
            return scene.operator.fetch("/livez") is None

        scene.until(dead, "a dead watch", 150.0)
        assert 'asiarch_watch_missed_total{kind="architecturesearches"}' in (
            scene.operator.fetch("/metrics") or ""
        )
        scene.plane.request("PATCH", where, {"rules": role["rules"]}, kind=merge)
        scene.until(lambda: not dead(), "the watch to live", 60.0)


@pytest.mark.parametrize("how", ["reconnect", "restart"])
@pytest.mark.parametrize("back", [1, 10])
def test_f5_a_list_from_the_past_starts_nothing_twice(shared_stage: Stage, back: int, how: str) -> None:
    with shared_stage.scene() as scene:
        scene.proxy.record()
        scene.post(scenarios.small("stale", 2))
        scene.start_operator()
        scene.until(lambda: len(scene.candidates()) >= 3, "a proposal", scenarios.PATIENCE)
        lists, again = (1, True) if how == "reconnect" else (2, False)
        past = tuple(Stale(resource=r, back=back, lists=lists, seconds=3, reconnect=again) for r in WATCHED)
        scene.proxy.faults(Faults(stale=past))
        if how == "restart":
            scene.operator.kill()
            scene.start_operator()
        assert scenarios.end(scene, "stale") == []
        assert scene.proxy.state()["faults"].get("stale", 0) >= 1


def test_f6_a_job_that_came_and_went_unseen_is_tried_again(shared_stage: Stage) -> None:
    order = "unseen-0000-train-gates-a1"
    with shared_stage.scene(OFTEN) as scene:
        scenarios.hold_up(shared_stage, scene, "unseen", order)
        for kind in ("jobs", "pods"):
            scene.proxy.hold(kind, "hold")
        scenarios.delete_job(scene, order)
        for kind in ("jobs", "pods"):
            scene.proxy.hold(kind, "discard")
        assert scenarios.end(scene, "unseen") == []


def test_f6_a_users_candidate_that_came_and_went_unseen_leaves_no_gap(shared_stage: Stage) -> None:
    order = "guest-0000-train-gates-a1"
    with shared_stage.scene(OFTEN) as scene:
        scenarios.hold_up(shared_stage, scene, "guest", order, seconds=2.0)
        scene.proxy.hold("candidates", "hold")
        path = f"{API}/namespaces/{scene.namespace}/candidates"
        spec = {"searchName": "guest", "origin": "User", "seed": 1, "idea": "Mix less."}
        guest = {"metadata": {"name": "guest-idea"}, "spec": spec}
        about = {"apiVersion": "asiarch.dev/v1alpha1", "kind": "Candidate"}
        scene.plane.request("POST", path, {**about, **guest})
        scene.plane.request("DELETE", f"{path}/guest-idea")
        scene.proxy.hold("candidates", "discard")
        assert scenarios.end(scene, "guest") == ["I1 guest-idea existed and is in no lineage"]
