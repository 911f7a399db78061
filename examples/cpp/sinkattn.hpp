/**
 * @file sinkattn.hpp
 * sinkattn for C++17: what lives is owned, what is lent is a span with its length, and every call says whether it went
 * well. No exceptions and no run-time type information are needed.
 *
 * SPDX-License-Identifier: MIT
 *
 * The manual of what the calls do is sinkattn.h; names are the same here. What C++ adds:
 *
 *   ownership  A cache or pool ends with its object. A sequence keeps its pool's memory alive, so the order of
 *              destruction does not matter.
 *   lengths    Arrays come as spans: any container with data() and size(). A length that does not fit is refused, with
 *              a sentence, before the library sees the pointer.
 *   types      Enumerations cannot be mixed up, and the element type of a tensor is that of its span.
 *   errors     A status, or a result with a value, both [[nodiscard]]. or_throw() turns them into exceptions.
 *
 * Threads: a pool with all its sequences belongs to one call at a time, also for forking and closing.
 */
#ifndef SINKATTN_HPP
#define SINKATTN_HPP

#include "sinkattn/base.hpp"
#include "sinkattn/cache.hpp"
#include "sinkattn/config.hpp"
#include "sinkattn/pool.hpp"
#include "sinkattn/step.hpp"

#endif
