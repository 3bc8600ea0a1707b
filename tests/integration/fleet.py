"""fleet: a real redis-server, the simulator and real workers for a test.

    with Fleet() as fleet:                       # Redis and the simulator
        fleet.worker(concurrency=8)              # a worker, killed or drained at the end
        fleet.push({"id": "a", "prompt": "hi"})
        assert fleet.result("a")["status"] == "succeeded"

Teardown reads what the workers wrote: a sanitizer report, a failed assertion, a line that is not one
of the documented events, or an unclean end fails the test.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import redis

from simlib import ROOT, SLACK, Sim, build_dir, wait_until

KEY = "sk-ant-test-0123456789-secret"
FORBIDDEN = re.compile(r"runtime error|AddressSanitizer|LeakSanitizer|Assertion|loop_not_closed")


def documented_events():
    text = (ROOT / "docs" / "logging.md").read_text()
    return set(re.findall(r"^\| `([a-z_]+)` \|", text, re.M))


class Server:
    """A redis-server's process, and `client` that speaks to it."""

    def launch(self, argv, client, what="redis-server", **popen):
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, **popen)
        self.client = client
        wait_until(self.answers, 10, what)

    def answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()


class Redis(Server):
    """A redis-server of the test's own, on a unix socket."""
    popen = {}  # how a kind of it is started otherwise

    def __init__(self, *args):
        self.dir = tempfile.mkdtemp(prefix="penstock-test-")
        self.socket = f"{self.dir}/redis.sock"
        self.args = args
        self.process = None
        self.start()

    def start(self):
        self.launch(["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                     "--dir", self.dir, *self.args],
                    redis.Redis(unix_socket_path=self.socket, decode_responses=True), **self.popen)

    @property
    def url(self):
        return f"unix://{self.socket}"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Worker:
    """One penstock-worker. Its log is a list of dicts, read as far as it has been written."""

    def __init__(self, env, flags):
        self.out = tempfile.NamedTemporaryFile("w+", prefix="worker-log-", suffix=".jsonl")
        argv = [str(build_dir() / "penstock-worker")]
        argv += [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        self.argv = argv
        self.process = subprocess.Popen(argv, env=env, stderr=self.out, stdout=self.out)

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return pathlib.Path(self.out.name).read_text(errors="replace")

    def log(self):
        lines = []
        for line in self.text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"ev": None, "raw": line})
        return lines

    def events(self, name):
        return [line for line in self.log() if line.get("ev") == name]

    def wait_event(self, name, timeout_s=10):
        return wait_until(lambda: self.events(name), timeout_s, f"the event {name}")[0]

    def signal(self, signum):
        self.process.send_signal(signum)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def drain(self, timeout_s=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(timeout=timeout_s * SLACK)

    def check(self, code):
        text = self.text()
        assert not FORBIDDEN.search(text), text[-4000:]
        assert KEY not in text, "the API key is in the log"
        strangers = {line["ev"] for line in self.log()} - documented_events()
        assert not strangers, f"events that docs/logging.md does not list: {strangers}\n{text[-2000:]}"
        assert code in (0, -signal.SIGKILL), f"the worker ended with {code}\n{text[-4000:]}"


class Fleet:
    """Redis, the simulator and any number of workers on one queue."""

    def __init__(self, queue="default", redis_args=(), sim=None, **sim_flags):
        self.queue = queue
        self.workers = []
        self.redis = Redis(*redis_args)
        try:
            self.sim = sim or Sim(**sim_flags)
        except BaseException:
            self.redis.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *exc):
        self.close(check=kind is None)

    def close(self, check=True):
        faults = []
        try:
            for worker in self.workers:
                code = worker.drain() if worker.process.poll() is None else worker.process.returncode
                try:
                    worker.check(code)
                except AssertionError as fault:
                    faults.append(str(fault))
        finally:
            for worker in self.workers:
                worker.kill()
            self.redis.stop()
            self.sim.stop()
        if check:
            assert not faults, "\n".join(faults)

    @property
    def r(self):
        return self.redis.client

    def env(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "ANTHROPIC_"))}
        env.update(PENSTOCK_REDIS_URL=self.redis.url, ANTHROPIC_API_KEY=KEY,
                   ANTHROPIC_BASE_URL=self.sim.base_url, PENSTOCK_HTTP="off")
        env.update({k: str(v) for k, v in extra.items()})
        return env

    def worker(self, env=None, ready=True, **flags):
        worker = Worker(self.env(**(env or {})), flags)
        self.workers.append(worker)
        if ready:
            worker.wait_event("redis_up")
        return worker

    def cli(self, *words, code=0):
        """Run `penstock` with these words; what it printed."""
        done = subprocess.run([str(build_dir() / "penstock"), *words], env=self.env(), text=True,
                              capture_output=True, timeout=60 * SLACK, check=False)
        assert done.returncode == code, f"{words}: {done.returncode}: {done.stderr}"
        return done.stdout

    def key(self, name, queue=None):
        return f"penstock:{{{queue or self.queue}}}:{name}"

    def push(self, *jobs, queue=None):
        """LPUSH jobs in their order; a str goes as it is, anything else as JSON."""
        raw = [job if isinstance(job, (str, bytes)) else json.dumps(job, ensure_ascii=False)
               for job in jobs]
        for at in range(0, len(raw), 1000):
            self.r.lpush(self.key("jobs", queue), *raw[at:at + 1000])

    def peek(self, job_id, queue=None):
        text = self.r.get(self.key(f"result:{job_id}", queue))
        return json.loads(text) if text else None

    def result(self, job_id, timeout_s=10, queue=None):
        return wait_until(lambda: self.peek(job_id, queue), timeout_s, f"the result of {job_id}")

    def results(self, ids, timeout_s=30):
        ids = list(ids)
        wait_until(lambda: self.r.exists(*[self.key(f"result:{i}") for i in ids]) == len(ids),
                   timeout_s, f"{len(ids)} results")
        return {i: self.peek(i) for i in ids}

    def job(self, job_id, field=None):
        key = self.key(f"job:{job_id}")
        return self.r.hget(key, field) if field else self.r.hgetall(key)

    def stat(self, name):
        return float(self.r.hget(self.key("stats"), name) or 0)

    def depth(self):
        return {"jobs": self.r.llen(self.key("jobs")), "delayed": self.r.zcard(self.key("delayed")),
                "active": self.r.zcard(self.key("active")), "dead": self.r.zcard(self.key("dead"))}

    def early(self, slack_ms=150):
        """Requests that came before a time the API had named: by the same job, or by anyone once the
        429 could be known (slack_ms after it was asked for)."""
        named, gates, early = {}, [], []
        for seen in self.sim.log():
            job, at = seen["prompt_head"], seen["t_ms"]
            if at < named.get(job, 0) or any(g + slack_ms < at < until for g, until in gates):
                early.append(seen)
            if seen["status"] == 429:
                named[job] = at + seen["retry_after_ms"]
                gates = [gate for gate in gates if gate[1] > at] + [(at, named[job])]
        return early

    def pool(self, model="claude-sonnet-5"):
        return self.r.hgetall(f"penstock:pool:{{anthropic:main:{model}}}")
