"""A candidate tells by conditions how far it came, and stays small."""

import asyncio
import json

from asiarch.api.candidate import Candidate
from asiarch.api.manifest import plain
from asiarch.api.order import Measurement, Result
from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch.core.candidate import combine
from asiarch.core.conditions import candidate_conditions
from tests.builders import T0, a_candidate, a_code, a_digest, a_lesson, a_search
from tests.worlds import SimulatedWorld

DEMONSTRATED = {
    "mixer.parameters": "3680",
    "recall.nll": "1.873771",
    "recall.accuracy": "0.291781",
    "recall.seconds": "11.179174",
    "fuzzy.nll": "2.058019",
    "fuzzy.accuracy": "0.207456",
    "fuzzy.seconds": "10.945932",
    "copy.nll": "2.647877",
    "copy.accuracy": "0.069824",
    "copy.seconds": "11.587349",
    "tokens": "691200",
}
CLAIMED = {"recall.train": "1.906535", "fuzzy.train": "2.068517", "copy.train": "2.647787"}


def states(candidate: Candidate) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {c.type: (c.status, c.reason) for c in candidate_conditions(candidate, T0)}


DONE = ("True", "Done")


def test_a_candidate_that_begins_has_nothing() -> None:
    assert set(states(a_candidate(phase="Pending", title="", code=None)).values()) == {("False", "Pending")}


def test_a_measured_candidate_waits_for_its_analysis() -> None:
    found = states(a_candidate(phase="Analyzing", fitness="0.7"))
    assert found == {
        "Proposed": DONE,
        "Built": DONE,
        "Evaluated": DONE,
        "Analyzed": ("False", "Analyzing"),
        "Complete": ("False", "Analyzing"),
    }


def test_a_file_in_repair_is_not_built_for_the_reason_it_is_repaired() -> None:
    found = states(a_candidate(phase="Repairing", reason=Reason.WRONG_SHAPE))
    assert (found["Proposed"], found["Built"]) == (DONE, ("False", "WrongShape"))


def test_a_rejected_candidate_says_how_far_it_came_and_why_no_further() -> None:
    found = states(a_candidate(phase="Rejected", reason=Reason.CAUSALITY_VIOLATION))
    assert (found["Built"], found["Complete"]) == (DONE, ("False", "CausalityViolation"))


def test_a_complete_candidate_has_all_and_one_without_an_explanation_all_but_that() -> None:
    assert set(states(a_candidate(analysis="It won.")).values()) == {DONE}
    assert states(a_candidate(analysis="Not explained: boom"))["Analyzed"] == ("False", "Complete")


def test_a_baseline_is_never_analysed() -> None:
    assert "Analyzed" not in states(a_candidate(origin="Baseline"))


def test_every_candidate_of_a_search_bears_its_conditions() -> None:
    world = SimulatedWorld(a_search(candidates=3))
    asyncio.run(world.drive())
    for candidate in world.candidates.values():
        assert states(candidate) == {c.type: (c.status, c.reason) for c in candidate.status.conditions}
        times = [c.last_transition_time for c in candidate.status.conditions]
        assert times == sorted(times)


def a_measurement(**fields: object) -> Result:
    """One seed's result with as much as a referee says."""
    curve = tuple((10 * n, f"{2.7 - n / 50:.5f}") for n in range(24))
    groups = tuple(f"0.{61234 + 100 * n}" for n in range(16))
    known = {"score": "0.435286", "loss": "2.193222", "groups": groups, "curve": curve, "parameters": 20832}
    measured = Measurement(metrics=DEMONSTRATED, claims=CLAIMED, **{**known, **fields})
    return Result(order="o", attempt=1, measurement=measured, cost=Cost(seconds=33.777))


def test_a_status_keeps_a_thinned_curve_with_both_its_ends() -> None:
    curve = combine("recall", [a_measurement()]).curve
    assert len(curve) == 8
    assert (curve[0], curve[-1]) == ((0, "2.7"), (230, "2.24"))
    short = ((1, "2.5"), (2, "2.25"))
    assert combine("recall", [a_measurement(curve=short)]).curve == short


def test_a_candidate_of_the_demonstration_stays_below_4_kib() -> None:
    gates = combine("gates", [a_measurement(score=None, loss=None, groups=(), curve=())])
    gates = gates.model_copy(update={"metrics": {"mixer.parameters": "3680"}})
    bytes_ = combine("bytes", [a_measurement(data=a_digest("data"))])
    bytes_ = bytes_.model_copy(update={"metrics": dict(list(bytes_.metrics.items())[:8]), "claims": {}})
    candidate = a_candidate(
        3,
        search="quickstart",
        parents=("quickstart-0002",),
        references=("quickstart-0000", "quickstart-0001"),
        title="Channel-gated scan, output gate",
        motivation="m" * 290,
        recipe="rule=scan decay=channel norm=rms gate=sigmoid",
        tags=("rule=scan", "decay=channel", "norm=rms", "gate=sigmoid"),
        uses=("quickstart-0001", "quickstart-0002"),
        code=a_code("mixer"),
        rungs=(gates, combine("recall", [a_measurement()]), bytes_),
        fitness="0.51069",
        analysis="a" * 510,
        lesson=a_lesson(claim="c" * 86, scope=("rule=scan", "decay=channel")),
        isolation=("pod", "read-only-root", "no-capabilities", "no-new-privileges", "seccomp"),
        cost=Cost(seconds=67.554),
    )
    status = candidate.status.model_copy(update={"conditions": candidate_conditions(candidate, T0)})
    document = plain(candidate.model_copy(update={"status": status}))
    told = status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert len(json.dumps({**document, "status": told}, separators=(",", ":"))) < 4096
