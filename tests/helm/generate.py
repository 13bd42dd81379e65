"""Writes what the chart takes from elsewhere, definitions and table of values: `python -m tests.helm.generate`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "asi-arch"
_BEGIN, _END = "<!-- values: made by `make crds` from values.yaml -->\n", "<!-- /values -->\n"
_NOTE = "# Generated from crds/ by `python -m tests.helm.generate`; do not edit.\n"


def files() -> dict[Path, str]:
    """Every generated file of the chart and its text."""
    definitions = {
        CHART / "templates" / "crds" / path.name: _template(path.read_text())
        for path in sorted((ROOT / "crds").glob("*.yaml"))
    }
    readme = CHART / "README.md"
    head, _, rest = readme.read_text().partition(_BEGIN)
    return {**definitions, readme: f"{head}{_BEGIN}{_table()}{rest[rest.index(_END) :]}"}


def values() -> dict[str, Any]:
    """The chart's default values by their dotted names."""
    return dict(_flat(yaml.safe_load((CHART / "values.yaml").read_text()), ""))


def described() -> dict[str, str]:
    """The described values of values.yaml, by their dotted names, in its order."""
    found, path, text = {}, list[str](), ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        key = re.match(r"( *)([A-Za-z]\w*):", line)
        if key is not None:
            path = [*path[: len(key[1]) // 2], key[2]]
        if key is not None and text:
            found[".".join(path)] = text
        said = re.match(r" *# -- (.+)", line)
        text = said[1] if said is not None else ""
    return found


def _template(definition: str) -> str:
    """A definition as a template: switched by a value, with the release's labels and the annotation that keeps it."""
    body = definition[definition.index("apiVersion:") :].replace("{{", '{{ "{{" }}')
    more = '{{- include "asiarch.crdMetadata" . | nindent 2 }}'
    marked, count = re.subn(r"^(metadata:\n  name: \S+\n)", rf"\1  {more}\n", body, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"found {count} places for a definition's labels, wanted 1")
    return f"{{{{- if .Values.crds.enabled }}}}\n{_NOTE}{marked}{{{{- end }}}}\n"


def _table() -> str:
    defaults = values()
    rows = [f"| `{name}` | `{_shown(defaults, name)}` | {text} |\n" for name, text in described().items()]
    return "".join(["| value | default | what it is |\n|---|---|---|\n", *rows])


def _shown(defaults: dict[str, Any], name: str) -> str:
    """A value as one writes it in YAML, on one line."""
    inner = {
        key.removeprefix(f"{name}."): value for key, value in defaults.items() if key.startswith(f"{name}.")
    }
    flow = yaml.safe_dump(inner or defaults[name], default_flow_style=True, width=1000)
    return flow.removesuffix("...\n").strip().replace("''", '""')


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
