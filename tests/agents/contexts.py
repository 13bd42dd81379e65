"""Builders of what an agent is told, with good defaults."""

from collections.abc import Sequence
from typing import Any

from asiarch.agents.grammar.recipe import read
from asiarch.agents.grammar.writer import write
from asiarch.api.base import decimal
from asiarch.api.candidate import Lesson, RungResult
from asiarch.api.context import Context, Experiment, LessonRecord
from asiarch.api.order import Order, OrderKind

DELTA = "rule=delta feature=silu qk=l2 beta=sigmoid conv=4 norm=rms"
GROUPS = 48


def an_order(kind: OrderKind = "propose", seed: int = 1) -> Order:
    return Order(name=f"s-0001-{kind}-a1", kind=kind, search="s", candidate="s-0001", seed=seed, seconds=60)


def a_context(kind: OrderKind = "propose", seed: int = 1, **fields: Any) -> Context:
    return Context(order=an_order(kind, seed), **fields)


def an_experiment(recipe: str = DELTA, candidate: str = "s-0000", **fields: Any) -> Experiment:
    """An earlier candidate whose file was written from a recipe."""
    made = read(recipe)
    return Experiment(
        **{"candidate": candidate, "name": "Mixer", "tags": made.tags(), "code": write(made), **fields}
    )


def a_rung(score: float, spread: float = 0.0, name: str = "recall", **fields: Any) -> RungResult:
    """A score whose parts lie as far above it as below, by `spread` and by three times as much."""
    parts = [score + spread * (2 * (i % 4) - 3) for i in range(GROUPS)]
    groups = tuple(decimal(part) for part in parts)
    return RungResult(name=name, score=decimal(score), seeds=(decimal(score),), groups=groups, **fields)


def a_lesson(
    scope: Sequence[str],
    delta: float,
    half: float = 0.01,
    candidate: str = "s-0009",
    uses: int = 0,
    wins: int = 0,
) -> LessonRecord:
    ends = {"delta": decimal(delta), "low": decimal(delta - half), "high": decimal(delta + half)}
    lesson = Lesson(claim="A claim.", scope=tuple(scope), **ends)
    return LessonRecord(candidate=candidate, lesson=lesson, uses=uses, wins=wins)
