// The job of examples/job.c in Go: 5,000 tokens, a rollback, a fork, a snapshot, a refusal, and the same digest.
//
// SPDX-License-Identifier: MIT
package main

import (
	"fmt"
	"log"
	"math"

	"example.com/sinkattn"
)

const heads, kvHeads, headDim = 8, 2, 64

// stream draws the tokens, and takes the digest of what comes out.
type stream struct {
	random       uint32
	digest       uint64
	q, k, v, out []float32
}

func (s *stream) draw(x []float32) {
	for i := range x {
		s.random ^= s.random << 13
		s.random ^= s.random >> 17
		s.random ^= s.random << 5
		x[i] = float32(s.random>>8)*0x1p-23 - 1
	}
}

func (s *stream) feed(cache *sinkattn.Cache, tokens int) error {
	for t := 0; t < tokens; t++ {
		s.draw(s.q)
		s.draw(s.k)
		s.draw(s.v)
		if err := cache.AppendAttend(0, s.q, s.k, s.v, s.out); err != nil {
			return err
		}
		for _, f := range s.out {
			bits := math.Float32bits(f)
			for b := 0; b < 32; b += 8 {
				s.digest = (s.digest ^ uint64(bits>>b&255)) * 0x100000001b3
			}
		}
	}
	return nil
}

// branch feeds a fork, which the cache does not see.
func (s *stream) branch(cache *sinkattn.Cache, tokens int) error {
	fork, err := cache.Fork()
	if err != nil {
		return err
	}
	defer fork.Close()
	return s.feed(fork, tokens)
}

// handOver makes another sequence what the cache is.
func handOver(pool *sinkattn.Pool, cache *sinkattn.Cache) (*sinkattn.Cache, error) {
	snapshot, err := cache.Save(0)
	if err != nil {
		return nil, err
	}
	other, err := pool.Open()
	if err != nil {
		return nil, err
	}
	return other, other.Load(snapshot)
}

func (s *stream) run(pool *sinkattn.Pool) error {
	a, err := pool.Open()
	if err != nil {
		return err
	}
	defer a.Close()
	if err := s.feed(a, 3000); err != nil {
		return err
	}
	if err := a.Rollback(0, 20); err != nil {
		return err
	}
	if err := s.feed(a, 20); err != nil {
		return err
	}
	if err := s.branch(a, 500); err != nil {
		return err
	}
	if err := s.feed(a, 1000); err != nil {
		return err
	}
	b, err := handOver(pool, a)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := s.feed(b, 480); err != nil {
		return err
	}
	fmt.Println("refused:", b.Append(7, s.k, s.v))
	return nil
}

func main() {
	pool, err := sinkattn.NewPool(&sinkattn.Config{
		NumLayers:    1,
		MaxAppend:    1,
		Rollback:     32,
		NumHeads:     heads,
		NumKVHeads:   kvHeads,
		HeadDim:      headDim,
		NumSink:      4,
		Window:       252,
		KDType:       sinkattn.F16Type,
		VDType:       sinkattn.F16Type,
		Position:     sinkattn.Rope,
		NumSequences: 2,
	})
	if err != nil {
		log.Fatal("job: ", err)
	}
	defer pool.Close()
	s := &stream{
		random: 1,
		digest: 0xcbf29ce484222325,
		q:      make([]float32, heads*headDim),
		k:      make([]float32, kvHeads*headDim),
		v:      make([]float32, kvHeads*headDim),
		out:    make([]float32, heads*headDim),
	}
	if err := s.run(pool); err != nil {
		log.Fatal("job: ", err)
	}
	fmt.Printf("digest %016x\n", s.digest)
}
