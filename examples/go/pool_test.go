package sinkattn

// Pools: lifetimes, goroutines, batches, parallel loops. SPDX-License-Identifier: MIT

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func poolOf(t *testing.T, sequences int) *Pool {
	t.Helper()
	p := must[*Pool](t)(NewPool(small(func(c *Config) { c.NumSequences = sequences })))
	t.Cleanup(func() { p.Close() })
	return p
}

func open(t *testing.T, p *Pool) int {
	t.Helper()
	return must[PoolFacts](t)(p.Info(0, 0)).NumOpen
}

func TestASequenceKeepsTheMemory(t *testing.T) {
	p := poolOf(t, 2)
	a := must[*Cache](t)(p.Open())
	good(t, newTokens(50, 1).feed(a))
	fork := must[*Cache](t)(a.Fork())
	_, err := p.Open()
	refused(t, err, ErrPool, "all sequences of the pool are open")
	_, err = a.Fork()
	refused(t, err, ErrPool, "all sequences of the pool are open")
	more, again := newTokens(3, 9), newTokens(3, 9)
	good(t, more.feed(fork), again.feed(a))
	equal(t, more.out, again.out)
	good(t, a.Close(), a.Close())
	refused(t, again.feed(a), ErrState, "closed")
	_, err = a.Info(0)
	refused(t, err, ErrState, "closed")
	if open(t, p) != 1 {
		t.Error("still open")
	}
	good(t, p.Close(), p.Close())
	_, err = p.Open()
	refused(t, err, ErrState, "closed")
	_, err = p.Info(0, 0)
	refused(t, err, ErrState, "closed")
	good(t, more.feed(fork))
	if seen(t, fork) != 56 {
		t.Error("tokens are missing")
	}
	good(t, fork.Close())
}

func TestGarbageIsClosed(t *testing.T) {
	p := poolOf(t, 4)
	free := must[PoolFacts](t)(p.Info(0, 0)).TilesFree
	func() {
		a := must[*Cache](t)(p.Open())
		good(t, newTokens(50, 1).feed(a))
		must[*Cache](t)(a.Fork())
	}()
	for i := 0; i < 100 && open(t, p) > 0; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if f := must[PoolFacts](t)(p.Info(0, 0)); f.NumOpen != 0 || f.TilesFree != free {
		t.Error(f)
	}
}

// Sequences of one pool in many goroutines: calls wait for each other, and the bits are those of one alone.
func TestSequencesInGoroutines(t *testing.T) {
	p := poolOf(t, 4)
	var outs [4][]float32
	var all sync.WaitGroup
	for g := range outs {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			c, err := p.Open()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for i := uint32(0); i < 30; i++ {
				if err := newTokens(3, i).feed(c); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					runtime.GC() // nothing that C reads may move or go
				}
			}
			outs[g] = next(t, c)
		}(g)
	}
	all.Wait()
	for _, out := range outs {
		equal(t, out, outs[0])
	}
}

func TestBatchesAreSingleSteps(t *testing.T) {
	p := poolOf(t, 3)
	a, b := must[*Cache](t)(p.Open()), must[*Cache](t)(p.Open())
	alone := newTestCache(t)
	one, two, single := newTokens(5, 1), newTokens(9, 2), newTokens(9, 2)
	steps := []BatchStep{{a, one.step()}, {b, two.step()}}
	good(t, p.Batch(steps), single.feed(alone), p.Batch(nil))
	equal(t, two.out, single.out)

	refusedAt := func(index int, kind Status, part string) {
		t.Helper()
		err := p.Batch(steps)
		var e *BatchError
		if !errors.As(err, &e) || e.Index != index || !errors.Is(err, kind) || !strings.Contains(err.Error(), part) {
			t.Error(err)
		}
	}
	steps[1].Parents = []int32{0}
	refusedAt(1, ErrArgument, "step 1: Parents")
	steps[1] = BatchStep{a, two.step()}
	refusedAt(1, ErrArgument, "step 1: the cache stands in the batch twice")
	steps[1] = BatchStep{alone, two.step()}
	refusedAt(1, ErrArgument, "of this pool")
	steps[1] = BatchStep{nil, two.step()}
	refusedAt(1, ErrArgument, "of this pool")
	steps[1] = BatchStep{b, two.step()}
	good(t, b.Close())
	refusedAt(-1, ErrArgument, "of this pool")
	if seen(t, a) != 5 {
		t.Error("a step of a refused batch has run")
	}
}

func TestPoolsTellWhetherThereIsRoom(t *testing.T) {
	p := must[*Pool](t)(NewPool(small(func(c *Config) { c.NumSequences, c.Policy, c.NumSink = 2, Dense, 0 })))
	defer p.Close()
	a, b := must[*Cache](t)(p.Open()), must[*Cache](t)(p.Open())
	good(t, p.CanAppend([]Need{{a, window}, {b, window}}), p.CanAppend(nil))
	err := p.CanAppend([]Need{{a, window}, {b, window + 1}})
	var e *BatchError
	if !errors.Is(err, ErrFull) || !errors.As(err, &e) || e.Index != 1 {
		t.Error(err)
	}
	refused(t, p.CanAppend([]Need{{newTestCache(t), 1}}), ErrArgument, "not of this pool")
	good(t, b.Close())
	if err := p.CanAppend([]Need{{b, 1}}); err == nil {
		t.Error("a closed sequence has room")
	}
}

func TestParallelLoops(t *testing.T) {
	single := newTokens(16, 1)
	good(t, single.feed(newTestCache(t)))
	var calls atomic.Int32
	loops := map[string]func(int, func(int)){
		"goroutines": Goroutines,
		"backwards": func(n int, task func(int)) {
			for i := n - 1; i >= 0; i-- {
				task(i)
			}
		},
		"too little": func(n int, task func(int)) { task(n - 1) },
		"too much": func(n int, task func(int)) {
			Goroutines(2*n, func(i int) { task(i % n) })
			task(n)
			task(-1)
		},
		"too early": func(n int, task func(int)) {
			for i := 0; i < n; i++ {
				go task(i)
			}
		},
	}
	for name, loop := range loops {
		c := newTestCache(t, func(c *Config) {
			c.NumThreads = 3
			c.Parallel = func(n int, task func(int)) { calls.Add(1); loop(n, task) }
			good(t, c.Check())
		})
		for i := 0; i < 20; i++ {
			x := newTokens(16, 1)
			good(t, c.Reset(AllLayers), x.feed(c))
			if !same(x.out, single.out) {
				t.Error(name)
			}
		}
	}
	if calls.Load() == 0 {
		t.Error("no loop was called")
	}
	_, err := NewCache(small(func(c *Config) { c.NumThreads = 3 }))
	refused(t, err, ErrConfig, "n_threads")
}

func TestPanicsGoOn(t *testing.T) {
	single, x := newTokens(16, 1), newTokens(16, 1)
	good(t, single.feed(newTestCache(t)))
	c := newTestCache(t, func(c *Config) {
		c.NumThreads = 3
		c.Parallel = func(n int, task func(int)) { task(0); panic("the loop gives up") }
	})
	func() {
		defer func() {
			if p := recover(); p != "the loop gives up" {
				t.Error(p)
			}
		}()
		x.feed(c)
	}()
	equal(t, x.out, single.out) // all was done all the same
	if seen(t, c) != 16 {
		t.Error("the cache is not in order")
	}
}

func BenchmarkToken(b *testing.B) {
	c, err := NewCache(small())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	x := newTokens(1, 1)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if err := x.feed(c); err != nil {
			b.Fatal(err)
		}
	}
}
