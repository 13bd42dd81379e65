"""What the chart takes from elsewhere is what is there, and what it offers is described and bounded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import asiarch
from tests.helm import chart, generate
from tests.helm.generate import CHART, ROOT

DEFINITIONS = {path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize("path", list(generate.files()), ids=lambda path: str(path.name))
def test_what_is_generated_is_what_is_committed(path: Path) -> None:
    assert path.read_text() == generate.files()[path], "run `make crds`"


def test_no_definition_is_left_over() -> None:
    assert {path.name for path in (CHART / "templates" / "crds").iterdir()} == DEFINITIONS.keys()


def test_the_rendered_definitions_are_those_of_the_repository() -> None:
    rendered = _definitions(chart.render())
    assert [item["spec"] for item in rendered] == [item["spec"] for item in DEFINITIONS.values()]
    assert [f"{item['metadata']['name']}.yaml" for item in rendered] == list(DEFINITIONS)


def test_the_definitions_outlive_the_release() -> None:
    kept, gone = (chart.render(f"crds.keep={keep}") for keep in ("true", "false"))
    policies = [item["metadata"].get("annotations") for item in _definitions(kept)]
    assert policies == [{"helm.sh/resource-policy": "keep"}] * 2
    assert all("annotations" not in item["metadata"] for item in _definitions(gone))


def test_the_definitions_can_be_left_to_others() -> None:
    assert _definitions(chart.render("crds.enabled=false")) == []


def test_every_value_is_described() -> None:
    described = generate.described()
    bare = [name for name in generate.values() if not any(f"{name}.".startswith(f"{d}.") for d in described)]
    assert bare == []


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(_fields(SCHEMA, "")) - {"global"} == set(_keys(values, "", SCHEMA))


def test_no_object_of_the_schema_takes_unknown_fields() -> None:
    open_ones = [path for path, node in _objects(SCHEMA, "") if node.get("additionalProperties") is not False]
    assert open_ones == []


def test_the_chart_installs_the_version_of_its_sources() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == asiarch.__version__


def test_every_image_is_listed_for_sites_without_a_registry() -> None:
    listed = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]["artifacthub.io/images"]
    wanted = {container["image"] for container in chart.containers(chart.render())}
    (operator,) = (c for c in chart.containers(chart.render()) if c["name"] == "operator")
    given = {word.split("=", 1)[1] for word in operator["args"] if "-image=" in word}
    assert {f"{chart.REGISTRY}/{image['image']}" for image in yaml.safe_load(listed)} == wanted | given


def test_helm_finds_nothing_to_complain_about() -> None:
    values = ("--set", f"images.registry={chart.REGISTRY}")
    assert "0 chart(s) failed" in chart.helm("lint", "--strict", str(CHART), *values)


def _definitions(objects: tuple[chart.Object, ...]) -> list[chart.Object]:
    return [item for _, item in sorted(chart.of_kind("CustomResourceDefinition", objects).items())]


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").removeprefix("#/$defs/")
    return SCHEMA["$defs"][name] if name else node


def _fields(node: dict[str, Any], path: str) -> Iterator[str]:
    """The dotted names of all fields that the schema names, below those whose keys are free only themselves."""
    for name, field in node.get("properties", {}).items():
        inner = _resolved(field)
        if "properties" in inner:
            yield from _fields(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def _keys(values: dict[str, Any], path: str, node: dict[str, Any]) -> Iterator[str]:
    """The dotted names of all values, as deep as the schema goes."""
    for name, value in values.items():
        inner = _resolved(node.get("properties", {}).get(name, {}))
        if "properties" in inner:
            yield from _keys(value, f"{path}{name}.", inner)
        else:
            yield f"{path}{name}"


def _objects(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "properties" in node:
        yield path, node
        for name, field in node["properties"].items():
            yield from _objects(_resolved(field), f"{path}.{name}")
