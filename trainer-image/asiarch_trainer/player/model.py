"""The host model of contract mixer/v1: ours is everything but the mixers, so that candidates differ in nothing else.

Shapes: B batch, T time, C width, V vocabulary, H hidden.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asiarch.api.reason import Reason
from asiarch_trainer.player.candidate import ComplaintError

# Bound before any candidate runs: what it does to torch's modules later changes nothing here.
_embed, _linear, _silu, _rms_norm = (
    functional.embedding,
    functional.linear,
    functional.silu,
    functional.rms_norm,
)

_HEAD_SD = 0.02
"""Small, so that an untrained model guesses evenly."""
_BRANCH = 0.3
"""How much smaller than its input a feed-forward branch begins: what a token is must stand out in the residual stream.

With embeddings of 0.02 and full branches, Gated DeltaNet reached 0.29 on in-context recall in 150 steps; so, 0.99.
"""
_HIDDEN = 2
"""Width of the SwiGLU's hidden layer, in multiples of the model's."""


@dataclass(frozen=True)
class Shape:
    """The host model's size."""

    vocabulary: int
    width: int
    heads: int
    layers: int


class Norm(nn.Module):
    """Root-mean-square normalisation over the width."""

    def __init__(self, width: int) -> None:
        """Start as the identity but for scale."""
        super().__init__()
        self.gain_C = nn.Parameter(torch.ones(width))

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Normalise each position by itself."""
        return _rms_norm(x_BTC, (x_BTC.shape[-1],), self.gain_C, 1e-6)


class SwiGLU(nn.Module):
    """The gated feed-forward network of each block (arXiv 2002.05202)."""

    def __init__(self, width: int) -> None:
        """Hold one matrix for gate and value, and one for the way back."""
        super().__init__()
        hidden = _HIDDEN * width
        self.into_2HC = nn.Parameter(torch.randn(2 * hidden, width) * width**-0.5)
        self.back_CH = nn.Parameter(torch.randn(width, hidden) * _BRANCH * hidden**-0.5)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Work on each position by itself."""
        gate_BTH, value_BTH = _linear(x_BTC, self.into_2HC).chunk(2, dim=-1)
        return _linear(_silu(gate_BTH) * value_BTH, self.back_CH)


class Block(nn.Module):
    """A residual block whose mixer is the candidate's."""

    def __init__(self, width: int) -> None:
        """Hold ours; the mixer is put in afterwards, so that our initial weights don't depend on it."""
        super().__init__()
        self.before_mixer, self.before_glu = Norm(width), Norm(width)
        self.glu = SwiGLU(width)
        self.mixer: nn.Module = nn.Identity()

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix over time, then over the width."""
        x_BTC = x_BTC + mix(self.mixer, self.before_mixer(x_BTC))
        glued_BTC: Tensor = self.glu(self.before_glu(x_BTC))
        return x_BTC + glued_BTC


class Host(nn.Module):
    """Tokens to logits: embedding, blocks, normalisation, head."""

    def __init__(self, shape: Shape, mixer: type[nn.Module], seed: int) -> None:
        """Draw our weights from `seed` alone, and each mixer's from `seed` and its layer."""
        super().__init__()
        torch.manual_seed(seed)
        self.embedding_VC = nn.Parameter(torch.randn(shape.vocabulary, shape.width))
        self.blocks = nn.ModuleList(Block(shape.width) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        self.head_VC = nn.Parameter(torch.randn(shape.vocabulary, shape.width) * _HEAD_SD)
        for layer, block in enumerate(self.blocks):
            torch.manual_seed(seed + 1 + layer)
            block.mixer = _construct(mixer, shape, layer)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return logits_BTV."""
        x_BTC = _embed(tokens_BT, self.embedding_VC)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return _linear(self.norm(x_BTC), self.head_VC)

    @property
    def mixers(self) -> tuple[nn.Module, ...]:
        """The candidate's parts, by layer."""
        return tuple(block.mixer for block in self.blocks)  # type: ignore[misc]


def mix(mixer: nn.Module, x_BTC: Tensor) -> Tensor:
    """Call a mixer and hold it to its contract: a plain tensor of the shape and dtype that it was given."""
    y_BTC = mixer(x_BTC)
    if type(y_BTC) is not Tensor:
        kind = type(y_BTC).__name__
        raise ComplaintError(
            Reason.INTERFACE_MISMATCH, f"Mixer.forward returned a {kind}; wanted one plain torch.Tensor."
        )
    if y_BTC.shape != x_BTC.shape:
        given, found = tuple(x_BTC.shape), tuple(y_BTC.shape)
        raise ComplaintError(
            Reason.WRONG_SHAPE,
            f"Mixer.forward was given x_BTC of shape {given} and returned {found}; wanted the same.",
        )
    if y_BTC.dtype != x_BTC.dtype:
        raise ComplaintError(
            Reason.WRONG_SHAPE,
            f"Mixer.forward was given {x_BTC.dtype} and returned {y_BTC.dtype}; wanted the same.",
        )
    return y_BTC


def _construct(mixer: type[nn.Module], shape: Shape, layer: int) -> nn.Module:
    try:
        return mixer(width=shape.width, heads=shape.heads, layer=layer, layers=shape.layers)
    except TypeError as error:
        if "__init__() " not in str(error):
            raise
        raise ComplaintError(
            Reason.INTERFACE_MISMATCH,
            f"Making a Mixer failed: {error}; wanted __init__(self, width, heads, layer, layers).",
        ) from error
