"""The ring is set up once for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.trainer.bout import Ring, Warm


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    """Hold real bouts between forked processes."""
    referees, players = Warm("asiarch_trainer.referee"), Warm("asiarch_trainer.player")
    yield Ring(referees, players, tmp_path_factory.mktemp("bouts"))
    referees.close()
    players.close()
