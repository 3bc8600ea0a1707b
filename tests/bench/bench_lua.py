#!/usr/bin/python3
"""bench_lua: what one job costs Redis in the queue's Lua scripts, and how long the longest script is.

Jobs are pushed, claimed, admitted and settled in batches as the worker does it: 64 at a time, and by
itself what is large. A claim admits what tells nothing that `admit` must weigh; the rows read, run and
runs do. Two passes: one for the CPU time Redis uses in all (INFO cpu, its commands' parsing and
replying included), one that looks at INFO commandstats after each script.

  bench_lua.py [--quick]      PENSTOCK_LUA=FOLDER: another set of scripts to compare with
"""
import argparse
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lua"))
from lua_lib import Admission, Queue, Redisd, done, later  # noqa: E402

RESULT = "r" * 650
READ = {"read": ',"run_at":0', "run": ',"run":"run1"', "runs": ',"run":"runs"'}  # what `admit` must weigh
SIZES = ((1024, 19200), (4096, 6400), (16384, 3200), (65536, 640), (1 << 20, 60), (4 << 20, 24),
         (32 << 20, 6))


class Meter:
    """Microseconds of each call, by script, from INFO commandstats."""

    def __init__(self, server):
        self.server, self.times, self.calls = server, {}, {}

    def usec(self):
        stats = self.server.client.info("commandstats").get("cmdstat_evalsha")
        return stats["usec"] if stats else 0

    def call(self, name, key, *args):
        before = self.usec()
        reply = Redisd.call(self.server, name, key, *args)
        self.times.setdefault(name, []).append(self.usec() - before)
        return reply


def run_of(i, how):
    return f"run{i}" if how == "runs" else "run1" if how == "run" else ""


def settle(queue, claim, ids, how):
    ends = []
    for i, id in enumerate(ids):
        if how == "later":
            ends.append(later(id, claim.token, 0))
            continue
        ends.append(done(id, claim.token, value=f'{{"id":"{id}","text":"{RESULT}"}}', input_tokens=12,
                         output_tokens=345, cost_usd="0.000510000",
                         reply_to="inbox" if how == "reply" else "",
                         run=run_of(i, how)))
    assert set(queue.settle(*ends)) == {"ok"}


def work(queue, how):
    """Takes all that waits; returns how many jobs that were."""
    jobs = 0
    while True:
        claim = queue.claim()
        if not claim.items:
            return jobs
        for item in claim.items:
            if item.payload is None:
                queue.redis.hget(queue.key("job:" + item.id), "payload")
        read = [item for item in claim.items if item.claimed]
        if read:
            jobs_read = (Admission(item.id, item.id[1:], run=run_of(i, how)) for i, item in enumerate(read))
            queue.admit(claim.token, *jobs_read)
        fresh = [item for item in claim.items if item.claimed or item.fresh]
        ids = [item.id.removeprefix("~") for item in claim.items]
        settle(queue, claim, ids, how if fresh or how != "later" else "plain")
        jobs += len(fresh) if how == "later" else len(claim.items)


def fill(queue, size, count, how):
    queue.redis.flushall()
    end = '"' + READ.get(how, "") + "}"
    payload = '{"prompt":"' + "p" * (size - 11 - len(end)) + end
    assert len(payload) == size
    step = max(1, min(500, (8 << 20) // size))
    for at in range(0, count, step):
        queue.redis.lpush(queue.key("jobs"), *[payload] * min(step, count - at))


def cpu_seconds(server):
    cpu = server.client.info("cpu")
    return cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]


def measure(server, size, count, how):
    """A row: CPU in all and in scripts a job, then each script's median, 99th percentile, longest."""
    queue = Queue(server, check=False)
    fill(queue, size, count, how)
    server.client.config_resetstat()
    before = cpu_seconds(server)
    assert work(queue, how) == count
    total = (cpu_seconds(server) - before) * 1e6 / count
    lua = server.client.info("commandstats")["cmdstat_evalsha"]["usec"] / count
    memory = server.client.info("memory")["used_memory_vm_eval"]
    meter = Meter(server)
    server.call = meter.call
    fill(queue, size, count, how)
    work(queue, how)
    del server.call
    return total, lua, meter.times, memory


def name_of(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def show(size, how, row):
    total, lua, times, memory = row
    cells = [f"{name_of(size):>7} {how:6} {total:9.1f} {lua:9.1f}"]
    for name in ("claim", "admit", "settle"):
        all_of = sorted(times.get(name, [0]))
        p99 = all_of[int(len(all_of) * 0.99)] if len(all_of) > 1 else all_of[0]
        cells.append(f"{statistics.median(all_of):8.0f} {p99:7.0f} {all_of[-1]:7.0f}")
    print(" |".join(cells), f"| {memory / (1 << 20):6.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs")
    options = parser.parse_args()
    server = Redisd()
    try:
        print("µs of Redis a job: CPU in all, in scripts; µs a call: median, 99 %, longest; Lua MiB")
        print(f"{'payload':>7} {'':6} {'cpu/job':>9} {'lua/job':>9} | {'claim':>22} | {'admit':>22} "
              f"| {'settle':>22} | {'Lua':>6}")
        share = 10 if options.quick else 1
        for size, count in SIZES:
            show(size, "plain", measure(server, size, max(2, count // share), "plain"))
        for how in ("read", "reply", "run", "runs", "later"):
            show(1024, how, measure(server, 1024, SIZES[0][1] // share, how))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
