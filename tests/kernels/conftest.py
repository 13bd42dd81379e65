"""Kernels run in Triton's interpreter, which has to be asked for before any of them is imported."""

import os

os.environ["TRITON_INTERPRET"] = "1"
