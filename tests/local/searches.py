"""A small real search: seconds a candidate, with every kind of order."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MANIFEST = """\
apiVersion: asiarch.dev/v1alpha1
kind: ArchitectureSearch
metadata:
  name: small
spec:
  goal: Find something better than DeltaNet.
  seed: 5
  baselines:
  - name: delta-net
  - name: no-mixing
  selection: {policy: AsiArch}
  evaluation:
    ladder:
    - {name: gates, task: Gates}
    - {name: recall, task: SyntheticRecall, steps: 12, batch: 8, length: 24, model: {width: 16}, promote: {top: 1.0}}
  budget: {candidates: 3}
"""


@dataclass
class Running:
    """One `asiarch run` as a process of its own."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; returns the exit code and what was said."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what was said."""
        said, _ = self.process.communicate(timeout=300)
        return self.process.returncode, said


def start(folder: Path, *arguments: str, manifest: str = MANIFEST) -> Running:
    """Start `asiarch run` on the manifest in `folder`, with its searches below `folder`."""
    (folder / "search.yaml").write_text(manifest)
    command = [sys.executable, "-m", "asiarch.cli", "run", "search.yaml", "--dir", "runs", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return Running(process)


def asiarch(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run another command in `folder`; returns the exit code and what was said."""
    command = [sys.executable, "-m", "asiarch.cli", *arguments, "--dir", "runs"]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def candidates(folder: Path) -> list[dict[str, Any]]:
    """The candidates' files of the one search below `folder`, in ordinal order."""
    paths = (folder / "runs" / "small" / "candidates").glob("*.yaml")
    read = [yaml.safe_load(path.read_text()) for path in paths]
    return sorted(read, key=lambda c: c["status"].get("ordinal", -1))


TIMES = {"startedAt", "finishedAt", "seconds", "lastTransitionTime", "cost"}


def canonical(folder: Path) -> str:
    """The lineage as canonical JSON, without times, costs and what only says where something ran."""
    return json.dumps([_timeless(c) for c in candidates(folder)], sort_keys=True, indent=1)


def _timeless(thing: Any) -> Any:
    if isinstance(thing, dict):
        kept = ((k, v) for k, v in thing.items() if k not in TIMES and not k.endswith(".seconds"))
        return {key: _timeless(value) for key, value in kept}
    return [_timeless(one) for one in thing] if isinstance(thing, list) else thing
