"""Builders with good defaults: a test names only what it is about."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from asiarch.api.base import decimal, timestamp
from asiarch.api.candidate import (
    Candidate,
    CandidateSpec,
    CandidateStatus,
    Code,
    Lesson,
    Origin,
    Phase,
    RungResult,
)
from asiarch.api.meta import Metadata
from asiarch.api.names import candidate_name
from asiarch.api.search import (
    Agents,
    ArchitectureSearch,
    Baseline,
    Budget,
    Dataset,
    Evaluation,
    Promotion,
    Rung,
    SearchSpec,
    SearchStatus,
)
from asiarch.core.observation import TERMINAL, Child, Observation, observe

T0 = 1_764_000_000.0
"""The moment at which every built search started."""

GATES = Rung(name="gates", task="Gates")
RECALL = Rung(name="recall", task="SyntheticRecall", promote=Promotion(top=0.34))
BYTES = Rung(name="bytes", task="ByteLanguageModel", dataset=Dataset(path="stdlib", suffix=".py"), seeds=2)


def a_digest(text: str) -> str:
    """The SHA-256 of a text, as objects name it."""
    return sha256(text.encode()).hexdigest()


def a_search(
    *,
    name: str = "s",
    parallelism: int = 1,
    candidates: int = 12,
    baselines: Sequence[str] = ("delta-net", "softmax-attention"),
    ladder: Sequence[Rung] = (GATES, RECALL, BYTES),
    status: SearchStatus | None = None,
    **spec: Any,
) -> ArchitectureSearch:
    """A running search; `spec` overrides any field of its spec."""
    fields: dict[str, Any] = {
        "goal": "Find a sub-quadratic mixer that beats DeltaNet.",
        "seed": 37,
        "baselines": tuple(Baseline(name=b) for b in baselines),
        "agents": Agents(parallelism=parallelism),
        "evaluation": Evaluation(parallelism=parallelism, ladder=tuple(ladder)),
        "budget": Budget(candidates=candidates),
    }
    return ArchitectureSearch(
        metadata=Metadata(name=name, uid="00000000-0000-0000-0000-000000000001"),
        spec=SearchSpec(**{**fields, **spec}),
        status=status or SearchStatus(started_at=timestamp(T0)),
    )


def a_result(rung: str = "recall", score: float | None = 0.7, **fields: Any) -> RungResult:
    """What a rung measured; without a score, a gate."""
    known = {"parameters": 25_000, "seconds": 8.0}
    loss = None if score is None else decimal(2.8 * (1 - score))
    return RungResult(
        name=rung, score=None if score is None else decimal(score), loss=loss, **{**known, **fields}
    )


def a_lesson(
    claim: str = "A delta rule helps.", delta: float = 0.02, half: float = 0.01, **fields: Any
) -> Lesson:
    """What a candidate taught, with an interval of ± `half`."""
    ends = {"delta": decimal(delta), "low": decimal(delta - half), "high": decimal(delta + half)}
    return Lesson(**{"claim": claim, "scope": ("rule=delta",), **ends, **fields})


def a_code(text: str = "") -> Code:
    """A file's digest; its fingerprint differs from its digest, as it does for real files."""
    return Code(digest=a_digest(text), fingerprint=a_digest(f"fingerprint of {text}"))


def a_candidate(
    ordinal: int = 1,
    *,
    search: str = "s",
    name: str | None = None,
    title: str | None = None,
    origin: Origin = "Proposed",
    parents: Sequence[str] = (),
    references: Sequence[str] = (),
    phase: Phase = "Complete",
    scores: Mapping[str, float | None] | None = None,
    **status: Any,
) -> Candidate:
    """A candidate, complete with a score on the first rung unless told otherwise; `status` overrides its fields."""
    name = name or candidate_name(search, ordinal)
    measured = {"gates": None, "recall": 0.7} if scores is None and phase == "Complete" else scores or {}
    values = [s for s in measured.values() if s is not None]
    known: dict[str, Any] = {
        "ordinal": ordinal,
        "phase": phase,
        "name": f"Mixer {ordinal}" if title is None else title,
        "code": a_code(name),
        "rung": max(len(measured) - 1, 0),
        "rungs": tuple(a_result(rung, score) for rung, score in measured.items()),
        "fitness": decimal(values[-1]) if values and phase == "Complete" else None,
        "started_at": timestamp(T0 + 10 * ordinal),
        "finished_at": timestamp(T0 + 10 * ordinal + 9) if phase in TERMINAL else None,
    }
    return Candidate(
        metadata=Metadata(name=name, uid=f"00000000-0000-0000-0001-{ordinal:012d}"),
        spec=CandidateSpec(
            search_name=search,
            origin=origin,
            parents=tuple(parents),
            references=tuple(references),
            seed=ordinal,
            baseline=f"baseline-{ordinal}" if origin == "Baseline" else None,
        ),
        status=CandidateStatus(**{**known, **status}),
    )


def an_observation(
    search: ArchitectureSearch | None = None, *candidates: Candidate, children: Iterable[Child] = ()
) -> Observation:
    """One search with these candidates and children."""
    return observe(
        search or a_search(), {c.name: c for c in candidates}, {child.order: child for child in children}
    )
