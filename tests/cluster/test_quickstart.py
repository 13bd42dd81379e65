"""The example, as a user applies it: agents and training really run, and come to what a laptop comes to."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster import checker
from tests.cluster.checks.lineage import canonical
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.rig import rig

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "quickstart.yaml"
SECONDS = 1500


@pytest.mark.long
def test_the_example_comes_to_the_same_lineage_and_scores_as_on_a_laptop(
    plane: ControlPlane, namespace: str, tmp_path: Path, kubelet: Callable[..., Playing]
) -> None:
    command = [str(Path(sys.executable).with_name("asiarch")), "run", str(EXAMPLE), "--dir", str(tmp_path)]
    with (tmp_path / "laptop.log").open("wb") as log:
        laptop = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with rig(plane, namespace, tmp_path, kubelet(training="real", agents="real")) as stage:
            plane.kubectl("-n", namespace, "apply", "-f", str(EXAMPLE))
            wait = ("wait", "--for=condition=Complete", "asearch/quickstart", f"--timeout={SECONDS}s")
            plane.kubectl("-n", namespace, *wait, seconds=SECONDS + 10)
            evidence = stage.evidence("quickstart")
            faults = checker.check_all(evidence, stage.users)
        assert laptop.wait(SECONDS) == 0
    finally:
        laptop.kill()
    there = [yaml.safe_load(p.read_text()) for p in (tmp_path / "quickstart" / "candidates").glob("*.yaml")]
    assert faults == []
    assert canonical(evidence.candidates) == canonical(there)
