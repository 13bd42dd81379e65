"""What came of an order, from statuses as Kubernetes writes them; a machine's failure is never the candidate's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asiarch.api.order import Measurement, Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import Rung
from asiarch.core import lifecycle
from asiarch.kube import outcome
from asiarch.kube.client import Object
from tests.kube.orders import an_order
from tests.kube.statuses import (
    COMPLETE,
    FAILING,
    NOW,
    T0,
    a_pod,
    at,
    deleted,
    disrupted,
    ended,
    failed,
    measured,
    message,
    only,
    results,
    running,
    the_job,
)

TRAIN, AGENT = an_order(), an_order("build")
SEEDS = an_order(rung=Rung(name="recall", task="SyntheticRecall", seeds=2))
FULL = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 800Mi. "
SILENT = measured(
    TRAIN, measurement=None, reason=Reason.NO_RESULT, message="The player ended during a training step."
)


def a_referees(order: Order, said: Result | str, *player: Object, index: int | None = None) -> Object:
    """A pod whose referee has ended with this message."""
    text = said if isinstance(said, str) else message(said)
    return a_pod(order, ended("referee", message=text), *(player or (running("player"),)), index=index)


class TestAReferee:
    def test_is_taken_at_its_word_while_its_player_lingers(self) -> None:
        pod = a_referees(TRAIN, measured(TRAIN))
        found = only(TRAIN, pod, job=the_job(TRAIN))
        assert (found.reason, found.measurement) == (None, Measurement(score="0.7"))

    def test_that_runs_has_nothing_to_say_yet(self) -> None:
        assert results(TRAIN, the_job(TRAIN), a_pod(TRAIN)) is None

    def test_is_asked_once_its_pod_is_known(self) -> None:
        assert results(TRAIN, the_job(TRAIN)) is None

    def test_brings_what_the_player_was_held_by(self) -> None:
        found = only(TRAIN, a_referees(TRAIN, measured(TRAIN)))
        assert {"runtime=default", "pod=restricted", "read-only-root", "seccomp"} <= set(found.isolation)

    def test_says_nothing_of_a_guard_that_was_not_admitted(self) -> None:
        pod = a_referees(TRAIN, measured(TRAIN))
        player = pod["spec"]["containers"][1]
        loose = {**player, "securityContext": {**player["securityContext"], "readOnlyRootFilesystem": False}}
        pod = {**pod, "spec": {**pod["spec"], "containers": [pod["spec"]["containers"][0], loose]}}
        assert {"pod=restricted", "read-only-root"}.isdisjoint(only(TRAIN, pod).isolation)

    def test_keeps_its_own_reason(self) -> None:
        said = measured(TRAIN, measurement=None, reason=Reason.CAUSALITY_VIOLATION)
        assert only(TRAIN, a_referees(TRAIN, said)).reason == Reason.CAUSALITY_VIOLATION

    def test_that_failed_itself_is_nobodys_fault(self) -> None:
        said = measured(TRAIN, measurement=None, reason=Reason.INFRASTRUCTURE_FAILED)
        assert only(TRAIN, a_referees(TRAIN, said)).reason == Reason.INFRASTRUCTURE_FAILED

    @pytest.mark.parametrize(
        "said",
        [
            "",
            "{}",
            "loss 0.0001",
            '{"order"',
            json.dumps({"order": TRAIN.name, "attempt": 1, "measurement": {"score": "1e999"}}),
            message(measured(an_order(attempt=2))),
            message(measured(TRAIN, index=1)),
            message(measured(an_order(name="s-0002-train-gates-a1"))),
            message(measured(TRAIN)) + " " * 4096,
        ],
    )
    def test_that_ends_well_without_a_valid_message_left_no_result(self, said: str) -> None:
        pod = a_pod(TRAIN, ended("referee", message=said), ended("player"), phase="Succeeded")
        assert only(TRAIN, pod, job=the_job(TRAIN, COMPLETE)).reason == Reason.NO_RESULT

    def test_that_succeeded_counts_though_another_pod_was_started_since(self) -> None:
        said = ended("referee", message=message(measured(TRAIN)))
        later = a_pod(TRAIN)
        later["metadata"]["creationTimestamp"] = at(60)
        pods = (a_pod(TRAIN, said, ended("player"), phase="Succeeded"), later)
        for found in (results(TRAIN, the_job(TRAIN, COMPLETE), *order) for order in (pods, pods[::-1])):
            assert found is not None
            assert found[0].measurement == Measurement(score="0.7")

    def test_that_crashed_is_nobodys_fault(self) -> None:
        pod = a_pod(TRAIN, ended("referee", 1, message="Traceback"), ended("player", 1), phase="Failed")
        found = only(TRAIN, pod)
        assert found.reason == Reason.INFRASTRUCTURE_FAILED
        assert "exit code 1" in found.message

    def test_that_crashed_is_tried_again_only_when_its_player_is_gone(self) -> None:
        pod = a_pod(TRAIN, ended("referee", 1), running("player"))
        assert results(TRAIN, the_job(TRAIN), pod) is None

    def test_out_of_memory_is_nobodys_fault(self) -> None:
        killed = ended("referee", 137, "OOMKilled", message(measured(TRAIN)))
        found = only(TRAIN, a_pod(TRAIN, killed, ended("player", 1), phase="Failed"))
        assert found.reason == Reason.INFRASTRUCTURE_FAILED
        assert "limit 2Gi" in found.message

    @pytest.mark.parametrize("why", ["StartError", "ContainerCannotRun", "ContainerStatusUnknown"])
    def test_that_never_ran_is_nobodys_fault(self, why: str) -> None:
        pod = a_pod(TRAIN, ended("referee", 128, why), ended("player", 128, why), phase="Failed")
        assert only(TRAIN, pod).reason == Reason.INFRASTRUCTURE_FAILED


class TestAPlayer:
    def test_killed_for_its_memory_is_out_of_memory(self) -> None:
        pod = a_referees(TRAIN, SILENT, ended("player", 137, "OOMKilled"))
        found = only(TRAIN, pod)
        assert found.reason == Reason.OUT_OF_MEMORY
        assert found.message.startswith(
            "Container player exit 137, killed for its memory, limit 2Gi. The player"
        )

    def test_that_lost_only_a_child_to_the_killer_keeps_its_result(self) -> None:
        pod = a_referees(TRAIN, measured(TRAIN), ended("player", 0, "OOMKilled"))
        assert only(TRAIN, pod).reason is None

    def test_that_crashed_is_as_the_referee_says(self) -> None:
        assert only(TRAIN, a_referees(TRAIN, SILENT, ended("player", 139))).reason == Reason.NO_RESULT

    def test_can_forge_no_message(self) -> None:
        forged = ended("player", message=message(measured(TRAIN)))
        pod = a_pod(TRAIN, ended("referee"), forged, phase="Succeeded")
        assert only(TRAIN, pod).reason == Reason.NO_RESULT

    def test_silenced_by_an_eviction_is_not_to_blame(self) -> None:
        pod = disrupted(a_referees(TRAIN, SILENT, ended("player", 137)), "TerminationByKubelet", FULL)
        assert only(TRAIN, pod).reason == Reason.EVICTED

    def test_silenced_by_a_deletion_is_not_to_blame(self) -> None:
        pod = deleted(a_referees(TRAIN, SILENT, ended("player", 137)), 51)
        assert results(TRAIN, the_job(TRAIN), pod) is None
        over = {**pod, "status": {**pod["status"], "phase": "Failed"}}
        assert only(TRAIN, over).reason == Reason.LOST

    def test_measured_before_its_pod_was_taken_away_stays_measured(self) -> None:
        pod = disrupted(a_referees(TRAIN, measured(TRAIN)), "PreemptionByScheduler", "")
        assert only(TRAIN, pod).reason is None


class TestAPodTakenAway:
    @pytest.mark.parametrize(
        ("cause", "reason"),
        [
            ("PreemptionByScheduler", Reason.PREEMPTED),
            ("DeletionByTaintManager", Reason.NODE_LOST),
            ("DeletionByPodGC", Reason.NODE_LOST),
            ("EvictionByEvictionAPI", Reason.EVICTED),
            ("TerminationByKubelet", Reason.EVICTED),
            ("SomethingNew", Reason.INFRASTRUCTURE_FAILED),
        ],
    )
    @pytest.mark.parametrize("order", [TRAIN, AGENT], ids=["training", "agent"])
    def test_has_a_reason_of_its_own(self, order: Order, cause: str, reason: Reason) -> None:
        found = only(order, disrupted(a_pod(order), cause, "Because."))
        assert found.reason == reason
        assert found.reason in lifecycle.LOST
        assert "Because." in found.message

    @pytest.mark.parametrize(
        ("cause", "reason"),
        [
            ("Evicted", Reason.EVICTED),
            ("Preempting", Reason.PREEMPTED),
            ("NodeLost", Reason.NODE_LOST),
            ("Terminated", Reason.EVICTED),
            ("OutOfcpu", Reason.INFRASTRUCTURE_FAILED),
            ("UnexpectedAdmissionError", Reason.INFRASTRUCTURE_FAILED),
        ],
    )
    def test_is_told_by_the_pods_own_reason_too(self, cause: str, reason: Reason) -> None:
        pod = a_pod(TRAIN, phase="Failed", reason=cause, message="Why.", containerStatuses=[])
        assert only(TRAIN, pod).reason == reason

    @pytest.mark.parametrize(
        "said",
        [
            'Usage of EmptyDir volume "player-tmp" exceeds the limit "512Mi". ',
            'Container player exceeded its local ephemeral storage limit "1Gi". ',
            "Pod ephemeral local storage usage exceeds the total limit of containers 1280Mi. ",
        ],
    )
    def test_for_its_own_storage_is_the_candidates_fault(self, said: str) -> None:
        pod = a_pod(TRAIN, phase="Failed", reason="Evicted", message=said)
        found = only(TRAIN, disrupted(pod, "TerminationByKubelet", said))
        assert found.reason == Reason.STORAGE_EXCEEDED
        assert found.message.count(said.strip()) == 1

    @pytest.mark.parametrize("name", ['EmptyDir volume "referee-tmp"', "Container referee"])
    def test_for_the_referees_storage_is_nobodys_fault(self, name: str) -> None:
        said = (
            f"Usage of {name} exceeds the limit."
            if "Empty" in name
            else f"{name} exceeded its local ephemeral storage"
        )
        assert (
            only(TRAIN, a_pod(TRAIN, phase="Failed", reason="Evicted", message=said)).reason == Reason.EVICTED
        )

    def test_by_a_deletion_is_lost_when_it_is_over(self) -> None:
        pod = deleted(a_pod(TRAIN), 30)
        assert results(TRAIN, the_job(TRAIN), pod) is None
        assert only(TRAIN, {**pod, "status": {**pod["status"], "phase": "Failed"}}).reason == Reason.LOST

    def test_from_a_machine_that_is_silent_is_lost_with_it(self) -> None:
        pod = deleted(a_pod(TRAIN), 30)
        assert outcome.waiting(the_job(TRAIN), [pod], NOW) == outcome.Waiting(None, 34)
        assert only(TRAIN, pod, job=the_job(TRAIN), now=T0 + 96).reason == Reason.NODE_LOST

    def test_without_a_trace_is_lost(self) -> None:
        assert only(TRAIN, a_pod(TRAIN, phase="Failed", containerStatuses=[])).reason == Reason.LOST

    def test_of_an_unknown_phase_is_on_a_lost_machine(self) -> None:
        assert only(TRAIN, a_pod(TRAIN, phase="Unknown"), job=the_job(TRAIN)).reason == Reason.NODE_LOST


class TestADeadline:
    LATE = "Pod was active on the node longer than the specified deadline"

    def late(self, seconds: float, order: Order = TRAIN) -> Object:
        container = "referee" if order.kind == "train" else "agent"
        killed = ended(container, 137, after=2 + seconds)
        return a_pod(order, killed, phase="Failed", reason="DeadlineExceeded", message=self.LATE)

    def test_that_the_order_used_up_is_its_own_fault(self) -> None:
        found = only(TRAIN, self.late(610))
        assert (found.reason, found.cost.seconds) == (Reason.DEADLINE_EXCEEDED, 600)

    def test_that_was_spent_on_the_image_is_nobodys_fault(self) -> None:
        assert only(TRAIN, self.late(100)).reason == Reason.INFRASTRUCTURE_FAILED

    def test_keeps_the_message_that_came_before(self) -> None:
        pod = a_referees(TRAIN, measured(TRAIN), ended("player", 137))
        pod["status"] |= {"phase": "Failed", "reason": "DeadlineExceeded", "message": self.LATE}
        assert only(TRAIN, pod).reason is None

    def test_counts_for_an_agent_too(self) -> None:
        assert only(AGENT, self.late(120, AGENT)).reason == Reason.DEADLINE_EXCEEDED


class TestAJob:
    def test_that_failed_without_a_pod_is_lost_once_news_of_pods_would_have_come(self) -> None:
        job = the_job(TRAIN, failed())
        job["status"]["failed"] = 1
        assert results(TRAIN, job, now=NOW) is None
        assert outcome.waiting(job, (), NOW) == outcome.Waiting(None, 29)
        found = only(TRAIN, job=job, now=T0 + 91)
        assert found.reason == Reason.LOST
        assert "BackoffLimitExceeded" in found.message

    def test_past_its_own_deadline_is_lost(self) -> None:
        job = the_job(TRAIN, failed("DeadlineExceeded", since=0))
        assert "DeadlineExceeded" in only(TRAIN, job=job).message

    @pytest.mark.parametrize("counted", [{}, {"failed": None, "uncountedTerminatedPods": {}}])
    def test_that_never_got_a_pod_was_rejected_and_cost_nothing(self, counted: Object) -> None:
        job = the_job(TRAIN, failed("DeadlineExceeded", since=0))
        job["status"] |= counted
        found = only(TRAIN, job=job)
        assert (found.reason, found.cost.seconds) == (Reason.JOB_REJECTED, 0)
        assert "never got a pod" in found.message

    @pytest.mark.parametrize(
        ("counted", "reason"),
        [({"succeeded": 1}, Reason.JOB_REJECTED), ({"succeeded": 1, "failed": 1}, Reason.LOST)],
    )
    def test_one_seed_of_which_never_got_a_pod_keeps_what_the_other_measured(
        self, counted: Object, reason: Reason
    ) -> None:
        job = the_job(SEEDS, failed("DeadlineExceeded", since=0))
        job["status"] |= counted
        done = a_pod(
            SEEDS,
            ended("referee", message=message(measured(SEEDS))),
            ended("player"),
            index=0,
            phase="Succeeded",
        )
        found = results(SEEDS, job, done, now=NOW)
        assert found is not None
        assert [one.reason for one in found] == [None, reason]

    def test_that_is_about_to_fail_has_not_ended(self) -> None:
        assert not outcome.has_ended(the_job(TRAIN, FAILING))
        assert outcome.has_ended(the_job(TRAIN, FAILING, failed()))
        assert outcome.has_ended(the_job(TRAIN, COMPLETE))

    def test_that_a_queue_holds_back_is_never_given_up(self) -> None:
        assert results(TRAIN, the_job(TRAIN, suspend=True), now=T0 + 10**6) is None

    def test_whose_pod_its_queue_took_back_was_preempted(self) -> None:
        pod = deleted(a_pod(TRAIN, ended("referee", 137), ended("player", 137), phase="Failed"), 50)
        assert only(TRAIN, pod, job=the_job(TRAIN, suspend=True)).reason == Reason.PREEMPTED

    def test_says_whether_it_measures(self) -> None:
        assert outcome.is_training(the_job(TRAIN))
        assert not outcome.is_training(the_job(AGENT))

    def test_whose_annotations_somebody_edited_still_ends(self) -> None:
        job = the_job(TRAIN, failed())
        job["metadata"]["annotations"]["asiarch.dev/seconds"] = "many"
        assert only(TRAIN, a_pod(TRAIN, ended("referee", 1), phase="Failed"), job=job).cost.seconds == 50


class TestSeveralSeeds:
    GOOD = tuple(measured(SEEDS, index) for index in (0, 1))
    UNFIT = measured(SEEDS, 1, measurement=None, reason=Reason.DIVERGED)

    def test_are_done_when_every_one_is(self) -> None:
        first, second = (a_referees(SEEDS, said, index=i) for i, said in enumerate(self.GOOD))
        assert results(SEEDS, the_job(SEEDS), first) is None
        assert results(SEEDS, the_job(SEEDS), first, a_pod(SEEDS, index=1)) is None
        found = results(SEEDS, the_job(SEEDS), second, first)
        assert found is not None
        assert [one.index for one in found] == [0, 1]

    def test_wait_for_the_seeds_before_the_unfit_one(self) -> None:
        unfit = a_referees(SEEDS, self.UNFIT, index=1)
        assert results(SEEDS, the_job(SEEDS), a_pod(SEEDS, index=0), unfit) is None

    def test_do_not_wait_for_the_seeds_after_the_unfit_one(self) -> None:
        said = self.UNFIT.model_copy(update={"index": 0})
        found = results(SEEDS, the_job(SEEDS), a_referees(SEEDS, said, index=0), a_pod(SEEDS, index=1))
        assert found is not None
        assert [(one.index, one.reason) for one in found] == [(0, Reason.DIVERGED)]

    def test_charge_what_ran_beside_the_unfit_one(self) -> None:
        said = self.UNFIT.model_copy(update={"index": 0})
        (found,) = (
            results(SEEDS, the_job(SEEDS), a_referees(SEEDS, said, index=0), a_pod(SEEDS, index=1)) or ()
        )
        assert found.cost.seconds == 48.5 + 50

    def test_that_were_deleted_for_the_unfit_one_are_not_to_blame(self) -> None:
        silent = SILENT.model_copy(update={"order": SEEDS.name})
        gone = deleted(a_referees(SEEDS, silent, ended("player", 137), index=0), 51)
        gone = {**gone, "status": {**gone["status"], "phase": "Failed"}}
        found = results(SEEDS, the_job(SEEDS, failed()), gone, a_referees(SEEDS, self.UNFIT, index=1))
        assert found is not None
        assert [one.reason for one in found] == [Reason.DIVERGED]

    def test_of_which_one_was_evicted_are_tried_again_whole(self) -> None:
        pods = (
            a_referees(SEEDS, self.GOOD[0], index=0),
            disrupted(a_pod(SEEDS, index=1), "EvictionByEvictionAPI", "Eviction API: evicting"),
        )
        found = results(SEEDS, the_job(SEEDS, failed()), *pods)
        assert found is not None
        assert [one.reason for one in found] == [None, Reason.EVICTED]


def test_every_cause_is_somebodys_and_never_the_candidates_but_for_time() -> None:
    assert set(outcome.CAUSES.values()) <= lifecycle.LOST | {Reason.DEADLINE_EXCEEDED}


def test_a_clock_that_ran_backwards_costs_nothing() -> None:
    pod = a_pod(TRAIN, ended("referee", 1, after=-90), phase="Failed")
    assert only(TRAIN, pod).cost.seconds == 0


def test_the_time_of_a_pod_without_containers_is_its_own() -> None:
    pod = a_pod(TRAIN, phase="Failed", reason="Evicted", containerStatuses=[])
    assert only(TRAIN, disrupted(pod, "TerminationByKubelet", FULL, since=40)).cost.seconds == 40


def test_of_two_pods_the_later_one_counts() -> None:
    old = a_pod(TRAIN, ended("referee", 1), phase="Failed")
    new = a_referees(TRAIN, measured(TRAIN))
    new["metadata"]["creationTimestamp"] = at(9)
    assert only(TRAIN, new, old).reason is None


@given(st.text(max_size=200))
def test_whatever_a_referee_leaves_there_is_an_answer(said: str) -> None:
    pod = a_pod(TRAIN, ended("referee", message=said), ended("player"), phase="Succeeded")
    assert only(TRAIN, pod, job=the_job(TRAIN, COMPLETE)).reason in {Reason.NO_RESULT, None}
