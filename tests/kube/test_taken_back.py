"""An order that is taken back costs what its processes ran, and is never made twice."""

import copy
from contextlib import suppress

import pytest

from asiarch.api.names import result_name
from asiarch.api.order import Result, Writing
from asiarch.api.search import Rung
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, PODS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.manifests import KEPT_AGENT
from asiarch.kube.orders import GRACE, UNSURE
from tests.kube.orders import an_order
from tests.kube.scene import FIRST, NAMESPACE, Scene, played
from tests.kube.statuses import a_condition, a_pod, ended, measured, message

TWO = Rung(name="recall", task="SyntheticRecall", seeds=2, deadline="2h", resources={"gpu": 8})
ORDER = an_order(name=f"{FIRST}-train-recall-a1", rung=TWO, candidate=FIRST)
EARLIER = 7200.0


async def pods_of(scene: Scene, *pods: Object) -> None:
    """Pods of the one Job that there is, as its kubelet and its scheduler tell of them."""
    (job,) = scene.memory.of(JOBS)
    for pod in pods:
        owner = {
            "kind": "Job",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
            "controller": True,
        }
        made = {**pod, "metadata": {**pod["metadata"], "ownerReferences": [owner]}}
        await scene.memory.create(PODS, NAMESPACE, made)


def status(scene: Scene) -> Object:
    found: Object = scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["status"]
    return found


async def at_training(scene: Scene) -> None:
    """The first baseline trains, with two seeds."""
    await scene.apply(ladder=(TWO,))
    await scene.turns(4)
    assert scene.jobs() == [f"{FIRST}-train-recall-a1"]


@pytest.mark.parametrize("placeless", [0, 1])
def test_a_seed_without_a_place_doesnt_make_the_others_time_free(placeless: int) -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        runs = 1 - placeless
        told = message(measured(ORDER, runs))
        done = a_pod(
            ORDER, ended("referee", message=told, after=3002), ended("player", after=3002), index=runs
        )
        no_room = a_condition("PodScheduled", "Unschedulable", "False", message="0/3 nodes are available")
        stuck = a_pod(ORDER, index=placeless, phase="Pending", conditions=[no_room], containerStatuses=[])
        await pods_of(scene, {**done, "status": {**done["status"], "phase": "Succeeded"}}, stuck)
        scene.now += EARLIER
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-recall-a2"]
        assert status(scene)["lost"] == status(scene)["excused"] == 1
        assert status(scene)["cost"]["gpuSeconds"] == pytest.approx(8 * 3000.0)

    played(scenario)


@pytest.mark.parametrize("asked", [True, False])
def test_an_order_whose_job_is_nowhere_is_stopped_at_the_cost_of_the_time_since_it_was_named(
    *, asked: bool
) -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        scene.memory.objects = {k: v for k, v in scene.memory.objects.items() if k[0] != JOBS.plural}
        if asked:
            scene.restart()
        scene.now += 600.0
        search = copy.deepcopy(scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"])
        search["spec"] |= {"suspend": True, "stopPolicy": "Cancel"}
        await scene.memory.replace(SEARCHES, NAMESPACE, "s", search)
        await scene.turns(3)
        assert "order" not in status(scene)
        assert status(scene)["cost"]["gpuSeconds"] == pytest.approx(2 * 8 * 600.0)

    played(scenario)


def test_what_is_asked_for_again_can_not_have_come_and_gone() -> None:
    assert UNSURE + GRACE < KEPT_AGENT


def test_an_agent_that_brought_its_result_while_we_were_cut_off_is_not_sent_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        mine = {
            "metadata": {"name": "mine"},
            "spec": {"searchName": "s", "origin": "User", "idea": "Gate the keys.", "seed": 5},
        }
        candidate = await scene.memory.create(CANDIDATES, NAMESPACE, mine)
        scene.fail(JOBS, ApiError(0, "Unreachable", "reset"))
        for _ in range(8):
            with suppress(ApiError):
                await scene.turn()
        order = scene.memory.objects[CANDIDATES.plural, NAMESPACE, "mine"]["status"]["order"]["name"]
        assert order == "mine-build-a1"
        result = Result(order=order, attempt=1, writing=Writing(text="def mixer(): ..."))
        brought = {
            "metadata": {
                "name": result_name(order),
                "ownerReferences": [{"uid": candidate["metadata"]["uid"], "controller": True}],
            },
            "data": {"result.json": message(result)},
        }
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, brought)
        scene.heal()
        await scene.turns(2)
        assert "mine-build-a1" not in scene.jobs()
        assert scene.memory.objects[CANDIDATES.plural, NAMESPACE, "mine"]["status"]["phase"] == "Evaluating"

    played(scenario)


def test_a_webhook_that_doesnt_answer_is_waited_for_at_no_cost() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        words = 'Internal error occurred: failed calling webhook "mjob.kb.io": connection refused'
        scene.fail(JOBS, ApiError(500, "InternalError", words))
        for _ in range(8):
            await scene.turn()
            scene.clock += UNSURE
            scene.now += UNSURE
        await scene.turn()
        assert status(scene)["reason"] == "JobRejected"
        assert "failed calling webhook" in status(scene)["message"]
        scene.heal()
        scene.clock += 600
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        assert status(scene).get("lost", 0) == 0
        assert status(scene).get("cost", {}).get("seconds", 0) == 0

    played(scenario)


@pytest.mark.parametrize("gone_on", [True, False])
def test_who_was_held_up_after_naming_an_order_looks_before_it_starts(*, gone_on: bool) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()

        def hold_up(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind, name) == ("update/status", CANDIDATES, FIRST):
                scene.clock += GRACE
            elif (verb, kind, name) == ("get", CANDIDATES, FIRST) and gone_on:
                status(scene)["order"]["name"] = f"{FIRST}-train-gates-a2"

        scene.memory.before = hold_up
        await scene.turns(3)
        assert scene.asked("create", f"{FIRST}-train-gates-a1") == (not gone_on)

    played(scenario)
