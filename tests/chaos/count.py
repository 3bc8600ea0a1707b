"""count: what became of every job, when the play is over and everything has come to rest.

  - each id has one result, of the right status and with its own answer; none is left over anywhere
  - each id is on the reply list once, and the counters agree: nothing ended twice
  - what was called twice had been exposed to it by a fault, as often as it was called again
"""
import collections
import json
import sys
import time

import redis

import invariants
from producer import kind_of

ALLOWED = {"plain": {"succeeded"}, "twin": {"succeeded"}, "delayed": {"succeeded"},
           "malformed": {"failed"}, "cancelled": {"succeeded", "cancelled"}}


class Queue:
    """What tests/lua/invariants.py looks at."""
    def __init__(self, client, stem):
        self.redis, self.stem, self.evicted = client, stem, set()


class Count:
    def __init__(self, stage, producer):
        self.stage, self.producer = stage, producer
        self.r, self.stem = stage.redis.client, producer.stem
        self.wrong = []
        self.repeated = collections.Counter()  # fault -> calls repeated for it

    def expect(self, fine, text):
        if not fine:
            self.wrong.append(text)

    def rest(self, timeout_s):
        """Waits until nothing is waiting, delayed or active."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                depth = [self.r.llen(self.stem + "jobs"), self.r.zcard(self.stem + "delayed"),
                         self.r.zcard(self.stem + "active"), self.r.scard(self.stem + "cancel")]
            except redis.RedisError:
                depth = None
            if depth == [0, 0, 0, 0]:
                return
            if time.monotonic() > end:
                self.wrong.append(f"not at rest after {timeout_s:g} s: waiting, delayed, active, "
                                  f"cancel = {depth}")
                return
            self.stage.reap()
            time.sleep(0.1)

    def all(self):
        self.results()
        self.replies()
        self.counters()
        self.calls()
        try:
            invariants.check(Queue(self.r, self.stem))
        except AssertionError as fault:
            self.wrong.append(f"the queue's keys: {fault}")
        return self.wrong

    def results(self):
        ids = self.producer.ids
        lost, bad, died = [], [], set(self.r.zrange(self.stem + "dead", 0, -1))
        for at in range(0, len(ids), 500):
            some = ids[at:at + 500]
            for n, (name, text) in enumerate(zip(some, self.r.mget(*[f"{self.stem}result:{i}" for i in some])), at):
                if text is None:
                    lost.append(name)
                    continue
                result = json.loads(text)
                if not self.is_right(n, name, result) or (name in died) != (result["status"] == "failed"):
                    bad.append((name, kind_of(n), text[:300]))
        self.expect(not lost, f"{len(lost)} jobs lost: {lost[:10]}")
        self.expect(not bad, f"{len(bad)} wrong results: {bad[:5]}")
        self.expect(died <= set(ids), f"dead and nobody's: {sorted(died - set(ids))[:10]}")

    def is_right(self, n, name, result):
        if result["status"] == "failed" and result["error"]["type"] == "crash":
            return len(self.stage.exposed[name]) >= 5  # PENSTOCK_MAX_RECOVERIES
        own = result["status"] != "succeeded" or result["text"].startswith(f"echo: {name} #")
        return result["id"] == name and own and result["status"] in ALLOWED[kind_of(n)]

    def replies(self):
        seen = collections.Counter(json.loads(text)["id"]
                                   for text in self.r.lrange(self.stem + "reply:all", 0, -1))
        ids = set(self.producer.ids)
        odd = {i: n for i, n in seen.items() if n != 1 or i not in ids}
        self.expect(not odd, f"on the reply list more than once: {dict(list(odd.items())[:10])}")
        self.expect(ids <= set(seen), f"never on the reply list: {sorted(ids - set(seen))[:10]}")

    def counters(self):
        words = ("succeeded", "failed", "expired", "cancelled")
        stats, run = self.r.hgetall(self.stem + "stats"), self.r.hgetall(self.stem + "run:chaos")
        ends = sum(int(stats.get(w, 0)) for w in words)
        self.expect(ends == len(self.producer.ids), f"{ends} ends of {len(self.producer.ids)} jobs")
        payloads = sum(int(run.get(w, 0)) for w in (*words, "duplicates"))
        self.expect(payloads == self.producer.pushed,
                    f"the run counts {payloads} payloads of {self.producer.pushed}: {run}")
        if not {"api", "refuse", "stop"} & set(self.stage.opt.names):
            self.expect("retries" not in stats, f"{stats.get('retries')} attempts charged for nothing")
        self.expect("vanished" not in stats, f"{stats.get('vanished')} jobs vanished")
        self.stats = stats

    def calls(self):
        """Calls of one job beyond its first that the API answered, or was about to."""
        good = collections.Counter(
            seen["prompt_head"] for seen in self.stage.sim.log()
            if seen["status"] == 200 and "fault" not in seen and seen["ending"] != "cut")
        unexplained = []
        for name, calls in good.items():
            notes = self.stage.exposed[name]
            if calls - 1 > len(notes):
                unexplained.append((name, calls, notes))
            for fault in notes[:max(calls - 1, 0)]:
                self.repeated[fault] += 1
        self.good = sum(good.values())
        self.expect(not unexplained, f"{len(unexplained)} jobs called more often than faults explain "
                                     f"(job, calls, faults): {unexplained[:10]}")


def table(rows, out=sys.stdout):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [str(row[0]).ljust(widths[0])] + [str(c).rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip(), file=out)
