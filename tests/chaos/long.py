#!/usr/bin/env python3
"""chaos stopped, chaos outage: two trials that need minutes, with figures.

  scripts/chaos stopped [SECONDS]   a worker is stopped for SECONDS (60) past its lease of 30 s: once
                                    with a second worker at hand, once alone
  scripts/chaos outage [SECONDS]    Redis is away for SECONDS (300) from a busy worker

Exit: 0 if every figure is within its target, 1 if not.
"""
import collections
import pathlib
import signal
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("integration", "lua")]

from adminlib import Admin  # noqa: E402
from count import table  # noqa: E402
from fleet import Fleet, wait_until  # noqa: E402
from stage import DURABLE  # noqa: E402


class Trial:
    def __init__(self):
        self.rows, self.failed = [("what", "measured", "target", "")], False

    def note(self, what, measured, target, fine):
        self.rows.append((what, measured, target, "ok" if fine else "MISSED"))
        self.failed |= not fine

    def end(self):
        table(self.rows)
        return 1 if self.failed else 0


def stopped_once(trial, seconds, with_second):
    who = "with a second worker" if with_second else "alone"
    with Fleet(latency="constant:5000") as fleet:
        worker = fleet.worker(concurrency=8)
        ids = [f"s{n}" for n in range(8)]
        fleet.push(*[{"id": i, "prompt": i, "reply_to": "all"} for i in ids])
        fleet.sim.wait_for(len(ids))
        worker.signal(signal.SIGSTOP)
        began = time.monotonic()
        if with_second:
            fleet.worker(concurrency=8)
        wait_until(lambda: time.monotonic() - began > 30 + seconds, 60 + seconds, "the lease and more")
        worker.signal(signal.SIGCONT)
        results = fleet.results(ids, timeout_s=30)
        wait_until(lambda: fleet.depth() == {"jobs": 0, "delayed": 0, "active": 0, "dead": 0}, 30, "rest")
        calls, replies = fleet.sim.stats()["requests"], fleet.r.llen(fleet.key("reply:all"))
    good = sum(r["status"] == "succeeded" for r in results.values())
    trial.note(f"{who}: results of {len(ids)} jobs", f"{good}, {replies} replies", "8, 8 replies",
               good == replies == len(ids))
    most = 2 * len(ids) if with_second else len(ids)
    trial.note(f"{who}: calls", calls, f"<= {most}", calls <= most)


def stopped(seconds):
    trial = Trial()
    for with_second in (True, False):
        stopped_once(trial, seconds, with_second)
    return trial.end()


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def sit_out(trial, worker, seconds):
    """Redis has just gone: what the worker costs meanwhile."""
    admin = Admin(worker)
    began = time.monotonic()
    wait_until(lambda: admin.status("/readyz") == 503, 30, "readiness to be false")
    trial.note("readiness false after", f"{time.monotonic() - began:.1f} s", "<= 3 s",
               time.monotonic() - began <= 3)
    wait_until(lambda: time.monotonic() - began > 10, 30, "calls under way to end")
    cpu, rss, from_s = cpu_s(worker.pid), rss_kib(worker.pid), time.monotonic()
    wait_until(lambda: time.monotonic() - began > seconds, seconds + 60, "the outage")
    share = (cpu_s(worker.pid) - cpu) / (time.monotonic() - from_s)
    more = rss_kib(worker.pid) - rss
    trial.note("CPU", f"{100 * share:.2f} %", "< 1 %", share < 0.01)
    trial.note("memory grown by", f"{more} KiB of {rss}", "< 256 KiB", more < 256)


def outage(seconds):
    trial = Trial()
    with Fleet(latency="uniform:200-1500", redis_args=DURABLE) as fleet:
        worker = fleet.worker(concurrency=64, env={"PENSTOCK_HTTP": "127.0.0.1:0"})
        ids = [f"o{n}" for n in range(2000)]
        fleet.push(*[{"id": i, "prompt": i} for i in ids])
        fleet.sim.wait_for(500)
        lines = collections.Counter(line["ev"] for line in worker.log())
        fleet.redis.kill()
        sit_out(trial, worker, seconds)
        asked = fleet.sim.stats()["requests"]
        fleet.redis.start()
        back = time.monotonic()
        fleet.sim.wait_for(asked + 1, timeout_s=30)
        took = time.monotonic() - back
        trial.note("calls again after its return", f"{took:.1f} s", "<= 3 s", took <= 3)
        results = fleet.results(ids, timeout_s=120)
        good = sum(r["status"] == "succeeded" for r in results.values())
        trial.note("jobs that ended well", f"{good} of {len(ids)}", "all", good == len(ids))
        repeats = fleet.sim.stats()["requests"] - len(ids)
        trial.note("calls repeated", repeats, "0", repeats == 0)
        more = collections.Counter(line["ev"] for line in worker.log()) - lines
        trial.note("log lines", ", ".join(f"{ev} {n}" for ev, n in more.items()),
                   "redis_down 1, redis_up 1", more == {"redis_down": 1, "redis_up": 1})
    return trial.end()


TRIALS = {"stopped": (stopped, 60), "outage": (outage, 300)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TRIALS:
        sys.exit(__doc__)
    trial_of, usual = TRIALS[sys.argv[1]]
    sys.exit(trial_of(float(sys.argv[2]) if len(sys.argv) > 2 else usual))
