"""kill -9 at random moments of a whole search, restarted each time: is the lineage the undisturbed one?

Run: python -m tests.bench.kills [kills]
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import publish
from tests.local.searches import MANIFEST, candidates, canonical, start

BUDGET = MANIFEST.replace("candidates: 3", "candidates: 40").replace("steps: 12", "steps: 30")


def main() -> None:
    """Measure and publish."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chance = random.Random(kills)
    with tempfile.TemporaryDirectory() as calm, tempfile.TemporaryDirectory() as rough:
        begun = time.monotonic()
        code, said = start(Path(calm), manifest=BUDGET).end()
        assert code == 0, said
        undisturbed = time.monotonic() - begun
        landed = 0
        for _ in range(kills):
            running = start(Path(rough), manifest=BUDGET)
            time.sleep(chance.uniform(0.5, 10.0))
            landed += running.process.poll() is None
            running.kill()
        code, said = start(Path(rough), manifest=BUDGET).end()
        assert code == 0, said
        equal = canonical(Path(calm)) == canonical(Path(rough))
        attempts = [p.name for p in (Path(rough) / "runs" / "small" / "orders").iterdir()]
        again = sum(not name.endswith("-a1") for name in attempts)
        rows = [
            ("figure", "measured", "goal"),
            ("candidates", str(len(candidates(Path(calm)))), ""),
            ("undisturbed search", f"{undisturbed:.0f} s", ""),
            ("kills while it ran", f"{landed} of {kills}", f"{kills}"),
            ("final lineage, canonical JSON", "byte-equal" if equal else "DIFFERENT", "byte-equal"),
            ("orders tried again, each under a new attempt", str(again), ""),
        ]
    publish("kills", "kill -9 at random moments of a search at parallelism 1", rows)


if __name__ == "__main__":
    main()
