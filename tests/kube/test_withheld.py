"""What the API server won't take from us is told, asked for again, and keeps nothing else from going on."""

from itertools import pairwise

import pytest

from asiarch.api.names import archive_name, context_name
from asiarch.api.reason import Reason
from asiarch.core.actions import ArchiveCandidates, Plan
from asiarch.core.observation import Observation
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, ApiError, Kind
from asiarch.kube.cluster import SELECTORS
from asiarch.kube.kept import Leaving
from asiarch.kube.refusals import LAST_RETRY
from asiarch.kube.store import SearchKey
from asiarch.kube.worker import Worker
from asiarch.kube.world import RETRY_TROUBLE
from tests.kube.scene import FIRST, NAMESPACE, Scene, degraded, played
from tests.kube.test_reach import a_metrics


@pytest.mark.parametrize(
    ("kind", "what"), [(CANDIDATES, "The next candidate"), (CONFIG_MAPS, "The file of candidate")]
)
def test_a_quota_on_what_we_keep_is_told_and_waited_for(kind: Kind, what: str) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        full = "exceeded quota: small, requested: 1, used: 3, limited: 3"
        scene.fail(kind, ApiError(403, "Forbidden", full))
        await scene.turns(4)
        assert degraded(scene)["reason"] == "QuotaExceeded"
        assert degraded(scene)["message"].startswith(what)
        assert "quota: small" in degraded(scene)["message"]
        scene.heal()
        scene.clock += LAST_RETRY
        await scene.turns(6)
        assert scene.troubles == []
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]

    played(scenario)


def test_a_candidate_that_is_refused_keeps_nothing_else_from_going_on() -> None:
    async def scenario(scene: Scene) -> None:
        asked: list[float] = []

        def refuse(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind) == ("create", CANDIDATES) and name != FIRST:
                asked.append(scene.clock)
                raise ApiError(403, "Forbidden", "exceeded quota: small")

        await scene.apply()
        scene.memory.before = refuse
        for _ in range(60):
            await scene.turn()
            scene.clock += 1.0
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        assert scene.troubles == [(Reason.QUOTA_EXCEEDED, False)]
        assert [later - sooner for sooner, later in pairwise(asked)] == [2.0, 4.0, 8.0, 16.0]
        assert scene.world.wake_after is not None
        scene.heal()
        scene.clock += LAST_RETRY
        await scene.turns(3)
        assert scene.troubles == []
        assert (CANDIDATES.plural, NAMESPACE, "s-0001") in scene.memory.objects

    played(scenario)


class Heard:
    """Remembers what turns planned."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    def took_turn(self, _key: SearchKey, _seen: Observation, plan: Plan) -> None:
        self.plans.append(plan)

    def gone(self, _key: SearchKey, _leaving: Leaving | None) -> None:
        raise AssertionError


def test_what_is_written_is_told_though_what_follows_fails() -> None:
    async def scenario(scene: Scene) -> None:
        heard = Heard()
        worker = Worker(scene.cluster, a_metrics(), heard, lambda: scene.now)
        await scene.apply()
        for kind in SELECTORS:
            scene.cluster.reach.granted(kind, None)
        for _ in range(2):
            scene.hear()
            await worker._turn((NAMESPACE, "s"))
        scene.fail(JOBS, ApiError(503, "ServiceUnavailable", "etcd leader changed"))
        scene.hear()
        assert await worker._turn((NAMESPACE, "s")) == "error"
        assert [bool(plan.statuses) for plan in heard.plans] == [True, False, True]

    played(scenario)


def test_a_quota_on_the_archive_is_told_and_loses_no_record() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        del scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]
        scene.fail(CONFIG_MAPS, ApiError(403, "Forbidden", "exceeded quota: small"))
        await scene.turns(3)
        assert degraded(scene)["reason"] == "QuotaExceeded"
        assert degraded(scene)["message"].startswith("The archive can't be written: exceeded quota: small")
        assert scene.world.seen.records[FIRST].ordinal == 0
        assert (CONFIG_MAPS.plural, NAMESPACE, archive_name("s", 0)) not in scene.memory.objects
        scene.heal()
        await scene.turns(3)
        assert scene.troubles == []
        scene.restart()
        await scene.turn()
        assert scene.world.seen.records[FIRST].phase == "Failed"

    played(scenario)


def test_a_foreign_context_in_an_agents_way_is_told() -> None:
    async def scenario(scene: Scene) -> None:
        mine = {"searchName": "s", "origin": "User", "idea": "Gate the keys.", "seed": 5}
        await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": "mine"}, "spec": mine})
        foreign = {"metadata": {"name": context_name("mine-build-a1")}}
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, foreign)
        await scene.apply()
        await scene.turns(8)
        assert (Reason.JOB_REJECTED, False) in scene.troubles
        assert "mine-build-a1-context is there and belongs to something else" in degraded(scene)["message"]
        assert f"{FIRST}-train-gates-a1" in scene.jobs()

    played(scenario)


def test_a_users_candidate_that_cant_be_made_ours_keeps_no_other_from_going_on() -> None:
    async def scenario(scene: Scene) -> None:
        def refuse(verb: str, kind: Kind, name: str) -> None:
            if (verb, kind, name) == ("patch", CANDIDATES, "mine"):
                raise ApiError(403, "Forbidden", "admission webhook says no")

        mine = {"searchName": "s", "origin": "User", "idea": "Gate the keys.", "seed": 5}
        await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": "mine"}, "spec": mine})
        scene.memory.before = refuse
        await scene.apply()
        await scene.turns(5)
        assert scene.troubles == [(Reason.JOB_REJECTED, False)]
        assert degraded(scene)["message"].startswith("Candidate mine can't be written: admission webhook")
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        scene.heal()
        await scene.turns(6)
        assert scene.troubles == []
        assert "mine-build-a1" in scene.jobs()

    played(scenario)


def test_nothing_is_removed_while_the_archive_cant_be_written() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        ended = scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]
        await scene.memory.replace_status(
            CANDIDATES, NAMESPACE, "s-0001", {**ended, "status": {**ended["status"], "phase": "Rejected"}}
        )
        await scene.turn()
        scene.fail(CONFIG_MAPS, ApiError(403, "Forbidden", "exceeded quota: small"))
        scene.world.begin(scene.now)
        await scene.world.carry_out([ArchiveCandidates(("s-0001",))])
        assert (CANDIDATES.plural, NAMESPACE, "s-0001") in scene.memory.objects
        assert (scene.world.wrote, scene.world.wake_after) == (0, RETRY_TROUBLE)
        await scene.turn()
        assert scene.troubles == [(Reason.QUOTA_EXCEEDED, False)]
        scene.heal()
        await scene.world.carry_out([ArchiveCandidates(("s-0001",))])
        assert (CANDIDATES.plural, NAMESPACE, "s-0001") not in scene.memory.objects
        assert (CONFIG_MAPS.plural, NAMESPACE, archive_name("s", 0)) in scene.memory.objects

    played(scenario)
