"""rig: what the measurements share: private servers, a worker, CPU time, and the printed row.

The machine may be busy, so a figure is CPU time rather than time on the wall wherever it can be, it
is taken several times, and both the least and the median are printed: noise only ever adds.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import redis

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from simlib import Sim  # noqa: E402

QUEUE = "penstock:{default}:"
ANSWER = json.dumps({
    "id": "msg_01BenchBenchBenchBench01", "type": "message", "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "A list in Redis is a queue: producers push at one end and "
                 "workers take from the other. A job that was taken is kept until its result is "
                 "stored, so that one that was lost with its worker comes back. " * 1}],
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 87, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
              "output_tokens": 96}})
ANSWER = ANSWER.replace("comes back. ", "comes back. " + "x" * max(0, 576 - len(ANSWER)))
NGINX = """worker_processes 1;
daemon off;
master_process off;
pid @DIR@/nginx.pid;
error_log @DIR@/nginx.err error;
events { worker_connections 15000; multi_accept on; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/f;
  uwsgi_temp_path @DIR@/u; scgi_temp_path @DIR@/s;
  server_tokens off;
@SERVERS@
}
"""


def job(number, size=893):
    """A job of `size` bytes of JSON."""
    head = f'{{"id":"b{number}","model":"claude-sonnet-5","max_tokens":256,"prompt":"'
    text = "Tell me a story of a robot and a list in Redis. " * (size // 48 + 1)
    return head + text[:size - len(head) - 2] + '"}'


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, timeout_s=10, step_s=0.01):
    end = time.monotonic() + timeout_s
    while not (got := condition()):
        if time.monotonic() > end:
            raise SystemExit("bench: waited in vain")
        time.sleep(step_s)
    return got


def cpu_s(pid):
    """CPU seconds, user and system, of all threads; from the scheduler where it tells, since the
    other count has steps of 10 ms."""
    try:
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9
    except OSError:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid, field="VmRSS"):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field):
            return int(line.split()[1])
    return 0


class Rig:
    """The servers of one measurement. They end with the block."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="penstock-bench-")
        self.children = []
        self.sims = []

    def __enter__(self):
        self.redis_port = free_port()
        self.redis = self.spawn(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--maxclients", "15000", "--dir", self.dir,
             "--tcp-backlog", "511"])
        self.r = redis.Redis(port=self.redis_port)
        wait_until(self.answers)
        return self

    def __exit__(self, *exc):
        for child in reversed(self.children):
            self.end(child)
        for sim in self.sims:
            sim.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def answers(self):
        try:
            return self.r.ping()
        except redis.RedisError:
            return False

    def spawn(self, argv, **kw):
        kw.setdefault("stdout", subprocess.DEVNULL)
        kw.setdefault("stderr", open(f"{self.dir}/err", "a"))
        child = subprocess.Popen(argv, **kw)
        self.children.append(child)
        return child

    def end(self, child):
        if child in self.children:
            self.children.remove(child)
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def sim(self, **flags):
        """The simulator, without limits."""
        flags = {"rpm": 0, "itpm": 0, "otpm": 0, "headers": "none", "latency": "0", "quiet": "true",
                 "answer_tokens": 96, **flags}
        sim = Sim(binary=programs() / "penstock-sim", **flags)
        self.sims.append(sim)
        return sim

    def nginx(self, servers, where="127.0.0.1"):
        """nginx with these server blocks, in which @PORT@ is the port; returns the process and it."""
        port = free_port()
        base = pathlib.Path(self.dir) / f"nginx{port}"
        base.mkdir()
        conf = NGINX.replace("@SERVERS@", servers).replace("@DIR@", str(base))
        (base / "conf").write_text(conf.replace("@PORT@", str(port)))
        child = self.spawn([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-c",
                            str(base / "conf"), "-p", str(base)])
        wait_until(lambda: can_connect(where, port))
        return child, port

    def nginx_instant(self):
        """nginx that answers at once, with the rate headers of a real answer, which never change."""
        body = ANSWER.replace("'", "")
        return self.nginx(f"""server {{
    listen 127.0.0.1:@PORT@ backlog=4096;
    location = /v1/messages {{
      default_type application/json;
      add_header request-id req_011BenchBenchBenchBench001;
      add_header anthropic-ratelimit-requests-limit 4000;
      add_header anthropic-ratelimit-requests-remaining 3999;
      add_header anthropic-ratelimit-tokens-remaining 399000;
      return 200 '{body}';
    }} }}""")

    def worker(self, url, concurrency=64, **env):
        env = {"PENSTOCK_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
               "ANTHROPIC_API_KEY": "bench", "ANTHROPIC_BASE_URL": url,
               "PENSTOCK_CONCURRENCY": str(concurrency), **env}
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("PENSTOCK_", "ANTHROPIC_"))}
        prefix = os.environ.get("PENSTOCK_BENCH_PREFIX", "").split()
        child = self.spawn(prefix + [str(programs() / "penstock-worker")], env={**clean, **env},
                           stderr=subprocess.PIPE)
        child.born = time.monotonic()
        line = b""
        while b'"redis_up"' not in line:
            line = child.stderr.readline()
            if not line:
                raise SystemExit("bench: the worker did not start")
        child.ready_ms = (time.monotonic() - child.born) * 1000
        self.drop_log(child)
        return child

    def drop_log(self, child):
        """A pipe that nobody reads would stop the worker in the end."""
        self.spawn(["cat"], stdin=child.stderr)

    def stage(self, count, size=893, first=0, key="staged"):
        pipe = self.r.pipeline(transaction=False)
        for i in range(first, first + count):
            pipe.lpush(key, job(i, size))
            if len(pipe) == 2000:
                pipe.execute()
        pipe.execute()

    def release(self):
        self.r.rename("staged", QUEUE + "jobs")

    def done(self):
        return int(self.r.hget(QUEUE + "stats", "succeeded") or 0)

    def forget_results(self):
        self.r.flushdb(asynchronous=True)

    def calls(self):
        """Commands that clients sent, as far as ours are concerned: a script counts as one. What
        scripts call themselves is never among these."""
        stats = self.r.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]
                   for name in ("evalsha", "blmove", "script|load"))

    def run(self, worker, count, timeout_s=120, size=893):
        """Drains `count` jobs that are there all at once, and returns what it took. Jobs are numbered
        anew each time, so the results of the last run go first."""
        self.r.delete(QUEUE + "stats")
        self.stage(count, size)
        before = cpu_s(worker.pid), cpu_s(self.redis.pid), self.calls()
        start = time.monotonic()
        self.release()
        end = start + timeout_s
        while (done := self.done()) < count and time.monotonic() < end:
            time.sleep(0.02)
        took = time.monotonic() - start
        used = cpu_s(worker.pid) - before[0], cpu_s(self.redis.pid) - before[1]
        calls = self.calls() - before[2]
        if done < count:
            print(f"bench: only {done} of {count} jobs were done in {timeout_s} s", file=sys.stderr)
        self.forget_jobs()
        return {"jobs_s": done / took, "worker_us": used[0] / done * 1e6,
                "redis_us": used[1] / done * 1e6, "calls_job": calls / done}

    def forget_jobs(self):
        """The results go, so that the same ids may come again; the pool's ledger stays."""
        names = [k for k in self.r.scan_iter(QUEUE + "result:*", count=5000)]
        for at in range(0, len(names), 5000):
            self.r.unlink(*names[at:at + 5000])


def programs():
    return pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build"))


def can_connect(host, port):
    with socket.socket() as s:
        return s.connect_ex((host, port)) == 0


def parser(doc, rounds=3):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=rounds, help=f"how often each figure is taken ({rounds})")
    p.add_argument("--quick", action="store_true", help="fewer jobs and one round: a look, no figure")
    return p


def number(x):
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"


def row(what, values, unit, first=None, then=None, most=True):
    """Prints a figure as best/median, and whether the median is within its targets. `most` says that
    the target is a ceiling."""
    best, mid = (min if most else max)(values), statistics.median(values)
    sign = "≤" if most else "≥"

    def verdict(target):
        return "holds" if (mid <= target if most else mid >= target) else \
            "best holds" if (best <= target if most else best >= target) else "MISSES"

    text = f"{what:<58} {number(best):>9} / {number(mid):>9} {unit:<8}"
    for name, target in (("first", first), ("then", then)):
        if target is not None:
            text += f"  {name} {sign} {number(target)}: {verdict(target)}"
    print(text, flush=True)


def head(title):
    print(f"\n{title}  (best / median)", flush=True)
