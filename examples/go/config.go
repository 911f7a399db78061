package sinkattn

// What a cache is to be. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"math"
	"runtime"
	"unsafe"
)

// DType is an element type. Tensors of the host have the first three, stored keys and values all.
type DType int32

// Element types; 0 is the default, F32Type where nothing else is said.
const (
	F32Type  DType = C.SA_F32
	F16Type  DType = C.SA_F16
	BF16Type DType = C.SA_BF16
	I8Type   DType = C.SA_I8
	I4Type   DType = C.SA_I4
)

// Policy is what a layer keeps.
type Policy int32

// Policies.
const (
	SinkWindow Policy = C.SA_POLICY_SINK_WINDOW // the first NumSink tokens and the newest Window ones
	Window     Policy = C.SA_POLICY_WINDOW      // the newest Window ones
	Dense      Policy = C.SA_POLICY_DENSE       // all, up to Window of them
)

// Position is how position enters the logit. There is no default.
type Position int32

// Position schemes.
const (
	NoPosition  Position = C.SA_POSITION_NONE
	Rope        Position = C.SA_POSITION_ROPE         // the library rotates q and k
	RopeApplied Position = C.SA_POSITION_ROPE_APPLIED // they come in rotated to their stream position
	Alibi       Position = C.SA_POSITION_ALIBI
)

// PositionMode is which distance a sink is at.
type PositionMode int32

// Position modes.
const (
	InCache  PositionMode = C.SA_IN_CACHE  // the paper's: sinks stay near
	InStream PositionMode = C.SA_IN_STREAM // the gap is kept
)

// RopeLayout is which two dims a rotation takes.
type RopeLayout int32

// Layouts.
const (
	HalfSplit   RopeLayout = C.SA_ROPE_HALF_SPLIT
	Interleaved RopeLayout = C.SA_ROPE_INTERLEAVED
)

// RopeScaling is how the frequencies are scaled for longer contexts.
type RopeScaling int32

// Scalings.
const (
	NoScaling RopeScaling = C.SA_ROPE_SCALING_NONE
	Linear    RopeScaling = C.SA_ROPE_SCALING_LINEAR
	NTK       RopeScaling = C.SA_ROPE_SCALING_NTK
	Yarn      RopeScaling = C.SA_ROPE_SCALING_YARN
	Llama3    RopeScaling = C.SA_ROPE_SCALING_LLAMA3
	LongRope  RopeScaling = C.SA_ROPE_SCALING_LONGROPE
)

// SinkKV is where learned sink rows stand.
type SinkKV int32

// Places of learned sink rows.
const (
	SinkKVBefore SinkKV = C.SA_SINK_KV_BEFORE
	SinkKVAtZero SinkKV = C.SA_SINK_KV_AT_ZERO
)

// Config is sa_config: the same units, limits and defaults, 0 and nil being the default. NumLayers, NumHeads, HeadDim,
// Window and Position have none.
type Config struct {
	NumLayers  int
	MaxAppend  int
	Rollback   int
	ISA        ISA
	NumThreads int
	IODType    DType

	NumHeads   int
	NumKVHeads int
	HeadDim    int
	VHeadDim   int
	Policy     Policy
	NumSink    int
	Window     int
	KDType     DType
	VDType     DType

	Scale          float32
	Softcap        float32
	NumSinkKV      int
	SinkKVPosition SinkKV

	Position            Position
	PositionMode        PositionMode
	RopeLayout          RopeLayout
	RopeDims            int
	RopeOffset          int
	RopeScaling         RopeScaling
	RopeOriginalContext int
	RopeTheta           float64
	RopeFactor          float64
	RopeAttentionFactor float64
	RopeBetaFast        float64
	RopeBetaSlow        float64
	RopeLowFreqFactor   float64
	RopeHighFreqFactor  float64
	RopeInvFreq         []float64 // RopeDims / 2 or nil
	RopeShortFactors    []float32 // RopeDims / 2 or nil
	RopeLongFactors     []float32 // RopeDims / 2 or nil
	AlibiSlopes         []float32 // NumHeads or nil
	SinkLogits          []float32 // NumHeads or nil
	YarnNoTruncate      bool

	// Layers has NumLayers configs or none; nil among them: the layer is as this config says.
	Layers []*Config

	SinkKDType   DType
	SinkVDType   DType
	NumRecent    int
	RecentKDType DType
	RecentVDType DType
	QueryBits    int
	WeightBits   int

	NumSequences int
	NumSpans     int
	NumPin       int
	NumRows      int
	MaxDraft     int
	PoolTokens   int64

	HeadWindows []int32 // NumKVHeads or nil
	HeadSinks   []int32 // NumKVHeads or nil

	// Parallel runs task(i) once for each i in 0 .. n-1, on any goroutines, and returns when all have returned. Goroutines
	// is one. It must not use the cache or pool that it works for. With NumThreads above 1.
	Parallel func(n int, task func(i int))
}

// i32 is a number as the library takes it; one that does not fit becomes one that is refused.
func i32(n int) C.int32_t {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return math.MinInt32
	}
	return C.int32_t(n)
}

// native is the config without what lies behind pointers of `layers` and the parallel loop; arrays are pinned.
func (c *Config) native(pinner *runtime.Pinner) C.sa_config {
	var n C.sa_config
	n.struct_size = C.uint32_t(unsafe.Sizeof(n))
	if c.YarnNoTruncate {
		n.flags = C.SA_CONFIG_YARN_NO_TRUNCATE
	}
	n.n_layers, n.max_append, n.rollback = i32(c.NumLayers), i32(c.MaxAppend), i32(c.Rollback)
	n.isa, n.n_threads, n.io_dtype = C.int32_t(c.ISA), i32(c.NumThreads), C.int32_t(c.IODType)
	n.n_heads, n.n_kv_heads = i32(c.NumHeads), i32(c.NumKVHeads)
	n.head_dim, n.v_head_dim = i32(c.HeadDim), i32(c.VHeadDim)
	n.policy, n.n_sink, n.window = C.int32_t(c.Policy), i32(c.NumSink), i32(c.Window)
	n.k_dtype, n.v_dtype = C.int32_t(c.KDType), C.int32_t(c.VDType)
	n.scale, n.softcap = C.float(c.Scale), C.float(c.Softcap)
	n.n_sink_kv, n.sink_kv_position = i32(c.NumSinkKV), C.int32_t(c.SinkKVPosition)
	n.position, n.position_mode = C.int32_t(c.Position), C.int32_t(c.PositionMode)
	n.rope_layout, n.rope_dims, n.rope_offset = C.int32_t(c.RopeLayout), i32(c.RopeDims), i32(c.RopeOffset)
	n.rope_scaling, n.rope_original_context = C.int32_t(c.RopeScaling), i32(c.RopeOriginalContext)
	n.rope_theta, n.rope_factor = C.double(c.RopeTheta), C.double(c.RopeFactor)
	n.rope_attention_factor = C.double(c.RopeAttentionFactor)
	n.rope_beta_fast, n.rope_beta_slow = C.double(c.RopeBetaFast), C.double(c.RopeBetaSlow)
	n.rope_low_freq_factor = C.double(c.RopeLowFreqFactor)
	n.rope_high_freq_factor = C.double(c.RopeHighFreqFactor)
	n.rope_inv_freq = (*C.double)(pin(pinner, c.RopeInvFreq))
	n.rope_short_factors = (*C.float)(pin(pinner, c.RopeShortFactors))
	n.rope_long_factors = (*C.float)(pin(pinner, c.RopeLongFactors))
	n.alibi_slopes = (*C.float)(pin(pinner, c.AlibiSlopes))
	n.sink_logits = (*C.float)(pin(pinner, c.SinkLogits))
	n.sink_k_dtype, n.sink_v_dtype = C.int32_t(c.SinkKDType), C.int32_t(c.SinkVDType)
	n.n_recent = i32(c.NumRecent)
	n.recent_k_dtype, n.recent_v_dtype = C.int32_t(c.RecentKDType), C.int32_t(c.RecentVDType)
	n.query_bits, n.weight_bits = i32(c.QueryBits), i32(c.WeightBits)
	n.n_sequences, n.n_spans, n.n_pin = i32(c.NumSequences), i32(c.NumSpans), i32(c.NumPin)
	n.n_rows, n.max_draft, n.pool_tokens = i32(c.NumRows), i32(c.MaxDraft), C.int64_t(c.PoolTokens)
	n.head_windows = (*C.int32_t)(pin(pinner, c.HeadWindows))
	n.head_sinks = (*C.int32_t)(pin(pinner, c.HeadSinks))
	return n
}

// pin keeps a slice where it is until the pinner lets go; nil for an empty one.
func pin[T any](pinner *runtime.Pinner, s []T) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(s))
	pinner.Pin(p)
	return p
}

func (c *Config) checkLengths() error {
	pairs := or(c.RopeDims, c.HeadDim) / 2
	kvHeads := or(c.NumKVHeads, c.NumHeads)
	wrong := func(sentence string) error { return refuse(ErrConfig, sentence) }
	if !has(c.RopeInvFreq, pairs) || !has(c.RopeShortFactors, pairs) || !has(c.RopeLongFactors, pairs) {
		return wrong("RopeInvFreq, RopeShortFactors and RopeLongFactors must be empty or have RopeDims / 2 elements")
	}
	if !has(c.AlibiSlopes, c.NumHeads) || !has(c.SinkLogits, c.NumHeads) {
		return wrong("AlibiSlopes and SinkLogits must be empty or have NumHeads elements")
	}
	if !has(c.HeadWindows, kvHeads) || !has(c.HeadSinks, kvHeads) {
		return wrong("HeadWindows and HeadSinks must be empty or have NumKVHeads elements")
	}
	return nil
}

func has[T any](s []T, n int) bool { return len(s) == 0 || len(s) == n }

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// withNative calls then with the config as the library reads it; context: the loop's, if it may run.
func (c *Config) withNative(context unsafe.Pointer, then func(*C.sa_config) error) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	if err := c.checkLengths(); err != nil {
		return err
	}
	if !has(c.Layers, c.NumLayers) {
		return refuse(ErrConfig, "Layers must be empty or have NumLayers elements")
	}
	pointers := make([]*C.sa_config, len(c.Layers))
	for i, layer := range c.Layers {
		if layer == nil {
			continue
		}
		if err := layer.checkLengths(); err != nil {
			return &Error{ErrConfig, err.(*Error).Sentence, i}
		}
		own := layer.native(&pinner)
		pointers[i] = &own
		pinner.Pin(&own)
	}
	whole := c.native(&pinner)
	whole.layers = (**C.sa_config)(pin(&pinner, pointers))
	if c.Parallel != nil {
		setParallel(&whole, context)
	}
	return then(&whole)
}

// checkNative is what sa_config_check says.
func checkNative(native *C.sa_config) error {
	var why *C.char
	var layer C.int32_t
	status := C.sa_config_check(native, &why, &layer)
	if status == C.SA_SUCCESS {
		return nil
	}
	return &Error{Status(status), C.GoString(why), int(layer)}
}

// Check tells whether a cache or pool can be made of the config; if not, the error says which field is wrong and why.
func (c *Config) Check() error { return c.withNative(nil, checkNative) }

// Size is the bytes that a cache or pool of this config takes, all it will ever take.
func (c *Config) Size() (uint64, error) {
	var size, alignment C.size_t
	err := c.withNative(nil, func(native *C.sa_config) error {
		if err := checkNative(native); err != nil {
			return err
		}
		return plain(C.sa_pool_size(native, &size, &alignment))
	})
	return uint64(size), err
}
