#!/usr/bin/env python3
"""Plants the faults of faults.txt in a copy of this tree, one at a time, and runs the tests on each.

SPDX-License-Identifier: MIT

A test suite is worth what it catches. For every fault this prints the check that failed, or MISSED. A program that
crashes, runs out of time or does not compile has not caught anything: only a failing check tells the author what is
wrong. Programs named in a fault's hint run first, then all others, and last the random operations of tests/random,
until the first check fails.
"""
import argparse
import concurrent.futures
import filecmp
import hashlib
import json
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The gates that `make test` runs on sources alone.
GATES = ["gates/layout"]

# The random operations, as many as take about as long as a test program; the same ones each time.
RANDOM = "random"
RANDOM_ARGUMENTS = ["20000", "1"]

# What the tests are built from.
PARTS = ["Makefile", "README.md", "docs", "include", "lib", "tests"]
FIELDS = ["file", "after", "find", "with", "what", "kind", "hint", "needs"]
REQUIRED = ["file", "find", "with", "what", "kind"]
# What test programs and gates print where a check fails.
FAILED = re.compile(r"^(?:(?:\S*/)?([^/\s]+:\d+): FAILED|FAIL) (.*)")
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$")
# And what random operations print.
RANDOM_FAILED = re.compile(r"^((?:wrong|bits differ|leaked): seed .*)")
RANDOM_COUNTS = re.compile(r"^(\d+) operations, (\d+) wrong, (\d+) bits differ, (\d+) tiles leaked$")


def read_table(path):
    """Entries are separated by empty lines: `field: text` a line; `#` begins a comment."""
    faults, entry = [], {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(list(lines) + [""], 1):
            line = line.rstrip("\n")
            if line.startswith("#"):
                continue
            if not line.strip():
                if entry:
                    faults.append(entry)
                entry = {}
                continue
            field, colon, text = line.partition(":")
            if not colon or field not in FIELDS or field in entry:
                sys.exit(f"{path}:{number}: not a field of a fault, or given twice: {line}")
            entry["line"] = entry.get("line", number)
            entry[field] = text.strip()
    for entry in faults:
        missing = [field for field in REQUIRED if field not in entry]
        if missing:
            sys.exit(f"{path}:{entry['line']}: the fault lacks {', '.join(missing)}")
    return faults


def pattern_of(text):
    """The text, where any white space stands for any other: formatting may break its lines."""
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()))


def replaced(fault, text):
    """The file's text with the fault in it, or None with the reason why it cannot be planted."""
    start = 0
    if "after" in fault:
        anchors = list(pattern_of(fault["after"]).finditer(text))
        if len(anchors) != 1:
            return None, f"`after` matches {len(anchors)} times: {fault['after']}"
        start = anchors[0].end()
    matches = list(pattern_of(fault["find"]).finditer(text, start))
    # With `after`, the first match behind it is meant.
    if len(matches) != 1 and not ("after" in fault and matches):
        return None, f"`find` matches {len(matches)} times: {fault['find']}"
    at = matches[0]
    changed = text[: at.start()] + fault["with"] + text[at.end() :]
    return (changed, "") if changed != text else (None, "the replacement changes nothing")


def plant_all(faults):
    """All faults with their texts; a pattern that no longer fits ends the run."""
    errors = []
    for fault in faults:
        try:
            with open(os.path.join(ROOT, fault["file"]), encoding="utf-8") as file:
                fault["sound"] = file.read()
        except OSError as error:
            errors.append(f"line {fault['line']}: {error}")
            continue
        fault["planted"], why = replaced(fault, fault["sound"])
        if why:
            errors.append(f"line {fault['line']}: {fault['file']}: {why}")
    if errors:
        sys.exit("faults.txt no longer fits the sources:\n" + "\n".join(errors))


def processor_features():
    """Words with which the processor says what it has, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return set(re.findall(r"\w+", file.read()))
    except OSError:
        return set()


def files_of(source):
    """All files of the parts that the tests are built from, by their place in the tree."""
    files = []
    for part in PARTS:
        whole = os.path.join(source, part)
        if os.path.isfile(whole):
            files.append(part)
        for folder, _, names in os.walk(whole):
            files += [os.path.relpath(os.path.join(folder, name), source) for name in names]
    return sorted(files)


def copy_tree(source, target):
    """Copies what differs, so that nothing is built again that is the same as in an earlier run."""
    wanted = set()
    for file in files_of(source):
        original, copy = os.path.join(source, file), os.path.join(target, file)
        wanted.add(copy)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if not os.path.exists(copy) or not filecmp.cmp(original, copy, shallow=False):
            shutil.copyfile(original, copy)
    for folder, _, names in os.walk(target):
        for name in names:
            path = os.path.join(folder, name)
            if path not in wanted and not path.startswith(os.path.join(target, "build") + os.sep):
                os.remove(path)


def program_of(name):
    return os.path.join("build", RANDOM if name == RANDOM else os.path.join("tests", "test_" + name))


def command_of(name):
    if name in GATES:
        return ["sh", f"tests/{name}.sh"]
    return [program_of(name)] + (RANDOM_ARGUMENTS if name == RANDOM else [])


def failure_in(line, name):
    """What a program's line says of a check that failed, or None."""
    failed = FAILED.match(line)
    if failed:
        return f"{failed[1] or name}: {failed[2]}"
    failed = RANDOM_FAILED.match(line)
    return f"{name}: {failed[1]}" if failed else None


class Worker:
    """A copy of the tree with a build folder that lasts, and what runs in it."""

    def __init__(self, folder, options):
        self.tree, self.options = folder, options
        copy_tree(ROOT, folder)
        names = sorted(os.listdir(os.path.join(folder, "tests")))
        self.programs = GATES + [n[5:-2] for n in names if n.startswith("test_") and n.endswith(".c")] + [RANDOM]
        self.env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BUILD")}
        self.env["CC"] = options.cc
        self.seconds = {}
        self.changed = None

    def write(self, file, text):
        with open(os.path.join(self.tree, file), "w", encoding="utf-8") as out:
            out.write(text)

    def build(self, programs, jobs=1):
        """None, or the last words of a compiler that refused."""
        targets = [program_of(name) for name in programs if name not in GATES]
        if not targets:
            return None
        command = ["make", "-s", f"-j{jobs}", "BUILD=build", "CC=" + self.options.cc, "CFLAGS=" + self.options.cflags] + targets
        done = subprocess.run(command, cwd=self.tree, env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors="replace", check=False)
        if done.returncode == 0:
            return None
        errors = [line for line in done.stdout.splitlines() if re.search(r"error:|undefined reference|\*\*\*", line)]
        return (errors or done.stdout.splitlines() or ["?"])[0]

    def run(self, name):
        """What a program says: ("caught", its check), ("passed", "") or ("broken", how it ended)."""
        began = time.time()
        command = command_of(name)
        with subprocess.Popen(command, cwd=self.tree, env=self.env, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            overdue = threading.Timer(self.options.seconds, process.kill)
            overdue.start()
            counts = None
            for line in process.stdout:
                failed = failure_in(line, name)
                if failed:
                    # One is enough; the rest of the program may take long.
                    overdue.cancel()
                    process.kill()
                    return "caught", failed
                counts = COUNTS.match(line) or RANDOM_COUNTS.match(line) or counts
            status = process.wait()
            late = not overdue.is_alive()
            overdue.cancel()
        self.seconds[name] = time.time() - began
        if late:
            return "broken", f"{name} ran for more than {self.options.seconds} s"
        if counts and any(int(n) > 0 for n in counts.groups()[1:]):
            return "caught", f"{name}: {counts[0]}"
        if status != 0 or not counts:
            return "broken", f"{name} crashed" if status < 0 else f"{name} ended with {status} and no failing check"
        return "passed", ""

    def order(self, hint):
        """The hinted programs, then the others, the quickest first."""
        first = [name for name in hint.split() if name in self.programs]
        rest = [name for name in self.programs if name not in first]
        return first, sorted(rest, key=lambda name: (name == RANDOM, self.seconds.get(name, 0)))

    def digest(self):
        """Of all that decides whether the tests pass without a fault."""
        digest = hashlib.sha256(f"{self.options.cc} {self.options.cflags}".encode())
        for file in files_of(self.tree):
            if not file.startswith(os.path.join("tests", "mutants")):
                with open(os.path.join(self.tree, file), "rb") as content:
                    digest.update(file.encode() + content.read())
        return digest.hexdigest()

    def sound(self):
        """Builds and times everything as it is, once for each state of the tree: only what passes can catch a fault."""
        note = os.path.join(self.tree, "build", "sound.json")
        digest = self.digest()
        if os.path.exists(note):
            with open(note, encoding="utf-8") as file:
                known = json.load(file)
            if known["digest"] == digest:
                self.seconds = known["seconds"]
                return
        processors = os.cpu_count() or 1
        refusal = self.build(self.programs, processors)
        if refusal:
            sys.exit(f"the tests do not compile as they are: {refusal}")
        with concurrent.futures.ThreadPoolExecutor(processors) as pool:
            for name, (verdict, words) in zip(self.programs, pool.map(self.run, self.programs)):
                if verdict != "passed":
                    sys.exit(f"{name} does not pass without any fault: {words}")
        with open(note, "w", encoding="utf-8") as file:
            json.dump({"digest": digest, "seconds": self.seconds}, file)

    def try_fault(self, fault):
        """("caught", check) or ("MISSED", why)."""
        if self.changed and self.changed["file"] != fault["file"]:
            self.write(self.changed["file"], self.changed["sound"])
        self.changed = fault
        self.write(fault["file"], fault["planted"])
        broken = []
        for programs in self.order(fault.get("hint", "")):
            refusal = self.build(programs) if programs else None
            if refusal:
                return "MISSED", f"it does not compile: {refusal}"
            for name in programs:
                verdict, words = self.run(name)
                if verdict == "caught":
                    return verdict, words
                if verdict == "broken":
                    broken.append(words)
        return "MISSED", "no check fails, but " + "; ".join(broken) if broken else "all tests pass"


def options_of():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default=os.path.join(HERE, "faults.txt"))
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "mutants"), help="where the copies are kept")
    parser.add_argument("--count", type=int, help="so many at random instead of all")
    parser.add_argument("--seed", type=int, help="which ones; printed, random if not given")
    parser.add_argument("--only", help="a part of what a fault stands for, of its file or of its kind")
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time")
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("--cflags", default="-Og -DSAI_NO_UNROLL", help="quick to build, and still quick to run")
    parser.add_argument("--seconds", type=int, default=600, help="that a test program may take")
    parser.add_argument("--check", action="store_true", help="only whether every pattern still fits")
    return parser.parse_args()


def choose(faults, options):
    features, chosen = processor_features(), []
    for fault in faults:
        if options.only and not any(options.only in fault[field] for field in ("file", "what", "kind")):
            continue
        if not set(fault.get("needs", "").split()) <= features:
            print(f"skipped: {fault['what']}: this processor has no {fault['needs']}")
            continue
        chosen.append(fault)
    if options.count is not None:
        seed = random.randrange(1 << 32) if options.seed is None else options.seed
        print(f"{options.count} of {len(chosen)} faults, SEED={seed}")
        chosen = random.Random(seed).sample(chosen, min(options.count, len(chosen)))
    # Neighbours in the table share objects: so the least is built again.
    return sorted(chosen, key=lambda fault: fault["line"])


def work(worker, waiting, total, results, lock):
    while True:
        try:
            number, fault = waiting.get_nowait()
        except queue.Empty:
            return
        began = time.time()
        verdict, words = worker.try_fault(fault)
        by = "by " if verdict == "caught" else ""
        with lock:
            results.append((verdict, fault))
            print(f"{number:3d}/{total} {verdict:6s} {fault['kind']:8s} {os.path.basename(fault['file'])}: "
                  f"{fault['what']}\n               {by}{words[:160]} ({time.time() - began:.0f} s)", flush=True)


def main():
    options = options_of()
    faults = read_table(options.table)
    plant_all(faults)
    kinds = {}
    for fault in faults:
        kinds[fault["kind"]] = kinds.get(fault["kind"], 0) + 1
    print(f"{len(faults)} faults: " + ", ".join(f"{n} in {kind}" for kind, n in sorted(kinds.items())), flush=True)
    if options.check:
        return 0
    chosen = choose(faults, options)
    waiting, results, lock = queue.Queue(), [], threading.Lock()
    for number, fault in enumerate(chosen, 1):
        waiting.put((number, fault))
    workers = [Worker(os.path.join(options.build, str(i)), options) for i in range(max(1, options.jobs))]
    began = time.time()
    workers[0].sound()
    for worker in workers[1:]:
        worker.seconds = workers[0].seconds
    print(f"all tests pass without a fault, after {time.time() - began:.0f} s", flush=True)
    threads = [threading.Thread(target=work, args=(worker, waiting, len(chosen), results, lock)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    missed = [fault for verdict, fault in results if verdict != "caught"]
    for fault in missed:
        print(f"MISSED: {fault['file']}: {fault['what']}")
    print(f"{len(results) - len(missed)} caught, {len(missed)} missed")
    return 1 if missed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
