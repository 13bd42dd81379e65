"""Signs that a view of a search is old."""

from asiarch.api.search import Counts, SearchStatus
from asiarch.core.observation import Record
from asiarch.kube.doubts import contradicts
from tests.builders import a_search


def test_a_count_of_one_more_than_have_numbers_shows_an_old_view() -> None:
    counts = Counts(baselines=1, proposed=1)
    search = a_search(status=SearchStatus(counts=counts))
    records = {name: Record(name=name, ordinal=n, origin="User") for name, n in (("a", 0), ("b", -1))}
    assert contradicts(search, records, set())
    assert not contradicts(search, {**records, "c": Record(name="c", ordinal=1, origin="User")}, set())
