"""A candidate that is made again under the name of one that is gone: another candidate, with a record of its own."""

import copy
from dataclasses import replace

import pytest

from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch.core.actions import ArchiveCandidates
from asiarch.kube.client import CANDIDATES, Object
from asiarch.kube.gone import united
from tests.kube.scene import NAMESPACE, Scene, played
from tests.kube.test_gone import SPENT, a_record, records

KEY = CANDIDATES.plural, NAMESPACE, "mine"


async def make(scene: Scene) -> None:
    """Create the user's candidate."""
    spec = {"searchName": "s", "origin": "User", "idea": "Gate the keys.", "seed": 5}
    await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": "mine"}, "spec": spec})


async def finish(scene: Scene, fitness: str) -> None:
    """Let it end, measured."""
    found: Object = copy.deepcopy(scene.memory.objects[KEY])
    found["status"] = {
        "ordinal": found["status"]["ordinal"],
        "phase": "Complete",
        "fitness": fitness,
        "finishedAt": "2026-01-01T00:00:00.000Z",
        "cost": {"seconds": 30.0},
    }
    await scene.memory.replace_status(CANDIDATES, NAMESPACE, "mine", found)
    await scene.turn()


async def delete(scene: Scene) -> None:
    """Delete it as a user does, what belongs to it included."""
    scene.cluster.stores.candidates.remove(scene.memory.objects[KEY])
    scene.memory.objects = {k: v for k, v in scene.memory.objects.items() if not k[2].startswith("mine")}


def told(scene: Scene) -> dict[str, tuple[int, str, float | None]]:
    """What is known of candidates other than the baselines."""
    found = scene.world.seen.records.values()
    return {r.name: (r.ordinal, r.phase, r.fitness) for r in found if r.origin != "Baseline"}


@pytest.mark.parametrize("turns", [0, 2])
def test_one_made_again_and_its_predecessor_both_outlive_their_objects(turns: int) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        await make(scene)
        await scene.turns(3)
        await finish(scene, "0.4")
        await delete(scene)
        await scene.turns(turns)
        await make(scene)
        await scene.turns(3)
        await finish(scene, "0.9")
        both = {"s-0002": (2, "Complete", 0.4), "mine": (3, "Complete", 0.9)}
        assert told(scene) == both
        await scene.world.carry_out([ArchiveCandidates(("mine",))])
        assert KEY not in scene.memory.objects
        await scene.turns(2)
        assert told(scene) == both
        scene.restart()
        await scene.turn()
        assert told(scene) == both
        assert sum((r.cost for r in scene.world.seen.records.values()), Cost()) == Cost(seconds=60.0)

    played(scenario)


def test_one_made_again_while_its_predecessor_is_archived_stays() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        await make(scene)
        await scene.turns(3)
        await finish(scene, "0.4")
        await delete(scene)
        await make(scene)
        scene.cluster.stores.candidates.apply(copy.deepcopy(scene.memory.objects[KEY]))
        await scene.world.carry_out([ArchiveCandidates(("mine",))])
        assert KEY in scene.memory.objects

    played(scenario)


def test_each_ordinal_and_each_name_is_there_once_and_the_last_of_a_name_has_it() -> None:
    old, new = (a_record(n, name="mine", cost=SPENT) for n in (2, 3))
    other = a_record(1, name="s-0002")
    found = united("s", [old, other, new], {})
    assert {name: r.ordinal for name, r in found.items()} == {"s-0002": 1, "mine": 3, "s-0002-gone": 2}
    assert found["s-0002-gone"] == replace(old, name="s-0002-gone")
    waiting = a_record(-1, name="mine", phase="Pending")
    there = united("s", [old, new], records(waiting))
    assert {name: r.ordinal for name, r in there.items()} == {"mine": -1, "s-0002": 2, "s-0003": 3}


def test_one_that_was_deleted_and_is_made_again_repeats_nobody() -> None:
    deleted = a_record(2, name="mine", reason=Reason.DELETED)
    found = united("s", [deleted], records(a_record(3, name="mine")))
    assert found["s-0002"].fingerprint is None


def test_of_an_ordinal_what_is_present_stands_then_what_was_archived_later() -> None:
    early, late = a_record(2, name="mine"), a_record(2, name="s-0002", phase="Failed")
    assert united("s", [early, late], {}) == records(late)
    assert united("s", [early, late], records(early)) == records(early)
