"""An order that the API server refuses never ran: it costs nothing, and a person's word reaches it all the same."""

import copy
from typing import Any, cast

import pytest

from asiarch.api.base import timestamp
from asiarch.api.reason import Reason
from asiarch.gateway.cluster import QuotaError
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.gateway import ApiCluster
from asiarch.kube.orders import Orders
from tests.builders import T0
from tests.kube.orders import a_job, an_order, searching
from tests.kube.scene import FIRST, NAMESPACE, Scene, played

FULL = ApiError(403, "Forbidden", "exceeded quota: none")
"""As a quota refuses."""


def status(scene: Scene, kind: Kind = CANDIDATES, name: str = FIRST) -> Object:
    """The status of an object as it stands."""
    found: Object = scene.memory.objects[kind.plural, NAMESPACE, name]["status"]
    return found


async def suspend(scene: Scene) -> None:
    """As a user does."""
    found = copy.deepcopy(scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"])
    found["spec"]["suspend"] = True
    await scene.memory.replace(SEARCHES, NAMESPACE, "s", found)


def test_a_quota_that_refuses_an_agents_result_is_handed_on_in_its_own_words() -> None:
    async def scenario(scene: Scene) -> None:
        scene.fail(CONFIG_MAPS, FULL)
        cluster = ApiCluster(cast("Any", scene.memory))
        with pytest.raises(QuotaError) as refusal:
            await cluster.create_config_map(NAMESPACE, {"metadata": {"name": "r"}})
        assert str(refusal.value) == FULL.message

    played(scenario)


def test_what_an_earlier_process_was_refused_is_started_by_the_next_at_no_cost() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        scene.fail(JOBS, FULL)
        await scene.turns(6)
        assert status(scene)["reason"] == "QuotaExceeded"
        scene.restart()
        scene.heal()
        await scene.turns(3)
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        assert "reason" not in status(scene)
        assert status(scene).get("lost", 0) == 0

    played(scenario)


def test_a_suspended_search_takes_a_refused_order_back_at_no_cost() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        scene.fail(JOBS, FULL)
        await scene.turns(6)
        await suspend(scene)
        await scene.turns(3)
        scene.heal()
        scene.clock += 600
        await scene.turns(3)
        assert scene.jobs() == []
        assert status(scene, SEARCHES, "s")["phase"] == "Suspended"
        assert "order" not in status(scene)
        assert status(scene).get("cost", {}).get("seconds", 0) == 0

    played(scenario)


def test_an_order_of_which_we_havent_heard_is_stopped_where_it_runs() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        scene.restart()
        orders = Orders(scene.cluster, (NAMESPACE, "s"))
        await orders.stop(f"{FIRST}-train-gates-a1", Reason.CANCELLED)
        assert scene.jobs() == []

    played(scenario)


@pytest.mark.parametrize("refused", [True, False])
def test_training_that_is_over_makes_room_at_once_where_jobs_are_refused(*, refused: bool) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        over = a_job(an_order(name=f"{FIRST}-train-gates-a8"), searching())
        over["status"] = {
            "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": timestamp(T0)}]
        }
        await scene.memory.create(JOBS, NAMESPACE, over)
        if refused:
            scene.fail(JOBS, FULL)
        await scene.turns(6)
        assert (over["metadata"]["name"] in scene.jobs()) is not refused

    played(scenario)
