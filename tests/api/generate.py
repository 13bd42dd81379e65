"""Writes what is generated from the API models: `python -m tests.api.generate`."""

from pathlib import Path

from asiarch.api import crd, reference

ROOT = Path(__file__).resolve().parents[2]


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    definitions = {ROOT / "crds" / name: text for name, text in crd.render().items()}
    return {**definitions, ROOT / "docs" / "api.md": reference.render()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
