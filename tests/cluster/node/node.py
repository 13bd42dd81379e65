"""A real node of a cluster: containerd, kubelet and kube-proxy on this machine, with our images."""

import logging
import time
from contextlib import ExitStack
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

from tests.cluster import binaries
from tests.cluster.node import machine
from tests.cluster.node.building import SANDBOX, Image
from tests.cluster.node.commands import succeeds
from tests.cluster.node.policies import TABLE, Enforcer
from tests.cluster.node.runtime import SETTINGS, Runtime
from tests.cluster.plane import ControlPlane, Flags
from tests.cluster.ports import Ports
from tests.cluster.processes import Process

NAME = "asiarch-node"
PROGRAMS = (*binaries.CONTROL_PLANE, "kubelet", "kube-proxy")
_LOG = logging.getLogger(__name__)
_PLACEHOLDERS = {"pods": machine.PODS, "cgroup": machine.CGROUP}


def a_plane() -> ControlPlane:
    """A control plane that pods can reach, and that is patient with a kubelet on a busy machine."""
    machine.add_address()
    return ControlPlane(Flags(controllers=("--node-monitor-grace-period=60s",)), address=machine.HOST)


class Node:
    """A node that is up, with these images, inside its block; after it the machine is as it was."""

    def __init__(self, plane: ControlPlane, *images: Image) -> None:
        self.seconds: dict[str, float] = {}
        """How long each step of getting up took."""
        self._plane = plane
        self._images = (SANDBOX, *images)
        self._ports = Ports()
        self._stack = ExitStack()
        self._folder = Path()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._ports.close)
            self._folder = stack.enter_context(machine.borrowed())
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def log(self, namespace: str, pod: str) -> str:
        """What a pod's containers have said; it stays until the pod is deleted."""
        files = sorted((self._folder / "logs").glob(f"{namespace}_{pod}_*/*/*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def _start(self, stack: ExitStack) -> None:
        begin = time.monotonic()

        def passed(step: str) -> None:
            nonlocal begin
            now = time.monotonic()
            self.seconds[step], begin = now - begin, now
            _LOG.info("%s: %.1f s", step, self.seconds[step])

        runtime = Runtime(self._folder)
        stack.callback(runtime.stop)
        runtime.start()
        passed("containerd")
        for image in self._images:
            built = runtime.provide(image)
            passed(f"{image.repository.rpartition('/')[2]} image {'built' if built else 'found'}")
        self._write("network.json", self._folder / "network" / "asiarch.conflist")
        stack.callback(self._kubelet().kill)
        self._plane.wait_for(self._ready, "the node", 90)
        passed("kubelet")
        stack.enter_context(Enforcer(self._plane, machine.PODS, (machine.HOST, self._api_port)))
        stack.callback(self._kube_proxy().kill)
        self._plane.wait_for(self._routed, "kube-proxy and network policies", 60)
        passed("network")

    @property
    def _api_port(self) -> int:
        return int(self._plane.url.rpartition(":")[2])

    def _kubelet(self) -> Process:
        config = self._folder / "kubelet.yaml"
        self._write("kubelet.yaml", config, port=self._ports.take())
        command: list[str | Path] = [
            binaries.find("kubelet"), "--config", config, "--kubeconfig", self._plane.kubelet,
            "--hostname-override", NAME, "--node-ip", machine.HOST,
            "--root-dir", self._folder / "kubelet", "--cert-dir", self._folder / "certificates",
        ]  # fmt: skip
        return Process("kubelet", command, self._folder / "kubelet.log").start()

    def _kube_proxy(self) -> Process:
        health, metrics = (f"127.0.0.1:{self._ports.take()}" for _ in range(2))
        command: list[str | Path] = [
            binaries.find("kube-proxy"), "--kubeconfig", self._plane.kubelet, "--hostname-override", NAME,
            "--proxy-mode", "nftables", "--cluster-cidr", machine.PODS,
            "--healthz-bind-address", health, "--metrics-bind-address", metrics,
            # The machine's own settings of connection tracking stay as they are.
            "--conntrack-max-per-core", "0", "--conntrack-tcp-timeout-established", "0s",
            "--conntrack-tcp-timeout-close-wait", "0s",
        ]  # fmt: skip
        return Process("kube-proxy", command, self._folder / "kube-proxy.log").start()

    def _ready(self) -> bool:
        found = self._plane.get("/api/v1/nodes")["items"]
        conditions: list[dict[str, Any]] = [c for n in found for c in n["status"].get("conditions", [])]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def _routed(self) -> bool:
        return all(succeeds("nft", "list", "table", "ip", table) for table in ("kube-proxy", TABLE))

    def _write(self, name: str, path: Path, **further: object) -> None:
        """Fill in one of the settings' templates."""
        text = Template((SETTINGS / name).read_text())
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.substitute(folder=self._folder, **_PLACEHOLDERS, **further))
