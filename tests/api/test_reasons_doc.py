"""docs/reasons.md explains every reason, in the order of the list, and no others."""

import re
from pathlib import Path

from asiarch.api.reason import Reason

DOCUMENT = Path(__file__).parents[2] / "docs" / "reasons.md"
KINDS = {"ConfigMap", "LimitRange", "NetworkPolicies", "ResourceQuota"}
"""Words of Kubernetes that look like ours."""
QUESTIONS = ("Whose fault", "What happens next", "What you can do")


def entries() -> dict[str, str]:
    """Each heading of the third level with the text below it."""
    parts = re.split(r"^### (\w+)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_reason_is_explained_in_the_order_of_the_list() -> None:
    assert list(entries()) == [str(reason) for reason in Reason]


def test_every_explanation_answers_the_three_questions() -> None:
    silent = [(name, q) for name, said in entries().items() for q in QUESTIONS if f"- **{q}:** " not in said]
    assert silent == []


def test_no_word_looks_like_a_reason_that_there_is_not() -> None:
    spoken = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", DOCUMENT.read_text(encoding="utf-8")))
    assert spoken - {str(reason) for reason in Reason} - KINDS == set()
