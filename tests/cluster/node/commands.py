"""Runs other programs: each call is bounded in time, and its error carries the program's own words."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_LAST_WORDS = 2_000


class CommandError(RuntimeError):
    """A program that failed or took too long."""


def run(*command: str | Path, seconds: float = 60, given: str | None = None) -> str:
    """Run a program to its end and return what it printed."""
    try:
        done = subprocess.run(
            command,
            input=given,
            timeout=seconds,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{_shown(command)} was still running after {seconds:.0f} s.") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-_LAST_WORDS:]
        raise CommandError(f"{_shown(command)} ended with exit code {done.returncode}: {said}")
    return done.stdout


def succeeds(*command: str | Path, seconds: float = 60) -> bool:
    """Whether a program ends with exit code 0."""
    try:
        run(*command, seconds=seconds)
    except CommandError:
        return False
    return True


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Look again and again until something holds; `what` names it in the error."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise CommandError(f"Waited {seconds:.0f} s in vain until {what}.")
        time.sleep(0.1)


def _shown(command: tuple[str | Path, ...]) -> str:
    return " ".join(str(part) for part in command)[:300]
