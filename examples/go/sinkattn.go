// Package sinkattn is the key/value cache and attention of a transformer that never stops: the first tokens of a stream
// (the attention sinks) and the newest ones, in constant memory and constant time per token.
//
// What the calls do is said in sinkattn.h, the manual of the C library. What Go adds:
//
//   - A Cache or Pool has a Close, and is closed when it is garbage. A sequence keeps its pool's memory; what is closed
//     refuses every call.
//   - Tensors are slices, pinned for the call. Their lengths are checked against the layer's shape. Keys and values live
//     in memory of C, one block of known size, which the garbage collector never looks at.
//   - Calls on one pool wait for each other, so sequences may be used from any goroutines.
//   - Every error is an *Error with the library's sentence; errors.Is tells the kinds apart.
//
// SPDX-License-Identifier: MIT
package sinkattn

// #include <sinkattn.h>
import "C"

import "fmt"

// Status is what kind of refusal an Error is. errors.Is(err, sinkattn.ErrDepth) asks for it.
type Status int32

// The kinds of refusals.
const (
	ErrArgument   Status = C.SA_ERR_ARGUMENT    // an argument is out of range, or a slice's length does not fit
	ErrConfig     Status = C.SA_ERR_CONFIG      // a field of the config is wrong
	ErrStructSize Status = C.SA_ERR_STRUCT_SIZE // the library is older than this package
	ErrMemory     Status = C.SA_ERR_MEMORY      // there is no memory
	ErrBuffer     Status = C.SA_ERR_BUFFER      // a slice is too small
	ErrAlignment  Status = C.SA_ERR_ALIGNMENT   // a pointer or stride is not a multiple of what is required
	ErrISA        Status = C.SA_ERR_ISA         // the instruction set asked for is not available here
	ErrFormat     Status = C.SA_ERR_FORMAT      // saved data is damaged, none of ours, or of an unknown version
	ErrState      Status = C.SA_ERR_STATE       // not now; or it has been closed
	ErrOverflow   Status = C.SA_ERR_OVERFLOW    // a size does not fit the address space, or a position 2^62
	ErrFull       Status = C.SA_ERR_FULL        // no room: a dense layer for these tokens, a layer for another span or pin
	ErrDepth      Status = C.SA_ERR_DEPTH       // needs tokens that are no longer held, or that have never come
	ErrPool       Status = C.SA_ERR_POOL        // the pool has no free tile, or no free sequence
)

// Error is the status's own sentence.
func (s Status) Error() string { return C.GoString(C.sa_status_string(C.sa_status(s))) }

// Error says why a call was refused; nothing has changed.
type Error struct {
	Status   Status
	Sentence string // which argument is wrong, and why
	Layer    int    // of a config: the layer concerned; -1 otherwise
}

func (e *Error) Error() string {
	if e.Layer >= 0 {
		return fmt.Sprintf("layer %d: %s", e.Layer, e.Sentence)
	}
	return e.Sentence
}

// Unwrap lets errors.Is find the status.
func (e *Error) Unwrap() error { return e.Status }

func refuse(status Status, sentence string) error { return &Error{status, sentence, -1} }

// plain is the error of a status that leaves no sentence of its own.
func plain(status C.sa_status) error {
	if status == C.SA_SUCCESS {
		return nil
	}
	return refuse(Status(status), Status(status).Error())
}

// Version of the C library, "major.minor.patch".
func Version() string { return C.GoString(C.sa_version_string()) }

// ISA is an instruction set, a number that the library knows.
type ISA int32

// Two of them: the best that there is, and the definition of the bits.
const (
	ISAAuto  ISA = C.SA_ISA_AUTO
	ISAPlain ISA = C.SA_ISA_PLAIN
)

// BestISA is what ISAAuto takes here.
func BestISA() ISA { return ISA(C.sa_isa_best()) }

// Available tells whether this build and processor have it.
func (i ISA) Available() bool { return C.sa_isa_available(C.int32_t(i)) != 0 }

func (i ISA) String() string { return C.GoString(C.sa_isa_name(C.int32_t(i))) }
