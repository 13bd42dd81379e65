"""The gate on cost: work may not grow with the square of the length.

The player's count of its operators' work is a claim. Where every operator is covered by the count, the count decides
and our own clock refuses only gross growth beside it; where one is not, the clock decides, at lengths and with a limit
at which a busy machine is not mistaken for a quadratic one.
"""

import numpy as np

from asiarch.api.reason import Reason
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.player import GrowthClaim
from asiarch_trainer.referee.verdict import Verdict

SHORT, LONG = 512, 2048
MAX_EXPONENT = 1.6
MAX_PLACE_EXPONENT = 1.8
"""Of the work of one operator at one line, where that is a notable share of the whole."""

NOTABLE_SHARE = 0.1
MAX_TIME_EXPONENT = 1.7
_LEAST_SECONDS = 0.05
_GROSS_SECONDS = 0.5
_REPEATS = 3


def check_cost(match: Match, rng: np.random.Generator) -> None:
    """Refuse quadratic growth, unless the order exempts the candidate."""
    claim = match.player.cost(match.rung.model.width, SHORT, LONG)
    match.record.claims["cost.exponent"] = claim.exponent
    match.record.claims["cost.work"] = claim.work_per_token
    if match.order.cost_exempt:
        return
    if claim.exponent > MAX_EXPONENT:
        raise _grown(
            f"{claim.exponent:.2f}", f"{MAX_EXPONENT}", "All work", f"; most of it is {claim.worst_place}"
        )
    if claim.worst_exponent > MAX_PLACE_EXPONENT and claim.worst_share > NOTABLE_SHARE:
        what = f"Work of {claim.worst_place} ({claim.worst_share:.0%} of all)"
        raise _grown(f"{claim.worst_exponent:.2f}", f"{MAX_PLACE_EXPONENT}", what, "")
    _check_clock(match, rng, claim)


def _check_clock(match: Match, rng: np.random.Generator, claim: GrowthClaim) -> None:
    """Time both lengths: gross growth is refused in any case, growth that shows at all where the count has gaps."""
    short, long = (_seconds(match, rng, length) for length in (SHORT, LONG))
    exponent = float(np.log(long / short) / np.log(LONG / SHORT))
    least = _LEAST_SECONDS if claim.uncovered else _GROSS_SECONDS
    if exponent > MAX_TIME_EXPONENT and long > least:
        names = ", ".join(claim.uncovered_names) or "what it does beside torch's operators"
        raise _grown(
            f"{exponent:.2f}", f"{MAX_TIME_EXPONENT}", "Time", f"; the work of {names} can't be counted"
        )


def _seconds(match: Match, rng: np.random.Generator, length: int) -> float:
    x_BTC = rng.standard_normal((2, length, match.rung.model.width), dtype=np.float32)
    taken = []
    for _ in range(_REPEATS):
        match.player.mix(x_BTC)
        taken.append(match.player.seconds)
    return max(min(taken), 1e-6)


def _grown(exponent: str, limit: str, what: str, more: str) -> Verdict:
    return Verdict(
        Reason.COST_GROWTH,
        f"{what} grows with the length T as T^{exponent} between {SHORT} and {LONG} (limit {limit}; 1 is linear, 2"
        f" quadratic){more}.",
    )
