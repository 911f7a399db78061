/* Prints the instruction sets that this build has here, the one that AUTO takes first.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "sinkattn.h"

int main(void) {
    printf("%s", sa_isa_name(sa_isa_best()));
    for (int isa = 1; isa < 32; isa++)
        if (sa_isa_available(isa) && isa != sa_isa_best()) printf(" %s", sa_isa_name(isa));
    printf("\n");
    return 0;
}
