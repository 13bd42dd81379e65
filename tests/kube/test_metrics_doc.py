"""docs/metrics.md lists every metric that there is."""

from tests.kube import generate


def test_what_is_generated_is_what_is_committed() -> None:
    assert generate.DOCUMENT.read_text(encoding="utf-8") == generate.render(), "run `make crds`"


def test_every_metric_says_what_it_is_and_its_labels_are_of_closed_lists() -> None:
    rows = [line.split(" | ") for line in generate.render().splitlines() if line.startswith("| `asiarch_")]
    assert len(rows) > 40
    assert all(row[3].strip("| ") for row in rows)
    grown = {"candidate", "pod", "uid", "parent", "message"}
    assert not grown & {label.strip("` ") for row in rows for label in row[2].split(",")}
