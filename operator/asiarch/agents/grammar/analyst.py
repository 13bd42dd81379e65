"""The built-in analyst: compares a candidate with its parent and siblings, and puts what it taught into a lesson.

Differences are paired over the parts of the held-out data, which both saw alike. The interval tells how sure that is;
it says nothing of how far another training seed would move the score, and the text says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from asiarch.agents.failure import AgentFailedError
from asiarch.agents.grammar.recipe import Recipe
from asiarch.agents.grammar.words import EXPECTATIONS, difference
from asiarch.agents.grammar.writer import described
from asiarch.api.base import decimal
from asiarch.api.candidate import RungResult
from asiarch.api.context import Context, Experiment
from asiarch.api.order import Finding
from asiarch.core.interval import paired

MAX_SCOPE = 4
_MAX_ANALYSIS, _MAX_CLAIM = 1024, 256
_NOTABLE = 0.01
"""A task's loss that moved by less, in nats, is not worth a word."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against theirs on the deepest rung that both were scored on; `half` is half the 95 % interval."""

    ours: RungResult
    theirs: RungResult
    delta: float
    half: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return abs(self.delta) > self.half

    def span(self) -> str:
        """The interval, in words."""
        return f"{_signed(self.delta - self.half)} to {_signed(self.delta + self.half)}"


def analyze(context: Context) -> Finding:
    """Explain a measured candidate."""
    me, parent = context.me, context.parent
    if me is None:
        raise AgentFailedError("The order to analyze names no candidate.")
    if parent is None:
        return Finding(analysis=f"{_standing(me)} It has no parent to be compared with.")
    found = compare(me, parent)
    if found is None:
        return Finding(analysis=f"{_standing(me)} No rung scored both it and its parent {parent.candidate}.")
    changes = _changes(me, parent)
    sentences = [
        _verdict(found, parent),
        _changed(changes),
        _tasks(found),
        _hope(found, changes),
        _cost(found),
    ]
    sentences += [_ancestor(me, context.grandparent)]
    sentences += [_sibling(sibling, parent, changes) for sibling in context.siblings]
    analysis = " ".join(sentence for sentence in sentences if sentence)[:_MAX_ANALYSIS]
    if not changes:
        return Finding(analysis=analysis)
    return Finding(
        analysis=analysis,
        claim=_claim(found, changes)[:_MAX_CLAIM],
        scope=_scope(changes, me),
        delta=decimal(found.delta),
        low=decimal(found.delta - found.half),
        high=decimal(found.delta + found.half),
    )


def compare(ours: Experiment, theirs: Experiment) -> Comparison | None:
    """Compare on the deepest common rung that has parts to pair; none where there is none."""
    known = {rung.name: rung for rung in theirs.rungs if rung.score is not None}
    for rung in reversed(ours.rungs):
        other = known.get(rung.name)
        if rung.score is None or other is None:
            continue
        mine, its = _floats(rung), _floats(other)
        half = paired(mine, its)
        if half is not None:
            return Comparison(rung, other, fmean(mine) - fmean(its), half)
    return None


def _changes(me: Experiment, parent: Experiment) -> tuple[tuple[str, str, str], ...]:
    """The blocks in which the candidate differs from its parent; nothing where a file doesn't tell its recipe."""
    mine, its = described(me.code), described(parent.code)
    if mine is None or its is None:
        return ()
    return difference(its, mine)


def _scope(changes: tuple[tuple[str, str, str], ...], me: Experiment) -> tuple[str, ...]:
    """The blocks that a lesson speaks of: those that changed, and the mixing rule they were tried in."""
    mine: Recipe | None = described(me.code)
    changed = [f"{block}={after}" for block, _, after in changes]
    around = [] if mine is None or "rule" in {block for block, _, _ in changes} else [f"rule={mine.rule}"]
    return (*changed[: MAX_SCOPE - len(around)], *around)


def _claim(found: Comparison, changes: tuple[tuple[str, str, str], ...]) -> str:
    moved = "made no clear difference" if not found.clear else "helped" if found.delta > 0 else "hurt"
    return f"{_said(changes)} {moved} on {found.ours.name}: {_signed(found.delta)} ({found.span()})."


def _said(changes: tuple[tuple[str, str, str], ...]) -> str:
    return ", ".join(f"{block} {before} → {after}" for block, before, after in changes)


def _standing(me: Experiment) -> str:
    scored = [rung for rung in me.rungs if rung.score is not None]
    if not scored:
        return "No rung gave it a score."
    return f"Scored {_rounded(scored[-1].score)} on {scored[-1].name}."


def _verdict(found: Comparison, parent: Experiment) -> str:
    how = "not clearly different from" if not found.clear else "above" if found.delta > 0 else "below"
    seeds = max(min(len(found.ours.seeds), len(found.theirs.seeds)), 1)
    return (
        f"Scored {_rounded(found.ours.score)} on {found.ours.name}, {how} its parent {parent.candidate}"
        f" ({_rounded(found.theirs.score)}): {_signed(found.delta)}, 95 % interval {found.span()} over"
        f" {len(found.ours.groups)} parts of the held-out data, {seeds} training seed{'s' * (seeds > 1)};"
        f" another seed can move it further."
    )


def _changed(changes: tuple[tuple[str, str, str], ...]) -> str:
    return f"Changed: {_said(changes)}." if changes else "What changed can't be read from the files."


def _tasks(found: Comparison) -> str:
    """Name the tasks that gained and lost most."""
    moved = _losses(found.ours.metrics, found.theirs.metrics)
    if not moved:
        return ""
    best, worst = (
        min(moved, key=lambda task: _moved(moved[task])),
        max(moved, key=lambda task: _moved(moved[task])),
    )
    sentences = []
    if _moved(moved[best]) < -_NOTABLE:
        sentences.append(f"{best} gained most (NLL {_from_to(moved[best])}).")
    if _moved(moved[worst]) > _NOTABLE:
        sentences.append(f"{worst} lost most (NLL {_from_to(moved[worst])}).")
    return " ".join(sentences) or "No task moved notably."


def _losses(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """For each task that both were measured on, the loss before and after."""
    tasks = [name.removesuffix(".nll") for name in ours if name.endswith(".nll") and name in theirs]
    return {task: (float(theirs[f"{task}.nll"]), float(ours[f"{task}.nll"])) for task in tasks}


def _moved(losses: tuple[float, float]) -> float:
    return losses[1] - losses[0]


def _from_to(losses: tuple[float, float]) -> str:
    return f"{losses[0]:.3f} → {losses[1]:.3f}"


def _hope(found: Comparison, changes: tuple[tuple[str, str, str], ...]) -> str:
    """Hold the hope behind the change against what came of it."""
    hopes = [EXPECTATIONS[tag] for block, _, after in changes if (tag := f"{block}={after}") in EXPECTATIONS]
    if not hopes or not found.clear:
        return ""
    speaks = "fits" if found.delta > 0 else "speaks against"
    alone = "" if len(changes) == 1 else ", as far as it can be told from the other changes"
    return f"It {speaks} the hope that {hopes[0]}{alone}."


def _cost(found: Comparison) -> str:
    ours, theirs = found.ours.parameters, found.theirs.parameters
    return f"The model has {ours} parameters against {theirs}." if ours != theirs and ours and theirs else ""


def _ancestor(me: Experiment, grandparent: Experiment | None) -> str:
    found = compare(me, grandparent) if grandparent else None
    if grandparent is None or found is None:
        return ""
    return f"Against the grandparent {grandparent.candidate}: {_signed(found.delta)}."


def _sibling(sibling: Experiment, parent: Experiment, changes: tuple[tuple[str, str, str], ...]) -> str:
    """Say how a sibling did, and whether it changed the same."""
    found = compare(sibling, parent)
    if found is None:
        return ""
    same = {(block, after) for block, _, after in changes}
    shared = [f"{block}={after}" for block, _, after in _changes(sibling, parent) if (block, after) in same]
    also = f", which has {', '.join(shared)} too," if shared else ""
    return f"Sibling {sibling.candidate}{also} stands at {_signed(found.delta)} to the parent."


def _floats(rung: RungResult) -> list[float]:
    return [float(value) for value in rung.groups]


def _rounded(score: str | None) -> str:
    return "none" if score is None else f"{float(score):.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"
