"""The shipped mixers that a search is measured against, as the files that are trained: five honest ones, two that lose.

Each is written by the grammar from the recipe in its own docstring; a test fails when file and grammar differ.
"""

from importlib.resources import files

from asiarch.api.search import SHIPPED_BASELINES

NAMES = SHIPPED_BASELINES


def source(name: str) -> str:
    """The text of a shipped baseline; raises KeyError, with the names that there are, for any other."""
    if name not in NAMES:
        raise KeyError(f"{name} is no shipped baseline; wanted one of {', '.join(NAMES)}.")
    return (files(__name__) / f"{name}.py").read_text(encoding="utf-8")
