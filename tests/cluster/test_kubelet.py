"""The playing kubelet: the Job controller believes it, and it does to pods what a real one does."""

import json
from collections.abc import Callable

import pytest

from tests.cluster.jobs import Bench, a_container, a_job, a_pod, an_order, conditions, terminated, training
from tests.cluster.kubelet.faults import Fault
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.worlds import played

Kubelets = Callable[..., Playing]


@pytest.fixture
def bench(plane: ControlPlane, namespace: str) -> Bench:
    return Bench(plane, namespace)


def test_a_plain_job_runs_its_command_and_is_complete(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    words = ["sh", "-c", "echo $(WHAT) > /dev/termination-log"]
    bench.create(a_job("plain", a_pod(a_container("one", words, WHAT="done"))))
    assert terminated(bench.until("plain", "Complete"))["one"]["message"] == "done\n"


def test_both_containers_of_a_pod_leave_their_message(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    pod = a_pod(*(a_container(name, ["sh", "-c", f"echo {name} > /dev/termination-log"]) for name in "ab"))
    bench.create(a_job("two", pod))
    found = terminated(bench.until("two", "Complete"))
    assert {name: ended["message"] for name, ended in found.items()} == {"a": "a\n", "b": "b\n"}


def test_an_instant_training_order_says_what_the_simulated_world_says(
    bench: Bench, kubelet: Kubelets
) -> None:
    playing, order = kubelet(), an_order()
    bench.create(a_job("train", training(order)))
    found = terminated(bench.until("train", "Complete"))
    (result,) = played(order)
    assert json.loads(found["referee"]["message"]) == result.model_dump(
        mode="json", by_alias=True, exclude_defaults=True
    )
    assert [(e.event, e.order, e.seconds) for e in playing.entries() if e.event != "ended"] == [
        ("started", order.name, 0.0),
        ("charged", order.name, 7.0),
    ]


def test_each_index_of_an_indexed_job_brings_its_own_result(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    order = an_order(rung={"name": "recall", "task": "SyntheticRecall", "seeds": 3})
    shape = {"completionMode": "Indexed", "completions": 3, "parallelism": 3}
    bench.create(a_job("seeds", training(order), **shape))
    bench.plane.kubectl(
        "wait", "-n", bench.namespace, "--for=condition=Complete", "job/seeds", "--timeout=30s"
    )
    said = [json.loads(terminated(pod)["referee"]["message"]) for pod in bench.pods("seeds")]
    assert sorted(one.get("index", 0) for one in said) == [0, 1, 2]
    assert len({one["measurement"]["score"] for one in said}) == 3


@pytest.mark.parametrize(
    ("fault", "container", "ended"),
    [
        (Fault("crash"), "referee", (1, "Error")),
        (Fault("oom"), "player", (137, "OOMKilled")),
        (Fault("oom", container="referee"), "referee", (137, "OOMKilled")),
        (Fault("exit0-without-result"), "referee", (0, "Completed")),
    ],
    ids=lambda value: value.fault if isinstance(value, Fault) else None,
)
def test_a_fault_of_a_container(
    bench: Bench, kubelet: Kubelets, fault: Fault, container: str, ended: tuple[int, str]
) -> None:
    playing = kubelet()
    playing.fault(fault)
    bench.create(a_job("train", training(an_order())))
    pod = bench.until("train", "Complete" if ended[0] == 0 else "Failed")
    found = terminated(pod)[container]
    assert (found["exitCode"], found["reason"]) == ended
    assert "message" not in found


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("evict", "TerminationByKubelet"),
        ("preempt", "PreemptionByScheduler"),
        ("nodelost", "DeletionByPodGC"),
    ],
)
def test_a_disruption_is_told_by_its_condition(
    bench: Bench, kubelet: Kubelets, fault: str, reason: str
) -> None:
    kubelet().fault(Fault(fault))  # type: ignore[arg-type]
    job = a_job("train", training(an_order()))
    job["spec"]["template"]["metadata"] = {"finalizers": ["asiarch.dev/looked-at"]}
    bench.create(job)
    pod = bench.pod_until("train", {"phase": "Failed"})
    assert conditions(pod)["DisruptionTarget"]["reason"] == reason
    path = f"/api/v1/namespaces/{bench.namespace}/pods/{pod['metadata']['name']}"
    bench.plane.request(
        "PATCH", path, {"metadata": {"finalizers": None}}, kind="application/merge-patch+json"
    )
    bench.plane.wait_for(
        lambda: bench.plane.get(f"/apis/batch/v1/namespaces/{bench.namespace}/jobs/train")["status"].get(
            "failed"
        )
        == 1,
        "the Job to count it",
    )


def test_an_image_that_cant_be_pulled_keeps_its_pod_pending(bench: Bench, kubelet: Kubelets) -> None:
    kubelet().fault(Fault("imagepull"))
    bench.create(a_job("train", training(an_order())))
    bench.plane.wait_for(
        lambda: any("containerStatuses" in pod["status"] for pod in bench.pods("train")), "a status"
    )
    pod = bench.pod("train")
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert (pod["status"]["phase"], waiting["reason"]) == ("Pending", "ImagePullBackOff")


def test_a_silent_pod_ends_at_its_deadline_and_keeps_what_it_is(bench: Bench, kubelet: Kubelets) -> None:
    kubelet().fault(Fault("silence"))
    bench.create(a_job("train", training(an_order(), activeDeadlineSeconds=2)))
    pod = bench.until("train", "Failed")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_deleted_job_leaves_no_pod_and_no_process(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    bench.create(a_job("sleeper", a_pod(a_container("one", ["sleep", "4711.5"]))))
    bench.pod_until("sleeper", {"phase": "Running"})
    bench.delete("sleeper")
    bench.plane.wait_for(lambda: bench.pods("sleeper") == [], "the pod to go", 10)


def test_a_pod_waits_for_its_config_map(bench: Bench, kubelet: Kubelets) -> None:
    kubelet()
    one = a_container("one", ["sh", "-c", "cat /code/candidate.py > /dev/termination-log"])
    one["volumeMounts"] = [{"name": "code", "mountPath": "/code"}]
    volume = {"name": "code", "configMap": {"name": "late"}}
    bench.create(a_job("reader", a_pod(one, volumes=[volume])))
    bench.plane.wait_for(
        lambda: any("containerStatuses" in pod["status"] for pod in bench.pods("reader")), "a status"
    )
    assert bench.pod("reader")["status"]["phase"] == "Pending"
    path = f"/api/v1/namespaces/{bench.namespace}/configmaps"
    bench.plane.request("POST", path, {"metadata": {"name": "late"}, "data": {"candidate.py": "text"}})
    assert terminated(bench.until("reader", "Complete"))["one"]["message"] == "text"


def test_what_ran_when_the_kubelet_was_killed_is_lost(bench: Bench, kubelet: Kubelets) -> None:
    playing = kubelet()
    bench.create(a_job("sleeper", a_pod(a_container("one", ["sleep", "4711"]))))
    bench.pod_until("sleeper", {"phase": "Running"})
    playing.kill()
    playing.start_ready()
    pod = bench.until("sleeper", "Failed")
    assert terminated(pod)["one"]["reason"] == "ContainerStatusUnknown"


def test_an_outage_of_the_api_server_ends_nothing(bench: Bench, kubelet: Kubelets) -> None:
    playing = kubelet(lasts=3)
    bench.create(a_job("train", training(an_order())))
    bench.pod_until("train", {"phase": "Running"})
    bench.plane.apiserver.kill()
    bench.plane.wait_for(lambda: any(e.event == "charged" for e in playing.entries()), "the order's end")
    bench.plane.apiserver.start()
    bench.plane.wait_ready()
    bench.until("train", "Complete")
    assert [e.event for e in playing.entries()] == ["started", "charged", "ended"]


@pytest.mark.slow
def test_a_node_that_was_silent_for_too_long_takes_pods_again(bench: Bench, kubelet: Kubelets) -> None:
    playing = kubelet()
    playing.pause()
    bench.plane.wait_for(lambda: not playing.ready(), "the node to be given up", 60)
    playing.resume()
    bench.plane.wait_for(playing.ready, "the node to be back", 30)
