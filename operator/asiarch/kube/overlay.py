"""What a user may lay over our pods: where they run and what they are called; nothing that guards the sandbox.

A list of what is allowed, never of what is forbidden. Labels and annotations too: runtimes, network plugins and
webhooks take orders from them (`dev.gvisor.*`, `io.katacontainers.*`, `k8s.v1.cni.cncf.io/networks`, sidecar
injection, workload identities), so keys are plain words, or of schedulers that we know.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from asiarch.api.fault import Fault, at, shown, suggestion
from asiarch.kube.client import Object

KUEUE = "kueue.x-k8s.io/"
QUEUE = f"{KUEUE}queue-name"
"""Label: the Kueue queue that a Job waits in; Kueue then decides when it is suspended, and we never do."""

MAX_GRACE = 30
_MAX_ENTRIES = 64
_MAX_DEPTH = 24
_MAX_ANNOTATION = 1024
_SCHEDULERS = (KUEUE, "cluster-autoscaler.kubernetes.io/", "karpenter.sh/")
_JOB_CONTROLLER = frozenset({"controller-uid", "job-name"})
_WORD = re.compile(r"[A-Za-z0-9]([-_A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")

_LOCKED = frozenset(
    {
        "activeDeadlineSeconds", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
        "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers",
        "hostname", "initContainers", "nodeName", "restartPolicy", "securityContext", "serviceAccount",
        "serviceAccountName", "shareProcessNamespace", "volumes",
    }
)  # fmt: skip
"""Only for a better message: whatever isn't allowed is refused."""
_UNCOUNTED = "resourceClaims"

Check = Callable[[str, Any], Iterator[Fault]]


def refusals(
    template: Mapping[str, Any], runtime: str | None = None, *, queues: bool = True
) -> tuple[Fault, ...]:
    """Everything in an overlay that is refused; `runtime` is the deployment's own class, which can't be replaced.

    Where the queue has a field of its own, no label `queues`.
    """
    if _deeper_than(template, _MAX_DEPTH):
        return (Fault("spec", f"more than {_MAX_DEPTH} levels", "a pod template"),)
    queue = None if queues else _mapping(_mapping(template.get("metadata")).get("labels")).get(QUEUE)
    elsewhere = "nothing here; set spec.evaluation.queueName"
    found = [] if queue is None else [Fault(at("metadata.labels", QUEUE), shown(queue), elsewhere)]
    return (*found, *_refusals(template, runtime))


def applied(template: Object, overlay: Mapping[str, Any], runtime: str | None = None) -> Object:
    """Lay over a pod template what is allowed of an overlay; what `refusals` names is left out."""
    if _deeper_than(overlay, _MAX_DEPTH):
        return template
    metadata, spec = dict(template["metadata"]), dict(template["spec"])
    said = _mapping(overlay.get("metadata"))
    for field, check in _METADATA.items():
        chosen = {k: v for k, v in _mapping(said.get(field)).items() if not any(check(field, {k: v}))}
        metadata[field] = {**chosen, **metadata[field]}
    wanted = _mapping(overlay.get("spec"))
    spec |= {f: v for f, v in wanted.items() if f in _SPEC and not any(_in_spec(f, v, runtime))}
    return {"metadata": metadata, "spec": spec}


def _refusals(template: Mapping[str, Any], runtime: str | None) -> Iterator[Fault]:
    yield from _known("", template, ("metadata", "spec"))
    for part, fields in (("metadata", _METADATA), ("spec", _SPEC)):
        said = template.get(part, {})
        if not isinstance(said, Mapping):
            yield Fault(part, shown(said), "a mapping")
            continue
        yield from _known(part, said, tuple(fields))
        for field in said.keys() & fields.keys():
            if part == "metadata":
                yield from _METADATA[field](f"metadata.{field}", said[field])
            else:
                yield from _in_spec(field, said[field], runtime)


def _in_spec(field: str, value: Any, runtime: str | None) -> Iterator[Fault]:
    path = f"spec.{field}"
    yield from _SPEC[field](path, value)
    if field == "runtimeClassName" and runtime is not None and value != runtime:
        yield Fault(path, shown(value), f"{runtime}, as the operator was deployed")


def _known(path: str, found: Mapping[str, Any], allowed: Sequence[str]) -> Iterator[Fault]:
    """Refuse every field that isn't allowed."""
    for field in sorted(found.keys() - set(allowed)):
        if path == "spec" and field in _LOCKED:
            yield Fault(
                at(path, field), shown(found[field]), "nothing; what guards the sandbox can't be changed"
            )
        elif path == "spec" and field == _UNCOUNTED:
            wanted = "nothing; name accelerators in the rung's resources, which budget.gpuHours counts"
            yield Fault(at(path, field), shown(found[field]), wanted)
        else:
            wanted = f"only {', '.join(allowed)}"
            yield Fault(at(path, field), shown(found[field]), wanted, suggestion(field, allowed))


def _labels(path: str, value: Any) -> Iterator[Fault]:
    """Labels of schedulers and queues alone: by any other a policy or a Service of somebody's could choose the pod."""
    for key, text in _checked_map(path, value):
        if isinstance(text, Fault):
            yield text
        elif not (key.startswith(_SCHEDULERS) and _KEY.fullmatch(key)):
            yield Fault(
                at(path, key), shown(key), f"a key of {_prefixes()}; anything else can be an annotation"
            )
        elif not _VALUE.fullmatch(text):
            yield Fault(
                at(path, key), shown(text), "a label's value: letters, digits, '-', '_', '.'; at most 63"
            )


def _annotations(path: str, value: Any) -> Iterator[Fault]:
    for key, text in _checked_map(path, value):
        if isinstance(text, Fault):
            yield text
        elif not _is_free(key):
            yield _not_free(path, key)
        elif len(text) > _MAX_ANNOTATION:
            yield Fault(at(path, key), f"{len(text)} characters", f"at most {_MAX_ANNOTATION} characters")


def _checked_map(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a map of texts; a fault in the place of a value that is none."""
    if not isinstance(value, Mapping):
        yield "", Fault(path, shown(value), "a mapping")
    elif len(value) > _MAX_ENTRIES:
        yield "", Fault(path, f"{len(value)} entries", f"at most {_MAX_ENTRIES} entries")
    else:
        for key, text in sorted(value.items()):
            yield key, text if isinstance(text, str) else Fault(at(path, key), shown(text), "text")


def _is_free(key: str) -> bool:
    if key.startswith(_SCHEDULERS):
        return _KEY.fullmatch(key) is not None
    return _WORD.fullmatch(key) is not None and key not in _JOB_CONTROLLER


def _not_free(path: str, key: str) -> Fault:
    return Fault(at(path, key), shown(key), f"a plain word without '.' and '/', or a key of {_prefixes()}")


def _prefixes() -> str:
    return ", ".join(prefix[:-1] for prefix in _SCHEDULERS)


def _selector(path: str, value: Any) -> Iterator[Fault]:
    for key, text in _checked_map(path, value):
        if isinstance(text, Fault):
            yield text
        elif not (_KEY.fullmatch(key) and _VALUE.fullmatch(text)):
            yield Fault(at(path, key), shown(text), "a label's key and value")


def _name(path: str, value: Any) -> Iterator[Fault]:
    if not (isinstance(value, str) and _NAME.fullmatch(value)):
        yield Fault(path, shown(value), "a name: lower-case letters, digits, '-' and '.'")


def _priority(path: str, value: Any) -> Iterator[Fault]:
    yield from _name(path, value)
    if isinstance(value, str) and value.startswith("system-"):
        yield Fault(path, shown(value), "a class that isn't the cluster's own")


def _grace(path: str, value: Any) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_GRACE:
        yield Fault(path, shown(value), f"a whole number of 0 to {MAX_GRACE}")


def _affinity(path: str, value: Any) -> Iterator[Fault]:
    kinds = ("nodeAffinity", "podAffinity", "podAntiAffinity")
    if not isinstance(value, Mapping):
        yield Fault(path, shown(value), "a mapping")
        return
    yield from _known(path, value, kinds)
    for kind in kinds:
        if not isinstance(value.get(kind, {}), Mapping):
            yield Fault(at(path, kind), shown(value[kind]), "a mapping")


def _list_of(*fields: str, name: str | None = None) -> Check:
    """A list of mappings with these fields at most; the API server says what they hold, and we hold `name`."""

    def check(path: str, value: Any) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield Fault(path, shown(value), "a list")
            return
        if len(value) > _MAX_ENTRIES:
            yield Fault(path, f"{len(value)} entries", f"at most {_MAX_ENTRIES} entries")
        for index, entry in enumerate(value):
            place = f"{path}[{index}]"
            if not isinstance(entry, Mapping):
                yield Fault(place, shown(entry), "a mapping")
                continue
            yield from _known(place, entry, fields)
            if name is not None:
                yield from _name(at(place, name), entry.get(name))

    return check


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _deeper_than(value: Any, most: int) -> bool:
    """Whether something is nested so deep that reading it by recursion is unsafe."""
    level = [value]
    for _ in range(most):
        below = [list(one.values()) if isinstance(one, Mapping) else one for one in level]
        level = [inner for one in below if isinstance(one, list) for inner in one]
        if not level:
            return False
    return True


_METADATA: Mapping[str, Check] = {"labels": _labels, "annotations": _annotations}
_SPEC: Mapping[str, Check] = {
    "nodeSelector": _selector,
    "tolerations": _list_of("key", "operator", "value", "effect", "tolerationSeconds"),
    "affinity": _affinity,
    "topologySpreadConstraints": _list_of(
        "maxSkew", "topologyKey", "whenUnsatisfiable", "labelSelector", "minDomains", "matchLabelKeys",
        "nodeAffinityPolicy", "nodeTaintsPolicy",
    ),
    "runtimeClassName": _name,
    "priorityClassName": _priority,
    "schedulerName": _name,
    "imagePullSecrets": _list_of("name", name="name"),
    "terminationGracePeriodSeconds": _grace,
}  # fmt: skip
"""What may be laid over a pod's spec, and how it is checked."""
