"""Processes that a test starts, kills, pauses and starts again: the control plane's, and ours.

None outlives the test run: each is killed when the process that started it dies.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_POLL_SECONDS = 0.05
_LAST_LINES = 25
_PATIENCE_SECONDS = 5.0
_EXPENDABLE = "500"
"""Out of memory, the kernel takes these before the tests themselves."""


class ProcessError(RuntimeError):
    """A process that ended, or never became ready; the message ends with its last words."""


class Process:
    """One program: started, killed, paused and resumed as often as a test likes; its output is appended to a log."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self._command = [str(word) for word in command]
        self._env = None if env is None else {**os.environ, **env}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's number; raises ProcessError when it isn't running."""
        if self._popen is None or self._popen.poll() is not None:
            raise ProcessError(f"{self.name} is not running. {self.last_words()}")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def died(self) -> bool:
        """Whether it has ended though nobody here killed it."""
        return self._popen is not None and self._popen.poll() not in {
            None,
            0,
            -signal.SIGKILL,
            -signal.SIGTERM,
        }

    def start(self) -> Self:
        """Start it; what it then needs to become ready is the caller's to await."""
        if self.running:
            raise ProcessError(f"{self.name} is running already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*_kept_low(), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
            )
        Path(f"/proc/{self._popen.pid}/oom_score_adj").write_text(_EXPENDABLE)
        self.starts += 1
        return self

    def kill(self) -> None:
        """SIGKILL, and wait for its end; nothing happens to one that has ended."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def terminate(self, seconds: float = _PATIENCE_SECONDS) -> int:
        """SIGTERM; the exit code, -9 for one that would not leave in time."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            return self.wait(seconds)
        except ProcessError:
            self.kill()
            return -signal.SIGKILL

    def wait(self, seconds: float) -> int:
        """Wait for its end by itself; the exit code."""
        if self._popen is None:
            raise ProcessError(f"{self.name} was never started")
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} has not ended in {seconds:.0f} s") from None

    def pause(self) -> None:
        """SIGSTOP: it answers nobody, and its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def await_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Ask until the answer is yes; raises ProcessError when it ends before, or takes longer."""
        until = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ProcessError(f"{self.name} has ended before it was ready. {self.last_words()}")
            if time.monotonic() > until:
                raise ProcessError(f"{self.name} is not ready after {seconds:.0f} s. {self.last_words()}")
            time.sleep(_POLL_SECONDS)

    def last_words(self) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "It has no log."
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *lines[-_LAST_LINES:]])

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Served(Process):
    """One of our own programs, which tells by HTTP whether it is ready."""

    def __init__(
        self, words: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """`words` is the command line after `asiarch`; readiness is asked for on `port`."""
        super().__init__(words[0], [Path(sys.executable).with_name("asiarch"), *words], log, env)
        self.port = port

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether /readyz says so."""
        return self.fetch("/readyz") is not None

    def fetch(self, path: str, port: int | None = None) -> str | None:
        """What it answers to GET, on its first port unless told; none when it refuses, or isn't there."""
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own URL
                return str(answer.read().decode())
        except OSError:
            return None

    def start_ready(self, seconds: float = 30.0) -> Self:
        """Start it and wait until it is ready."""
        self.start().await_ready(self.ready, seconds)
        return self


def operator(kubeconfig: Path, port: int, log: Path, *words: str) -> Served:
    """`asiarch operate`, with probes and metrics on `port`; `words` are its further arguments."""
    command = ("operate", "--kubeconfig", str(kubeconfig), "--port", str(port), *words)
    return Served(command, port, log)


def gateway(kubeconfig: Path, ports: tuple[int, int], log: Path, *words: str) -> Served:
    """`asiarch gateway`: agents and probes are served on the first port, metrics on the second."""
    serving, metrics = map(str, ports)
    command = (
        "gateway",
        "--kubeconfig",
        str(kubeconfig),
        "--port",
        serving,
        "--metrics-port",
        metrics,
        *words,
    )
    return Served(command, ports[0], log)


def _kept_low() -> list[str]:
    """What goes before a command, so that it dies with us and leaves the processor to the tests."""
    setpriv, nice = shutil.which("setpriv"), shutil.which("nice")
    return [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *([nice, "-n", "5"] if nice else [])]
