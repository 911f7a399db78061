#!/usr/bin/env python3
"""Writes tiny model files with random weights: one per family and weight type, and a llama2.c checkpoint.

SPDX-License-Identifier: MIT

They are seeds for the fuzzer and inputs for quick checks: every one can be run.
"""
import os
import random
import struct
import sys

U16, U32, F32, BOOL, STRING, ARRAY, I32 = 2, 4, 6, 7, 8, 9, 5
# name: number in GGUF, elements and bytes of a block, how many bytes of f16 scales it begins with (or ends, negative)
TYPES = {"F32": (0, 1, 4, 0), "F16": (1, 1, 2, 0), "Q4_0": (2, 32, 18, 2), "Q4_1": (3, 32, 20, 4),
         "Q5_0": (6, 32, 22, 2), "Q5_1": (7, 32, 24, 4), "Q8_0": (8, 32, 34, 2), "Q4_K": (12, 256, 144, 4),
         "Q5_K": (13, 256, 176, 4), "Q6_K": (14, 256, 210, -2), "BF16": (30, 1, 2, 0)}
# name: fused tensors, extras
FAMILIES = {"llama": "", "qwen2": "bias", "qwen3": "norm", "phi3": "fused local", "gemma": "",
            "gemma2": "post local", "gemma3": "norm post local"}
rng = random.Random(1)


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, x):
    if kind == STRING:
        return text(x)
    return struct.pack({U16: "<H", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B"}[kind], x)


def entry(key, kind, x):
    if isinstance(x, list):
        return text(key) + struct.pack("<IIQ", ARRAY, kind, len(x)) + b"".join(value(kind, e) for e in x)
    return text(key) + struct.pack("<I", kind) + value(kind, x)


def weights(kind, n):
    """n random weights of about 0.1."""
    _, elements, size, scales = TYPES[kind]
    if kind == "F32":
        return struct.pack("<%df" % n, *(rng.gauss(0, 0.1) for _ in range(n)))
    if kind == "BF16":
        return b"".join(struct.pack("<f", rng.gauss(0, 0.1))[2:] for _ in range(n))
    if kind == "F16":
        return struct.pack("<%de" % n, *(rng.gauss(0, 0.1) for _ in range(n)))
    blocks = []
    for _ in range(n // elements):
        head = struct.pack("<%de" % (abs(scales) // 2), *(rng.uniform(0.001, 0.002) for _ in range(abs(scales) // 2)))
        body = bytes(rng.randrange(256) for _ in range(size - abs(scales)))
        blocks.append(head + body if scales > 0 else body + head)
    return b"".join(blocks)


def byte_name(b):
    printable = [x for x in range(256) if 33 <= x <= 126 or 161 <= x <= 172 or 174 <= x <= 255]
    others = [x for x in range(256) if x not in printable]
    return chr(b) if b in printable else chr(256 + others.index(b))


def tokenizer(sentencepiece):
    if sentencepiece:
        tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + ["\u2581", "a", "b", "\u2581ab", "ab"]
        kinds = [2, 3, 3] + [6] * 256 + [1] * 5
        return [entry("tokenizer.ggml.model", STRING, "llama"), entry("tokenizer.ggml.tokens", STRING, tokens),
                entry("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
                entry("tokenizer.ggml.token_type", I32, kinds), entry("tokenizer.ggml.bos_token_id", U32, 1)], len(tokens)
    tokens = [byte_name(b) for b in range(256)] + ["ab", "\u0120ab", "It", "<|x|>"]
    return [entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "llama-bpe"),
            entry("tokenizer.ggml.tokens", STRING, tokens), entry("tokenizer.ggml.token_type", I32, [1] * 259 + [3]),
            entry("tokenizer.ggml.merges", STRING, ["a b", "\u0120 ab", "I t"])], len(tokens)


def describe(family, kind):
    """The metadata of a tiny model, as a list of entries, and its tensors: name, type, columns, rows, data."""
    extras, dim, heads, kv_heads, size, hidden = FAMILIES[family], 256, 4, 2, 64, 256
    if kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        dim, hidden, size = 32, 64, 8  # rows as short as the blocks allow keep the files small
    meta, n_vocab = tokenizer("gemma" in family or family == "phi3")
    p = family + "."
    meta = [entry("general.architecture", STRING, family), entry(p + "embedding_length", U32, dim),
            entry(p + "block_count", U32, 2), entry(p + "attention.head_count", U32, heads),
            entry(p + "attention.head_count_kv", U32, kv_heads), entry(p + "feed_forward_length", U32, hidden),
            entry(p + "attention.layer_norm_rms_epsilon", F32, 1e-5), entry(p + "context_length", U32, 64),
            entry(p + "attention.key_length", U32, size), entry(p + "attention.value_length", U32, size)] + meta
    if "local" in extras:
        meta.append(entry(p + "attention.sliding_window", U32, 3))
    if family == "gemma2":
        meta += [entry(p + "attn_logit_softcapping", F32, 50.0), entry(p + "final_logit_softcapping", F32, 30.0)]
    q, kv = heads * size, kv_heads * size
    tensors = [("token_embd.weight", kind, dim, n_vocab), ("output_norm.weight", "F32", dim, 1)]
    for i in range(2):
        b = "blk.%d." % i
        tensors += [(b + "attn_norm.weight", "F32", dim, 1), (b + "ffn_norm.weight", "F32", dim, 1),
                    (b + "attn_output.weight", kind, q, dim), (b + "ffn_down.weight", kind, hidden, dim)]
        if "fused" in extras:
            tensors += [(b + "attn_qkv.weight", kind, dim, q + 2 * kv), (b + "ffn_up.weight", kind, dim, 2 * hidden)]
        else:
            tensors += [(b + "attn_q.weight", kind, dim, q), (b + "attn_k.weight", kind, dim, kv),
                        (b + "attn_v.weight", kind, dim, kv), (b + "ffn_gate.weight", kind, dim, hidden),
                        (b + "ffn_up.weight", kind, dim, hidden)]
        if "bias" in extras:
            tensors += [(b + "attn_q.bias", "F32", q, 1), (b + "attn_k.bias", "F32", kv, 1), (b + "attn_v.bias", "F32", kv, 1)]
        if "norm" in extras:
            tensors += [(b + "attn_q_norm.weight", "F32", size, 1), (b + "attn_k_norm.weight", "F32", size, 1)]
        if "post" in extras:
            tensors += [(b + "post_attention_norm.weight", "F32", dim, 1), (b + "post_ffw_norm.weight", "F32", dim, 1)]
    return meta, [(name, TYPES[k][0], cols, rows, weights(k, cols * rows)) for name, k, cols, rows in tensors]


def assemble(meta, tensors):
    head, data = b"", b""
    for name, number, cols, rows, values in tensors:
        shape = [cols] if rows == 1 else [cols, rows]
        head += text(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, number, len(data))
        data += values
        data += bytes(-len(data) % 32)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + b"".join(meta) + head
    return start + bytes(-len(start) % 32) + data


def gguf(family, kind):
    return assemble(*describe(family, kind))


def without_tokenizer(meta):
    return [e for e in meta if b"tokenizer.ggml." not in e[:40]]


def llama2c():
    dim, hidden, layers, heads, kv, vocab, context = 16, 24, 2, 4, 2, 12, 8
    per_layer = 2 * dim + 2 * dim * dim + 2 * dim * (dim // heads * kv) + 3 * dim * hidden
    n = vocab * dim + layers * per_layer + dim + context * (dim // heads)
    return struct.pack("<7i", dim, hidden, layers, heads, kv, vocab, context) + weights("F32", n)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    files = {"llama-%s.gguf" % k: gguf("llama", k) for k in TYPES}
    files.update({"%s.gguf" % f: gguf(f, "Q8_0") for f in FAMILIES})
    files["llama2c.bin"] = llama2c()
    meta, tensors = describe("llama", "Q8_0")
    files["llama-window.gguf"] = assemble(meta + [entry("llama.attention.sliding_window", U32, 5)], tensors)
    files["ids-llama.gguf"] = assemble(without_tokenizer(meta), tensors)
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
