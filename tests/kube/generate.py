"""Writes docs/metrics.md from the metrics themselves: `python -m tests.kube.generate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from asiarch.gateway.metrics import Metrics as Gateways
from asiarch.kube.metrics import Build, Metrics
from asiarch.kube.queue import WorkQueue

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
_HEAD = """\
# Metrics

What `/metrics` of the operator (port 8080) and of the gateway (port 8082) shows, made by `make crds` from the metrics
themselves. Counters end with `_total`, histograms have `_bucket`, `_sum` and `_count`; times are seconds. A label holds
a namespace, a search, or a word of a closed list, never a candidate, a pod or anybody's text; from the 201st search
on, `search` is `other`. Beside these stand the usual ones of a process (`process_resident_memory_bytes`, …).
"""


def render() -> str:
    """The whole document."""
    operators = Metrics(Build("", "", "", ""))
    operators.watch_queue("search", WorkQueue[str](lambda: 0.0))
    parts = {"The operator": operators.registry, "The gateway": Gateways().registry}
    return "\n".join([_HEAD, *(_section(title, registry) for title, registry in parts.items())])


def _section(title: str, registry: CollectorRegistry) -> str:
    rows = [
        f"## {title}",
        "",
        "| metric | kind | labels | what it is |",
        "|---|---|---|---|",
        *_rows(registry),
    ]
    return "\n".join(rows) + "\n"


def _rows(registry: CollectorRegistry) -> Iterator[str]:
    for collector in registry._collector_to_names:
        for family in collector.collect():
            if family.name.startswith("asiarch_"):
                ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
                labels = ", ".join(f"`{label}`" for label in _labels(collector, family))
                yield f"| `{family.name}{ending}` | {family.type} | {labels} | {family.documentation} |"


def _labels(collector: Any, family: Metric) -> tuple[str, ...]:
    """The labels of a family: those that its collector declares, or those of what it shows."""
    declared: tuple[str, ...] = getattr(collector, "_labelnames", ())
    shown = (name for sample in family.samples for name in sample.labels if name != "le")
    return declared or tuple(dict.fromkeys(shown))


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
