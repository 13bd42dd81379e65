"""An order that is taken back costs what its processes ran, and is never made twice."""

import copy
from contextlib import suppress

import pytest

from asiarch.api.names import result_name
from asiarch.api.order import Result, Writing
from asiarch.api.reason import Reason
from asiarch.api.search import Rung
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, PODS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.manifests import KEPT_AGENT
from asiarch.kube.orders import UNSURE
from asiarch.kube.starts import GRACE
from asiarch.loop import turn
from tests.kube.orders import an_order
from tests.kube.scene import FIRST, NAMESPACE, Scene, played
from tests.kube.statuses import a_condition, a_pod, deleted, ended, failed, measured, message, running

TWO = Rung(name="recall", task="SyntheticRecall", seeds=2, deadline="2h", resources={"nvidia.com/gpu": 8})
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


def placeless_pod(index: int) -> Object:
    """A pod that no machine has room for."""
    no_room = a_condition("PodScheduled", "Unschedulable", "False", message="0/3 nodes are available")
    return a_pod(ORDER, index=index, phase="Pending", conditions=[no_room], containerStatuses=[])


async def without_a_place(scene: Scene) -> None:
    """The first baseline has waited for a place for its two seeds for longer than anybody does."""
    await at_training(scene)
    await pods_of(scene, placeless_pod(0), placeless_pod(1))
    scene.now += EARLIER


@pytest.mark.parametrize("placeless", [0, 1])
def test_a_seed_without_a_place_doesnt_make_the_others_time_free(placeless: int) -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        runs = 1 - placeless
        told = message(measured(ORDER, runs))
        done = a_pod(
            ORDER, ended("referee", message=told, after=3002), ended("player", after=3002), index=runs
        )
        await pods_of(
            scene, {**done, "status": {**done["status"], "phase": "Succeeded"}}, placeless_pod(placeless)
        )
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
        await edit(scene, suspend=True, stopPolicy="Cancel")
        await scene.turns(3)
        assert "order" not in status(scene)
        assert status(scene)["cost"]["gpuSeconds"] == pytest.approx(2 * 8 * 600.0)

    played(scenario)


def test_what_its_queue_holds_back_is_taken_back_for_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        (job,) = scene.memory.of(JOBS)
        held = {"spec": {**job["spec"], "suspend": True}}
        await scene.memory.patch(JOBS, NAMESPACE, job["metadata"]["name"], held)
        scene.now += EARLIER
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-recall-a1"]
        await edit(scene, suspend=True)
        await scene.turns(3)
        assert scene.jobs() == []
        assert not {"order", "cost"} & status(scene).keys()
        assert status(scene)["lost"] == status(scene)["excused"] == 1

    played(scenario)


def fail_to_delete_once(scene: Scene) -> None:
    """Refuse the next deletion of a Job, for no fault of ours."""

    def refuse(verb: str, kind: Kind, _name: str) -> None:
        if (verb, kind) == ("delete", JOBS):
            scene.heal()
            raise ApiError(500, "InternalError", "etcd leader changed")

    scene.memory.before = refuse


def test_an_attempt_that_is_given_up_is_deleted_though_the_first_call_fails() -> None:
    async def scenario(scene: Scene) -> None:
        await without_a_place(scene)
        fail_to_delete_once(scene)
        with pytest.raises(ApiError):
            await scene.turn()
        await scene.turns(3)
        assert scene.asked("delete", f"{FIRST}-train-recall-a1") == 1
        for key in [key for key in scene.memory.objects if key[0] == PODS.plural]:
            del scene.memory.objects[key]
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-recall-a2"]
        assert status(scene)["excused"] == 1

    played(scenario)


def test_a_job_that_may_not_be_deleted_is_told_of_and_keeps_nothing_else_waiting() -> None:
    async def scenario(scene: Scene) -> None:
        await without_a_place(scene)
        asked = []

        def refuse(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind) == ("delete", JOBS):
                asked.append(name)
                raise ApiError(
                    403, "Forbidden", 'jobs "x" is forbidden: User "y" cannot delete resource "jobs"'
                )

        scene.memory.before = refuse
        await scene.turns(3)
        assert scene.troubles == [(Reason.FORBIDDEN, False)]
        assert len(asked) == 1
        scene.clock += 2.1
        await scene.turns(3)
        assert len(asked) == 2
        scene.heal()
        scene.clock += 4.1
        await scene.turn()
        assert scene.jobs() == []

    played(scenario)


def test_a_job_that_only_lost_our_labels_is_deleted_before_its_attempt_counts_as_lost() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        (job,) = scene.memory.of(JOBS)
        scene.hear()
        scene.cluster.stores.jobs.remove(job)
        scene.world.begin(scene.now)
        await turn(scene.world, "s", scene.now)
        assert scene.jobs() == []
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-recall-a2"]

    played(scenario)


def test_a_job_that_something_else_keeps_is_deleted_once_and_waited_for() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        (job,) = scene.memory.of(JOBS)
        scene.hear()
        scene.cluster.stores.jobs.remove(job)
        job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        scene.world.begin(scene.now)
        await turn(scene.world, "s", scene.now)
        assert scene.asked("delete", f"{FIRST}-train-recall-a1") == 0
        assert status(scene)["lost"] == 1

    played(scenario)


def test_training_that_may_not_be_deleted_once_it_is_over_is_told_of_and_asked_for_later() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        over = copy.deepcopy(scene.memory.of(JOBS)[0])
        over["metadata"] = {**over["metadata"], "name": f"{FIRST}-train-recall-a0"}
        over["metadata"]["annotations"] = {"asiarch.dev/order": over["metadata"]["name"]}
        await scene.memory.create(JOBS, NAMESPACE, over)
        asked = []

        def refuse(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind) == ("delete", JOBS):
                asked.append(name)
                raise ApiError(403, "Forbidden", "a policy keeps Jobs")

        scene.memory.before = refuse
        await scene.turns(3)
        assert scene.troubles == [(Reason.JOB_REJECTED, False)]
        assert (
            "Jobs that nobody waits for can't be deleted: a policy keeps Jobs"
            in scene.world.seen.troubles[0].message
        )
        assert len(asked) == 1
        scene.heal()
        scene.clock += 2.1
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-recall-a1"]
        assert scene.troubles == []

    played(scenario)


def test_a_job_that_never_got_a_pod_costs_nothing_and_is_no_sign_of_failure() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        (job,) = scene.memory.of(JOBS)
        job["status"] = {"conditions": [failed("DeadlineExceeded", since=0)]}
        job["metadata"]["resourceVersion"] = "1000"
        scene.now += EARLIER
        await scene.turns(3)
        assert status(scene)["excused"] == status(scene)["lost"] == 1
        assert "cost" not in status(scene)

    played(scenario)


def test_an_order_that_is_cancelled_is_deleted_though_the_first_call_fails_and_the_search_resumes() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        await pods_of(
            scene,
            *(a_pod(ORDER, running("referee"), running("player"), index=i, phase="Running") for i in (0, 1)),
        )
        scene.now += 600.0
        await edit(scene, suspend=True, stopPolicy="Cancel")
        fail_to_delete_once(scene)
        with pytest.raises(ApiError):
            await scene.turn()
        await edit(scene, suspend=False)
        scene.now += 60.0
        await scene.turn()
        assert scene.jobs() == []
        for key in [key for key in scene.memory.objects if key[0] == PODS.plural]:
            del scene.memory.objects[key]
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-recall-a2"]
        assert status(scene)["cost"]["gpuSeconds"] > 2 * 8 * 600.0

    played(scenario)


def test_a_pod_that_goes_while_it_is_looked_at_is_charged_once() -> None:
    async def scenario(scene: Scene) -> None:
        await at_training(scene)
        await pods_of(scene, a_pod(ORDER, index=0), a_pod(ORDER, index=1))
        pod, _ = scene.memory.of(PODS)
        scene.now += 600.0
        scene.cluster.stores.departed.keep(deleted(pod, 600))
        await edit(scene, suspend=True, stopPolicy="Cancel")
        await scene.turns(3)
        assert "order" not in status(scene)
        assert status(scene)["cost"]["gpuSeconds"] == pytest.approx(2 * 8 * 598.0)

    played(scenario)


async def edit(scene: Scene, **spec: object) -> None:
    """Edit the search as a user does."""
    search = copy.deepcopy(scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"])
    search["spec"] |= spec
    await scene.memory.replace(SEARCHES, NAMESPACE, "s", search)


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
        for _ in range(9):
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
