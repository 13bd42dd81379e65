"""I1 to I5 are broken on purpose, and the checker names each; a sound run passes."""

import copy

import pytest

from tests.cluster.checker import check_all
from tests.cluster.checks.evidence import Object, archived_records
from tests.cluster.checks.lineage import canonical
from tests.cluster.sound import (
    CODE,
    DONE,
    ENDED,
    NAMED,
    NOTHING,
    OPERATOR,
    ORDER,
    PAID,
    WORST,
    a_candidate,
    a_job,
    a_line,
    a_search,
    a_sound_run,
    an_entry,
    seen,
    violations,
    with_version,
)


def test_a_sound_run_has_no_violation() -> None:
    assert violations(a_sound_run()) == []


def test_a_candidate_that_was_created_and_is_nowhere_is_lost() -> None:
    lost = a_line("create", "candidates", "s-0001", "asiarch.dev")
    run = a_sound_run(audit=(*a_sound_run().audit, lost))
    assert "I1 s-0001 existed and is in no lineage" in violations(run)


def test_a_candidate_that_the_history_saw_and_is_nowhere_is_lost() -> None:
    run = a_sound_run(history=with_version(a_candidate(20, ordinal=1)))
    assert "I1 s-0001 existed and is in no lineage" in violations(run)


def test_an_archived_candidate_is_not_lost() -> None:
    record = {"name": "s-0000", "ordinal": 0, "phase": "Complete", "cost": PAID, "parents": []}
    assert violations(a_sound_run(candidates=(), archived=(record,))) == []


def test_an_archive_segment_is_read_whatever_its_key() -> None:
    packed = "H4sIAAAAAAACA6tWykvMTVWyUlAqLqlUquUCAA+rpc0QAAAA"
    assert list(archived_records([{"binaryData": {"records": packed}}, {"data": {}}])) == [{"name": "sty"}]


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (a_candidate(15, ordinal=1, phase="Complete"), "I1 ordinals have gaps: [0]"),
        (a_candidate(15, phase="Analyzing"), "I1 s-0000 ended in phase Analyzing"),
        ({**DONE, "status": {"phase": "Complete"}}, "I1 s-0000 has no ordinal"),
    ],
)
def test_gaps_and_candidates_without_an_end_are_named(candidate: Object, said: str) -> None:
    assert said in violations(a_sound_run(candidates=(candidate,)))


def test_an_ordinal_is_borne_once() -> None:
    twin = copy.deepcopy(DONE)
    twin["metadata"] |= {"name": "mine", "uid": "u-9"}
    assert "I1 ordinal 0 is borne by 2 candidates" in violations(a_sound_run(candidates=(DONE, twin)))


@pytest.mark.parametrize(
    ("parent", "said"),
    [("s-0007", "which is in no lineage"), ("s-0000", "(ordinal 0) descends from s-0000 (ordinal 0)")],
)
def test_a_parent_is_an_earlier_candidate(parent: str, said: str) -> None:
    child = copy.deepcopy(DONE)
    child["spec"]["parents"] = [parent]
    assert any(said in v and v.startswith("I1") for v in violations(a_sound_run(candidates=(child,))))


def test_an_order_that_ran_in_two_pods_at_one_attempt_is_named() -> None:
    again = an_entry("started", 14.5, pod="p-other", job="j-other")
    found = violations(a_sound_run(ledger=(*a_sound_run().ledger, again)))
    assert f"I2 {ORDER} attempt 1 index 0 ran in 2 jobs: ['j', 'j-other']" in found
    assert f"I2 {ORDER} attempt 1 index 0 ran in 2 pods: ['p-other', 'p-{ORDER}']" in found


def test_a_second_attempt_may_not_start_while_the_first_is_live() -> None:
    second = an_entry("started", 13.5, order="s-0000-train-recall-a2")
    found = violations(a_sound_run(ledger=(*a_sound_run().ledger, second)))
    assert any(v.startswith("I2") and "0.500 s before it ended" in v for v in found)


def test_an_order_named_without_a_reservation_is_caught() -> None:
    run = a_sound_run(history=seen(a_candidate(11, order=NAMED), a_job(12), DONE, ENDED))
    assert f"I3 Candidate s-0000 named {ORDER} at revision 11 without a reservation" in violations(run)


def test_an_order_whose_reservation_was_dropped_before_it_was_named_is_caught() -> None:
    dropped = seen(a_search(10, reservations={ORDER: WORST}), a_search(11, reservations={}))
    run = a_sound_run(history=dropped + seen(a_candidate(12, order=NAMED), a_job(13), DONE, ENDED))
    assert f"I3 Candidate s-0000 named {ORDER} at revision 12 without a reservation" in violations(run)


def test_a_job_before_its_intent_is_caught() -> None:
    run = a_sound_run(
        history=seen(
            a_job(9), a_search(10, reservations={ORDER: WORST}), a_candidate(11, order=NAMED), DONE, ENDED
        )
    )
    assert f"I3 Job of {ORDER} came before it was reserved and named, at revision 9 or earlier" in violations(
        run
    )


def test_an_order_that_ran_and_was_never_reserved_is_caught() -> None:
    unknown = an_entry("started", 13.0, order="s-0000-train-recall-a7")
    run = a_sound_run(ledger=(*a_sound_run().ledger, unknown))
    assert "I3 s-0000-train-recall-a7 ran and was never reserved" in violations(run)


def test_a_charge_that_no_status_covers_is_caught_while_the_search_runs() -> None:
    early = a_search(14, reservations={})
    settled = a_candidate(14, phase="Analyzing", cost=NOTHING)
    run = a_sound_run(history=with_version(early) + seen(settled))
    assert any("the ledger has 7, spent and reserved are 0" in v for v in violations(run))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (14.0, "I3 Candidate s-0000 seconds: charged 14, the ledger allows 7"),
        (0.0, "I3 Candidate s-0000 seconds: charged 0, the ledger has 7"),
    ],
)
def test_a_double_and_a_missing_charge_are_caught(seconds: float, said: str) -> None:
    wrong = a_candidate(15, phase="Complete", cost={**PAID, "seconds": seconds}, code=CODE, fitness="0.5")
    assert said in violations(a_sound_run(candidates=(wrong,)))


def test_a_lost_attempt_may_be_charged_up_to_its_worst_case() -> None:
    charged = {"seconds": 66.0, "gpuSeconds": 132.0, "tokens": 0, "usd": 0.0}
    second = "s-0000-train-recall-a2"
    done = a_candidate(19, phase="Complete", cost=charged, code=CODE, fitness="0.5")
    ended = a_search(20, phase="Complete", cost=charged, reservations={})
    run = a_sound_run(
        search=ended,
        candidates=(done,),
        history=seen(
            a_search(10, reservations={ORDER: WORST}),
            a_candidate(11, order=NAMED),
            a_candidate(13, cost={**PAID, "seconds": 59.0, "gpuSeconds": 118.0}),
            a_search(14, reservations={second: WORST}),
            a_candidate(
                15, order={**NAMED, "name": second}, cost={**PAID, "seconds": 59.0, "gpuSeconds": 118.0}
            ),
            done,
            ended,
        ),
        ledger=(
            an_entry("started", 12.0),
            an_entry("ended", 13.0),
            an_entry("started", 17.0, order=second),
            an_entry("ended", 18.0, order=second),
            an_entry("charged", 18.0, order=second),
        ),
    )
    assert violations(run) == []


def test_a_commitment_past_the_limit_is_caught() -> None:
    much = {**WORST, "gpuSeconds": 361.0}
    run = a_sound_run(history=with_version(a_search(17, reservations={"s-0009-train-recall-a1": much})))
    assert any("gpuSeconds: 375 spent and reserved, 360 allowed" in v for v in violations(run))


def test_more_proposals_than_the_budget_are_caught() -> None:
    run = a_sound_run(history=with_version(a_candidate(20, ordinal=1)))
    assert "I3 2 proposals, 1 allowed" in violations(run)


def test_an_ended_search_sums_its_candidates_and_reserves_nothing() -> None:
    ended = a_search(16, phase="Complete", cost=WORST, reservations={ORDER: WORST})
    found = violations(a_sound_run(search=ended))
    assert "I3 the search says 60 seconds, its candidates 7" in found
    assert f"I3 the search has ended and still reserves {ORDER}" in found


def test_another_score_or_another_file_is_another_lineage() -> None:
    other = a_candidate(15, phase="Complete", cost=PAID, code={"digest": "d2"}, fitness="0.5")
    assert any(
        v.startswith("I4 lineage differs") and "d2" in v for v in violations(a_sound_run(candidates=(other,)))
    )


def test_times_make_no_other_lineage() -> None:
    rung = {"name": "recall", "score": "0.5", "metrics": {"recall.seconds": "3", "tokens": "9"}, "seconds": 3}
    later = {**rung, "metrics": {"recall.seconds": "4", "tokens": "9"}, "seconds": 4}
    assert canonical([a_candidate(1, rungs=[rung])]) == canonical([a_candidate(2, rungs=[later])])


def test_a_deleted_search_has_no_lineage_to_lose() -> None:
    assert check_all(a_sound_run(search=None, candidates=()), users=(OPERATOR,)) == []


def test_a_missing_candidate_is_another_lineage() -> None:
    assert "I4 lineage has 0 candidates, the reference 1" in violations(a_sound_run(candidates=()))


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (a_candidate(17, phase="Evaluating", cost=PAID), "terminal phase Complete became Evaluating"),
        (a_candidate(17, phase="Complete", cost=NOTHING), "cost.seconds fell from 7.0 to 0.0"),
        (a_candidate(17, phase="Complete", cost=PAID, observedGeneration=2), "status speaks of generation 2"),
        (a_search(17, phase="Running", cost=PAID, reservations={}), "terminal phase Complete became Running"),
    ],
)
def test_what_goes_back_is_caught(later: Object, said: str) -> None:
    assert any(v.startswith("I5") and said in v for v in violations(a_sound_run(history=with_version(later))))


def test_a_candidate_that_a_user_retries_may_live_again() -> None:
    again = a_candidate(17, phase="Proposing", cost=PAID, retried="please")
    assert violations(a_sound_run(history=with_version(again))) == []


def test_a_transition_time_moves_on_a_flip_only() -> None:
    ready = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    moved = {**ready, "lastTransitionTime": "2026-01-01T00:00:09Z"}
    first = a_search(17, phase="Complete", cost=PAID, conditions=[ready])
    second = a_search(18, phase="Complete", cost=PAID, conditions=[moved])
    flipped = a_search(18, phase="Complete", cost=PAID, conditions=[{**moved, "status": "False"}])
    found = violations(a_sound_run(history=with_version(first) + seen(second)))
    assert any("condition Complete stayed True, but its lastTransitionTime moved" in v for v in found)
    assert violations(a_sound_run(history=with_version(first) + seen(flipped))) == []
