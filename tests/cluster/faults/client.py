"""The test's side of the proxy: starts it, tells it what to do wrong, asks what happened."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.faults.settings import Faults
from tests.cluster.faults.watch import Held

ROOT = Path(__file__).resolve().parents[3]
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class FaultProxy:
    """A running proxy."""

    server: str
    """What the operator's kubeconfig names as its server."""
    journal: Path
    _control: str

    def faults(self, faults: Faults) -> None:
        """Replace everything that goes wrong."""
        self._call("PUT", "/faults", faults.model_dump())

    def target(self, pid: int) -> None:
        """Name the process that crash points kill, and that no answer has asked yet to wait."""
        self._call("POST", "/target", {"pid": pid})

    def hold(self, resource: str, how: Held) -> None:
        """Hold a kind's events back, release or discard them."""
        self._call("POST", "/hold", {"resource": resource, "how": how})

    def outage(self, seconds: float) -> None:
        """Refuse every connection for so long."""
        self._call("POST", "/outage", {"seconds": seconds})

    def record(self) -> None:
        """Remember collections from their next list on, so that stale lists can be answered."""
        self._call("POST", "/record", {})

    def restart(self) -> None:
        """Count from the beginning again, and remember nothing; the faults stay."""
        self._call("POST", "/restart", {})

    def state(self) -> dict[str, Any]:
        """Calls, writes, faults, kills, early calls, open watches, recorded changes."""
        return self._call("GET", "/state", None)

    def rows(self, event: str) -> list[dict[str, Any]]:
        """The journal's lines of one kind: write, fault, kill, early."""
        lines = self.journal.read_text(encoding="utf-8").splitlines()
        return [row for row in map(json.loads, lines) if row["event"] == event]

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # always http to ourselves
            self._control + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310  # the same
            found: dict[str, Any] = json.loads(reply.read())
            return found


@contextmanager
def fault_proxy(upstream: str, ports: tuple[int, int], folder: Path, token: str = "") -> Iterator[FaultProxy]:
    """Run a proxy between port `ports[0]` and `upstream`, controlled at `ports[1]`; its journal lies in `folder`."""
    listen, control = (f"127.0.0.1:{port}" for port in ports)
    journal = folder / "journal.jsonl"
    command = [sys.executable, "-m", "tests.cluster.faults.proxy", "--listen", listen, "--upstream", upstream]
    command += ["--control", control, "--journal", str(journal), "--token", token]
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        proxy = FaultProxy(f"http://{listen}", journal, f"http://{control}")
        _wait(proxy, process)
        yield proxy
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(proxy: FaultProxy, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the proxy answers; urlopen's errors are all OSErrors."""
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            proxy.state()
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
