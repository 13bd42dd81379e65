"""The candidate's file: loading it, and saying what went wrong inside it.

What is said here is a claim; the engineer reads it, nothing is decided by it.
"""

import linecache
import sys
import traceback
from types import ModuleType, TracebackType

from torch import nn

from asiarch.api.reason import Reason

FILE = "candidate.py"
MODULE = "candidate"
_SHOWN_CALLS = 3


class ComplaintError(Exception):
    """What the player says went wrong, as one of the engineer's error classes."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Name the class and what was found and wanted."""
        super().__init__(message)
        self.reason = reason


def load(text: str) -> type[nn.Module]:
    """Run the candidate's file and return its `Mixer` class (contract mixer/v1)."""
    module = ModuleType(MODULE)
    module.__file__ = FILE
    sys.modules[MODULE] = module
    linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)
    exec(compile(text, FILE, "exec"), module.__dict__)  # noqa: S102 - this process exists to run it
    mixer = getattr(module, "Mixer", None)
    if not (isinstance(mixer, type) and issubclass(mixer, nn.Module)):
        raise ComplaintError(
            Reason.INTERFACE_MISMATCH, f"The file defines no class Mixer(nn.Module); found {mixer!r}."
        )
    return mixer


def complaint(error: Exception) -> ComplaintError:
    """Put an exception into words: its class, its message, and the last lines of the candidate that led to it."""
    if isinstance(error, ComplaintError):
        return error
    says = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return ComplaintError(Reason.INVALID_SOURCE, says)
    reason = Reason.OUT_OF_MEMORY if _ran_out_of_memory(error) else Reason.CODE_ERROR
    return ComplaintError(reason, says + _where(error.__traceback__))


def _ran_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        sign in str(error) for sign in ("not enough memory", "out of memory", "can't allocate memory")
    )


def _where(trace: TracebackType | None) -> str:
    calls = [call for call in traceback.extract_tb(trace) if call.filename == FILE]
    return "".join(f"\n  line {call.lineno} in {call.name}: {call.line}" for call in calls[-_SHOWN_CALLS:])
