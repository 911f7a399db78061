"""Compares what other languages say of the library with docs/api.json: names, and numbers that stand beside names.

SPDX-License-Identifier: MIT

    python3 docs/reference/bindings.py FOLDER...

Prints a line for each name that the header does not have and for each wrong number, and for each folder a line that
begins with "#": how many functions it names, and which not. (Sizes and places each language's own tests compare, with
tests/abi/layout.c: they need its compiler.)
"""

import json
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TEXT = {".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".java", ".js", ".mjs", ".py", ".pyi", ".rs", ".ts", ".zig"}
BUILT = {"target", "node_modules", "build", "__pycache__"}
# What bindings add, in the manner of the library: a status that they do not know.
OF_BINDINGS = {"SA_ERR_UNKNOWN"}
# A whole name, also behind the underscore that a linker puts before it.
NAME = re.compile(r"(?<![A-Za-z0-9_])_?((?:sa|SA)_\w*[A-Za-z0-9])\b")
# SA_F32 = 1, SA_F32: i32 = 1, SA_F32(1); and SA_F32: 1, but not the end of a choice: x ? SA_F32 : 1.
NUMBERED = re.compile(r"\b(SA_\w+)[\"']?(?:(?:\s*:\s*[a-z]\w*)?\s*[=(]|:)\s*(-?(?:0x[0-9A-Fa-f]+|\d+))(?![\w.])")


class Api:
    """What there is to name."""

    def __init__(self):
        api = json.loads((TOP / "docs" / "api.json").read_text(encoding="utf-8"))
        self.numbers = {one["name"]: one["value"] for one in api["constants"]}
        self.functions = {one["name"] for one in api["functions"]}
        # Whatever stands in the header, the build and README: types, macros of the build.
        files = ["include/sinkattn.h", "README.md", "CMakeLists.txt", "Makefile", "lib/amalgamate.sh"]
        text = "".join((TOP / file).read_text(encoding="utf-8") for file in files)
        self.names = set(re.findall(r"\b(?:sa|SA)_\w+", text)) | set(self.numbers) | OF_BINDINGS


def sources(folder):
    for path in sorted(Path(folder).rglob("*")):
        inside = path.relative_to(folder).parts
        if path.suffix in TEXT and not any(part in BUILT or part.startswith(".") for part in inside):
            yield path, path.read_text(encoding="utf-8")


def compare(api, folder):
    named, faults = set(), []
    for path, text in sources(folder):
        for name in sorted(set(NAME.findall(text))):
            named.add(name)
            if name not in api.names:
                faults.append(f"{path}: {name} is not in the header")
        for name, number in NUMBERED.findall(text):
            if api.numbers.get(name, int(number, 0)) != int(number, 0):
                faults.append(f"{path}: {name} is {api.numbers[name]}, not {number}")
    missing = sorted(api.functions - named)
    note = f"# {folder}: {len(api.functions) - len(missing)} of {len(api.functions)} functions are named"
    return faults, note + (f"; not {', '.join(missing)}" if missing else "")


def main():
    api = Api()
    for folder in sys.argv[1:]:
        faults, note = compare(api, folder)
        print("\n".join([*faults, note]))


if __name__ == "__main__":
    main()
