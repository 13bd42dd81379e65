"""Who descends from whom: children, ancestors, generations and the tree that people look at.

A parent counts when it is known and came before its child. So no loop can arise, whatever the objects say.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asiarch.core.observation import Record


@dataclass(frozen=True, slots=True)
class Tree:
    """Every candidate once, in ordinal order: the roots, and below each those whose first parent it is."""

    roots: tuple[str, ...]
    children: Mapping[str, tuple[str, ...]]

    def walk(self) -> Iterator[tuple[int, str]]:
        """Yield level and name of every candidate, each parent right before its children."""
        ahead = [(0, name) for name in reversed(self.roots)]
        while ahead:
            level, name = ahead.pop()
            yield level, name
            ahead += [(level + 1, child) for child in reversed(self.children.get(name, ()))]


def functional_children(records: Mapping[str, Record]) -> Counter[str]:
    """Count each parent's functional children; a candidate without any counts 0.

    A functional candidate's parents are known and earlier: one with others never left `Pending`.
    """
    return Counter(parent for r in records.values() if r.functional for parent in dict.fromkeys(r.parents))


def parents(record: Record, records: Mapping[str, Record]) -> tuple[str, ...]:
    """The parents that are known and came before, each once, in the order given."""
    place = _place(record)
    return tuple(n for n in dict.fromkeys(record.parents) if n in records and _place(records[n]) < place)


def ancestors(name: str, records: Mapping[str, Record]) -> tuple[str, ...]:
    """Everyone a candidate descends from, each once, nearest first."""
    found: dict[str, None] = {}
    ahead = [name]
    for descendant in ahead:
        new = [parent for parent in parents(records[descendant], records) if parent not in found]
        found.update(dict.fromkeys(new))
        ahead += new
    return tuple(found)


def generations(records: Mapping[str, Record]) -> dict[str, int]:
    """The generation of each candidate: 0 without parents, else one more than its latest parent's."""
    found: dict[str, int] = {}
    for record in sorted(records.values(), key=_place):
        found[record.name] = max((found[parent] + 1 for parent in parents(record, records)), default=0)
    return found


def tree(records: Mapping[str, Record]) -> Tree:
    """Arrange the candidates for display."""
    roots: list[str] = []
    children: dict[str, list[str]] = {}
    for record in sorted(records.values(), key=_place):
        above = parents(record, records)
        (children.setdefault(above[0], []) if above else roots).append(record.name)
    return Tree(tuple(roots), {name: tuple(below) for name, below in children.items()})


def _place(record: Record) -> tuple[bool, int, str]:
    """A candidate's place in the search; those that have no ordinal yet come last."""
    return record.ordinal < 0, record.ordinal, record.name
