"""What Redis may answer at its worst, and what the worker makes of it (the table in docs/redis.md)."""
import threading
import time

import pytest
import redis

from fleet import Fleet, Redis
from simlib import wait_until


def commands(fleet, name):
    """How often Redis has been asked that, refused or not."""
    seen = fleet.r.info("commandstats").get(f"cmdstat_{name}", {})
    return seen.get("calls", 0) + seen.get("rejected_calls", 0)


def pace(fleet, name, seconds=2.0):
    """Commands of that name a second."""
    before, began = commands(fleet, name), time.monotonic()
    wait_until(lambda: time.monotonic() - began > seconds, 60, "some seconds to pass")
    return (commands(fleet, name) - before) / (time.monotonic() - began)


@pytest.fixture
def fleet():
    with Fleet(latency=20) as fleet:
        yield fleet


def test_oom_an_idle_worker_does_not_ask_again_and_again(fleet):
    fleet.worker(concurrency=4)
    fleet.r.config_set("maxmemory", "1")
    try:
        assert pace(fleet, "blmove") < 5
    finally:
        fleet.r.config_set("maxmemory", "0")
    fleet.push({"id": "a", "prompt": "a"})
    assert fleet.result("a")["status"] == "succeeded"


def test_oom_is_one_line_and_another_when_it_is_over(fleet):
    worker = fleet.worker(concurrency=4)
    fleet.push(*[{"id": f"j{n}", "prompt": f"j{n}"} for n in range(3)])
    fleet.results(["j0", "j1", "j2"])
    fleet.push({"id": "late", "prompt": "late", "delay_ms": 500})
    fleet.r.config_set("maxmemory", "1")
    worker.wait_event("script_refused", 20)
    assert pace(fleet, "evalsha") < 40
    fleet.r.config_set("maxmemory", "0")
    worker.wait_event("script_taken", 20)
    assert fleet.result("late")["status"] == "succeeded"
    refused = [line["script"] for line in worker.events("script_refused")]
    assert refused == ["claim"], "what is in flight may end, so only claims are refused"


def test_noperm_for_the_wait_still_finds_work_by_the_clock(fleet):
    fleet.r.execute_command("ACL", "SETUSER", "default", "-blmove")
    fleet.worker(concurrency=4)
    assert pace(fleet, "blmove") < 5
    fleet.push({"id": "a", "prompt": "a"})
    assert fleet.result("a", timeout_s=15)["status"] == "succeeded"


def test_noauth_and_wrongpass_are_one_line_and_work_begins_when_they_are_mended(fleet):
    fleet.r.config_set("requirepass", "secret")
    fleet.r.execute_command("AUTH", "secret")
    worker = fleet.worker(ready=False, concurrency=4)
    assert "NOAUTH" in worker.wait_event("redis_down")["why"]
    wrong = fleet.worker(ready=False, env={"PENSTOCK_REDIS_URL": f"unix://:wrong@{fleet.redis.socket}"})
    why = wrong.wait_event("redis_down")["why"]
    assert "WRONGPASS" in why and "wrong@" not in why
    fleet.r.config_set("requirepass", "")
    worker.wait_event("redis_up", 20)
    assert len(worker.events("redis_down")) == 1


def test_busy_a_strangers_endless_script_is_waited_out(fleet):
    worker = fleet.worker(concurrency=4)
    fleet.r.config_set("busy-reply-threshold", "100")
    stuck = redis.Redis(unix_socket_path=fleet.redis.socket)
    thread = threading.Thread(target=lambda: pytest.raises(redis.RedisError, stuck.eval, "while true do end", 0))
    thread.start()
    def is_busy():
        try:
            fleet.r.ping()
        except redis.exceptions.BusyLoadingError:
            return True
        except redis.ResponseError as error:
            return "BUSY" in str(error)
        return False
    wait_until(is_busy, 20, "BUSY")
    worker.wait_event("script_refused", 20)
    fleet.r.execute_command("SCRIPT", "KILL")
    thread.join()
    fleet.push({"id": "a", "prompt": "a"})
    assert fleet.result("a", timeout_s=20)["status"] == "succeeded"
    worker.wait_event("script_taken", 20)


def test_loading_is_waited_out(fleet):
    """A Redis that reads its data back: connected, and not there yet."""
    worker = fleet.worker(concurrency=4)
    fleet.push({"id": "kept", "prompt": "kept", "delay_ms": 600000})
    wait_until(lambda: fleet.depth()["delayed"] == 1, 10, "the job in delayed")
    pipe = fleet.r.pipeline(transaction=False)
    for n in range(3000):
        pipe.set(f"other:{n}", "x")
    pipe.execute()
    fleet.r.save()
    fleet.redis.kill()
    worker.wait_event("redis_down")
    fleet.redis.args = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    began = time.monotonic()
    fleet.redis.start()
    assert time.monotonic() - began > 1, "it was loading"
    wait_until(lambda: len(worker.events("redis_up")) == 2, 20, "the worker to come back")
    assert len(worker.events("redis_down")) == 1
    assert fleet.depth()["delayed"] == 1
    fleet.push({"id": "a", "prompt": "a"})
    assert fleet.result("a")["status"] == "succeeded"


@pytest.mark.parametrize("stale", ["yes", "no"])
def test_a_master_that_is_made_a_replica_is_refused_until_it_is_one_again(fleet, stale):
    """READONLY, and MASTERDOWN where it may not serve what it has."""
    worker = fleet.worker(concurrency=4)
    fleet.r.config_set("replica-serve-stale-data", stale)
    fleet.r.replicaof("127.0.0.1", 1)
    why = worker.wait_event("redis_down", 20)["why"]
    assert why.startswith(("READONLY", "MASTERDOWN")), why
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3, 60, "some tries")
    assert len(worker.events("redis_down")) == 1 and len(worker.events("redis_up")) == 1
    fleet.r.replicaof("NO", "ONE")
    fleet.push({"id": "a", "prompt": "a"})
    assert fleet.result("a", timeout_s=20)["status"] == "succeeded"
    assert worker.drain() == 0


def test_a_redis_that_evicts_or_keeps_nothing_is_told_of_at_start_and_by_check():
    with Fleet(latency=20, redis_args=("--maxmemory-policy", "allkeys-lru")) as fleet:
        worker = fleet.worker()
        told = {line["set"]: line["found"] for line in worker.events("redis_unsafe")}
        assert told == {"maxmemory-policy noeviction": "allkeys-lru", "appendonly yes": "0"}
        fleet.r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: len(worker.events("redis_up")) == 2, 20, "the worker to come back")
        assert len(worker.events("redis_unsafe")) == 2, "once is enough"
        said = fleet.cli("check", code=1)
        assert "set appendonly yes" in said and "set noeviction" in said


def test_a_redis_as_deploy_has_it_is_called_unsafe_by_nobody():
    safe = ("--maxmemory-policy", "noeviction", "--appendonly", "yes")
    with Fleet(latency=20, redis_args=safe) as fleet:
        assert not fleet.worker().events("redis_unsafe")
