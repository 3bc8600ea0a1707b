"""What a queue holds behind jobs of a shut pool, and other moments that a person waits for."""
import time

import pytest

from adminlib import Admin
from fleet import Fleet
from simlib import wait_until

REFUSED = '{"type":"error","error":{"type":"permission_error","message":"not for this key"}}'


@pytest.fixture
def fleet():
    with Fleet() as f:
        yield f


def shut_out(fleet, model):
    fleet.sim.script({"match": {"model": model}, "status": 403, "times": 100000, "headers": {},
                      "body": REFUSED})


def test_a_job_of_a_model_never_met_passes_those_of_a_shut_pool(fleet):
    shut_out(fleet, "claude-opus-4-1")
    fleet.worker(concurrency=16)
    fleet.push(*[{"id": f"b{n}", "prompt": "b", "model": "claude-opus-4-1"} for n in range(150)])
    wait_until(lambda: fleet.r.hget("penstock:pool:{anthropic:main:claude-opus-4-1}", "cause"), 10,
               "the pool to shut")
    fleet.push(*[{"id": f"g{n}", "prompt": "g", "model": "claude-haiku-4-5"} for n in range(10)])
    fleet.results([f"g{n}" for n in range(10)], timeout_s=15)


def test_with_one_model_in_a_queue_what_waits_for_its_pool_stays_in_jobs(fleet):
    fleet.r.hset("penstock:pool:{anthropic:main:claude-sonnet-5}", mapping={
        "open_at": int(time.time() * 1000) + 900000, "cause": "paused", "why": "a test"})
    admin = Admin(fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}))
    fleet.push(*[{"id": f"w{n}", "prompt": "w", "model": "claude-sonnet-5"} for n in range(30)])
    asked = admin.metric("penstock_redis_calls_total")
    wait_until(lambda: admin.metric("penstock_queue_depth", queue="default", state="waiting") == 30
               and admin.metric("penstock_redis_calls_total") >= asked + 8, 30,
               "the worker to have looked at them several times")
    assert fleet.depth()["jobs"] == 30


def test_scheduled_jobs_are_no_parked_ones(fleet):
    shut_out(fleet, "claude-opus-4-1")
    admin = Admin(fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}))
    fleet.push(*[{"id": f"s{n}", "prompt": "s", "delay_ms": 3600000} for n in range(10100)])
    wait_until(lambda: admin.metric("penstock_queue_depth", queue="default", state="delayed") == 10100,
               60, "the worker to know of them all")
    fleet.push({"id": "bad", "prompt": "b", "model": "claude-opus-4-1"})
    wait_until(lambda: fleet.job("bad", "state") == "delayed", 10, "it to be parked")
    fleet.push({"id": "good", "prompt": "g"})
    assert fleet.result("good", timeout_s=15)["status"] == "succeeded"


def test_many_cancels_are_seen_soon(fleet):
    fleet.worker()
    fleet.push(*[{"id": f"d{n}", "prompt": "d", "delay_ms": 3600000} for n in range(300)])
    wait_until(lambda: fleet.depth()["delayed"] == 300, 30, "all to be scheduled")
    start = time.monotonic()
    fleet.r.sadd(fleet.key("cancel"), *[f"u{n}" for n in range(3000)], *[f"d{n}" for n in range(300)])
    fleet.results([f"d{n}" for n in range(300)], timeout_s=30)
    wait_until(lambda: fleet.r.scard(fleet.key("cancel")) == 0, 20, "every cancel to be answered")
    assert time.monotonic() - start < 20, "a hundred a second is too slow: 33 s"


def test_a_worker_that_ends_is_no_longer_listed(fleet):
    worker = fleet.worker()
    wait_until(lambda: fleet.r.zcard("penstock:workers") == 1, 10, "its sign of life")
    assert worker.drain() == 0
    assert fleet.r.zcard("penstock:workers") == 0 and not fleet.r.keys("penstock:worker:*")


def test_a_retry_is_called_when_it_is_due_and_not_a_second_later(fleet):
    fleet.sim.script({"match": {}, "status": 500, "times": 1, "headers": {}, "body": "no"})
    fleet.worker(backoff_base_ms=50, backoff_cap_ms=50)
    fleet.push({"id": "r", "prompt": "r"})
    result = fleet.result("r")
    calls = [c["t_ms"] for c in fleet.sim.log()]
    assert result["attempts"] == 2 and calls[1] - calls[0] < 600, calls
