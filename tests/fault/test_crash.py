"""A worker dies, at each step and at any moment: nothing is lost, nothing ends twice.

The named points are compiled in with -DFAULTS=ON (common/base/fault.h); a build without them is
skipped, since there the worker would simply live.
"""
import json
import random
import signal
import subprocess
import time

import pytest

from fleet import Fleet
from simlib import build_dir, wait_until

LEASE_MS = 1500


def has_fault_points():
    binary = build_dir() / "penstock-worker"
    return b"PENSTOCK_FAULT" in binary.read_bytes() and subprocess.run(
        ["grep", "-q", "settle.before", str(binary)], check=False).returncode == 0


def everything_ended_once(fleet, ids, timeout_s=60):
    results = fleet.results(ids, timeout_s=timeout_s)
    assert {r["status"] for r in results.values()} == {"succeeded"}
    wait_until(lambda: fleet.depth() == {"jobs": 0, "delayed": 0, "active": 0, "dead": 0}, 20,
               "every set to be empty")
    assert fleet.stat("succeeded") == len(ids), "a job ended twice, or its end was counted twice"
    assert not fleet.r.keys("penstock:*:job:*"), "a job's hash is left over"
    return results


POINTS = ["claim.after", "admit.after", "call.before", "call.after", "settle.before", "settle.after"]


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_at_a_named_point_loses_nothing(point, nth):
    """Every other payload tells more than its id, so that a script of its own admits it."""
    if not has_fault_points():
        pytest.skip("this build has no fault points (cmake -DFAULTS=ON)")
    with Fleet(latency="constant:5") as fleet:
        ids = [f"{point}-{n}" for n in range(12)]
        more = ({"reply_to": "all"}, {"reply_to": "all", "run": "r"})
        fleet.push(*[{"id": i, "prompt": f"p {i}", **more[n % 2]} for n, i in enumerate(ids)])
        doomed = fleet.worker(concurrency=2, lease_ms=LEASE_MS, ready=False,
                              env={"PENSTOCK_FAULT": f"{point}:{nth}"})
        wait_until(lambda: doomed.process.poll() is not None, 20, f"death at {point}")
        assert doomed.process.returncode == -signal.SIGKILL
        fleet.worker(concurrency=4, lease_ms=LEASE_MS)
        everything_ended_once(fleet, ids)
        assert fleet.r.llen(fleet.key("reply:all")) == len(ids)
        # Only what was in flight may be called twice; what Redis has yet to confirm counts as such.
        assert fleet.sim.stats()["repeats"] <= 2, "more calls repeated than its concurrency"


@pytest.mark.parametrize("more,most,deaths", [({}, 1, 2), ({}, 2, 2), ({"run": "r"}, 2, 2)])
def test_a_payload_that_kills_whoever_reads_it_is_dead_in_the_end(more, most, deaths):
    """Whether its claim has admitted it or not. Of the first reading of the former there is no note."""
    if not has_fault_points():
        pytest.skip("this build has no fault points (cmake -DFAULTS=ON)")
    with Fleet(latency="constant:5") as fleet:
        fleet.push({"id": "a", "prompt": "p", **more})
        workers = []
        while not fleet.r.zcard(fleet.key("dead")):
            assert len(workers) <= deaths, "it goes on for ever"
            workers.append(fleet.worker(lease_ms=LEASE_MS, ready=False, env={
                "PENSTOCK_FAULT": "read.before:1", "PENSTOCK_MAX_RECOVERIES": str(most)}))
            wait_until(lambda: workers[-1].process.poll() is not None or fleet.r.zcard(fleet.key("dead")), 30, "its end")
        assert sum(worker.process.poll() == -signal.SIGKILL for worker in workers) == deaths
        [id] = fleet.r.zrange(fleet.key("dead"), 0, -1)
        assert fleet.result(id)["error"]["type"] == "crash" and fleet.job(id, "cause") == "crash"
        assert json.loads(fleet.job(id, "payload"))["id"] == "a"
        assert fleet.sim.stats()["requests"] == 0


def test_a_payload_that_is_read_beside_one_that_kills_its_readers_is_answered():
    """The second that a worker reads kills it; the first has done nothing."""
    if not has_fault_points():
        pytest.skip("this build has no fault points (cmake -DFAULTS=ON)")
    with Fleet(latency="constant:5") as fleet:
        fleet.push({"id": "good", "prompt": "p", "reply_to": "me"}, {"id": "killer", "prompt": "p"})
        for _ in range(8):
            worker = fleet.worker(lease_ms=LEASE_MS, ready=False, env={
                "PENSTOCK_FAULT": "read.before:2", "PENSTOCK_MAX_RECOVERIES": "2"})
            wait_until(lambda: worker.process.poll() is not None or fleet.r.exists(
                fleet.key("result:good"), fleet.key("result:killer")) == 2, 30, "its end")
            if worker.process.poll() is None:
                break
        assert fleet.job("killer", "cause") == "crash"
        assert fleet.r.llen(fleet.key("reply:me")) == 1


@pytest.mark.parametrize("point", ["renew.before", "renew.after", "recover.before", "recover.after"])
def test_a_worker_that_dies_while_it_renews_or_recovers_leases_loses_nothing(point):
    if not has_fault_points():
        pytest.skip("this build has no fault points (cmake -DFAULTS=ON)")
    with Fleet(latency="constant:1200") as fleet:
        ids = [f"{point}-{n}" for n in range(6)]
        fleet.push(*[{"id": i, "prompt": f"p {i}", "reply_to": "all"} for i in ids])
        in_flight = 2
        if point.startswith("recover"):  # there must be something to recover
            first = fleet.worker(concurrency=2, lease_ms=1000)
            fleet.sim.wait_for(2)
            first.kill()
            in_flight += 2
        doomed = fleet.worker(concurrency=2, lease_ms=1000, ready=False, env={"PENSTOCK_FAULT": f"{point}:1"})
        wait_until(lambda: doomed.process.poll() is not None, 30, f"death at {point}")
        assert doomed.process.returncode == -signal.SIGKILL
        fleet.worker(concurrency=4, lease_ms=1000)
        everything_ended_once(fleet, ids)
        assert fleet.r.llen(fleet.key("reply:all")) == len(ids)
        assert fleet.sim.stats()["repeats"] <= in_flight


def test_while_redis_takes_no_answer_no_more_calls_are_made_than_may_be_in_flight():
    """So a kill -9 repeats no more of them either, whatever Redis has yet to confirm."""
    with Fleet(latency="constant:5") as fleet:
        fleet.r.execute_command("ACL", "SETUSER", "worker", "on", ">pw", "~*", "+@all", "-psetex")
        ids = [f"u{n}" for n in range(40)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        worker = fleet.worker(concurrency=8, lease_ms=LEASE_MS,
                              env={"PENSTOCK_REDIS_URL": f"unix://worker:pw@{fleet.redis.socket}"})
        worker.wait_event("script_refused")
        stays = time.monotonic() + 2
        wait_until(lambda: fleet.sim.stats()["requests"] > 8 or time.monotonic() > stays, 10, "time")
        assert fleet.sim.stats()["requests"] == 8
        fleet.r.execute_command("ACL", "SETUSER", "worker", "+psetex")
        everything_ended_once(fleet, ids)
        assert fleet.sim.stats()["repeats"] == 0


def test_workers_killed_at_random_lose_nothing_and_double_nothing():
    dice = random.Random(7)
    with Fleet(latency="uniform:5-60") as fleet:
        ids = [f"k{n}" for n in range(600)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        in_flight = 0
        workers = [fleet.worker(concurrency=8, lease_ms=LEASE_MS) for _ in range(2)]
        for _ in range(12):
            seen = fleet.stat("succeeded")
            wait_until(lambda: fleet.stat("succeeded") > seen or seen >= len(ids), 20, "progress")
            at = dice.randrange(len(workers))
            workers[at].signal(signal.SIGKILL)
            workers[at].process.wait()
            in_flight += 8
            workers[at] = fleet.worker(concurrency=8, lease_ms=LEASE_MS)
        everything_ended_once(fleet, ids, timeout_s=90)
        assert fleet.sim.stats()["repeats"] <= in_flight
        assert fleet.stat("failed") == 0


def test_rolling_restarts_charge_no_attempt_and_repeat_no_call():
    with Fleet(latency="uniform:5-80") as fleet:
        ids = [f"r{n}" for n in range(800)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        worker = fleet.worker(concurrency=8)
        for _ in range(10):
            fresh = fleet.worker(concurrency=8)
            assert worker.drain() == 0
            worker = fresh
        results = everything_ended_once(fleet, ids, timeout_s=90)
        assert {r["attempts"] for r in results.values()} == {1}
        assert fleet.sim.stats()["repeats"] == 0 and fleet.stat("recoveries") == 0


@pytest.mark.parametrize("with_second", [False, True])
def test_a_worker_stopped_past_its_lease_leaves_one_result(with_second):
    with Fleet(latency="constant:700") as fleet:
        stopped = fleet.worker(lease_ms=LEASE_MS, concurrency=8)
        ids = [f"s{n}" for n in range(8)]
        fleet.push(*[{"id": i, "prompt": f"slow {i}", "reply_to": "all"} for i in ids])
        wait_until(lambda: fleet.sim.stats()["requests"] == len(ids), 10, "the calls")
        stopped.signal(signal.SIGSTOP)
        if with_second:
            fleet.worker(lease_ms=LEASE_MS, concurrency=8)
            fleet.results(ids, timeout_s=30)
        else:
            lease_end = max(fleet.r.zscore(fleet.key("active"), i) for i in ids)
            wait_until(lambda: fleet.r.time()[0] * 1000 > lease_end + 1000, 30, "the leases to run out")
        stopped.signal(signal.SIGCONT)
        everything_ended_once(fleet, ids)
        assert fleet.r.llen(fleet.key("reply:all")) == len(ids)
        assert fleet.sim.stats()["requests"] == len(ids) * (2 if with_second else 1), \
            "where no one else finished the job, the late answer is the result"
        assert fleet.stat("recoveries") == (len(ids) if with_second else 0), \
            "a worker that comes back renews its own leases before it looks for those that ran out"


def test_a_job_that_kills_its_workers_dies_alone():
    if not has_fault_points():
        pytest.skip("this build has no fault points (cmake -DFAULTS=ON)")
    with Fleet(latency="constant:5") as fleet:
        fleet.push({"id": "poison", "prompt": "x", "meta": "kept"})
        for _ in range(3):  # each time it runs, its worker dies
            doomed = fleet.worker(concurrency=1, lease_ms=1000, max_recoveries=3, ready=False,
                                  env={"PENSTOCK_FAULT": "call.after:1"})
            wait_until(lambda: doomed.process.poll() is not None, 30, "the worker's death")
        fleet.push(*[{"id": f"n{n}", "prompt": f"n{n}"} for n in range(5)])
        fleet.worker(concurrency=4, lease_ms=1000, max_recoveries=3)
        result = fleet.result("poison", timeout_s=30)
        assert result["status"] == "failed" and result["error"]["type"] == "crash"
        assert result["meta"] == "kept" and fleet.r.zscore(fleet.key("dead"), "poison")
        neighbours = fleet.results([f"n{n}" for n in range(5)])
        assert {r["status"] for r in neighbours.values()} == {"succeeded"}
