"""One order being refereed: what every task is given."""

from collections.abc import Callable
from dataclasses import dataclass

from asiarch.api.order import Order
from asiarch.api.search import Rung
from asiarch_trainer.referee.player import Host, Player
from asiarch_trainer.referee.record import Record
from asiarch_trainer.referee.streams import Streams


@dataclass(frozen=True)
class Match:
    """An order, its player, its streams of chance, and the record of what was found."""

    order: Order
    player: Player
    record: Record
    streams: Streams
    clock: Callable[[], float]

    @property
    def rung(self) -> Rung:
        """The rung that the order is for."""
        assert self.order.rung is not None
        return self.order.rung

    def host(self, vocabulary: int, purpose: str) -> Host:
        """Describe the model of this rung over a vocabulary; its initial weights depend on seed, index and purpose."""
        shape = self.rung.model
        return Host(
            vocabulary=vocabulary,
            width=shape.width,
            heads=shape.heads,
            layers=shape.layers,
            seed=self.streams.shown(purpose),
            steps=self.rung.steps,
            learning_rate=self.rung.learning_rate,
        )
