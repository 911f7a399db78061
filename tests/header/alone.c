/* The header, first and alone. SPDX-License-Identifier: MIT */
#include "sinkattn.h"

extern int sa_test_header;
int sa_test_header = SA_VERSION_NUMBER;
