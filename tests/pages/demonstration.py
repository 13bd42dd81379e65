"""A search of 7 baselines and 15 proposals that has ended, made up from measured orders of magnitude, to look at."""

from collections.abc import Iterator
from math import exp
from random import Random
from typing import Any, NamedTuple

from asiarch.api.base import decimal, timestamp
from asiarch.api.candidate import Candidate, OrderRef, Origin, RungResult
from asiarch.api.reason import Reason
from asiarch.api.search import Best, Cost, Counts, SearchStatus
from asiarch.core.observation import Observation
from tests.builders import BYTES, GATES, RECALL, T0, a_candidate, a_code, a_lesson, a_search, an_observation

NAME = "quickstart"
GROUPS = 24
ISOLATION = (
    "network namespace",
    "pid namespace",
    "memory limit 2 GiB",
    "process limit 64",
    "clean environment",
)
BASELINES = (
    ("delta-net", 0.746, 0.652),
    ("softmax-attention", 0.621, 0.646),
    ("linear-attention", 0.604, 0.633),
    ("gated-linear", 0.751, 0.655),
    ("gated-delta-net", 0.753, 0.659),
    ("fixed-decay", 0.113, None),
    ("no-mixing", 0.110, None),
)


class Idea(NamedTuple):
    """One proposal of the demonstration."""

    title: str
    parent: int
    tags: str
    recall: float | None
    bytes: float | None = None
    ended: Reason | None = None
    uses: tuple[int, ...] = ()


IDEAS = (
    Idea("Delta rule with a learned short convolution", 0, "rule=delta conv=4", 0.762),
    Idea("Gated delta rule, decay per channel", 4, "rule=delta decay=channel", 0.771, 0.661),
    Idea(
        "Look one token ahead in the convolution",
        3,
        "rule=scan conv=centred",
        None,
        None,
        Reason.CAUSALITY_VIOLATION,
    ),
    Idea("Scalar gate with squared-ReLU features", 3, "rule=outer decay=scalar map=relu2", 0.713),
    Idea(
        "Channel decay with convolution on keys",
        8,
        "rule=delta decay=channel conv=4",
        0.782,
        0.666,
        None,
        (7, 8),
    ),
    Idea(
        "Channel decay, two parallel memories", 8, "rule=delta decay=channel paths=2", 0.768, None, None, (8,)
    ),
    Idea("Linear attention with an output gate", 2, "rule=outer gate=output", 0.657),
    Idea(
        "Convolution of width 8 on keys and values",
        11,
        "rule=delta decay=channel conv=8",
        0.779,
        None,
        None,
        (7,),
    ),
    Idea(
        "Negative eigenvalues in the delta rule",
        11,
        "rule=delta decay=channel beta=2 conv=4",
        0.791,
        0.668,
        None,
        (11,),
    ),
    Idea(
        "Channel decay with convolution on keys",
        8,
        "rule=delta decay=channel conv=4",
        None,
        None,
        Reason.DUPLICATE,
    ),
    Idea(
        "Output gate and normalised memory",
        15,
        "rule=delta decay=channel gate=output norm=rms",
        0.787,
        None,
        None,
        (13,),
    ),
    Idea("Unbounded write strength", 15, "rule=delta beta=free", None, None, Reason.DIVERGED),
    Idea(
        "Negative eigenvalues, output gate",
        15,
        "rule=delta decay=channel beta=2 gate=output",
        0.803,
        0.671,
        None,
        (13, 15),
    ),
    Idea(
        "Two memories with different decays",
        19,
        "rule=delta paths=2 beta=2",
        None,
        None,
        Reason.REPAIR_EXHAUSTED,
    ),
    Idea(
        "Negative eigenvalues, wide convolution",
        19,
        "rule=delta beta=2 conv=8 gate=output",
        0.796,
        None,
        None,
        (14, 19),
    ),
)

MESSAGES = {
    Reason.CAUSALITY_VIOLATION: "Output at position 17 changed by 0.31 when only position 18 was changed; wanted 0.",
    Reason.DUPLICATE: "Same normalised syntax tree as quickstart-0011, after 3 further draws.",
    Reason.DIVERGED: "Training loss was 9.4 at step 61, above the spike limit of 4.2; 2 repairs did not help.",
    Reason.REPAIR_EXHAUSTED: "CodeError after 3 repairs: einsum(): subscript h has size 2 for operand 1, but 4 before.",
}


def demonstration() -> tuple[Observation, dict[str, str]]:
    """The search and its files by digest."""
    texts: dict[str, str] = {}
    shipped = [_baseline(i, texts) for i in range(len(BASELINES))]
    proposed = [_proposal(i, idea, texts) for i, idea in enumerate(IDEAS, len(BASELINES))]
    status = SearchStatus(
        phase="Complete",
        reason=Reason.BUDGET_EXHAUSTED,
        message="15 of 15 candidates have ended. Raise spec.budget.candidates to go on.",
        started_at=timestamp(T0),
        finished_at=timestamp(T0 + 437),
        counts=Counts(baselines=7, proposed=15, complete=18, rejected=3, failed=1),
        best=Best(candidate=f"{NAME}-0019", rung="bytes", fitness="0.671"),
    )
    search = a_search(
        name=NAME,
        candidates=15,
        baselines=[name for name, *_ in BASELINES],
        ladder=(GATES, RECALL, BYTES),
        goal="Find a sub-quadratic mixer that beats Gated DeltaNet at equal parameters.",
        status=status,
    )
    return an_observation(search, *shipped, *proposed), texts


def replay() -> Iterator[tuple[Observation, float]]:
    """The same search as it went, one candidate after the other, with the moment of each step."""
    final, _ = demonstration()
    running = final.search.model_copy(update={"status": SearchStatus(started_at=timestamp(T0))})
    done: list[Candidate] = []
    for ordinal, ended in enumerate(final.candidates.values()):
        for step, shown in enumerate(_life(ended)):
            yield an_observation(running, *done, shown), T0 + 19 * ordinal + 4 * step
        done.append(ended)
    yield final, T0 + 437


def _life(ended: Candidate) -> Iterator[Candidate]:
    """A candidate in each of its phases, but for the last."""
    seen = {"rungs": (), "fitness": None, "lesson": None, "finished_at": None, "reason": None, "message": ""}
    if ended.spec.origin == "Proposed":
        yield _as(ended, **seen, phase="Proposing", name="")
        yield _as(ended, **seen, phase="Building")
    for i, measured in enumerate(ended.status.rungs):
        order = OrderRef(name="o", kind="train", rung=measured.name, deadline=timestamp(T0 + 999))
        yield _as(ended, **seen | {"rungs": ended.status.rungs[:i]}, phase="Evaluating", rung=i, order=order)
    if ended.status.phase == "Complete" and ended.spec.origin == "Proposed":
        yield _as(ended, **seen | {"rungs": ended.status.rungs}, phase="Analyzing")


def _as(candidate: Candidate, **status: Any) -> Candidate:
    return candidate.model_copy(update={"status": candidate.status.model_copy(update=status)})


def _baseline(ordinal: int, texts: dict[str, str]) -> Candidate:
    name, recall, bytes_ = BASELINES[ordinal]
    return _named(ordinal, name, "Baseline", Idea(name, -1, "rule=baseline", recall, bytes_), texts)


def _proposal(ordinal: int, idea: Idea, texts: dict[str, str]) -> Candidate:
    return _named(ordinal, idea.title, "Proposed", idea, texts)


def _named(ordinal: int, title: str, origin: Origin, idea: Idea, texts: dict[str, str]) -> Candidate:
    text = _file(idea)
    code = a_code(text)
    texts[code.digest] = text
    rungs = _rungs(ordinal, idea)
    complete = idea.ended is None
    return a_candidate(
        ordinal,
        search=NAME,
        origin=origin,
        title=title,
        parents=[f"{NAME}-{idea.parent:04d}"] if idea.parent >= 0 else [],
        phase="Complete" if complete else "Failed" if idea.ended is Reason.REPAIR_EXHAUSTED else "Rejected",
        code=code,
        rungs=rungs if complete else rungs[:1],
        fitness=decimal(idea.bytes or idea.recall or 0) if complete else None,
        tags=tuple(idea.tags.split()),
        uses=tuple(f"{NAME}-{u:04d}" for u in idea.uses),
        reason=idea.ended,
        message=MESSAGES[idea.ended] if idea.ended else "",
        isolation=ISOLATION if ordinal % 5 else ISOLATION[:-2],
        repairs=int(ordinal % 4 == 3),
        cost=Cost(seconds=sum(r.seconds for r in rungs) + (0.0 if complete else 6.0)),
        started_at=timestamp(T0 + 19 * ordinal),
        finished_at=timestamp(T0 + 19 * ordinal + 18),
        **(_told(title, idea) if origin == "Proposed" and complete else {}),
    )


def _told(title: str, idea: Idea) -> dict[str, Any]:
    """What the researcher and the analyst said."""
    gain = (idea.recall or 0) - _recall(idea.parent)
    block = idea.tags.split()[-1]
    claim = f"{block} {'helps' if gain > 0 else 'hurts'} here."
    return {
        "motivation": f"{title}: the parent forgets everything at one rate, and its recall falls with distance.",
        "analysis": f"Recall moved by {gain:+.3f}, mostly on fuzzy keys; selective copying is unchanged.",
        "lesson": a_lesson(claim, gain, 0.008, scope=(block,)),
    }


def _rungs(ordinal: int, idea: Idea) -> tuple[RungResult, ...]:
    gates = RungResult(name="gates", seconds=4.1, parameters=25_000, metrics={"cost_growth": "1.03"})
    recall = [_measured("recall", idea.recall, ordinal, 1)] if idea.recall else []
    return gates, *recall, *([_measured("bytes", idea.bytes, ordinal, 2)] if idea.bytes else [])


def _recall(ordinal: int) -> float:
    measured = BASELINES[ordinal][1] if ordinal < len(BASELINES) else IDEAS[ordinal - len(BASELINES)].recall
    return measured or 0.0


def _measured(rung: str, score: float, ordinal: int, seeds: int) -> RungResult:
    chance, shared = Random(f"{rung}{ordinal}"), Random(rung)
    parts = [shared.gauss(0, 0.03) for _ in range(GROUPS)]
    noise = [chance.gauss(0, 0.012 if rung == "recall" else 0.003) for _ in parts]
    drift = sum(parts) / GROUPS + sum(noise) / GROUPS
    start, end = (2.9, 2.8 * (1 - score)) if rung == "recall" else (5.5, 5.545 * (1 - score))
    steps = range(0, 151, 10)
    curve = [(s, end + (start - end) * exp(-s / 38) + chance.gauss(0, 0.015)) for s in steps]
    return RungResult(
        name=rung,
        score=decimal(score),
        loss=decimal(end),
        seeds=tuple(decimal(score + s) for s in ((-0.0008, 0.0008) if seeds == 2 else (0.0,))),
        groups=tuple(decimal(score + p + n - drift) for p, n in zip(parts, noise, strict=True)),
        curve=tuple((s, decimal(v, 4)) for s, v in curve),
        metrics={
            "tokens": "230400",
            "recall_loss": decimal(end * 0.8, 4),
            "copy_loss": decimal(end * 1.2, 4),
        },
        claims={"train_loss": decimal(end, 4)},
        seconds=9.5 + ordinal % 3 + (11 if seeds == 2 else 0),
        parameters=25_216 + 128 * (ordinal % 5),
    )


def _file(idea: Idea) -> str:
    tags = dict(tag.split("=") for tag in idea.tags.split())
    conv = tags.get("conv", "")
    taps = conv if conv.isdigit() else "3"
    lines = [
        f'"""{idea.title}."""',
        "",
        "import torch",
        "from torch import nn",
        "",
        "",
        "class Mixer(nn.Module):",
        "    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:",
        "        super().__init__()",
        "        self.heads = heads",
        "        self.qkv = nn.Linear(width, 3 * width, bias=False)",
        f"        self.conv = nn.Conv1d(width, width, {taps}, groups=width)" if conv else "",
        "        self.decay = nn.Linear(width, width if True else heads)"
        if tags.get("decay") == "channel"
        else "",
        "        self.gate = nn.Linear(width, width)" if "gate" in tags else "",
        "        self.out = nn.Linear(width, width, bias=False)",
        "",
        "    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:",
        f"        x_BTC = causal(self.conv, x_BTC, taps={taps})" if conv else "",
        "        q_BTC, k_BTC, v_BTC = self.qkv(x_BTC).chunk(3, dim=-1)",
        "        beta = 2 * torch.sigmoid(k_BTC)"
        if tags.get("beta") == "2"
        else "        beta = torch.sigmoid(k_BTC)",
        f"        y_BTC = {tags['rule']}(q_BTC, k_BTC, v_BTC, beta)",
        "        y_BTC = y_BTC * torch.sigmoid(self.gate(x_BTC))" if "gate" in tags else "",
        "        return self.out(y_BTC)",
    ]
    kept = [line for i, line in enumerate(lines) if line or i in (1, 4, 5, 15)]
    return "\n".join(kept) + "\n"
