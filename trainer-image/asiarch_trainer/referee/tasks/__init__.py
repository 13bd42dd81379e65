"""The evaluation tasks: one file and one line of `TASKS` each.

A task asks the player of its match, fills the match's record, and ends with a `Verdict` when the candidate fails.
"""

from collections.abc import Callable, Mapping

from asiarch.api.search import TaskName
from asiarch_trainer.referee.match import Match
from asiarch_trainer.referee.tasks import byte_language_model, gates, synthetic_recall

TASKS: Mapping[TaskName, Callable[[Match], None]] = {
    "Gates": gates.run,
    "SyntheticRecall": synthetic_recall.run,
    "ByteLanguageModel": byte_language_model.run,
}
