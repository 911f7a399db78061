#!/bin/sh
# What Doxygen reads of a file. SPDX-License-Identifier: MIT
case $1 in
# rope_* and recent_*_dtype are names, not emphasis.
*.h) sed 's/_\*/_\\*/g; s/ \*_/ \\*_/g' "$1" ;;
# The folders of examples are no part of these pages, whose links would lead to nothing.
*) sed 's|\[\([^]]*\)\]([^)]*examples/[^)]*\.md)|\1|g' "$1" ;;
esac
