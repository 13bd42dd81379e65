"""What a user may lay over our pods, and that nothing which guards the sandbox is among it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asiarch.kube.client import Object
from asiarch.kube.overlay import applied, refusals
from tests.kube.goldens import OVERLAY
from tests.kube.orders import a_job, an_order

TEMPLATE: Object = a_job(an_order())["spec"]["template"]
HARMLESS: Object = {
    "metadata": {
        "labels": {"kueue.x-k8s.io/priority-class": "low"},
        "annotations": {
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "owner": "anybody, in words",
        },
    },
    "spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100", "disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists", "tolerationSeconds": 30}],
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "runtimeClassName": "kata",
        "priorityClassName": "batch",
        "schedulerName": "volcano",
        "imagePullSecrets": [{"name": "registry"}],
        "terminationGracePeriodSeconds": 20,
    },
}

IN_SPEC: dict[str, Any] = {
    "containers": [{"name": "mine", "image": "mine", "securityContext": {"privileged": True}}],
    "initContainers": [{"name": "mine", "env": [{"name": "LD_PRELOAD", "value": "/mine.so"}]}],
    "ephemeralContainers": [{"name": "mine"}],
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    "hostNetwork": True,
    "hostPID": True,
    "hostIPC": True,
    "hostUsers": True,
    "securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]},
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "automountServiceAccountToken": True,
    "nodeName": "master",
    "shareProcessNamespace": True,
    "enableServiceLinks": True,
    "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["gateway"]}],
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": {"nameservers": ["1.1.1.1"]},
    "restartPolicy": "Always",
    "activeDeadlineSeconds": 10**9,
    "env": [{"name": "PYTHONSTARTUP", "value": "/mine.py"}],
    "priority": 2_000_000_000,
    "os": {"name": "windows"},
}
"""S14 and S15: what would weaken the sandbox, by field."""

KEYS = [
    "asiarch.dev/search",
    "asiarch.dev/part",
    "app.kubernetes.io/managed-by",
    "batch.kubernetes.io/job-name",
    "job-name",
    "controller-uid",
    "azure.workload.identity/use",
    "sidecar.istio.io/inject",
    "dev.gvisor.flag.network",
    "io.katacontainers.config.hypervisor.path",
    "k8s.v1.cni.cncf.io/networks",
    "container.apparmor.security.beta.kubernetes.io/player",
    "io.kubernetes.cri-o.userns-mode",
]
"""S16: ours and the Job controller's, and what runtimes, plugins and webhooks take orders from."""

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*HARMLESS["spec"], *IN_SPEC, "labels", "annotations", "name", *KEYS])
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=24,
)
overlays = st.fixed_dictionaries({}, optional={"metadata": anything, "spec": anything, "status": anything})


def guards(template: Object) -> Object:
    """Everything in a pod template that an overlay may not touch."""
    spec = {name: value for name, value in template["spec"].items() if name not in HARMLESS["spec"]}
    return copy.deepcopy(spec)


def fields(template: Any, runtime: str | None = None) -> list[str]:
    return [fault.path for fault in refusals(template, runtime)]


def test_placement_and_a_queues_labels_are_allowed() -> None:
    assert refusals(HARMLESS) == ()


def test_the_example_of_the_golden_files_is_allowed() -> None:
    assert refusals(OVERLAY, "gvisor") == ()


def test_what_is_allowed_is_laid_over() -> None:
    found = applied(TEMPLATE, HARMLESS)
    assert HARMLESS["spec"].items() <= found["spec"].items()
    assert HARMLESS["metadata"]["labels"].items() <= found["metadata"]["labels"].items()
    assert HARMLESS["metadata"]["annotations"].items() <= found["metadata"]["annotations"].items()


def test_the_template_itself_is_left_alone() -> None:
    before = copy.deepcopy(TEMPLATE)
    applied(TEMPLATE, HARMLESS)
    assert before == TEMPLATE


@pytest.mark.parametrize("field", IN_SPEC)
def test_what_would_weaken_the_sandbox_is_refused_by_field(field: str) -> None:
    laid = {"spec": {field: IN_SPEC[field]}}
    assert fields(laid) == [f"spec.{field}"]
    assert applied(TEMPLATE, laid) == TEMPLATE


@pytest.mark.parametrize("kind", ["labels", "annotations"])
@pytest.mark.parametrize("key", KEYS)
def test_keys_that_others_take_orders_from_are_refused(kind: str, key: str) -> None:
    laid = {"metadata": {kind: {key: "mine"}}}
    assert len(refusals(laid)) == 1
    assert applied(TEMPLATE, laid) == TEMPLATE


@pytest.mark.parametrize("field", ["ownerReferences", "finalizers", "name", "namespace", "generateName"])
def test_who_owns_a_pod_is_not_the_users_to_say(field: str) -> None:
    assert fields({"metadata": {field: ["x"]}}) == [f"metadata.{field}"]


@pytest.mark.parametrize("key", ["app", "team", "app.kubernetes.io/name"])
def test_a_label_by_which_a_policy_or_a_service_could_choose_the_pod_is_refused(key: str) -> None:
    (fault,) = refusals({"metadata": {"labels": {key: "web"}}})
    assert "anything else can be an annotation" in str(fault)


def test_a_queue_is_named_in_its_own_field_where_it_has_one() -> None:
    laid = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "other"}}}
    (fault,) = refusals(laid, queues=False)
    assert "spec.evaluation.queueName" in str(fault)
    assert refusals(laid) == ()


def test_the_deployments_runtime_can_not_be_replaced() -> None:
    laid = {"spec": {"runtimeClassName": "runc"}}
    assert fields(laid, "gvisor") == ["spec.runtimeClassName"]
    assert applied(TEMPLATE, laid, "gvisor") == TEMPLATE


def test_a_search_may_choose_a_runtime_where_the_deployment_has_none() -> None:
    assert applied(TEMPLATE, {"spec": {"runtimeClassName": "gvisor"}})["spec"]["runtimeClassName"] == "gvisor"


def test_the_clusters_own_priorities_are_refused() -> None:
    assert fields({"spec": {"priorityClassName": "system-node-critical"}}) == ["spec.priorityClassName"]


def test_a_claimed_device_is_refused_since_no_budget_would_count_it() -> None:
    laid = {"spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}]}}
    (fault,) = refusals(laid)
    assert fault.path == "spec.resourceClaims"
    assert "the rung's resources" in str(fault)
    assert applied(TEMPLATE, laid) == TEMPLATE


def test_a_pod_may_not_take_for_ever_to_end() -> None:
    assert fields({"spec": {"terminationGracePeriodSeconds": 31}}) == ["spec.terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("laid", "said"),
    [
        (
            {"spec": {"hostNetwork": True}},
            "spec.hostNetwork: found true, wanted nothing; what guards the sandbox can't be changed.",
        ),
        (
            {"spec": {"nodeSelectors": {}}},
            "did you mean nodeSelector?",
        ),
        ({"spec": {"tolerations": {}}}, "spec.tolerations: found {}, wanted a list."),
        ({"spec": None}, "spec: found null, wanted a mapping."),
        ({"spec": {"affinity": {"nodeAffinity": 3}}}, "spec.affinity.nodeAffinity: found 3, wanted a mapping."),
        ({"spec": {"imagePullSecrets": [{"name": "../x"}]}}, 'spec.imagePullSecrets[0].name: found "../x",'),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_found_and_wanted(laid: Object, said: str) -> None:
    assert said in " ".join(map(str, refusals(laid)))


def test_what_is_nested_without_end_is_refused_unread() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"affinity": deep}
    assert fields({"spec": deep}) == ["spec"]
    assert applied(TEMPLATE, {"spec": deep}) == TEMPLATE


@given(overlays)
def test_whatever_is_laid_over_what_guards_stays(laid: Object) -> None:
    found = applied(TEMPLATE, laid, "gvisor")
    assert guards(found) == guards(TEMPLATE)
    assert TEMPLATE["metadata"]["labels"].items() <= found["metadata"]["labels"].items()
    assert found["spec"].get("runtimeClassName", "gvisor") == "gvisor"


@given(overlays)
def test_what_is_not_refused_is_laid_over_whole(laid: Object) -> None:
    if refusals(laid):
        return
    found = applied(TEMPLATE, laid)
    assert laid.get("spec", {}).items() <= found["spec"].items()
