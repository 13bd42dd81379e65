"""Reads a search's directory for people: an observation without a world, and the report beside it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from collections.abc import Mapping

from asiarch.core.observation import Observation, observe as observed
from asiarch.local.store import Store, write_whole
from asiarch.pages.report import render

VERSIONS = ("asiarch", "torch", "numpy")


def observe(store: Store) -> Observation:
    """See a search as its files tell it, whether or not it runs; raises FileNotFoundError."""
    search = store.search()
    if search is None:
        message = f"{store.directory} holds no search.yaml"
        raise FileNotFoundError(message)
    return observed(search, {c.name: c for c in store.candidates()}, {})


def texts(store: Store, seen: Observation) -> Mapping[str, str]:
    """The candidates' files by digest."""
    digests = {c.status.code.digest for c in seen.candidates.values() if c.status.code is not None}
    return {digest: store.code(digest) for digest in sorted(digests)}


def write_report(store: Store, seen: Observation) -> Path:
    """Write report.html and report.md with its pictures; returns the page's path."""
    made = render(seen, texts(store, seen), machine())
    for name, picture in made.pictures.items():
        path = store.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, picture)
    write_whole(store.directory / "report.md", made.markdown)
    page = store.directory / "report.html"
    write_whole(page, made.html)
    return page


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
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
