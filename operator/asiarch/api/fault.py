"""What is wrong with a manifest, said so that its author can mend it."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

_SHOWN = 60
"""Characters of a value that a message quotes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the field, what was found there, what was wanted, and how to go on; `subject` names the object."""

    path: str
    found: str
    wanted: str = ""
    next_step: str = ""
    subject: str = ""

    def of(self, subject: str) -> "Fault":
        """Name the object."""
        return replace(self, subject=subject)

    def __str__(self) -> str:
        """Say it in one sentence."""
        said = f"found {self.found}, wanted {self.wanted}" if self.wanted else self.found
        sentence = ": ".join(filter(None, (self.subject, self.path, said)))
        sentence += f"; {self.next_step}" if self.next_step else ""
        return sentence if sentence.endswith("?") else f"{sentence}."


class ManifestError(Exception):
    """A manifest was refused; it holds every fault that was found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep the faults; there is at least one."""
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        """One line for each fault, and what came of it."""
        between = "\n" if len(self.faults) > 1 else " "
        return "\n".join(map(str, self.faults)) + f"{between}Nothing was started."


def shown(value: Any) -> str:
    """Quote a value in at most some sixty characters, none of which can upset a terminal."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def at(path: str, name: str) -> str:
    """The path of a field below `path`; a name that isn't one word is put in brackets."""
    if not name.isidentifier():
        return f"{path}[{shown(name)[1:-1]}]"
    return f"{path}.{name}" if path else name


def suggestion(name: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known name was meant; empty if none is near."""
    plain = {_plain(other): other for other in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    return f"did you mean {plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()
