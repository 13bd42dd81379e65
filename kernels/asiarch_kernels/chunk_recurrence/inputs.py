"""What one call of the recurrence is given, checked or not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from asiarch_kernels.fault import refuse


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arguments of `chunk_recurrence`; `erasing` [B, T, H] is how strongly is erased where that isn't `beta`."""

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor | None = None
    beta: Tensor | None = None
    erase: Tensor | None = None
    state: Tensor | None = None
    starts: Tensor | None = None
    delta: bool = False
    return_state: bool = False
    erasing: Tensor | None = None

    def mapped(self, change: Callable[[Tensor | None], Tensor | None], *, starts: Tensor | None) -> "Inputs":
        """The same with everything that runs along time changed."""
        q, k, v = change(self.q), change(self.k), change(self.v)
        assert q is not None
        assert k is not None
        assert v is not None
        return replace(
            self,
            q=q,
            k=k,
            v=v,
            log_decay=change(self.log_decay),
            beta=change(self.beta),
            erase=change(self.erase),
            erasing=change(self.erasing),
            starts=starts,
        )


def check_starts(starts: Tensor, length: int) -> None:
    """Refuse starts that leave positions out or fall; on a GPU this waits for it."""
    found = starts.tolist()
    if found[0] != 0 or found[-1] != length or any(end < start for start, end in pairwise(found)):
        refuse("chunk_recurrence", "starts", found, f"positions from 0 to {length} that never fall")
