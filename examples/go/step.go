package sinkattn

// The arguments of calls. Lengths are checked here, before the library sees a pointer. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"math"
	"runtime"
	"unsafe"
)

// Step is what one call does: append (with K and V), attend (with Q and Out), or both; sa_step_args.
type Step struct {
	Layer  int
	Tokens int // 0: as many as K has, or Q without K, which must be contiguous then

	Q, K, V, Out Tensor // Q, Out (Tokens, NumHeads, dims), K, V (Tokens, NumKVHeads, dims)

	QOffset    int64     // with Q alone: where the first query stands, from the next token on
	LSE        []float32 // nil or (Tokens, NumHeads)
	SinkMass   []float32 // nil or (Tokens, NumHeads)
	PartialMax []float32 // nil or, with PartialSum, (Tokens, NumHeads)
	PartialSum []float32
	ViewWindow int
	ViewSinks  int
	Parents    []int32 // nil or (Tokens): the tokens are drafted
	Nodes      bool    // with Q alone: the queries are those of nodes QOffset and up

	KeyMass     []float32 // nil or (NumKVHeads, KeyStride), with MassPerHead (NumHeads, KeyStride)
	MassPerHead bool
	ValueNorms  []float32 // nil or (NumKVHeads, KeyStride)
	KeyStride   int
}

// Read is what to read out: sa_read_args.
type Read struct {
	Layer      int
	KVHead     int // the first kv head that is read
	NumKVHeads int // how many; 0: all from that one on
	Form       KeyForm
	Positions  []uint64
	K, V       Tensor  // (positions, heads read, dims); written
	Places     []int64 // one for each position, with KeyAtPlace
	Rows       bool    // Positions are numbers of rows of the host
}

// KeyForm is in which form keys are read.
type KeyForm int32

// Forms of keys.
const (
	KeyAsStored  KeyForm = C.SA_KEY_AS_STORED
	KeyUnrotated KeyForm = C.SA_KEY_UNROTATED
	KeyAtPlace   KeyForm = C.SA_KEY_AT_PLACE
)

// Rows are rows that are no tokens and that every query sees: sa_rows. Without K and V they are taken away.
type Rows struct {
	Layer, First, Num  int
	KVHead, NumKVHeads int       // whose rows are replaced; NumKVHeads 0: all from KVHead on
	K, V               Tensor    // (Num, heads replaced, dims)
	Places             []int64   // nil or (Num, heads replaced)
	Biases             []float32 // nil or (Num, heads replaced)
	AtDistance         bool
}

// shape is what the lengths of a layer's tensors follow from.
type shape struct{ heads, kvHeads, headDim, vHeadDim, sinkKV int }

func (c *Config) shape() shape {
	return shape{c.NumHeads, or(c.NumKVHeads, c.NumHeads), c.HeadDim, or(c.VHeadDim, c.HeadDim), c.NumSinkKV}
}

// kvHeadsFrom is how many kv heads a call is about: n of them from first on; 0: all from that one on.
func (l *shape) kvHeadsFrom(first, n int) (int, error) {
	if n == 0 {
		n = l.kvHeads - first
	}
	if first < 0 || n < 1 || n > l.kvHeads || first > l.kvHeads-n {
		return 0, wrong("KVHead and NumKVHeads must be kv heads that the layer has")
	}
	return n, nil
}

func wrong(sentence string) error { return refuse(ErrArgument, sentence) }

// native fills the step in as the library reads it, pinned. Of a layer that there is not (l is nil), nothing but its
// number: the library then says so.
func (s *Step) native(l *shape, pinner *runtime.Pinner, to *C.sa_step_args) error {
	to.struct_size = C.uint32_t(unsafe.Sizeof(*to))
	to.layer = i32(s.Layer)
	if l == nil {
		return nil
	}
	n, err := s.count(l)
	if err != nil {
		return err
	}
	if err := s.checkTensors(l, n); err != nil {
		return err
	}
	if err := s.checkArrays(l, n); err != nil {
		return err
	}
	if s.Nodes {
		to.flags |= C.SA_STEP_NODES
	}
	if s.MassPerHead {
		to.flags |= C.SA_STEP_MASS_PER_HEAD
	}
	to.n_tokens = C.int32_t(n)
	to.q, to.out = s.Q.native(pinner, n, l.heads), s.Out.native(pinner, n, l.heads)
	to.k, to.v = s.K.native(pinner, n, l.kvHeads), s.V.native(pinner, n, l.kvHeads)
	to.q_offset = C.int64_t(s.QOffset)
	to.lse, to.sink_mass = (*C.float)(pin(pinner, s.LSE)), (*C.float)(pin(pinner, s.SinkMass))
	to.partial_max = (*C.float)(pin(pinner, s.PartialMax))
	to.partial_sum = (*C.float)(pin(pinner, s.PartialSum))
	to.view_window, to.view_sinks = i32(s.ViewWindow), i32(s.ViewSinks)
	to.parents = (*C.int32_t)(pin(pinner, s.Parents))
	to.key_mass = (*C.float)(pin(pinner, s.KeyMass))
	to.value_norms = (*C.float)(pin(pinner, s.ValueNorms))
	to.key_stride = C.int64_t(s.KeyStride)
	return nil
}

func (s *Step) count(l *shape) (int, error) {
	n := s.Tokens
	switch {
	case n != 0:
	case s.K.data != nil:
		n = s.K.tokens(l.kvHeads, l.headDim)
	case s.Q.data != nil:
		n = s.Q.tokens(l.heads, l.headDim)
	}
	if n < 0 || n > math.MaxInt32 {
		return 0, wrong("Tokens must be given, since K, or Q without K, is not a whole number of tokens")
	}
	return n, nil
}

func (s *Step) checkTensors(l *shape, n int) error {
	if !s.K.fits(n, l.kvHeads, l.headDim) {
		return wrong("K must have Tokens * NumKVHeads * HeadDim elements, or strides that stay in its slice")
	}
	if !s.V.fits(n, l.kvHeads, l.vHeadDim) {
		return wrong("V must have Tokens * NumKVHeads * VHeadDim elements, or strides that stay in its slice")
	}
	if !s.Q.fits(n, l.heads, l.headDim) {
		return wrong("Q must have Tokens * NumHeads * HeadDim elements, or strides that stay in its slice")
	}
	if !s.Out.fits(n, l.heads, l.vHeadDim) {
		return wrong("Out must have Tokens * NumHeads * VHeadDim elements, or strides that stay in its slice")
	}
	return nil
}

func (s *Step) checkArrays(l *shape, n int) error {
	rows := n * l.heads
	if !has(s.LSE, rows) || !has(s.SinkMass, rows) || !has(s.PartialMax, rows) || !has(s.PartialSum, rows) {
		return wrong("LSE, SinkMass, PartialMax and PartialSum must be empty or have Tokens * NumHeads elements")
	}
	if !has(s.Parents, n) {
		return wrong("Parents must be empty or have Tokens elements")
	}
	massHeads := l.kvHeads
	if s.MassPerHead {
		massHeads = l.heads
	}
	keys := func(a []float32, heads int) bool {
		return len(a) == 0 || (s.KeyStride >= 0 && s.KeyStride <= len(a)/heads)
	}
	if !keys(s.KeyMass, massHeads) || !keys(s.ValueNorms, l.kvHeads) {
		return wrong("KeyMass and ValueNorms must be empty or have KeyStride elements for each head")
	}
	return nil
}

func (r *Read) native(l *shape, pinner *runtime.Pinner, to *C.sa_read_args) error {
	to.struct_size = C.uint32_t(unsafe.Sizeof(*to))
	to.layer = i32(r.Layer)
	if l == nil {
		return nil
	}
	n := len(r.Positions)
	heads, err := l.kvHeadsFrom(r.KVHead, r.NumKVHeads)
	if err != nil {
		return err
	}
	if n > math.MaxInt32 || !has(r.Places, n) {
		return wrong("Places must be empty or have one element for each position, and there must be fewer than 2^31")
	}
	if !r.K.fits(n, heads, l.headDim) || !r.V.fits(n, heads, l.vHeadDim) {
		return wrong("K and V must have a row for each position and kv head that is read")
	}
	to.n_tokens, to.kv_head, to.n_kv_heads = C.int32_t(n), i32(r.KVHead), i32(r.NumKVHeads)
	to.key_form = C.int32_t(r.Form)
	if r.Rows {
		to.flags = C.SA_READ_ROWS
	}
	to.positions = (*C.uint64_t)(pin(pinner, r.Positions))
	to.places = (*C.int64_t)(pin(pinner, r.Places))
	to.k, to.v = r.K.native(pinner, n, heads), r.V.native(pinner, n, heads)
	return nil
}

func (r *Rows) native(l *shape, pinner *runtime.Pinner, to *C.sa_rows) error {
	to.struct_size = C.uint32_t(unsafe.Sizeof(*to))
	to.layer, to.first, to.n_rows = i32(r.Layer), i32(r.First), i32(r.Num)
	if l == nil {
		return nil
	}
	heads, err := l.kvHeadsFrom(r.KVHead, r.NumKVHeads)
	if err != nil {
		return err
	}
	if r.Num < 0 || r.Num > math.MaxInt32 || !r.K.fits(r.Num, heads, l.headDim) || !r.V.fits(r.Num, heads, l.vHeadDim) {
		return wrong("K and V must have a row for each row and kv head that is replaced")
	}
	if !has(r.Places, r.Num*heads) || !has(r.Biases, r.Num*heads) {
		return wrong("Places and Biases must be empty or have an element for each row and kv head that is replaced")
	}
	to.kv_head, to.n_kv_heads = i32(r.KVHead), i32(r.NumKVHeads)
	if r.AtDistance {
		to.flags = C.SA_ROWS_AT_DISTANCE
	}
	to.k, to.v = r.K.native(pinner, r.Num, heads), r.V.native(pinner, r.Num, heads)
	to.places = (*C.int64_t)(pin(pinner, r.Places))
	to.biases = (*C.float)(pin(pinner, r.Biases))
	return nil
}
