#!/usr/bin/env python3
"""chaos sentinel, chaos cluster: the master under a busy queue fails, again and again; then a count.

  scripts/chaos sentinel [TIMES]    failovers (20) of a master with one replica and three Sentinels
  scripts/chaos cluster [TIMES]     the same in a cluster of three masters with a replica each, and
                                    the queue's slot moved to another master and back under load
    --seed N     of the order of faults (1)
    --no-wait    the producer does not say WAIT after a push: how many acknowledged pushes a failover
                 of asynchronous replicas loses is counted, and is no failure

Each time the time from the new master to the next job that ends is taken: 5 s at most, but 12 s where a
cluster's node is stopped, for nobody tells the worker, who is patient for 10 s. At the end every
job has one result, and only what was in hand or had just been settled may have been called again.
Exit: 0 if so, 1 if not.
"""
import argparse
import collections
import json
import pathlib
import random
import signal
import sys
import threading
import time

import redis

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("integration", "lua")]

import invariants  # noqa: E402
from clusterlib import Cluster, slot_of  # noqa: E402
from count import Queue, table  # noqa: E402
from fleet import Fleet, wait_until  # noqa: E402
from sentinellib import Watched  # noqa: E402
from simlib import Sim  # noqa: E402
from stage import HELD  # noqa: E402

BACK_S = 5.0   # from the new master to the next job that ends
SILENT_S = 12.0  # the same where a node of a cluster falls silent: a worker is patient with it for 10 s
BATCH = 20
BACKLOG = 600  # so that work goes on while no replica is there for WAIT
JUST = 1.0     # s: what was settled so shortly before a failover may not have been replicated


class Topology:
    """Who is master of the queue, and what can be done to it. `away`: nodes that are not to be asked."""

    def __init__(self):
        self.away = set()

    def ask(self, node, *words):
        """Its answer, or None: it is dead, stopped or of another opinion."""
        if node in self.away or node.process.poll() is not None:
            return None
        try:
            with redis.Redis(port=node.port, decode_responses=True, socket_timeout=2) as client:
                return client.execute_command(*words)
        except redis.RedisError:
            return None

    def patience(self, _kind):
        return BACK_S

    def port(self):
        node = self.master()
        return node.port if node else None

    def replica_of(self, master):
        def state(node):
            info = self.ask(node, "INFO", "replication") or {}
            return info.get("role") == "slave" and info.get("master_link_status") == "up" \
                and int(info.get("master_port", 0)) == master.port
        return next((n for n in self.nodes if n is not master and state(n)), None)

    def follows(self):
        """The replica of the master."""
        master = self.master()
        return master and self.replica_of(master)

    settled = follows

    def kill(self, old):
        """kill -9 of the master; it comes back as a replica"""
        old.kill()
        return old.start

    def stop(self, old):
        """SIGSTOP of the master; it wakes up demoted"""
        old.process.send_signal(signal.SIGSTOP)
        return lambda: old.process.send_signal(signal.SIGCONT)


class Sentinels(Topology):
    kinds = ("kill", "stop", "switch")

    def __init__(self):
        super().__init__()
        self.redis = Watched()
        self.nodes, self.queue = self.redis.nodes, "default"

    def master(self):
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
        said = [addr for addr in (self.ask(s, *words) for s in self.redis.sentinels) if addr]
        node = next((n for n in self.nodes if said and n.port == int(said[0][1])), None)
        role = node and self.ask(node, "ROLE")
        return node if role and role[0] == "master" else None

    def settled(self):
        """The replica follows and each Sentinel knows it, or it would name no other master for a while."""
        replica = self.follows()
        return replica and all(self.knows(s, replica) for s in self.redis.sentinels)

    def knows(self, sentinel, replica):
        said = self.ask(sentinel, "SENTINEL", "REPLICAS", "mymaster") or []
        said = [one if isinstance(one, dict) else dict(zip(one[::2], one[1::2])) for one in said]
        return any(int(one["port"]) == replica.port and one["flags"] == "slave" and
                   one["master-link-status"] == "ok" for one in said)

    def switch(self, _old):
        """SENTINEL FAILOVER: the old master is demoted while it still answers"""
        wait_until(lambda: self.ask(self.redis.sentinels[0], "SENTINEL", "FAILOVER", "mymaster"), 60,
                   "a Sentinel that switches")
        return None


class Clustered(Topology):
    kinds = ("kill", "stop", "switch", "move")

    def __init__(self):
        super().__init__()
        self.redis = Cluster(masters=3, replicas=1)
        self.nodes = self.redis.nodes
        self.queue = self.redis.queue_on(self.nodes[0])
        self.slot = slot_of(f"penstock:{{{self.queue}}}:jobs")

    def master(self):
        for node in self.nodes:
            for first, last, owner, *_ in self.ask(node, "CLUSTER", "SLOTS") or []:
                if first <= self.slot <= last and owner[1] == node.port:
                    return node
        return None

    def patience(self, kind):
        return SILENT_S if kind == "stop" else BACK_S

    def switch(self, old):
        """CLUSTER FAILOVER: the two change places in good order"""
        wait_until(lambda: self.ask(self.replica_of(old), "CLUSTER", "FAILOVER"), 60, "a replica that takes over")
        return None

    def move(self, old):
        """the queue's slot moves to another master and back, under load; nothing may be called twice"""
        masters = [n for n in self.nodes if (self.ask(n, "ROLE") or [""])[0] == "master" and n is not old]
        for source, target in ((old, masters[0]), (masters[0], old)):
            self.redis.begin_move(self.slot, source, target)
            while self.redis.move_keys(self.slot, source, target, 50):
                pass
            self.redis.end_move(self.slot, target)


class Pusher(threading.Thread):
    """Keeps jobs waiting. A batch counts once it is acknowledged (by a replica too, with WAIT); after an
    error it is pushed again under the same ids, which the queue counts as duplicates."""

    def __init__(self, topology, fleet, says_wait):
        super().__init__(daemon=True)
        self.topology, self.key, self.says_wait = topology, fleet.key("jobs"), says_wait
        self.ids, self.over, self.client, self.sent = [], threading.Event(), None, False
        self.pushes = collections.Counter()  # each may have put the result on the reply list once

    def run(self):
        while not self.over.is_set():
            names = [f"f{n}" for n in range(len(self.ids), len(self.ids) + BATCH)]
            raw = [json.dumps({"id": i, "prompt": i, "reply_to": "all"}) for i in names]
            self.sent = False
            while not self.push(raw):
                if self.over.is_set() and not self.sent:
                    return
                time.sleep(0.02)
            self.ids += names

    def connect(self, port=None):
        port = port or self.topology.port()
        self.client = port and redis.Redis(port=port, decode_responses=True, socket_timeout=3,
                                           single_connection_client=True)

    def push(self, raw):
        try:
            if not self.client:
                self.connect()
            if not self.client or (not self.sent and self.client.llen(self.key) >= BACKLOG):
                return False
            if not self.sent:
                self.lpush(raw)
            return not self.says_wait or self.client.wait(1, 1000) >= 1
        except redis.RedisError as error:
            self.client, self.sent = None, False
            if str(error).startswith("ASK "):  # the slot is on its way: nothing was pushed
                self.ask_there(int(str(error).rsplit(":", 1)[1]), raw)
            return self.sent

    def ask_there(self, port, raw):
        try:
            self.connect(port)
            self.client.execute_command("ASKING")
            self.lpush(raw)
        except redis.RedisError:
            self.client = None

    def lpush(self, raw):
        self.pushes[json.loads(raw[0])["id"]] += 1
        self.client.lpush(self.key, *raw)
        self.sent = True


class Play:
    def __init__(self, topology, fleet, opt):
        self.topology, self.fleet = topology, fleet
        self.dice = random.Random(opt.seed)
        self.pusher = Pusher(topology, fleet, not opt.no_wait)
        self.exposed = collections.defaultdict(list)  # id -> the kinds of failover that held it
        self.repeated = collections.Counter()
        self.rows, self.wrong, self.began = [], [], []

    def client(self):
        node = self.topology.master()
        return node and redis.Redis(port=node.port, decode_responses=True, socket_timeout=5)

    def ask(self, *words):
        client = self.client()
        try:
            return client and client.execute_command(*words)
        except redis.RedisError:
            return None

    def succeeded(self):
        return int(self.ask("HGET", self.fleet.key("stats"), "succeeded") or -1)

    def held(self):
        words = ("EVAL", HELD, 1, self.fleet.key(""), "")
        found = wait_until(lambda: [got for got in [self.ask(*words)] if got is not None], 20, "an answer")
        return {json.loads(one)["id"] if one.startswith("{") else one for one in found[0]}

    def goes_on(self, what):
        """Waits until one more job has ended, on whoever is master; how long it took."""
        began, seen = time.monotonic(), -1
        while True:
            now = self.succeeded()
            if 0 <= seen < now:
                return time.monotonic() - began
            seen = now if seen < 0 else seen
            assert time.monotonic() - began < 60, f"nothing ends after {what}"
            time.sleep(0.01)

    def once(self, kind):
        fleet, topology = self.fleet, self.topology
        wait_until(topology.settled, 120, "a replica that may take over")
        since = fleet.sim.stats()["requests"]
        self.goes_on("the last one")
        old, held = wait_until(topology.master, 20, "a master"), self.held()
        wait_until(lambda until=time.monotonic() + JUST: time.monotonic() > until, 10, "a moment")
        held |= self.held()
        began = time.monotonic()
        self.began.append((since, fleet.sim.stats()["requests"]))
        heal = getattr(topology, kind)(old)
        if kind == "move":
            self.rows.append((kind, 0.0, self.goes_on(kind)))
            return
        topology.away.add(old)
        wait_until(topology.master, 60, "another master")
        took = time.monotonic() - began
        back = self.goes_on(kind)
        self.rows.append((kind, took, back))
        if heal:
            heal()
        topology.away.clear()
        wait_until(topology.follows, 120, "the old master to follow the new one")
        # What was taken from the old master in its last moments may be called by two: by whoever took it,
        # and by whoever finds it waiting on the new one.
        held |= {seen["prompt_head"] for seen in fleet.sim.log(since)}
        for one in held:
            self.exposed[one].append(kind)

    def rest(self):
        self.pusher.over.set()
        self.pusher.join()
        stem = self.fleet.key("")
        wait_until(lambda: [self.ask("LLEN", stem + "jobs"), self.ask("ZCARD", stem + "delayed"),
                            self.ask("ZCARD", stem + "active")] == [0, 0, 0], 120, "everything to end")

    def expect(self, fine, text):
        if not fine:
            self.wrong.append(text)

    def count(self, no_wait):
        """Every job, from the last master's keys."""
        client, stem, ids = self.client(), self.fleet.key(""), self.pusher.ids
        lost = []
        for name in ids:
            text = client.get(f"{stem}result:{name}")
            if text is None:
                lost.append(name)
            elif json.loads(text)["status"] != "succeeded" or not json.loads(text)["text"].startswith(f"echo: {name} #"):
                self.wrong.append(f"{name}: {text[:200]}")
        self.expect(no_wait or not lost, f"{len(lost)} acknowledged jobs lost: {lost[:10]}")
        replies = collections.Counter(json.loads(r)["id"] for r in client.lrange(stem + "reply:all", 0, -1))
        pushes = {i: self.pusher.pushes[f"f{int(i[1:]) // BATCH * BATCH}"] for i in replies}
        # A duplicate's list gets the result too; and so does a payload whose admission was lost in a
        # failover, and which comes up after its answer has been taken.
        twice = [i for i, n in replies.items() if n > pushes[i] + len(self.exposed[i])]
        self.expect(not twice, f"on the reply list more often than pushed: {twice[:10]}")
        self.expect(set(ids) - set(lost) <= set(replies), "some are not on the reply list")
        ends = int(client.hget(stem + "stats", "succeeded"))
        self.expect(ends == len(replies), f"{ends} ends of {len(replies)} ids: some ended twice")
        try:
            invariants.check(Queue(client, stem))
        except AssertionError as fault:
            self.wrong.append(f"the queue's keys: {fault}")
        return lost

    def repeats(self):
        calls = collections.defaultdict(list)
        for seen in self.fleet.sim.log():
            if seen["status"] == 200 and seen["ending"] != "cut":
                calls[seen["prompt_head"]].append(seen["n"])
        unexplained = {i: n for i, n in calls.items() if len(n) - 1 > len(self.exposed[i])}
        for name, n in calls.items():
            self.repeated.update(self.exposed[name][:len(n) - 1])
        self.expect(not unexplained, f"called again without a cause (job, numbers of its calls; failovers began "
                                     f"at {self.began}): {dict(list(unexplained.items())[:10])}")
        return sum(len(n) - 1 for n in calls.values())

    def run(self, times):
        self.pusher.start()
        for kind in self.kinds(times):
            self.once(kind)
        self.rest()

    def kinds(self, times):
        """As many of each kind, in a drawn order."""
        names = [self.topology.kinds[n % len(self.topology.kinds)] for n in range(times)]
        self.dice.shuffle(names)
        return names


def report(play, opt, lost, repeated):
    rows = [("fault", "times", "new master after", "service back within", "called again")]
    for kind in play.topology.kinds:
        seen = [(took, back) for name, took, back in play.rows if name == kind]
        if seen:
            rows.append((kind, len(seen), f"{max(t for t, _ in seen):.1f} s at most",
                         f"{max(b for _, b in seen):.2f} s", play.repeated[kind]))
    print(f"\n{len(play.pusher.ids)} jobs, seed {opt.seed}\n")
    table(rows)
    print(f"\n  acknowledged jobs lost {len(lost)}, calls repeated {repeated}"
          f"{' (the producer said no WAIT)' if opt.no_wait else ''}\n")


def options(argv):
    ap = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("topology", choices=("sentinel", "cluster"))
    ap.add_argument("times", nargs="?", type=int, default=20)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--no-wait", action="store_true")
    return ap.parse_args(argv)


def main(argv):
    opt = options(argv)
    topology = Sentinels() if opt.topology == "sentinel" else Clustered()
    fleet = Fleet.__new__(Fleet)
    fleet.queue, fleet.workers, fleet.redis = topology.queue, [], topology.redis
    try:
        fleet.sim = Sim(latency="uniform:50-150", log_size=1_000_000, quiet=True)
    except BaseException:
        topology.redis.stop()
        raise
    with fleet:
        play = Play(topology, fleet, opt)
        for _ in range(3):
            fleet.worker(concurrency=8, lease_ms=10000, queues=topology.queue)
        play.run(opt.times)
        lost, repeated = play.count(opt.no_wait), play.repeats()
    late = [row for row in play.rows if row[2] > topology.patience(row[0])]
    play.expect(not late, f"the service came back late: {late}")
    report(play, opt, lost, repeated)
    for text in play.wrong:
        print("WRONG: " + text)
    print(f"chaos {opt.topology}: " + ("every job is accounted for" if not play.wrong else "FAILED"))
    return 1 if play.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
