"""The cast of a cluster benchmark: a control plane, a playing kubelet, the operator under the chart's rights."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import processes
from tests.cluster.fixtures import RESTRICTED, SERVICE_ACCOUNTS
from tests.cluster.plane import ControlPlane
from tests.cluster.ports import Ports
from tests.cluster.processes import Served
from tests.cluster.rig import API, grant

_POLL_SECONDS = 0.02
_TICK = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20


@dataclass
class Arena:
    """One namespace and its operator, which is not started yet."""

    plane: ControlPlane
    namespace: str
    operator: Served

    @property
    def user(self) -> str:
        """The operator as the audit log names it."""
        return f"system:serviceaccount:{self.namespace}:asiarch-operator"

    @property
    def space(self) -> str:
        """The path of our kinds."""
        return f"{API}/namespaces/{self.namespace}"

    def searches(self) -> list[dict[str, Any]]:
        """All searches as they stand."""
        found: list[dict[str, Any]] = self.plane.get(f"{self.space}/architecturesearches")["items"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0 when nobody answers."""
        return sum(
            value for sample, given, value in self._samples() if sample == name and labels.items() <= given
        )

    def histogram(self, name: str) -> list[tuple[float, float]]:
        """A histogram's upper bounds with how many observations lie below each."""
        sums: dict[float, float] = {}
        for sample, given, value in self._samples():
            if sample == f"{name}_bucket":
                bound = float(dict(given)["le"])
                sums[bound] = sums.get(bound, 0.0) + value
        return sorted(sums.items())

    def start(self) -> tuple[float, float]:
        """Start the operator; seconds until its stores are in sync, and until every search has had a turn."""
        wanted = len(self.searches())
        begun = time.monotonic()
        self.operator.start()
        while not self.operator.ready():
            assert self.operator.running, self.operator.last_words()
            time.sleep(_POLL_SECONDS)
        synced = time.monotonic() - begun
        while self.metric("asiarch_reconcile_total") < wanted:
            time.sleep(_POLL_SECONDS)
        return synced, time.monotonic() - begun

    def restart(self) -> tuple[float, float]:
        """Kill the operator as a crash would, and start it."""
        self.operator.kill()
        return self.start()

    def _samples(self) -> Iterator[tuple[str, Any, float]]:
        for family in text_string_to_metric_families(self.operator.fetch("/metrics") or ""):
            for sample in family.samples:
                yield sample.name, sample.labels.items(), sample.value


@contextmanager
def arena(plane: ControlPlane, namespace: str, folder: Path, *words: str) -> Iterator[Arena]:
    """A namespace with everything that an operator needs; `words` are its further arguments."""
    plane.namespace(namespace, SERVICE_ACCOUNTS, RESTRICTED)
    grant(plane, namespace)
    with ExitStack() as stack:
        ports = Ports()
        stack.callback(ports.close)
        kubeconfig = plane.kubeconfig(
            folder / f"{namespace}.kubeconfig", plane.token(namespace, "asiarch-operator")
        )
        operator = processes.operator(
            kubeconfig,
            ports.take(),
            folder / f"{namespace}.log",
            *("--namespace", namespace, "--gateway-url", "http://127.0.0.1:1"),
            *("--agent-image", "agent", "--trainer-image", "trainer", *words),
        )
        stack.callback(operator.kill)
        yield Arena(plane, namespace, operator)


@dataclass
class Usage:
    """Watches a process's memory and processor time, in a thread, while its block runs."""

    pid: int
    resident: list[float] = field(default_factory=list)
    """MiB, once a second."""
    seconds: float = 0.0
    """Processor time that was used inside the block."""
    peak: float = 0.0
    """The most MiB that the process ever had."""

    def __enter__(self) -> Self:
        self._before = cpu_seconds(self.pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.seconds = cpu_seconds(self.pid) - self._before
            self.peak = memory(self.pid, "VmHWM")

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self.resident.append(memory(self.pid))


def memory(pid: int, which: str = "VmRSS") -> float:
    """MiB of a process, by the kernel's name for the figure."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) * 1024 / _MIB


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
