"""lua_lib: a real redis-server, the Lua scripts as the worker sends them, and one helper for each.

A script is put together exactly as common/queue/script.c does it. After each call of a helper the
whole queue is looked at (invariants.py), and where Queue.twice is set the call is sent a second time,
which must change nothing: the scripts' "Keeps" and "Repeat" lines are checked by every test.
"""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import typing

import redis

import invariants

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUA = pathlib.Path(os.environ.get("PENSTOCK_LUA", ROOT / "common" / "queue" / "lua"))
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua") if not path.stem.endswith("lib"))

LEASE_MS = 30_000
TTL_MS = 600_000
LARGE = 16 * 1024
MIB = 1024 * 1024


def unread(id):
    """A payload that tells more than its id, so that a claim leaves it to be read and admitted."""
    return f'{{"id":"{id}","run_at":0}}'


def source(name):
    """The whole text of a script: its `#!lua` line, the libraries that the second line names, the rest."""
    head, libraries, own = (LUA / f"{name}.lua").read_text().split("\n", 2)
    names = libraries.removeprefix("-- with: ").split(", ")
    return head + "\n" + "".join((LUA / f"{library}.lua").read_text() for library in names) + own


class Redisd:
    """One redis-server on a unix socket in a folder of its own."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="lua")
        self.socket = os.path.join(self.dir, "redis.sock")
        binary = os.environ.get("PENSTOCK_REDIS_SERVER", "redis-server")
        self.process = subprocess.Popen(
            [binary, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self.dir,
             "--logfile", os.path.join(self.dir, "redis.log"), *options],
            stdout=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=self.socket)
        self.wait_until_up()
        self.sha = {name: self.client.script_load(source(name)) for name in SCRIPTS}

    def wait_until_up(self):
        until = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                return
            except redis.exceptions.ConnectionError:
                assert self.process.poll() is None, "redis-server ended at once"
                assert time.monotonic() < until, "redis-server does not answer"
                time.sleep(0.005)

    def call(self, name, key, *args):
        return self.client.evalsha(self.sha[name], 1, key, *args)

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


@dataclasses.dataclass
class Item:
    """One job that a claim took; `claimed` where it is a payload that must be admitted."""
    id: str
    payload: typing.Optional[bytes]
    bytes: int
    attempts: int = 0
    throttles: int = 0
    recoveries: int = 0
    created: int = 0
    expires_at: int = -1
    cancelled: bool = False
    started: int = 0
    reading: bool = False
    fresh: bool = False  # admitted by this very claim

    @property
    def claimed(self):
        return self.id.startswith("~")


@dataclasses.dataclass
class Claim:
    token: str
    now: int
    next_due: int
    waiting: int
    why: str
    items: list

    @property
    def ids(self):
        return [item.id for item in self.items]


@dataclasses.dataclass
class Admission:
    """What the worker has read in a payload: the nine arguments of admit."""
    claim: str
    id: str
    pushed_at: int = -1
    start: int = -1
    start_is: str = "at"
    expiry: int = -1
    expiry_is: str = "at"
    reply_to: str = ""
    run: str = ""


@dataclasses.dataclass
class Admitted:
    code: str
    created: int
    expires_at: int


@dataclasses.dataclass
class End:
    """What became of a job; settle is told what goes with its verb."""
    id: str
    token: str
    verb: str
    value: object
    why: str
    attempts: int = 1
    throttles: int = 0
    last_status: str = "200"
    last_error: str = ""
    reply_to: str = ""
    run: str = ""
    input_tokens: object = 0
    output_tokens: object = 0
    cost_usd: object = 0
    cause: str = ""
    started: str = "0"

    def args(self):
        head = [self.id, self.token, self.verb, self.value, self.why, self.reply_to, self.run]
        counts = [self.attempts, self.throttles, self.last_status, self.last_error]
        if self.verb == "later":
            return [*head, *counts, self.started]
        head += [self.input_tokens, self.output_tokens, self.cost_usd]
        return [*head, self.cause, *counts] if self.verb == "bury" else head


def done(id, token, **more):
    values = {"value": f'{{"id":"{id}","status":"succeeded"}}', "why": "succeeded", **more}
    return End(id, token, "done", **values)


def bury(id, token, **more):
    values = {"value": f'{{"id":"{id}","status":"failed"}}', "why": "failed", "cause": "api_error",
              "last_status": "500", "last_error": "api_error: oops", **more}
    return End(id, token, "bury", **values)


def later(id, token, in_ms=0, why="retry", **more):
    return End(id, token, "later", in_ms, why, **more)


@dataclasses.dataclass
class Reject:
    """A payload that is no job: the seven arguments of reject."""
    claim: str
    id: str = ""
    ulid: str = ""
    reason: str = "prompt is missing"
    rest: str = ',"status":"failed"}'
    reply_to: str = ""
    run: str = ""


@dataclasses.dataclass
class Tick:
    now: int
    next_due: int
    waiting: int
    delayed: int
    active: int
    dead: int
    paused: bool
    recovered: int
    buried: int
    pending: bool
    more: bool
    cancel: list


class Queue:
    """A queue's keys, and one method for each script."""

    def __init__(self, server, name="q", twice=False, check=True):
        self.server, self.redis = server, server.client
        self.stem = f"penstock:{{{name}}}:"
        self.twice, self.check = twice, check
        self.tokens = self.ulids = 0
        self.evicted = set()  # ids whose hash a test took away

    # the scripts

    def call(self, name, *args):
        reply = self.server.call(name, self.stem, *args)
        if self.check:
            self.check_invariants()
        if self.twice:
            before = self.everything()
            self.server.call(name, self.stem, *args)
            after = self.everything()
            assert after == before, f"{name} sent twice changed something"
        return reply

    def token(self):
        self.tokens += 1
        return f"T{self.tokens}"

    def ulid(self):
        self.ulids += 1
        return f"01ULID{self.ulids:020d}"

    def claim(self, want=64, token=None, worker="w1", lease=LEASE_MS, id_stem=None):
        token = token or self.token()
        id_stem = id_stem or f"{token:0>23.23}"
        now, next_due, waiting, why, *items = self.call("claim", token, worker, lease, want, id_stem)
        return Claim(token, now, next_due, waiting, text(why), [claim_item(item, now) for item in items])

    def admit(self, token, *jobs, worker="w1", lease=LEASE_MS, ttl=TTL_MS):
        args = [field for job in jobs for field in dataclasses.astuple(job)]
        _, *answers = self.call("admit", token, worker, lease, ttl, *args)
        return [Admitted(*map(text, answer)) if isinstance(answer, list) else Admitted(text(answer), 0, -1)
                for answer in answers]

    def settle(self, *ends, ttl=TTL_MS):
        args = [arg for end in ends for arg in end.args()]
        _, *words = self.call("settle", ttl, *args)
        return [text(word) for word in words]

    def renew(self, *held, lease=LEASE_MS):
        _, *lost = self.call("renew", lease, *(field for pair in held for field in pair))
        return lost

    def reject(self, token, *payloads, ttl=TTL_MS):
        for payload in payloads:
            payload.ulid = payload.ulid or self.ulid()
        args = [field for payload in payloads for field in dataclasses.astuple(payload)]
        _, *ids = self.call("reject", token, ttl, *args)
        return [text(id) for id in ids]

    def tick(self, recover=True, max_recoveries=5, ttl=TTL_MS, cancelled_ttl=7 * 86_400_000, max_dead=0):
        until = recover if recover is not True else 1 << 50
        reply = self.call("tick", int(until), max_recoveries, ttl, cancelled_ttl,
                          ',"status":"failed"}', ',"status":"cancelled"}', max_dead)
        return Tick(*reply[:6], reply[6] == 1, *reply[7:9], reply[9] & 1 == 1, reply[9] & 2 == 2,
                    [text(id) for id in reply[10:]])

    def dead_retry(self, *ids):
        return self.call("dead_retry", *ids)[1:]

    def dead_drop(self, *ids):
        return self.call("dead_drop", *ids)[1:]

    def unpark(self, *ids):
        return self.call("unpark", *ids)[1:]

    def hold(self, run, *ids):
        return self.call("hold", run, *ids)[1:]

    def release(self, run):
        """How many were released, and how many are left."""
        return tuple(self.call("release", run)[1:])

    # what tests do again and again

    def push(self, *payloads):
        for payload in payloads:
            self.redis.lpush(self.stem + "jobs", payload)

    def take(self, *ids, **more):
        """Jobs with these ids, admitted and active; returns their token."""
        self.push(*(unread(id) for id in ids))
        claim = self.claim(want=len(ids))
        answers = self.admit(claim.token, *(Admission(item.id, id, **more)
                                            for item, id in zip(claim.items, ids)))
        assert [answer.code for answer in answers] == ["active"] * len(ids)
        return claim.token

    def delay(self, id, in_ms=10_000, **more):
        """A job that waits in delayed; pass_ms makes it due."""
        token = self.take(id)
        assert self.settle(later(id, token, in_ms, **more)) == ["ok"]

    def kill(self, *ids, **more):
        """Jobs that are dead."""
        token = self.take(*ids)
        assert self.settle(*(bury(id, token, **more) for id in ids)) == ["ok"] * len(ids)

    def pass_ms(self, ms):
        """Time goes by: every time the queue keeps moves back by so much."""
        self.redis.eval(invariants.PASS_MS, 1, self.stem, ms)

    # looking

    def key(self, name):
        return self.stem + name

    def job(self, id):
        return {text(k): text(v) for k, v in self.redis.hgetall(self.key("job:" + id)).items()}

    def result(self, id):
        return text(self.redis.get(self.key("result:" + id)))

    def replies(self, name):
        return [text(value) for value in self.redis.lrange(self.key("reply:" + name), 0, -1)]

    def counts(self, name="stats"):
        return {text(k): text(v) for k, v in self.redis.hgetall(self.key(name)).items()}

    def members(self, name):
        return [text(member) for member in self.redis.zrange(self.key(name), 0, -1)]

    def score(self, name, id):
        score = self.redis.zscore(self.key(name), id)
        return None if score is None else int(score)

    def place(self, id):
        return [name for name in ("delayed", "active", "dead") if self.score(name, id) is not None]

    def now(self):
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def ttl(self, name):
        return self.redis.pttl(self.key(name))

    def check_invariants(self):
        invariants.check(self)

    def everything(self):
        """All that a repeat must not change: not the ends of leases, nor what a claim remembers."""
        return invariants.everything(self)


def claim_item(item, now):
    id, payload, *numbers = item
    size, *numbers = numbers or [len(payload)]
    if len(numbers) < 2:
        fresh = not text(id).startswith("~")
        return Item(text(id), payload, size, created=int(numbers[0]) if numbers else now, fresh=fresh)
    *numbers, cancelled, started, reading = (int(number) for number in numbers)
    return Item(text(id), payload, size, *numbers, bool(cancelled), started, reading=bool(reading))


@dataclasses.dataclass
class Entry:
    now: int
    wait: int
    cause: str
    starts: int
    why: str

    @property
    def open(self):
        return self.wait == 0


class Pool:
    """A pool's key, and one method for each script."""

    def __init__(self, server, name="anthropic:main:claude"):
        self.server, self.redis = server, server.client
        self.stem = f"penstock:pool:{{{name}}}"

    def enter(self, hold=120_000, eager=False):
        """A round with the governor off: what the gate alone says."""
        args = [hold, int(eager), -1] + [0] * 38
        now, wait, cause, starts, why, *_ = self.server.call("pool_step", self.stem, *args)
        return Entry(now, wait, text(cause), starts, text(why))

    def shut(self, cause="quota", wait=-1, trouble=False, why="in words"):
        """(ms from now until it opens, whether this changed anything)"""
        now, open_at, changed = self.server.call("pool_shut", self.stem, cause, wait, int(trouble),
                                                 why)
        return open_at - now, changed == 1

    def open(self, only_trouble=False, retry=False):
        return self.server.call("pool_open", self.stem, int(only_trouble), int(retry))[1] == 1

    def limit(self, *words):
        self.server.call("pool_limit", self.stem, *words)

    def fields(self):
        return {text(k): text(v) for k, v in self.redis.hgetall(self.stem).items()}

    def pass_ms(self, ms):
        open_at = int(self.fields().get("open_at", 0))
        self.redis.hset(self.stem, "open_at", open_at - ms)
