"""Jobs that nobody waits for go: at once where something runs in them, else many at a time."""

import asyncio
import copy
from collections.abc import Sequence

import pytest

from asiarch.api.base import timestamp
from asiarch.api.names import CANDIDATE_UID, ORDER, PART
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.kube.client import CANDIDATES, JOBS, ApiError, Kind, Object
from asiarch.kube.settled import KEPT, MANY, Settled
from asiarch.loop import turn
from tests.builders import T0
from tests.kube.orders import a_job, an_order, searching, the_candidate
from tests.kube.scene import FIRST, NAMESPACE, Scene

KEY = (NAMESPACE, "s")


class Stand:
    """Training Jobs of finished orders on an API server in memory."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.pods: dict[str, list[Object]] = {}
        self.due: float | None = None

    async def job(self, number: int, *, ended: float | None = None, pods: Sequence[str] = ()) -> str:
        """A Job that ended so many seconds ago, with pods in these phases."""
        job = a_job(an_order(name=f"s-0001-train-gates-a{number}"), searching())
        if ended is not None:
            condition = {"type": "Complete", "status": "True", "lastTransitionTime": timestamp(T0 - ended)}
            job["status"] = {"conditions": [condition]}
        made = await self.scene.memory.create(JOBS, NAMESPACE, job)
        self.scene.cluster.stores.jobs.apply(made)
        self.pods[made["metadata"]["uid"]] = [{"status": {"phase": phase}} for phase in pods]
        return str(made["metadata"]["name"])

    async def sweep(self, *, at_once: bool = False, waiting: str = "") -> None:
        """What a turn does at its end."""
        settled = Settled(self.scene.cluster, searching(), KEY, lambda uid: self.pods.get(uid, []))
        await settled.leave({"s-0001": waiting})
        chosen, self.due = settled.due({"s-0001": waiting}, T0, at_once=at_once)
        if chosen:
            await settled.clear(chosen)
            _, self.due = settled.due({"s-0001": waiting}, T0, at_once=at_once)

    def left(self) -> list[str]:
        """The Jobs that are there, which are those that are held as well."""
        there = sorted(self.scene.jobs())
        held = self.scene.cluster.stores.jobs.of(KEY).values()
        assert sorted(one.value["metadata"]["name"] for one in held) == there
        return there

    def calls(self, verb: str) -> int:
        """How often something was asked of the API server."""
        return sum(1 for call in self.scene.memory.calls if call[0] == verb)


def test_training_that_is_over_waits_for_company_and_then_goes_with_it() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.job(1, ended=KEPT - 5)
        await stand.job(2, pods=["Succeeded"])
        await stand.sweep()
        assert (len(stand.left()), stand.due) == (2, pytest.approx(5.0))
        await stand.job(3, ended=KEPT)
        await stand.sweep()
        assert stand.left() == []
        assert (stand.calls("deletecollection"), stand.calls("delete"), stand.due) == (1, 0, None)

    asyncio.run(scenario())


def test_a_player_that_wont_leave_is_deleted_now() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.job(1, pods=["Running"])
        await stand.job(2, pods=["Succeeded", "Running"])
        await stand.job(3)
        await stand.job(4, ended=1.0, pods=["Succeeded", "Running"])
        await stand.sweep()
        assert stand.left() == []
        assert (stand.calls("delete"), stand.calls("deletecollection"), stand.due) == (4, 0, None)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["suspended", "lacks a pod", "of an earlier version", "node unknown"])
def test_a_job_that_could_go_on_is_deleted_now(kind: str) -> None:
    async def scenario() -> None:
        stand = Stand()
        name = await stand.job(1, pods=["Unknown" if kind == "node unknown" else "Failed"])
        held = stand.scene.cluster.stores.jobs.get(NAMESPACE, name)
        assert held is not None
        if kind == "suspended":
            held.value["spec"]["suspend"] = True
        elif kind == "lacks a pod":
            held.value["spec"]["completions"] = 2
        elif kind == "of an earlier version":
            del held.value["metadata"]["labels"][CANDIDATE_UID]
        await stand.sweep()
        assert (stand.left(), stand.calls("delete")) == ([], 1)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "owners", [[], [{"kind": "CronJob", "name": "s-0001", "uid": "1", "controller": True}]]
)
def test_somebodys_copy_of_a_job_is_left_alone(owners: list[Object]) -> None:
    async def scenario() -> None:
        stand = Stand()
        name = await stand.job(1, ended=KEPT, pods=["Running"])
        held = stand.scene.cluster.stores.jobs.get(NAMESPACE, name)
        assert held is not None
        held.value["metadata"]["ownerReferences"] = owners
        await stand.sweep(at_once=True)
        assert (stand.left(), stand.due) == ([name], None)

    asyncio.run(scenario())


def test_a_copy_that_somebody_made_of_a_job_stays_when_the_job_goes() -> None:
    async def scenario() -> None:
        stand = Stand()
        name = await stand.job(1, ended=KEPT)
        await stand.job(2, ended=KEPT)
        copied = copy.deepcopy(stand.scene.memory.objects[JOBS.plural, NAMESPACE, name])
        del copied["metadata"]["ownerReferences"]
        copied["metadata"]["name"] = "mine"
        await stand.scene.memory.create(JOBS, NAMESPACE, copied)
        await stand.sweep()
        assert stand.scene.jobs() == ["mine"]
        assert (stand.calls("deletecollection"), stand.calls("delete")) == (0, 2)

    asyncio.run(scenario())


def test_what_the_api_server_does_not_tell_of_waits_and_keeps_no_other() -> None:
    async def scenario() -> None:
        stand = Stand()
        for number in (1, 2, 3):
            await stand.job(number, ended=1.0)

        def fail_once(verb: str, kind: Kind, _name: str) -> None:
            if (verb, kind) == ("get", CANDIDATES):
                stand.scene.heal()
                raise ApiError(503, "ServiceUnavailable", "try later")

        stand.scene.memory.before = fail_once
        await stand.sweep(at_once=True)
        assert (len(stand.left()), stand.due) == (1, 1.0)
        stand.scene.memory.before = fail_once
        with pytest.raises(ApiError):
            await stand.sweep(at_once=True)
        await stand.sweep(at_once=True)
        assert (stand.left(), stand.due) == ([], None)

    asyncio.run(scenario())


def test_training_that_ended_long_ago_goes_though_its_job_never_says_so() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.job(1, pods=["Succeeded"])
        ended = {"finishedAt": timestamp(T0 - KEPT)}
        (pods,) = stand.pods.values()
        pods[0]["status"]["containerStatuses"] = [{"name": "referee", "state": {"terminated": ended}}]
        await stand.sweep()
        assert (stand.left(), stand.calls("deletecollection")) == ([], 1)

    asyncio.run(scenario())


def test_many_dont_wait_and_what_is_beyond_them_goes_next() -> None:
    async def scenario() -> None:
        stand = Stand()
        for number in range(MANY + 1):
            await stand.job(number, ended=1.0)
        await stand.sweep()
        assert (len(stand.left()), stand.due) == (1, KEPT - 1.0)
        await stand.sweep(at_once=True)
        assert (stand.left(), stand.due) == ([], None)

    asyncio.run(scenario())


def test_what_its_candidate_waits_for_is_left_whatever_the_turn_believes() -> None:
    async def scenario() -> None:
        stand = Stand()
        waited_for, other, third = [await stand.job(number, ended=KEPT) for number in (1, 2, 3)]
        candidate = {"metadata": {"name": "s-0001"}, "status": {"order": {"name": waited_for}}}
        await stand.scene.memory.create(CANDIDATES, NAMESPACE, candidate)
        await stand.sweep()
        assert stand.left() == [waited_for]
        await stand.job(2, pods=["Running"])
        stand.scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]["status"]["order"]["name"] = other
        await stand.sweep(waiting=third)
        assert stand.left() == [other]

    asyncio.run(scenario())


def test_the_next_order_of_a_candidate_without_one_is_left_whatever_the_turn_believes() -> None:
    async def scenario() -> None:
        stand = Stand()
        name = await stand.job(1, pods=["Running"])
        await stand.job(2, pods=["Running"])
        body = the_candidate().model_dump(mode="json", by_alias=True, exclude_none=True)
        assert "order" not in body["status"]
        await stand.scene.memory.create(CANDIDATES, NAMESPACE, body)
        await stand.sweep(waiting="another")
        assert stand.left() == [name]
        stand.scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]["status"]["rung"] = 9
        await stand.sweep(waiting="another")
        assert stand.left() == [name]

    asyncio.run(scenario())


def test_an_order_that_somebody_erased_goes_on_under_its_name() -> None:
    """The turn that names it again finds its Job; were that deleted before, the same attempt would run twice."""

    async def scenario() -> None:
        scene = Scene()
        await scene.apply()
        await scene.turns(4)
        (job,) = scene.memory.of(JOBS)
        order = job["metadata"]["annotations"][ORDER]
        sweep = scene.world._orders.sweep

        async def erased(search: ArchitectureSearch) -> None:
            held = await scene.memory.get(CANDIDATES, NAMESPACE, FIRST)
            assert held is not None
            assert held["status"].pop("order")["name"] == order
            found = await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, held)
            scene.cluster.stores.candidates.apply(found)
            await sweep(search)

        scene.world._orders.sweep = erased  # type: ignore[method-assign]
        await scene.turn()
        scene.world._orders.sweep = sweep  # type: ignore[method-assign]
        await scene.turns(3)
        assert [one["metadata"]["uid"] for one in scene.memory.of(JOBS)] == [job["metadata"]["uid"]]
        named = await scene.memory.get(CANDIDATES, NAMESPACE, FIRST)
        assert named is not None
        assert named["status"]["order"]["name"] == order

    asyncio.run(scenario())


def test_what_bears_another_owner_or_another_name_is_never_chosen() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.job(1, ended=KEPT)
        stranger = a_job(an_order(name="s-0001-train-gates-a9"), searching())
        await stand.scene.memory.create(JOBS, NAMESPACE, stranger)
        elder = a_job(an_order(name="s-0001-train-gates-a1"), searching())
        elder["metadata"]["labels"]["asiarch.dev/candidate-uid"] = "another"
        elder["metadata"]["name"] = "elder"
        await stand.scene.memory.create(JOBS, NAMESPACE, elder)
        await stand.sweep()
        assert sorted(stand.scene.jobs()) == ["elder", "s-0001-train-gates-a9"]

    asyncio.run(scenario())


def test_a_call_without_an_answer_is_made_again() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.job(1, ended=KEPT)

        def deaf(verb: str, _kind: Kind, _name: str) -> None:
            if verb == "deletecollection":
                raise ApiError(0, "Unreachable", "reset")

        stand.scene.memory.before = deaf
        with pytest.raises(ApiError):
            await stand.sweep()
        assert len(stand.left()) == 1
        stand.scene.memory.before = lambda *_: None
        await stand.sweep()
        assert stand.left() == []

    asyncio.run(scenario())


def test_an_agents_job_is_left_to_its_own_time_once_it_has_ended() -> None:
    async def scenario() -> None:
        stand = Stand()
        for name, ended in (("s-0001-propose-a1", True), ("s-0001-propose-a2", False)):
            job = a_job(an_order("propose", name=name), searching())
            assert (job["metadata"]["labels"][PART], job["metadata"]["annotations"][ORDER]) == ("agent", name)
            if ended:
                job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
            stand.scene.cluster.stores.jobs.apply(await stand.scene.memory.create(JOBS, NAMESPACE, job))
        await stand.sweep(at_once=True)
        assert stand.left() == ["s-0001-propose-a1"]

    asyncio.run(scenario())


async def with_training_that_is_over() -> tuple[Scene, str]:
    """A search at work, and a Job of it that has been over for long enough."""
    scene = Scene()
    await scene.apply()
    await scene.turns(4)
    over = a_job(an_order(name=f"{FIRST}-train-gates-a8"), searching())
    condition = {"type": "Complete", "status": "True", "lastTransitionTime": timestamp(T0 - KEPT)}
    over["status"] = {"conditions": [condition]}
    await scene.memory.create(JOBS, NAMESPACE, over)
    return scene, str(over["metadata"]["name"])


async def a_turn(scene: Scene) -> None:
    """A turn that ends by itself, whatever goes on beside it."""
    scene.hear()
    scene.world.begin(scene.now)
    await asyncio.wait_for(turn(scene.world, "s", scene.now), 5)


def test_turns_go_on_while_many_jobs_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        scene, over = await with_training_that_is_over()
        gate, asked = asyncio.Event(), []
        delete_all = scene.memory.delete_all

        async def slow(kind: Kind, namespace: str, labels: str) -> None:
            asked.append(labels)
            await gate.wait()
            await delete_all(kind, namespace, labels)

        monkeypatch.setattr(scene.memory, "delete_all", slow)
        for _ in range(3):
            await a_turn(scene)
            await asyncio.sleep(0)
            assert (over in scene.jobs(), scene.world.wake_after) == (True, 1.0)
        gate.set()
        await scene.turns(2)
        assert over not in scene.jobs()
        assert len(asked) == 1
        assert not scene.cluster.aside

    asyncio.run(scenario())


def test_a_refused_deletion_of_many_is_told_of_and_asked_for_again() -> None:
    async def scenario() -> None:
        scene, over = await with_training_that_is_over()

        def refuse(verb: str, _kind: Kind, _name: str) -> None:
            if verb == "deletecollection":
                raise ApiError(403, "Forbidden", "a policy keeps Jobs")

        scene.memory.before = refuse
        await scene.turns(3)
        assert scene.troubles == [(Reason.JOB_REJECTED, False)]
        for wait in (2.1, 4.1):
            # It is told of without a break until it goes, and asked for less and less often.
            scene.clock += wait
            for _ in range(4):
                await scene.turn()
                assert scene.troubles == [(Reason.JOB_REJECTED, False)]
        scene.heal()
        scene.clock += 8.1
        await scene.turns(3)
        assert over not in scene.jobs()
        assert scene.troubles == []

    asyncio.run(scenario())
