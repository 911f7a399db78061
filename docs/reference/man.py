"""Writes the manual pages, section 3, from the comments of include/sinkattn.h into the folder named.

SPDX-License-Identifier: MIT

    python3 docs/reference/man.py FOLDER

A page for each function, struct and callback, one for all constants, and sinkattn(3), which leads to them.
"""

import re
import sys
from pathlib import Path

import header


def escape(text):
    """Text as roff takes it for what it is."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    )
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def prose(text):
    """Running text: names of the library in bold, `quoted` words in italics."""
    out = []
    for part in re.split(r"(`[^`\n]+`|\b(?:sa_\w+|SA_\w+)\b)", text):
        if re.fullmatch(r"`[^`]+`", part):
            out.append(f"\\fI{escape(part[1:-1])}\\fP")
        elif re.fullmatch(r"(?:sa|SA)_\w+", part):
            out.append(f"\\fB{escape(part)}\\fP")
        else:
            out.append(escape(part))
    return re.sub(r"^([.'])", r"\\&\1", "".join(out), flags=re.M)


def paragraphs(text):
    """Paragraphs, lists and what is indented, which stays as it stands."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.split("\n")
        while lines:
            if lines[0].startswith("- "):
                item = [lines.pop(0)[2:]]
                while lines and lines[0].startswith("  "):
                    item.append(lines.pop(0).strip())
                out.append(".IP \\(bu 2\n" + prose("\n".join(item)))
            elif lines[0].startswith("  "):
                shown = []
                while lines and lines[0].startswith("  "):
                    shown.append(escape(lines.pop(0)))
                out.append(".PP\n.RS 2\n.nf\n" + "\n".join(shown) + "\n.fi\n.RE")
            else:
                running = []
                while lines and not lines[0].startswith(("- ", "  ")):
                    running.append(lines.pop(0))
                out.append(".PP\n" + prose("\n".join(running)))
    return "\n".join(out)


def parts(doc):
    """A comment's text, its parameters, what it returns, and what stands behind."""
    body, params, returns, behind, now = [], {}, [], [], None
    for line in doc.split("\n"):
        tag = re.match(r"@(param (\w+)|return)\s+(.*)", line)
        if tag:
            now = params.setdefault(tag[2], []) if tag[2] else returns
            now.append(tag[3])
        elif now is None:
            body.append(line)
        elif now is not behind and not line.strip():
            now = behind
        elif now is behind:
            behind.append(line)
        else:
            now.append(line.strip())
    return "\n".join(body), {k: "\n".join(v) for k, v in params.items()}, "\n".join(returns), "\n".join(behind)


def brief(doc):
    """The first sentence, on one line, for NAME."""
    text = " ".join(doc.split("\n\n")[0].split())
    text = re.split(r"(?<=[.:;])\s", text)[0].rstrip(".:;").replace("`", "")
    return text[0].lower() + text[1:] if text[:2] != text[:2].upper() else text


def page(name, version, sections):
    """A whole page; sections are pairs of a title and roff."""
    out = [
        '.\\" Made from include/sinkattn.h by docs/reference/man.py. SPDX-License-Identifier: MIT',
        f'.TH {name} 3 "" "sinkattn {version}" "Library Functions Manual"',
    ]
    out += [f".SH {title}\n{body.removeprefix('.PP' + chr(10))}" for title, body in sections if body]
    return "\n".join(out) + "\n"


def synopsis(code):
    return (
        ".nf\n.B #include <sinkattn.h>\n.PP\n"
        + "\n".join("\\fB" + escape(x) + "\\fP" for x in code.split("\n") if x)
        + "\n.fi"
    )


def see(name, others):
    """Pages of the same section of the header."""
    names = [other for other in others if other != name] + ["sinkattn"]
    return "\n".join(f".BR {other} (3)" + ("," if other != names[-1] else "") for other in names)


def prototype(one):
    """A function's declaration, a parameter a line if it is long."""
    if len(one.declaration) < 76:
        return one.declaration
    first = one.declaration.index("(", one.declaration.index(one.name)) + 1
    return one.declaration[:first] + "\n" + re.sub(r",\s*", ",\n", one.declaration[first:])


def function_page(one, version, siblings):
    body, params, returns, behind = parts(one.doc)
    described = "\n".join(f".TP\n.I {name}\n{prose(text)}" for name, text in params.items())
    code = prototype(one).replace("\n", "\n    ")
    return page(
        one.name,
        version,
        [
            ("NAME", f"{one.name} \\- {escape(brief(body))}"),
            ("SYNOPSIS", synopsis(code)),
            ("DESCRIPTION", paragraphs(body)),
            ("PARAMETERS", described),
            ("RETURN VALUE", prose(returns) and ".PP\n" + prose(returns)),
            ("THREADS, TIME AND MEMORY", paragraphs(behind) if behind.strip() else ""),
            ("SEE ALSO", see(one.name, siblings)),
        ],
    )


def struct_page(one, version, siblings):
    fields = "\n".join(
        f".TP\n.B {escape(f.declaration)}\n" + paragraphs(f.doc).removeprefix(".PP\n") for f in one.fields
    )
    lines = [f"    {f.declaration}" for f in one.fields]
    code = "\n".join([f"typedef struct {one.name} {{", *lines, f"}} {one.name};"]) if one.fields else one.declaration
    return page(
        one.name,
        version,
        [
            ("NAME", f"{one.name} \\- {escape(brief(one.doc))}"),
            ("SYNOPSIS", synopsis(code)),
            ("DESCRIPTION", paragraphs(one.doc)),
            ("FIELDS", fields),
            ("SEE ALSO", see(one.name, siblings)),
        ],
    )


def constants_page(head):
    """All constants, group by group, and the macros."""
    out = []
    for group in head.groups:
        out.append(paragraphs(group.doc))
        for one in group.constants:
            out.append(f'.TP\n.BR {one.name} " = {escape(str(one.value))}"\n' + prose(one.doc or "See above."))
    macros = [f'.TP\n.BR {one.name} " = {escape(one.value)}"\n{prose(one.doc)}' for one in head.macros]
    return page(
        "sinkattn_constants",
        head.version,
        [
            ("NAME", "sinkattn_constants \\- statuses, dtypes, policies and all other numbers of sinkattn"),
            ("SYNOPSIS", ".B #include <sinkattn.h>"),
            ("DESCRIPTION", "\n".join(out)),
            ("MACROS", "\n".join(macros)),
            ("SEE ALSO", ".BR sinkattn (3)"),
        ],
    )


def overview_page(head, pages):
    """sinkattn(3): the header's first page, and the way to all others."""
    doc = re.sub(r"^@file.*\n", "", head.doc).replace("SPDX-License-Identifier: MIT\n", "")
    first, rest = doc.split("\n", 1)
    listed = []
    for section, ones in pages.items():
        listed.append(f".SS {escape(section)}")
        listed += [f".TP\n.BR {one.name} (3)\n{escape(brief(one.doc))}" for one in ones]
    build = ".SS Building\n.nf\ncc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs sinkattn)\n.fi"
    return page(
        "sinkattn",
        head.version,
        [
            ("NAME", f"sinkattn \\- {escape(brief(first))}"),
            ("SYNOPSIS", ".B #include <sinkattn.h>"),
            ("DESCRIPTION", paragraphs(first + "\n" + rest) + "\n" + build),
            ("PAGES", "\n".join(listed)),
            ("SEE ALSO", ".BR sinkattn_constants (3)"),
        ],
    )


def write_pages(head, out):
    pages = {}
    for one in sorted([*head.functions, *head.structs, *head.callbacks], key=lambda one: head.order.index(one.name)):
        pages.setdefault(one.section, []).append(one)
    written = {"sinkattn": overview_page(head, pages), "sinkattn_constants": constants_page(head)}
    for ones in pages.values():
        names = [one.name for one in ones]
        for one in ones:
            write = struct_page if isinstance(one, header.Struct) else function_page
            written[one.name] = write(one, head.version, names)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / f"{name}.3").write_text(text, encoding="ascii")


if __name__ == "__main__":
    write_pages(header.read(), Path(sys.argv[1]))
