"""How orders are started: what keeps one of them from it keeps no other waiting."""

import pytest

from asiarch.api.candidate import Candidate
from asiarch.api.names import context_name
from asiarch.api.order import Order
from asiarch.api.reason import Reason
from asiarch.core.actions import StartOrder
from asiarch.kube.client import CONFIG_MAPS, JOBS, ApiError, Kind
from asiarch.kube.manifests import context_map
from asiarch.kube.starts import Starts
from tests.kube.orders import a_ref, an_order
from tests.kube.scene import FIRST, NAMESPACE, Scene, played

UNASKED = ApiError(500, "InternalError", "failed calling webhook: context deadline exceeded")
DOWN = ApiError(503, "Unavailable", "no leader")


def orders() -> tuple[Order, Order]:
    """Two orders of the first candidate."""
    return tuple(an_order(name=f"{FIRST}-train-{rung}-a1", candidate=FIRST) for rung in ("one", "two"))  # type: ignore[return-value]


async def begun(scene: Scene) -> tuple[Starts, Candidate]:
    """A search whose first candidate is there, and nothing started yet by this process."""
    await scene.apply()
    await scene.turns(3)
    starts = Starts(scene.cluster, NAMESPACE)
    candidate = scene.world.seen.candidates[FIRST]
    named(starts, candidate, *orders())
    return starts, candidate


def named(starts: Starts, candidate: Candidate, *which: Order) -> None:
    """This process has named these orders a moment ago."""
    resting = candidate.model_copy(update={"status": candidate.status.model_copy(update={"order": None})})
    for order in which:
        with starts.naming(resting, resting.status.model_copy(update={"order": a_ref(order)})):
            pass


def test_an_order_whose_creation_keeps_failing_goes_last_and_is_told_of() -> None:
    async def scenario(scene: Scene) -> None:
        starts, _ = await begun(scene)
        one, two = orders()
        scene.fail(JOBS, DOWN)
        for troubles in (0, 1):
            with pytest.raises(ApiError):
                await starts.start(one, scene.world.seen)
            assert len(starts.troubles) == troubles
        assert starts.troubles[0].message == f"Order {one.name} can't start: no leader. It is tried again."
        assert starts.willing_first([StartOrder(one), StartOrder(two)]) == [StartOrder(two), StartOrder(one)]
        scene.heal()
        assert await starts.start(one, scene.world.seen) is not None
        assert starts.troubles == []
        starts.begin({}, set())
        assert (starts.named, starts.asked) == ({}, {})

    played(scenario)


def test_whoever_has_to_admit_jobs_and_does_not_answer_is_waited_for_once_in_a_turn() -> None:
    async def scenario(scene: Scene) -> None:
        starts, _ = await begun(scene)
        asked = []

        def refuse(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind) == ("create", JOBS):
                asked.append(name)
                raise UNASKED

        scene.memory.before = refuse
        for order in orders():
            assert await starts.start(order, scene.world.seen) is None
        assert len(asked) == 1
        assert [trouble.reason for trouble in starts.troubles] == [Reason.JOB_REJECTED] * 2
        starts.begin(dict.fromkeys(order.name for order in orders()), {FIRST})
        scene.clock += 2.1
        await starts.start(orders()[1], scene.world.seen)
        assert len(asked) == 2

    played(scenario)


async def told_once(scene: Scene) -> tuple[Starts, Candidate, Order, Order]:
    """A candidate whose engineer was told what to do, and lost; both attempts."""
    starts, candidate = await begun(scene)
    first, second = (
        an_order("build", name=f"{FIRST}-build-a{attempt}", candidate=FIRST, attempt=attempt)
        for attempt in (1, 2)
    )
    await scene.memory.create(CONFIG_MAPS, NAMESPACE, context_map(first, candidate, "{}"))
    named(starts, candidate, second)
    return starts, candidate, first, second


def test_what_the_agent_of_a_lost_attempt_was_told_goes_with_the_next_attempt() -> None:
    async def scenario(scene: Scene) -> None:
        starts, _, first, second = await told_once(scene)
        await starts.start(second, scene.world.seen)
        names = {one["metadata"]["name"] for one in scene.memory.of(CONFIG_MAPS)}
        assert context_name(second.name) in names
        assert context_name(first.name) not in names

    played(scenario)


def test_what_it_was_told_keeps_no_attempt_waiting() -> None:
    async def scenario(scene: Scene) -> None:
        starts, _, _, second = await told_once(scene)

        def refuse(verb: str, kind: Kind, _name: str) -> None:
            if (verb, kind) == ("delete", CONFIG_MAPS):
                raise ApiError(403, "Forbidden", "a policy keeps ConfigMaps")

        scene.memory.before = refuse
        assert await starts.start(second, scene.world.seen) is not None

    played(scenario)


def test_nobody_elses_config_map_goes_with_it() -> None:
    async def scenario(scene: Scene) -> None:
        starts, candidate = await begun(scene)
        name = context_name(f"{FIRST}-build-a1")
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, {"metadata": {"name": name}})
        second = an_order("build", name=f"{FIRST}-build-a2", candidate=FIRST, attempt=2)
        named(starts, candidate, second)
        await starts.start(second, scene.world.seen)
        assert name in {one["metadata"]["name"] for one in scene.memory.of(CONFIG_MAPS)}

    played(scenario)


def test_nothing_is_started_for_a_candidate_that_is_gone() -> None:
    async def scenario(scene: Scene) -> None:
        starts, _ = await begun(scene)
        calls = len(scene.memory.calls)
        assert await starts.start(an_order(candidate="s-0009"), scene.world.seen) is None
        assert len(scene.memory.calls) == calls

    played(scenario)
