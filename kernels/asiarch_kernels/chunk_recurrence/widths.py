"""Keys and values of any widths as those that kernels have: keys filled up with zeros, values cut into slices.

The columns of a state know nothing of each other, so values that are wider than keys are several heads with the same
queries, keys and gates. Filled-up channels of a key read, erase and write nothing.
"""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from asiarch_kernels.chunk_recurrence.inputs import Inputs

# Shapes: B batch, T time, H heads, K key width of a head, V value width of a head, S slices of its values, W the width
# of a slice and of filled-up keys, N sequences; J is H times S.

WIDTHS = (16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a call's widths are made alike."""

    keys: int
    values: int
    width: int
    """W, of keys and of a slice of values."""

    @property
    def slices(self) -> int:
        """Of the values of a head."""
        return -(-self.values // self.width)

    @property
    def needed(self) -> bool:
        """Whether the widths aren't alike already."""
        return self.keys != self.width or self.values != self.width

    def inputs(self, given: Inputs) -> Inputs:
        """The same call with keys and values of the width alike."""
        return replace(
            given,
            q=self._keys(given.q),
            k=self._keys(given.k),
            v=self.values_in(given.v),
            log_decay=self._gate(given.log_decay),
            beta=self._gate(given.beta),
            erasing=self._gate(given.erasing),
            state=None if given.state is None else self.states_in(given.state),
        )

    def values_in(self, v_BTHV: Tensor) -> Tensor:
        """Values, or outputs, as slices: [B, T, J, W]."""
        filled = functional.pad(v_BTHV, (0, self.slices * self.width - self.values))
        return filled.reshape(*v_BTHV.shape[:2], -1, self.width)

    def values_out(self, v_BTJW: Tensor) -> Tensor:
        """Slices as values, or outputs: [B, T, H, V]."""
        return v_BTJW.reshape(*v_BTJW.shape[:2], -1, self.slices * self.width)[..., : self.values]

    def states_in(self, state_NHKV: Tensor) -> Tensor:
        """States as those of slices: [N, J, W, W]."""
        more = (0, self.slices * self.width - self.values, 0, self.width - self.keys)
        filled = functional.pad(state_NHKV, more)
        return filled.view(*filled.shape[:3], self.slices, self.width).movedim(3, 2).flatten(1, 2)

    def states_out(self, state_NJWW: Tensor) -> Tensor:
        """States of slices as one for a head: [N, H, K, V]."""
        apart = state_NJWW.view(state_NJWW.shape[0], -1, self.slices, *state_NJWW.shape[2:])
        return apart.movedim(2, 3).flatten(3)[:, :, : self.keys, : self.values]

    def keys_out(self, d_BTJW: Tensor) -> Tensor:
        """A gradient of keys or queries, summed over slices: [B, T, H, K]."""
        return self.gates_out(d_BTJW)[..., : self.keys]

    def gates_out(self, d_BTJ: Tensor) -> Tensor:
        """A gradient of a gate, or of keys, summed over slices: [B, T, H, …]."""
        apart = d_BTJ.reshape(*d_BTJ.shape[:2], -1, self.slices, *d_BTJ.shape[3:])
        return apart.float().sum(3).to(d_BTJ.dtype)

    def _keys(self, k_BTHK: Tensor) -> Tensor:
        filled = functional.pad(k_BTHK, (0, self.width - self.keys))
        return filled.repeat_interleave(self.slices, dim=2)

    def _gate(self, gate_BTH: Tensor | None) -> Tensor | None:
        return None if gate_BTH is None else gate_BTH.repeat_interleave(self.slices, dim=2)


def fit(given: Inputs) -> Fit | None:
    """How a call's widths are made alike; None for keys that are wider than any kernel's."""
    keys, values = given.q.shape[-1], given.v.shape[-1]
    width = next((width for width in WIDTHS if width >= keys), None)
    return None if width is None else Fit(keys, values, width)
