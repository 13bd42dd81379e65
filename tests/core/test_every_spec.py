"""Whatever the schema takes as a spec, a turn takes, too: specs drawn from it are driven through simulated worlds."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asiarch.api import manifest
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Cost
from asiarch.core import chance
from asiarch.core.observation import Traits
from tests.api.manifests import LADDER, SEARCH, changed
from tests.api.strategies import documents
from tests.invariants import check_always
from tests.worlds import SimulatedWorld, played

LAPTOP, CLUSTER = Traits(), Traits(keeps_time=True, keeps_all=False)
FEW = 3
"""Orders at a time in what is drawn, so that a turn is quick."""
TURNS = 12
DEAREST = "999999999999.999999999"
DRAWN = settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
manifest.validate(SEARCH)  # celpy raises the recursion limit as it starts, which hypothesis would complain of


def dearly(order: Order) -> tuple[Result, ...]:
    """Do an order as ever, at the highest cost that may be told; now and then it is lost."""
    most = Cost(seconds=order.seconds, tokens=10**15, usd=1e12)
    if chance.integer(f"{order.name}/lost") % 4 == 0:
        return (Result(order=order.name, attempt=order.attempt, reason=Reason.NODE_LOST, cost=most),)
    return tuple(result.model_copy(update={"cost": most}) for result in played(order))


def driven(document: Any, traits: Traits, turns: int) -> SimulatedWorld:
    """A world in which a search of the document's spec has had some turns."""
    search = ArchitectureSearch.model_validate(document)
    world = SimulatedWorld(search, play=dearly, traits=traits)
    asyncio.run(world.drive(turns))
    check_always(world)
    return world


@DRAWN
@given(documents("ArchitectureSearch", fresh=True), st.sampled_from([LAPTOP, CLUSTER]))
def test_no_spec_that_the_schema_takes_makes_a_turn_fail(document: Any, traits: Traits) -> None:
    spec = document["spec"]
    for part in (spec.get("agents", {}), spec["evaluation"]):
        part["parallelism"] = min(part.get("parallelism", 1), FEW)
    spec["suspend"] = False
    driven(document, traits, TURNS)


@pytest.mark.parametrize("traits", [LAPTOP, CLUSTER])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/retention", {"ttl": "99999h", "keepBest": 1, "keepFinished": 1}),
        ("spec/agents", {"deadline": "99999h", "parallelism": 2}),
        ("spec/agents", {"orderCost": {"usd": DEAREST, "tokens": 10**9}, "parallelism": 9}),
        ("spec/budget", {"candidates": 12, "wallClock": "9999999m", "usd": DEAREST, "gpuHours": DEAREST}),
        (f"{LADDER}/1/deadline", "999999999s"),
        (
            f"{LADDER}/1",
            {
                "name": "dear",
                "task": "SyntheticRecall",
                "seeds": 10,
                "deadline": "99999h",
                "resources": {f"example.com/{n}": 4096 for n in range(8)},
            },
        ),
    ],
)
def test_a_search_at_its_bounds_goes_on(path: str, value: Any, traits: Traits) -> None:
    document = changed(SEARCH, path, value)
    assert manifest.validate(document) == ()
    world = driven(document, traits, turns=150)
    assert world.search.status.counts.proposed > 0
