"""Our programs forked from a process that has imported them: a start takes milliseconds, and is as good as any other.

The sweep restarts hundreds of operators; what each would import first costs more than all the rest that it does.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from tests.cluster.plane import ROOT
from tests.cluster.processes import Served

PRELOADED = ("asiarch.cli", "asiarch.kube.arguments", "asiarch.kube.operate", "tests.cluster.planted.bugs")
_START_SECONDS = 60.0


class Child:
    """One forked process, as far as `Process` asks for a `Popen`."""

    def __init__(self) -> None:
        """Not known yet: the warm process tells its number, and later its end."""
        self.pid = 0
        self.code: int | None = None
        self.started = threading.Event()
        self.ended = threading.Event()

    def poll(self) -> int | None:
        """The exit code once it has ended; minus a signal's number."""
        return self.code

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("forked", timeout or 0.0)
        assert self.code is not None
        return self.code


class Nursery:
    """The warm process; several threads may ask it for children at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._children: dict[str, Child] = {}
        self._keys = count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        command = ["nice", "-n", "5", sys.executable, "-m", "tests.cluster.kubelet.warm", *PRELOADED]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.communicate()

    def fork(self, module: str, words: Sequence[str], log: Path) -> Child:
        """Start a program; returns when it has its number."""
        assert self._process is not None
        assert self._process.stdin is not None
        child = Child()
        request: dict[str, Any] = {"module": module, "words": list(words), "env": dict(os.environ)}
        request |= {"cwd": str(ROOT), "log": str(log)}
        with self._lock:
            key = str(next(self._keys))
            self._children[key] = child
            self._process.stdin.write(json.dumps({"key": key, **request}).encode() + b"\n")
            self._process.stdin.flush()
        if not child.started.wait(_START_SECONDS):
            raise TimeoutError(f"The warm process did not start {module} in {_START_SECONDS:.0f} s.")
        return child

    def _follow(self) -> None:
        """Take note of what the warm process tells; codes above 128 are signals."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            child = self._children[event["key"]]
            if "pid" in event:
                child.pid = event["pid"]
                child.started.set()
            else:
                code = event["code"]
                child.code = 128 - code if code > 128 else code
                child.ended.set()


class Forked(Served):
    """One of our programs whose every start is a fork; `planted` names a bug that is to be in it."""

    def __init__(
        self, nursery: Nursery, words: Sequence[str], port: int, log: Path, planted: str = ""
    ) -> None:
        """`words` is the command line after `asiarch`."""
        super().__init__(words, port, log)
        self._nursery = nursery
        self._words = list(words)
        self._planted = planted

    def start(self) -> Self:
        """Fork one."""
        module, words = (
            ("tests.cluster.planted.start", [self._planted]) if self._planted else ("asiarch.cli", [])
        )
        child = self._nursery.fork(module, [*words, *self._words], self.log)
        self._popen = cast("subprocess.Popen[bytes]", child)
        self.starts += 1
        return self
