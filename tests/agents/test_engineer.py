"""The built-in engineer: what it writes, and how it repairs what really fails."""

import pytest
import torch

from asiarch.agents.failure import AgentFailedError
from asiarch.agents.grammar.engineer import CURES, build, repair
from asiarch.agents.grammar.recipe import Recipe, read
from asiarch.agents.grammar.size import parameters
from asiarch.agents.grammar.writer import described, write
from asiarch.api.code import check
from asiarch.api.context import Failure
from asiarch.api.order import Proposal
from asiarch.api.reason import Reason
from asiarch.core.lifecycle import BROKEN
from asiarch_trainer.player.candidate import complaint
from tests.agents.contexts import DELTA, a_context, an_experiment
from tests.agents.mixers import HEADS, WIDTH, a_mixer, an_input, built

BUDGET = 6 * WIDTH**2
FAT = "rule=delta feature=silu qk=l2 decay=channel beta=sigmoid conv=8 norm=rms gate=silu expand=2 path=conv"


def a_proposal(recipe: str = DELTA, motivation: str = "") -> Proposal:
    return Proposal(name="Mixer", motivation=motivation, recipe=recipe)


def repaired(recipe: str, reason: Reason, message: str = "", code: str | None = None) -> Recipe:
    """The recipe of what a repair writes."""
    me = an_experiment(recipe)
    if code is not None:
        me = me.model_copy(update={"code": code})
    failure = Failure(reason=reason, message=message)
    writing = repair(a_context("repair", me=me, proposal=a_proposal(recipe), failure=failure))
    assert check(writing.text) == ()
    found = described(writing.text)
    assert found is not None
    assert writing.tags == found.tags()
    return found


def over_budget(recipe: Recipe) -> str:
    """What the referee says of a mixer that is too large."""
    found = parameters(recipe, WIDTH, HEADS)
    return f"Mixer 0 has {found} parameters; wanted at most {BUDGET} (1.5 × 4 · {WIDTH}²)."


def test_a_proposal_becomes_its_file() -> None:
    writing = build(a_context("build", proposal=a_proposal()))
    assert writing.text == write(read(DELTA))
    assert writing.tags == read(DELTA).tags()


def test_a_user_s_idea_is_read_from_its_tags() -> None:
    idea = a_proposal("", "Try rule=linear with decay=scalar, feature=elu and conv=4.")
    found = described(build(a_context("build", proposal=idea)).text)
    assert found is not None
    assert found.text() == "rule=linear feature=elu decay=scalar conv=4"


def test_an_idea_in_prose_alone_is_told_what_can_be_read() -> None:
    with pytest.raises(
        AgentFailedError, match="such as rule=delta decay=scalar conv=4; this idea can't be read"
    ):
        build(a_context("build", proposal=a_proposal("", "Make it better.")))


def test_a_memory_without_bounds_really_overflows_and_is_cured() -> None:
    # ELU features are near one, so a key's squared length is near its width: each write overshoots sevenfold.
    wild = "rule=delta feature=elu beta=sigmoid norm=rms"
    assert not torch.isfinite(a_mixer(read(wild))(an_input(513))).all()
    cured = repaired(wild, Reason.NON_FINITE, "Output of mixer 0 is nan at position 40 of row 0.")
    assert cured.qk == "l2"
    assert torch.isfinite(a_mixer(cured)(an_input(513))).all()


def test_a_draft_over_the_budget_is_really_over_it_and_then_fits() -> None:
    fat = read(FAT)
    assert sum(p.numel() for p in a_mixer(fat).parameters()) > BUDGET
    thin = repaired(FAT, Reason.BUDGET_MISMATCH, over_budget(fat))
    assert sum(p.numel() for p in a_mixer(thin).parameters()) <= BUDGET
    assert thin.rule == "delta"


@pytest.mark.parametrize("width", [16, 32, 48, 256])
@pytest.mark.parametrize("expand", ["1", "2"])
@pytest.mark.parametrize("gate", ["none", "silu"])
@pytest.mark.parametrize("rule", ["linear", "delta", "scan", "conv", "local"])
def test_three_repairs_fit_any_mixer_into_the_budget(rule: str, gate: str, expand: str, width: int) -> None:
    recipe = read(DELTA).change(
        rule=rule, gate=gate, expand=expand, conv="8", path="conv", join="sum", heads="mixed"
    )
    for _ in range(3):
        found = parameters(recipe, width, 2)
        if found > 6 * width**2:
            message = f"Mixer 0 has {found} parameters; wanted at most {6 * width**2} (1.5 × 4 · {width}²)."
            recipe = repaired(recipe.text(), Reason.BUDGET_MISMATCH, message)
    assert parameters(recipe, width, 2) <= 6 * width**2


def test_a_budget_s_message_that_can_t_be_read_costs_one_block() -> None:
    assert repaired(FAT, Reason.BUDGET_MISMATCH, "too large").expand == "1"


def test_keys_that_heads_do_not_divide_really_fail_and_are_made_whole() -> None:
    halved = DELTA + " keys=half"
    text = write(read("rule=delta feature=silu qk=l2 beta=sigmoid conv=4 keys=half norm=rms"))
    mixer = built(text, width=24, heads=8)
    with pytest.raises(RuntimeError) as caught:
        mixer(torch.randn(2, 9, 24))
    said = complaint(caught.value)
    cured = repaired(halved, said.reason, str(said))
    assert cured.keys == "full"
    assert built(write(cured), width=24, heads=8)(torch.randn(2, 9, 24)).shape == (2, 9, 24)


@pytest.mark.parametrize(
    ("change", "block", "after"),
    [
        ({"path": "local"}, "path", "shift"),
        ({"path": "conv", "conv": "8"}, "path", "shift"),
        ({"conv": "8"}, "conv", "4"),
        ({"expand": "2"}, "expand", "1"),
    ],
)
@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.COST_GROWTH, Reason.DEADLINE_EXCEEDED])
def test_what_asks_for_too_much_asks_for_less(
    change: dict[str, str], block: str, after: str, reason: Reason
) -> None:
    assert getattr(repaired(read(DELTA).change(**change).text(), reason), block) == after


@pytest.mark.parametrize(
    ("recipe", "block", "after"),
    [
        ("rule=linear feature=silu", "qk", "l2"),
        ("rule=linear feature=silu qk=l2", "norm", "rms"),
        ("rule=delta feature=silu qk=l2 beta=double norm=rms", "beta", "sigmoid"),
        ("rule=linear qk=l2 norm=rms", "feature", "silu"),
        ("rule=linear feature=silu qk=l2 norm=rms", "decay", "scalar"),
        ("rule=conv taps=16", "norm", "rms"),
        ("rule=scan decay=channel norm=rms gate=silu", "gate", "sigmoid"),
    ],
)
@pytest.mark.parametrize("reason", [Reason.DIVERGED, Reason.NON_FINITE])
def test_what_can_grow_is_bounded(recipe: str, block: str, after: str, reason: Reason) -> None:
    assert getattr(repaired(recipe, reason), block) == after


@pytest.mark.parametrize("reason", list(BROKEN))
def test_a_file_that_is_not_as_it_was_written_is_written_anew(reason: Reason) -> None:
    damaged = write(read(DELTA)).replace("import torch\n", "import socket\n", 1)
    assert repaired(DELTA, reason, "line 17: imports socket", damaged) == read(DELTA)


def test_a_file_that_no_longer_tells_is_written_from_the_proposal() -> None:
    assert repaired(DELTA, Reason.INVALID_SOURCE, "is no Python", "def (:") == read(DELTA)


def test_an_error_s_line_says_which_block_goes() -> None:
    recipe = read(DELTA).change(heads="mixed", gate="silu", path="ema")
    traced = "RuntimeError: bad\n  line 60 in forward: y_BTE = y_BTE * functional.silu(self.gate(x_BTC))"
    assert repaired(recipe.text(), Reason.CODE_ERROR, traced).gate == "none"
    assert repaired(recipe.text(), Reason.CODE_ERROR, "RuntimeError").heads == "own"


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("rule=none", Reason.DIVERGED),
        ("rule=none", Reason.OUT_OF_MEMORY),
        ("rule=none", Reason.CODE_ERROR),
        ("rule=none", Reason.BUDGET_MISMATCH),
        (DELTA, Reason.IMPORT_REFUSED),
        (DELTA, Reason.PROTOCOL_ERROR),
    ],
)
def test_a_repair_that_nobody_knows_says_so(recipe: str, reason: Reason) -> None:
    with pytest.raises(AgentFailedError, match=f"No repair is known for {reason}"):
        repaired(recipe, reason, "Mixer 0 has 9000 parameters; wanted at most 10 (1.5 × 4 · 32²).")


def test_every_cure_is_for_something_that_may_be_repaired() -> None:
    assert set(CURES) <= set(BROKEN)


def test_orders_that_lack_what_they_need_say_so() -> None:
    with pytest.raises(AgentFailedError, match="names no proposal"):
        build(a_context("build"))
    with pytest.raises(AgentFailedError, match="names no file, or no failure"):
        repair(a_context("repair"))
    me = an_experiment().model_copy(update={"code": "x = 1"})
    with pytest.raises(AgentFailedError, match="tells no recipe, and the order names no proposal"):
        repair(a_context("repair", me=me, failure=Failure(reason=Reason.CODE_ERROR, message="")))
