package sinkattn

// Many sequences of one model, and attention over several caches. SPDX-License-Identifier: MIT

// #include <sinkattn.h>
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Pool is sequences that share a model's layers, memory and one workspace. The memory goes when the pool and all its
// sequences have been closed.
type Pool struct {
	home   *home
	closed bool
}

// NewPool makes a pool of Config.NumSequences sequences, none of them open.
func NewPool(config *Config) (*Pool, error) {
	var native *C.sa_pool
	h, err := newHome(config, func(c *C.sa_config) C.sa_status { return C.sa_pool_create(c, nil, &native) })
	if err != nil {
		return nil, err
	}
	h.pool = native
	p := &Pool{home: h}
	runtime.SetFinalizer(p, (*Pool).Close)
	return p, nil
}

// Close ends the pool, but not its open sequences. To close twice does nothing.
func (p *Pool) Close() error {
	p.home.Lock()
	defer p.home.Unlock()
	if !p.closed {
		runtime.SetFinalizer(p, nil)
		p.closed = true
		p.home.release()
	}
	return nil
}

var errPoolClosed = refuse(ErrState, "the pool is closed")

// call calls the library, whose reason for a refusal is in the pool.
func (p *Pool) call(f func(*C.sa_pool) C.sa_status) error {
	p.home.Lock()
	defer p.home.Unlock()
	defer runtime.KeepAlive(p)
	if p.closed {
		return errPoolClosed
	}
	status := f(p.home.pool)
	p.home.after()
	if status == C.SA_SUCCESS {
		return nil
	}
	return refuse(Status(status), C.GoString(C.sa_pool_error(p.home.pool)))
}

// Open opens an empty sequence.
func (p *Pool) Open() (*Cache, error) {
	var to *C.sa_cache
	err := p.call(func(native *C.sa_pool) C.sa_status {
		status := C.sa_pool_open(native, &to)
		if status == C.SA_SUCCESS {
			p.home.users++
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return newCache(p.home, to), nil
}

// BatchStep is a step of one sequence in a batch.
type BatchStep struct {
	Cache *Cache
	Step
}

// BatchError says why a batch was refused, and for which of its steps (-1: the batch itself); none has run.
type BatchError struct {
	Index int
	Err   error
}

func (e *BatchError) Error() string {
	if e.Index < 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("step %d: %v", e.Index, e.Err)
}

// Unwrap gives the error of the step.
func (e *BatchError) Unwrap() error { return e.Err }

// Batch runs one step for each of several sequences, all in the same layer; the work is spread evenly over the workers.
func (p *Pool) Batch(steps []BatchStep) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	defer runtime.KeepAlive(steps)
	caches := make([]*C.sa_cache, len(steps))
	args := make([]*C.sa_step_args, len(steps))
	for i := range steps {
		s := &steps[i]
		if s.Cache == nil || s.Cache.home != p.home {
			return &BatchError{i, wrong("a cache of the batch is nil or not of this pool")}
		}
		args[i] = new(C.sa_step_args)
		pinner.Pin(args[i])
		if err := s.native(p.home.shape(s.Layer), &pinner, args[i]); err != nil {
			return &BatchError{i, err}
		}
	}
	failed := C.int32_t(-1)
	err := p.call(func(native *C.sa_pool) C.sa_status {
		for i := range steps {
			caches[i] = steps[i].Cache.native // nil if closed: the library refuses it
		}
		return C.sa_batch(native, i32(len(steps)), (**C.sa_cache)(pin(&pinner, caches)),
			(**C.sa_step_args)(pin(&pinner, args)), &failed)
	})
	if err != nil {
		return &BatchError{int(failed), err}
	}
	return nil
}

// Need is how many tokens a sequence is to append.
type Need struct {
	Cache  *Cache
	Tokens int
}

// CanAppend tells whether all of them could append so many tokens now, in every layer; if not, the BatchError says which
// could not.
func (p *Pool) CanAppend(needs []Need) error {
	defer runtime.KeepAlive(needs)
	caches := make([]*C.sa_cache, len(needs))
	tokens := make([]C.int32_t, len(needs))
	for i, need := range needs {
		if need.Cache == nil || need.Cache.home != p.home {
			return &BatchError{i, wrong("the cache is nil or not of this pool")}
		}
		tokens[i] = i32(need.Tokens)
	}
	failed := C.int32_t(-1)
	err := p.call(func(native *C.sa_pool) C.sa_status {
		for i, need := range needs {
			caches[i] = need.Cache.native
		}
		return C.sa_pool_can_append(native, i32(len(needs)), unsafe.SliceData(caches), unsafe.SliceData(tokens), &failed)
	})
	if err != nil {
		return &BatchError{int(failed), err}
	}
	return nil
}

// PoolFacts are facts of a pool and of a kv head's lane: sa_pool_facts.
type PoolFacts struct {
	NumSequences int
	NumOpen      int
	PoolSize     uint64
	Tiles        uint64
	TilesFree    uint64
	TileSize     uint64
}

// Info gives facts of the pool, and of the kv heads that keep the same tokens as this one.
func (p *Pool) Info(layer, kvHead int) (PoolFacts, error) {
	p.home.Lock()
	defer p.home.Unlock()
	defer runtime.KeepAlive(p)
	if p.closed {
		return PoolFacts{}, errPoolClosed
	}
	var f C.sa_pool_facts
	f.struct_size = C.uint32_t(unsafe.Sizeof(f))
	if err := plain(C.sa_pool_info(p.home.pool, i32(layer), i32(kvHead), &f)); err != nil {
		return PoolFacts{}, err
	}
	return PoolFacts{int(f.n_sequences), int(f.n_open), uint64(f.pool_size), uint64(f.tiles), uint64(f.tiles_free),
		uint64(f.tile_size)}, nil
}

// Partial is the state of a softmax over some keys, as Step.PartialMax and PartialSum ask for it: Max and Sum of each
// row, and VHeadDim sums of values.
type Partial struct {
	Max, Sum, Acc []float32
	VHeadDim      int
}

func (p *Partial) rows() (int, error) {
	rows := len(p.Max)
	if p.VHeadDim < 1 || len(p.Sum) != rows || len(p.Acc)%p.VHeadDim != 0 || len(p.Acc)/p.VHeadDim != rows {
		return 0, wrong("Max and Sum must have one element a row, Acc VHeadDim, of equally many rows")
	}
	return rows, nil
}

func floats(s []float32) *C.float { return (*C.float)(unsafe.SliceData(s)) }

// Merge makes p the state over both sets of keys.
func (p *Partial) Merge(other *Partial) error {
	rows, err := p.rows()
	if err != nil {
		return err
	}
	if n, err := other.rows(); err != nil || n != rows || other.VHeadDim != p.VHeadDim {
		return wrong("both states must have equally many rows and dims")
	}
	return plain(C.sa_merge_partial(C.int64_t(rows), i32(p.VHeadDim), floats(p.Max), floats(p.Sum), floats(p.Acc),
		floats(other.Max), floats(other.Sum), floats(other.Acc)))
}

// Finish turns Acc into the result; lse is nil, or receives the log-sum-exp of each row.
func (p *Partial) Finish(lse []float32) error {
	rows, err := p.rows()
	if err != nil {
		return err
	}
	if lse != nil && len(lse) != rows {
		return wrong("lse must be nil or have one element a row")
	}
	return plain(C.sa_finish_partial(C.int64_t(rows), i32(p.VHeadDim), floats(p.Max), floats(p.Sum), floats(p.Acc),
		floats(lse)))
}
