"""The package against attention written out in NumPy, and its promises: no copy, no broken state, the sentence.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import sinkattn
from sinkattn import Config, Dtype, Gap, KeyForm, Partial, Policy, Pool, Position, SpanKind, Status, Step

HEADS, KV_HEADS, DIM = 4, 2, 16
FIELDS: dict[str, Any] = dict(
    n_layers=2, n_heads=HEADS, n_kv_heads=KV_HEADS, head_dim=DIM, n_sink=3, window=13, position=Position.NONE
)
Floats = npt.NDArray[Any]


def tensors(n: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    numbers = np.random.default_rng(seed)
    return tuple(numbers.standard_normal((n, h, DIM)).astype(np.float32) for h in (HEADS, KV_HEADS, KV_HEADS))


def visible(t: int, sinks: int = 3, window: int = 13) -> list[int]:
    return [u for u in range(t + 1) if u < sinks or t - u < window]


def attention(q: Floats, k: Floats, v: Floats) -> Floats:
    """Each token over its own sinks and window, in double."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    out = np.empty_like(q)
    for t in range(len(q)):
        seen = visible(t)
        for h in range(HEADS):
            logits = k[seen, h // 2] @ q[t, h] / np.sqrt(DIM)
            weights = np.exp(logits - logits.max())
            out[t, h] = weights @ v[seen, h // 2] / weights.sum()
    return out


def test_attention_is_that_of_numpy() -> None:
    q, k, v = tensors(50)
    cache = sinkattn.create(**FIELDS)
    np.testing.assert_allclose(cache.append_attend(0, q, k, v), attention(q, k, v), atol=2e-6)
    for t in range(50):
        cache.append(1, k[t : t + 1], v[t : t + 1])
        np.testing.assert_allclose(cache.attend(1, q[t : t + 1]), attention(q, k, v)[t : t + 1], atol=2e-6)


def test_strides_and_broadcast_are_read_where_they_lie() -> None:
    q, k, v = tensors(20)
    expected = sinkattn.create(**FIELDS).append_attend(0, q, k, v)
    by_heads = (np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2) for x in (q, k, v))
    out = np.empty((HEADS, 20, DIM), np.float32).transpose(1, 0, 2)
    result = sinkattn.create(**FIELDS).append_attend(0, *by_heads, out=out)
    assert result is out
    np.testing.assert_array_equal(out, expected)

    one = np.broadcast_to(k[:, :1], k.shape)
    cache, copy = sinkattn.create(**FIELDS), sinkattn.create(**FIELDS)
    np.testing.assert_array_equal(
        cache.append_attend(0, q[::-1], one, v), copy.append_attend(0, q[::-1].copy(), one.copy(), v)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_out_has_the_dtype_of_q(dtype: type) -> None:
    q, k, v = (x.astype(dtype) for x in tensors(5))
    out = sinkattn.create(**FIELDS).append_attend(0, q, k, v)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, attention(q, k, v), atol=2e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(q=np.zeros((1, HEADS, DIM + 1), np.float32)), "q must have shape"),
        (dict(q=np.zeros((1, HEADS, DIM), np.float64)), "q must be float32"),
        (dict(q=np.zeros((1, HEADS, DIM), ">f4")), "q must be float32"),
        (dict(q=np.zeros((1, HEADS, 2 * DIM), np.float32)[:, :, ::2]), "adjacent"),
        (dict(q=[[1.0]]), "NumPy array"),
        (dict(q=None, k=None), "k"),
        (dict(out=np.broadcast_to(np.zeros(DIM, np.float32), (1, HEADS, DIM))), "read-only"),
        (dict(layer=2), "layer must be 0 .. n_layers - 1"),
        (dict(view_window=14), "view_window"),
    ],
)
def test_refusals_have_a_sentence_and_change_nothing(change: dict[str, Any], sentence: str) -> None:
    q, k, v = tensors(1)
    cache = sinkattn.create(**FIELDS)
    with pytest.raises(sinkattn.Error, match=sentence) as refused:
        cache.step(Step(**{**dict(q=q, k=k, v=v), **change}))
    assert refused.value.status == Status.ARGUMENT
    assert cache.info(0).tokens_seen == 0


def test_rows_of_out_that_overlap_are_refused() -> None:
    q, k, v = tensors(3)
    out = np.lib.stride_tricks.as_strided(np.zeros(DIM, np.float32), (3, HEADS, DIM), (0, 0, 4), writeable=True)
    with pytest.raises(sinkattn.Error, match="out"):
        sinkattn.create(**FIELDS).append_attend(0, q, k, v, out)


def test_config_says_which_field_is_wrong() -> None:
    with pytest.raises(sinkattn.Error, match="n_kv_heads") as refused:
        Config(**{**FIELDS, "n_kv_heads": 3}).check()
    assert refused.value.status == Status.CONFIG
    with pytest.raises(sinkattn.Error, match="position"):
        sinkattn.create(n_layers=1, n_heads=1, head_dim=1, window=1)
    with pytest.raises(sinkattn.Error, match="sink_logits must have 4 elements, not 3"):
        sinkattn.create(**FIELDS, sink_logits=[0, 0, 0])
    with pytest.raises(TypeError):
        sinkattn.create(**FIELDS, windw=3)


def test_config_takes_every_field_that_the_header_has() -> None:
    from sinkattn._native import ffi

    header = {name for name, _ in ffi.typeof("sa_config").fields}
    assert header - {"struct_size", "parallel_for", "parallel_context"} == set(Config.__dataclass_fields__)
    for facts, ctype in ((sinkattn.CacheFacts, "sa_cache_facts"), (sinkattn.PoolFacts, "sa_pool_facts")):
        assert {name for name, _ in ffi.typeof(ctype).fields} - {"struct_size", "reserved"} == set(facts._fields)


def test_layers_of_their_own() -> None:
    local = Config(n_heads=2, head_dim=8, window=4, policy=Policy.WINDOW, position=Position.NONE)
    config = Config(**{**FIELDS, "layers": [local, None]})
    cache = sinkattn.create(config)
    x = np.ones((9, 2, 8), np.float32)
    assert cache.append_attend(0, x, x, x).shape == (9, 2, 8)
    assert cache.append_attend(1, *tensors(9)).shape == (9, HEADS, DIM)
    assert list(cache.positions(0))[-4:] == [5, 6, 7, 8]


def test_sequences_fork_roll_back_remove_pin_and_anchor() -> None:
    q, k, v = tensors(40)
    with Pool(**FIELDS, n_sequences=3, n_spans=8, n_pin=8, rollback=8) as pool:
        a = pool.open()
        for layer in (0, 1):
            a.append(layer, k[:30], v[:30])
        b = a.fork()
        a.rollback(5)
        assert (a.info(0).tokens_seen, b.info(1).tokens_seen) == (25, 30)
        a.append(0, k[25:30], v[25:30])
        np.testing.assert_array_equal(a.attend(0, q[29:30]), b.attend(0, q[29:30]))
        b.pin(20, 22)
        b.remove(24, 26, Gap.CLOSE)
        assert [s.kind for s in b.spans(0)].count(SpanKind.PIN) == 1
        assert 24 not in b.positions(0) and 26 in b.positions(0)
        b.unpin(20, 22)
        b.anchor(27, 29)
        assert {(s.start, s.end) for s in b.spans(1) if s.kind == SpanKind.SINK} == {(27, 29)}
        b.seek(100)
        assert b.info(0).tokens_seen == 100
        b.reset()
        assert b.info(0).tokens_seen == 0
        assert pool.info().n_open == 2
        b.close()
        assert pool.info().n_open == 1
        with pytest.raises(sinkattn.Error):
            b.append(0, k[:1], v[:1])


def test_a_full_pool_says_so_and_is_free_again_when_a_sequence_is_forgotten() -> None:
    pool = Pool(**FIELDS, n_sequences=1)
    cache = pool.open()
    with pytest.raises(sinkattn.Error) as refused:
        pool.open()
    assert refused.value.status == Status.POOL
    del cache
    gc.collect()
    pool.open()


def test_pools_and_sequences_in_one_cycle_of_garbage() -> None:
    for first in (True, False):
        cache = sinkattn.create(**FIELDS)
        cycle = [cache.pool, cache] if first else [cache, cache.pool]
        cycle.append(cycle)
        cache.cycle = cache.pool.cycle = cycle  # type: ignore[attr-defined]
        del cache, cycle
        gc.collect()


def test_a_closed_pool_closes_its_sequences() -> None:
    q, k, v = tensors(1)
    pool = Pool(**FIELDS)
    cache = pool.open()
    pool.close()
    pool.close()
    for call in (lambda: cache.append(0, k, v), cache.fork, cache.info, pool.open, pool.info, cache.spans):
        with pytest.raises(sinkattn.Error):
            call()
    cache.close()


def test_batch_gives_the_bits_of_single_steps() -> None:
    pool, single = Pool(**FIELDS, n_sequences=3), sinkattn.create(**FIELDS)
    caches = [pool.open() for _ in range(3)]
    inputs = [tensors(n, seed=n) for n in (1, 7, 30)]
    results = pool.batch([(c, Step(layer=1, q=q, k=k, v=v)) for c, (q, k, v) in zip(caches, inputs, strict=True)])
    for result, (q, k, v) in zip(results, inputs, strict=True):
        np.testing.assert_array_equal(result.out, single.append_attend(1, q, k, v))
        single.reset()
    q, k, v = inputs[0]
    with pytest.raises(sinkattn.Error, match="step 1: .*view_window"):
        pool.batch([(caches[0], Step(q=q, k=k, v=v)), (caches[1], Step(q=q, k=k, v=v, view_window=99))])
    assert caches[0].info(0).tokens_seen == 0
    with pytest.raises(sinkattn.Error, match="not one of this pool"):
        pool.batch([(single, Step(q=q, k=k, v=v))])


def test_a_pool_says_whether_there_is_room() -> None:
    _, k, v = tensors(20)
    with Pool(**FIELDS, n_sequences=2, max_append=1, pool_tokens=48) as pool:
        a, b = pool.open(), pool.open()
        pool.can_append([(a, 10), (b, 10)])
        with pytest.raises(sinkattn.Error) as refused:
            pool.can_append([(a, 20), (b, 40)])
        assert refused.value.status == Status.POOL
        a.append(0, k, v)
        a.append(1, k, v)
        a.remove(18)
        assert a.positions()[-1] == 17


def test_snapshots_go_on_in_another_pool() -> None:
    q, k, v = tensors(40)
    a, b = sinkattn.create(**FIELDS), sinkattn.create(**FIELDS)
    for layer in (0, 1):
        a.append(layer, k[:30], v[:30])
    snapshot = a.save()
    b.load(bytes(snapshot))
    np.testing.assert_array_equal(
        a.append_attend(0, q[30:], k[30:], v[30:]), b.append_attend(0, q[30:], k[30:], v[30:])
    )
    snapshot[200] ^= 1
    with pytest.raises(sinkattn.Error) as refused:
        b.load(snapshot)
    assert refused.value.status == Status.FORMAT
    assert b.info(0).tokens_seen == 40


def test_mass_adds_up_and_is_in_the_order_of_positions() -> None:
    q, k, v = tensors(30)
    cache = sinkattn.create(**FIELDS, sink_logits=[0.5] * HEADS)
    cache.append(0, k[:29], v[:29])
    result = cache.step(Step(q=q[29:], k=k[29:], v=v[29:], key_mass="head", value_norms=True, lse=True, sink_mass=True))
    facts, positions = cache.info(0), cache.positions(0)
    assert result.key_mass.shape == (HEADS, facts.keys_in_front + len(positions))
    np.testing.assert_allclose(result.key_mass.sum(1), 1, atol=1e-5)
    seen = facts.keys_in_front + np.flatnonzero(np.isin(positions, visible(29)))
    assert (result.key_mass[:, seen] > 0).all()
    np.testing.assert_allclose(result.value_norms[0, -1], np.linalg.norm(v[29, 0]), rtol=1e-5)
    sinks = [0, *(facts.keys_in_front + np.arange(3))]
    np.testing.assert_allclose(result.sink_mass[0], result.key_mass[:, sinks].sum(1), atol=1e-5)


def test_partial_states_of_two_caches_merge() -> None:
    q, k, v = tensors(13)
    whole = sinkattn.create(**FIELDS)
    whole.append(0, k, v)
    expected = whole.step(Step(q=q[-1:], q_offset=-1, lse=True))
    states = []
    for part in (slice(0, 6), slice(6, 13)):
        cache = sinkattn.create(**FIELDS)
        cache.append(0, k[part], v[part])
        states.append(Partial.of(cache.step(Step(q=q[-1:], partial=True))))
    sinkattn.merge(*states)
    out, lse = sinkattn.finish(states[0])
    np.testing.assert_allclose(out, expected.out, atol=1e-6)
    np.testing.assert_allclose(lse, expected.lse, atol=1e-6)


def test_a_draft_is_accepted_as_if_it_had_been_appended() -> None:
    q, k, v = tensors(20)
    fields = {**FIELDS, "n_layers": 1, "max_draft": 8}
    cache, plain = sinkattn.create(**fields), sinkattn.create(**fields)
    for c in (cache, plain):
        c.append(0, k[:10], v[:10])
    drafted = cache.step(Step(q=q[10:14], k=k[10:14], v=v[10:14], parents=[-1, 0, 0, 2])).out
    cache.accept([0, 2, 3])
    expected = plain.append_attend(0, q[[10, 12, 13]], k[[10, 12, 13]], v[[10, 12, 13]])
    np.testing.assert_array_equal(drafted[[0, 2, 3]], expected)
    assert cache.info(0).tokens_seen == 13
    with pytest.raises(sinkattn.Error, match="parents must have one number"):
        cache.step(Step(q=q[:2], k=k[:2], v=v[:2], parents=[-1]))


def test_rows_of_the_host_and_learned_sinks() -> None:
    q, k, v = tensors(6)
    cache = sinkattn.create(**{**FIELDS, "n_layers": 1}, n_rows=4, n_sink_kv=2)
    with pytest.raises(sinkattn.Error) as refused:
        cache.append_attend(0, q, k, v)
    assert refused.value.status == Status.STATE
    cache.set_sink_kv(0, k[:2], v[:2])
    before = cache.append_attend(0, q, k, v)
    cache.set_rows(0, 1, k[2:4], v[2:4], biases=np.zeros((2, KV_HEADS)), places=[[-2, -2], [-1, -1]])
    assert cache.info(0).rows_used == 3
    assert not np.array_equal(cache.attend(0, q), before)
    cache.clear_rows(0, 0, 4)
    np.testing.assert_array_equal(cache.attend(0, q), before)
    with pytest.raises(sinkattn.Error, match="biases must have shape"):
        cache.set_rows(0, 1, k[2:4], v[2:4], biases=[[0.0]])


def test_reading_gives_back_what_was_appended() -> None:
    _, k, v = tensors(30)
    cache = sinkattn.create(**{**FIELDS, "position": Position.ROPE}, max_append=1)
    cache.append(0, k, v)
    keys, values = cache.read([29, 1], key_form=KeyForm.UNROTATED)
    np.testing.assert_allclose(keys, k[[29, 1]], atol=1e-5)
    np.testing.assert_array_equal(values, v[[29, 1]])
    with pytest.raises(sinkattn.Error) as refused:
        cache.read([10])
    assert refused.value.status == Status.DEPTH


def test_threads_wait_for_each_other() -> None:
    q, k, v = tensors(200)
    pool = Pool(**FIELDS, n_sequences=4)
    expected = sinkattn.create(**FIELDS).append_attend(0, q, k, v)
    outs: dict[int, Floats] = {}

    def work(number: int) -> None:
        cache = pool.open()
        outs[number] = np.concatenate([cache.append_attend(0, *(x[t : t + 1] for x in (q, k, v))) for t in range(200)])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in range(4):
        np.testing.assert_array_equal(outs[number], expected)


def test_torch_tensors_are_read_and_written_where_they_lie() -> None:
    torch = pytest.importorskip("torch")
    q, k, v = tensors(20)
    expected = sinkattn.create(**FIELDS).append_attend(0, q, k, v)
    # As a model has them: (batch, heads, tokens, dim), seen as (tokens, heads, dim).
    tq, tk, tv = (torch.from_numpy(x).transpose(0, 1).contiguous().transpose(0, 1) for x in (q, k, v))
    out = sinkattn.create(**FIELDS).append_attend(0, tq, tk, tv)
    assert isinstance(out, torch.Tensor)
    np.testing.assert_array_equal(out.numpy(), expected)
    half = [x.bfloat16() for x in (tq, tk, tv)]
    out = sinkattn.create(**FIELDS, k_dtype=Dtype.BF16, v_dtype=Dtype.BF16).append_attend(0, *half)
    assert out.dtype == torch.bfloat16
    np.testing.assert_allclose(out.float().numpy(), expected, atol=0.05)
    one = tk[:1, :1].expand(20, KV_HEADS, DIM)
    cache, copy = sinkattn.create(**FIELDS), sinkattn.create(**FIELDS)
    assert torch.equal(cache.append_attend(0, tq, one, tv), copy.append_attend(0, tq, one.contiguous(), tv))
    with pytest.raises(sinkattn.Error, match="of the CPU"):
        sinkattn.create(**FIELDS).append(0, tk.to("meta"), tv)


def test_facts() -> None:
    config = Config(**FIELDS)
    assert config.cache_size() == sinkattn.create(config).info().cache_size
    assert Pool(config).info().pool_size == config.pool_size()
    assert sinkattn.isa_available(sinkattn.best_isa())
    assert sinkattn.__version__.count(".") == 2
