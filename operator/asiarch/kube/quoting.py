"""How text of a custom resource reaches a child object: through here, and nowhere else.

Kubernetes expands `$(NAME)` in environment variables, commands and arguments. Commands and arguments of ours are
constants; what goes into an environment variable is quoted. Labels and names take only what is a name already.
"""

import re
from collections.abc import Mapping

from asiarch.api.names import CANDIDATE, MANAGED_BY, PART, SEARCH, Part
from asiarch.kube.client import Object

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


def environment(values: Mapping[str, str]) -> list[Object]:
    """Environment variables whose values arrive as they are, whatever stands in them."""
    return [{"name": name, "value": quoted(value)} for name, value in values.items()]


def quoted(text: str) -> str:
    """Text that Kubernetes' expansion turns back into `text`."""
    return text.replace("$", "$$")


def labels(part: Part, search: str, candidate: str | None = None) -> dict[str, str]:
    """The labels of a child object; raises ValueError for a name that is none."""
    named = {SEARCH: search} | ({} if candidate is None else {CANDIDATE: candidate})
    for key, value in named.items():
        if not _LABEL.fullmatch(value):
            raise ValueError(f"{key}: found {value!r}, wanted an object's name of at most 63 characters.")
    return {MANAGED_BY[0]: MANAGED_BY[1], PART: part, **named}
