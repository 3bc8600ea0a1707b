"""Redis goes away, forgets its scripts, stands still, or is full."""
import signal
import time

import redis

from fleet import Fleet
from simlib import wait_until
from test_crash import everything_ended_once

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_redis_killed_and_restarted_under_load_loses_nothing():
    with Fleet(latency="uniform:5-40", redis_args=DURABLE) as fleet:
        ids = [f"d{n}" for n in range(400)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        fleet.worker(concurrency=8, lease_ms=3000)
        for _ in range(4):
            seen = fleet.stat("succeeded")
            wait_until(lambda: fleet.stat("succeeded") > seen or seen >= len(ids), 20, "progress")
            fleet.redis.kill()
            fleet.redis.start()
        everything_ended_once(fleet, ids, timeout_s=60)
        assert fleet.sim.stats()["repeats"] == 0, "answers are kept until Redis has confirmed them"


def test_redis_away_is_one_line_in_the_log_no_work_and_then_work_again():
    with Fleet(latency="constant:20", redis_args=DURABLE) as fleet:
        worker = fleet.worker(concurrency=4)
        fleet.push({"id": "a", "prompt": "a"})
        fleet.result("a")
        fleet.redis.kill()
        worker.wait_event("redis_down")
        before, began = cpu_seconds(worker.pid), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 5, 10, "five seconds to pass")
        busy = (cpu_seconds(worker.pid) - before) / (time.monotonic() - began)
        assert busy < 0.20, "a busy loop (sanitizers alone cost several per cent here)"
        assert len(worker.events("redis_down")) == 1
        fleet.redis.start()
        fleet.push({"id": "b", "prompt": "b"})
        fleet.result("b", timeout_s=6)
        assert len(worker.events("redis_up")) == 2


def times_it_slept(pid):
    return int(open(f"/proc/{pid}/status").read().split("voluntary_ctxt_switches:")[1].split()[0])


def test_a_worker_whose_calls_end_while_redis_is_away_sleeps_until_it_returns():
    with Fleet(latency="uniform:200-600") as fleet:
        worker = fleet.worker(concurrency=8)
        fleet.push(*[{"id": f"s{n}", "prompt": f"p{n}"} for n in range(8)])
        fleet.sim.wait_for(8)
        fleet.redis.kill()
        worker.wait_event("redis_down")
        wait_until(lambda: fleet.sim.stats()["in_flight"]["now"] == 0, 10, "the calls to end")
        began, slept = time.monotonic(), times_it_slept(worker.pid)
        wait_until(lambda: time.monotonic() - began > 3, 10, "three seconds to pass")
        turns = (times_it_slept(worker.pid) - slept) / (time.monotonic() - began)
        assert turns < 60, "it wakes up again and again for something that only Redis can answer"
        fleet.redis.start()


def test_scripts_flushed_and_connections_killed_under_load_change_nothing():
    with Fleet(latency="uniform:5-40") as fleet:
        ids = [f"f{n}" for n in range(400)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        fleet.worker(concurrency=8, lease_ms=3000)
        for turn in range(8):
            seen = fleet.stat("succeeded")
            wait_until(lambda: fleet.stat("succeeded") > seen or seen >= len(ids), 20, "progress")
            if turn % 2:
                fleet.r.script_flush()
            else:
                fleet.r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        everything_ended_once(fleet, ids, timeout_s=60)
        assert fleet.sim.stats()["repeats"] == 0


def test_a_frozen_redis_is_noticed_and_nothing_is_recovered_from_the_living():
    with Fleet(latency="constant:3000") as fleet:
        worker = fleet.worker(concurrency=2, lease_ms=2000)
        fleet.push({"id": "z", "prompt": "z"})
        wait_until(lambda: fleet.sim.stats()["requests"] == 1, 10, "the call")
        fleet.redis.process.send_signal(signal.SIGSTOP)
        worker.wait_event("redis_down", timeout_s=30)
        fleet.redis.process.send_signal(signal.SIGCONT)
        everything_ended_once(fleet, ["z"], timeout_s=30)
        assert fleet.sim.stats()["requests"] == 1 and fleet.stat("recoveries") == 0


def test_what_runs_while_redis_stands_still_for_longer_than_a_lease_is_called_once():
    """What lay in a socket meanwhile, recovery too, is done before the holders' renewals."""
    with Fleet(latency="constant:9000") as fleet:
        began = time.monotonic()
        workers = [fleet.worker(concurrency=4, lease_ms=2000) for _ in range(3)]
        fleet.push(*[{"id": f"r{n}", "prompt": "r"} for n in range(6)])
        fleet.sim.wait_for(6)
        wait_until(lambda: time.monotonic() - began > 6, 10, "recovery to be allowed")
        for _ in range(2):
            fleet.redis.process.send_signal(signal.SIGSTOP)
            wait_until(lambda mark=time.monotonic(): time.monotonic() - mark > 2.6, 5, "leases to run out")
            fleet.redis.process.send_signal(signal.SIGCONT)
            fleet.r.ping()
        results = fleet.results([f"r{n}" for n in range(6)], timeout_s=30)
        assert fleet.stat("recoveries") == 0 and fleet.sim.stats()["requests"] == 6
        assert {r["attempts"] for r in results.values()} == {1}
        assert all(not w.events("lease_lost") for w in workers)


def test_a_full_redis_takes_nothing_more_and_still_finishes_what_runs():
    with Fleet(latency="constant:1500") as fleet:
        worker = fleet.worker(concurrency=2)
        fleet.push({"id": "m1", "prompt": "x"}, {"id": "m2", "prompt": "x"})
        wait_until(lambda: fleet.sim.stats()["requests"] == 2, 10, "two calls")
        fleet.push({"id": "m3", "prompt": "waits"})
        fleet.r.config_set("maxmemory", "1")
        assert fleet.results(["m1", "m2"], timeout_s=15)
        worker.wait_event("script_refused", timeout_s=15)
        assert fleet.sim.stats()["requests"] == 2 and fleet.depth()["jobs"] == 1
        fleet.r.config_set("maxmemory", "0")
        assert fleet.result("m3", timeout_s=15)["status"] == "succeeded"


def test_redis_errors_on_writes_are_told_and_survived():
    with Fleet(latency="constant:20") as fleet:
        worker = fleet.worker(concurrency=2)
        fleet.r.config_set("min-replicas-to-write", "1")  # NOREPLICAS for every write
        try:
            fleet.r.ping()
            worker.wait_event("script_refused", timeout_s=15)
        finally:
            fleet.r.config_set("min-replicas-to-write", "0")
        try:
            fleet.push({"id": "w", "prompt": "x"})
        except redis.ResponseError as error:
            raise AssertionError("Redis still refuses") from error
        assert fleet.result("w", timeout_s=10)["status"] == "succeeded"
