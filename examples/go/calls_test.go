package sinkattn

// Every call of a sequence, and what Go adds: lengths, types, errors with the library's sentence.
// SPDX-License-Identifier: MIT

import (
	"math"
	"strings"
	"testing"
)

func TestConfigs(t *testing.T) {
	good(t, small().Check())
	bad := small(func(c *Config) { c.HeadDim = 0 })
	refused(t, bad.Check(), ErrConfig, "head_dim")
	if _, err := NewCache(bad); err == nil || err.Error() != "layer 0: head_dim must be 1 .. 1024" {
		t.Error(err)
	}
	_, err := NewPool(bad)
	refused(t, err, ErrConfig, "head_dim")
	_, err = bad.Size()
	refused(t, err, ErrConfig, "head_dim")
	refused(t, small(func(c *Config) { c.NumSink = math.MaxInt }).Check(), ErrConfig, "n_sink")
	refused(t, small(func(c *Config) { c.ISA = 99 }).Check(), ErrISA, "isa")
	_, err = NewCache(small(func(c *Config) { c.NumSequences = 2 }))
	refused(t, err, ErrConfig, "n_sequences")

	good(t, small(func(c *Config) { c.SinkLogits = make([]float32, heads) }).Check())
	refused(t, small(func(c *Config) { c.SinkLogits = make([]float32, 3) }).Check(), ErrConfig, "NumHeads elements")
	refused(t, small(func(c *Config) { c.RopeInvFreq = make([]float64, 3) }).Check(), ErrConfig, "RopeDims / 2")
	refused(t, small(func(c *Config) { c.HeadWindows = make([]int32, 3) }).Check(), ErrConfig, "NumKVHeads")
	refused(t, small(func(c *Config) { c.Layers = make([]*Config, 2) }).Check(), ErrConfig, "NumLayers")
	err = small(func(c *Config) {
		c.NumLayers, c.Layers = 2, []*Config{nil, small(func(c *Config) { c.Window = 0 })}
	}).Check()
	refused(t, err, ErrConfig, "window")
	if !strings.HasPrefix(err.Error(), "layer 1: ") {
		t.Error(err)
	}
}

func TestLayersHaveShapesOfTheirOwn(t *testing.T) {
	c := newTestCache(t, func(c *Config) {
		c.NumLayers = 2
		c.Layers = []*Config{small(func(c *Config) { c.HeadDim, c.Policy, c.NumSink = 8, Window, 0 }), nil}
	})
	narrow, wide := make([]float32, kvHeads*8), make([]float32, kvHeads*dim)
	good(t, c.Append(0, narrow, narrow), c.Append(1, wide, wide))
	refused(t, c.Append(0, wide, narrow), ErrArgument, "V must have")
}

func TestLengths(t *testing.T) {
	c := newTestCache(t)
	x := newTokens(5, 1)
	few := make([]float32, 3)
	refused(t, c.Append(0, x.k, x.v[1:]), ErrArgument, "V must have")
	refused(t, c.Append(0, few, few), ErrArgument, "Tokens must be given")
	refused(t, c.AppendAttend(0, x.q, x.k, x.v, few), ErrArgument, "Out must have")
	for _, layer := range []int{1, -1, math.MaxInt, math.MinInt} {
		refused(t, c.Append(layer, x.k, x.v), ErrArgument, "layer must be")
	}
	if seen(t, c) != 0 {
		t.Error("something was appended")
	}
	good(t, x.feed(c))

	refused(t, c.Step(&Step{Q: Of(x.q), Out: Of(x.out), QOffset: -5, LSE: few}), ErrArgument, "LSE")
	refused(t, c.Step(&Step{K: Of(x.k), V: Of(x.v), Parents: []int32{-1}}), ErrArgument, "Parents")
	refused(t, c.Step(&Step{Tokens: -1, K: Of(x.k), V: Of(x.v)}), ErrArgument, "Tokens")
	width := heads * dim
	for _, bad := range [][3]int{{width, dim, 1}, {width, dim, -1}, {width + 1, dim, 0}, {-width, dim, 0},
		{math.MaxInt, dim, 0}, {math.MinInt, dim, 0}, {width, 2 * dim, 0}, {width, dim, math.MaxInt}} {
		strided := func(s []float32) Tensor { return Of(s).Strides(bad[0], bad[1], bad[2]) }
		refused(t, c.Step(&Step{Tokens: 5, Q: strided(x.q), Out: Of(x.out), QOffset: -5}), ErrArgument, "Q must have")
		refused(t, c.Step(&Step{Tokens: 5, Q: Of(x.q), Out: strided(x.out), QOffset: -5}), ErrArgument, "Out must have")
	}
	good(t, c.Step(&Step{Tokens: 5, Q: Of(x.q).Strides(0, 0, 3), Out: Of(x.out), QOffset: -5}))
	refused(t, c.Step(&Step{Tokens: 5, Q: Of(x.q), Out: Of(x.out).Strides(0, dim, 0), QOffset: -5}), ErrArgument,
		"overlap")
}

func TestStridesGiveTheSameBits(t *testing.T) {
	const n = 6
	plain, other := newTestCache(t), newTestCache(t)
	x := newTokens(n, 1)
	good(t, x.feed(plain))
	// The same with heads outermost for q and out, and k from its last token to its first.
	headsFirst := func(from []float32) []float32 {
		to := make([]float32, 0, len(from))
		for h := 0; h < heads; h++ {
			for i := 0; i < n; i++ {
				to = append(to, from[(i*heads+h)*dim:(i*heads+h+1)*dim]...)
			}
		}
		return to
	}
	const width = kvHeads * dim
	var k []float32
	for i := n - 1; i >= 0; i-- {
		k = append(k, x.k[i*width:(i+1)*width]...)
	}
	out := make([]float32, len(x.out))
	good(t, other.Step(&Step{Tokens: n,
		Q:   Of(headsFirst(x.q)).Strides(dim, n*dim, 0),
		K:   Of(k).Strides(-width, dim, (n-1)*width),
		V:   Of(x.v),
		Out: Of(out).Strides(dim, n*dim, 0)}))
	equal(t, out, headsFirst(x.out))
}

func TestElementsOf16Bits(t *testing.T) {
	c := newTestCache(t)
	q, kv, out := make([]F16, heads*dim), make([]BF16, kvHeads*dim), make([]F16, heads*dim)
	for i := range q {
		q[i] = 0x3c00
	}
	for i := range kv {
		kv[i] = 0x3f80
	}
	good(t, c.Step(&Step{Q: Of(q), K: Of(kv), V: Of(kv), Out: Of(out)}))
	if out[0] != 0x3c00 || out[heads*dim-1] != 0x3c00 {
		t.Error(out)
	}
}

func TestThreeCallsAreOne(t *testing.T) {
	one, two := newTestCache(t), newTestCache(t)
	for i := uint32(0); i < 20; i++ {
		x := newTokens(7, i)
		out := make([]float32, len(x.out))
		good(t, x.feed(one), two.Append(0, x.k, x.v), two.Attend(0, x.q, out))
		equal(t, out, x.out)
	}
	facts := must[Facts](t)(one.Info(0))
	size := must[uint64](t)(small().Size())
	if facts.PositionsHeld != 4+window || facts.CacheSize != size || facts.ISA != BestISA() {
		t.Error(facts)
	}
	many := newTokens(17, 3)
	refused(t, one.Attend(0, many.q, many.out), ErrArgument, "max_append")
	refused(t, one.Attend(0, many.q[1:], many.out), ErrArgument, "Tokens must be given")
}

func TestGoingBackAndJumping(t *testing.T) {
	c := newTestCache(t)
	good(t, newTokens(30, 1).feed(c))
	before := next(t, c)
	good(t, newTokens(10, 5).feed(c))
	if same(next(t, c), before) {
		t.Error("the tokens made no difference")
	}
	good(t, c.Rollback(AllLayers, 10))
	equal(t, next(t, c), before)
	refused(t, c.Rollback(0, 1000), ErrArgument, "tokens_seen")
	refused(t, c.Rollback(7, 1), ErrArgument, "layer")
	good(t, c.Seek(AllLayers, 100), c.Restart(0, 100))
	if seen(t, c) != 100 {
		t.Error("not there")
	}
	good(t, c.Reset(AllLayers))
	if seen(t, c) != 0 {
		t.Error("not empty")
	}
}

func TestRemovalsPinsAndSpans(t *testing.T) {
	c := newTestCache(t, func(c *Config) { c.NumSpans, c.NumPin = 8, 32 })
	good(t, newTokens(100, 1).feed(c))
	refused(t, c.Pin(AllLayers, 10, 12), ErrDepth, "no longer holds")
	good(t, c.Pin(AllLayers, 80, 85), c.Remove(AllLayers, 90, 92, CloseGap), c.Anchor(AllLayers, 82, 84))
	spans := must[[]Span](t)(c.Spans(0, 0))
	if last := spans[len(spans)-1]; last.End != 100 || last.Shift != 2 || last.Masked {
		t.Error(spans)
	}
	sinks := 0
	for _, s := range spans {
		if s.Kind == SpanSink && s.From == 82 && s.End == 84 {
			sinks++
		}
	}
	held := must[[]uint64](t)(c.Positions(0, 1))
	if sinks != 1 || held[len(held)-1] != 99 {
		t.Error(spans, held)
	}
	good(t, c.Unpin(AllLayers, 80, End))
	_, err := c.Positions(0, 2)
	refused(t, err, ErrArgument, "")
	_, err = c.Spans(1, 0)
	refused(t, err, ErrArgument, "")
	if empty := must[[]Span](t)(newTestCache(t).Spans(0, 0)); len(empty) != 0 {
		t.Error(empty)
	}
}

func TestReadingBack(t *testing.T) {
	c := newTestCache(t)
	x := newTokens(3, 1)
	good(t, x.feed(c))
	k, v := make([]float32, 2*dim), make([]float32, 2*dim)
	r := Read{KVHead: 1, Form: KeyUnrotated, Positions: []uint64{2, 0}, K: Of(k), V: Of(v)}
	good(t, c.Read(&r))
	const row = (2*kvHeads + 1) * dim
	equal(t, v[:dim], x.v[row:row+dim])
	if math.Abs(float64(k[5]-x.k[row+5])) > 1e-6 {
		t.Error(k[5], x.k[row+5])
	}
	r.Form, r.Places = KeyAtPlace, []int64{0, 0}
	good(t, c.Read(&r))
	r.Places = []int64{0}
	refused(t, c.Read(&r), ErrArgument, "Places")
	refused(t, c.Read(&Read{Positions: []uint64{2, 0}, K: Of(k)}), ErrArgument, "K and V must have")
	refused(t, c.Read(&Read{KVHead: math.MaxInt, NumKVHeads: 1, K: Of(k)}), ErrArgument, "kv heads")
	refused(t, c.Read(&Read{KVHead: 1, NumKVHeads: math.MaxInt, K: Of(k)}), ErrArgument, "kv heads")
	refused(t, c.Read(&Read{KVHead: 1, Positions: []uint64{2, 9}, K: Of(k)}), ErrDepth, "")
	refused(t, c.Read(&Read{Layer: 3, Positions: []uint64{2}, K: Of(k)}), ErrArgument, "layer")
}

func TestDraftsAreAppends(t *testing.T) {
	drafts := func(c *Config) { c.MaxDraft = 8 }
	drafted, plain := newTestCache(t, drafts), newTestCache(t, drafts)
	good(t, newTokens(20, 1).feed(drafted), newTokens(20, 1).feed(plain))
	x := newTokens(3, 4)
	s := x.step()
	s.Parents = []int32{-1, -1, 0}
	good(t, drafted.Step(&s))
	if f := must[Facts](t)(drafted.Info(0)); f.NumDraft != 3 {
		t.Error(f)
	}
	again := make([]float32, 2*heads*dim)
	good(t, drafted.Step(&Step{Q: Of(x.q[heads*dim:]), Out: Of(again), Nodes: true, QOffset: 1}))
	equal(t, again, x.out[heads*dim:])
	refused(t, drafted.Rollback(AllLayers, 1), ErrState, "draft is open")
	refused(t, drafted.Accept(AllLayers, []int32{0, 1}), ErrArgument, "path")
	good(t, drafted.Accept(AllLayers, []int32{0, 2}))
	const width = kvHeads * dim
	good(t, plain.Append(0, x.k[:width], x.v[:width]), plain.Append(0, x.k[2*width:], x.v[2*width:]))
	equal(t, next(t, plain), next(t, drafted))
	good(t, drafted.Accept(AllLayers, nil))
}

func TestStatesOfTwoCachesMerge(t *testing.T) {
	none := func(c *Config) { c.Position = NoPosition }
	caches := []*Cache{newTestCache(t, none), newTestCache(t, none)}
	whole := newTestCache(t, none)
	for i := 0; i < 20; i++ {
		x := newTokens(1, uint32(i))
		good(t, caches[i%2].Append(0, x.k, x.v), whole.Append(0, x.k, x.v))
	}
	x := newTokens(1, 99)
	var states []*Partial
	for _, c := range caches {
		p := &Partial{make([]float32, heads), make([]float32, heads), make([]float32, heads*dim), dim}
		good(t, c.Step(&Step{Q: Of(x.q), Out: Of(p.Acc), PartialMax: p.Max, PartialSum: p.Sum}))
		states = append(states, p)
	}
	lse, own := make([]float32, heads), make([]float32, heads)
	refused(t, states[0].Merge(&Partial{lse, own, x.k, dim}), ErrArgument, "equally many")
	good(t, states[0].Merge(states[1]), states[0].Finish(lse))
	good(t, whole.Step(&Step{Q: Of(x.q), Out: Of(x.out), LSE: own}))
	for i := range x.out {
		if math.Abs(float64(x.out[i]-states[0].Acc[i])) > 1e-6 {
			t.Fatal(i, x.out[i], states[0].Acc[i])
		}
	}
	if math.Abs(float64(lse[0]-own[0])) > 1e-6 {
		t.Error(lse, own)
	}
}

func TestWeightsOfKeys(t *testing.T) {
	c := newTestCache(t)
	x := newTokens(16, 1)
	good(t, x.feed(c))
	stride := int(must[Facts](t)(c.Info(0)).KeysMost)
	mass, norms := make([]float32, stride*heads), make([]float32, stride*kvHeads)
	s := Step{Q: Of(x.q), Out: Of(x.out), QOffset: -16, KeyMass: mass, MassPerHead: true, ValueNorms: norms,
		KeyStride: stride, SinkMass: make([]float32, 16*heads)}
	good(t, c.Step(&s))
	sum := float32(0)
	for _, m := range mass[:stride] {
		sum += m
	}
	if math.Abs(float64(sum)-16) > 1e-3 || norms[0] <= 0 || math.Abs(float64(s.SinkMass[0])-1) > 1e-6 {
		t.Error(sum, norms[0], s.SinkMass[0])
	}
	s.KeyMass = norms
	refused(t, c.Step(&s), ErrArgument, "KeyStride")
}

func TestNarrowerViews(t *testing.T) {
	c := newTestCache(t)
	good(t, newTokens(30, 1).feed(c))
	x := newTokens(1, 3)
	view := func(window, sinks int) []float32 {
		out := make([]float32, heads*dim)
		good(t, c.Step(&Step{Q: Of(x.q), Out: Of(out), ViewWindow: window, ViewSinks: sinks}))
		return out
	}
	if same(view(0, 0), view(8, 0)) || same(view(8, 0), view(8, -1)) {
		t.Error("all views are one")
	}
}

func TestRowsOfTheHost(t *testing.T) {
	c := newTestCache(t, func(c *Config) { c.NumRows, c.NumSinkKV = 2, 1 })
	x, two := newTokens(1, 1), newTokens(2, 3)
	refused(t, x.feed(c), ErrState, "learned sink rows are missing")
	refused(t, c.SetSinkKV(0, Of(two.k), Of(x.v)), ErrArgument, "NumSinkKV")
	refused(t, c.SetSinkKV(0, Of(make([]F16, kvHeads*dim)), Of(x.v)), ErrArgument, "IODType")
	refused(t, c.SetSinkKV(9, Of(x.k), Of(x.v)), ErrArgument, "layer")
	good(t, c.SetSinkKV(0, Of(x.k), Of(x.v)), x.feed(c))
	before := next(t, c)
	refused(t, c.SetRows(&Rows{Num: 1, K: Of(two.k), V: Of(two.v)}), ErrArgument, "K and V must have")
	refused(t, c.SetRows(&Rows{Num: 2, K: Of(two.k), V: Of(two.v), Biases: make([]float32, 1)}), ErrArgument, "Biases")
	good(t, c.SetRows(&Rows{Num: 2, K: Of(two.k), V: Of(two.v), Biases: make([]float32, 4),
		Places: []int64{5, 5, 6, 6}, AtDistance: true}))
	if f := must[Facts](t)(c.Info(0)); f.RowsUsed != 2 || same(next(t, c), before) {
		t.Error("no query sees the rows")
	}
	good(t, c.SetRows(&Rows{Num: 2}))
	equal(t, next(t, c), before)
}

func TestSnapshots(t *testing.T) {
	a, b := newTestCache(t), newTestCache(t)
	good(t, newTokens(60, 1).feed(a))
	snapshot := must[[]byte](t)(a.Save(0))
	if n := must[int](t)(a.SaveSize(0)); n != len(snapshot) {
		t.Error(n, len(snapshot))
	}
	good(t, b.Load(snapshot))
	expected := next(t, a)
	equal(t, next(t, b), expected)
	snapshot[200] ^= 1
	refused(t, b.Load(snapshot), ErrFormat, "damaged")
	refused(t, b.Load([]byte{}), ErrFormat, "")
	equal(t, next(t, b), expected)
	_, err := a.SaveInto(0, snapshot[:100])
	refused(t, err, ErrBuffer, "sa_cache_save_size")
	_, err = a.Save(1000)
	refused(t, err, ErrArgument, "from")
	other := newTestCache(t, func(c *Config) { c.KDType = F16Type })
	refused(t, other.Load(must[[]byte](t)(a.Save(0))), ErrConfig, "dtype")
}

func TestInstructionSets(t *testing.T) {
	if !BestISA().Available() || !ISAPlain.Available() || ISA(99).Available() || ISAPlain.String() != "plain" ||
		Version() == "" {
		t.Error(BestISA(), Version())
	}
}
