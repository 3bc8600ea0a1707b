"""Leases, clocks and idleness: what holds however long a call takes and whatever a clock says."""
import glob
import signal
import subprocess
import time

import pytest

import fleet as fleet_of
from fleet import Fleet
from simlib import ROOT, SLACK, wait_until
from test_crash import everything_ended_once

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


def test_a_call_of_many_leases_is_made_once_beside_a_worker_that_looks_for_the_lost():
    with Fleet(latency="constant:7000") as fleet:
        first = fleet.worker(lease_ms=3000)
        fleet.push({"id": "long", "prompt": "long"})
        fleet.sim.wait_for(1)
        fleet.worker(lease_ms=3000)
        everything_ended_once(fleet, ["long"], timeout_s=30)
        assert fleet.sim.stats()["requests"] == 1 and fleet.stat("recoveries") == 0
        assert not first.events("lease_lost")


def test_a_dead_workers_job_is_called_again_within_its_lease_and_fifteen_seconds():
    with Fleet(latency="constant:300000") as fleet:
        doomed = fleet.worker(lease_ms=4000)
        fleet.push({"id": "a", "prompt": "a"})
        fleet.sim.wait_for(1)
        fleet.worker(lease_ms=4000)
        doomed.signal(signal.SIGKILL)
        began = time.monotonic()
        fleet.sim.wait_for(2, timeout_s=60)
        assert time.monotonic() - began < (4 + 15) * SLACK
        fleet.sim.config(latency="constant:5")
        fleet.r.sadd(fleet.key("cancel"), "a")  # the call that hangs need not be waited for
        assert fleet.result("a")["status"] == "cancelled"


@pytest.mark.parametrize("admitted", [True, False])
def test_a_job_whose_lease_was_deleted_with_its_worker_is_found_and_ends(admitted):
    with Fleet(latency="constant:300000") as fleet:
        doomed = fleet.worker(lease_ms=2000)
        fleet.push({"id": "a", "prompt": "a"})
        fleet.sim.wait_for(1)
        doomed.signal(signal.SIGKILL)
        doomed.process.wait()
        if not admitted:  # as it was before it had been read
            fleet.r.rename(fleet.key("job:a"), fleet.key("job:~0000000000000000000000000A"))
        fleet.r.delete(fleet.key("active"))
        fleet.sim.config(latency="constant:5")
        fleet.worker(lease_ms=2000)
        wait_until(lambda: fleet.stat("orphans") == 1, 20, "the sweep")
        lost = next(iter(fleet.r.zrange(fleet.key("active"), 0, 0)))
        fleet.r.zadd(fleet.key("active"), {lost: 1})  # its lease of 30 s goes by
        everything_ended_once(fleet, ["a"], timeout_s=30)


def test_an_idle_worker_asks_redis_a_few_things_a_second_and_hears_of_work_at_once():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker()
        fleet.push({"id": "warm", "prompt": "x"})
        fleet.result("warm")

        def asked():
            stats = fleet.r.info("commandstats")
            return sum(stats.get(f"cmdstat_{c}", {}).get("calls", 0) for c in ("evalsha", "blmove"))
        wait_until(lambda: fleet.r.info("clients")["blocked_clients"] == 1, 10, "the idle wait")
        before, began = asked(), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, 10, "three seconds to pass")
        assert (asked() - before) / (time.monotonic() - began) < 3
        took = []
        for n in range(5):
            at = time.monotonic()
            fleet.push({"id": f"n{n}", "prompt": "x"})
            fleet.result(f"n{n}", timeout_s=5)
            took.append(time.monotonic() - at)
        assert min(took) < 0.5, "it polls: no wait for work takes so long"


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed (Debian: faketime)")
def test_workers_whose_clocks_are_ten_minutes_wrong_keep_every_time_by_redis(monkeypatch):
    release = ROOT / "build"
    if not (release / "penstock-worker").exists():
        pytest.skip("needs the release build in build/: sanitizers do not stand beside libfaketime")
    monkeypatch.setattr(fleet_of, "build_dir", lambda: release)
    with Fleet(latency="constant:1500") as fleet:
        for skew in ("+600s", "-600s"):
            fleet.worker(concurrency=4, lease_ms=3000,
                         env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        pushed = fleet.r.time()[0] * 1000
        ids = [f"d{n}" for n in range(16)]
        fleet.push(*[{"id": i, "prompt": i, "delay_ms": 2000, "ttl_ms": 60000} for i in ids])
        results = everything_ended_once(fleet, ids, timeout_s=30)
        assert len({r["worker"] for r in results.values()}) == 2, "both took part"
        assert all(pushed + 2000 <= r["started"] < pushed + 60000 for r in results.values())
        assert fleet.sim.stats()["requests"] == len(ids) and fleet.stat("recoveries") == 0


def test_a_worker_whose_log_finds_a_full_disk_works_on():
    with Fleet(latency="constant:5") as fleet:
        env = fleet.env()
        with open("/dev/full", "w") as full:
            worker = subprocess.Popen([str(fleet_of.build_dir() / "penstock-worker")], env=env, stderr=full,
                                      stdout=full)
        try:
            fleet.push("nonsense", {"id": "a", "prompt": "a"})
            assert fleet.result("a", timeout_s=20)["status"] == "succeeded"
            worker.terminate()
            assert worker.wait(timeout=30 * SLACK) == 0
        finally:
            worker.kill()
            worker.wait()
