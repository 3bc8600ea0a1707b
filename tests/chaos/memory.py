#!/usr/bin/env python3
"""chaos memory: one allocation of a worker fails, the n-th from its start, for many n; no job is lost.

  scripts/chaos memory [COUNT] [SEED]   COUNT (600) values of n, spread over a worker's life

Beside a worker that is left in peace, twenty at a time have one allocation made to fail: by turns just
that one, that one and all after it, or the worker dies at it (tests/chaos/failer.c). It may end for it
or go on, but it may not keep a job for ever: all jobs must have their results while those that went on
still run. Where a worker ends for it, that is a crash like any other (hiredis 0.14 looks at none of its
allocations, so SIGSEGV is among its ways). Exit: 0 if every job ended once and well, 1 if not.
"""
import collections
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("integration", "lua")]

from count import table  # noqa: E402
from fleet import KEY, Fleet, Worker, wait_until  # noqa: E402

HOW = ("once", "on", "dies")
SIDE_BY_SIDE = 20
JOBS = 12          # for each of them
FLAGS = {"concurrency": 4, "lease_ms": 1000, "max_recoveries": 0, "drain_ms": 3000}


class Doomed:
    """A worker whose n-th allocation fails."""

    def __init__(self, fleet, library, n, how):
        self.n, self.how = n, how
        self.mark = pathlib.Path(tempfile.mkstemp(prefix="failer-")[1])
        env = fleet.env(LD_PRELOAD=library, FAILER_AT=n, FAILER_HOW=how, FAILER_FILE=self.mark)
        self.worker = Worker(env, FLAGS)

    def came_to_it(self):
        return self.mark.read_text().startswith("!")

    def end(self):
        """What became of it: a word, and whether it may."""
        process = self.worker.process
        went_on = process.poll() is None
        if went_on and self.how == "on":  # it has no memory to leave in good order
            self.worker.kill()
        code = self.worker.drain(60)
        text, reached = self.worker.text(), self.came_to_it()
        self.mark.unlink()
        self.worker.out.close()
        assert KEY not in text, "the API key is in the log"
        if not reached:
            return "not reached", code in (0, -signal.SIGKILL)
        if self.how == "dies":
            return "killed", code == -signal.SIGKILL
        if went_on:
            return "went on", code in (0, -signal.SIGKILL)
        return "ended: " + (signal.Signals(-code).name if code < 0 else f"code {code}"), code != 0


def compile_failer(folder):
    library = f"{folder}/failer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, TESTS / "chaos" / "failer.c"], check=True)
    return library


def allocations(library, jobs):
    """How many a worker makes in its life, from start to drain, with so many jobs."""
    with Fleet(latency="constant:5") as fleet:
        one = Doomed(fleet, library, 0, "once")
        names = [f"m{n}" for n in range(jobs)]
        fleet.push(*[{"id": i, "prompt": i, "reply_to": "all"} for i in names])
        wait_until(lambda: fleet.stat("succeeded") == jobs, 30, "the jobs")
        assert one.worker.drain() == 0
        count = int(re.search(r"\d+", one.mark.read_text())[0])
        one.mark.unlink()
        return count


def chosen(count, most, dice):
    """Values of n: all, or one of each stretch, in a drawn order."""
    step = max(most / count, 1)
    ns = [int(step * k + dice.random() * step) + 1 for k in range(min(count, most))]
    dice.shuffle(ns)
    return ns


class Play:
    def __init__(self, fleet, library):
        self.fleet, self.library = fleet, library
        self.seen, self.wrong, self.pushed, self.dead_calls = collections.Counter(), [], 0, 0

    def round(self, cases):
        ids = [f"r{self.pushed + n}" for n in range(JOBS * len(cases))]
        self.pushed += len(ids)
        self.fleet.push(*[{"id": i, "prompt": i, "reply_to": "all"} for i in ids])
        doomed = [Doomed(self.fleet, self.library, n, how) for n, how in cases]
        try:
            results = self.fleet.results(ids, timeout_s=60)
        except AssertionError as fault:
            self.wrong.append(f"{fault}: {self.fleet.depth()}; " +
                              ", ".join(f"{d.how} {d.n}" for d in doomed))
            results = {}
        self.wrong += [f"{i}: {r}" for i, r in results.items() if r["status"] != "succeeded"
                       or not r["text"].startswith(f"echo: {i} #")][:5]
        for one in doomed:
            word, fine = one.end()
            self.seen[one.how, word] += 1
            self.dead_calls += FLAGS["concurrency"]
            if not fine:
                self.wrong.append(f"allocation {one.n} ({one.how}): {word}")

    def count(self):
        r, fleet = self.fleet.r, self.fleet
        replies = r.llen(fleet.key("reply:all"))
        if replies != self.pushed or fleet.stat("succeeded") != self.pushed:
            self.wrong.append(f"{replies} replies, {fleet.stat('succeeded')} ends of {self.pushed} jobs")
        if any(fleet.depth().values()) or r.keys("penstock:*:job:*"):
            self.wrong.append(f"left over: {fleet.depth()}, {r.keys('penstock:*:job:*')[:5]}")
        repeated = fleet.sim.stats()["repeats"]
        if repeated > self.dead_calls:
            self.wrong.append(f"{repeated} calls repeated; {self.dead_calls} could be in flight at a failure")
        return repeated


def main(argv):
    count, seed = int(argv[0]) if argv else 600, int(argv[1]) if argv[1:] else 1
    dice, folder = random.Random(seed), tempfile.mkdtemp(prefix="penstock-memory-")
    try:
        library = compile_failer(folder)
        most = allocations(library, JOBS)
        cases = [(n, HOW[k % len(HOW)]) for k, n in enumerate(chosen(count, most, dice))]
        with Fleet(latency="constant:5") as fleet:
            fleet.worker(**FLAGS)
            play = Play(fleet, library)
            for at in range(0, len(cases), SIDE_BY_SIDE):
                play.round(cases[at:at + SIDE_BY_SIDE])
            repeated = play.count()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{play.pushed} jobs, {len(cases)} of a worker's {most} allocations, {repeated} calls repeated, seed {seed}\n")
    table([("how it fails", "what the worker did", "times")] +
          [(how, word, times) for (how, word), times in sorted(play.seen.items())])
    for text in play.wrong:
        print("WRONG: " + text)
    print("chaos memory: " + ("no job was lost" if not play.wrong else "FAILED"))
    return 1 if play.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
