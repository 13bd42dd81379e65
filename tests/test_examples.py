"""What stands in examples/ is what a user begins with: the API server takes it, and it can do what it says."""

import re
from pathlib import Path

import pytest

from asiarch.agents.grammar.engineer import build
from asiarch.api import code, manifest
from asiarch.api.candidate import Candidate
from asiarch.api.fault import ManifestError
from asiarch.api.order import Proposal
from asiarch.api.search import ArchitectureSearch
from asiarch.core import budget
from asiarch.kube import troubles
from asiarch.local import intake
from tests.agents.contexts import a_context
from tests.agents.mixers import WIDTH, an_input, built, looks_ahead
from tests.api.generate import ROOT

EXAMPLES = ROOT / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*.yaml"))
FILES = sorted(EXAMPLES.glob("*.py"))
OF_CLUSTERS = {"candidate-file.yaml", "cluster.yaml"}
"""Those that name what only a cluster has."""


def named(path: Path) -> str:
    return path.name


def loaded(path: Path) -> manifest.Resource:
    return manifest.load(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_an_example_is_admitted_and_comes_back_equal(path: Path) -> None:
    found = loaded(path)
    assert manifest.load(manifest.dump(found), "written") == found


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_an_example_that_is_not_of_clusters_is_valid_on_a_laptop(path: Path) -> None:
    if path.name not in OF_CLUSTERS:
        intake.read(path)
        return
    with pytest.raises(ManifestError) as refusal:
        intake.read(path)
    assert {fault.wanted for fault in refusal.value.faults} == {"nothing on a laptop"}


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_a_cluster_lays_an_examples_pod_templates_over_its_pods(path: Path) -> None:
    found = loaded(path)
    assert not isinstance(found, ArchitectureSearch) or troubles.of_spec(found, None) == ()


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_an_examples_budget_has_room_for_every_rung(path: Path) -> None:
    found = loaded(path)
    if isinstance(found, ArchitectureSearch):
        worst = (budget.worst_case(found.spec, "train", rung) for rung in found.spec.evaluation.ladder)
        assert budget.shortage(found.spec.budget, budget.total(worst)) == ()


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_a_candidate_joins_a_search_that_is_an_example_too(path: Path) -> None:
    found = loaded(path)
    if isinstance(found, Candidate):
        searches = {one.name for one in map(loaded, MANIFESTS) if isinstance(one, ArchitectureSearch)}
        assert found.spec.search_name in searches
        assert found.spec.origin == "User"


def test_the_built_in_engineer_can_write_the_idea() -> None:
    candidate = loaded(EXAMPLES / "candidate.yaml")
    assert isinstance(candidate, Candidate)
    idea = candidate.spec.idea or ""
    writing = build(a_context("build", proposal=Proposal(name=idea[:80], motivation=idea, recipe=idea[:512])))
    assert set(re.findall(r"[a-z]+=[a-z0-9]+", idea)) <= set(writing.tags)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_finished_file_meets_the_contract(path: Path) -> None:
    text = path.read_text()
    assert code.check(text) == ()
    mixer = built(text)
    assert mixer(an_input(7)).shape == (2, 7, WIDTH)
    assert looks_ahead(mixer, 33) == 0.0
    assert sum(one.numel() for one in mixer.parameters()) <= 1.5 * 4 * WIDTH**2


def test_every_finished_file_is_used() -> None:
    used = (EXAMPLES / "candidate-file.yaml").read_text()
    assert all(path.name in used for path in FILES)
