//go:build !sinkattn_system

package sinkattn

// The library is built from the repository's sources. (With the build tag sinkattn_system it is the installed one, which
// pkg-config finds.) SPDX-License-Identifier: MIT

// #cgo CFLAGS: -I${SRCDIR}/../../include
import "C"

import _ "example.com/sinkattn/internal/clib" // its objects are linked in
