"""How fast a mixer forgets: the parts for each choice of decay."""

from collections.abc import Callable, Mapping

from asiarch.agents.grammar.draft import Draft
from asiarch.agents.grammar.recipe import Recipe

LOW_RANK = 8

Part = Callable[[Recipe, Draft], None]


def _scalar(_recipe: Recipe, draft: Draft) -> None:
    draft.init += ["self.decay = nn.Linear(width, heads)", "nn.init.constant_(self.decay.bias, 4.0)"]
    draft.forward += ["log_decay_BTH = functional.logsigmoid(self.decay(x_BTC))"]
    draft.sentences.append("Each head forgets at a rate that it reads off the input.")


def _channel(_recipe: Recipe, draft: Draft) -> None:
    draft.init += _low_rank("queries")
    draft.forward += [
        "# A step keeps at least exp(-4) of what was written, and at first nearly all of it.",
        "log_decay_BTD = -4 * (self.decay(x_BTC) - 4).sigmoid()",
        "log_decay_BTHK = log_decay_BTD.view(batch, length, self.heads, -1)",
    ]
    draft.sentences.append("Each key channel forgets at a rate that it reads off the input.")


def _ladder(_recipe: Recipe, draft: Draft) -> None:
    draft.init += ["exponents_H = torch.linspace(2, 6, heads)"]
    _constant("(1 - 2**-exponents_H).log()", draft)
    draft.sentences.append("Each head forgets at a rate of its own that never changes, from fast to slow.")


def _fixed(_recipe: Recipe, draft: Draft) -> None:
    _constant("torch.full((heads,), 0.5).log()", draft)
    draft.sentences.append("Everything fades to one half with every step, whatever it is.")


def _constant(values: str, draft: Draft) -> None:
    draft.attributes += ["log_decay_H: Tensor"]
    draft.init += [f'self.register_buffer("log_decay_H", {values}, persistent=False)']
    draft.forward += ["log_decay_BTH = self.log_decay_H.expand(batch, length, -1)"]


def _scan_channel(_recipe: Recipe, draft: Draft) -> None:
    draft.init += _low_rank(draft.values)
    draft.forward += ["decay_BTE = (self.decay(x_BTC) + 2).sigmoid()"]
    draft.sentences.append("Each channel keeps or replaces its state as the input says.")


def _scan_scalar(_recipe: Recipe, draft: Draft) -> None:
    draft.init += ["self.decay = nn.Linear(width, 1)", "nn.init.constant_(self.decay.bias, 2.0)"]
    draft.forward += ["decay_BTE = self.decay(x_BTC).sigmoid().expand_as(v_BTE)"]
    draft.sentences.append("All channels keep or replace their state together, as the input says.")


def _scan_ladder(_recipe: Recipe, draft: Draft) -> None:
    draft.attributes += ["decay_E: Tensor"]
    draft.init += [
        f"horizons_E = torch.linspace(1, 6, {draft.values})",
        'self.register_buffer("decay_E", 1 - 2**-horizons_E, persistent=False)',
    ]
    draft.forward += ["decay_BTE = self.decay_E.expand_as(v_BTE)"]
    draft.sentences.append("Each channel averages over a horizon of its own, from short to long.")


def _low_rank(outputs: str) -> list[str]:
    return [
        f"narrow, wide = nn.Linear(width, {LOW_RANK}, bias=False), nn.Linear({LOW_RANK}, {outputs})",
        "self.decay = nn.Sequential(narrow, wide)",
    ]


MEMORY_DECAYS: Mapping[str, Part] = {
    "scalar": _scalar,
    "channel": _channel,
    "ladder": _ladder,
    "fixed": _fixed,
}
"""For rules that keep a matrix of associations."""

SCAN_DECAYS: Mapping[str, Part] = {"channel": _scan_channel, "scalar": _scan_scalar, "ladder": _scan_ladder}
"""For the gated scan, in which each channel is a memory by itself."""
