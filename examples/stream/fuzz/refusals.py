#!/usr/bin/env python3
"""Model files that stream must refuse in words, or run and say something about: python3 refusals.py build/stream

SPDX-License-Identifier: MIT

Every tensor of a model of every family is renamed, and left out, one at a time. Every refusal must come with exit
status 1, name the file, and hold the words expected.
"""
import os
import subprocess
import sys
import tempfile

from make_seeds import FAMILIES, STRING, U16, U32, assemble, describe, entry, without_tokenizer

stream = sys.argv[1]
folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "model.gguf")
ids = os.path.join(folder.name, "ids")
words = os.path.join(folder.name, "words.txt")
failed = 0

# Numbers that ggml gives to types of weights, of which this program reads none.
OTHER_TYPES = {9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
               20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64",
               28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4"}


def run(data, *arguments):
    """Exit status and everything printed by one run of the program on a file of these bytes."""
    with open(path, "wb") as f:
        f.write(data)
    done = subprocess.run([stream, arguments[0], path, *arguments[1:]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def problem(data, status, wanted, *arguments):
    """None if the run ends with this status and prints these words; else what it did."""
    found, output = run(data, *arguments)
    if found != status or any(w not in output for w in wanted):
        return "wanted status %d and %r, got %d and %s" % (status, wanted, found, output.strip()[-400:])
    return None


def report(what, problems):
    global failed
    problems = [p for p in problems if p]
    failed += len(problems)
    print("%s %s" % ("FAIL" if problems else "ok  ", what))
    for p in problems[:3]:
        print("    " + p)


def refused(data, *wanted, arguments=("info",)):
    return problem(data, 1, (path,) + wanted, *arguments)


def changed_tensors(family):
    meta, tensors = describe(family, "Q8_0")
    for i, (name, *rest) in enumerate(tensors):
        renamed = tensors[:i] + [("x" + name[1:], *rest)] + tensors[i + 1:]
        yield refused(assemble(meta, renamed), name)
        yield refused(assemble(meta, tensors[:i] + tensors[i + 1:]), name, "missing")


def main():
    with open(ids, "w") as f:
        f.write(" ".join(str(i % 250) for i in range(40)))
    with open(words, "w") as f:
        f.write("ab ab It ab " * 10)
    for family in FAMILIES:
        report("%s: no tensor may be renamed or missing" % family, changed_tensors(family))

    meta, tensors = describe("llama", "Q8_0")
    norm = ("blk.1.attn_q.bias", 0, 32, 1, bytes(128))
    report("a bias in one layer and not in the others is refused",
           [refused(assemble(meta, tensors + [norm]), "blk.0.attn_q.bias", "missing")])
    for number, name in OTHER_TYPES.items():
        other = [(n, number if n == "blk.1.ffn_up.weight" else k, *rest) for n, k, *rest in tensors]
        report("weights of type %s are named" % name, [refused(assemble(meta, other), "blk.1.ffn_up.weight", name)])
    unknown = [(n, 77 if n == "blk.1.ffn_up.weight" else k, *rest) for n, k, *rest in tensors]
    report("weights of an unknown type are refused", [refused(assemble(meta, unknown), "77", "not known")])

    parts = [entry("split.no", U16, 0), entry("split.count", U16, 3)]
    later = [entry("split.no", U16, 2), entry("split.count", U16, 3)]
    report("a part of a model says which it is", [refused(assemble(meta + parts, tensors[:4]), "part 1 of 3"),
                                                  refused(assemble(later, tensors[4:]), "part 3 of 3")])
    with open(os.path.join(folder.name, "model"), "wb") as f:
        f.write(assemble(later, tensors[4:]))
    done = subprocess.run([os.path.abspath(stream), "info", "model"], cwd=folder.name, stderr=subprocess.PIPE)
    report("a file whose name is a word of the message is named too",
           [None if done.stderr.startswith(b"stream: model: this is part 3") else done.stderr.decode()])
    report("one part of one is a whole model",
           [problem(assemble(meta + [entry("split.count", U16, 1)], tensors), 0, ("llama: 2 layers",), "info")])

    bare = assemble(without_tokenizer(meta), tensors)
    other_kind = [entry("tokenizer.ggml.model", STRING, "bert") if b"tokenizer.ggml.model" in e[:40] else e for e in meta]
    none = without_tokenizer(meta) + [entry("tokenizer.ggml.model", STRING, "no_vocab")]
    with_ids = ("perplexity", "--ids", ids, "--sinks", "2", "--window", "10")
    report("a model without a tokenizer runs with --ids", [
        problem(data, 0, ("perplexity", "over 39 tokens"), *with_ids)
        for data in (bare, assemble(none, tensors), assemble(other_kind, tensors))])
    report("a model without a tokenizer shows what it is", [problem(bare, 0, ("tokenizer: none in the file",), "info")])
    report("a model without a tokenizer refuses a text",
           [refused(bare, "--ids", arguments=("perplexity", "--text", words)),
            refused(bare, "no tokenizer", arguments=("streameval",)),
            refused(bare, "bos", arguments=("generate",)),
            refused(assemble(other_kind, tensors), "'bert'", arguments=("perplexity", "--text", words))])

    report("numbers of the model that are no numbers are refused",
           [refused(assemble(meta + [entry("llama." + key, kind, x)], tensors), "llama." + key)
            for key, kind, x in (("rope.freq_base", STRING, "10000"), ("attention.scale", STRING, "1"),
                                 ("rope.scaling.type", U32, 1), ("attention.sliding_window", U32, [5, 5]),
                                 ("attention.sliding_window_pattern", U32, [0, 1]))])

    window = meta + [entry("llama.attention.sliding_window", U32, 5)]
    report("a sliding window is said", [problem(assemble(window, tensors), 0,
                                                ("sliding window of 5 tokens in 2 of 2 layers",), "info")])
    huge = assemble(meta + [entry("llama.attention.sliding_window", U32, 1 << 30)], tensors)
    with_text = ("perplexity", "--text", words, "--policy", "dense", "--window", "60")
    report("a sliding window larger than the cache asked for takes no memory", [problem(huge, 0, ("over",), *with_text)])
    report("a number that is not used is said", [problem(
        assemble(meta + [entry("llama.attention.clamp_kqv", U32, 5)], tensors), 0,
        ("note", path, "llama.attention.clamp_kqv"), "info")])
    report("a number that changes nothing is not", [
        "info says: " + output for _, output in
        [run(assemble(meta + [entry("llama.vocab_size", U32, 260)], tensors), "info")] if "note" in output])

    with open(ids, "w") as f:
        f.write("1 2 x")
    report("a wrong token id names its file", [problem(bare, 1, (ids, "'x'"), *with_ids)])
    with open(ids, "w") as f:
        f.write("1 2 3\0 4")
    report("a zero byte among token ids is refused", [problem(bare, 1, (ids, "byte 5"), *with_ids)])
    report("a missing file is named", [problem(bare, 1, ("no-such-file",), "perplexity", "--ids", "no-such-file")])
    with open(words, "w") as f:
        f.write("a")
    report("a text that is too short is named", [problem(assemble(meta, tensors), 1, (words,), "perplexity", "--text", words)])
    return failed != 0


sys.exit(main())
