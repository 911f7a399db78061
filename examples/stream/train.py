#!/usr/bin/env python3
# Trains the small byte-level models of the demo, measures their attention sinks, and writes them as GGUF files.
# SPDX-License-Identifier: MIT
#
# Three variants (section 3.3 of arXiv 2309.17453):
#   learned  a token of its own stands before every training sample
#   zero     softmax with +1: one extra logit of zero whose value is zero
#   vanilla  random windows of the text, no fixed first token: whatever byte comes first has to serve as the sink
#
#   python3 train.py train  --variant learned --text a.txt b.txt pydoc --out learned.pt
#   python3 train.py train  --variant vanilla --text a.txt b.txt pydoc --out vanilla.pt --start learned.pt \
#                           --sink-loss 0.3 --lowest-first 600
#   python3 train.py eval   --model vanilla.pt --text a.txt      # perplexity of every cache policy
#   python3 train.py mass   --model vanilla.pt --text a.txt      # attention on the first tokens, per layer
#   python3 train.py export --model vanilla.pt --out vanilla.gguf
#
# In models so small and so briefly trained, sinks do not form by themselves. So an auxiliary loss forms them
# (SINK_SHARE), and vanilla starts from the weights of learned: at first only its lowest layer is trained, until that
# layer turns the first byte into what the sink token was; then all layers are. docs/embedded.md has what was tried and
# the results. The last 5 % of each text are held out; eval and mass read only those. "pydoc" stands for the manual that
# comes with every Python, so that the model has seen the punctuation of technical writing. Needs PyTorch alone.

import argparse
import math
import struct
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CONTEXT = 256      # trained length, the sink token included
SINK_TOKEN, VOCAB = 256, 257  # token ids 0..255 are bytes
SINK_SHARE = 0.85, 0.95  # the auxiliary loss is 0 if a head gives the first token so much, on average over queries
HELD_OUT = 0.05    # the tail of each text
NOISE = 1 / 512    # share of random bytes: no byte gets a probability near 0, which unfamiliar text would pay for
REPEATS = 0.1      # share of samples in which a stretch repeats
SHAPE = dict(dim=128, layers=4, heads=4, kv_heads=2, head_dim=32, ffn=448, theta=10000.0, eps=1e-5)


# ---- the model ----

def rope_table(positions, head_dim, theta):
    """cos and sin, (n, head_dim / 2) each; angles in double because positions may be far from zero."""
    freq = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angle = positions.to(torch.float64)[..., None] * freq
    return angle.cos().float(), angle.sin().float()


def rotate(x, table):
    """Rotates neighbouring pairs, the order that GGUF's llama architecture expects: no permutation at export."""
    cos, sin = table
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Norm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        linear = lambda n_in, n_out: nn.Linear(n_in, n_out, bias=False)
        self.s = s
        self.attn_norm, self.ffn_norm = Norm(s["dim"], s["eps"]), Norm(s["dim"], s["eps"])
        self.attn_q = linear(s["dim"], s["heads"] * s["head_dim"])
        self.attn_k = linear(s["dim"], s["kv_heads"] * s["head_dim"])
        self.attn_v = linear(s["dim"], s["kv_heads"] * s["head_dim"])
        self.attn_output = linear(s["heads"] * s["head_dim"], s["dim"])
        self.ffn_gate, self.ffn_up = linear(s["dim"], s["ffn"]), linear(s["dim"], s["ffn"])
        self.ffn_down = linear(s["ffn"], s["dim"])

    def forward(self, x, attend):
        b, n, _ = x.shape
        h = self.attn_norm(x)
        q, k, v = (f(h).view(b, n, -1, self.s["head_dim"]).transpose(1, 2)
                   for f in (self.attn_q, self.attn_k, self.attn_v))
        mixed, sink_loss = attend(q, k, v)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(b, n, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)), sink_loss


class Model(nn.Module):
    def __init__(self, variant, shape):
        super().__init__()
        self.variant, self.s = variant, shape
        self.token_embd = nn.Embedding(VOCAB, shape["dim"])
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.output_norm = Norm(shape["dim"], shape["eps"])
        for name, p in self.named_parameters():
            if p.dim() == 2:
                into_residual = "attn_output" in name or "ffn_down" in name
                scale = 1 / math.sqrt(p.shape[1] * (2 * shape["layers"] if into_residual else 1))
                nn.init.normal_(p, std=0.02 if "token_embd" in name else scale)
        with torch.no_grad():
            self.token_embd.weight[SINK_TOKEN] *= 10  # so large that the layers hardly change it, nor its key

    def forward(self, tokens, attend):
        """Logits, and the mean sink loss of the layers that can have a sink; the lowest layer of vanilla cannot."""
        x, total, first = self.token_embd(tokens), 0.0, int(self.variant == "vanilla")
        for i, block in enumerate(self.blk):
            x, sink_loss = block(x, attend)
            total = total + sink_loss / (len(self.blk) - first) if i >= first else total
        return F.linear(self.output_norm(x), self.token_embd.weight), total  # tied: one matrix less in the file


def outside(share):
    """How far, in nats, the mean share that a head gives to its sink is from the range SINK_SHARE."""
    return F.relu(math.log(SINK_SHARE[0]) - share.log()) + F.relu(math.log(1 - SINK_SHARE[1]) - (1 - share).log())


def causal(zero_sink, table, block=64):
    """Attention as in training: every token sees all before it. Blocks of queries skip the keys that come later.

    Also returns the sink loss: how far the heads are from giving a share within SINK_SHARE of their attention, on
    average over a sample, to the first token (or to the zero sink).
    """
    def attend(q, k, v):
        b, h, n, d = q.shape
        kv, mask = k.shape[1], torch.full((block, block), -math.inf).triu(1)
        q = (rotate(q, table) / math.sqrt(d)).to(v.dtype).reshape(b * kv, h // kv, n, d)
        k, v = rotate(k, table).to(v.dtype).reshape(b * kv, n, d), v.reshape(b * kv, n, d)
        out, share = [], 1e-6
        for i in range(0, n, block):
            m = min(block, n - i)
            s = torch.bmm(q[:, :, i:i + m].reshape(b * kv, -1, d), k[:, :i + m].transpose(1, 2)).float()
            s = s.view(b * kv, -1, m, i + m) + F.pad(mask[:m, :m], (i, 0))
            total, sink = s.logsumexp(-1, keepdim=True), s[..., :1]
            if zero_sink:  # softmax with +1: one more logit, which is zero and carries no value
                total, sink = (torch.logaddexp(x, torch.zeros_like(x)) for x in (total, sink))
            share = share + (sink - total).exp().sum((2, 3)) / (n * 1.001)
            p = (s - total).exp().to(v.dtype).view(b * kv, -1, i + m)
            out.append(torch.bmm(p, v[:, :i + m]).view(b * kv, -1, m, d))
        return torch.cat(out, 2).view(b, h, n, d), outside(share).mean()
    return attend


# ---- training ----

def split(path):
    """The bytes to train on and those held out."""
    if path == "pydoc":
        from pydoc_data.topics import topics
        data = "\n\n".join(topics[k] for k in sorted(topics)).encode()
    else:
        with open(path, "rb") as f:
            data = f.read()
    data = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    cut = int(len(data) * (1 - HELD_OUT))
    return data[:cut], data[cut:]


def repeating(batch, n, share):
    """Offsets 0..n-1, but in a share of the samples some stretch repeats from a random place on. To predict a repeat
    a head must find where the text was the same; where there is no such place, it needs a sink."""
    at = torch.arange(n).expand(batch, n)
    begin = torch.randint(32, n - 32, (batch, 1))
    period = 16 + (torch.rand(batch, 1) * (begin - 16)).long()
    again = begin - period + (at - begin) % period
    return torch.where((at >= begin) & (torch.rand(batch, 1) < share), again, at)


def sample(data, batch, variant, noise=0.0, repeats=0.0):
    """(batch, CONTEXT + 1) tokens from random offsets; the learned variant has its sink token first."""
    n = CONTEXT + 1 - (variant == "learned")
    start = torch.randint(len(data) - n, (batch, 1))
    tokens = data[start + repeating(batch, n, repeats)].long()
    if noise:
        tokens = torch.where(torch.rand(tokens.shape) < noise, torch.randint_like(tokens, 256), tokens)
    return F.pad(tokens, (1, 0), value=SINK_TOKEN) if variant == "learned" else tokens


def loss_of(model, attend, tokens):
    """Mean loss per token, and the sink loss."""
    logits, sink_loss = model(tokens[:, :-1], attend)
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten()), sink_loss


def optimizer_of(model, args):
    groups = [dict(params=[p for p in model.parameters() if p.dim() == dim], weight_decay=decay)
              for dim, decay in ((2, 0.1), (1, 0.0))]
    return torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.95), fused=True)


def rate_at(step, args):
    """Share of the full rate: rises for 100 steps (again when all layers begin to be trained), constant, falls over the
    last third."""
    begun = args.lowest_first if step >= args.lowest_first else 0
    return min(1.0, (step + 1 - begun) / 100, 3 * (1 - step / args.steps))


def start_from(model, path):
    """Continues from a saved model, or starts vanilla from the learned variant, whose layers but the last are put on
    top of a new lowest layer. Their heads attend to the sink token, which vanilla does not have; the new layer has to
    learn to make a sink of whatever byte comes first (see freeze_upper)."""
    saved, weights = torch.load(path, weights_only=True), {}
    old, shift = saved["weights"], int(saved["variant"] != model.variant)
    for name, value in model.state_dict().items():
        part = name.split(".")
        if part[0] == "blk":
            part[1] = str(int(part[1]) - shift)
        weights[name] = value if part[1] == "-1" else old[".".join(part)]
    model.load_state_dict(weights)


@torch.no_grad()
def average_lowest(model):
    """Keeps the attention of vanilla's lowest layer at the mean over all earlier tokens. That is enough to tell the
    first token, which is its own mean. That layer cannot have a sink; if it were trained freely it would do most of the
    work of so small a model, and losing the sinks of the layers above would hardly change the results."""
    if model.variant == "vanilla":
        model.blk[0].attn_q.weight.zero_()


def freeze_upper(model):
    """While the new lowest layer learns to make sinks, the layers from the learned variant are not changed. Otherwise
    they would learn to work without sinks as long as there are none, and would not unlearn it."""
    for name, p in model.named_parameters():
        if not name.startswith("blk.0."):
            p.grad = None


def save(model, path):
    torch.save(dict(variant=model.variant, shape=model.s, weights=model.state_dict()), path)


def load(path):
    saved = torch.load(path, weights_only=True)
    model = Model(saved["variant"], saved["shape"])
    model.load_state_dict(saved["weights"])
    return model.eval()


def train(args):
    torch.manual_seed(args.seed)
    data, held = (torch.cat(part) for part in zip(*map(split, args.text)))
    model = Model(args.variant, SHAPE)
    if args.start:
        start_from(model, args.start)
    attend = causal(args.variant == "zero", rope_table(torch.arange(CONTEXT), model.s["head_dim"], model.s["theta"]))
    if not args.plain:
        Block.forward = torch.compile(Block.forward)  # one compilation serves every layer
    optimizer = optimizer_of(model, args)
    begin, mean = time.time(), 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * rate_at(step, args)
        with torch.autocast("cpu", torch.bfloat16, enabled=not args.plain):
            loss, sink_loss = loss_of(model, attend, sample(data, args.batch, args.variant, NOISE, REPEATS))
        model.zero_grad()
        (loss + args.sink_loss * sink_loss).backward()
        if step < args.lowest_first:
            freeze_upper(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average_lowest(model)
        mean += loss.item() / args.every
        if (step + 1) % args.every == 0:
            with torch.compiler.set_stance("force_eager"):
                report(model, attend, held, step + 1, mean, time.time() - begin)
            save(model, args.out)
            mean = 0.0
    save(model, args.out)


@torch.no_grad()
def report(model, attend, held, step, mean, seconds):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        tokens = sample(held, 16, model.variant)
    loss, sink_loss = loss_of(model, attend, tokens)
    first = [f"{m:.2f}" for m in sink_mass(model, tokens[:, :-1])[:, :, 0].mean(1)]
    print(f"step {step} {seconds:.0f} s train {mean:.4f} held-out {loss:.4f} sink loss {sink_loss:.2f} "
          f"mass on first token {' '.join(first)}", flush=True)


# ---- measuring ----

@torch.no_grad()
def sink_mass(model, tokens, count=4):
    """Mean attention that tokens behind the first 16 give to the zero sink, if any, and to the first tokens, `count` in
    all: (layers, heads, count)."""
    table = rope_table(torch.arange(tokens.shape[1]), model.s["head_dim"], model.s["theta"])
    out, run = [], causal(model.variant == "zero", table)

    def attend(q, k, v):
        group = q.shape[1] // k.shape[1]
        scores = rotate(q, table) @ rotate(k, table).repeat_interleave(group, 1).transpose(2, 3)
        scores = scores / math.sqrt(q.shape[-1]) + torch.full(scores.shape[2:], -math.inf).triu(1)
        extra = torch.zeros(*scores.shape[:3], int(model.variant == "zero"))
        p = torch.cat((extra, scores), -1).softmax(-1)
        out.append(p[:, :, 16:, :count].mean((0, 2)))
        return run(q, k, v)

    model(tokens, attend)
    return torch.stack(out)


def streamed(s, zero_sink, n_sink, window, n, block=256):
    """Attention of a stream of n tokens through a cache of n_sink + window, the current token counted in the window.

    Keys stay where they were computed; only the query turns: to the true position for the window and to the last
    place of the cache for the sinks. So one pass over all tokens does what a token-by-token cache would do.
    """
    at = torch.arange(n)
    table = rope_table(at, s["head_dim"], s["theta"])
    sink_table = rope_table(at.clamp(max=n_sink + window - 1), s["head_dim"], s["theta"])

    def attend(q, k, v):
        group, scale = q.shape[1] // k.shape[1], 1 / math.sqrt(q.shape[-1])
        k, v = rotate(k, table).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        q_window, q_sink, out = rotate(q, table) * scale, rotate(q, sink_table) * scale, []
        for a in range(0, n, block):
            b, low = min(a + block, n), max(n_sink, a - window + 1)
            distance = at[a:b, None] - at[None, low:b]
            near = q_window[:, :, a:b] @ k[:, :, low:b].transpose(2, 3)
            near = near.masked_fill((distance < 0) | (distance >= window), -math.inf)
            far = q_sink[:, :, a:b] @ k[:, :, :n_sink].transpose(2, 3)
            far = far.masked_fill(at[a:b, None] < at[None, :n_sink], -math.inf)
            zero = torch.zeros(*near.shape[:3], int(zero_sink))
            p = torch.cat((far, near, zero), -1).softmax(-1)[..., :n_sink + b - low]
            out.append(p @ torch.cat((v[:, :, :n_sink], v[:, :, low:b]), 2))
        return torch.cat(out, 2), 0.0
    return attend


@torch.no_grad()
def stream_losses(model, text, n_sink, window):
    """Loss of each predicted byte; entry i is the loss of text[i + 1]."""
    learned = int(model.variant == "learned")
    tokens = F.pad(text, (learned, 0), value=SINK_TOKEN)
    attend = streamed(model.s, model.variant == "zero", n_sink, window, len(tokens) - 1)
    return F.cross_entropy(model(tokens[None, :-1], attend)[0][0], tokens[1:], reduction="none")[learned:]


@torch.no_grad()
def recompute_losses(model, text, every):
    """Loss of every `every`-th byte behind the first CONTEXT, each from a forward pass over the bytes before it."""
    learned = int(model.variant == "learned")
    attend = causal(model.variant == "zero", rope_table(torch.arange(CONTEXT), model.s["head_dim"], model.s["theta"]))
    ends, out = torch.arange(CONTEXT, len(text) - 1, every), []
    for chunk in ends.split(64):
        tokens = F.pad(text[chunk[:, None] + 1 + torch.arange(learned - CONTEXT, 0)], (learned, 0), value=SINK_TOKEN)
        out.append(F.cross_entropy(model(tokens, attend)[0][:, -1], text[chunk + 1], reduction="none"))
    return ends, torch.cat(out)


def evaluate(args):
    model = load(args.model)
    if args.q8:
        round_weights(model)
    print("text,sinks,window,ppl_before,ppl_after,ppl_at_sampled")
    for path in args.text:
        text = split(path)[1][:args.tokens + 1].long()
        ends, losses = recompute_losses(model, text, args.every)
        print(f"{path},recompute,{CONTEXT},,,{losses.mean().exp():.4f}", flush=True)
        for n_sink, window in *((n, CONTEXT - n) for n in (0, 1, 2, 4, 8)), (0, len(text)):  # the last one is dense
            losses = stream_losses(model, text, n_sink, window)
            ppl = [f"{x.mean().exp():.4f}" for x in (losses[:CONTEXT], losses[CONTEXT:], losses[ends])]
            print(path, n_sink, window, *ppl, sep=",", flush=True)


def mass(args):
    torch.manual_seed(1)
    model, held = load(args.model), torch.cat([split(p)[1] for p in args.text])
    m = sink_mass(model, sample(held, 64, model.variant)[:, :-1])
    names = ["zero"] * (model.variant == "zero") + ["first", "second", "third", "fourth"]
    print(",".join(["layer", *names[:4], names[0] + "_per_head"]))
    for i, layer in enumerate(m):
        print(i, *(f"{x:.3f}" for x in layer.mean(0)), " ".join(f"{x:.2f}" for x in layer[:, 0]), sep=",")


# ---- GGUF ----

def q8_0(rows):
    """Blocks of 32: scale d = max / 127 as a half, then 32 signed bytes. Returns scales and bytes."""
    blocks = rows.reshape(-1, 32)
    d = (blocks.abs().amax(1, keepdim=True) / 127)
    q = torch.where(d > 0, blocks / d, torch.zeros_like(blocks)).round().clamp(-127, 127)
    return d.half(), q.to(torch.int8)


def round_weights(model):
    """What a reader of the exported file computes with."""
    for p in model.parameters():
        if p.dim() == 2:
            d, q = q8_0(p.data)
            p.data = (d.float() * q.float()).reshape(p.shape)


def byte_symbols():
    """The printable character GPT-2 writes for each byte: itself where visible, else the next free one from 256."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [b for b in range(256) if b not in visible]
    return [chr(b if b in visible else 256 + hidden.index(b)) for b in range(256)]


GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_Q8_0, FILE_Q8_0, ALIGNMENT = 0, 8, 7, 32


def packed(kind, value):
    if kind == GGUF_STRING:
        return struct.pack("<Q", len(value.encode())) + value.encode()
    if kind == GGUF_ARRAY:
        item, values = value
        return struct.pack("<IQ", item, len(values)) + b"".join(packed(item, v) for v in values)
    return struct.pack({GGUF_U32: "<I", GGUF_I32: "<i", GGUF_F32: "<f", GGUF_BOOL: "<?"}[kind], value)


def metadata(model):
    s, learned = model.s, model.variant == "learned"
    yield "general.architecture", GGUF_STRING, "llama"
    yield "general.name", GGUF_STRING, f"sinkattn demo, {model.variant}"
    yield "general.license", GGUF_STRING, "MIT"
    yield "general.file_type", GGUF_U32, FILE_Q8_0
    for key, value in (("block_count", s["layers"]), ("context_length", CONTEXT), ("embedding_length", s["dim"]),
                       ("feed_forward_length", s["ffn"]), ("attention.head_count", s["heads"]),
                       ("attention.head_count_kv", s["kv_heads"]), ("rope.dimension_count", s["head_dim"]),
                       ("vocab_size", VOCAB)):
        yield "llama." + key, GGUF_U32, value
    yield "llama.rope.freq_base", GGUF_F32, s["theta"]
    yield "llama.attention.layer_norm_rms_epsilon", GGUF_F32, s["eps"]
    yield "tokenizer.ggml.model", GGUF_STRING, "gpt2"
    yield "tokenizer.ggml.pre", GGUF_STRING, "gpt-2"  # with no merges each byte is a token, whatever the rule
    yield "tokenizer.ggml.tokens", GGUF_ARRAY, (GGUF_STRING, byte_symbols() + ["<|sink|>"])
    yield "tokenizer.ggml.token_type", GGUF_ARRAY, (GGUF_I32, [1] * 256 + [3])
    yield "tokenizer.ggml.merges", GGUF_ARRAY, (GGUF_STRING, [])
    yield "tokenizer.ggml.bos_token_id", GGUF_U32, SINK_TOKEN
    yield "tokenizer.ggml.eos_token_id", GGUF_U32, SINK_TOKEN
    yield "tokenizer.ggml.add_bos_token", GGUF_BOOL, learned


def tensor_bytes(p):
    """Matrices as Q8_0, norms as F32: (type, bytes)."""
    if p.dim() == 1:
        return TENSOR_F32, p.numpy().astype("<f4").tobytes()
    d, q = q8_0(p)
    return TENSOR_Q8_0, torch.cat((d.view(torch.int8), q), 1).numpy().tobytes()


def export(args):
    model = load(args.model)
    entries, blob = [], b""
    for name, p in model.state_dict().items():
        kind, data = tensor_bytes(p)
        shape = list(reversed(p.shape))  # GGUF counts from the fastest dimension
        place = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(blob))
        entries.append(packed(GGUF_STRING, name) + place)
        blob += data + bytes(-len(data) % ALIGNMENT)
    pairs = [packed(GGUF_STRING, key) + struct.pack("<I", kind) + packed(kind, v) for key, kind, v in metadata(model)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(pairs)) + b"".join(pairs + entries)
    with open(args.out, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT) + blob)


def main():
    parser = argparse.ArgumentParser(description="Train, measure and export the demo's models.")
    sub = parser.add_subparsers(required=True)
    p = sub.add_parser("train")
    p.set_defaults(run=train)
    p.add_argument("--variant", choices=("vanilla", "zero", "learned"), default="vanilla")
    p.add_argument("--text", nargs="+", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=3e-3)
    p.add_argument("--sink-loss", type=float, default=0.1, help="weight of the sink loss")
    p.add_argument("--lowest-first", type=int, default=0, help="steps in which only the lowest layer is trained")
    p.add_argument("--start", help="go on from this model, or let vanilla grow from it if it is of the learned variant")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--every", type=int, default=100)
    p.add_argument("--plain", action="store_true", help="no torch.compile, no bfloat16: half as fast")
    for name, run in (("eval", evaluate), ("mass", mass), ("export", export)):
        p = sub.add_parser(name)
        p.set_defaults(run=run)
        p.add_argument("--model", required=True)
        if run is export:
            p.add_argument("--out", required=True)
            continue
        p.add_argument("--text", nargs="+", required=True)
        p.add_argument("--tokens", type=int, default=16384)
        p.add_argument("--every", type=int, default=16, help="re-compute at every so many positions")
        p.add_argument("--q8", action="store_true", help="round the weights as the exported file does")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.run(args)


if __name__ == "__main__":
    main()
