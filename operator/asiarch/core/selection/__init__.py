"""Who breeds: the policies by which a proposal's parents and references are chosen.

One policy is one file with one line in `POLICIES`. A policy sees a `Population`, the search's settings and a
key for its draws, and names functional candidates only. What the policies share is in `population.py`; what
a score is worth belongs to `fitness`, who is better to `ranking`.
"""

from collections.abc import Mapping

from asiarch.api.search import SelectionPolicy
from asiarch.core.selection import asi_arch, dgm, greedy, random, shinka
from asiarch.core.selection.population import Choice, Policy, Population, population

__all__ = ["POLICIES", "Choice", "Policy", "Population", "population"]

POLICIES: Mapping[SelectionPolicy, Policy] = {
    "AsiArch": asi_arch.choose,
    "Dgm": dgm.choose,
    "Shinka": shinka.choose,
    "Greedy": greedy.choose,
    "Random": random.choose,
}
