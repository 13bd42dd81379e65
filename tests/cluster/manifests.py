"""Small searches for tests: few candidates, short rungs; their orders may be played instantly or really run."""

from typing import Any

Object = dict[str, Any]

GATES: Object = {"name": "gates", "task": "Gates", "deadline": "60s"}
RECALL: Object = {
    "name": "recall",
    "task": "SyntheticRecall",
    "steps": 30,
    "batch": 16,
    "length": 32,
    "promote": {"top": 0.34, "grace": 2},
    "deadline": "3m",
}
SEEDED: Object = {**RECALL, "seeds": 2, "resources": {"nvidia.com/gpu": 1}, "deadline": "60s"}
"""Two seeds side by side, each with an accelerator: up to 120 GPU-seconds."""


def a_search(name: str = "s", candidates: int = 4, **spec: Any) -> Object:
    """An ArchitectureSearch with two baselines and the given number of proposals."""
    evaluation = {"ladder": [GATES, RECALL], **spec.pop("evaluation", {})}
    return {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "ArchitectureSearch",
        "metadata": {"name": name},
        "spec": {
            "goal": "Find a sub-quadratic token mixer.",
            "seed": 37,
            "baselines": [{"name": "gated-linear-attention"}, {"name": "no-mixing"}],
            "selection": {"policy": "AsiArch", "parents": 3, "references": 4},
            "evaluation": evaluation,
            "budget": {"candidates": candidates},
            **spec,
        },
    }


def a_short_search(name: str, candidates: int = 1, **spec: Any) -> Object:
    """An ArchitectureSearch with one baseline and one rung, for tests of a single order."""
    short: Object = {
        "baselines": [{"name": "gated-linear-attention"}],
        "evaluation": {"ladder": [RECALL]},
    }
    return a_search(name, candidates, **{**short, **spec})
