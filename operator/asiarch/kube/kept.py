"""What the operator keeps in memory of each object: little, since there are thousands."""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from asiarch.api.candidate import Candidate
from asiarch.api.names import ORDER, PART, POD_UID, SEARCH
from asiarch.api.search import ArchitectureSearch
from asiarch.core.observation import Record, record
from asiarch.kube.client import Object
from asiarch.kube.store import Held

_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
)
_CONTAINER = ("name", "resources", "securityContext")
_POD = (
    "automountServiceAccountToken",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "runtimeClassName",
    "securityContext",
    "shareProcessNamespace",
)
"""What is told of the isolation that a candidate's code really had."""
_ONES_OWN = {"configMap", "persistentVolumeClaim"}
"""Volumes that may not be there: what a pod that hasn't started waits for."""
_STATUS = (
    "phase",
    "reason",
    "message",
    "startTime",
    "conditions",
    "containerStatuses",
    "initContainerStatuses",
)


_SHORT = 64
"""Characters of strings that are worth a look whether there is one already."""
_KUBERNETES = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers of the garbage collector, which takes them away by itself."""


class Unreadable(Exception):  # noqa: N818 - it is kept in an object's place, and rarely raised
    """An object that the API server accepted and we can't read: another version's, or edited past our schema."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A search that is being deleted: nothing is started for it any more."""

    uid: str
    finalizers: tuple[str, ...]
    """What somebody else set, and what its deletion waits for; ours are none."""


def search_of_label(found: Object) -> str:
    """The search that one of our children names; empty for none."""
    return str(found["metadata"].get("labels", {}).get(SEARCH, ""))


def search_of_candidate(found: Object) -> str:
    """The search that a candidate names."""
    return str(found.get("spec", {}).get("searchName", ""))


def search_itself(found: Object) -> str:
    """A search's own name."""
    return str(found["metadata"]["name"])


def read_search(found: Object) -> ArchitectureSearch | Leaving | Unreadable:
    """A search as a model."""
    if found["metadata"].get("deletionTimestamp"):
        return _leaving(found["metadata"])
    try:
        return ArchitectureSearch.model_validate(found)
    except ValidationError as error:
        return Unreadable(_first(error))


def _leaving(metadata: Object) -> Leaving:
    holders = (name for name in metadata.get("finalizers") or () if name not in _KUBERNETES)
    return Leaving(metadata["uid"], tuple(holders))


class KeptCandidate:
    """A candidate: as a model while it is at work, packed once it has ended; its record always."""

    __slots__ = ("_model", "_packed", "controller", "record", "unreadable")

    def __init__(self, found: Object) -> None:
        """Read the object; one that can't be read has no record."""
        self.controller = controller(found)
        self.unreadable = ""
        self.record: Record | None = None
        self._model: Candidate | None = None
        self._packed = b""
        slim = {**found, "metadata": _slim(found["metadata"])}
        try:
            model = Candidate.model_validate(slim)
        except ValidationError as error:
            self.unreadable = _first(error)
            return
        self.record = record(model)
        if self.record.terminal:
            self._packed = zlib.compress(json.dumps(slim, separators=(",", ":")).encode(), 1)
            for part in (self.record.cost, self.record.lesson):
                _lighten(part)
        else:
            self._model = model
            _lighten(model)

    def doubt(self, rungs: int) -> None:
        """Take one at work for unreadable if its status can't be, on a ladder of so many rungs: somebody edited it."""
        status = None if self._model is None else self._model.status
        if status is not None and status.rung >= rungs:
            fault = f"status.rung: found {status.rung}, wanted less than {rungs}"
        elif status is not None and status.phase == "Evaluating" and status.code is None:
            fault = "status.code: found nothing, wanted its file, since it is Evaluating"
        else:
            return
        self.unreadable, self.record, self._model = fault, None, None

    @property
    def order(self) -> str:
        """The name of the order that it waits for; empty for none."""
        ref = None if self._model is None else self._model.status.order
        return "" if ref is None else ref.name

    @property
    def model(self) -> Candidate:
        """The whole candidate."""
        return self._model or Candidate.model_validate_json(zlib.decompress(self._packed))


def doubt(held: Mapping[str, Held[KeptCandidate]], search: ArchitectureSearch) -> None:
    """Take for unreadable what can't be: by one such candidate no turn of its search may fail."""
    rungs = len(search.spec.evaluation.ladder)
    for one in held.values():
        one.value.doubt(rungs)


class Candidates(Mapping[str, Candidate]):
    """Candidates of one search by name, each unpacked when it is asked for; equal questions of one turn unpack once."""

    def __init__(self, held: Mapping[str, Held[KeptCandidate]]) -> None:
        """Look through what the store holds."""
        self._held = held
        self._unpacked: dict[str, Candidate] = {}

    def __getitem__(self, name: str) -> Candidate:
        """Unpack one."""
        found = self._unpacked.get(name)
        if found is None:
            found = self._unpacked[name] = self._held[name].value.model
        return found

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._held)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name; nothing is unpacked."""
        return name in self._held


def read_job(found: Object) -> Object:
    """Of a Job: who it is, whose, which account its pods ask for, and how it stands."""
    spec = found.get("spec", {})
    kept = {name: spec[name] for name in ("suspend", "completions", "activeDeadlineSeconds") if name in spec}
    account = spec.get("template", {}).get("spec", {}).get("serviceAccountName")
    if account is not None:
        kept["template"] = {"spec": {"serviceAccountName": account}}
    return _lean({"metadata": _slim(found["metadata"]), "spec": kept, "status": found.get("status", {})})


def read_pod(found: Object) -> Object:
    """Of a pod: who it is, whose, what it was given and how it stands; of an agent's that ended well, only that."""
    spec, status = found.get("spec", {}), found.get("status", {})
    if status.get("phase") == "Succeeded" and found["metadata"].get("labels", {}).get(PART) == "agent":
        # There are many of them, and their result is elsewhere.
        ended = {name: status[name] for name in ("phase", "startTime", "containerStatuses") if name in status}
        return _lean({"metadata": _slim(found["metadata"]), "spec": {}, "status": ended})
    kept = {name: spec[name] for name in _POD if name in spec}
    kept["containers"] = [
        {name: c[name] for name in _CONTAINER if name in c} for c in spec.get("containers", ())
    ]
    own = {"nodeName": spec["nodeName"]} if "nodeName" in spec else {}
    if status.get("phase", "Pending") == "Pending":
        own["volumes"] = [one for one in spec.get("volumes", ()) if _ONES_OWN & one.keys()]
    shown = {name: status[name] for name in _STATUS if name in status}
    lean = _lean({"metadata": _slim(found["metadata"]), "status": shown})
    return {**lean, "spec": {**_same_spec(json.dumps(kept, sort_keys=True)), **own}}


@dataclass(frozen=True, slots=True)
class Part:
    """A result or a part of the archive; what it says is read when it is taken."""

    part: str
    """Which of both, as its label says."""
    controller: str
    """The uid of what it belongs to; empty for none."""


def read_part(found: Object) -> Part:
    """Of a result or a part of the archive: which it is, and whose."""
    return Part(_same((found["metadata"].get("labels") or {}).get(PART, "")), _same(controller(found)))


def controller(found: Object) -> str:
    """The uid of the object that controls another; empty for none."""
    owners = found["metadata"].get("ownerReferences", ())
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def status_of(model: BaseModel) -> dict[str, Any]:
    """A status as the API server is to keep it: what is left at its default is left out, but for the phase."""
    short = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"phase": getattr(model, "phase"), **short}  # noqa: B009 - both statuses have one


def _slim(metadata: Object) -> Object:
    """Metadata without managed fields, foreign annotations and the like."""
    kept = {name: metadata[name] for name in _METADATA if name in metadata}
    ours = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name.startswith("asiarch.dev/") or name in (ORDER, POD_UID)
    }
    labels = {
        name: value
        for name, value in (metadata.get("labels") or {}).items()
        if name.startswith(("asiarch.dev/", "batch.kubernetes.io/", "app.kubernetes.io/managed-by"))
    }
    owners = metadata.get("ownerReferences")
    return {**kept, "annotations": ours, "labels": labels, **({"ownerReferences": owners} if owners else {})}


def _lean(found: Object) -> Object:
    """The same object, with one string for all that are equal: each came as a text of its own."""
    return {_same(name): _lean_value(part) for name, part in found.items()}


def _lean_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _lean(value)
    if isinstance(value, list):
        return [_lean_value(part) for part in value]
    return _same(value) if isinstance(value, str) and len(value) <= _SHORT else value


@lru_cache(maxsize=8192)
def _same(text: str) -> str:
    return text


@lru_cache(maxsize=512)
def _same_spec(text: str) -> Object:
    """What all pods of one kind and search have in common; nobody changes it."""
    found: Object = json.loads(text)
    return found


_SET: set[str] = set()


def _lighten(value: object) -> None:
    """Drop a model's lists of the fields that were given, which nobody asks for: a third of its memory."""
    if isinstance(value, BaseModel):
        object.__setattr__(value, "__pydantic_fields_set__", _SET)
        for part in value.__dict__.values():
            _lighten(part)
    elif isinstance(value, tuple):
        for part in value:
            _lighten(part)


def _first(error: ValidationError) -> str:
    """The first thing that a model refuses, in words."""
    detail = error.errors()[0]
    path = ".".join(str(part) for part in detail["loc"])
    return f"{path}: {detail['msg']}"
