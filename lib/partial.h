/* States of attention over some of the keys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_PARTIAL_H
#define SAI_PARTIAL_H

#include "../include/sinkattn.h"

/* max + ln(sum), -infinity for an empty state. */
float sai_log_sum_exp(float max, float sum);

#endif
