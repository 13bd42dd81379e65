"""One search's world on an API server in memory: what else may stand there, and what may have happened unseen."""

import base64
import copy
import gzip
from typing import Any

import pytest

from asiarch.api.names import PART, SEARCH, code_name
from asiarch.api.reason import Reason
from asiarch.kube.client import CANDIDATES, CONFIG_MAPS, JOBS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.orders import UNSURE
from asiarch.kube.starts import GRACE
from asiarch.loop import turn
from tests.builders import a_search
from tests.kube.scene import FIRST, NAMESPACE, Scene, degraded, played


def test_a_foreign_candidate_under_a_name_that_is_needed_blocks_the_search_and_is_spoken_of() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        spec = {"searchName": "other", "origin": "User", "seed": 1, "idea": "x"}
        await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": FIRST}, "spec": spec})
        await scene.turns(5)
        assert scene.troubles == [(Reason.NAME_CONFLICT, True)]
        assert scene.asked("create", FIRST) == 2  # once by its owner, once by us
        del scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]
        await scene.turns(3)
        assert scene.troubles == []
        assert (CANDIDATES.plural, NAMESPACE, FIRST) in scene.memory.objects

    played(scenario)


def test_what_an_earlier_search_of_the_name_left_behind_is_not_adopted() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        left = scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]
        left["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        del left["metadata"]["ownerReferences"]
        for key in [key for key in scene.memory.objects if key[2] != "s-0001"]:
            del scene.memory.objects[key]
        await scene.apply()
        scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["metadata"]["creationTimestamp"] = (
            "2026-01-01T00:00:09Z"
        )
        await scene.turns(2)
        assert scene.troubles == [(Reason.NAME_CONFLICT, True)]
        assert "ownerReferences" not in left["metadata"]

    played(scenario)


def test_a_candidate_that_cant_be_read_blocks_the_search_and_loses_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(3)
        before = scene.memory.objects[CANDIDATES.plural, NAMESPACE, "s-0001"]
        newer = copy.deepcopy(before)
        newer["status"]["phase"] = "FromTheFuture"
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, "s-0001", newer)
        await scene.turns(3)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        assert scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["status"]["phase"] == "Blocked"
        assert len(list(scene.memory.of(CANDIDATES))) == len(a_search().spec.baselines)

    played(scenario)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"rung": 9, "order": None}, "status.rung: found 9, wanted less than 3"),
        ({"rung": 9}, "status.rung: found 9, wanted less than 3"),
        ({"phase": "Evaluating", "order": None, "code": None}, "status.code: found nothing, wanted its file"),
    ],
)
def test_a_candidate_that_somebody_edited_into_what_cant_be_blocks_the_search_until_it_is_mended(
    edit: dict[str, Any], told: str
) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        before = await scene.memory.get(CANDIDATES, NAMESPACE, FIRST)
        assert before is not None
        jobs = scene.jobs()
        edited = {**before["status"], **edit}
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, {**before, "status": edited})
        await scene.turns(3)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        assert (
            f"Candidate {FIRST} can't be read ({told}"
            in scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["status"]["message"]
        )
        now = await scene.memory.get(CANDIDATES, NAMESPACE, FIRST)
        assert now is not None
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, {**now, "status": before["status"]})
        await scene.turns(3)
        assert (scene.troubles, scene.jobs()) == ([], jobs)

    played(scenario)


def test_an_archive_that_cant_be_read_blocks_the_search_and_wins_back_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        found = scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]
        counts = {**found["status"]["counts"], "proposed": 1}
        status = {**found["status"], "counts": counts, "cost": {"seconds": 7.0}}
        await scene.memory.replace_status(SEARCHES, NAMESPACE, "s", {**found, "status": status})
        labels = {"app.kubernetes.io/managed-by": "asiarch", SEARCH: "s", PART: "archive"}
        owner = {"uid": found["metadata"]["uid"], "controller": True}
        metadata = {"name": "s-archive-0000", "labels": labels, "ownerReferences": [owner]}
        body = {"metadata": metadata, "binaryData": {"records.jsonl.gz": "bm8gZ3ppcA=="}}
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, body)
        before = set(scene.memory.objects)
        await scene.turns(3)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        status = scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"]["status"]
        assert status["phase"] == "Blocked"
        assert "ConfigMap s-archive-0000 (key: records.jsonl.gz) can't be read" in status["message"]
        assert status["cost"]["seconds"] >= 7.0
        assert set(scene.memory.objects) == before
        del scene.memory.objects[CONFIG_MAPS.plural, NAMESPACE, "s-archive-0000"]
        await scene.turns(3)
        assert scene.troubles == []

    played(scenario)


def test_an_ordinal_that_somebody_wrote_into_the_archive_is_not_believed() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        line = b'{"name":"x","ordinal":1000000000000,"origin":"Proposed","phase":"Failed"}'
        packed = base64.b64encode(gzip.compress(line)).decode()
        owner = scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["metadata"]["ownerReferences"]
        labels = {"app.kubernetes.io/managed-by": "asiarch", SEARCH: "s", PART: "archive"}
        metadata = {"name": "s-archive-0000", "labels": labels, "ownerReferences": owner}
        body = {"metadata": metadata, "binaryData": {"records.jsonl.gz": packed}}
        await scene.memory.create(CONFIG_MAPS, NAMESPACE, body)
        await scene.turns(2)
        assert scene.troubles == [(Reason.CONFIG_INVALID, True)]
        assert "found the ordinal 1000000000000" in scene.world.seen.troubles[0].message

    played(scenario)


def test_a_search_goes_on_once_what_bore_its_baselines_name_is_deleted() -> None:
    async def scenario(scene: Scene) -> None:
        spec = {"searchName": "s", "origin": "User", "idea": "Gate the keys.", "seed": 5}
        await scene.memory.create(CANDIDATES, NAMESPACE, {"metadata": {"name": FIRST}, "spec": spec})
        await scene.apply()
        await scene.turns(3)
        key = SEARCHES.plural, NAMESPACE, "s"
        assert scene.memory.objects[key]["status"]["reason"] == Reason.NAME_CONFLICT
        del scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]
        await scene.turns(6)
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]
        assert scene.memory.objects[key]["status"]["phase"] == "Running"

    played(scenario)


def test_of_a_predecessor_with_the_same_name_nothing_is_remembered() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        scene.memory.objects.clear()
        await scene.apply()
        await scene.turns(4)
        (order,) = scene.jobs()
        code = scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["status"]["code"]["digest"]
        assert order.startswith(FIRST)
        assert ("configmaps", NAMESPACE, code_name("s", code)) in scene.memory.objects

    played(scenario)


def test_a_predecessors_file_is_waited_out_and_not_taken_for_ours() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        left = {key: value for key, value in scene.memory.objects.items() if key[0] == "configmaps"}
        scene.memory.objects.clear()
        scene.memory.objects |= left
        scene.restart()
        await scene.apply()
        await scene.turns(3)
        assert set(scene.troubles) == {(Reason.NAME_CONFLICT, False)}
        assert degraded(scene)["message"].startswith(
            "The file of candidate s-0000 can't be written: ConfigMap"
        )
        assert scene.jobs() == []
        for key in left:
            del scene.memory.objects[key]
        await scene.turns(4)
        assert len(scene.jobs()) == 1

    played(scenario)


def test_a_job_that_may_have_come_and_gone_while_we_were_cut_off_is_not_started_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        scene.fail(JOBS, ApiError(0, "Unreachable", "reset"))
        with pytest.raises(ApiError):
            await scene.turns(5)
        scene.heal()
        scene.clock += UNSURE + 1
        await scene.turn()
        scene.clock += GRACE + 1
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-gates-a2"]

    played(scenario)


def test_a_job_whose_answer_got_lost_a_moment_ago_is_asked_for_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        scene.fail(JOBS, ApiError(0, "Unreachable", "reset"))
        with pytest.raises(ApiError):
            await scene.turns(5)
        scene.heal()
        await scene.turn()
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]

    played(scenario)


def test_an_order_is_ours_though_its_answer_got_lost_and_a_second_write_came_too_late() -> None:
    async def scenario(scene: Scene) -> None:
        write = scene.memory.replace_status

        async def lossy(kind: Kind, namespace: str, name: str, body: Object) -> Object:
            found = await write(kind, namespace, name, body)
            if kind == CANDIDATES and "order" in body["status"]:
                scene.memory.replace_status = write  # type: ignore[method-assign]
                raise ApiError(504, "Timeout", "too late")
            return found

        search = await scene.apply(suspend=True)
        await scene.turns(4)
        assert scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["status"]["ordinal"] == 0
        await scene.memory.patch(SEARCHES, NAMESPACE, "s", {"spec": {**search["spec"], "suspend": False}})
        scene.memory.replace_status = lossy  # type: ignore[method-assign]
        with pytest.raises(ApiError, match="504"):
            await scene.turns(5)
        scene.now += 1.0
        scene.world.begin(scene.now)
        with pytest.raises(ApiError, match="409"):
            await turn(scene.world, "s", scene.now)  # no watch has brought it yet
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-gates-a1"]

    played(scenario)


def test_an_order_that_an_earlier_process_named_counts_as_lost_when_its_job_is_nowhere() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        (job,) = scene.jobs()
        del scene.memory.objects[JOBS.plural, NAMESPACE, job]
        scene.restart()
        await scene.turn()
        assert scene.jobs() == []
        scene.clock += GRACE + 1
        await scene.turns(2)
        assert scene.jobs() == [f"{FIRST}-train-gates-a2"]

    played(scenario)


@pytest.mark.parametrize("replaced", [False, True])
def test_who_was_held_up_starts_nothing_for_a_candidate_that_was_replaced(*, replaced: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def held_up() -> None:
            scene.clock += GRACE
            if replaced:
                scene.memory.objects[CANDIDATES.plural, NAMESPACE, FIRST]["metadata"]["uid"] = "another"

        await scene.apply()
        scene.memory.calm = held_up  # type: ignore[method-assign]
        while not scene.asked("get", FIRST):
            await scene.turn()
        assert scene.jobs() == ([] if replaced else [f"{FIRST}-train-gates-a1"])

    played(scenario)


def test_who_was_overtaken_looks_at_once() -> None:
    async def scenario(scene: Scene) -> None:
        found = await scene.apply()
        await scene.turns(4)
        key = (CANDIDATES.plural, NAMESPACE, FIRST)
        held = scene.cluster.stores.candidates.get(NAMESPACE, FIRST)
        assert held is not None
        other = copy.deepcopy(scene.memory.objects[key])
        other["status"]["message"] = "Somebody else wrote this."
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, other)
        candidate = held.value.model
        with pytest.raises(ApiError, match="409"):
            await scene.world._write_candidate(candidate, candidate.status)
        fresh = scene.cluster.stores.candidates.get(NAMESPACE, FIRST)
        assert fresh is not None
        assert fresh.value.model.status.message == "Somebody else wrote this."
        assert found["metadata"]["uid"]

    played(scenario)


def test_a_reservation_that_leads_on_from_nowhere_shows_that_a_candidate_is_seen_too_old() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.apply()
        await scene.turns(4)
        key = CANDIDATES.plural, NAMESPACE, FIRST
        old = copy.deepcopy(scene.memory.objects[key])
        ahead = f"{FIRST}-train-bytes-a1"
        now = copy.deepcopy(old)
        now["status"]["rung"] = 2
        now["status"]["order"] |= {"name": ahead, "rung": "bytes"}
        await scene.memory.replace_status(CANDIDATES, NAMESPACE, FIRST, now)
        search = copy.deepcopy(scene.memory.objects[SEARCHES.plural, NAMESPACE, "s"])
        search["status"]["reservations"][ahead] = {"seconds": 600.0}
        await scene.memory.replace_status(SEARCHES, NAMESPACE, "s", search)
        scene.restart()
        scene.hear()
        scene.cluster.stores.candidates.replace([old], int(old["metadata"]["resourceVersion"]))
        seen = await scene.world.observe("s")
        order = seen.candidates[FIRST].status.order
        assert order is not None
        assert order.name == ahead
        assert scene.asked("get", FIRST) == 1
        await scene.world.observe("s")
        assert scene.asked("get", FIRST) == 1

    played(scenario)
