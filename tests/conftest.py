"""What holds for all tests.

Machines are noisy, so no example of hypothesis fails for taking its time. Kernels run in Triton's interpreter, which
has to be asked for before anything imports Triton, as torch does here and there.
"""

import os

from hypothesis import settings

os.environ["TRITON_INTERPRET"] = "1"
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
