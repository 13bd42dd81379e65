"""The parts of a mixer, one function each, in the order in which they stand in a file.

Each adds its lines to a draft and says in a sentence what it is for. A line that is specific to one choice stands in a
table; what runs along time is a block of asiarch_kernels.
"""

from asiarch.agents.grammar.decays import MEMORY_DECAYS, SCAN_DECAYS
from asiarch.agents.grammar.draft import Draft
from asiarch.agents.grammar.mixing import PATHS, RULES
from asiarch.agents.grammar.recipe import Recipe

LOOKUPS = frozenset({"linear", "delta", "local", "softmax"})
"""Rules that look values up by queries and keys."""

_FEATURES = {
    "silu": "functional.silu({})",
    "elu": "functional.elu({}) + 1",
    "relu": "{}.relu()",
    "softmax": "{}.softmax(dim=-1)",
    "none": "{}",
}
_STRENGTHS = {"sigmoid": "{}.sigmoid()", "double": "2 * {}.sigmoid()"}
_GATES = {"sigmoid": "{}.sigmoid()", "silu": "functional.silu({})"}
_NORMS = {"rms": "nn.RMSNorm", "layer": "nn.LayerNorm"}


def start(recipe: Recipe, draft: Draft) -> None:
    """Project the input onto queries, keys and values, or values alone."""
    draft.forward += ['"""Mix each position with those before it."""']
    draft.init += [
        '"""Hold the weights of one layer; every layer is built alike."""',
        "super().__init__()",
        "del layer, layers" if recipe.rule in LOOKUPS else "del heads, layer, layers",
    ]
    if recipe.expand == "2":
        draft.values = "2 * width"
        draft.sentences.append("Values are twice as wide as the input.")
    if recipe.rule not in LOOKUPS:
        draft.init += [f"self.project = nn.Linear(width, {draft.values}, bias=False)"]
        draft.forward += ["v_BTE = self.project(x_BTC)"]
        return
    keys = "width // 2" if recipe.keys == "half" else "width"
    if recipe.keys == "half":
        draft.sentences.append("Queries and keys are half as wide, which leaves weights for the rest.")
    shared = recipe.heads == "shared"
    draft.init += [
        "self.heads = heads",
        f"queries, keys, values = {keys}, {keys}{' // heads' if shared else ''}, {draft.values}",
        "self.widths = [queries, keys, values]",
        "self.project = nn.Linear(width, sum(self.widths), bias=False)",
    ]
    draft.forward += ["qkv_BTD = self.project(x_BTC)"]


def short_convolution(recipe: Recipe, draft: Draft) -> None:
    """Let each channel see a few earlier positions."""
    if recipe.conv == "0":
        return
    lookup = recipe.rule in LOOKUPS
    what, count = ("qkv_BTD", "sum(self.widths)") if lookup else ("v_BTE", draft.values)
    draft.use("causal_conv")
    taps = f"torch.randn({count}, {recipe.conv}) * {recipe.conv}**-0.5"
    draft.init += [f"self.taps_{what[-1]}J = nn.Parameter({taps})"]
    draft.forward += [f"{what} = causal_conv({what}, self.taps_{what[-1]}J)"]
    named = "queries, keys and values" if lookup else "values"
    draft.sentences.append(
        f"A short causal convolution over {recipe.conv} positions lets {named} see their neighbours."
    )


def heads(recipe: Recipe, draft: Draft) -> None:
    """Split queries, keys and values into heads."""
    if recipe.rule not in LOOKUPS:
        return
    lengths = "batch, length, self.heads, -1"
    draft.forward += [
        "batch, length, _ = x_BTC.shape",
        "q_BTD, k_BTD, v_BTE = torch.split(qkv_BTD, self.widths, dim=-1)",
        f"q_BTHK = q_BTD.view({lengths})",
        f"v_BTHV = v_BTE.view({lengths})",
    ]
    if recipe.heads == "shared":
        draft.forward += ["k_BTHK = k_BTD[:, :, None].expand_as(q_BTHK)"]
        draft.sentences.append("All heads share one set of keys.")
    else:
        draft.forward += [f"k_BTHK = k_BTD.view({lengths})"]


def features(recipe: Recipe, draft: Draft) -> None:
    """Map queries and keys to features, and bound their length."""
    if recipe.rule not in LOOKUPS:
        return
    mapped = _FEATURES[recipe.feature]
    bounded = f"functional.normalize({mapped}, dim=-1)" if recipe.qk == "l2" else mapped
    q, k = bounded.format("q_BTHK"), bounded.format("k_BTHK")
    if recipe.qk != "l2":
        q = f"({q}) * k_BTHK.shape[-1] ** -0.5" if "+" in q else f"{q} * k_BTHK.shape[-1] ** -0.5"
    draft.forward += [f"q_BTHK = {q}"] + ([f"k_BTHK = {k}"] if k != "k_BTHK" else [])
    if recipe.feature != "none":
        draft.sentences.append(f"Queries and keys pass through the feature map {recipe.feature}.")
    if recipe.qk == "l2":
        draft.sentences.append(
            "Queries and keys have unit length, so that no write is larger than its value."
        )


def strength(recipe: Recipe, draft: Draft) -> None:
    """Say how strongly each position writes; it is 1 where nothing is said."""
    if recipe.beta == "none":
        return
    draft.init += ["self.strength = nn.Linear(width, heads)"]
    draft.forward += [f"beta_BTH = {_STRENGTHS[recipe.beta].format('self.strength(x_BTC)')}"]
    if recipe.beta == "double":
        draft.sentences.append(
            "A write strength up to 2 lets a write turn an association round, not only erase it."
        )
    else:
        draft.sentences.append("A learned strength says how much each position writes.")


def decay(recipe: Recipe, draft: Draft) -> None:
    """Say how fast what was written fades."""
    if recipe.decay == "none":
        return
    table = SCAN_DECAYS if recipe.rule == "scan" else MEMORY_DECAYS
    table[recipe.decay](recipe, draft)


def mixing(recipe: Recipe, draft: Draft) -> None:
    """Mix over time by the recipe's rule."""
    RULES[recipe.rule](recipe, draft)


def normalisation(recipe: Recipe, draft: Draft) -> None:
    """Normalise what was read, and let heads exchange it."""
    if recipe.rule == "none":
        return
    lookup = recipe.rule in LOOKUPS
    y, size = ("y_BTHV", f"{draft.values} // heads") if lookup else ("y_BTE", draft.values)
    if recipe.norm != "none":
        draft.init += [f"self.norm = {_NORMS[recipe.norm]}({size})"]
        draft.forward += [f"{y} = self.norm({y})"]
        draft.sentences.append(
            f"What is read is normalised{' in each head' if lookup else ''} ({recipe.norm})."
        )
    if recipe.heads == "mixed":
        draft.init += ["self.between_HH = nn.Parameter(torch.eye(heads))"]
        draft.forward += ["y_BTHV = self.between_HH @ y_BTHV"]
        draft.sentences.append("Heads mix what they read before it leaves them.")
    if lookup:
        draft.forward += ["y_BTE = y_BTHV.flatten(2)"]


def second_path(recipe: Recipe, draft: Draft) -> None:
    """Add what a second, simpler path over the same values yields."""
    if recipe.path == "none":
        return
    PATHS[recipe.path](recipe, draft)
    if recipe.join == "gate":
        draft.init += ["self.choose = nn.Linear(width, 1)"]
        draft.forward += [
            "share_BT1 = self.choose(x_BTC).sigmoid()",
            "y_BTE = share_BT1 * y_BTE + (1 - share_BT1) * z_BTE",
        ]
        draft.sentences.append("Each position decides how much it takes from which path.")
    else:
        draft.init += [f"self.second_E = nn.Parameter(torch.full(({draft.values},), 0.5))"]
        draft.forward += ["y_BTE = y_BTE + self.second_E * z_BTE"]


def output(recipe: Recipe, draft: Draft) -> None:
    """Gate the result and project it back."""
    if recipe.gate != "none":
        draft.init += [
            f"self.gate = nn.Linear(width, {draft.values})",
            "# It starts open: a gate that starts half shut keeps a young model from learning to recall.",
            "nn.init.constant_(self.gate.bias, 2.0)",
        ]
        draft.forward += [f"y_BTE = y_BTE * {_GATES[recipe.gate].format('self.gate(x_BTC)')}"]
        draft.sentences.append(
            f"An output gate ({recipe.gate}) lets each position keep or drop what was read."
        )
    draft.init += [f"self.out = nn.Linear({draft.values}, width, bias=False)"]
    draft.forward += ["mixed_BTC: Tensor = self.out(y_BTE)", "return mixed_BTC"]


PARTS = (
    start,
    short_convolution,
    heads,
    features,
    strength,
    decay,
    mixing,
    normalisation,
    second_path,
    output,
)
