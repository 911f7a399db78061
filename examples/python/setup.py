"""Builds the C library into the extension module sinkattn._native.

The library comes as its two files, sinkattn.c and sinkattn.h: a source distribution has them in native/, and in the
library's repository lib/amalgamate.sh writes them. cffi reads the header itself, so no declaration is written twice.

SPDX-License-Identifier: MIT
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import cffi
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
SHIPPED = HERE / "native"
REPOSITORY = HERE.parents[1]


def header() -> Path:
    return SHIPPED / "sinkattn.h" if SHIPPED.exists() else REPOSITORY / "include" / "sinkattn.h"


def version() -> str:
    numbers = re.findall(r"^#define SA_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header().read_text(), re.MULTILINE)
    return ".".join(numbers)


def declarations() -> str:
    """What cffi parses of the header: no comments, no preprocessor, no linkage."""
    text = re.sub(r"/\*.*?\*/", "", header().read_text(), flags=re.DOTALL)
    text = re.sub(r'#ifdef __cplusplus\n(extern "C" \{|\})\n#endif', "", text)
    functions = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).replace("SA_API ", "")
    return functions + "static const uint64_t SA_END;\n"


def two_files(folder: Path) -> Path:
    """The folder that has sinkattn.c and sinkattn.h; where there is none yet, `folder` becomes it."""
    if SHIPPED.exists():
        return SHIPPED
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", "lib/amalgamate.sh", str(folder.resolve())], cwd=REPOSITORY, check=True)
    return folder


class BuildNative(build_ext):
    """Writes the C sources of the extension before it is built."""

    def run(self) -> None:
        folder = Path(self.build_temp).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        native = two_files(folder / "native")
        ffi = cffi.FFI()
        ffi.cdef(declarations())
        # Hidden, so that another copy of the library in the same process is another copy.
        ffi.set_source("sinkattn._native", "#define SA_API\n#include <sinkattn.h>")
        ffi.emit_c_code(str(folder / "_native.c"))
        extension = self.extensions[0]
        extension.sources = [str(folder / "_native.c"), str(native / "sinkattn.c")]
        extension.include_dirs.append(str(native))
        extension.depends = [str(header())]
        super().run()

    def build_extensions(self) -> None:
        extension = self.extensions[0]
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args += ["/O2"]
        else:
            extension.extra_compile_args += ["-fno-fast-math", "-ffp-contract=off", "-fvisibility=hidden", "-g0"]
            if "-O" not in os.environ.get("CFLAGS", ""):
                extension.extra_compile_args.append("-O3")
        openmp = self.openmp_flags()
        extension.extra_compile_args += openmp
        extension.extra_link_args += [] if self.compiler.compiler_type == "msvc" else openmp
        super().build_extensions()

    def openmp_flags(self) -> list[str]:
        """The compiler's flag for OpenMP, or none where it has no OpenMP, or where SINKATTN_OPENMP is 0."""
        if os.environ.get("SINKATTN_OPENMP") == "0":
            return []
        flags = ["/openmp"] if self.compiler.compiler_type == "msvc" else ["-fopenmp"]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "openmp.c"
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                self.compiler.link_executable(objects, "openmp", output_dir=folder, extra_postargs=flags)
            except Exception:
                return []
        return flags


class SourceDistribution(sdist):
    """Takes the library's two files along, so that the archive builds by itself."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        native = Path(base_dir) / "native"
        if not native.exists():
            two_files(native)


def build_folders() -> dict[str, dict[str, str]]:
    """In the library's repository, what is built goes to its build folder."""
    if SHIPPED.exists():
        return {}
    folder = (REPOSITORY / os.environ.get("BUILD", "build")).resolve() / "python" / "setuptools"
    folder.mkdir(parents=True, exist_ok=True)
    return {"build": {"build_base": str(folder)}, "egg_info": {"egg_base": str(folder)}}


setup(
    version=version(),
    options=build_folders(),
    # Real sources are set when they are written; a name is needed before.
    ext_modules=[Extension("sinkattn._native", sources=["_native.c"], define_macros=[("SA_API", "")])],
    cmdclass={"build_ext": BuildNative, "sdist": SourceDistribution},
)
