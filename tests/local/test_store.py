"""The directory of a search: every object stands in a file of its own, whole."""

import os
from pathlib import Path

import pytest

from asiarch.api.candidate import Candidate, CandidateSpec
from asiarch.api.meta import Metadata
from asiarch.local.store import Store, write_whole
from tests.builders import a_search


def test_a_candidate_may_be_called_search(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    search = a_search()
    mine = Candidate(
        metadata=Metadata(name="search"), spec=CandidateSpec(search_name=search.name, origin="User", idea="x")
    )
    store.write_search(search)
    store.write_candidate(mine, mine.status)
    store.close()
    assert store.search() == search
    assert list(store.candidates()) == [mine]


def test_a_file_that_is_taken_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, text: write(number, text[:3]))
    write_whole(tmp_path / "it", "more than three bytes")
    assert (tmp_path / "it").read_text() == "more than three bytes"
