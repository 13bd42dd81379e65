"""How a mixer mixes over time: the parts for each rule and for each second path."""

from collections.abc import Callable, Mapping

from asiarch.agents.grammar.draft import Draft
from asiarch.agents.grammar.recipe import Recipe

FILTER = 16
"""Taps of the second path's convolution."""

Part = Callable[[Recipe, Draft], None]


def _memory(recipe: Recipe, draft: Draft) -> None:
    """Keep a matrix of associations in each head."""
    draft.use("chunk_recurrence")
    decays = {"none": "", "channel": ", log_decay=log_decay_BTHK"}
    options = decays.get(recipe.decay, ", log_decay=log_decay_BTH")
    options += ", beta=beta_BTH" * (recipe.beta != "none") + ", delta=True" * (recipe.rule == "delta")
    draft.forward += [f"y_BTHV = chunk_recurrence(q_BTHK, k_BTHK, v_BTHV{options})"]
    draft.sentences.insert(0, _MEMORIES[recipe.rule])


_MEMORIES = {
    "linear": (
        "Each head keeps a matrix of associations: every position adds the outer product of its key and its value, "
        "and reads with its query."
    ),
    "delta": (
        "Each head keeps a matrix of associations: every position first takes off what the matrix already answers to "
        "its key, then writes the difference to its value, and reads with its query."
    ),
}


def _scan(_recipe: Recipe, draft: Draft) -> None:
    draft.use("scan")
    draft.forward += ["y_BTE = scan(decay_BTE, (1 - decay_BTE) * v_BTE)"]
    draft.sentences.insert(
        0, "Each channel keeps a running average of its values, computed as a parallel scan."
    )


def _conv(recipe: Recipe, draft: Draft) -> None:
    draft.use("causal_conv")
    taps = recipe.taps
    draft.init += [f"self.filter_EJ = nn.Parameter(torch.randn({draft.values}, {taps}) * {taps}**-0.5)"]
    draft.forward += ["y_BTE = causal_conv(v_BTE, self.filter_EJ)"]
    draft.sentences.insert(
        0, f"Each channel is filtered by a causal convolution over the last {taps} positions."
    )


def _local(recipe: Recipe, draft: Draft) -> None:
    draft.use("local_attention")
    draft.forward += [f"y_BTHV = local_attention(q_BTHK, k_BTHK, v_BTHV, {recipe.window}, scale=1.0)"]
    draft.sentences.insert(0, f"Each head attends by softmax to the last {recipe.window} positions alone.")


def _softmax(_recipe: Recipe, draft: Draft) -> None:
    draft.forward += [
        "q_BHTK, k_BHTK, v_BHTV = (x.transpose(1, 2) for x in (q_BTHK, k_BTHK, v_BTHV))",
        "y_BHTV = functional.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTV, is_causal=True, scale=1.0)",
        "y_BTHV = y_BHTV.transpose(1, 2)",
    ]
    draft.sentences.insert(
        0, "Each position attends by softmax to all before it; the cost grows with the square of the length."
    )


def _none(_recipe: Recipe, draft: Draft) -> None:
    draft.forward += ["y_BTE = v_BTE"]
    draft.sentences.insert(
        0, "Nothing is mixed: each position sees itself alone. A yardstick that must lose."
    )


RULES: Mapping[str, Part] = {
    "linear": _memory,
    "delta": _memory,
    "scan": _scan,
    "conv": _conv,
    "local": _local,
    "softmax": _softmax,
    "none": _none,
}


def _path_shift(_recipe: Recipe, draft: Draft) -> None:
    draft.forward += ["z_BTE = functional.pad(v_BTE, (0, 0, 1, -1))"]
    draft.sentences.append("A second path brings the value of the position before.")


def _path_conv(_recipe: Recipe, draft: Draft) -> None:
    draft.use("causal_conv")
    draft.init += [f"self.path_EJ = nn.Parameter(torch.randn({draft.values}, {FILTER}) * {FILTER}**-0.5)"]
    draft.forward += ["z_BTE = causal_conv(v_BTE, self.path_EJ)"]
    draft.sentences.append(f"A second path filters the values over the last {FILTER} positions.")


def _path_ema(_recipe: Recipe, draft: Draft) -> None:
    draft.use("scan")
    draft.init += [f"self.horizon_E = nn.Parameter(torch.linspace(-1, 3, {draft.values}))"]
    draft.forward += [
        "keep_BTE = self.horizon_E.sigmoid().expand_as(v_BTE)",
        "z_BTE = scan(keep_BTE, (1 - keep_BTE) * v_BTE)",
    ]
    draft.sentences.append("A second path averages the values over a learned horizon for each channel.")


def _path_local(_recipe: Recipe, draft: Draft) -> None:
    draft.use("local_attention")
    draft.init += ["self.sharpness_H1 = nn.Parameter(torch.full((heads, 1), 4.0))"]
    draft.forward += [
        f"z_BTHV = local_attention(self.sharpness_H1 * q_BTHK, k_BTHK, v_BTHV, {FILTER}, scale=1.0)",
        "z_BTE = z_BTHV.flatten(2)",
    ]
    draft.sentences.append(f"A second path attends by softmax to the last {FILTER} positions.")


PATHS: Mapping[str, Part] = {
    "shift": _path_shift,
    "conv": _path_conv,
    "ema": _path_ema,
    "local": _path_local,
}
