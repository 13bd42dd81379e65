"""An event is news if a turn could see, or do, something else after it."""

from typing import Any

import pytest

from asiarch.kube.client import JOBS, PODS, Object
from asiarch.kube.news import is_news
from tests.kube.orders import an_order
from tests.kube.statuses import COMPLETE, FAILING, a_condition, a_pod, ended, the_job, waiting

TRAIN = an_order()


def of_pod(before: Object | None, after: Object | None) -> bool:
    return is_news(PODS, before, after, waited_for=True)


def of_job(before: Object | None, after: Object | None) -> bool:
    return is_news(JOBS, before, after, waited_for=True)


def starting(**more: Any) -> Object:
    containers = waiting("referee", "ContainerCreating"), waiting("player", "PodInitializing")
    return a_pod(TRAIN, *containers, phase="Pending", **more)


def deleted(found: Object) -> Object:
    return {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


UNSCHEDULABLE = [a_condition("PodScheduled", "Unschedulable", "False")]
PREEMPTED = [a_condition("DisruptionTarget", "PreemptionByScheduler")]


class TestOfAPod:
    def test_a_healthy_start_is_no_news(self) -> None:
        assert not of_pod(None, starting())
        assert not of_pod(starting(), a_pod(TRAIN))

    @pytest.mark.parametrize(
        "bad",
        [
            a_pod(TRAIN, ended("referee")),
            a_pod(TRAIN, waiting("player", "ImagePullBackOff")),
            a_pod(TRAIN, phase="Failed", reason="Evicted"),
            a_pod(TRAIN, conditions=PREEMPTED),
            starting(conditions=UNSCHEDULABLE),
            deleted(a_pod(TRAIN)),
        ],
    )
    def test_whatever_else_it_comes_to_is_news(self, bad: Object) -> None:
        assert of_pod(None, bad)
        assert of_pod(a_pod(TRAIN), bad)

    def test_the_end_of_a_trouble_is_news(self) -> None:
        assert of_pod(starting(conditions=UNSCHEDULABLE), starting())

    def test_its_disappearance_is_news(self) -> None:
        assert of_pod(a_pod(TRAIN), None)

    def test_nothing_is_once_nobody_waits_for_its_order(self) -> None:
        assert not is_news(PODS, a_pod(TRAIN), a_pod(TRAIN, ended("referee")), waited_for=False)
        assert not is_news(PODS, None, a_pod(TRAIN, ended("referee"), phase="Succeeded"), waited_for=False)
        assert not is_news(PODS, None, None, waited_for=False)

    def test_one_that_turns_up_and_runs_is_though_nobody_waits_for_its_order(self) -> None:
        assert is_news(PODS, None, a_pod(TRAIN), waited_for=False)


class TestOfAJob:
    def test_its_end_and_its_disappearance_are_news(self) -> None:
        assert of_job(the_job(TRAIN), the_job(TRAIN, COMPLETE))
        assert of_job(the_job(TRAIN), None)
        assert of_job(the_job(TRAIN), deleted(the_job(TRAIN)))

    def test_how_far_it_is_on_its_way_is_not(self) -> None:
        assert not of_job(the_job(TRAIN), the_job(TRAIN, FAILING))

    def test_a_queue_that_holds_it_back_or_lets_it_go_is_news(self) -> None:
        assert of_job(the_job(TRAIN, suspend=True), the_job(TRAIN, suspend=False))

    @pytest.mark.parametrize("waited_for", [True, False])
    def test_one_that_turns_up_is_news(self, *, waited_for: bool) -> None:
        assert is_news(JOBS, None, the_job(TRAIN), waited_for=waited_for)

    def test_nothing_else_is_once_nobody_waits_for_its_order(self) -> None:
        assert not is_news(JOBS, the_job(TRAIN), the_job(TRAIN, COMPLETE), waited_for=False)
        assert not is_news(JOBS, the_job(TRAIN), None, waited_for=False)
