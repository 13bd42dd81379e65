"""A recipe: which building blocks a mixer is put together from, as a value, as one line and as tags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

Blocks = Mapping[str, tuple[str, ...]]

_AROUND: Blocks = {
    "norm": ("rms", "layer", "none"),
    "gate": ("none", "sigmoid", "silu"),
    "expand": ("1", "2"),
    "path": ("none", "shift", "conv", "ema"),
    "join": ("sum", "gate"),
}
_TAPS: Blocks = {"conv": ("0", "2", "4", "8")}
_LOOKUP: Blocks = {
    **_AROUND,
    **_TAPS,
    "path": ("none", "shift", "conv", "ema", "local"),
    "heads": ("own", "shared", "mixed"),
    "keys": ("full", "half"),
}
_MEMORY: Blocks = {
    **_LOOKUP,
    "feature": ("silu", "elu", "relu", "softmax", "none"),
    "qk": ("l2", "none"),
    "decay": ("none", "scalar", "channel", "ladder", "fixed"),
}

RULES: Mapping[str, Blocks] = {
    "linear": {**_MEMORY, "beta": ("none", "sigmoid")},
    "delta": {**_MEMORY, "beta": ("sigmoid", "double", "none")},
    "scan": {**_AROUND, **_TAPS, "decay": ("channel", "scalar", "ladder")},
    "conv": {**_AROUND, "taps": ("16", "32")},
    "local": {**_LOOKUP, "path": _AROUND["path"], "window": ("16", "32")},
    "softmax": {**_LOOKUP, "path": _AROUND["path"]},
    "none": {"gate": _AROUND["gate"]},
}
"""The blocks that each mixing rule leaves open, with their choices."""

BASELINE_ONLY = frozenset({"softmax", "none"})
"""Rules that are yardsticks: one costs too much, the other mixes nothing."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choice for each block; a block that the rule or another choice leaves no room for stands at its default."""

    rule: str
    feature: str = "none"
    qk: str = "none"
    decay: str = "none"
    beta: str = "none"
    conv: str = "0"
    heads: str = "own"
    keys: str = "full"
    norm: str = "none"
    gate: str = "none"
    expand: str = "1"
    path: str = "none"
    join: str = "sum"
    taps: str = "0"
    window: str = "0"

    def __post_init__(self) -> None:
        """Hold every choice against the list."""
        if self.rule not in RULES:
            raise ValueError(f"Recipe names rule={self.rule}; wanted one of {', '.join(RULES)}.")
        for block, allowed in self.open_blocks().items():
            if getattr(self, block) not in allowed:
                wanted = ", ".join(allowed)
                raise ValueError(
                    f"Recipe names {block}={getattr(self, block)} with rule={self.rule}; wanted {wanted}."
                )
        closed = {name for name in NAMES if name not in {"rule", *self.open_blocks()}}
        strange = [f"{name}={getattr(self, name)}" for name in NAMES if name in closed and self._chosen(name)]
        if strange:
            raise ValueError(f"Recipe names {', '.join(strange)}, which rule={self.rule} leaves no room for.")

    def open_blocks(self) -> Blocks:
        """The blocks that can be chosen, given the other choices."""
        shut = "join" if self.path == "none" else ""
        return {block: choices for block, choices in RULES[self.rule].items() if block != shut}

    def tags(self) -> tuple[str, ...]:
        """The blocks that are chosen, as tags."""
        return tuple(
            f"{name}={getattr(self, name)}" for name in NAMES if name == "rule" or self._chosen(name)
        )

    def text(self) -> str:
        """One line; `read` is its inverse."""
        return " ".join(self.tags())

    def change(self, **choices: str) -> "Recipe":
        """Choose otherwise; what the new rule doesn't offer goes, what only it offers starts at its first choice."""
        mine = {block: getattr(self, block) for block in ("rule", *RULES[self.rule])}
        return settle({**mine, **choices})

    def _chosen(self, name: str) -> bool:
        return bool(getattr(self, name) != DEFAULTS[name])


NAMES = tuple(field.name for field in fields(Recipe))
DEFAULTS: Mapping[str, str] = {field.name: str(field.default) for field in fields(Recipe)}


def read(text: str) -> Recipe:
    """Read a recipe's line; raises ValueError, with what was wanted, for anything else."""
    return from_tags(text.split())


def from_tags(tags: Iterable[str]) -> Recipe:
    """Put a recipe together from tags; raises ValueError for what is none."""
    choices = dict(tag.partition("=")[::2] for tag in tags)
    unknown = sorted(set(choices) - set(NAMES))
    if unknown or "rule" not in choices:
        found = " ".join(f"{name}={value}" for name, value in choices.items())
        raise ValueError(
            f"{found or 'nothing'!r} is no recipe; wanted rule=… and any of {', '.join(NAMES[1:])}."
        )
    return Recipe(**choices)


def settle(choices: Mapping[str, str]) -> Recipe:
    """Make the nearest recipe: a choice that the rule doesn't offer gives way to the first that it does."""
    rule = choices["rule"]
    offered = RULES[rule]
    kept = {
        block: choices[block] if choices.get(block) in allowed else allowed[0]
        for block, allowed in offered.items()
    }
    if kept.get("path") == "none":
        kept["join"] = DEFAULTS["join"]
    return Recipe(rule, **kept)
