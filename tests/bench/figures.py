"""What every benchmark shares: the machine in words, and a report that is printed and written."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"


def machine() -> str:
    """The machine in words."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    kernel, python = f"{platform.system()} {platform.release()}", platform.python_version()
    return f"{model}, {os.cpu_count()} cores, {kernel}, Python {python}"


Table = Sequence[tuple[str, ...]]
"""Rows of cells; the first one is the head."""


def publish(name: str, title: str, table: Table, notes: str = "") -> None:
    """Print a table and write it to docs/benchmarks/."""
    lines = [f"# {title}", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.", ""]
    module = ".".join(Path(sys.argv[0]).resolve().relative_to(DOCS.parents[1]).with_suffix("").parts)
    lines += [f"Command: `{' '.join(['python -m', module, *sys.argv[1:]])}`", ""]
    text = "\n".join([*lines, written(table), *(["", notes] if notes else [])]) + "\n"
    print(text)
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / f"{name}.md").write_text(text)


def written(table: Table) -> str:
    """A table in Markdown."""
    head, *rows = table
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, tuple("---" for _ in head), *rows))
