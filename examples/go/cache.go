package sinkattn

// A sequence: a cache of its own, or one of a pool. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"math"
	"runtime"
	"sync"
	"unsafe"
)

// AllLayers stands in place of a layer in the calls that change a sequence.
const AllLayers = C.SA_ALL_LAYERS

// End stands in place of the end of a range: the newest token of each layer meant is its last.
const End uint64 = math.MaxUint64

// home is what the sequences of a pool share, and whose turn it is. The lock guards all fields but shapes and loop.
type home struct {
	sync.Mutex
	pool    *C.sa_pool // nil: a cache of its own
	users   int        // open sequences, and the pool if it is
	shapes  []shape
	io      DType
	loop    *loop
	context unsafe.Pointer // of the loop, if there is one
}

// newHome makes a home by create, and asks why if that is refused.
func newHome(c *Config, create func(*C.sa_config) C.sa_status) (*home, error) {
	h := &home{users: 1, io: DType(or(int(c.IODType), int(F32Type)))}
	if c.Parallel != nil {
		h.loop = &loop{run: c.Parallel}
		h.context = newContext(h.loop)
	}
	err := c.withNative(h.context, func(native *C.sa_config) error {
		status := create(native)
		if status == C.SA_SUCCESS {
			return nil
		}
		if err := checkNative(native); err != nil {
			return err
		}
		return plain(status)
	})
	if err != nil {
		h.release()
		return nil, err
	}
	for i := 0; i < c.NumLayers; i++ {
		own := c
		if len(c.Layers) > 0 && c.Layers[i] != nil {
			own = c.Layers[i]
		}
		h.shapes = append(h.shapes, own.shape())
	}
	return h, nil
}

func (h *home) shape(layer int) *shape {
	if layer < 0 || layer >= len(h.shapes) {
		return nil
	}
	return &h.shapes[layer]
}

// release ends one use; with the last one the memory goes. With the lock.
func (h *home) release() {
	h.users--
	if h.users > 0 {
		return
	}
	C.sa_pool_destroy(h.pool)
	h.pool = nil
	freeContext(h.context)
}

// after a call of the library goes on with a panic of the host's loop, if there was one. With the lock.
func (h *home) after() {
	if h.loop != nil && h.loop.panic != nil {
		p := h.loop.panic
		h.loop.panic = nil
		panic(p)
	}
}

// Cache is a sequence: a cache of its own, or one of a Pool, whose memory it shares. Fork makes a copy.
type Cache struct {
	home   *home
	native *C.sa_cache    // nil: closed
	args   C.sa_step_args // of the step at work, here so that a step allocates nothing
	pinner runtime.Pinner
}

func newCache(h *home, native *C.sa_cache) *Cache {
	c := &Cache{home: h, native: native}
	runtime.SetFinalizer(c, (*Cache).Close)
	return c
}

// NewCache makes a cache of its own.
func NewCache(config *Config) (*Cache, error) {
	if config.NumSequences > 1 {
		return nil, refuse(ErrConfig, "n_sequences must be 0 or 1 for a cache of its own: more are a pool's")
	}
	var native *C.sa_cache
	h, err := newHome(config, func(c *C.sa_config) C.sa_status { return C.sa_cache_create(c, nil, &native) })
	if err != nil {
		return nil, err
	}
	return newCache(h, native), nil
}

// Close ends the sequence; its memory is free again, but for what forks share. To close twice does nothing.
func (c *Cache) Close() error {
	c.home.Lock()
	defer c.home.Unlock()
	if c.native != nil {
		runtime.SetFinalizer(c, nil)
		C.sa_cache_destroy(c.native)
		c.native = nil
		c.home.release()
	}
	return nil
}

var errClosed = refuse(ErrState, "the sequence is closed")

// call calls the library, whose reason for a refusal is in the cache.
func (c *Cache) call(f func(*C.sa_cache) C.sa_status) error {
	c.home.Lock()
	defer c.home.Unlock()
	defer runtime.KeepAlive(c)
	if c.native == nil {
		return errClosed
	}
	return c.said(f(c.native))
}

// said is what a call has said. With the lock.
func (c *Cache) said(status C.sa_status) error {
	c.home.after()
	if status == C.SA_SUCCESS {
		return nil
	}
	return refuse(Status(status), C.GoString(C.sa_cache_error(c.native)))
}

// Append appends the tokens of k and v, contiguous: (tokens, NumKVHeads, dims).
func (c *Cache) Append(layer int, k, v []float32) error {
	return c.Step(&Step{Layer: layer, K: Of(k), V: Of(v)})
}

// Attend gives the attention of the last tokens appended, as many as q has: (tokens, NumHeads, dims).
func (c *Cache) Attend(layer int, q, out []float32) error {
	s := Step{Layer: layer, Q: Of(q), Out: Of(out)}
	if l := c.home.shape(layer); l != nil {
		s.QOffset = -int64(s.Q.tokens(l.heads, l.headDim))
	}
	return c.Step(&s)
}

// AppendAttend is both in one: any number of tokens.
func (c *Cache) AppendAttend(layer int, q, k, v, out []float32) error {
	return c.Step(&Step{Layer: layer, Q: Of(q), K: Of(k), V: Of(v), Out: Of(out)})
}

// Step is the general call.
func (c *Cache) Step(s *Step) error {
	c.home.Lock()
	defer c.home.Unlock()
	defer runtime.KeepAlive(c)
	if c.native == nil {
		return errClosed
	}
	defer c.forget()
	if err := s.native(c.home.shape(s.Layer), &c.pinner, &c.args); err != nil {
		return err
	}
	return c.said(C.sa_step(c.native, &c.args))
}

// forget lets go of the slices of a step.
func (c *Cache) forget() {
	c.pinner.Unpin()
	c.args = C.sa_step_args{}
}

// Reset forgets the tokens of the stream.
func (c *Cache) Reset(layer int) error {
	return c.call(func(n *C.sa_cache) C.sa_status { return C.sa_cache_reset(n, i32(layer)) })
}

// Rollback takes back the newest tokens, as if they had never come.
func (c *Cache) Rollback(layer, tokens int) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_rollback(n, i32(layer), C.int64_t(tokens))
	})
}

// Seek jumps ahead to a stream position.
func (c *Cache) Seek(layer int, position uint64) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_seek(n, i32(layer), C.uint64_t(position))
	})
}

// Restart is Seek that empties the window in any case.
func (c *Cache) Restart(layer int, position uint64) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_restart(n, i32(layer), C.uint64_t(position))
	})
}

// Gap is what becomes of the positions of a removed range.
type Gap int32

// Gaps.
const (
	CloseGap Gap = C.SA_GAP_CLOSE // later tokens count as if the range had never come
	KeepGap  Gap = C.SA_GAP_KEEP  // its positions go on counting
)

// Remove removes the tokens at stream positions from .. end-1.
func (c *Cache) Remove(layer int, from, end uint64, gap Gap) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_remove(n, i32(layer), C.uint64_t(from), C.uint64_t(end), C.int32_t(gap))
	})
}

// Pin makes every later query see them.
func (c *Cache) Pin(layer int, from, end uint64) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_pin(n, i32(layer), C.uint64_t(from), C.uint64_t(end))
	})
}

// Unpin takes pins back.
func (c *Cache) Unpin(layer int, from, end uint64) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_unpin(n, i32(layer), C.uint64_t(from), C.uint64_t(end))
	})
}

// Anchor makes them the sinks.
func (c *Cache) Anchor(layer int, from, end uint64) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_anchor(n, i32(layer), C.uint64_t(from), C.uint64_t(end))
	})
}

// Accept ends a draft: the nodes of the path become the newest tokens.
func (c *Cache) Accept(layer int, path []int32) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_draft_accept(n, i32(layer), i32(len(path)), (*C.int32_t)(unsafe.SliceData(path)))
	})
}

// Fork opens another sequence of the pool that is the equal of this one; no key or value is copied.
func (c *Cache) Fork() (*Cache, error) {
	var to *C.sa_cache
	err := c.call(func(n *C.sa_cache) C.sa_status {
		status := C.sa_cache_fork(n, &to)
		if status == C.SA_SUCCESS {
			c.home.users++
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return newCache(c.home, to), nil
}

// SetSinkKV hands in a layer's learned sink rows: (NumSinkKV, NumKVHeads, dims), contiguous, of Config.IODType.
func (c *Cache) SetSinkKV(layer int, k, v Tensor) error {
	if l := c.home.shape(layer); l != nil {
		good := func(t *Tensor, dim int) bool {
			return t.data != nil && !t.strided && t.dtype == c.home.io && t.fits(l.sinkKV, l.kvHeads, dim)
		}
		if !good(&k, l.headDim) || !good(&v, l.vHeadDim) {
			return wrong("k and v must be contiguous, of Config.IODType, with NumSinkKV * NumKVHeads rows")
		}
	}
	return c.call(func(n *C.sa_cache) C.sa_status { return C.sa_set_sink_kv(n, i32(layer), k.data, v.data) })
}

// SetRows replaces rows of the host.
func (c *Cache) SetRows(r *Rows) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var args C.sa_rows
	if err := r.native(c.home.shape(r.Layer), &pinner, &args); err != nil {
		return err
	}
	return c.call(func(n *C.sa_cache) C.sa_status { return C.sa_set_rows(n, &args) })
}

// Read reads keys and values of tokens that are held.
func (c *Cache) Read(r *Read) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var args C.sa_read_args
	if err := r.native(c.home.shape(r.Layer), &pinner, &args); err != nil {
		return err
	}
	return c.call(func(n *C.sa_cache) C.sa_status { return C.sa_cache_read(n, &args) })
}

// SaveSize is the bytes that Save would give now.
func (c *Cache) SaveSize(from uint64) (int, error) {
	var size C.size_t
	err := c.call(func(n *C.sa_cache) C.sa_status { return C.sa_cache_save_size(n, C.uint64_t(from), &size) })
	return int(size), err
}

// Save gives a snapshot of the tokens at positions from and later; 0: all.
func (c *Cache) Save(from uint64) ([]byte, error) {
	size, err := c.SaveSize(from)
	if err != nil {
		return nil, err
	}
	to := make([]byte, size)
	n, err := c.SaveInto(from, to)
	return to[:n], err
}

// SaveInto writes it into a slice, and gives its length.
func (c *Cache) SaveInto(from uint64, to []byte) (int, error) {
	var written C.size_t
	err := c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_save(n, C.uint64_t(from), unsafe.Pointer(unsafe.SliceData(to)), C.size_t(len(to)), &written)
	})
	return int(written), err
}

// Load makes this sequence what it was when the snapshot was saved. The data need not be trusted.
func (c *Cache) Load(snapshot []byte) error {
	return c.call(func(n *C.sa_cache) C.sa_status {
		return C.sa_cache_load(n, unsafe.Pointer(unsafe.SliceData(snapshot)), C.size_t(len(snapshot)))
	})
}
