"""Plays any order by sleeping: a proposer takes 2 s, an evaluation 1 s, everything else nothing."""

import json
import os
import time
from pathlib import Path

SECONDS = {"propose": 2.0, "train": 1.0}


def main() -> int:
    """Do the order in the environment and leave its result."""
    order = json.loads(os.environ["ASIARCH_ORDER"])
    kind, name = order["kind"], order["candidate"]
    time.sleep(SECONDS.get(kind, 0.0))
    result = {"order": order["name"], "attempt": order.get("attempt", 1), "index": order.get("index", 0)}
    score = f"0.{int(name.rpartition('-')[2]) * 7919 % 1000:03d}"
    brought: dict[str, dict[str, object]] = {
        "propose": {
            "proposal": {"name": name, "motivation": "to measure the loop", "recipe": f"rule={name}"}
        },
        "build": {"writing": {"text": f'"""{name}."""\nNAME = "{name}"\n', "tags": []}},
        "analyze": {"finding": {"analysis": "played"}},
        "train": {"measurement": {"score": score, "loss": "1"}, "cost": {"seconds": 1.0}},
    }
    path = Path(os.environ["ASIARCH_RESULT"])
    whole = path.with_suffix(".tmp")
    whole.write_text(json.dumps({**result, **brought[kind]}))
    whole.replace(path)
    return 0
