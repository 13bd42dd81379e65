"""Pods that can't start: what is said meanwhile, and when they are given up."""

import pytest

from asiarch.api.names import code_name
from asiarch.api.order import Order
from asiarch.api.reason import Reason
from asiarch.kube import outcome
from asiarch.kube.client import Object
from asiarch.kube.kept import read_job, read_pod
from asiarch.kube.overlay import QUEUE
from tests.kube.orders import CODE, an_order
from tests.kube.statuses import NOW, T0, a_condition, a_pod, only, results, the_job, waiting

TRAIN, AGENT = an_order(), an_order("build")


class TestAPodThatCanNotStart:
    NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."

    def placeless(self, said: str = NO_ROOM, reason: str = "Unschedulable") -> Object:
        condition = a_condition("PodScheduled", reason, "False", message=said)
        pod = a_pod(TRAIN, phase="Pending", conditions=[condition], containerStatuses=[])
        del pod["status"]["startTime"]
        return pod

    def stuck(self, reason: str, said: str = "") -> Object:
        pod = a_pod(TRAIN, waiting("referee", reason, said), waiting("player", "ContainerCreating"))
        return {**pod, "status": {**pod["status"], "phase": "Pending"}}

    def test_for_want_of_a_place_is_told_in_the_schedulers_words(self) -> None:
        found = outcome.waiting(the_job(TRAIN), [self.placeless()], NOW)
        assert found is not None
        assert found.trouble is not None
        assert (found.trouble.reason, found.trouble.fatal) == (Reason.UNSCHEDULABLE, False)
        assert self.NO_ROOM in found.trouble.message
        assert found.seconds == 539

    def test_is_not_told_of_while_the_scheduler_is_only_busy(self) -> None:
        assert outcome.waiting(the_job(TRAIN), [self.placeless()], T0 + 4) == outcome.Waiting(None, 6)

    def test_for_want_of_a_place_is_given_up_after_ten_minutes(self) -> None:
        assert results(TRAIN, the_job(TRAIN), self.placeless(), now=T0 + 599) is None
        assert only(TRAIN, self.placeless(), job=the_job(TRAIN), now=T0 + 600).reason == Reason.UNSCHEDULABLE

    def test_because_no_scheduler_looks_at_it_is_told_and_given_up_alike(self) -> None:
        pod = a_pod(TRAIN, phase="Pending", conditions=[], containerStatuses=[])
        del pod["status"]["startTime"]
        assert outcome.waiting(the_job(TRAIN), [pod], T0 + 4) == outcome.Waiting(None, 6)
        found = outcome.waiting(the_job(TRAIN), [pod], NOW)
        assert found is not None
        assert found.trouble is not None
        assert (found.trouble.reason, found.seconds) == (Reason.UNSCHEDULABLE, 539)
        assert "schedulerName" in found.trouble.message
        assert results(TRAIN, the_job(TRAIN), pod, now=T0 + 599) is None
        assert only(TRAIN, pod, job=the_job(TRAIN), now=T0 + 600).reason == Reason.UNSCHEDULABLE

    def test_that_has_its_machine_waits_for_no_scheduler(self) -> None:
        pod = a_pod(TRAIN, phase="Pending", conditions=[], containerStatuses=[])
        del pod["status"]["startTime"]
        bound = {**pod, "spec": {**pod["spec"], "nodeName": "n"}}
        assert outcome.waiting(the_job(TRAIN), [bound], NOW) is None

    def test_for_want_of_its_volume_is_told_as_that(self) -> None:
        pod = self.placeless('0/3 nodes are available: persistentvolumeclaim "fineweb" not found.')
        found = outcome.waiting(the_job(TRAIN), [pod], NOW)
        assert found is not None
        assert found.trouble is not None
        assert found.trouble.reason == Reason.DATASET_INVALID
        assert "Create the claim" in found.trouble.message

    def test_behind_a_gate_just_waits(self) -> None:
        pod = self.placeless("Scheduling is blocked", "SchedulingGated")
        assert results(TRAIN, the_job(TRAIN), pod, now=T0 + 10**5) is None
        assert outcome.waiting(the_job(TRAIN), [pod], T0 + 10**5) is None

    @pytest.mark.parametrize("word", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
    def test_for_want_of_its_image_is_given_up_after_two_minutes(self, word: str) -> None:
        pod = self.stuck(word, 'Back-off pulling image "x"')
        assert results(TRAIN, the_job(TRAIN), pod, now=T0 + 119) is None
        assert only(TRAIN, pod, job=the_job(TRAIN), now=T0 + 120).reason == Reason.IMAGE_PULL_FAILED

    def test_for_want_of_a_volume_is_told_after_five_minutes_and_left_to_its_deadline(self) -> None:
        pod = self.stuck("ContainerCreating")
        claim = {"name": "data", "persistentVolumeClaim": {"claimName": "fineweb"}}
        pod["spec"] = {**pod["spec"], "volumes": [*pod["spec"]["volumes"], claim]}
        assert outcome.waiting(the_job(TRAIN), [pod], T0 + 299) == outcome.Waiting(None, 1)
        found = outcome.waiting(the_job(TRAIN), [read_pod(pod)], T0 + 300)
        assert found is not None
        assert found.trouble is not None
        assert f"its image, ConfigMap {code_name('s', CODE)}, claim fineweb" in found.trouble.message
        assert "kubectl describe pod" in found.trouble.message
        assert results(TRAIN, the_job(TRAIN), pod, now=T0 + 10**4) is None

    @pytest.mark.parametrize("order", [TRAIN, AGENT])
    def test_before_its_deadline_is_nobodys_fault_and_costs_nothing(self, order: Order) -> None:
        names = ("referee", "player") if order.kind == "train" else ("agent",)
        gone = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None}
        unknown = [{"name": name, "state": {"terminated": gone}} for name in names]
        creating = [waiting(name, "ContainerCreating") for name in names]
        for containers in (unknown, creating):
            late = a_condition("Ready", "PodFailed", "False", since=900)
            pod = a_pod(
                order,
                *containers,
                phase="Failed",
                reason="DeadlineExceeded",
                message="Pod was active for too long",
            )
            pod["status"]["conditions"].append(late)
            found = only(order, pod)
            assert (found.reason, found.cost.seconds) == (Reason.IMAGE_PULL_FAILED, 0)
            assert "None of its containers had started" in found.message

    def test_for_want_of_its_image_is_told_at_once(self) -> None:
        found = outcome.waiting(the_job(TRAIN), [self.stuck("ErrImagePull", "not found")], T0 + 1)
        assert found is not None
        assert found.trouble is not None
        assert found.trouble.reason == Reason.IMAGE_PULL_FAILED
        assert found.seconds == 119

    def test_whose_image_may_not_be_pulled_is_given_up_at_once(self) -> None:
        pod = self.stuck("ErrImageNeverPull")
        assert only(TRAIN, pod, job=the_job(TRAIN), now=T0 + 1).reason == Reason.IMAGE_PULL_FAILED

    def test_whose_image_is_being_pulled_is_no_trouble(self) -> None:
        pod = self.stuck("ContainerCreating")
        assert results(TRAIN, the_job(TRAIN), pod, now=T0 + 10**4) is None
        assert outcome.waiting(the_job(TRAIN), [pod], T0 + 200) == outcome.Waiting(None, 100)

    def test_for_want_of_its_settings_is_nobodys_fault(self) -> None:
        pod = self.stuck("CreateContainerConfigError", 'configmap "s-code-1" not found')
        assert only(TRAIN, pod, job=the_job(TRAIN), now=T0 + 120).reason == Reason.INFRASTRUCTURE_FAILED
        found = outcome.waiting(the_job(TRAIN), [pod], NOW)
        assert found is not None
        assert found.trouble is not None
        assert found.trouble.reason == Reason.SOURCE_NOT_FOUND

    def test_because_nobody_may_create_it_is_told_after_half_a_minute(self) -> None:
        assert outcome.waiting(the_job(TRAIN), (), T0) == outcome.Waiting(None, 29)
        found = outcome.waiting(the_job(TRAIN), (), T0 + 30)
        assert found is not None
        assert found.trouble is not None
        assert found.trouble.reason == Reason.JOB_REJECTED

    def test_because_nobody_may_create_it_names_the_account_that_may_be_missing(self) -> None:
        found = outcome.waiting(read_job(the_job(TRAIN)), (), T0 + 30)
        assert found is not None
        assert found.trouble is not None
        for said in ("service account asiarch-agent", "-n default", "quota", "policy", "watch.namespaces"):
            assert said in found.trouble.message

    def test_is_no_trouble_once_it_runs(self) -> None:
        assert outcome.waiting(the_job(TRAIN), [a_pod(TRAIN)], NOW) is None


class TestAJobThatAQueueHoldsBack:
    def held(self, queue: str | None) -> Object:
        job = the_job(TRAIN, a_condition("Suspended", "JobSuspended"), suspend=True)
        job["metadata"]["labels"] |= {} if queue is None else {QUEUE: queue}
        return job

    def test_is_not_told_of_while_the_queue_only_takes_its_time(self) -> None:
        assert outcome.waiting(self.held("team"), (), T0 + 599) == outcome.Waiting(None, 1)

    @pytest.mark.parametrize(
        ("queue", "said"), [("team", "suspended by its queue team"), (None, "somebody's admission")]
    )
    def test_is_told_of_after_ten_minutes_with_whose_it_is(self, queue: str | None, said: str) -> None:
        found = outcome.waiting(self.held(queue), (), T0 + 600)
        assert found is not None
        assert found.trouble is not None
        assert (found.trouble.reason, found.trouble.fatal) == (Reason.UNSCHEDULABLE, False)
        assert said in found.trouble.message
