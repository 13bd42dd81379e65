"""Where chance comes from: streams that depend on the order's seed and index and on a purpose, never on the candidate.

Hidden streams (data, probe positions, secret pairs) pass through a salt that only this file holds. What is left of
the risk: a player that can read this file (on a laptop without isolation) and knows the order's seed can compute
them; it is kept from that by the list of allowed imports and, in a cluster, by having another image.
"""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

_SALT = bytes.fromhex("7d0c8f4ae91b5c3366d2a7f0b81e94c5")
_SEEDS = 2**31 - 1_000


@dataclass(frozen=True)
class Streams:
    """All streams of one seed of one rung."""

    seed: int
    index: int

    def hidden(self, purpose: str) -> np.random.Generator:
        """Open the stream of a purpose that the player must not foresee; the same purpose gives the same stream."""
        entropy = int.from_bytes(sha256(_SALT + f"{self.seed}/{self.index}".encode()).digest())
        key = np.frombuffer(sha256(purpose.encode()).digest(), np.uint32)
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=tuple(int(k) for k in key)))

    def shown(self, purpose: str) -> int:
        """Draw a seed that is given to the player; it reveals nothing of the hidden streams."""
        return int.from_bytes(sha256(f"player/{self.seed}/{self.index}/{purpose}".encode()).digest()) % _SEEDS
