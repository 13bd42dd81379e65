"""One namespace with all of ours in it: a proxy, the gateway and the operator, under exactly the chart's rights."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import checker, processes
from tests.cluster.checks.evidence import Evidence
from tests.cluster.checks.history import History
from tests.cluster.checks.leftovers import Reader
from tests.cluster.faults.client import FaultProxy, fault_proxy
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing
from tests.cluster.ports import Ports
from tests.cluster.processes import Served
from tests.helm import chart

API = "/apis/asiarch.dev/v1alpha1"
_IMAGES = ("--agent-image", "agent", "--trainer-image", "trainer")
_RIGHTS = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


@dataclass
class Rig:
    """The cast of one namespace; `rig` makes it."""

    plane: ControlPlane
    namespace: str
    folder: Path
    kubelet: Playing
    proxy: FaultProxy
    gateway: Served
    operator: Served
    history: History

    @property
    def users(self) -> tuple[str, str]:
        """Operator and gateway as the audit log names them."""
        account = f"system:serviceaccount:{self.namespace}"
        return f"{account}:asiarch-operator", f"{account}:asiarch-gateway"

    def apply(self, *manifests: dict[str, Any] | str) -> None:
        """Apply manifests as a user would."""
        for one in manifests:
            text = one if isinstance(one, str) else yaml.safe_dump(one)
            self.plane.kubectl("-n", self.namespace, "apply", "-f", "-", stdin=text)

    def search(self, name: str) -> dict[str, Any]:
        """A search as it stands."""
        found: dict[str, Any] = self.plane.get(
            f"{API}/namespaces/{self.namespace}/architecturesearches/{name}"
        )
        return found

    def candidates(self) -> list[dict[str, Any]]:
        """All candidates as they stand."""
        found: list[dict[str, Any]] = self.plane.get(f"{API}/namespaces/{self.namespace}/candidates")["items"]
        return found

    def await_phase(self, name: str, phase: str = "Complete", seconds: float = 120.0) -> None:
        """Wait until a search has come to a phase."""
        self.plane.wait_for(
            lambda: self.search(name).get("status", {}).get("phase") == phase, f"{name} {phase}", seconds
        )

    def start_operator(self) -> None:
        """Start the operator anew, and name it to the proxy as the one to kill."""
        self.operator.start()
        self.proxy.target(self.operator.pid)

    def evidence(self, name: str) -> Evidence:
        """Collect what a search has left."""
        self.history.catch_up()
        files = checker.Files(self.kubelet.ledger, self.plane.audit_log, self.folder / "history.jsonl")
        return checker.gather(Reader(self.plane.url, self.plane.admin_token), self.namespace, name, files)


@contextmanager
def rig(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    kubelet: Playing,
    words: Sequence[str] = (),
    *,
    wide: bool = False,
    gateway_by: str | None = None,
) -> Iterator[Rig]:
    """Set everything up and start it: an operator of one namespace or, `wide`, of all; a gateway that asks there."""
    values = {"lease.enabled": "--lease" in words, "watch.clusterWide": wide}
    grant(plane, namespace, *(f"{name}=true" for name, chosen in values.items() if chosen))
    with ExitStack() as stack:
        ports = Ports()
        stack.callback(ports.close)
        proxy = stack.enter_context(fault_proxy(plane.url, (ports.take(), ports.take()), folder))
        serving = ports.take()
        gateway = processes.gateway(
            _kubeconfig(plane, namespace, folder, "asiarch-gateway", gateway_by),
            (serving, ports.take()),
            folder / "gateway.log",
        )
        kubeconfig = _kubeconfig(plane, namespace, folder, "asiarch-operator", proxy.server)
        where = ("--gateway-url", f"http://127.0.0.1:{serving}")
        scope = () if wide else ("--namespace", namespace)
        operator = processes.operator(
            kubeconfig, ports.take(), folder / "operator.log", *where, *scope, *_IMAGES, *words
        )
        told = History(plane.url, plane.admin_token, namespace, folder / "history.jsonl")
        history = stack.enter_context(told)
        stack.enter_context(gateway)
        made = Rig(plane, namespace, folder, kubelet, proxy, gateway, operator, history)
        stack.callback(operator.kill)
        made.start_operator()
        gateway.await_ready(gateway.ready, 30)
        operator.await_ready(operator.ready, 30)
        yield made


def grant(plane: ControlPlane, namespace: str, *values: str) -> None:
    """Give our accounts the rights of the chart with these values, and no other."""
    rendered = chart.render("crds.enabled=false", *values, namespace=namespace)
    rights = [item for item in rendered if item["kind"] in _RIGHTS]
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(rights))


def _kubeconfig(
    plane: ControlPlane, namespace: str, folder: Path, account: str, server: str | None = None
) -> Path:
    path = folder / f"{account}.kubeconfig"
    return plane.kubeconfig(path, plane.token(namespace, account), server)
