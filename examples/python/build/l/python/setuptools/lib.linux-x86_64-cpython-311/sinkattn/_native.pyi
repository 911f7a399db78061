# The extension module that setup.py builds with cffi from the C header. SPDX-License-Identifier: MIT
from typing import Any

ffi: Any
lib: Any
