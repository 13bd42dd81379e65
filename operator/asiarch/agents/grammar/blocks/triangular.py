"""What a chunk of a delta rule writes: the solution of a triangular system."""

import torch
from torch import Tensor


def corrected(wanted_BHLV: Tensor, corrects_BHLL: Tensor) -> Tensor:
    """Take off each write what earlier ones of its chunk did to it; only what lies below the diagonal is read."""
    written_BHLV: Tensor = torch.linalg.solve_triangular(
        corrects_BHLL, wanted_BHLV, upper=False, unitriangular=True
    )
    return written_BHLV
