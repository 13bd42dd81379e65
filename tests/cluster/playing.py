"""The test's end of a playing kubelet: starts it, gives it faults, reads its ledger."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.cluster import ledger
from tests.cluster.kubelet import faults
from tests.cluster.kubelet.faults import Fault
from tests.cluster.kubelet.life import AgentPlay, Play
from tests.cluster.plane import ROOT, ControlPlane
from tests.cluster.processes import Process, ProcessError


class Playing(Process):
    """One playing kubelet and its node."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        node: str,
        *,
        training: Play = "instant",
        agents: AgentPlay = "real",
        lasts: float = 0.0,
        agents_last: float | None = None,
        spread: float = 0.0,
        resources: Mapping[str, int] | None = None,
        ledger: Path | None = None,
        kubeconfig: Path | None = None,
    ) -> None:
        """`resources` are further ones of the node; `ledger` and `kubeconfig` are its own unless told."""
        self.plane = plane
        self.node = node
        self.ledger = ledger or folder / f"{node}.ledger"
        self._faults = folder / f"{node}.faults"
        words = {
            "kubeconfig": kubeconfig or plane.kubelet,
            "node": node,
            "folder": plane.folder / "nodes" / node,
            "ledger": self.ledger,
            "faults": self._faults,
            "training": training,
            "agents": agents,
            "lasts": lasts,
            "agents-last": lasts if agents_last is None else agents_last,
            "spread": spread,
        }
        command = [sys.executable, "-m", "tests.cluster.kubelet"]
        command += [word for name, value in words.items() for word in (f"--{name}", str(value))]
        for name, count in (resources or {}).items():
            command += ["--resource", f"{name}={count}"]
        super().__init__(node, command, folder / f"{node}.log", {"PYTHONPATH": str(ROOT)})

    def entries(self) -> tuple[ledger.Entry, ...]:
        """What ran so far."""
        return ledger.read(self.ledger)

    def fault(self, *rules: Fault) -> None:
        """Replace all rules; pods that start from now on follow these."""
        faults.write(self._faults, rules)

    def ready(self) -> bool:
        """Whether the scheduler would give it pods."""
        path = f"/api/v1/nodes/{self.node}"
        if not self.plane.exists(path):
            return False
        found = self.plane.get(path)
        conditions = {c["type"]: c["status"] for c in found["status"].get("conditions", ())}
        return conditions.get("Ready") == "True" and not found["spec"].get("taints")

    def start_ready(self, seconds: float = 60.0) -> Self:
        """Start it and wait until its node takes pods."""
        self.start().await_ready(self.ready, seconds)
        return self

    def check(self) -> None:
        """Raises ProcessError if it has died of itself."""
        if self.died():
            raise ProcessError(f"{self.name} has died of itself. {self.last_words()}")

    def remove(self) -> None:
        """Kill it and delete its node; raises ProcessError if it has died of itself."""
        try:
            self.check()
        finally:
            self.kill()
            if self.plane.exists(f"/api/v1/nodes/{self.node}"):
                self.plane.request("DELETE", f"/api/v1/nodes/{self.node}")


@contextmanager
def apart(plane: ControlPlane) -> Iterator[None]:
    """Keep pods from the nodes that are there already, as long as the block lasts: each test has nodes of its own."""
    nodes = [node for node in plane.get("/api/v1/nodes")["items"] if not node["spec"].get("unschedulable")]
    others = [f"/api/v1/nodes/{node['metadata']['name']}" for node in nodes]
    try:
        for path in others:
            _cordon(plane, path, on=True)
        yield
    finally:
        for path in others:
            _cordon(plane, path, on=False)


def _cordon(plane: ControlPlane, path: str, *, on: bool) -> None:
    """Say whether a node takes pods, and wait until the scheduler has heard; a node that is gone needs nothing."""
    if not plane.exists(path):
        return
    patch = {"spec": {"unschedulable": on or None}}
    plane.request("PATCH", path, patch, kind="application/merge-patch+json")
    plane.wait_for(lambda: _is_cordoned(plane, path) == on, f"{path} to be cordoned: {on}", 30)


def _is_cordoned(plane: ControlPlane, path: str) -> bool:
    taints = plane.get(path)["spec"].get("taints", ())
    return any(taint["key"] == "node.kubernetes.io/unschedulable" for taint in taints)
