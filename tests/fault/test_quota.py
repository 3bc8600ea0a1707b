"""Quotas at their worst: endless refusals, two queues on one quota, one quota that blocks no other."""
import signal

from fleet import Fleet
from simlib import wait_until

LIMITED = {"match": {}, "status": 429, "times": 0, "headers": {"retry-after": "1"},
           "body": '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'}


def test_an_endless_429_ends_at_the_jobs_deadline_and_charges_no_attempt():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script(LIMITED)
        fleet.worker(concurrency=4)
        fleet.push({"id": "a", "prompt": "x", "ttl_ms": 4000})
        result = fleet.result("a", timeout_s=30)
        assert result["status"] == "expired" and result["attempts"] == 0 and result["throttles"] >= 1
        assert fleet.depth() == {"jobs": 0, "delayed": 0, "active": 0, "dead": 0}


def test_two_queues_of_one_model_share_its_quota():
    with Fleet(rpm=600, burst_s=2, latency="uniform:20-60") as fleet:
        fleet.worker(concurrency=16, queues="a:1,b:1")
        fleet.worker(concurrency=16, queues="a:1,b:1")
        for queue in ("a", "b"):
            fleet.push(*[{"id": f"{queue}{n}", "prompt": f"{queue}{n}"} for n in range(40)], queue=queue)
        for queue in ("a", "b"):
            wait_until(lambda queue=queue: all(fleet.peek(f"{queue}{n}", queue) for n in range(40)), 60,
                       "the results")
        assert len(fleet.r.keys("penstock:pool:*")) == 1
        assert fleet.sim.stats()["refused"] <= 12, "each queue took the whole quota for itself"


def test_a_model_whose_quota_is_used_up_holds_up_no_other_in_the_same_queue():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=4)
        fleet.push({"id": "first", "prompt": "x"}, {"id": "opus", "prompt": "x", "model": "claude-opus-4-1"})
        fleet.results(["first", "opus"])
        open_at = fleet.r.time()[0] * 1000 + 8000
        fleet.sim.script({"match": {"contains": "shut"}, "status": 429, "times": 1, "headers": {"retry-after": "8"},
                          "body": LIMITED["body"]})
        shut = [f"shut{n}" for n in range(60)]
        fleet.push(*[{"id": i, "prompt": i, "model": "claude-opus-4-1"} for i in shut])
        wait_until(lambda: fleet.pool("claude-opus-4-1").get("cause") == "quota", 10, "the gate")
        fleet.push(*[{"id": f"n{n}", "prompt": f"n{n}"} for n in range(20)])
        passed = fleet.results([f"n{n}" for n in range(20)], timeout_s=30)
        assert all(r["finished"] < open_at for r in passed.values())
        assert len(fleet.results(shut, timeout_s=60)) == len(shut)


def test_a_spend_limit_shuts_the_pool_with_its_cause_and_touches_no_job():
    with Fleet(latency="constant:5", trouble="spend_limit") as fleet:
        worker = fleet.worker(concurrency=4)
        ids = [f"s{n}" for n in range(20)]
        fleet.push(*[{"id": i, "prompt": i} for i in ids])
        wait_until(lambda: fleet.pool().get("cause") == "spend", 10, "the gate")
        asked = fleet.sim.stats()["requests"]
        assert asked <= 4, "what was under way, and no more"
        fleet.sim.config(trouble="none")
        fleet.r.delete("penstock:pool:{anthropic:main:claude-sonnet-5}")
        worker.signal(signal.SIGHUP)
        results = fleet.results(ids, timeout_s=40)
        assert {(r["status"], r["attempts"], r["throttles"]) for r in results.values()} == {("succeeded", 1, 0)}


def test_tokens_read_from_the_cache_are_not_charged_to_the_quota_once_answers_tell_of_them():
    with Fleet(latency="constant:5", cache_read=0.9) as fleet:
        fleet.worker(concurrency=4)

        def charged(ids):
            """What the ledger took for these jobs, and what of their input was fresh and what cached."""
            before = float(fleet.pool().get("input_spent", 0))
            fleet.push(*[{"id": i, "prompt": f"{i} " + "word " * 800} for i in ids])
            usage = [r["usage"] for r in fleet.results(ids).values()]
            return (float(fleet.pool()["input_spent"]) - before, sum(u["input_tokens"] for u in usage),
                    sum(u["cache_read_input_tokens"] for u in usage))
        charged([f"a{n}" for n in range(60)])  # the guess learns from these
        spent, fresh, cached = charged([f"b{n}" for n in range(200)])
        assert cached > 5 * fresh
        assert spent < 2 * fresh, "far from fresh and cached together"
