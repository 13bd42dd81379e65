"""What a schema's bounds can't say, as rules in CEL: relations between fields, and what never changes.

The same text is evaluated by the API server and, on a laptop, by `asiarch.api.cel`, so the two can't differ.
The API server also tries a rule on its node's default `{}` before it fills in what is below, hence some `has`.
"""

from dataclasses import dataclass
from typing import Literal

from asiarch.api.search import SHIPPED_BASELINES

Kind = Literal["ArchitectureSearch", "Candidate"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: which kind, the node that `self` is, the expression, what is wanted, and the field that is at fault."""

    kind: Kind
    path: str
    rule: str
    wanted: str
    field: str = ""


_SHIPPED = ", ".join(f"'{name}'" for name in SHIPPED_BASELINES)
_KEPT = "no change; start another search for it"
_SAME_LIST = "self.map(one, one.name) == oldSelf.map(one, one.name) && self == oldSelf"
"""The API server compares a keyed list without regard to order; the order of a ladder and of baselines matters."""

_ONE_PLACE = "has(self.source.file) != has(self.source.configMap)"
_WANTED_PLACE = "either `file` or `configMap`"
_IN_VOLUME = "has(self.persistentVolumeClaim) || has(self.configMap)"

_EXTENDED = (
    r"self.all(name, name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')"
    " && !name.contains('kubernetes.io/'))"
)
"""What Kubernetes itself takes for an extended resource; all else are its own, which every container has."""

_SEARCH: tuple[tuple[str, str, str, str], ...] = (
    ("spec.seed", "self == oldSelf", _KEPT, ""),
    ("spec.baselines", _SAME_LIST, _KEPT, ""),
    ("spec.baselines[]", f"has(self.source) || self.name in [{_SHIPPED}]",
     f"a mixer that asiarch ships ({', '.join(SHIPPED_BASELINES)}) or a source", "name"),
    ("spec.baselines[]", f"!has(self.source) || {_ONE_PLACE}", _WANTED_PLACE, "source"),
    ("spec.selection", "!has(self.parents) || !has(self.pool) || self.parents <= self.pool",
     "at most as many as `pool`", "parents"),
    ("spec.evaluation.contract", "self == oldSelf", _KEPT, ""),
    ("spec.evaluation.parameters", "self == oldSelf", _KEPT, ""),
    ("spec.evaluation.ladder", _SAME_LIST, _KEPT, ""),
    ("spec.evaluation.ladder", "self.all(rung, rung.task != 'Gates' || rung.name == self[0].name)",
     "Gates on the first rung only", ""),
    ("spec.evaluation.ladder", "self.exists(rung, rung.task != 'Gates')",
     "at least one rung that scores (a task other than Gates)", ""),
    ("spec.evaluation.ladder[]", "!self.name.matches('-r[0-9]+$')",
     "a name that does not end like a repetition (-r1)", "name"),
    ("spec.evaluation.ladder[]", "self.task != 'ByteLanguageModel' || has(self.dataset)",
     "a dataset for the task ByteLanguageModel", "dataset"),
    ("spec.evaluation.ladder[]", "self.task == 'ByteLanguageModel' || !has(self.dataset)",
     "no dataset for a task that reads none", "dataset"),
    ("spec.evaluation.ladder[].dataset", f"self.path != '.' || {_IN_VOLUME}",
     "a `path`, a `persistentVolumeClaim` or a `configMap`", ""),
    ("spec.evaluation.ladder[].dataset", "!has(self.persistentVolumeClaim) || !has(self.configMap)",
     "no `configMap` beside a `persistentVolumeClaim`", "configMap"),
    ("spec.evaluation.ladder[].dataset",
     f"!({_IN_VOLUME}) || !(self.path.startsWith('/') || self.path.contains('..') || self.path == 'stdlib')",
     "a path inside the volume, relative and without `..`", "path"),
    ("spec.evaluation.ladder[].model", "!has(self.width) || !has(self.heads) || self.width % self.heads == 0",
     "a number that divides `width`", "heads"),
    ("spec.evaluation.ladder[].resources", _EXTENDED,
     "extended resources alone, such as nvidia.com/gpu; say cores and memory in the rung's `cpu` and `memory`", ""),
    ("spec.fitness", "self == oldSelf", _KEPT, ""),
    ("spec.stop", "!has(self.deadline) || timestamp(self.deadline) > timestamp('1970-01-01T00:00:00Z')",
     "a day that exists", "deadline"),
)  # fmt: skip

_CANDIDATE: tuple[tuple[str, str, str, str], ...] = (
    ("", "!has(self.spec.parents) || !(self.metadata.name in self.spec.parents)",
     "other candidates than itself", "spec.parents"),
    ("", "!has(oldSelf.status) || !has(oldSelf.status.phase)"
     " || !(oldSelf.status.phase in ['Complete', 'Rejected', 'Failed'])"
     " || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)",
     "no change of a terminal phase", "status.phase"),
    ("", "!has(oldSelf.status) || !has(oldSelf.status.ordinal)"
     " || (has(self.status) && has(self.status.ordinal) && self.status.ordinal == oldSelf.status.ordinal)",
     "no change of an ordinal once it is given", "status.ordinal"),
    ("spec", "self == oldSelf", "no change; create another candidate for it", ""),
    ("spec", "self.origin != 'Baseline' || has(self.baseline)", "a baseline for the origin Baseline", "baseline"),
    ("spec", f"!has(self.baseline) || has(self.source) || self.baseline in [{_SHIPPED}]",
     f"a mixer that asiarch ships ({', '.join(SHIPPED_BASELINES)}) or a source", "baseline"),
    ("spec", "self.origin != 'User' || has(self.idea) || has(self.source)",
     "an idea, or a source: a finished file", "origin"),
    ("spec", "!(has(self.idea) && has(self.source))", "no idea beside a source: the file is finished", "idea"),
    ("spec", f"!has(self.source) || {_ONE_PLACE}", _WANTED_PLACE, "source"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    *(Rule("ArchitectureSearch", *row) for row in _SEARCH),
    *(Rule("Candidate", *row) for row in _CANDIDATE),
)
