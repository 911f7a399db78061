package sinkattn

// Tensors of the host: slices with an element type, contiguous or with strides. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// F16 is IEEE binary16 as bits.
type F16 uint16

// BF16 is bfloat16 as bits.
type BF16 uint16

// Element is an element of a host tensor.
type Element interface{ float32 | F16 | BF16 }

// Tensor is a tensor (tokens, heads, dim) of the host. The zero value is none. It keeps the slice alive.
type Tensor struct {
	data               unsafe.Pointer
	len, size          int
	dtype              DType
	strided            bool
	token, head, first int
}

// Of is a contiguous tensor of all elements of a slice.
func Of[T Element](s []T) Tensor {
	var zero T
	t := Tensor{data: unsafe.Pointer(unsafe.SliceData(s)), len: len(s), size: int(unsafe.Sizeof(zero))}
	switch any(zero).(type) {
	case float32:
		t.dtype = F32Type
	case F16:
		t.dtype = F16Type
	case BF16:
		t.dtype = BF16Type
	}
	return t
}

// Strides gives strides in elements; they may be negative, and 0 repeats a token or a head. first: the index of
// [0][0][0]. The rows of a tensor that is written must not overlap each other.
func (t Tensor) Strides(token, head, first int) Tensor {
	t.strided, t.token, t.head, t.first = true, token, head, first
	return t
}

// tokens is how many a contiguous tensor has; -1 if that is no whole number, or not known.
func (t *Tensor) tokens(heads, dim int) int {
	if t.strided || t.len%(heads*dim) != 0 {
		return -1
	}
	return t.len / (heads * dim)
}

// fits tells whether (n, heads, dim) lie within the slice; a contiguous tensor must be all of it. None fits.
func (t *Tensor) fits(n, heads, dim int) bool {
	if t.data == nil || (t.strided && n == 0) {
		return true
	}
	if !t.strided {
		return t.len == n*heads*dim
	}
	if t.first < 0 || t.first > t.len {
		return false
	}
	tokensLow, tokensHigh, tokensGood := t.reach(n, t.token)
	headsLow, headsHigh, headsGood := t.reach(heads, t.head)
	return tokensGood && headsGood && t.first+tokensLow+headsLow >= 0 && t.first+tokensHigh+headsHigh <= t.len-dim
}

// reach is how far n steps of a stride go, down and up; not good if farther than the slice is long.
func (t *Tensor) reach(n, stride int) (low, high int, good bool) {
	if n < 2 || stride == 0 {
		return 0, 0, true
	}
	if most := t.len / (n - 1); stride > most || stride < -most {
		return 0, 0, false
	}
	if stride < 0 {
		return (n - 1) * stride, 0, true
	}
	return 0, (n - 1) * stride, true
}

// native is the tensor as the library reads it, for a shape that fits; pinned. Of one token or head the stride is not
// read, and may be any number.
func (t *Tensor) native(pinner *runtime.Pinner, n, heads int) (to C.sa_tensor) {
	if t.data == nil {
		return
	}
	pinner.Pin(t.data)
	to.data = t.data
	to.dtype = C.int32_t(t.dtype)
	if !t.strided {
		return
	}
	to.flags = C.SA_TENSOR_STRIDES_GIVEN
	if n > 0 {
		to.data = unsafe.Add(t.data, t.first*t.size)
	}
	if n > 1 {
		to.token_stride = C.int64_t(t.token * t.size)
	}
	if heads > 1 {
		to.head_stride = C.int64_t(t.head * t.size)
	}
	return
}
