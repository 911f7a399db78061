#!/bin/sh
# Writes the library as two files, sinkattn.c and sinkattn.h, into the folder named.
# SPDX-License-Identifier: MIT
#
# Every #include "..." of ours is replaced by the file. A file that has an include guard and has
# already been pasted outside of any #if is not pasted again.
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
# own: the #if depth that the guard of the file itself adds
function paste(path, depth,   line, name, own) {
    if (path in pasted) return
    own = is_guarded(path)
    if (own && depth == 0) pasted[path] = 1
    print "/* ---- " path " ---- */"
    while ((getline line < path) > 0) {
        if (line ~ /^#[ ]*if/) depth++
        if (line ~ /^#[ ]*endif/) depth--
        if (line ~ /^#[ ]*include[ ]*"/) {
            name = line
            sub(/^[^"]*"/, "", name)
            sub(/".*$/, "", name)
            if (name !~ /(^|\/)sinkattn\.h$/) paste(find(name, path), depth - own)
        } else {
            print line
        }
    }
    close(path)
}
BEGIN {
    print "/* sinkattn " version " in one file: compile it with sinkattn.h beside it, link libm."
    print " *"
    print " * SPDX-License-Identifier: MIT"
    print " *"
    print " * Made from the sources of the library by lib/amalgamate.sh."
    print " */"
    print "#if defined(__linux__) && !defined(_DEFAULT_SOURCE)"
    print "#define _DEFAULT_SOURCE 1 /* before the first system header: lib/memory.c asks for large pages */"
    print "#endif"
    print "#include \"sinkattn.h\""
    for (i = 1; i < ARGC; i++) paste(ARGV[i], 0)
    exit failed
}' $sources >"$out/sinkattn.c.part" && mv "$out/sinkattn.c.part" "$out/sinkattn.c"
