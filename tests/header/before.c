/* The header before the system headers that have sa_ and SA_ names of their own. SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "sinkattn.h"
#include <signal.h>
#include <sys/socket.h>

extern int sa_test_header;
int sa_test_header = SA_VERSION_NUMBER + (SA_RESTART > 0);
