"""The built-in researcher: changes a block or a few of the parent's, or takes some from a reference.

Every draw is made from the order's seed and a purpose, so one order always gets one proposal. What lessons say about a
block weighs how likely it is drawn; a proposal that repeated a known candidate is drawn again with more changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from asiarch.agents import baselines
from asiarch.agents.grammar.recipe import BASELINE_ONLY, RULES, Recipe
from asiarch.agents.grammar.words import EXPECTATIONS, difference, title
from asiarch.agents.grammar.writer import described
from asiarch.agents.memory import Belief, believe
from asiarch.api.base import decimal
from asiarch.api.context import Context, Experiment, LessonRecord
from asiarch.api.order import Proposal
from asiarch.core.chance import draw, uniform

MAX_USES = 8
_MAX_MOTIVATION = 1024
_REDRAWS = 8
"""How often a draft that repeats a mixer that was shown is drawn again, before it is proposed all the same."""

_CROSSING = 0.25
_STEPS, _STEP_WEIGHTS = (1, 2, 3), (0.55, 0.3, 0.15)
_RULE_WEIGHT = 0.5
"""A new mixing rule changes most of a mixer at once, so each is drawn half as often as any other change."""

_SEARCHED = tuple(rule for rule in RULES if rule not in BASELINE_ONLY)

_START = "gated-linear-attention"


@dataclass(frozen=True, slots=True)
class Move:
    """One block chosen otherwise, where the choice came from, and what is believed of it."""

    block: str
    before: str
    value: str
    belief: Belief
    source: str = ""

    @property
    def tag(self) -> str:
        """The block as it is after the move."""
        return f"{self.block}={self.value}"


def propose(context: Context) -> Proposal:
    """Propose a mixer that differs from the parent in a few blocks, and from each reference."""
    parent = _parent_recipe(context)
    key = f"{context.order.seed}/{context.resample}/propose"
    shown = {parent, *(recipe for _, recipe in _references(context))}
    recipe, moves = _draft(parent, context, key)
    for again in range(_REDRAWS):
        if recipe not in shown:
            break
        recipe, moves = _draft(parent, context, f"{key}/again-{again}")
    helpers = dict.fromkeys(r.candidate for move in moves if _speaks_for(move) for r in move.belief.lessons)
    return Proposal(
        name=title(recipe),
        motivation=_motivation(context, parent, recipe, moves)[:_MAX_MOTIVATION],
        recipe=recipe.text(),
        uses=tuple(helpers)[:MAX_USES],
    )


def _draft(parent: Recipe, context: Context, key: str) -> tuple[Recipe, list[Move]]:
    """Change the parent step by step."""
    recipe, moves = parent, list[Move]()
    for step in range(draw(_STEPS, _STEP_WEIGHTS, f"{key}/steps") + context.resample):
        made = _step(recipe, context, moves, f"{key}/{step}")
        recipe = recipe.change(**{move.block: move.value for move in made})
        moves += made
    return recipe, moves


def _references(context: Context) -> list[tuple[str, Recipe]]:
    """The references whose files tell their recipe."""
    return [(r.candidate, found) for r in context.references if (found := described(r.code))]


def _parent_recipe(context: Context) -> Recipe:
    """The parent's recipe; where it has none that can be read, a shipped mixer's."""
    own = described(context.parent.code) if context.parent else None
    recipe = own or described(baselines.source(_START))
    assert recipe is not None, f"{_START} tells no recipe"
    return recipe


def _step(recipe: Recipe, context: Context, done: list[Move], key: str) -> list[Move]:
    """Change one block, or cross with a reference; a block that was changed already stays."""
    known = _references(context)
    touched = {move.block for move in done}
    if known and recipe.rule in _SEARCHED and uniform(f"{key}/cross") < _CROSSING:
        source, other = draw(known, None, f"{key}/reference")
        taken = [m for m in _crossing(recipe, other, source, context, key) if m.block not in touched]
        if taken:
            return taken
    moves = [move for move in _mutations(recipe, context.lessons, key) if move.block not in touched]
    if not moves:
        return []
    return [draw(moves, [_weight(move) for move in moves], f"{key}/move")]


def _mutations(recipe: Recipe, lessons: tuple[LessonRecord, ...], key: str) -> Iterator[Move]:
    """Every single change; from a yardstick's rule only those that lead away from it."""
    blocks = {"rule": _SEARCHED}
    if recipe.rule in _SEARCHED:
        blocks |= recipe.open_blocks()
    for block, choices in blocks.items():
        before = getattr(recipe, block)
        for value in choices:
            if value != before:
                yield _move(recipe, block, value, lessons, key)


def _crossing(recipe: Recipe, other: Recipe, source: str, context: Context, key: str) -> list[Move]:
    """Take each block in which a reference differs with even chances, and one at least."""
    offered = {"rule": _SEARCHED, **recipe.open_blocks()}
    differing = [
        (block, theirs) for block, _, theirs in difference(recipe, other) if theirs in offered.get(block, ())
    ]
    if not differing:
        return []
    first = draw(differing, None, f"{key}/first")
    taken = [pair for pair in differing if pair == first or uniform(f"{key}/take/{pair[0]}") < 1 / 2]
    moves = (_move(recipe, block, value, context.lessons, key) for block, value in taken)
    return [replace(move, source=source) for move in moves]


def _move(recipe: Recipe, block: str, value: str, lessons: tuple[LessonRecord, ...], key: str) -> Move:
    """Weigh a change: what is believed of the new choice, against what is believed of the old one."""
    before = getattr(recipe, block)
    after = recipe.change(**{block: value})
    gained = believe(f"{block}={value}", after.tags(), lessons, key)
    lost = believe(f"{block}={before}", recipe.tags(), lessons, key)
    belief = Belief(gained.weight / lost.weight, gained.effect - lost.effect, gained.lessons or lost.lessons)
    return Move(block, before, value, belief)


def _weight(move: Move) -> float:
    return move.belief.weight * (_RULE_WEIGHT if move.block == "rule" else 1.0)


def _speaks_for(move: Move) -> bool:
    return bool(move.belief.lessons) and move.belief.effect > 0


def _motivation(context: Context, parent: Recipe, recipe: Recipe, moves: list[Move]) -> str:
    """Say what the proposal starts from, what it changes, and what speaks for that."""
    changed = ", ".join(f"{block} {before} → {after}" for block, before, after in difference(parent, recipe))
    sentences = [_origin(context.parent), f"Changed: {changed or 'nothing'}."]
    sentences += [_reason(move) for move in moves if getattr(recipe, move.block) == move.value]
    if context.resample:
        sentences.append(
            f"Drawn again {context.resample} times, farther away, as it repeated a known candidate."
        )
    return " ".join(sentences)


def _origin(parent: Experiment | None) -> str:
    if parent is None:
        return f"Starts from the shipped {_START}, as there is no parent."
    if described(parent.code) is None:
        return f"Starts from the shipped {_START}, as the file of {parent.candidate} tells no recipe."
    scored = f", fitness {parent.fitness}" if parent.fitness else ""
    return f"Parent {parent.candidate} ({parent.name or 'no name'}{scored})."


def _reason(move: Move) -> str:
    """Give the hope behind a move, and the lessons that bear on it."""
    hope = EXPECTATIONS.get(move.tag, "not tried here yet")
    taken = f", as in {move.source}" if move.source else ""
    if not move.belief.lessons:
        return f"{move.tag}{taken}: {hope}."
    best = move.belief.lessons[0]
    teachers = ", ".join(record.candidate for record in move.belief.lessons[:3])
    used = f"; {best.wins} of {best.uses} uses won" if best.uses else ""
    return f"{move.tag}{taken}: {hope}; lessons of {teachers} promise {decimal(move.belief.effect, 3)}{used}."
