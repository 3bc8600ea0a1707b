"""Redis is far away, or its answers come late."""
import contextlib
import pathlib
import signal
import sys
import time

from fleet import Fleet
from simlib import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from link import Links  # noqa: E402

POOL = "anthropic:main:claude-sonnet-5"
ERROR = '{"type":"error","error":{"type":"%s","message":"%s"}}'


@contextlib.contextmanager
def far_fleet(**sim_flags):
    """A fleet, and a function that starts a worker whose every exchange with Redis takes 0.4 s."""
    with Fleet(**sim_flags) as fleet:
        links = Links(fleet.redis.dir, fleet.redis.socket)

        def worker(**flags):
            link = links.new()
            link.set("slow", 0.2)
            started = fleet.worker(env={"PENSTOCK_REDIS_URL": f"unix://{link.path}"}, **flags)
            started.link = link
            return started

        yield fleet, worker
        for w in fleet.workers:
            w.drain()
        links.close()


HEARD_MS = 200  # an answer has been read by then, on a busy machine too; stale news takes longer


def test_a_worker_with_nothing_but_parked_jobs_sees_their_pool_open():
    with far_fleet(latency="constant:30") as (fleet, worker):
        fleet.sim.script({"match": {}, "status": 401, "times": 1, "headers": {},
                          "body": ERROR % ("authentication_error", "invalid x-api-key")})
        ids = [f"p{n}" for n in range(20)]
        fleet.push(*[{"id": i, "prompt": i} for i in ids])
        worker()
        wait_until(lambda: fleet.pool().get("cause") == "auth", 20, "the pool to shut")
        time.sleep(2)
        calls = fleet.sim.log()
        shut_ms = next(c["t_ms"] for c in calls if c["status"] == 401)
        assert [c for c in calls if c["t_ms"] > shut_ms + HEARD_MS] == []
        fleet.cli("resume", "--pool", POOL)
        fleet.results(ids, timeout_s=40)  # those too that were put aside while it opened


def test_who_was_stopped_before_it_read_its_claims_answer_calls_nothing_that_others_have_done():
    with far_fleet(latency="constant:50") as (fleet, worker):
        far = worker(lease_ms=1500)
        wait_until(lambda: fleet.r.info("clients")["blocked_clients"] == 1, 20, "the worker to wait")
        ids = [f"s{n}" for n in range(4)]
        fleet.push(*[{"id": i, "prompt": i} for i in ids])
        wait_until(lambda: fleet.r.zcard(fleet.key("active")) == len(ids), 20, "the claim")
        far.signal(signal.SIGSTOP)
        near = fleet.worker(lease_ms=1500)
        fleet.results(ids, timeout_s=30)
        assert near.drain() == 0
        far.signal(signal.SIGCONT)
        fleet.push({"id": "last", "prompt": "last"})
        fleet.result("last", timeout_s=20)
        assert fleet.sim.stats()["requests"] == len(ids) + 1


def test_a_job_whose_admission_was_not_heard_of_is_called_once_and_keeps_its_lease():
    with far_fleet(latency="constant:4000") as (fleet, worker):
        far = worker(lease_ms=1500)
        fleet.push({"id": "a", "prompt": "a", "run": "r"})
        wait_until(lambda: fleet.r.exists(fleet.key("job:a")), 20, "its admission")
        far.link.set("cut")
        far.link.set("pass")
        fleet.sim.wait_for(1)
        fleet.worker(lease_ms=1500)  # which would take it from one that does not renew it
        assert fleet.result("a", timeout_s=30)["status"] == "succeeded"
        assert fleet.sim.stats()["requests"] == 1 and fleet.stat("recoveries") == 0
