"""When the account is the trouble: who tries again, when, and what is told of it."""
import json
import pathlib
import signal
import time

import pytest

from fleet import KEY, Fleet
from simlib import wait_until

POOL = "penstock:pool:{anthropic:main:claude-sonnet-5}"
STEP_MS = 60_000


def refusal(status, message):
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return {"match": {}, "status": status, "times": 1000, "headers": {}, "body": json.dumps(body)}


@pytest.fixture(name="fleet")
def a_fleet():
    with Fleet(latency="constant:5", key=[f"good={KEY}-good"], require_key=True) as fleet:
        yield fleet


def key_file(fleet, text):
    path = pathlib.Path(fleet.redis.dir) / "key"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return {"ANTHROPIC_API_KEY": "", "ANTHROPIC_API_KEY_FILE": str(path)}


def ms(fleet):
    seconds, micros = fleet.r.time()
    return seconds * 1000 + micros // 1000


def try_now(fleet):
    """What happens when the time of the next try has come."""
    fleet.r.hset(POOL, "open_at", ms(fleet))


@pytest.mark.parametrize("count", [1, 5])
def test_another_key_is_tried_at_once_though_all_its_jobs_are_parked(fleet, count):
    worker = fleet.worker(env=key_file(fleet, "sk-ant-of-yesterday"), concurrency=8)
    ids = [f"p{n}" for n in range(count)]
    fleet.push(*[{"id": id, "prompt": "x"} for id in ids])
    wait_until(lambda: fleet.depth()["delayed"] == count, 10, "all to be parked")
    assert fleet.pool()["cause"] == "auth"
    fleet.r.hset(POOL, mapping={"open_at": ms(fleet) + 480_000, "step": 480_000})
    key_file(fleet, f"{KEY}-good")
    worker.signal(signal.SIGHUP)
    fleet.results(ids, timeout_s=8)


def test_each_try_that_fails_doubles_the_wait_and_is_over(fleet):
    for _ in range(2):
        fleet.worker(env=key_file(fleet, "sk-ant-of-yesterday"), concurrency=4)
    fleet.push(*[{"id": f"p{n}", "prompt": "x"} for n in range(30)])
    wait_until(lambda: fleet.pool().get("cause") == "auth", 10, "the pool to shut")
    for n in range(1, 5):
        try_now(fleet)
        step = min(STEP_MS << n, 15 * 60_000)
        wait_until(lambda step=step: int(fleet.pool()["step"]) == step, 10, f"try {n} to fail")
        assert fleet.pool()["probing"] == "0"
        assert int(fleet.pool()["open_at"]) - ms(fleet) > step - 20_000, "the next try is a step away"


def test_a_worker_that_starts_goes_on_for_one_that_died_in_a_try(fleet):
    fleet.r.hset(POOL, mapping={"cause": "auth", "why": "a bad key", "step": STEP_MS, "probing": 1,
                                "open_at": ms(fleet) + 90_000})  # it began half a minute ago
    fleet.push({"id": "a", "prompt": "x"})
    fleet.worker(env=key_file(fleet, f"{KEY}-good"))
    fleet.result("a", timeout_s=8)


def test_an_idle_worker_leaves_a_job_in_its_list_while_the_pool_is_shut():
    with Fleet(rpm=6000, latency="constant:5") as fleet:
        fleet.worker(concurrency=4)
        fleet.push({"id": "a", "prompt": "x"})
        fleet.result("a")
        wait_until(lambda: fleet.pool().get("requests_limit"), 5, "the limits")
        time.sleep(1.5)  # starts that were granted and not used are kept for a second
        fleet.r.hset(POOL, mapping={"open_at": ms(fleet) + 3_000, "cause": "quota"})
        fleet.push({"id": "b", "prompt": "x"})
        wait_until(lambda: fleet.sim.stats()["requests"] == 2, 10, "the gate to open")
        assert fleet.result("b")["throttles"] == 0
        assert not fleet.r.hget(fleet.key("stats"), "parked"), "it waited in jobs, where LLEN counts it"


def test_a_parked_job_is_due_when_its_pool_opens(fleet):
    fleet.worker(env=key_file(fleet, "sk-ant-of-yesterday"), concurrency=4)
    fleet.push({"id": "a", "prompt": "x"})
    wait_until(lambda: fleet.depth()["delayed"] == 1, 10, "the job to be parked")
    for n in range(1, 3):
        try_now(fleet)
        fleet.r.zadd(fleet.key("delayed"), {"a": ms(fleet)})
        wait_until(lambda step=STEP_MS << n: int(fleet.pool()["step"]) == step, 10, "a try to fail")
        wait_until(lambda: fleet.depth()["delayed"] == 1, 10, "the job to be parked again")
        opens = int(fleet.pool()["open_at"])
        assert opens <= int(fleet.job("a")["due"]) <= opens + 2000


@pytest.mark.parametrize("key", ["MYGATEWAYKEY-0123456789abcdef", "gw+ab/cd==SECRET~tail!x"])
def test_a_key_that_a_gateway_repeats_is_nowhere(key):
    with Fleet(latency="constant:5") as fleet:
        gateway_repeats(fleet, key)


def gateway_repeats(fleet, key):
    fleet.sim.script(refusal(401, f"bad header {key} and {key}"))
    worker = fleet.worker(env=key_file(fleet, key), log_level="debug")
    fleet.push({"id": "a", "prompt": "x"})
    wait_until(lambda: fleet.depth()["delayed"] == 1, 10, "the job to be parked")
    stars = "*" * len(key)
    assert fleet.pool()["why"].endswith(f"bad header {stars} and {stars}")
    fleet.sim.clear_script()
    fleet.sim.script(refusal(400, f"no such thing: {key}"))
    fleet.cli("resume", "--pool", "anthropic:main:claude-sonnet-5")
    assert fleet.result("a")["error"]["message"] == f"no such thing: {stars}"
    everything = str(fleet.pool()) + str(fleet.job("a")) + str(fleet.r.get(fleet.key("result:a")))
    assert key not in everything + worker.text()


def test_a_key_that_a_good_answer_repeats_is_not_in_the_result():
    body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
                       "content": [{"type": "text", "text": f"it is {KEY}, I am told"}],
                       "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 5}})
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {}, "status": 200, "times": 1, "headers": {}, "body": body})
        fleet.worker()
        fleet.push({"id": "a", "prompt": "x"})
        assert fleet.result("a")["text"] == f"it is {'*' * len(KEY)}, I am told"
        assert KEY not in fleet.r.get(fleet.key("result:a"))


def test_a_parked_job_of_a_run_that_was_paused_meanwhile_comes_up_when_its_pool_opens(fleet):
    fleet.worker(env=key_file(fleet, "sk-ant-of-yesterday"), concurrency=4)
    fleet.push({"id": "a", "prompt": "x", "run": "R"})
    wait_until(lambda: fleet.job("a").get("waits_for") == "parked", 10, "the job to be parked")
    fleet.cli("pause", "--run", "R")
    assert fleet.job("a")["waits_for"] == "held"
    fleet.cli("resume", "--run", "R")
    assert fleet.job("a")["waits_for"] == "parked"
    key_file(fleet, f"{KEY}-good")
    fleet.workers[0].signal(signal.SIGHUP)
    fleet.result("a", timeout_s=8)


def test_a_run_that_is_cancelled_while_it_is_paused_leaves_nothing_held(fleet):
    fleet.worker(env=key_file(fleet, f"{KEY}-good"))
    fleet.cli("pause", "--run", "R")
    fleet.push(*[{"id": f"h{n}", "prompt": "x", "run": "R"} for n in range(3)])
    wait_until(lambda: fleet.depth()["delayed"] == 3, 10, "the jobs to be held")
    fleet.cli("cancel", "--run", "R")
    results = fleet.results([f"h{n}" for n in range(3)])
    assert {r["status"] for r in results.values()} == {"cancelled"}
    assert not fleet.r.exists(fleet.key("held"), fleet.key("held:R"))
    fleet.push({"id": "next", "prompt": "x", "run": "R"})
    assert fleet.result("next")["status"] == "succeeded"
