"""Builds and loads Triton's shim of the CUDA driver where there is no driver, so that a pod needs no C compiler.

The shim is linked against a stand-in for libcuda that has the names and nothing behind them; on a machine with a GPU
the loader gives it the real one. Run as a program, since a process that has the stand-in can't have the driver:
`python -m asiarch_kernels.shim STAND_IN_FOLDER`.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from triton import knobs
from triton.backends.nvidia import driver

LIBRARY = "libcuda.so.1"
NO_COMPILER = (
    "no C compiler was found (gcc, clang or $CC), which building Triton's shim of the CUDA driver takes, together with "
    "Python's headers; on Debian: apt-get install gcc libc6-dev python3-dev"
)


def load(folder: Path) -> None:
    """Have Triton load its shim from the cache, or build it; `folder` is where the stand-in is, or is made."""
    library = folder / LIBRARY
    if not library.exists():
        stand_in(library)
    # Triton's own look-up of libcuda would ask ldconfig, and fail.
    knobs.nvidia.libcuda_path = str(folder)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    driver.CudaUtils()


def stand_in(library: Path) -> None:
    """Compile a libcuda that has every function that the shim calls; each says that there is no device."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise FileNotFoundError(NO_COMPILER)
    source = Path(driver.dirname, "driver.c").read_text()
    names = sorted(set(re.findall(r"\b(cu[A-Z]\w*)\s*\(", source)))
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch, "libcuda.c")
        code.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in names))
        flags = ("-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", "-o", str(library))
        subprocess.run([compiler, str(code), *flags], check=True)
    library.parent.chmod(0o755)
    library.chmod(0o755)


if __name__ == "__main__":
    load(Path(sys.argv[1]))
