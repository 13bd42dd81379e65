"""One control plane on which many searches are played at once, each in a namespace and by an operator of its own.

They share what isn't under test: the playing kubelet, the gateway, and the warm process that their operators are
forked from. A scene is one namespace with its operator behind a fault proxy; `tests.cluster.rig` is the same for one
search alone.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import checker, processes
from tests.cluster.checker import Reference
from tests.cluster.checks.evidence import Evidence, deep
from tests.cluster.checks.history import History
from tests.cluster.checks.leftovers import Reader
from tests.cluster.checks.rights import beyond_the_role
from tests.cluster.faults.client import FaultProxy, fault_proxy
from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.forked import Forked, Nursery
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.ports import Ports
from tests.cluster.processes import Served
from tests.cluster.rig import API, Rig, grant
from tests.helm import chart

Object = dict[str, Any]
HOME = "home"
"""The namespace of the gateway that all share."""
FULL = os.environ.get("ASIARCH_FULL") == "1"
"""Whether the long versions are wanted: all seeds, outages of minutes, the framework's own time limits."""
AT_FULL_LENGTH = pytest.mark.skipif(not FULL, reason="make test-faults runs it: ASIARCH_FULL=1")
_POLL_SECONDS = 0.2
_LONGEST = 4
"""How often its time of silence a search may take in all."""
_WITH_LEASE = ("crds.enabled=false", "lease.enabled=true")


@dataclass
class Scene(Rig):
    """The cast of one namespace, of which some also play elsewhere."""

    audit_start: int = 0
    rules: list[Object] = field(default_factory=list)
    """What the operator may do."""

    @property
    def users(self) -> tuple[str, str]:
        """Operator and gateway as the audit log names them."""
        accounts = (self.namespace, "asiarch-operator"), (HOME, "asiarch-gateway")
        operator, gateway = (f"system:serviceaccount:{place}:{name}" for place, name in accounts)
        return operator, gateway

    def post(self, search: Object) -> None:
        """Create a search as a user would, in one call."""
        self.plane.request("POST", f"{API}/namespaces/{self.namespace}/architecturesearches", search)

    def await_phase(self, name: str, phase: str = "Complete", seconds: float = 120.0) -> None:
        """Wait until a search has come to a phase; what takes long is no fault, silence for so long is."""
        writes, heard, begun = -1, 0.0, time.monotonic()
        while self.search(name).get("status", {}).get("phase") != phase:
            now, written = time.monotonic(), self.proxy.state()["writes"]
            if written != writes:
                writes, heard = written, now
            if now - heard > seconds or now - begun > _LONGEST * seconds:
                last = self.operator.last_words()
                raise TimeoutError(
                    f"{name} is not {phase} after {now - begun:.0f} s, {writes} writes. {last}"
                )
            self.keep_running()
            time.sleep(_POLL_SECONDS)

    def keep_running(self) -> None:
        """Start an operator that has ended again, as a Deployment would; without its kubelet nothing ever ends."""
        self.kubelet.check()
        if not self.operator.running:
            self.start_operator()

    def until(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until something is so; an operator that has ended is started again."""
        until = time.monotonic() + seconds
        while not true():
            if time.monotonic() > until:
                raise TimeoutError(
                    f"Still waiting for {what} after {seconds:.0f} s. {self.operator.last_words()}"
                )
            self.keep_running()
            time.sleep(_POLL_SECONDS)

    def await_cleared(self, seconds: float = 30.0) -> None:
        """Wait until no training Job is left: the operator deletes them when their search has ended."""
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs?labelSelector=asiarch.dev/part%3Dtraining"
        self.until(lambda: not self.plane.get(path)["items"], "the training Jobs to go", seconds)

    def await_quiet(self, quiet: float = 1.5, seconds: float = 60.0) -> None:
        """Wait until the operator has written nothing for so long."""
        last, since = self.proxy.state()["writes"], time.time()
        until = time.monotonic() + seconds
        while time.time() - since < quiet:
            if time.monotonic() > until:
                raise TimeoutError(
                    f"I6 the operator still writes after {seconds:.0f} s. {self.operator.last_words()}"
                )
            time.sleep(_POLL_SECONDS)
            now = self.proxy.state()["writes"]
            if now != last:
                last, since = now, time.time()
            if not self.operator.running:
                self.start_operator()
                since = time.time()

    def evidence(self, name: str) -> Evidence:
        """Collect what a search has left."""
        self.history.catch_up()
        files = checker.Files(
            self.kubelet.ledger, self.plane.audit_log, self.folder / "history.jsonl", self.audit_start
        )
        return checker.gather(Reader(self.plane.url, self.plane.admin_token), self.namespace, name, files)

    def verdict(self, name: str, reference: Reference | None = None, lost: int | None = None) -> list[str]:
        """Everything that a search broke; `lost` attempts are declared at most, where it is given."""
        evidence = self.evidence(name)
        found = checker.check_all(evidence, self.users, reference)
        again = sorted(_repeated(evidence))
        if lost is not None and len(again) > lost:
            found.append(f"I9 {len(again)} attempts were repeated, {lost} may be: {again}")
        return found + beyond_the_role(self.rules, evidence.audit, self.users[0])


def _repeated(evidence: Evidence) -> set[str]:
    """Orders beyond the first attempt of their step."""
    named = (deep(row["object"], "status.order", {}) for row in evidence.of_kind("Candidate"))
    return {ref["name"] for ref in named if ref.get("attempt", 1) > 1}


@dataclass
class Stage:
    """What all scenes of one control plane share."""

    plane: ControlPlane
    folder: Path
    kubelet: Playing
    gateway: Served
    gateway_url: str
    nursery: Nursery
    ports: Ports
    _count: Iterator[int] = field(default_factory=count)

    @contextmanager
    def proxy(self, folder: Path) -> Iterator[FaultProxy]:
        """A fault proxy, for one scene after another."""
        folder.mkdir(parents=True, exist_ok=True)
        with fault_proxy(self.plane.url, (self.ports.take(), self.ports.take()), folder) as made:
            yield made

    @contextmanager
    def scene(
        self, words: Sequence[str] = (), *, planted: str = "", proxy: FaultProxy | None = None
    ) -> Iterator[Scene]:
        """A namespace of its own; its operator is named and not yet started. `words` are its further arguments."""
        namespace = self.plane.namespace(f"scene-{next(self._count)}", SERVICE_ACCOUNTS, RESTRICTED)
        folder = self.folder / namespace
        folder.mkdir()
        with ExitStack() as stack:
            stack.callback(self.plane.request, "DELETE", f"/api/v1/namespaces/{namespace}")
            proxy = proxy or stack.enter_context(self.proxy(folder))
            operator = self.operator(namespace, folder, proxy, words, planted)
            history = History(self.plane.url, self.plane.admin_token, namespace, folder / "history.jsonl")
            stack.enter_context(history)
            stack.callback(operator.kill)
            made = Scene(
                self.plane, namespace, folder, self.kubelet, proxy, self.gateway, operator, history,
                self.plane.audit_log.stat().st_size, self._grant(namespace),
            )  # fmt: skip
            yield made

    def operator(
        self,
        namespace: str,
        folder: Path,
        proxy: FaultProxy,
        words: Sequence[str] = (),
        planted: str = "",
        name: str = "operator",
        env: Mapping[str, str] | None = None,
    ) -> Served:
        """An operator for a namespace, behind a proxy; not started. With an environment of its own it isn't forked."""
        token = self.plane.token(namespace, "asiarch-operator")
        kubeconfig = self.plane.kubeconfig(folder / f"{name}.kubeconfig", token, proxy.server)
        port = self.ports.take()
        command = [
            "operate", "--kubeconfig", str(kubeconfig), "--port", str(port), "--namespace", namespace,
            "--gateway-url", self.gateway_url, "--agent-image", "agent", "--trainer-image", "trainer", *words,
        ]  # fmt: skip
        log = folder / f"{name}.log"
        return (
            Forked(self.nursery, command, port, log, planted)
            if env is None
            else Served(command, port, log, env)
        )

    def _grant(self, namespace: str) -> list[Object]:
        """Give operator and gateway the chart's rights in a namespace; returns the operator's rules."""
        group = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        rules = []
        for found in chart.render(*_WITH_LEASE, namespace=HOME):
            if found["kind"] not in {"Role", "RoleBinding"}:
                continue
            wanted = deepcopy(found)
            wanted["metadata"]["namespace"] = namespace
            for subject in wanted.get("subjects", ()):
                if subject["name"] == "asiarch-operator":
                    subject["namespace"] = namespace
            self.plane.request("POST", f"{group}/{found['kind'].lower()}s", wanted)
            if found["kind"] == "Role" and "gateway" not in found["metadata"]["name"]:
                rules += found["rules"]
        return rules


@contextmanager
def stage(plane: ControlPlane, folder: Path, **playing: Any) -> Iterator[Stage]:
    """Set up what all share; agents and training are played instantly unless `playing` says otherwise."""
    plane.namespace(HOME, SERVICE_ACCOUNTS, RESTRICTED)
    grant(plane, HOME)
    with ExitStack() as stack:
        stack.callback(plane.request, "DELETE", f"/api/v1/namespaces/{HOME}")
        ports = Ports()
        stack.callback(ports.close)
        nursery = stack.enter_context(Nursery())
        known = {"training": "instant", "agents": "instant", "resources": {"nvidia.com/gpu": 64}}
        kubelet = Playing(plane, folder, "stage-node", **{**known, **playing})
        stack.callback(kubelet.remove)
        kubelet.start()
        serving = ports.take()
        kubeconfig = plane.kubeconfig(folder / "gateway.kubeconfig", plane.token(HOME, "asiarch-gateway"))
        gateway = processes.gateway(kubeconfig, (serving, ports.take()), folder / "gateway.log")
        stack.enter_context(gateway)
        kubelet.await_ready(kubelet.ready, 60)
        gateway.await_ready(gateway.ready, 60)
        yield Stage(plane, folder, kubelet, gateway, f"http://127.0.0.1:{serving}", nursery, ports)


@pytest.fixture(scope="session")
def shared_stage(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for all tests of this process that don't disturb the control plane."""
    with stage(plane, tmp_path_factory.mktemp("stage")) as made:
        yield made
