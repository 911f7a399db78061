#!/usr/bin/env python3
"""Writes unicode_ranges.h: where runs of letters and of numbers begin and end in Unicode.

SPDX-License-Identifier: MIT
"""
import sys
import unicodedata


def borders(major):
    """Code points at which membership in a general category (L or N) changes, starting outside."""
    inside, found = False, []
    for point in range(sys.maxunicode + 1):
        if (unicodedata.category(chr(point))[0] == major) != inside:
            inside = not inside
            found.append(point)
    return found


def table(name, values):
    lines, line = [], "   "
    for value in values:
        item = " 0x%x," % value
        if len(line) + len(item) > 120:
            lines.append(line)
            line = "   "
        line += item
    return "static const uint32_t %s[] = {\n%s\n};\n" % (name, "\n".join(lines + [line]))


print("/*\n * Where runs of letters and of numbers begin and end; made by unicode_ranges.py from Unicode %s.\n"
      " *\n * SPDX-License-Identifier: MIT\n */\n/* clang-format off */" % unicodedata.unidata_version)
print(table("letter_borders", borders("L")))
print(table("number_borders", borders("N")) + "/* clang-format on */")
