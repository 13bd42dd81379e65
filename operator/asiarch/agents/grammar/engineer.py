"""The built-in engineer: writes a recipe's file, and repairs it by the class of its error.

First drafts may fail, and some do. A recipe doesn't know the models' width, so whether it fits the parameter budget is
found out by the referee's count; whether a memory without bounds blows up is found out by running it. Forbidding such
drafts beforehand would forbid their neighbours too, which may be the better ones. A repair changes the recipe by as
little as cures that class of error, and writes the file anew.
"""

import re
from collections.abc import Callable, Mapping

from asiarch.agents.failure import AgentFailedError
from asiarch.agents.grammar.parts import LOOKUPS
from asiarch.agents.grammar.recipe import DEFAULTS, NAMES, RULES, Recipe, from_tags, read
from asiarch.agents.grammar.size import by_block, parameters
from asiarch.agents.grammar.writer import described, write
from asiarch.api.context import Context, Failure
from asiarch.api.order import Writing
from asiarch.api.reason import Reason

_BUDGET = re.compile(r"has (\d+) parameters; wanted at most (\d+) .*· (\d+)²")
_TAG = re.compile(r"\b[a-z]+=[a-z0-9.-]*[a-z0-9]")
_HEADS = 4
"""Assumed where a weight depends on the heads: a little of the whole."""

_OPTIONAL = ("expand", "gate", "path", "conv", "decay", "beta", "heads")
"""Blocks that a mixer can do without."""

Cure = Callable[[Recipe, Failure], Recipe | None]


def build(context: Context) -> Writing:
    """Write the file of a proposal; a user's idea may name its blocks as tags."""
    proposal = context.proposal
    if proposal is None:
        raise AgentFailedError("The order to build names no proposal.")
    try:
        recipe = read(proposal.recipe)
    except ValueError:
        recipe = _from_idea(f"{proposal.recipe} {proposal.motivation}")
    return _writing(recipe)


def repair(context: Context) -> Writing:
    """Write the file anew with what cures its failure."""
    failure, me = context.failure, context.me
    if failure is None or me is None:
        raise AgentFailedError("The order to repair names no file, or no failure.")
    recipe = described(me.code)
    if recipe is None or write(recipe) != me.code:
        return _writing(recipe or _proposed(context))
    cure = CURES.get(failure.reason)
    cured = cure(recipe, failure) if cure else None
    if cured is None:
        raise AgentFailedError(
            f"No repair is known for {failure.reason} with the recipe {recipe.text()}; it said: {failure.message[:400]}"
        )
    return _writing(cured)


def _writing(recipe: Recipe) -> Writing:
    return Writing(text=write(recipe), tags=recipe.tags())


def _proposed(context: Context) -> Recipe:
    """What was to be written, for a file that no longer tells."""
    if context.proposal is None:
        raise AgentFailedError("The file tells no recipe, and the order names no proposal to write it from.")
    return read(context.proposal.recipe)


def _from_idea(idea: str) -> Recipe:
    tags = _TAG.findall(idea)
    try:
        return from_tags(tags)
    except ValueError as error:
        wanted = (
            "The built-in engineer writes recipes of building blocks, such as rule=delta decay=scalar conv=4"
        )
        raise AgentFailedError(f"{wanted}; this idea can't be read as one: {error}") from error


# Repairs; each gives a recipe that differs, or none.


def _fit_budget(recipe: Recipe, failure: Failure) -> Recipe | None:
    """Drop the costliest block that the mixer can do without, until what is left fits."""
    told = _BUDGET.search(failure.message)
    if told is None:
        return _drop_costliest(recipe, width=64)
    found, wanted, width = (int(number) for number in told.groups())
    excess = found - wanted
    left: Recipe | None = recipe
    while left is not None and parameters(recipe, width, _HEADS) - parameters(left, width, _HEADS) < excess:
        left = _drop_costliest(left, width)
    return left


def _drop_costliest(recipe: Recipe, width: int) -> Recipe | None:
    """Do without the block that saves most; at last, halve the keys."""
    plainer = [_without(recipe, block) for block in _OPTIONAL if block in RULES[recipe.rule]]
    if "keys" in RULES[recipe.rule]:
        plainer.append(recipe.change(keys="half"))
    lighter = {other: parameters(other, width, _HEADS) for other in plainer}
    best = min(lighter, key=lambda other: lighter[other])
    return best if lighter[best] < parameters(recipe, width, _HEADS) else None


def _without(recipe: Recipe, block: str) -> Recipe:
    """Do without a block; where the rule insists on one, take its lightest choice."""
    choices = RULES[recipe.rule][block]
    off = DEFAULTS[block]
    if off in choices:
        return recipe.change(**{block: off})
    return min((recipe.change(**{block: c}) for c in choices), key=lambda r: by_block(r, 64, _HEADS)[block])


def _bound(recipe: Recipe, _failure: Failure) -> Recipe | None:
    """Bound what can grow: the length of keys first, then reads, strengths, features, and at last let things fade."""
    steps = [("norm", "none", "rms"), ("beta", "double", "sigmoid"), ("gate", "silu", "sigmoid")]
    if recipe.rule in LOOKUPS:
        steps = [("qk", "none", "l2"), *steps, ("feature", "none", "silu"), ("decay", "none", "scalar")]
    return _first(recipe, steps)


def _lighten(recipe: Recipe, _failure: Failure) -> Recipe | None:
    """Ask for less memory and time."""
    steps = [
        ("path", "local", "shift"),
        ("path", "ema", "shift"),
        ("path", "conv", "shift"),
        ("window", "32", "16"),
        ("taps", "32", "16"),
        ("expand", "2", "1"),
        ("conv", "8", "4"),
    ]
    return _first(recipe, steps)


def _mend(recipe: Recipe, failure: Failure) -> Recipe | None:
    """Do without the block that the error's lines speak of; the file itself is as it was written."""
    steps = [("keys", "half", "full"), ("heads", "mixed", "own"), ("heads", "shared", "own")]
    steps += [
        (block, getattr(recipe, block), DEFAULTS[block]) for block in ("path", "expand", "gate", "conv")
    ]
    named = [step for step in steps if any(sign in failure.message for sign in _SIGNS.get(step[0], ()))]
    return _first(recipe, named or steps)


_SIGNS: Mapping[str, tuple[str, ...]] = {
    "keys": (".view(", "log_decay"),
    "heads": ("between_HH", "expand_as"),
    "path": ("z_B", "local_attention", "path_EJ", "scan("),
    "gate": ("self.gate",),
    "conv": ("taps", "causal_conv"),
}
"""What a line of the file says that belongs to a block."""


def _first(recipe: Recipe, steps: list[tuple[str, str, str]]) -> Recipe | None:
    """Make the first of these changes that there is room for."""
    for block, before, after in steps:
        open_to = recipe.open_blocks().get(block, ())
        if block in NAMES and getattr(recipe, block) == before != after and after in open_to:
            return recipe.change(**{block: after})
    return None


CURES: Mapping[Reason, Cure] = {
    Reason.BUDGET_MISMATCH: _fit_budget,
    Reason.DIVERGED: _bound,
    Reason.NON_FINITE: _bound,
    Reason.OUT_OF_MEMORY: _lighten,
    Reason.COST_GROWTH: _lighten,
    Reason.DEADLINE_EXCEEDED: _lighten,
    Reason.CRASHED: _lighten,
    Reason.NO_RESULT: _lighten,
    Reason.WRONG_SHAPE: _mend,
    Reason.CODE_ERROR: _mend,
    Reason.INTERFACE_MISMATCH: _mend,
}
"""What cures a file that stands as it was written; any other file is written anew first."""
