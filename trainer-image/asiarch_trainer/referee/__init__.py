"""The referee: owns data, labels, batches, the clock, scoring and the result; the only one of the two that is believed.

Belongs here: numpy. May not: torch, or running anything of the candidate's.
"""

from asiarch_trainer.referee.judge import main

__all__ = ["main"]
