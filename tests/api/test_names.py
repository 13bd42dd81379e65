"""Names of orders and objects: short enough for what bears them, and never the same for two things."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from asiarch.api.names import (
    MAX_OBJECT_NAME,
    PARTS,
    archive_name,
    code_name,
    context_name,
    object_name,
    order_name,
    result_name,
)
from asiarch.api.order import OrderKind

LABEL = 63
PARTS_OF_NAMES = ("a", "train", "build", "x", "r1", "a1", "propose")


def test_an_order_is_named_after_what_it_does() -> None:
    assert order_name("s-0001", "train", 2, "gates") == "s-0001-train-gates-a2"
    assert order_name("s-0001", "build", 1, turn=3) == "s-0001-build-r3-a1"


def test_a_short_order_gives_its_job_its_own_name() -> None:
    assert object_name("s-0001-train-gates-a2") == "s-0001-train-gates-a2"


def test_a_long_order_s_job_is_told_apart_by_a_digest() -> None:
    name = order_name("s" * 40 + "-0001", "train", 1, "explore")
    other = order_name("s" * 40 + "-0001", "train", 2, "explore")
    assert len(object_name(name)) <= MAX_OBJECT_NAME
    assert object_name(name) != object_name(other)
    assert "--" not in object_name("s" * 38 + "-" * 3 + "t" * 30)


@given(st.integers(1, 63), st.integers(1, 10**6))
def test_every_name_of_a_child_is_a_dns_label(length: int, attempt: int) -> None:
    order = order_name("c" * length, "train", attempt, "explore123", turn=10)
    assert len(order) <= 100
    assert all(len(name(order)) <= LABEL for name in (object_name, context_name, result_name))
    assert len(f"{object_name(order)}-9-abcde") <= LABEL


def test_files_and_archives_have_names_of_their_own() -> None:
    assert code_name("s" * 40, "0123456789abcdef" * 4) == f"{'s' * 40}-code-0123456789ab"
    assert archive_name("s", 12) == "s-archive-0012"
    assert len(set(PARTS)) == len(PARTS)


def test_no_two_orders_have_one_name_whatever_users_call_their_candidates() -> None:
    candidates = {"-".join(parts) for n in (1, 2, 3) for parts in product(PARTS_OF_NAMES, repeat=n)}
    rungs = ("x", "build", "x-build", "a1", "train", "train-x", "r1")
    kinds: tuple[OrderKind, ...] = ("propose", "build", "repair", "analyze")
    named: dict[str, tuple[object, ...]] = {}
    for candidate in candidates:
        told: list[tuple[OrderKind, str | None]] = [(kind, None) for kind in kinds]
        told += [("train", rung) for rung in rungs]
        for (kind, rung), attempt, turn in product(told, (1, 2), (0, 1)):
            order = (candidate, kind, rung, attempt, turn)
            name = order_name(candidate, kind, attempt, rung, turn)
            assert named.setdefault(name, order) == order
