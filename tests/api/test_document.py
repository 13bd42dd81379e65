"""What is no manifest at all, and how scalars are read."""

from datetime import date
from typing import Any

import pytest

from asiarch.api import manifest
from asiarch.api.document import MAX_BYTES, parse
from tests.api.manifests import SEARCH, changed

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
OBJECT = "wanted one object with apiVersion, kind, metadata and spec."

REFUSED: tuple[tuple[str | bytes, str], ...] = (
    ("", f"found nothing, {OBJECT}"),
    ("# only a comment", f"found nothing, {OBJECT}"),
    ("null", f"found nothing, {OBJECT}"),
    ("- a\n- b", f"found a list, {OBJECT}"),
    ("42", f"found 42, {OBJECT}"),
    ("a: [", "line 2: not readable as YAML: did not find expected node content."),
    ("\ta: 1", "line 1: not readable as YAML: found character that cannot start any token."),
    ("a: 1\n--- \nb: 2", "line 2: found a second document, wanted one in a file;"
     " put each object into a file of its own."),
    ("a: 1\na: 2", 'line 2: found the key "a" a second time, wanted each key once.'),
    ("a:\n  1: 2", 'line 2: found the key "1", wanted keys that are text.'),
    ("a: &x [*x]", "line 1: found the alias *x, wanted an alias of something above it."),
    (BOMB, "line 6: found more values, wanted at most 100000, aliases written out."),
    ("[" * 500, "line 1: found deeper nesting, wanted at most 64 levels."),
    ("a: !!python/object/apply:os.system [ls]", "line 1: found the tag tag:yaml.org,2002:python/object/apply:os.system,"
     " wanted values without tags."),
    ("<<: 3\na: 1", "line 1: not readable as YAML: expected a mapping or list of mappings for merging,"
     " but found scalar."),
    (b"\xff\xfe", "found bytes that are not UTF-8 (byte 0), wanted a text file in UTF-8."),
    ("a: \x00", 'not readable as YAML: "unacceptable character #x0000: control characters are not ….'),
    ("a: '\ud800'", "not readable as YAML: \"'utf-8' codec can't encode character '\\\\ud800' in position…."),
    ("a" * (MAX_BYTES + 1), f"found {MAX_BYTES + 1} bytes, wanted at most {MAX_BYTES}."),
)  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_manifest_is_told_with_its_place(text: str | bytes, message: str) -> None:
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.load(text, "f.yaml")
    assert str(caught.value) == f"f.yaml: {message} Nothing was started."


def test_nesting_without_end_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(manifest.ManifestError, match="nesting"):
        manifest.load("[" * 100_000, "f.yaml")


SCALARS: tuple[tuple[str, Any], ...] = (
    ("1e3", 1000.0),
    ("6e-3", 0.006),
    (".5", 0.5),
    ("0x10", 16),
    ("017", 15),
    ("0o17", 15),
    ("1_000", 1000),
    ("-7", -7),
    ("1:30", "1:30"),
    ("2026-01-01", "2026-01-01"),
    ("y", True),
    ("Off", False),
    ("~", None),
    ("'1'", "1"),
    ("9" * 30, 1e30),
    ("9" * 9000, float("inf")),
    ("0x" + "f" * 9000, float("inf")),
)


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_is_read_as_kubectl_reads_it(text: str, value: Any) -> None:
    read = parse(f"a: {text}", "f.yaml")["a"]
    assert (type(read), read) == (type(value), value)


def test_aliases_and_merges_are_written_out() -> None:
    assert parse("a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2}", "f.yaml") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 2},
    }


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfa: 1", "f.yaml") == {"a": 1}


UNSAYABLE: tuple[tuple[Any, str], ...] = (
    (float("nan"), "found nan, wanted a finite number."),
    (float("inf"), "found inf, wanted a finite number."),
    ("\ud83d", "found half of a surrogate pair, wanted whole characters."),
    (date(2026, 1, 1), "found a value of the type date, wanted what JSON can say."),
)


@pytest.mark.parametrize(("value", "message"), UNSAYABLE)
def test_what_json_cannot_say_is_a_fault(value: Any, message: str) -> None:
    (fault,) = manifest.validate(changed(SEARCH, "spec/budget/candidates", value))
    assert str(fault) == f'ArchitectureSearch "q": spec.budget.candidates: {message}'


def test_a_key_that_is_no_text_is_a_fault() -> None:
    (fault,) = manifest.validate(changed(SEARCH, "spec", [{1: 2}]))
    assert str(fault) == 'ArchitectureSearch "q": spec[0]: found the key 1, wanted keys that are text.'
