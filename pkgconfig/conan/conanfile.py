"""Builds sinkattn from a release's archive, by its own CMake. SPDX-License-Identifier: MIT"""

import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain
from conan.tools.files import copy, get, rmdir

required_conan_version = ">=2.0"


class SinkattnConan(ConanFile):
    name = "sinkattn"
    description = "The key/value cache and attention of a transformer that never stops"
    license = "MIT"
    topics = ("attention", "kv-cache", "llm", "inference")
    package_type = "library"
    languages = "C"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "openmp": [True, False]}
    default_options = {"shared": False, "fPIC": True, "openmp": False}
    implements = ["auto_shared_fpic"]

    def set_version(self):
        self.version = self.version or next(iter(self.conan_data["sources"]))

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["SINKATTN_OPENMP"] = bool(self.options.openmp)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        # Conan writes these itself, for the build that asks.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["sinkattn"]
        self.cpp_info.set_property("cmake_file_name", "sinkattn")
        self.cpp_info.set_property("cmake_target_name", "sinkattn::sinkattn")
        self.cpp_info.set_property("pkg_config_name", "sinkattn")
        if self.options.shared:
            self.cpp_info.defines = ["SA_SHARED"]
        elif self.settings.get_safe("compiler") != "msvc":
            self.cpp_info.system_libs = ["m"]
        if self.options.openmp and not self.options.shared and self.settings.get_safe("compiler") != "msvc":
            self.cpp_info.sharedlinkflags = ["-fopenmp"]
            self.cpp_info.exelinkflags = ["-fopenmp"]
