"""The player: the process in which candidate code runs.

Belongs here: the host model, the training loop and what answers the referee. May not: data, labels of the held-out
set, scoring, or anything that is believed. Importing this package loads torch and all that `main` needs, and starts
no thread, so that a warm process can fork a player.
"""

from asiarch_trainer.player.play import main

__all__ = ["main"]
