"""429s: what the service is for. Everything is looked at from outside: Redis and the simulator."""
import signal

from fleet import Fleet
from simlib import wait_until


def calls_of_scripts(fleet):
    return fleet.r.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)


def test_a_storm_of_429s_answers_every_job_once_and_charges_no_attempt():
    with Fleet(rpm=600, burst_s=2, latency="uniform:20-60") as fleet:
        fleet.worker(concurrency=64)
        ids = [f"storm-{n}" for n in range(300)]
        fleet.push(*[{"id": i, "prompt": f"story {i}", "max_tokens": 20} for i in ids])
        wait_until(lambda: fleet.depth()["delayed"] > 0, 10, "throttled jobs in the delayed set")
        results = fleet.results(ids, timeout_s=90)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        assert {r["attempts"] for r in results.values()} == {1}
        assert fleet.early() == []
        assert fleet.sim.stats()["repeats"] == 0
        assert fleet.stat("succeeded") == 300
        assert sum(r["throttles"] for r in results.values()) == fleet.stat("throttles")
        assert fleet.depth() == {"jobs": 0, "delayed": 0, "active": 0, "dead": 0}


def test_a_429_writes_the_gate_and_a_second_worker_starts_nothing_before_it_opens():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {"contains": "first"}, "status": 429, "times": 1,
                           "headers": {"retry-after": "3"},
                           "body": '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'})
        first = fleet.worker(concurrency=4)
        fleet.push({"id": "first", "prompt": "first"})
        wait_until(lambda: fleet.pool().get("cause") == "quota", 5, "the gate")
        open_at, now = int(fleet.pool()["open_at"]), int(fleet.r.time()[0] * 1000)
        assert 1000 < open_at - now <= 4000
        first.signal(signal.SIGSTOP)  # whatever happens now, the second worker does it
        fleet.worker(concurrency=4)
        fleet.push(*[{"id": f"n{n}", "prompt": f"next {n}"} for n in range(8)])
        wait_until(lambda: fleet.peek("n7"), 10, "the queue to move on")
        assert fleet.peek("n0")["started"] >= open_at
        first.signal(signal.SIGCONT)
        assert fleet.result("first")["throttles"] == 1
        assert fleet.result("first")["attempts"] == 1


def test_jobs_of_a_shut_pool_stay_in_the_list_where_llen_counts_them():
    with Fleet(latency="constant:5") as fleet:
        fleet.r.hset("penstock:pool:{anthropic:main:claude-sonnet-5}",
                     mapping={"open_at": int(fleet.r.time()[0] * 1000) + 4000, "cause": "quota"})
        fleet.worker(concurrency=4)
        fleet.push(*[{"id": f"n{n}", "prompt": f"next {n}"} for n in range(50)])
        ticks = calls_of_scripts(fleet)
        wait_until(lambda: calls_of_scripts(fleet) >= ticks + 3, 10, "the worker to look three times")
        assert fleet.depth() == {"jobs": 50, "delayed": 0, "active": 0, "dead": 0}
        fleet.results([f"n{n}" for n in range(50)], timeout_s=15)


def test_max_throttles_gives_up_as_the_article_does():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {"contains": "never"}, "status": 429, "times": 100,
                           "headers": {}, "body": "{}"})
        fleet.worker(concurrency=4, backoff_base_ms=20, backoff_cap_ms=50)
        fleet.push({"id": "never", "prompt": "never", "max_throttles": 3})
        result = fleet.result("never")
        assert result["status"] == "failed" and result["error"]["type"] == "rate_limited"
        assert result["throttles"] == 3 and result["attempts"] == 0
        assert fleet.r.zscore(fleet.key("dead"), "never")
