//go:build sinkattn_system

package sinkattn

// The library is the installed one. SPDX-License-Identifier: MIT

// #cgo pkg-config: sinkattn
import "C"
