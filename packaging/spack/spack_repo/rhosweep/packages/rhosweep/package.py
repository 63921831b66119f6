"""Rhosweep for Spack 1.0 and later, built from the clone that this file is in."""

from pathlib import Path

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *

CLONE = Path(__file__).resolve().parents[6]


class Rhosweep(CMakePackage, CudaPackage):
    """Gradient flow in recurrent networks, over many spectral radii at once: unrolls them, runs
    backpropagation through time, and turns the norm of the gradient at every step into decay
    rates, figures and tables."""

    git = CLONE.as_uri()
    license("MIT")

    version("main", branch="main")

    variant("reports", default=True, description="Python for figures, tables and a page")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("random123", type="build")
    depends_on("openblas")
    depends_on("sqlite@3.24:")
    depends_on("inih")
    depends_on("libzip")
    depends_on("jansson@2.14:")

    with when("+reports"):
        depends_on("python@3.11:", type="run")
        depends_on("py-matplotlib@3.10", type="run")
        depends_on("py-numpy@2:", type="run")
        depends_on("py-pillow@10:", type="run")

    conflicts("cuda_arch=none", when="+cuda", msg="name the compute capabilities to build for")

    def cmake_args(self):
        lapacke = self.spec["openblas"].libs  # OpenBLAS has it built in
        return [
            self.define("BUILD_TESTING", False),
            self.define("RHOSWEEP_BENCH", False),
            self.define("LAPACKE_LIBRARY", lapacke[0]),
            self.define_from_variant("RHOSWEEP_CUDA", "cuda"),
            self.define_from_variant("RHOSWEEP_CUDA_ARCHITECTURES", "cuda_arch"),
        ]
