"""What the objects of an order are, to the byte; and what holds for all of them."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from asiarch.api.names import AUDIENCE, MAX_OBJECT_NAME, ORDER
from asiarch.api.order import Order, OrderKind
from asiarch.api.search import Agents, Dataset, Rung
from asiarch.kube import manifests
from asiarch.kube.client import Object
from asiarch.kube.manifests import PENDING_ALLOWANCE
from asiarch.kube.quoting import labels
from tests.builders import GATES, a_search
from tests.kube.goldens import FOLDER, GOLDENS, ON_GPUS, rendered
from tests.kube.orders import (
    DEPLOYMENT,
    a_job,
    an_order,
    container,
    environment,
    pod_of,
    searching,
    the_candidate,
)

AGENTS: tuple[OrderKind, ...] = ("propose", "build", "repair", "analyze")
JOBS: dict[str, Object] = {
    **{kind: a_job(an_order(kind)) for kind in AGENTS},
    "train": a_job(an_order()),
    "train on accelerators": GOLDENS["training-on-accelerators.yaml"](),
}
HOSTILE = "$(touch /pwn);\"'{{7*7}}${HOME}$$(HOME)../../"
REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))?")


def expanded(text: str) -> str:
    """What Kubernetes makes of an environment variable's value; every variable it knows is called `pwned` here."""
    return REFERENCE.sub(lambda found: "$" if found[1] in {None, "$"} else f"pwned by {found[2]}", text)


def texts(value: Any) -> list[str]:
    """All keys and values of a manifest."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", GOLDENS)
def test_a_manifest_is_what_its_golden_file_says(name: str) -> None:
    assert rendered(name) == (FOLDER / name).read_text(), "python -m tests.kube.goldens writes the files anew"


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
class TestEveryJob:
    def test_runs_each_pod_once(self, job: Object) -> None:
        assert job["spec"]["backoffLimit"] == 0
        assert job["spec"]["podReplacementPolicy"] == "Failed"
        assert pod_of(job)["restartPolicy"] == "Never"

    def test_is_never_suspended_by_us(self, job: Object) -> None:
        assert "suspend" not in job["spec"]

    def test_ends_its_pods_before_their_messages_are_deleted_with_them(self, job: Object) -> None:
        assert pod_of(job)["activeDeadlineSeconds"] < job["spec"]["activeDeadlineSeconds"]

    def test_gives_its_pods_longer_than_the_order_itself(self, job: Object) -> None:
        assert pod_of(job)["activeDeadlineSeconds"] > int(job["metadata"]["annotations"][manifests.LIMIT])

    def test_meets_pod_security_restricted(self, job: Object) -> None:
        pod = pod_of(job)
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for one in pod["containers"]:
            guards = one["securityContext"]
            assert guards["runAsUser"] > 0
            assert guards["runAsNonRoot"] is True
            assert guards["allowPrivilegeEscalation"] is False
            assert guards["readOnlyRootFilesystem"] is True
            assert guards["capabilities"] == {"drop": ["ALL"]}
        assert {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"}.isdisjoint(pod)

    def test_bounds_every_resource(self, job: Object) -> None:
        for one in pod_of(job)["containers"]:
            assert {"cpu", "memory", "ephemeral-storage"} <= one["resources"]["limits"].keys()
            assert {"cpu", "memory", "ephemeral-storage"} <= one["resources"]["requests"].keys()
        sizes = [volume["emptyDir"] for volume in pod_of(job)["volumes"] if "emptyDir" in volume]
        assert all("sizeLimit" in size for size in sizes)

    def test_holds_no_secret_and_not_the_usual_token(self, job: Object) -> None:
        pod = pod_of(job)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not any("secret" in volume for volume in pod["volumes"])
        assert not any("envFrom" in one or "valueFrom" in str(one["env"]) for one in pod["containers"])

    def test_uses_no_shell(self, job: Object) -> None:
        for one in pod_of(job)["containers"]:
            assert one["command"][:2] == ["python", "-m"]
            assert "args" not in one

    def test_is_owned_by_its_candidate(self, job: Object) -> None:
        assert job["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "asiarch.dev/v1alpha1",
                "kind": "Candidate",
                "name": "s-0001",
                "uid": the_candidate().metadata.uid,
                "controller": True,
            }
        ]

    def test_is_labelled_like_its_pods(self, job: Object) -> None:
        assert job["spec"]["template"]["metadata"]["labels"].items() <= job["metadata"]["labels"].items() | {
            ("team", "seven")
        }


def test_only_an_agent_has_a_token_and_only_the_gateways() -> None:
    for name, job in JOBS.items():
        sources = [
            source["serviceAccountToken"]
            for volume in pod_of(job)["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
        ]
        wanted = [{"audience": AUDIENCE, "expirationSeconds": 600, "path": "token"}]
        assert sources == ([] if name.startswith("train") else wanted)
        assert pod_of(job)["automountServiceAccountToken"] is False


def test_referee_and_player_are_different_users_and_so_are_two_orders_players() -> None:
    def users(job: Object) -> tuple[int, ...]:
        return tuple(container(job, name)["securityContext"]["runAsUser"] for name in ("referee", "player"))

    found = {
        users(a_job(an_order(name=name))) for name in ("s-0001-a1", "s-0001-a1", "s-0001-a2", "s-0002-a1")
    }
    assert {referee for referee, _ in found} == {65532}
    assert len({player for _, player in found if 100_000 <= player < 1 << 30}) == 3


def test_a_referee_has_room_for_the_logits_of_long_sequences() -> None:
    def room(length: int) -> str:
        rung = Rung(name="text", task="ByteLanguageModel", length=length)
        limits = container(a_job(an_order(rung=rung)), "referee")["resources"]["limits"]
        return str(limits["memory"])

    assert [room(length) for length in (2047, 2048, 65536)] == ["2Gi", "3Gi", "34Gi"]


def test_only_the_player_has_accelerators() -> None:
    job = JOBS["train on accelerators"]
    assert container(job, "player")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in container(job, "referee")["resources"]["limits"]
    assert environment(job, "referee")["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(job, "player")


def test_only_the_referee_sees_the_data() -> None:
    job = JOBS["train on accelerators"]
    seen = {
        name: [mount["name"] for mount in container(job, name)["volumeMounts"]]
        for name in ("referee", "player")
    }
    assert "data" in seen["referee"]
    assert "data" not in seen["player"]
    assert container(job, "referee")["workingDir"] == "/data"


def test_the_player_can_write_its_own_scratch_and_nothing_else() -> None:
    writable = [
        m["name"] for m in container(JOBS["train"], "player")["volumeMounts"] if not m.get("readOnly")
    ]
    assert writable == ["player-tmp"]


def test_the_player_is_told_neither_the_seed_nor_what_will_be_asked() -> None:
    told = Order.model_validate_json(environment(JOBS["train"], "player")["ASIARCH_ORDER"])
    assert (told.seed, told.rung) == (0, None)
    assert told.name == an_order().name


def test_the_referee_is_told_the_whole_order() -> None:
    assert Order.model_validate_json(environment(JOBS["train"], "referee")["ASIARCH_ORDER"]) == an_order()


def test_the_players_message_is_written_where_nobody_reads() -> None:
    referee, player = (container(JOBS["train"], name) for name in ("referee", "player"))
    assert environment(JOBS["train"], "referee")["ASIARCH_RESULT"] == referee["terminationMessagePath"]
    assert player["terminationMessagePath"] != referee["terminationMessagePath"]
    assert "ASIARCH_RESULT" not in environment(JOBS["train"], "player")


def test_a_players_limits_leave_the_referee_room() -> None:
    limits = json.loads(environment(JOBS["train"], "player")["ASIARCH_LIMITS"])
    assert limits == {"processes": 256, "file": 64 << 20, "memory": 2 << 30}


def test_a_player_with_accelerators_has_no_bound_on_what_it_maps() -> None:
    assert "memory" not in json.loads(environment(JOBS["train on accelerators"], "player")["ASIARCH_LIMITS"])


def test_training_pods_can_look_up_no_name() -> None:
    assert pod_of(JOBS["train"])["dnsPolicy"] == "None"
    assert pod_of(JOBS["train"])["dnsConfig"] == {"nameservers": ["127.0.0.1"]}


def test_several_seeds_are_one_indexed_job() -> None:
    spec = a_job(an_order(rung=Rung(name="recall", task="SyntheticRecall", seeds=4)))["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)


def test_one_seed_is_a_plain_job() -> None:
    assert {"completionMode", "completions", "parallelism"}.isdisjoint(JOBS["train"]["spec"])


def test_a_queues_label_is_on_the_job() -> None:
    job = JOBS["train on accelerators"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-seven"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "low"


def test_an_agents_queue_is_a_label_of_its_template() -> None:
    laid: Object = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team-seven"}}}
    job = a_job(an_order("propose"), a_search(agents=Agents(pod_template=laid)))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-seven"


def test_a_job_waits_for_a_place_for_as_long_as_its_pod_does() -> None:
    patient = a_job(an_order(), deployment=replace(DEPLOYMENT, patience=50.0))
    limits = [one["activeDeadlineSeconds"] for one in (patient["spec"], patient["spec"]["template"]["spec"])]
    assert limits[0] - limits[1] == 50 * PENDING_ALLOWANCE


def test_a_dataset_in_a_config_map_is_mounted_too() -> None:
    rung = Rung(name="b", task="ByteLanguageModel", dataset=Dataset(config_map="words"))
    assert {"name": "data", "configMap": {"name": "words"}} in pod_of(a_job(an_order(rung=rung)))["volumes"]


def test_a_dataset_of_the_image_needs_no_volume() -> None:
    rung = Rung(name="b", task="ByteLanguageModel", dataset=Dataset(path="stdlib"))
    job = a_job(an_order(rung=rung))
    assert "data" not in [volume["name"] for volume in pod_of(job)["volumes"]]
    assert "workingDir" not in container(job, "referee")


def test_what_a_user_lays_over_never_replaces_what_guards() -> None:
    laid = {"spec": {"hostNetwork": True, "securityContext": {"runAsUser": 0}, "schedulerName": "other"}}
    pod = pod_of(a_job(an_order(), searching(pod_template=laid)))
    assert pod.pop("schedulerName") == "other"
    assert pod == pod_of(JOBS["train"])


def test_a_long_order_still_has_a_name_that_pods_can_bear() -> None:
    order = an_order("propose", name=f"{'s' * 40}-0001-propose-r2-a12")
    job = a_job(order)
    assert len(job["metadata"]["name"]) <= MAX_OBJECT_NAME
    assert job["metadata"]["annotations"][ORDER] == order.name


def test_a_training_order_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="names no rung or no file"):
        a_job(an_order(code=None))


def test_a_label_that_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted an object's name"):
        labels("agent", HOSTILE)


def test_equal_orders_give_equal_jobs() -> None:
    assert a_job(an_order(rung=ON_GPUS)) == a_job(an_order(rung=ON_GPUS))


class TestHostileText:
    RUNG = Rung(name="b", task="ByteLanguageModel", dataset=Dataset(path=HOSTILE, suffix=HOSTILE[:16]))
    JOB = a_job(an_order(rung=RUNG))

    def test_arrives_as_it_was_written(self) -> None:
        told = Order.model_validate_json(expanded(environment(self.JOB, "referee")["ASIARCH_ORDER"]))
        assert told == an_order(rung=self.RUNG)

    def test_is_never_expanded(self) -> None:
        assert not any("pwned" in expanded(text) for text in texts(self.JOB))

    def test_reaches_nothing_but_the_referees_order(self) -> None:
        clean = a_job(an_order(rung=self.RUNG.model_copy(update={"dataset": Dataset(path="stdlib")})))
        (mine,), (theirs,) = ([t for t in texts(job) if '"dataset"' in t] for job in (self.JOB, clean))
        assert [t for t in texts(self.JOB) if t != mine] == [t for t in texts(clean) if t != theirs]

    def test_in_a_context_or_a_file_stays_data(self) -> None:
        told = manifests.context_map(an_order("propose"), the_candidate(), HOSTILE)
        assert told["data"] == {"context.json": HOSTILE}


def test_expansion_without_quoting_would_be_dangerous() -> None:
    assert "pwned by touch /pwn" in expanded(HOSTILE)


@pytest.mark.parametrize("name", ["context.yaml", "code.yaml"])
def test_what_is_written_once_can_not_be_changed(name: str) -> None:
    assert GOLDENS[name]()["immutable"] is True


def test_the_gates_run_on_a_cpu() -> None:
    assert GATES.resources == {}
    assert environment(JOBS["train"], "player")["NVIDIA_VISIBLE_DEVICES"] == "void"
