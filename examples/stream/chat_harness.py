"""Tiny random models that chat, and `stream chat` in a pseudo-terminal: what check_chat.py works with.

SPDX-License-Identifier: MIT
"""
import os
import pty
import random
import re
import select
import struct
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz"))
sys.dont_write_bytecode = True
import make_seeds  # noqa: E402
from make_seeds import I32, STRING, U32, assemble, byte_name, entry, text  # noqa: E402

STREAM = os.path.abspath(sys.argv[1])
FOLDER = tempfile.TemporaryDirectory()
PROMPT = "\033[1m%s\033[0m"
START, END, BOS = 256 + 3, 256 + 4, 256 + 5
TEMPLATE = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
            "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
            "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}")
STATUS = r"\[seen \d+, in sight \d+, held \d+(?:, [\d.]+ ms/token)?, cache [\d.]+ of [\d.]+ MiB\]"


def path(name):
    return os.path.join(FOLDER.name, name)


def chat_tokenizer(template):
    tokens = [byte_name(b) for b in range(256)] + ["ab", "\u0120ab", "It", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    meta = [entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "smollm"),
            entry("tokenizer.ggml.tokens", STRING, tokens), entry("tokenizer.ggml.token_type", I32, [1] * 259 + [3] * 3),
            entry("tokenizer.ggml.merges", STRING, ["a b", "\u0120 ab", "I t"]),
            entry("tokenizer.ggml.eos_token_id", U32, END), entry("tokenizer.ggml.bos_token_id", U32, BOS)]
    return meta + ([entry("tokenizer.chat_template", STRING, template)] if template else []), len(tokens)


def scaled(values, by):
    return struct.pack("<%df" % (len(values) // 4), *(by * x for x, in struct.iter_unpack("<f", values)))


def model(name, layers=2, template=TEMPLATE, family="llama", extra=(), seed=1, attention=1, ends=1):
    """Writes a model of random weights whose output is not its embedding, so that it does not repeat itself. The weights
    of its attention, and those of the output for tokens that end an answer, are multiplied by numbers."""
    make_seeds.rng = random.Random(seed)
    meta, tensors = make_seeds.describe(family, "F32")
    vocabulary, n_vocab = chat_tokenizer(template)
    count = family + ".block_count"
    meta = [entry(count, U32, layers) if text(count) == e[:8 + len(count)] else e
            for e in make_seeds.without_tokenizer(meta)] + vocabulary + list(extra)
    tensors = [t for t in tensors if not (t[0].startswith("blk.") and int(t[0].split(".")[1]) >= layers)]
    number, dim = tensors[0][1:3]
    for i, tensor in ((0, "token_embd.weight"), (len(tensors), "output.weight")):
        tensors[i:i + (i == 0)] = [(tensor, number, dim, n_vocab, make_seeds.weights("F32", dim * n_vocab))]
    tensors = [(*t[:4], scaled(t[4], attention if ".attn_" in t[0] else 1)) for t in tensors]
    output = tensors[-1][4]
    output = output[:4 * dim * START] + scaled(output[4 * dim * START:], ends)
    tensors[-1] = (*tensors[-1][:4], output)
    with open(path(name), "wb") as f:
        f.write(assemble(meta, tensors))
    return path(name)


class Chat:
    """A chat in a pseudo-terminal of its own."""

    def __init__(self, model_path, *options, term="xterm", ids=True):
        self.prompt = "> "
        arguments = [STREAM, "chat", model_path, "--threads", "1"] + (["--show-ids"] if ids else []) + list(options)
        self.coloured = term != "dumb"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = term
            os.environ.pop("NO_COLOR", None)
            os.execv(STREAM, arguments)
        attributes = termios.tcgetattr(self.fd)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        self.started = self.wait()

    def marker(self):
        return (PROMPT % self.prompt if self.coloured else "\n" + self.prompt).encode()

    def read(self, done, seconds=60):
        """What is written until `done` says that it is enough; the program's end is enough too."""
        output, last = b"", time.time() + seconds
        while not done(output):
            if not select.select([self.fd], [], [], max(0, last - time.time()))[0]:
                raise AssertionError("nothing more came after %r" % output[-300:])
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                more = b""
            if not more:
                break
            output += more.replace(b"\r\n", b"\n")
        return output

    def wait(self):
        output = self.read(lambda o: o.endswith(self.marker()))
        if not output.endswith(self.marker()):
            raise AssertionError("the program has ended: %r" % output[-300:])
        return output[:-len(self.marker())].decode("utf-8", "replace")

    def send(self, data):
        os.write(self.fd, data if isinstance(data, bytes) else data.encode())

    def say(self, line):
        """Sends a line, and returns all that comes before the next prompt."""
        self.send(line + "\n")
        return self.wait()

    def switch(self, name):
        self.prompt = "> " if name == "main" else name + "> "
        return self.say("/switch " + name)

    def ask(self, line):
        """The ids of the answer."""
        output = self.say(line)
        found = re.fullmatch(r"([\d \n]*)\x1b\[2m%s\x1b\[0m\n" % STATUS, output)
        assert found, output
        return [int(i) for i in found.group(1).split()]

    def turns(self):
        """number: (first place, last place, tokens, in sight, held)"""
        rows = re.findall(r"^ *(system|\d+) +(\d+) \.\. (\d+) +(\d+) +(\d+) +(\d+)", self.say("/turns"), re.M)
        return {name: tuple(int(n) for n in numbers) for name, *numbers in rows}

    def end(self, last="/quit\n"):
        self.send(last)
        self.read(lambda o: False)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
