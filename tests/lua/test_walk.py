"""A random walk through all scripts, and then a count: nothing lost, nothing twice.

Two queues, four workers each. Workers crash (forget what they hold), come back late with answers,
send calls again; payloads are large, invalid, duplicates, scheduled or cancelled; queues pause; time
passes by moving the scores. Each payload names a reply list of its own, so the count at the end is
simple: one reply for each payload, and one more for each time its job was dead and tried again.

PENSTOCK_WALK_SEEDS=1-500 and PENSTOCK_WALK_STEPS=5000 make it longer.
"""
import collections
import json
import os
import random

import pytest

from lua_lib import LARGE, LEASE_MS, Admission, Queue, Reject, bury, done, later

TTL_MS = 20 * 86_400_000
STEPS = int(os.environ.get("PENSTOCK_WALK_STEPS", "1500"))


def seeds():
    first, _, last = os.environ.get("PENSTOCK_WALK_SEEDS", "1-4").partition("-")
    return range(int(first), int(last or first) + 1)


class Worker:
    def __init__(self, name):
        self.name = name
        self.unread = []  # (token, claim id, payload)
        self.held = []    # (id, token, payload)


class Walk:
    """One queue, its workers, and what must come of it."""

    def __init__(self, server, name, dice):
        self.q = Queue(server, name)
        self.dice = dice
        self.workers = [Worker(f"w{i}") for i in range(4)]
        self.ghosts = []  # (id, token, payload) of crashed workers, whose answers may still come
        self.sent = collections.deque(maxlen=30)
        self.payloads = {}  # number -> id or None
        self.replies = collections.Counter()
        self.stats = collections.Counter()
        self.runs = collections.defaultdict(collections.Counter)
        self.admitted, self.twins = set(), set()
        self.owner = {}  # id -> the number of the payload that became it

    # making work

    def push(self):
        number = len(self.payloads)
        known = [id for id in self.payloads.values() if id]
        id = f"j{number}"
        if known and self.dice.random() < 0.15:
            id = self.dice.choice(known)
        elif self.dice.random() < 0.1:
            id = None
        payload = {"n": number, "pad": "p" * self.dice.choice([0, 0, 0, 900, LARGE + 1]),
                   "valid": self.dice.random() > 0.07}
        if self.dice.random() < 0.1:
            payload["delay_ms"] = self.dice.randrange(60_000)
        if self.dice.random() < 0.05:
            payload["ttl_ms"] = self.dice.randrange(60_000)
        if id:  # first, and then the claim may admit it, or last
            payload = {"id": id, **payload} if self.dice.random() < 0.7 else {**payload, "id": id}
        self.payloads[number] = id
        self.replies[number] = 1
        push = self.q.redis.rpush if self.dice.random() < 0.1 else self.q.redis.lpush
        push(self.q.key("jobs"), json.dumps(payload))

    def cancel(self):
        self.q.redis.sadd(self.q.key("cancel"), f"j{self.dice.randrange(len(self.payloads) + 20)}")

    def pause(self):
        if not self.q.redis.delete(self.q.key("paused")):
            self.q.redis.set(self.q.key("paused"), "lunch")

    # a worker's calls; `again` sends one a second time, and its answer is only counted

    def send(self, method, *args, **more):
        self.sent.append((method, args, more))
        return getattr(self, "do_" + method)(*args, **more)

    def again(self):
        if self.sent:
            method, args, more = self.dice.choice(self.sent)
            getattr(self, "do_" + method)(*args, **more)

    def do_claim(self, **more):
        claim = self.q.claim(**more)
        for item in claim.items:
            if item.fresh and (claim.token, item.id) not in self.admitted:
                self.admitted.add((claim.token, item.id))
                self.owner[item.id] = json.loads(item.payload)["n"]
                self.stats["admitted"] += 1
        return claim

    def claim(self):
        worker = self.dice.choice(self.workers)
        claim = self.send("claim", want=self.dice.choice([0, 1, 3, 10]), token=self.q.token(),
                          worker=worker.name)
        for item in claim.items:
            payload = json.loads(item.payload or self.q.redis.hget(
                self.q.key("job:" + item.id), "payload"))
            if item.claimed or item.fresh and not payload["valid"]:
                worker.unread.append((claim.token, item.id, payload))
            else:
                worker.held.append((item.id, claim.token, payload))

    def admission(self, claim, payload):
        id = payload.get("id", "made-" + claim[1:])
        return Admission(claim, id, reply_to=f"r{payload['n']}", run=f"run{payload['n'] % 3}",
                         start=payload.get("delay_ms", -1), start_is="in",
                         expiry=payload.get("ttl_ms", -1), expiry_is="in")

    def do_admit(self, token, numbers, *jobs):
        answers = self.q.admit(token, *jobs, ttl=TTL_MS)
        for job, number, answer in zip(jobs, numbers, answers):
            if answer.code == "duplicate" and job.claim not in self.twins:
                self.twins.add(job.claim)
                self.stats["duplicates"] += 1
                self.runs[job.run]["duplicates"] += 1
            elif answer.code not in ("duplicate", "lost") and job.claim not in self.admitted:
                self.owner[job.id] = number
                self.admitted.add(job.claim)
                self.stats["admitted"] += 1
                self.runs[job.run]["admitted"] += 1
        return answers

    def read(self):
        """A worker reads some of its payloads: admits the good, rejects the bad."""
        worker = self.dice.choice(self.workers)
        if not worker.unread:
            return
        token = self.dice.choice(worker.unread)[0]
        mine = [entry for entry in worker.unread if entry[0] == token]
        mine = mine[:self.dice.randrange(1, len(mine) + 1)]
        worker.unread = [entry for entry in worker.unread if entry not in mine]
        good = [entry for entry in mine if entry[2]["valid"]]
        jobs = [self.admission(claim, payload) for _, claim, payload in good]
        if jobs:
            answers = self.send("admit", token, [entry[2]["n"] for entry in good], *jobs)
            for job, (_, _, payload), answer in zip(jobs, good, answers):
                if answer.code in ("active", "expired", "cancelled"):
                    worker.held.append((job.id, token, payload))
        bad = [Reject(claim, payload.get("id", ""), self.q.ulid(), reply_to=f"r{payload['n']}",
                      run=f"run{payload['n'] % 3}") for _, claim, payload in mine
               if not payload["valid"]]
        if bad:
            self.send("reject", token, *bad)

    def do_reject(self, token, *bad):
        for reject, id in zip(bad, self.q.reject(token, *bad, ttl=TTL_MS)):
            if id:
                self.owner[id] = int(reject.reply_to[1:])
                self.stats["failed"] += 1
                self.stats["invalid"] += 1
                for counts in (self.stats, self.runs[reject.run]):
                    counts["admitted"] -= not reject.claim.startswith("~")
                self.runs[reject.run]["failed"] += 1

    def end(self, id, token, payload):
        more = {"reply_to": f"r{payload['n']}", "run": f"run{payload['n'] % 3}"}
        what = self.dice.random()
        if what < 0.5:
            return done(id, token, **more, input_tokens=payload["n"], cost_usd="0.001")
        if what < 0.6:
            return done(id, token, why=self.dice.choice(["expired", "cancelled"]), **more)
        if what < 0.7:
            return bury(id, token, **more)
        why = self.dice.choice(["throttle", "retry", "parked", "handed_back"])
        return later(id, token, self.dice.randrange(60_000), why, **more)

    def do_settle(self, *ends):
        names = {"throttle": "throttles", "retry": "retries"}
        words = self.q.settle(*ends, ttl=TTL_MS)
        for end, word in zip(ends, words):
            if word == "ok":
                name = names.get(end.why, end.why)
                for counts in (self.stats, self.runs[end.run]):
                    counts[name] += 1
                    counts["input_tokens"] += int(end.input_tokens)
                    counts["nano_usd"] += round(float(end.cost_usd) * 1e9)
        return words

    def settle(self):
        worker = self.dice.choice(self.workers)
        some = worker.held[:self.dice.randrange(1, 6)]
        worker.held = worker.held[len(some):]
        if self.ghosts and self.dice.random() < 0.2:
            some.append(self.ghosts.pop(self.dice.randrange(len(self.ghosts))))
        if some:
            self.send("settle", *(self.end(*entry) for entry in some))

    def do_renew(self, *held):
        return self.q.renew(*held)

    def renew(self):
        worker = self.dice.choice(self.workers)
        held = [(id, token) for id, token, _ in worker.held]
        held += [(claim, token) for token, claim, _ in worker.unread]
        lost = self.send("renew", *held)
        lost_ids = {held[place - 1] for place in lost}
        self.ghosts += [entry for entry in worker.held if entry[:2] in lost_ids]
        worker.held = [entry for entry in worker.held if entry[:2] not in lost_ids]
        worker.unread = [entry for entry in worker.unread if entry[1::-1] not in lost_ids]

    def crash(self):
        worker = self.dice.choice(self.workers)
        self.ghosts += worker.held
        worker.held, worker.unread = [], []

    def do_tick(self):
        redis, q = self.q.redis, self.q
        fresh = [id.decode() for id in redis.smembers(q.key("cancel"))
                 if not redis.exists(q.key("result:" + id.decode()))]
        tick = q.tick(ttl=TTL_MS, max_recoveries=4)
        self.stats["recoveries"] += tick.recovered
        self.stats["failed"] += tick.buried
        self.stats["cancelled"] += sum(redis.exists(q.key("result:" + id)) for id in fresh)

    def tick(self):
        self.send("tick")

    def do_dead_retry(self, *ids):
        raw = {id for id in ids if self.q.job(id).get("raw")}
        crashed = {id for id in ids if self.q.job(id).get("cause") == "crash"}
        for id, answer in zip(ids, self.q.dead_retry(*ids)):
            if answer == 1:
                self.stats["dead_retried"] += 1
                if id not in crashed:
                    self.replies[self.owner[id]] += 1
                if id in raw:
                    self.owner.pop(id, None)

    def dead_retry(self):
        dead = self.q.members("dead")
        if dead:
            self.send("dead_retry", *self.dice.sample(dead, min(len(dead), 2)))

    def do_unpark(self, *ids):
        return self.q.unpark(*ids)

    def unpark(self):
        self.send("unpark", *self.q.members("delayed")[:20], "unknown")

    def pass_time(self):
        self.q.pass_ms(self.dice.choice([100, 3000, 10_000, LEASE_MS + 1]))

    # to the end

    def drain(self):
        q = self.q
        q.redis.delete(q.key("paused"))
        for worker in self.workers:
            worker.held, worker.unread = [], []
        for _ in range(200):
            crashed = [id for id in q.members("dead") if q.job(id).get("cause") == "crash"]
            if crashed:
                self.do_dead_retry(*crashed[:50])
            q.pass_ms(LEASE_MS + 60_001)
            self.do_tick()
            self.claim()
            for worker in self.workers:
                while worker.unread:
                    self.read()
                for entry in worker.held:
                    self.do_settle(done(entry[0], entry[1], reply_to=f"r{entry[2]['n']}",
                                        run=f"run{entry[2]['n'] % 3}"))
                worker.held = []
            if not crashed and self.is_empty():
                return
        raise AssertionError("the queue does not come to an end")

    def is_empty(self):
        keys = [self.q.key(name) for name in ("jobs", "delayed", "active")]
        return not self.q.redis.exists(*keys)

    def check(self):
        q = self.q
        for number, id in self.payloads.items():
            assert len(q.replies(f"r{number}")) == self.replies[number], f"payload {number}, {id}"
            if id:
                assert q.result(id) is not None, f"{id} has no result"
        for name in q.members("dead"):
            assert q.result(name) is not None
        self.check_counts(q.counts(), self.stats)
        for run, expected in self.runs.items():
            self.check_counts(q.counts("run:" + run), expected)

    @staticmethod
    def check_counts(found, expected):
        found["nano_usd"] = round(float(found.pop("cost_usd", "0")) * 1e9)
        for name, count in expected.items():
            assert int(found.get(name, 0)) == count, name


MOVES = {"push": 8, "claim": 6, "read": 8, "settle": 8, "tick": 3, "renew": 2, "again": 6,
         "pass_time": 3, "crash": 1, "cancel": 1, "pause": 0.4, "dead_retry": 1,
         "unpark": 1}


@pytest.mark.parametrize("seed", seeds())
def test_nothing_is_lost_and_nothing_happens_twice(server, seed):
    server.client.flushall()
    dice = random.Random(seed)
    walks = [Walk(server, name, dice) for name in ("a", "b")]
    for _ in range(STEPS):
        walk = dice.choice(walks)
        getattr(walk, dice.choices(list(MOVES), MOVES.values())[0])()
    for walk in walks:
        walk.drain()
        walk.check()
