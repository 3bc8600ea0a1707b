#!/usr/bin/env python3
"""chaos: a producer, workers, Redis and the API's simulator, a random schedule of faults, and a count.

A producer pushes jobs as long as the play lasts; faults strike in an order drawn from --seed; then
everything comes to rest and every job is accounted for: one result for each, on its reply list once,
no call repeated that no fault explains, no key left over. Exit: 0 all is accounted for, 1 it is not.
docs/reliability.md says what each fault does and why the count is right.
"""
import argparse
import heapq
import itertools
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("integration", "lua")]

import invariants  # noqa: E402
from count import Count, Queue, table  # noqa: E402
from faults import FAULTS  # noqa: E402
from producer import Producer  # noqa: E402
from stage import CAN_SET_CLOCKS, Stage  # noqa: E402


def options(argv):
    names = "\n".join(f"  {name:8} {f.__doc__}" for name, f in FAULTS.items())
    ap = argparse.ArgumentParser(prog="scripts/chaos", epilog="faults:\n" + names, description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=None, help="of the schedule; printed, so that it can be repeated")
    ap.add_argument("--minutes", type=float, default=0.7, help="how long faults strike (0.7)")
    ap.add_argument("--gap", type=float, default=0.7, help="seconds between faults on the mean (0.7)")
    ap.add_argument("--faults", default=",".join(FAULTS), help="which, with commas (all)")
    ap.add_argument("--times", type=int, default=0, help="strike each of them so often; overrides --minutes")
    ap.add_argument("--kills", type=int, default=0, help="the same for --faults kill")
    ap.add_argument("--workers", type=int, default=4)
    ap.add_argument("--concurrency", type=int, default=8, help="of each worker")
    ap.add_argument("--lease-ms", type=int, default=10000)
    ap.add_argument("--latency", default="lognormal:120:0.6:20:1500", help="of the API (docs/simulator.md)")
    ap.add_argument("--backlog", type=int, default=100, help="jobs that the producer keeps waiting")
    ap.add_argument("--jobs", type=int, default=10**9, help="push no more than this")
    ap.add_argument("--queue", default="chaos")
    opt = ap.parse_args(argv)
    opt.names = opt.faults.split(",")
    if opt.kills:
        opt.names, opt.times = ["kill"], opt.kills
    unknown = set(opt.names) - set(FAULTS)
    if unknown:
        ap.error(f"no such fault: {', '.join(sorted(unknown))}")
    if "clock" in opt.names and not CAN_SET_CLOCKS:
        print("chaos: there is no C compiler: no steps of Redis' clock")
        opt.names.remove("clock")
    if opt.seed is None:
        opt.seed = random.randrange(10**6)
    if opt.times:
        opt.minutes = opt.times * len(opt.names) * opt.gap / 60
    return opt


class Play:
    def __init__(self, opt, stage):
        self.opt, self.stage = opt, stage
        self.dice = random.Random(opt.seed)
        self.due, self.order = [], itertools.count()
        self.struck = {name: 0 for name in opt.names}
        self.notes = {name: [] for name in opt.names}
        self.planned = self.schedule()

    def later(self, seconds, action):
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), action))

    def schedule(self):
        """(when, fault): as many as fit, each kind as often as the others, in a drawn order."""
        total = max(len(self.opt.names), round(self.opt.minutes * 60 / self.opt.gap))
        names = [self.opt.names[n % len(self.opt.names)] for n in range(total)]
        self.dice.shuffle(names)
        return [((n + self.dice.random()) * self.opt.gap, name) for n, name in enumerate(names)]

    def strike(self, name, tries=200):
        note = FAULTS[name](self.stage, self.dice, self.later)
        if note is None:  # not now: Redis is away, or every worker is in other hands
            if not tries:
                return  # the table shows how often it struck
            self.later(0.2, lambda: self.strike(name, tries - 1))
            return
        self.struck[name] += 1
        self.notes[name].append(note)

    def run(self):
        for at, name in self.planned:
            self.later(at, lambda name=name: self.strike(name))
        looked = time.monotonic()
        while self.due:
            self.stage.reap()
            at, _, action = self.due[0]
            time.sleep(min(max(at - time.monotonic(), 0), 0.05))
            if at <= time.monotonic():
                heapq.heappop(self.due)
                action()
            if time.monotonic() - looked > 5 and not self.stage.redis_away:
                self.look_inside()
                looked = time.monotonic()

    def look_inside(self):
        """What must be true of the keys is true at every moment, not only at the end."""
        client, stem = self.stage.redis.client, f"penstock:{{{self.opt.queue}}}:"
        try:
            if client.dbsize() < 20000:
                invariants.check(Queue(client, stem))
        except invariants_errors():
            pass


def invariants_errors():
    import redis
    return redis.RedisError


def report(opt, play, count, took):
    stage, ids = play.stage, count.producer.ids
    rows = [("fault", "times", "jobs exposed", "called again")]
    for name in opt.names:
        exposed = sum(len(note["ids"]) for note in play.notes[name])
        rows.append((name, play.struck[name], exposed, count.repeated[name]))
    print(f"\n{len(ids)} jobs, {count.producer.pushed} payloads, {count.good} calls, "
          f"{stage.started} workers started, {took:.0f} s, seed {opt.seed}\n")
    table(rows)
    stats = {k: v for k, v in sorted(count.stats.items()) if not k.endswith("tokens") and k != "cost_usd"}
    print("\n  " + ", ".join(f"{k} {v}" for k, v in stats.items()) + "\n")


def play_all(opt, folder):
    began = time.monotonic()
    stage = Stage(opt, folder)
    try:
        producer = Producer(stage, opt.jobs)
        for _ in range(opt.workers):
            stage.add_worker()
        producer.start()
        play = Play(opt, stage)
        play.run()
        producer.finish()
        count = Count(stage, producer)
        count.rest(60 + 3 * opt.lease_ms / 1000)
        stage.all_drain()
        wrong = count.all()
        report(opt, play, count, time.monotonic() - began)
        for text in wrong:
            print("WRONG: " + text)
        print("chaos: " + ("every job is accounted for" if not wrong else "FAILED"))
        return 1 if wrong else 0
    finally:
        stage.close()


def main(argv):
    opt = options(argv)
    shm = "/dev/shm"  # fsync to a disk that others use may take seconds: it is not what is tried here
    tempfile.tempdir = tempfile.mkdtemp(prefix="penstock-chaos-", dir=shm if pathlib.Path(shm).is_dir() else None)
    print(f"chaos: seed {opt.seed}, {opt.minutes:.1f} minutes of {', '.join(opt.names)}", flush=True)
    try:
        return play_all(opt, tempfile.tempdir)
    except AssertionError:
        traceback.print_exc()
        print(f"chaos: FAILED, seed {opt.seed}")
        return 1
    finally:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
