#!/bin/sh
# Writes lib/kernels/names.h from the sources beside it: run it when a function or a type of a vector layer or of the
# kernels got another name. A gate tells when that was forgotten.
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")" || exit 1
cat <<'HEAD'
/* Gives the functions and types of a vector layer and of the kernels the suffix of their instruction set.
 *
 * SPDX-License-Identifier: MIT
 *
 * Written by names.sh; do not edit. The kernels are one source, compiled once per instruction set, and several of them
 * stand in one translation unit. SAI_SUFFIX says which one: a macro is expanded where it is used, so these names follow
 * SAI_SUFFIX without being defined again.
 */
#ifndef SAI_NAMES_H
#define SAI_NAMES_H

#define SAI_PASTE_2(name, suffix) name##_##suffix
#define SAI_PASTE(name, suffix) SAI_PASTE_2(name, suffix)
#define SAI_NAME(name) SAI_PASTE(name, SAI_SUFFIX)

/* k_<stem>_<suffix>, and k_<stem>_<dtype>_<suffix> of the dtype that K_DTYPE names. */
#define SAI_KERNEL_2(stem, suffix) k_##stem##_##suffix
#define SAI_KERNEL(stem, suffix) SAI_KERNEL_2(stem, suffix)
#define K_NAME_3(stem, dtype, suffix) k_##stem##_##dtype##_##suffix
#define K_NAME_2(stem, dtype, suffix) K_NAME_3(stem, dtype, suffix)
#define K_NAME(stem) K_NAME_2(stem, K_DTYPE, SAI_SUFFIX)

HEAD
# Definitions begin in the first column and have their name in the same line; so do typedefs and the ends of structs.
sed -n -e 's/^\(static\|static inline\|V_INLINE\) [^(]*[ *]\([vk]_[a-z0-9_]*\)(.*/\2/p' \
    -e 's/^typedef .*[ *]\(v[0-9_][a-z0-9_]*\)\( __attribute__.*\)*;$/\1/p' \
    -e 's/^} \(v[0-9_][a-z0-9_]*\);$/\1/p' vec_*.h floats.h integer_codes.h quantize.h rotate.h products.h many.h \
    integers.h | LC_ALL=C sort -u | sed 's/.*/#define & SAI_NAME(&)/'
printf '\n#endif\n'
