package sinkattn

// What a layer holds. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Facts are facts of a layer, and of its cache: sa_cache_facts.
type Facts struct {
	ISA           ISA
	TokensSeen    uint64
	TokensHeld    uint64
	PositionsHeld uint64
	RollbackNow   uint64
	CacheSize     uint64
	KVSize        uint64
	NumThreads    int
	MaxAppend     int
	NumLanes      int
	NumDraft      int
	RowsUsed      uint64
	KeysInFront   uint64
	KeysMost      uint64
}

// SpanKind is why the tokens of a span are held.
type SpanKind int32

// Kinds of spans.
const (
	SpanWindow SpanKind = C.SA_SPAN_WINDOW // as long as the window, or rollback, needs them
	SpanSink   SpanKind = C.SA_SPAN_SINK   // for ever
	SpanPin    SpanKind = C.SA_SPAN_PIN    // until they are unpinned
)

// Span is a run of stream positions that a layer holds: From .. End-1.
type Span struct {
	From, End uint64
	Shift     uint64 // removed positions before it, whose gaps were closed
	Kind      SpanKind
	Masked    bool // the positions count, but hold no token
}

// look calls what leaves no sentence, and changes nothing.
func (c *Cache) look(f func(*C.sa_cache) C.sa_status) error {
	c.home.Lock()
	defer c.home.Unlock()
	defer runtime.KeepAlive(c)
	if c.native == nil {
		return errClosed
	}
	return plain(f(c.native))
}

// Info gives facts of a layer.
func (c *Cache) Info(layer int) (Facts, error) {
	var f C.sa_cache_facts
	f.struct_size = C.uint32_t(unsafe.Sizeof(f))
	err := c.look(func(n *C.sa_cache) C.sa_status { return C.sa_cache_info(n, i32(layer), &f) })
	if err != nil {
		return Facts{}, err
	}
	return Facts{
		ISA:           ISA(f.isa),
		TokensSeen:    uint64(f.tokens_seen),
		TokensHeld:    uint64(f.tokens_held),
		PositionsHeld: uint64(f.positions_held),
		RollbackNow:   uint64(f.rollback_now),
		CacheSize:     uint64(f.cache_size),
		KVSize:        uint64(f.kv_size),
		NumThreads:    int(f.n_threads),
		MaxAppend:     int(f.max_append),
		NumLanes:      int(f.n_lanes),
		NumDraft:      int(f.n_draft),
		RowsUsed:      uint64(f.rows_used),
		KeysInFront:   uint64(f.keys_in_front),
		KeysMost:      uint64(f.keys_most),
	}, nil
}

// Spans lists what a kv head of a layer holds, oldest first.
func (c *Cache) Spans(layer, kvHead int) ([]Span, error) {
	var list []C.sa_span
	err := c.look(func(native *C.sa_cache) C.sa_status {
		var n C.int32_t
		if status := C.sa_cache_spans(native, i32(layer), i32(kvHead), 0, nil, &n); status != C.SA_SUCCESS || n == 0 {
			return status
		}
		list = make([]C.sa_span, n)
		return C.sa_cache_spans(native, i32(layer), i32(kvHead), n, unsafe.SliceData(list), &n)
	})
	spans := make([]Span, len(list))
	for i, s := range list {
		spans[i] = Span{uint64(s.from), uint64(s.end), uint64(s.shift), SpanKind(s.kind), s.masked != 0}
	}
	return spans, err
}

// Positions lists the stream positions of the tokens that a kv head of a layer holds, oldest first.
func (c *Cache) Positions(layer, kvHead int) ([]uint64, error) {
	var list []uint64
	err := c.look(func(native *C.sa_cache) C.sa_status {
		var n C.int64_t
		if status := C.sa_cache_positions(native, i32(layer), i32(kvHead), 0, nil, &n); status != C.SA_SUCCESS || n == 0 {
			return status
		}
		list = make([]uint64, n)
		return C.sa_cache_positions(native, i32(layer), i32(kvHead), n, (*C.uint64_t)(unsafe.SliceData(list)), &n)
	})
	return list, err
}
