#!/bin/sh
# What Doxygen reads of a file: rope_* and recent_*_dtype are names there, not emphasis. SPDX-License-Identifier: MIT
sed 's/_\*/_\\*/g; s/ \*_/ \\*_/g' "$1"
