// Package clib builds the C library from the repository's sources. It has a package of its own so that it is built once,
// however often the Go code over it changes.
//
// SPDX-License-Identifier: MIT
package clib

// #cgo CFLAGS: -O3 -std=gnu99 -I${SRCDIR}/../../../../include -DSA_BUILDING
// #cgo LDFLAGS: -lm
import "C"
