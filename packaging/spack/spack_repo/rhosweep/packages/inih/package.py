"""inih, which reads spec files: Spack has no package of it."""

from spack_repo.builtin.build_systems.meson import MesonPackage

from spack.package import *


class Inih(MesonPackage):
    """A simple .INI file parser in C."""

    homepage = "https://github.com/benhoyt/inih"
    git = "https://github.com/benhoyt/inih.git"
    license("BSD-3-Clause")

    version("58", tag="r58")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
