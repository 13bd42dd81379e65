"""Whole searches on this machine, as a user runs them: real agents, real training, real kills."""

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.local.searches import MANIFEST, asiarch, candidates, canonical, start

TERMINAL = {"Complete", "Rejected", "Failed"}
KILLS = 4


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small search has run to its end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, said = start(folder).end()
    assert code == 0, said
    return folder


def test_every_candidate_ends_and_the_budget_is_spent(undisturbed: Path) -> None:
    ended = candidates(undisturbed)
    assert [c["status"]["ordinal"] for c in ended] == list(range(5))
    assert {c["status"]["phase"] for c in ended} <= TERMINAL
    assert sum(c["spec"]["origin"] == "Proposed" for c in ended) == 3


def test_proposals_have_an_idea_a_file_an_analysis_and_a_lesson(undisturbed: Path) -> None:
    complete = [
        c for c in candidates(undisturbed) if c["status"]["phase"] == "Complete" and c["spec"].get("parents")
    ]
    assert complete
    for candidate in complete:
        status = candidate["status"]
        assert status["name"]
        assert status["motivation"]
        assert status["analysis"]
        assert status["lesson"]["claim"]
        assert (undisturbed / "runs" / "small" / "code" / f"{status['code']['digest']}.py").exists()


def test_the_isolation_that_was_had_is_written_down(undisturbed: Path) -> None:
    had = candidates(undisturbed)[0]["status"]["isolation"]
    assert "memory-limit" in had
    assert "no-new-privileges" in had


def test_a_report_stands_beside_the_search(undisturbed: Path) -> None:
    page = (undisturbed / "runs" / "small" / "report.html").read_text()
    assert "delta-net" in page
    assert (undisturbed / "runs" / "small" / "report.md").exists()


def test_the_same_command_again_changes_nothing(undisturbed: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (undisturbed / "runs" / "small" / "candidates").iterdir()}
    code, _ = start(undisturbed).end()
    assert code == 0
    assert before == {
        p: p.stat().st_mtime_ns for p in (undisturbed / "runs" / "small" / "candidates").iterdir()
    }


def test_two_undisturbed_runs_give_the_same_lineage(undisturbed: Path, tmp_path: Path) -> None:
    start(tmp_path).end()
    assert canonical(tmp_path) == canonical(undisturbed)


def test_kills_at_random_moments_change_nothing_in_the_lineage(undisturbed: Path, tmp_path: Path) -> None:
    chance = random.Random(int.from_bytes(os.urandom(4)))
    state = chance.getstate()
    for _ in range(KILLS):
        running = start(tmp_path)
        time.sleep(chance.uniform(1.0, 9.0))
        running.kill()
    code, said = start(tmp_path).end()
    assert code == 0, said
    assert canonical(tmp_path) == canonical(undisturbed), f"seed of the moments: {state[1][0]}"


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    running = start(tmp_path)
    time.sleep(3)
    code, said = running.interrupt()
    assert code == 130
    assert "asiarch run search.yaml --dir runs" in said


def test_two_runs_of_one_directory_are_refused(tmp_path: Path) -> None:
    first = start(tmp_path)
    time.sleep(2.5)
    code, said = start(tmp_path).end()
    first.kill()
    assert code == 2
    assert "in use by another asiarch run" in said


def test_a_rerun_gives_the_same_numbers(undisturbed: Path) -> None:
    complete = next(c for c in candidates(undisturbed) if c["status"]["phase"] == "Complete")
    code, said = asiarch(undisturbed, "rerun", complete["metadata"]["name"])
    assert code == 0, said
    assert "score" in said
    assert "≠" not in said


def test_a_rerun_of_what_was_never_measured_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "runs", tmp_path / "runs")
    name = candidates(undisturbed)[0]["metadata"]["name"]
    path = tmp_path / "runs" / "small" / "candidates" / f"{name}.yaml"
    path.write_text(path.read_text().partition("status:")[0])
    code, said = asiarch(tmp_path, "rerun", name)
    assert code == 2
    assert "wanted a candidate that was measured" in said


def test_what_people_look_at_can_be_looked_at(undisturbed: Path) -> None:
    name = candidates(undisturbed)[0]["metadata"]["name"]
    for command in (["status"], ["lineage"], ["show", name], ["report"]):
        code, said = asiarch(undisturbed, *command)
        assert code == 0, said
        assert said.strip()


def test_a_raised_budget_goes_on_where_the_search_ended(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "runs", tmp_path / "runs")
    code, said = start(tmp_path, manifest=MANIFEST.replace("candidates: 3", "candidates: 4")).end()
    assert code == 0, said
    assert len(candidates(tmp_path)) == 6
    assert json.loads(canonical(tmp_path))[:5] == json.loads(canonical(undisturbed))


def test_what_makes_results_comparable_may_not_change(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "runs", tmp_path / "runs")
    code, said = start(tmp_path, manifest=MANIFEST.replace("steps: 12", "steps: 13")).end()
    assert code == 2
    assert "spec.evaluation.ladder" in said
