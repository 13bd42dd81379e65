"""From recipes to files: each may run, is causal and says what it is; the shipped ones are as they were written."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch

from asiarch.agents import baselines
from asiarch.agents.grammar.recipe import BASELINE_ONLY, RULES, Recipe, read, settle
from asiarch.agents.grammar.researcher import propose
from asiarch.agents.grammar.size import parameters
from asiarch.agents.grammar.words import difference, title
from asiarch.agents.grammar.writer import described, write
from asiarch.api.code import check, fingerprint
from asiarch.core.chance import draw, sample
from tests.agents.contexts import DELTA, a_context, an_experiment
from tests.agents.mixers import HEADS, WIDTH, a_mixer, an_input, built, looks_ahead
from tests.agents.shipped import RECIPES

LENGTHS = (1, 7, 48, 65, 130)


def steps(recipe: Recipe) -> Iterator[Recipe]:
    """Every recipe one change away."""
    for block, choices in {"rule": tuple(RULES), **recipe.open_blocks()}.items():
        for value in choices:
            yardstick = block == "rule" and value in BASELINE_ONLY
            if value != getattr(recipe, block) and not yardstick:
                yield recipe.change(**{block: value})


@cache
def within_two_steps() -> tuple[Recipe, ...]:
    """Every recipe at most two changes away from a shipped mixer, each once."""
    near = [near for recipe in RECIPES.values() for near in steps(read(recipe))]
    return tuple(sorted({*near, *(far for n in near for far in steps(n))}, key=lambda recipe: recipe.text()))


def drawn(count: int) -> list[Recipe]:
    """Recipes with every block drawn at random, each rule alike often."""
    made = []
    for i in range(count):
        rule = tuple(RULES)[i % len(RULES)]
        made.append(settle({"rule": rule, **{b: draw(c, None, f"{i}/{b}") for b, c in RULES[rule].items()}}))
    return made


@pytest.mark.parametrize("name", baselines.NAMES)
def test_a_shipped_file_is_what_the_grammar_writes(name: str) -> None:
    assert baselines.source(name) == write(read(RECIPES[name])), "run: python -m tests.agents.shipped"


@pytest.mark.parametrize("name", baselines.NAMES)
def test_a_shipped_file_may_run_and_fits_the_budget(name: str) -> None:
    text = baselines.source(name)
    assert check(text) == ()
    assert sum(p.numel() for p in built(text).parameters()) <= 1.5 * 4 * WIDTH**2


def test_an_unknown_baseline_is_told_which_there_are() -> None:
    with pytest.raises(KeyError, match="wanted one of softmax-attention"):
        baselines.source("magic")


def test_three_hundred_distinct_mixers_lie_within_two_steps_of_the_baselines() -> None:
    reachable = within_two_steps()
    chosen = sample(reachable, 320, "distinct")
    assert len(reachable) > 1000
    assert len({fingerprint(write(recipe)) for recipe in chosen}) == 320


def test_every_file_in_reach_may_run_and_tells_its_recipe() -> None:
    for recipe in sample(within_two_steps(), 200, "legal"):
        text = write(recipe)
        assert check(text) == (), recipe.text()
        assert described(text) == recipe


@pytest.mark.parametrize("recipe", sample(within_two_steps(), 40, "run"), ids=Recipe.text)
def test_a_mixer_in_reach_runs_and_sees_no_future(recipe: Recipe) -> None:
    mixer = a_mixer(recipe)
    for length in LENGTHS:
        x = an_input(length).requires_grad_()
        y = mixer(x)
        assert y.shape == x.shape
        y.square().mean().backward()
        assert all(p.grad is not None for p in mixer.parameters())
    if recipe.rule != "delta" or recipe.qk == "l2":
        assert looks_ahead(mixer, 130) < 1e-4


def test_a_mixer_sees_its_sequence_alone() -> None:
    for recipe in drawn(14):
        mixer, x = a_mixer(recipe), an_input(40, rows=3)
        with torch.no_grad():
            torch.testing.assert_close(mixer(x)[:1], mixer(x[:1]), rtol=1e-4, atol=1e-4)


def test_a_prefix_has_the_outputs_that_it_keeps() -> None:
    for recipe in drawn(14):
        if recipe.rule == "delta" and recipe.qk == "none":
            continue
        mixer, x = a_mixer(recipe), an_input(70)
        with torch.no_grad():
            torch.testing.assert_close(mixer(x)[:, :33], mixer(x[:, :33]), rtol=1e-3, atol=1e-4)


def test_parameters_are_counted_without_building() -> None:
    for recipe in drawn(70):
        counted = sum(p.numel() for p in a_mixer(recipe).parameters())
        assert parameters(recipe, WIDTH, HEADS) == counted, recipe.text()


def test_a_recipe_is_one_line_that_reads_back() -> None:
    for recipe in drawn(70):
        assert read(recipe.text()) == recipe
        assert len(recipe.text()) <= 512
        assert "\n" not in recipe.text()
        assert len(recipe.tags()) <= 16
        assert 0 < len(title(recipe)) <= 80


def test_files_of_two_recipes_with_other_blocks_differ() -> None:
    by_fingerprint: dict[str, Recipe] = {}
    for recipe in drawn(140):
        twin = by_fingerprint.setdefault(fingerprint(write(recipe)), recipe)
        assert twin == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rule=magic", "rule=magic; wanted one of linear, delta"),
        ("rule=delta feature=cosine", "feature=cosine with rule=delta; wanted silu, elu"),
        ("rule=scan decay=channel qk=l2", "qk=l2, which rule=scan leaves no room for"),
        ("rule=delta join=gate", "join=gate, which rule=delta leaves no room for"),
        ("size=3", "wanted rule="),
        ("", "'nothing' is no recipe"),
    ],
)
def test_what_is_no_recipe_is_refused_with_what_was_wanted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)


def test_a_new_rule_brings_the_first_choice_of_what_only_it_offers() -> None:
    changed = read("rule=softmax conv=4").change(rule="delta")
    assert changed.text() == "rule=delta feature=silu qk=l2 beta=sigmoid conv=4"


def test_a_new_rule_takes_away_what_only_the_old_one_offered() -> None:
    assert read(DELTA).change(rule="scan").text() == "rule=scan decay=channel conv=4 norm=rms"


def test_a_file_that_tells_no_recipe_is_opaque() -> None:
    assert described('"""A user\'s own idea."""\n') is None
    assert described('"""An idea.\n\nRecipe: rule=magic\n"""\n') is None


def test_a_recipe_below_the_docstring_tells_nothing() -> None:
    assert described('"""An idea.\n"""\nRecipe: rule=delta\n') is None


def test_differences_name_the_rule_first() -> None:
    found = difference(read(DELTA), read(DELTA).change(rule="linear", decay="scalar"))
    assert found == (("rule", "delta", "linear"), ("decay", "none", "scalar"))


def test_a_file_holds_only_what_it_needs() -> None:
    plain = write(read("rule=none"))
    assert "functional" not in plain
    assert "import torch\n" not in plain
    assert "asiarch_kernels" not in plain
    assert "from asiarch_kernels import scan\n" in write(read("rule=scan decay=scalar"))
    both = write(read("rule=delta feature=silu qk=l2 beta=sigmoid conv=4"))
    assert "from asiarch_kernels import causal_conv, chunk_recurrence\n" in both


def test_a_proposal_of_any_baseline_can_be_written() -> None:
    for name in baselines.NAMES:
        parent = an_experiment(RECIPES[name], candidate=name)
        for seed in range(5):
            assert check(write(read(propose(a_context(seed=seed, parent=parent)).recipe))) == ()
