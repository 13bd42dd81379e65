"""docs/lifecycle.md shows the lifecycle as the core has it."""

from pathlib import Path

from asiarch.core import lifecycle

DOCUMENT = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert f"```mermaid\n{lifecycle.diagram()}\n```" in DOCUMENT.read_text(encoding="utf-8")
