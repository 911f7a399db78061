"""Reads a snapshot (docs/snapshot.md): read.py FILE < WANTED checks its sum and prints its spans, and then each line
"key|value LAYER POSITION KV_HEAD NUMBER..." that has not these numbers as closely as the dtype stores them.

SPDX-License-Identifier: MIT
"""
import struct
import sys

M, FACTOR = 2**64 - 1, 0x9E3779B97F4A7C15
F32, F16, BF16, I8, I4 = 1, 2, 3, 4, 5
data = open(sys.argv[1], "rb").read()
magic, total, version, n_layers, size, begin = struct.unpack_from("<8sQIIQQ", data)
assert magic == b"sinkattn" and version == 1 and size == len(data)
step = lambda lane, word: ((lane ^ word) << 29 & M | (lane ^ word) >> 35) * FACTOR & M
lanes, all_lanes = [i * FACTOR & M for i in range(1, 9)], 0
for i, (word,) in enumerate(struct.iter_unpack("<Q", data[:8] + bytes(8) + data[16:])):
    lane = lanes[i % 8]
    lanes[i % 8] = step(lane, word) if i % 16 < 8 else lane + (word << 17 & M | word >> 47) & M
for lane in lanes:
    all_lanes = step(all_lanes, lane)
assert total == all_lanes ^ all_lanes >> 32, "checksum"

meaning, spans, tiles, lane_with, at = {}, {}, {}, {}, 128
while at < size:
    kind, flags, length, layer, lane, store, n, k_tile, v_tile = struct.unpack_from("<IIQIIQQQQ", data, at)
    if kind == 1:
        meaning[layer, lane] = struct.unpack_from("<11i", data, at + 64)
    elif kind == 2:
        (n_heads,), (n_spans,) = struct.unpack_from("<I", data, at + 64), struct.unpack_from("<I", data, at + 100)
        spans[layer, lane] = [struct.unpack_from("<QQQII", data, at + 192 + 32 * i) for i in range(n_spans)]
        for i, head in enumerate(struct.unpack_from(f"<{n_heads}I", data, at + 192 + 32 * n_spans)):
            lane_with[layer, head] = (layer, lane), i
        print(f"layer {layer}:", *(f"[{a}, {b}) -{shift} {('window', 'sink', 'pin')[k]}{' masked' * (s == 255)}"
                                   for a, b, shift, k, s in spans[layer, lane]))
    elif kind == 3:
        tiles[layer, lane, store] = at + 128, k_tile, v_tile
    at += length


def number(is_value, layer, position, head, d):
    """A stored number, and how far it may be from what was given."""
    lane, head = lane_with[layer, head]
    store, = [s for a, b, shift, k, s in spans[lane] if a <= position < b]
    first, *size = tiles[(*lane, store)]
    held = [(max(a, begin), b) for a, b, shift, k, s in spans[lane] if s == store and b > begin]
    numbers = sorted({t for a, b in held for t in range(a // 16, (b + 15) // 16)})
    each = [(x + 127) // 128 * 128 for x in size]
    tile = first + len(numbers) * (head * sum(each) + is_value * each[0])
    tile += numbers.index(position // 16) * each[is_value]
    dtype, dims, lane = meaning[lane][5 + 2 * store + is_value], meaning[lane][2 + is_value], position % 16
    if dtype <= BF16:
        index = lane * ((dims + 15) // 16 * 16) + d if is_value else 16 * d + lane
        if dtype == BF16:
            return struct.unpack("<f", bytes(2) + data[tile + 2 * index:tile + 2 * index + 2])[0], 2.0**-8
        if dtype == F16:
            return struct.unpack_from("<e", data, tile + 2 * index)[0], 2.0**-11
        return struct.unpack_from("<f", data, tile + 4 * index)[0], 2.0**-24
    if not is_value:
        return None, None  # integer keys are turned by a Hadamard matrix
    groups, g, i, wide = (dims + 31) // 32, d // 32, d % 32, 32 if dtype == I8 else 16
    code = data[tile + ((lane // 4 * groups + g) * wide + i % wide) * 4 + lane % 4]
    code = code - 128 if dtype == I8 else (code >> 4 * (i // 16) & 15) - 8
    scale, = struct.unpack("<f", bytes(2) + data[tile + groups * 16 * wide + 32 * g + 2 * lane:][:2])
    return code * scale, 0.55 * abs(scale)  # the largest code may be clipped


checked = 0
for line in sys.stdin:
    what, layer, position, head, *numbers = line.split()
    for d, given in enumerate(map(float, numbers)):
        got, bound = number(what == "value", int(layer), int(position), int(head), d)
        if got is not None:
            checked += 1
            assert abs(got - given) <= bound * max(1, abs(given)), (line[:30], d, got, given)
print(checked, "numbers as they were given")
