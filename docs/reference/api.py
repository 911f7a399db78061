"""Writes docs/api.json: what a binding has to know of include/sinkattn.h, for machines to read.

SPDX-License-Identifier: MIT

    python3 docs/reference/api.py              prints it
    python3 docs/reference/api.py --check      prints C that compiles if and only if docs/api.json says what the header says
    python3 docs/reference/api.py --layout     prints the lines of tests/abi/layout.c that docs/api.json gives
"""

import json
import sys

import header


def parameter(one):
    return {"name": one.name, "type": one.type}


def function(one):
    return {"name": one.name, "returns": one.returns, "parameters": [parameter(p) for p in one.parameters]}


def describe(head):
    """The whole of docs/api.json."""
    return {
        "about": "Made from include/sinkattn.h by docs/reference/api.py. Sizes and offsets are bytes, for machines of 64 "
        "bits, of 32 bits with 64-bit numbers at multiples of 8 (ARM, RISC-V, WebAssembly), and i386.",
        "version": head.version,
        "types": [{"name": one.name, "type": one.type} for one in head.types],
        "constants": [{"name": one.name, "value": one.value} for one in head.constants],
        "macros": [{"name": one.name, "value": one.value} for one in head.macros],
        "opaque": [one.name for one in head.structs if not one.fields],
        "structs": [
            {
                "name": one.name,
                "size": one.size,
                "fields": [{"name": f.name, "type": f.type, "offset": f.offset} for f in one.fields],
            }
            for one in head.structs
            if one.fields
        ],
        "callbacks": [function(one) for one in head.callbacks],
        "functions": [function(one) for one in head.functions],
    }


def write(api):
    """As JSON, with a line for each thing, so that changes can be read."""
    lines = []
    for key, value in api.items():
        if isinstance(value, str):
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
        else:
            items = ",\n".join("    " + write_item(item) for item in value)
            lines.append(f"  {json.dumps(key)}: [\n{items}\n  ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_item(item):
    """One line; a struct and a function with parameters have one for each field and parameter too."""
    inner = next((key for key in ("fields", "parameters") if item and isinstance(item, dict) and item.get(key)), None)
    if not inner:
        return json.dumps(item)
    head = json.dumps({key: value for key, value in item.items() if key != inner})[:-1]
    rows = ",\n".join("      " + json.dumps(row) for row in item[inner])
    return f"{head}, {json.dumps(inner)}: [\n{rows}\n    ]}}"


def declare(type_text, name):
    """A C declaration; a pointer to a function has its name inside."""
    return type_text.replace("*)", f"*{name})", 1) if "(*" in type_text else f"{type_text} {name}"


def pointer_to(type_text):
    return type_text.replace("(*", "(**", 1) if "(*" in type_text else f"{type_text} *"


def by_machine(numbers):
    """An expression for the number that holds where it is compiled."""
    return f"BY_MACHINE({numbers['64']}, {numbers['32']}, {numbers['i386']})"


def prototype(one, name):
    return f"{one['returns']} {name}({', '.join(declare(p['type'], p['name']) for p in one['parameters']) or 'void'});"


CHECK_BEGINS = """#include <sinkattn.h>
#define SAME(name, a, b) typedef char name[(a) == (b) ? 1 : -1];
#define BY_MACHINE(b64, b32, i386) (sizeof(void *) == 8 ? (b64) : sizeof(struct align64) == 16 ? (b32) : (i386))
struct align64 { int32_t first; int64_t second; };
"""


def write_check(api):
    """C that says everything once more beside the header: the compiler compares."""
    out = [f"SAME(number_{one['name']}, {one['name']}, {one['value']})" for one in api["constants"]]
    out += [f"SAME(macro_{one['name']}, {one['name']}, {one['value']})" for one in api["macros"]]
    out += [f"typedef {one['type']} {one['name']};" for one in api["types"]]
    for struct in api["structs"]:
        name = struct["name"]
        out.append(f"SAME(size_{name}, sizeof({name}), {by_machine(struct['size'])})")
        for one in struct["fields"]:
            place = f"offsetof({name}, {one['name']}), {by_machine(one['offset'])}"
            out.append(f"SAME(place_{name}_{one['name']}, {place})")
        out.append(f"void fields_of_{name}({name} *at);\nvoid fields_of_{name}({name} *at) {{")
        out += [
            f"    {declare(pointer_to(one['type']), one['name'])} = &at->{one['name']};" for one in struct["fields"]
        ]
        out += [f"    (void){one['name']};" for one in struct["fields"]] + ["}"]
    out += ["typedef " + prototype(one, f"(*{one['name']})") for one in api["callbacks"]]
    out += [prototype(one, one["name"]) for one in api["functions"]]
    return CHECK_BEGINS + "\n".join(out) + "\n"


def write_layout(api):
    """The lines of tests/abi/layout.c: sizes, places and numbers."""

    def columns(numbers):
        return ", ".join(str(numbers[machine]) for machine in header.MACHINES)

    out = []
    for struct in api["structs"]:
        out.append(f"SIZE({struct['name']}, {columns(struct['size'])})")
        out += [f"FIELD({struct['name']}, {one['name']}, {columns(one['offset'])})" for one in struct["fields"]]
    out += [f"NUMBER({one['name']}, {one['value']})" for one in api["constants"]]
    return "\n".join(out) + "\n"


def main():
    committed = header.TOP / "docs" / "api.json"
    if sys.argv[1:] == ["--check"]:
        sys.stdout.write(write_check(json.loads(committed.read_text(encoding="ascii"))))
    elif sys.argv[1:] == ["--layout"]:
        sys.stdout.write(write_layout(json.loads(committed.read_text(encoding="ascii"))))
    else:
        sys.stdout.write(write(describe(header.read())))


if __name__ == "__main__":
    main()
