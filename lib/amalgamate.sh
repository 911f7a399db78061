#!/bin/sh
# Writes the library as two files, sinkattn.c and sinkattn.h, into the folder named.
# SPDX-License-Identifier: MIT
#
# A file with an include guard is pasted where it is first included. One without a guard is a template: it stands once,
# as a numbered part behind all other code, and where it is included, sinkattn.c includes itself with SAI_PART set to
# that number. Functions whose names begin with sai_ become static.
out=${1:?usage: sh lib/amalgamate.sh FOLDER}
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
sources=$(sed -n 's/^[[:space:]]*\(lib\/[^ ]*\.c\).*/\1/p' lib/sources.mk)
mkdir -p "$out" || exit 1

cp include/sinkattn.h "$out/sinkattn.h" || exit 1
awk -v version="$version" '
# The path of an included file: beside the includer, or in lib/, or the public header.
function find(name, from,   dir, path) {
    dir = from
    sub(/[^\/]*$/, "", dir)
    path = dir name
    while (path ~ /\/[^\/.]+\/\.\.\//) sub(/\/[^\/.]+\/\.\.\//, "/", path)
    if (exists(path)) return path
    if (exists("lib/" name)) return "lib/" name
    print from ": cannot find \"" name "\"" > "/dev/stderr"
    exit failed = 1
}
function exists(path,   line, found) {
    found = (getline line < path) >= 0
    close(path)
    return found
}
function is_guarded(path,   line, guard) {
    while ((getline line < path) > 0)
        if (line ~ /^#ifndef [A-Z0-9_]+_H$/) { guard = 1; break }
    close(path)
    return guard
}
# Where part number `now` (0: none) includes a template: this file includes itself.
function use(path, now) {
    if (!(path in part)) {
        part[path] = ++n_parts
        path_of[n_parts] = path
    }
    if (now) print "#undef SAI_PART"
    print "#define SAI_PART " part[path] " /* " path " */"
    print "#include SA_THIS_FILE"
    print "#undef SAI_PART"
    if (now) print "#define SAI_PART " now
}
# A line of a file, but for empty ones and the licence, which stands once at the top.
function put(line) {
    if (line ~ /SPDX-License-Identifier/) licence = 1
    else if (line != "" && !(licence && line == " *")) print line
    if (line !~ /SPDX-License-Identifier/) licence = 0
}
# own: the #if depth that the guard of the file itself adds
function paste(path, depth, now,   line, name, own) {
    if (path in pasted) return
    own = is_guarded(path)
    if (own && now) {
        print path ": is first included by a template, " path_of[now] > "/dev/stderr"
        exit failed = 1
    }
    if (own && depth == 0) pasted[path] = 1
    print "/* ---- " path " ---- */"
    while ((getline line < path) > 0) {
        if (line ~ /^#[ ]*if/) depth++
        if (line ~ /^#[ ]*endif/) depth--
        if (line ~ /^#[ ]*include[ ]*"/) {
            name = line
            sub(/^[^"]*"/, "", name)
            sub(/".*$/, "", name)
            if (name ~ /(^|\/)sinkattn\.h$/) continue
            name = find(name, path)
            if (is_guarded(name)) paste(name, depth - own, now)
            else use(name, now)
        } else {
            if (line ~ /^[a-z][A-Za-z0-9_ ]*[ *]sai_[a-z0-9_]*\(/ && line !~ /^(static|typedef|return|else) /)
                line = "static " line
            put(line)
        }
    }
    close(path)
}
BEGIN {
    print "/* sinkattn " version " in one file: compile it with sinkattn.h beside it, link libm."
    print " *"
    print " * SPDX-License-Identifier: MIT"
    print " *"
    print " * Made from the sources of the library by lib/amalgamate.sh. Under another name than sinkattn.c this file needs"
    print " * SA_THIS_FILE defined to that name, in quotes: it includes itself, once per instruction set."
    print " */"
    print "#if defined(__cplusplus)"
    print "#error \"sinkattn.c is C: compile it with a C compiler. sinkattn.h is for C++ as well\""
    print ""
    print "#elif !defined(SAI_PART)"
    print "#ifndef SA_THIS_FILE"
    print "#define SA_THIS_FILE \"sinkattn.c\""
    print "#endif"
    print "#define SAI_ONE_FILE 1"
    print "#if defined(__linux__) && !defined(_DEFAULT_SOURCE)"
    print "#define _DEFAULT_SOURCE 1 /* before the first system header: lib/memory.c asks for large pages */"
    print "#endif"
    print "#include \"sinkattn.h\""
    for (i = 1; i < ARGC; i++) paste(ARGV[i], 0, 0)
    for (i = 1; i <= n_parts; i++) {
        print ""
        print "#elif SAI_PART == " i
        paste(path_of[i], 0, i)
    }
    print ""
    print "#endif"
    exit failed
}' $sources >"$out/sinkattn.c.part" && mv "$out/sinkattn.c.part" "$out/sinkattn.c"
