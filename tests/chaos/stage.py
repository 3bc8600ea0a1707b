"""stage: Redis, the simulator, the workers with their links, and who was exposed to which fault.

A call may be made twice only where a job's lease ran out under it, or where an answer may have been
lost on its way. Each fault that can bring that about notes here which jobs it exposed: those that the
worker held at that moment, by Redis' word. What is called twice without such a note is a failure.
"""
import collections
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import time

import redis

from fleet import KEY, Redis, Worker, wait_until
from link import Links
from simlib import Sim

HELD = """
local held = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1] .. 'active', 0, -1)) do
  local f = redis.call('HMGET', KEYS[1] .. 'job:' .. id, 'worker', 'payload')
  if f[1] == ARGV[1] or ARGV[1] == '' then
    held[#held + 1] = string.sub(id, 1, 1) == '~' and f[2] or id
  end
end
return held
"""
CAN_SET_CLOCKS = shutil.which("cc") is not None
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class ChaosRedis(Redis):
    """A redis-server that a limit on the size of its files does not kill outright, and whose clock can
    be set (clock.c)."""

    def __init__(self, folder, *args, settable=False):
        self.clock, self.ahead = f"{folder}/clock", 0.0
        env = dict(os.environ)
        if settable:
            source, library = pathlib.Path(__file__).with_name("clock.c"), f"{folder}/clock.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
            env.update(LD_PRELOAD=library, CLOCK_FILE=self.clock)
            self.step_clock(0)
        # Python ignores SIGXFSZ, and so does what it starts.
        self.popen = {"restore_signals": False, "env": env}
        super().__init__(*args)

    def step_clock(self, seconds):
        self.ahead += seconds
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "wb") as out:
            out.write(struct.pack("q", int(self.ahead * 1e6)))

    def full_disk(self):
        """No file of it grows any more: a write of the AOF fails, as on a full disk."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (1, hard))


class Member:
    """A worker of the stage: the process, its link, and what is being done to it."""

    def __init__(self, worker, link):
        self.worker, self.link = worker, link
        self.busy = False  # a fault has hold of it
        self.until = 0     # of one that leaves: when it must have ended

    @property
    def id(self):
        started = self.worker.events("starting")
        return started[0]["worker"] if started else None


class Stage:
    def __init__(self, opt, folder):
        self.opt = opt
        self.members, self.leaving = [], []
        self.exposed = collections.defaultdict(list)  # id -> [fault, ...]
        self.unread = []       # exposures to be looked up when Redis is back
        self.redis_away = self.api_busy = False
        self.started = 0
        self.sim = Sim(latency=opt.latency, log_size=1_000_000, quiet=True)
        try:
            self.redis = ChaosRedis(folder, *DURABLE, settable="clock" in opt.names)
        except BaseException:
            self.sim.stop()
            raise
        self.links = Links(folder, self.redis.socket)

    # ------------------------------------------------------------------------------ workers

    def env(self, link):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "ANTHROPIC_"))}
        env.update(PENSTOCK_REDIS_URL=f"unix://{link.path}", ANTHROPIC_API_KEY=KEY, PENSTOCK_HTTP="off",
                   ANTHROPIC_BASE_URL=self.sim.base_url)
        return env

    def add_worker(self, env=None):
        link = self.links.new()
        flags = {"concurrency": self.opt.concurrency, "lease_ms": self.opt.lease_ms, "queues": self.opt.queue,
                 "backoff_base_ms": 50, "backoff_cap_ms": 500, "max_attempts": 1000}
        member = Member(Worker({**self.env(link), **(env or {})}, flags), link)
        self.members.append(member)
        self.started += 1
        return member

    def remove(self, member, code):
        """The worker has ended: its log must be clean, and its code the one that was expected."""
        member.worker.check(member.worker.process.returncode)
        assert member.worker.process.returncode == code, member.worker.text()[-3000:]
        member.worker.out.close()
        member.link.close()

    def reap(self):
        """Takes leave of workers that drained; one that died unasked is a failure."""
        for member in self.members:
            code = member.worker.process.poll()
            assert code is None, f"a worker ended by itself with {code}\n{member.worker.text()[-4000:]}"
        for member in [m for m in self.leaving if m.worker.process.poll() is not None]:
            self.leaving.remove(member)
            self.remove(member, 0)
        late = [m for m in self.leaving if time.monotonic() > m.until]
        assert not late, f"it did not drain in time\n{late[0].worker.text()[-4000:]}"

    def drain(self, member):
        self.members.remove(member)
        member.until = time.monotonic() + 60
        member.worker.signal(signal.SIGTERM)
        self.leaving.append(member)

    # ------------------------------------------------------------------------------ exposure

    def expose(self, fault, member=None):
        """Notes that what the member (or anyone) holds may be called twice; gives the note."""
        note = {"fault": fault, "worker": member.id if member else "", "ids": []}
        if note["worker"] is None:
            return note  # it had not even begun
        if self.redis_away or not self.look(note):
            self.unread.append(note)
        return note

    def expose_arrivals(self, note, since):
        """Notes the jobs whose calls have arrived at the API since then, too."""
        fresh = {seen["prompt_head"] for seen in self.sim.log(since)} - set(note["ids"])
        self.add(note, list(fresh))

    def held(self, worker=""):
        """The ids that the worker (or anyone) holds by Redis' word."""
        ids = []
        for one in self.redis.client.eval(HELD, 1, f"penstock:{{{self.opt.queue}}}:", worker):
            try:
                ids.append(json.loads(one)["id"] if one.startswith("{") else one)
            except (ValueError, KeyError):
                pass  # a malformed payload: it is never called
        return ids

    def look(self, note):
        try:
            ids = self.held(note["worker"])
        except redis.RedisError:
            return False
        self.add(note, ids)
        return True

    def add(self, note, ids):
        for one in ids:
            self.exposed[one].append(note["fault"])
        note["ids"] += ids

    def withdraw(self, note):
        """It did not last: the leases were renewed in time, and nothing may be called twice."""
        for one in note["ids"]:
            self.exposed[one].remove(note["fault"])
        note["ids"] = []
        if note in self.unread:
            self.unread.remove(note)

    # ------------------------------------------------------------------------------ Redis

    def redis_dies(self):
        self.redis_away = True
        self.redis.kill()

    def redis_returns(self):
        self.redis.start()
        self.redis_away = False
        self.unread = [note for note in self.unread if not self.look(note)]

    def close(self):
        for member in self.members + self.leaving:
            if member.worker.process.poll() is None:
                member.worker.kill()
        self.links.close()
        self.redis.stop()
        self.sim.stop()

    def all_drain(self):
        """The end of the play: everyone leaves, in good order."""
        for member in list(self.members):
            self.drain(member)
        wait_until(lambda: self.reap() or not self.leaving, 60, "the workers to drain")
