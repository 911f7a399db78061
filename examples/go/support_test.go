package sinkattn

// What the tests share: a small config, and tokens that can be had anew. SPDX-License-Identifier: MIT

import (
	"errors"
	"strings"
	"testing"
)

const heads, kvHeads, dim, window = 4, 2, 16, 40

func small(change ...func(*Config)) *Config {
	c := &Config{NumLayers: 1, MaxAppend: 16, Rollback: 16, NumHeads: heads, NumKVHeads: kvHeads, HeadDim: dim, NumSink: 4,
		Window: window, Position: Rope}
	for _, f := range change {
		f(c)
	}
	return c
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func newTestCache(t *testing.T, change ...func(*Config)) *Cache {
	t.Helper()
	c := must[*Cache](t)(NewCache(small(change...)))
	t.Cleanup(func() { c.Close() })
	return c
}

// refused tells whether err is of a kind and says something.
func refused(t *testing.T, err error, kind Status, part string) {
	t.Helper()
	var e *Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(e.Sentence, part) {
		t.Errorf("%v, not %q", err, part)
	}
}

func good(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func equal(t *testing.T, a, b []float32) {
	t.Helper()
	if !same(a, b) {
		t.Error("other bits")
	}
}

func same(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b) && len(a) > 0
}

type tokens struct{ q, k, v, out []float32 }

func draw(n int, seed uint32) []float32 {
	x := seed*2654435761 + 12345
	f := make([]float32, n)
	for i := range f {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		f[i] = float32(x>>8)*0x1p-23 - 1
	}
	return f
}

func newTokens(n int, seed uint32) *tokens {
	return &tokens{draw(n*heads*dim, seed), draw(n*kvHeads*dim, seed+1), draw(n*kvHeads*dim, seed+2),
		draw(n*heads*dim, 99)}
}

func (t *tokens) feed(c *Cache) error { return c.AppendAttend(0, t.q, t.k, t.v, t.out) }

func (t *tokens) step() Step { return Step{Q: Of(t.q), K: Of(t.k), V: Of(t.v), Out: Of(t.out)} }

// next is what the next token would get.
func next(t *testing.T, c *Cache) []float32 {
	t.Helper()
	x := newTokens(1, 77)
	good(t, c.Step(&Step{Q: Of(x.q), Out: Of(x.out)}))
	return x.out
}

func seen(t *testing.T, c *Cache) int {
	t.Helper()
	return int(must[Facts](t)(c.Info(0)).TokensSeen)
}
