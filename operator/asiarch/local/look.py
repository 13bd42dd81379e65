"""Reads a search's directory for people: an observation without a world, the files, the machine in words."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from asiarch.core import observation
from asiarch.core.observation import Observation
from asiarch.local.store import Store

VERSIONS = ("asiarch", "torch", "numpy")


def observe(store: Store) -> Observation:
    """See a search as its files tell it, whether or not it runs; raises FileNotFoundError."""
    search = store.search()
    if search is None:
        message = f"{store.directory} holds no search.yaml"
        raise FileNotFoundError(message)
    return observation.observe(search, {c.name: c for c in store.candidates()}, {})


def texts(store: Store, seen: Observation) -> Mapping[str, str]:
    """The candidates' files by digest; one that somebody deleted is left out."""
    digests = {c.status.code.digest for c in seen.candidates.values() if c.status.code is not None}
    return {digest: store.code(digest) for digest in sorted(digests) if store.code_path(digest).exists()}


def machine() -> Mapping[str, str]:
    """What the search ran on and with, in words."""
    found = {"machine": _processor(), "system": platform.platform(), "Python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
