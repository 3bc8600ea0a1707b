"""The governor, as far as it can be seen from outside: Redis, the results and the simulator."""
import json
import os
import pathlib
import signal

import pytest

from fleet import KEY, Fleet
from simlib import wait_until

POOL = "penstock:pool:{anthropic:%s:%s}"
MODEL = "claude-sonnet-5"


def keys_of(*names):
    return [f"{name}={KEY}-{name}" for name in names]


class KeysFleet(Fleet):
    """A fleet whose workers read several keys from a file: lines of `NAME` or `NAME org=ORG`."""

    def __init__(self, *lines, sim_keys=None, **flags):
        super().__init__(key=sim_keys or keys_of(*[line.split()[0] for line in lines]), **flags)
        self.file = pathlib.Path(self.redis.dir) / "keys"
        self.write(*lines)

    def write(self, *lines):
        text = "# name, key and what shares a quota\n"
        for line in lines:
            name, _, rest = line.partition(" ")
            text += f"{name} {KEY}-{name} {rest}\n"
        self.file.write_text(text)

    def env(self, **extra):
        env = super().env(**extra)
        del env["ANTHROPIC_API_KEY"]
        env["ANTHROPIC_API_KEYS_FILE"] = str(self.file)
        return env

    def ledger(self, account, model=MODEL):
        return self.r.hgetall(POOL % (account, model))

    def calls_by_key(self):
        counts = {}
        for seen in self.sim.log():
            counts[seen["account"]] = counts.get(seen["account"], 0) + 1
        return counts

    def everything_in_redis(self):
        text = ""
        for key in self.r.scan_iter("*"):
            kind = self.r.type(key)
            value = {"string": lambda k: self.r.get(k), "hash": lambda k: self.r.hgetall(k),
                     "list": lambda k: self.r.lrange(k, 0, -1),
                     "zset": lambda k: self.r.zrange(k, 0, -1),
                     "set": lambda k: self.r.smembers(k)}[kind](key)
            text += f"{key} {value}\n"
        return text


def jobs(count, prefix="n", **more):
    return [{"id": f"{prefix}{n}", "prompt": f"{prefix}{n} story", "max_tokens": 20, **more}
            for n in range(count)]


def ids(count, prefix="n"):
    return [f"{prefix}{n}" for n in range(count)]


# ------------------------------------------------------------------------------------ several keys

def test_jobs_are_spread_over_two_keys_and_each_has_a_pool_of_its_own():
    with KeysFleet("a", "b", rpm=600, burst_s=1, latency="constant:20", require_key=True) as fleet:
        fleet.worker(concurrency=16)
        fleet.push(*jobs(120))
        results = fleet.results(ids(120), timeout_s=60)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        counts = fleet.calls_by_key()
        assert min(counts["a"], counts["b"]) >= 30, counts
        assert float(fleet.ledger("a")["requests_limit"]) == 600
        assert float(fleet.ledger("b")["requests_limit"]) == 600
        assert not fleet.pool(), "there is no account main"
        assert fleet.sim.stats()["repeats"] == 0


def test_no_key_is_in_redis_or_the_log():
    with KeysFleet("a", "b", latency="constant:5", require_key=True) as fleet:
        worker = fleet.worker(concurrency=8, log_level="debug")
        fleet.push(*jobs(20))
        fleet.results(ids(20))
        assert KEY not in fleet.everything_in_redis()
        assert KEY not in worker.text()


def test_keys_of_one_organisation_share_a_pool():
    with KeysFleet("a org=acme", "b org=acme", sim_keys=[f"{k},org=acme" for k in keys_of("a", "b")],
                   rpm=6000, latency="constant:10", require_key=True) as fleet:
        fleet.worker(concurrency=8)
        fleet.push(*jobs(60))
        fleet.results(ids(60), timeout_s=30)
        counts = fleet.calls_by_key()
        assert min(counts["a"], counts["b"]) >= 15, counts
        assert fleet.ledger("acme") and not fleet.ledger("a") and not fleet.ledger("b")


def test_a_key_that_is_refused_does_not_stop_the_others():
    with KeysFleet("good", "bad", sim_keys=keys_of("good"), latency="constant:10",
                   require_key=True) as fleet:
        fleet.worker(concurrency=8)
        fleet.push(*jobs(60))
        results = fleet.results(ids(60), timeout_s=30)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        assert {r["attempts"] for r in results.values()} == {1}, "a refused key charges no job"
        assert fleet.ledger("bad")["cause"] == "auth" and not fleet.ledger("good").get("cause")


def test_a_refused_key_of_an_organisation_rests_while_its_others_go_on():
    with KeysFleet("good org=acme", "bad org=acme", sim_keys=keys_of("good"),
                   latency="constant:10", require_key=True) as fleet:
        worker = fleet.worker(concurrency=8)
        fleet.push(*jobs(60))
        results = fleet.results(ids(60), timeout_s=30)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        assert not fleet.ledger("acme").get("cause"), "the pool is open"
        rests = worker.events("key_rests")
        assert [line["key"] for line in rests] == ["bad"]


def test_a_try_that_meets_the_bad_one_of_two_keys_leaves_it_to_the_other():
    refusal = {"status": 401, "headers": {}, "body": '{"type":"error","error":'
               '{"type":"authentication_error","message":"invalid x-api-key"}}'}
    with KeysFleet("a org=acme", "b org=acme", latency="constant:10", require_key=True) as fleet:
        fleet.sim.script({"match": {"account": "a"}, "times": 1000, **refusal},
                         {"match": {"account": "b"}, "times": 1, **refusal})
        worker = fleet.worker(concurrency=1)
        fleet.push(*jobs(6))
        wait_until(lambda: fleet.ledger("acme").get("cause") == "auth", 20, "both to be refused")
        worker.signal(signal.SIGHUP)  # b has been mended meanwhile
        fleet.results(ids(6), timeout_s=40)  # a try that nobody ends is held for two minutes


def test_a_file_of_keys_is_read_again_on_sighup():
    with KeysFleet("a", sim_keys=keys_of("a", "b"), latency="constant:5", require_key=True) as fleet:
        worker = fleet.worker(concurrency=4)
        fleet.push(*jobs(10))
        fleet.results(ids(10))
        assert set(fleet.calls_by_key()) == {"a"}
        fleet.write("b")
        worker.signal(signal.SIGHUP)
        worker.wait_event("reloaded")
        fleet.push(*jobs(10, "m"))
        fleet.results(ids(10, "m"))
        assert fleet.calls_by_key()["b"] == 10
        fleet.file.write_text("b\n")
        worker.signal(signal.SIGHUP)
        refused = worker.wait_event("reload_refused")
        assert "line 1" in refused["why"] and KEY not in refused["why"]
        fleet.push(*jobs(1, "last"))
        assert fleet.result("last0")["status"] == "succeeded"


def test_a_429_of_one_key_shuts_its_pool_alone():
    with KeysFleet("a", "b", latency="constant:5", require_key=True) as fleet:
        fleet.worker(concurrency=4)
        fleet.push(*jobs(4, "warm"))
        fleet.results(ids(4, "warm"))
        fleet.r.hset(POOL % ("a", MODEL), mapping={
            "open_at": int(fleet.r.time()[0] * 1000) + 60000, "cause": "quota"})
        before = fleet.calls_by_key().get("a", 0)
        fleet.push(*jobs(40))
        fleet.results(ids(40), timeout_s=20)
        assert fleet.calls_by_key().get("a", 0) - before <= 20, "what had been granted before"


# ------------------------------------------------------------------------------------ groups of models

def test_models_of_a_group_share_one_pool_and_its_gate():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=4, model_groups="claude-opus-4*=opus-4,claude-sonnet-4-5=other-one")
        fleet.push({"id": "a", "prompt": "x", "model": "claude-opus-4-1-20250805"},
                   {"id": "b", "prompt": "x", "model": "claude-opus-4"},
                   {"id": "c", "prompt": "x", "model": "claude-sonnet-4-5-20250929"},
                   {"id": "d", "prompt": "x", "model": "claude-sonnet-4-6"})
        fleet.results("abcd")
        pools = set(fleet.r.scan_iter("penstock:pool:*")) - {POOL % ("main", MODEL)}
        assert pools == {POOL % ("main", name) for name in ("claude-sonnet-4-6", "opus-4", "other-one")}
        fleet.r.hset(POOL % ("main", "opus-4"), mapping={
            "open_at": int(fleet.r.time()[0] * 1000) + 60000, "cause": "quota"})
        fleet.push(*[{"id": f"o{n}", "prompt": "x", "model": f"claude-opus-4-{n}"} for n in range(3)],
                   {"id": "e", "prompt": "x", "model": "claude-sonnet-4-6"})
        fleet.result("e")
        assert not fleet.r.exists(*[fleet.key(f"result:o{n}") for n in range(3)]), "their pool is shut"


def test_model_names_that_jobs_make_up_share_a_pool_once_there_are_too_many():
    with Fleet(latency="constant:1") as fleet:
        fleet.worker(concurrency=16)
        fleet.push(*[{"id": f"n{n}", "prompt": "x", "model": f"made-up-{n}"} for n in range(300)])
        results = fleet.results(ids(300), timeout_s=60)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        pools = set(fleet.r.scan_iter("penstock:pool:*", count=1000))
        assert len(pools) == 257 and POOL % ("main", "other") in pools


# ------------------------------------------------------------------------------------ never fits

def test_a_request_that_can_never_fit_is_dead_at_once_with_the_two_numbers():
    with Fleet(itpm=20000, latency="constant:5") as fleet:
        fleet.worker(concurrency=4)
        fleet.push({"id": "first", "prompt": "hello"})
        fleet.result("first")
        wait_until(lambda: fleet.pool().get("input_limit"), 5, "the limit")
        calls = fleet.sim.stats()["requests"]
        fleet.push({"id": "book", "prompt": "word " * 60000}, {"id": "next", "prompt": "short"})
        result = fleet.result("book")
        assert (result["status"], result["error"]["type"]) == ("failed", "over_limit")
        assert "20000" in result["error"]["message"] and result["attempts"] == 0
        numbers = [int(w) for w in result["error"]["message"].split() if w.isdigit()]
        assert len(numbers) == 2 and max(numbers) > 50000, result["error"]["message"]
        assert fleet.r.zscore(fleet.key("dead"), "book")
        assert fleet.job("book")["cause"] == "over_limit"
        assert fleet.result("next")["status"] == "succeeded"
        assert fleet.sim.stats()["requests"] == calls + 1, "no call was made for it"


def test_a_request_that_never_fits_is_dead_after_its_429_where_nothing_was_known():
    with Fleet(itpm=20000, latency="constant:5") as fleet:
        fleet.worker(concurrency=4)
        fleet.push({"id": "book", "prompt": "word " * 40000})
        result = fleet.result("book")
        assert result["error"]["type"] == "over_limit" and "20000" in result["error"]["message"]
        assert result["throttles"] == 1


def test_an_image_does_not_count_by_the_length_of_its_base64():
    with Fleet(itpm=20000, latency="constant:5", bytes_per_token=100) as fleet:
        fleet.worker(concurrency=4)
        fleet.push({"id": "first", "prompt": "hello"})
        fleet.result("first")
        wait_until(lambda: fleet.pool().get("input_limit"), 5, "the limit")
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                             "data": "A" * 400000}}
        fleet.push({"id": "image", "messages": [{"role": "user", "content": [image]}]})
        assert fleet.result("image")["status"] == "succeeded"


def test_max_tokens_above_a_limit_that_reserves_them_never_fits():
    with Fleet(otpm=4000, otpm_precharge=True, latency="constant:5") as fleet:
        fleet.worker(concurrency=4, output_charge="reserved")
        fleet.push({"id": "first", "prompt": "hello", "max_tokens": 100})
        fleet.result("first")
        wait_until(lambda: fleet.pool().get("output_limit"), 5, "the limit")
        fleet.push({"id": "long", "prompt": "long", "max_tokens": 5000})
        message = fleet.result("long")["error"]["message"]
        assert "5000" in message and "4000" in message


# ------------------------------------------------------------------------------------ budgets

def spent_tokens(results):
    return sum(r["usage"]["input_tokens"] + r["usage"]["output_tokens"] for r in results if r)


def finished(fleet, count, prefix="n"):
    return [r for r in (fleet.peek(i) for i in ids(count, prefix)) if r]


def wait_for_budget(fleet):
    wait_until(lambda: fleet.pool().get("cause") == "budget", 60, "the budget to be reached")
    wait_until(lambda: fleet.depth()["active"] == 0, 20, "what was under way to end")
    return fleet.pool()


def test_a_budget_of_tokens_pauses_the_pool_keeps_the_jobs_and_is_lifted_by_resume():
    with Fleet(latency="constant:5", answer_tokens=90) as fleet:
        for _ in range(2):
            fleet.worker(concurrency=16, env={"PENSTOCK_BUDGET_TOKENS": 3000})
        fleet.push(*[{**job, "max_tokens": 100} for job in jobs(100)])
        pool = wait_for_budget(fleet)
        done = finished(fleet, 100)
        assert 15 <= len(done) < 60
        assert spent_tokens(done) == float(pool["budget_tokens_spent"])
        assert 2500 <= spent_tokens(done) <= 3000 + 150, "one answer more at the most"
        assert pool["budget_tokens"] == "3000" and "PENSTOCK_BUDGET_TOKENS" in pool["why"]
        assert int(pool["open_at"]) > fleet.r.time()[0] * 1000
        depth = fleet.depth()
        assert depth["jobs"] + depth["delayed"] == 100 - len(done) and depth["dead"] == 0
        assert depth["delayed"] <= 40, "they stay in the list but for what had been claimed"
        assert max(r["attempts"] for r in done) == 1
        fleet.cli("resume", "--pool", f"anthropic:main:{MODEL}")
        results = fleet.results(ids(100), timeout_s=60)
        assert {r["status"] for r in results.values()} == {"succeeded"}
        assert not fleet.pool().get("cause")


def test_a_budget_of_dollars_pauses_the_pool():
    with Fleet(latency="constant:5", answer_tokens=90) as fleet:
        worker = fleet.worker(concurrency=8, budget_usd="0.02")
        fleet.push(*[{**job, "max_tokens": 100} for job in jobs(60)])
        pool = wait_for_budget(fleet)
        done = finished(fleet, 60)
        assert 0.015 <= sum(r["cost_usd"] for r in done) <= 0.02 + 0.0016
        assert abs(float(pool["budget_usd_spent"]) - sum(r["cost_usd"] for r in done)) < 1e-9
        assert [e["cause"] for e in worker.events("pool_shut")] == ["budget"]


def test_a_budget_is_larger_after_a_reload():
    with Fleet(latency="constant:5", answer_tokens=90) as fleet:
        settings = pathlib.Path(fleet.redis.dir) / "settings"
        settings.write_text("PENSTOCK_BUDGET_TOKENS=1000\n")
        worker = fleet.worker(concurrency=4, settings_file=settings)
        fleet.push(*[{**job, "max_tokens": 100} for job in jobs(20)])
        wait_for_budget(fleet)
        settings.write_text("PENSTOCK_BUDGET_TOKENS=1000000\n")
        worker.signal(signal.SIGHUP)
        fleet.results(ids(20), timeout_s=30)


def test_a_budget_holds_with_the_governor_off():
    with Fleet(latency="constant:5", answer_tokens=90) as fleet:
        fleet.worker(concurrency=16, budget_tokens=2000, governor="off")
        fleet.push(*[{**job, "max_tokens": 100} for job in jobs(60)])
        wait_for_budget(fleet)
        assert 1500 <= spent_tokens(finished(fleet, 60)) <= 2150


def test_what_a_killed_worker_held_does_not_count_as_spent():
    with Fleet(latency="constant:600", answer_tokens=90) as fleet:
        first = fleet.worker(concurrency=8, budget_tokens=100000, lease_ms=1000)
        fleet.push(*[{**job, "max_tokens": 100} for job in jobs(8)])
        wait_until(lambda: fleet.sim.stats()["in_flight"]["now"] > 0, 10, "calls")
        first.kill()
        assert float(fleet.pool()["budget_tokens_spent"]) == 0
        held = [field for field in fleet.pool() if field.startswith("held:")]
        assert len(held) == 1
        fleet.worker(concurrency=8, budget_tokens=100000, lease_ms=1000)
        done = fleet.results(ids(8), timeout_s=30).values()
        wait_until(lambda: float(fleet.pool()["budget_tokens_spent"]) == spent_tokens(done), 10,
                   "what was spent to be told")


# ------------------------------------------------------------------------------------ backoff

def due_after(fleet, prefix, count=6):
    """How long after the push the failed jobs come back at the soonest, ms."""
    before = int(fleet.r.time()[0] * 1000)
    fleet.push(*jobs(count, prefix))
    wait_until(lambda: all(fleet.job(i, "state") == "delayed" and fleet.job(i, "last_status") for i in
                           ids(count, prefix)), 40, "failed jobs in delayed")
    return min(int(fleet.job(i, "due")) for i in ids(count, prefix)) - before


def test_what_failed_by_overload_waits_a_whole_step_of_the_backoff_whatever_the_jitter():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=8, backoff_base_ms=20000, backoff_jitter="full")
        for status in ("529", "503", "reset"):
            step = {"status": int(status)} if status.isdigit() else {"raw": "HTTP/1.1 2", "then": "reset"}
            fleet.sim.script({"match": {"contains": f"s{status}"}, "times": 6, **step})
            assert due_after(fleet, f"s{status}", 2) >= 20000, status


def test_another_failure_is_spread_over_the_step_by_full_jitter():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=8, backoff_base_ms=60000, backoff_jitter="full")
        fleet.sim.script({"match": {"contains": "broken"}, "times": 6, "status": 500})
        assert due_after(fleet, "broken", 4) < 60000


@pytest.mark.parametrize("run", [[{}], [{"run": "r"}, {}]])
def test_jobs_start_in_the_order_of_their_pushes(run):
    """Those that a script of its own admits, as they name a run, and those that their claim admits."""
    with Fleet(rpm=1200, burst_s=2) as fleet:
        ids = [f"o{n}" for n in range(120)]
        fleet.push(*[{"id": i, "prompt": i, **run[n % len(run)]} for n, i in enumerate(ids)])
        fleet.worker(concurrency=64)
        started = [r["started"] for r in fleet.results(ids, timeout_s=60).values()
                   if not r["throttles"]]
        late = [a - b for a, b in zip(started, started[1:]) if a > b]
        assert max(late, default=0) <= 5, f"ms by which a later job was earlier: {late}"
