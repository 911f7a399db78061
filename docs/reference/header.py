"""Reads include/sinkattn.h: its functions, structs, constants and callbacks, each with its comment.

SPDX-License-Identifier: MIT

This is no parser of C, but of the C that the header is written in; what it does not know is an error. Places of fields
are worked out for three kinds of machine: "64", "32" (64-bit numbers at multiples of 8: ARM, RISC-V, WebAssembly) and
"i386" (at multiples of 4).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

MACHINES = {"64": (8, 8), "32": (4, 8), "i386": (4, 4)}  # bytes of a pointer, alignment of 64-bit numbers
TOP = Path(__file__).resolve().parents[2]


@dataclass
class Value:
    """A thing with a type and a name: a parameter or a field."""

    name: str
    type: str
    doc: str = ""
    declaration: str = ""  # as it stands in the header
    offset: dict = field(default_factory=dict)  # of a field, by machine


@dataclass
class Constant:
    """A constant of an enum; or a macro with a comment, whose value is C's text."""

    name: str
    value: int | str
    doc: str


@dataclass
class Group:
    """Constants of one enum."""

    doc: str
    section: str
    constants: list


@dataclass
class Struct:
    """A struct whose fields are public; of an opaque one, fields is empty."""

    name: str
    doc: str
    section: str
    declaration: str
    fields: list
    size: dict = field(default_factory=dict)


@dataclass
class Function:
    """A function, or the type of a callback."""

    name: str
    returns: str
    parameters: list
    doc: str
    section: str
    declaration: str


@dataclass
class Header:
    """All that the header says."""

    doc: str = ""
    version: str = ""
    macros: list = field(default_factory=list)
    types: list = field(default_factory=list)
    groups: list = field(default_factory=list)
    structs: list = field(default_factory=list)
    functions: list = field(default_factory=list)
    callbacks: list = field(default_factory=list)
    order: list = field(default_factory=list)  # names of all declarations, as they come

    @property
    def constants(self):
        """The constants of all groups."""
        return [constant for group in self.groups for constant in group.constants]


def comment_text(comment):
    """A comment without its marks: /**, /**< and the stars at the beginning of lines."""
    body = re.sub(r"^/\*\*<?|\*/$", "", comment.strip())
    lines = [re.sub(r"^\s*\* ?", "", line) if i else line.strip() for i, line in enumerate(body.split("\n"))]
    if "/**<" in comment or not re.search(r"\n\s*\*", comment):
        lines = [line.strip() for line in lines]
    return "\n".join(line.rstrip() for line in lines).strip()


def without_comments(text):
    """Text on one line, without comments."""
    return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.S).split())


def value(text):
    """A parameter or field from its declaration, such as "const float *lse" or "void (*free)(void *user)"."""
    pointer = re.fullmatch(r"(.*)\(\*(\w+)\)(\(.*\))", text)
    if pointer:
        return Value(pointer[2], f"{pointer[1].strip()} (*){pointer[3]}")
    plain = re.fullmatch(r"(.*?)(\w+)", text)
    if not plain or not plain[1].strip():
        raise ValueError(f"no type and name: {text}")
    return Value(plain[2], plain[1].strip())


def parameters(text):
    """The parameters between the brackets of a function."""
    return [] if text.strip() == "void" else [value(part.strip()) for part in text.split(",")]


def scan(text):
    """(kind, text) of each comment, preprocessor line and declaration at the outermost level."""
    at = 0
    while at < len(text):
        comment = re.compile(r"/\*.*?\*/", re.S).match(text, at)
        if text[at].isspace():
            at += 1
        elif comment:
            yield "comment", comment[0]
            at = comment.end()
        elif text[at] == "#":
            line = re.compile(r"#(?:[^\n\\]|\\\n|\\.)*").match(text, at)
            yield "directive", line[0]
            at = line.end()
        elif text.startswith('extern "C" {', at):
            at += len('extern "C" {')
        elif text[at] == "}":
            at += 1
        else:
            end, depth = at, 0
            while depth or text[end] != ";":
                if text.startswith("/*", end):
                    end = text.index("*/", end) + 1
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            yield "declaration", text[at : end + 1]
            at = end + 1


def read_struct(text, doc, section):
    """A struct with its fields."""
    name, body = re.match(r"typedef struct (\w+) \{(.*)\} \w+;$", text, re.S).groups()
    pending, fields = "", []
    pattern = r"(?P<comment>/\*.*?\*/)|(?P<member>[^;/]+;)"
    for part in re.finditer(pattern, body, re.S):
        comment, member = part["comment"], part["member"]
        if comment and comment.startswith("/**<"):
            fields[-1].doc = comment_text(comment)
        elif comment:
            pending = comment_text(comment) if comment.startswith("/**") else ""
        else:
            declaration = " ".join(member.split())
            one = value(declaration[:-1])
            one.doc, one.declaration, pending = pending, declaration, ""
            fields.append(one)
    return Struct(name, doc, section, text, fields)


def read_enum(text, doc, section):
    """The constants of an enum, each of which has its number."""
    constants = []
    body = text[text.index("{") + 1 : text.rindex("}")]
    for part in re.finditer(r"(?P<comment>/\*.*?\*/)|(?P<name>\w+)\s*=\s*(?P<number>-?\d+)", body, re.S):
        if part["name"]:
            constants.append(Constant(part["name"], int(part["number"]), ""))
        elif part["comment"].startswith("/**<"):
            constants[-1].doc = comment_text(part["comment"])
    if len(constants) != without_comments(body).strip(" ,").count(",") + 1:
        raise ValueError(f"an enum with constants that have no number: {text}")
    return Group(doc, section, constants)


def read_declaration(header, text, doc, section):
    """Puts a declaration where it belongs."""
    flat = without_comments(text)
    header.order += re.findall(r"\w+(?=\()|\w+(?=\)\()|\w+(?=;$)", re.sub(r"\{.*\}", "", flat))
    function = re.fullmatch(r"SA_API (.*?)(\w+)\((.*)\);", flat)
    callback = re.fullmatch(r"typedef (.*?)\(\*(\w+)\)\((.*)\);", flat)
    opaque = re.fullmatch(r"typedef struct (\w+) \1;", flat)
    alias = re.fullmatch(r"typedef (\w+) (\w+);", flat)
    if flat.startswith("enum {"):
        header.groups.append(read_enum(text, doc, section))
    elif "{" in flat:
        header.structs.append(read_struct(text, doc, section))
    elif function or callback:
        returns, name, inside = (function or callback).groups()
        where = header.functions if function else header.callbacks
        where.append(Function(name, returns.strip(), parameters(inside), doc, section, flat.replace("SA_API ", "")))
    elif opaque:
        header.structs.append(Struct(opaque[1], doc, section, flat, []))
    elif alias:
        header.types.append(Value(alias[2], alias[1], doc, flat))
    else:
        raise ValueError(f"what is this? {flat}")


def lay_out(header):
    """Sizes and places, by machine: each member at the next multiple of its alignment."""
    for machine, (pointer, align64) in MACHINES.items():
        known = {name: (4, 4) for name in ("int32_t", "uint32_t", "float")}
        known |= {name: (8, align64) for name in ("int64_t", "uint64_t", "double")}
        known |= {name: (pointer, pointer) for name in ["size_t"] + [one.name for one in header.callbacks]}
        for struct in header.structs:
            at, most = 0, 1
            for one in struct.fields:
                is_pointer = one.type.endswith("*") or "(*)" in one.type or one.type.endswith("*const")
                size, align = (pointer, pointer) if is_pointer else known[one.type]
                at = -(-at // align) * align
                one.offset[machine] = at
                at, most = at + size, max(most, align)
            struct.size[machine] = -(-at // most) * most
            known[struct.name] = (struct.size[machine], most)


def read(path=TOP / "include" / "sinkattn.h"):
    """The header's model."""
    header, doc, section, before = Header(), "", "", ""
    for kind, text in scan(Path(path).read_text(encoding="ascii")):
        macro = re.match(r"#define (SA_\w+)\s+(.*)", text) if kind == "directive" and doc else None
        if kind == "declaration":
            read_declaration(header, text, doc, section)
        elif macro:
            header.macros.append(Constant(macro[1], macro[2], doc))
        elif kind == "comment" and text.startswith("/* ---"):
            continue
        elif kind == "comment" and not text.startswith("/**"):
            line = " ".join(re.sub(r"[/*]", " ", text).split())
            section, before = f"{section} {line}" if before == "title" else line, "title"
            continue
        before = kind
        if kind == "comment" and text.startswith("/**"):
            doc = comment_text(text)
            if not header.doc:
                header.doc, doc = doc, ""
        else:
            doc = ""
    numbers = {macro.name: macro.value for macro in header.macros}
    header.version = ".".join(numbers[f"SA_VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH"))
    lay_out(header)
    return header
