"""The wire contract (docs/protocol.md), by plain Redis commands: what a producer, a consumer and an
operator with redis-cli may rely on."""
import json
import re
import signal

import pytest

from adminlib import Admin
from fleet import KEY, Fleet
from simlib import wait_until


@pytest.fixture()
def fleet():
    with Fleet(latency="constant:10") as one:
        yield one


def ms(fleet):
    seconds, micros = fleet.r.time()
    return seconds * 1000 + micros // 1000


def test_the_least_job_there_is_gets_an_answer_and_an_id(fleet):
    fleet.worker()
    fleet.push('{"prompt":"Tell me a short story about a robot","reply_to":"me"}')
    wait_until(lambda: fleet.r.llen(fleet.key("reply:me")) == 1, 10, "the reply list")
    assert 86000 < fleet.r.ttl(fleet.key("reply:me")) <= 86400
    _, text = fleet.r.blpop(fleet.key("reply:me"), timeout=10)
    result = json.loads(text)
    assert result["status"] == "succeeded" and len(result["id"]) == 26
    assert result["text"] and result["response"]["content"][0]["text"] == result["text"]
    assert result["attempts"] == 1 and result["throttles"] == 0
    assert result["created"] <= result["started"] <= result["finished"]
    assert result["usage"]["output_tokens"] == result["response"]["usage"]["output_tokens"]
    assert result["cost_usd"] > 0 and result["request_id"].startswith("req_")
    assert fleet.peek(result["id"]) == result
    assert 86000 < fleet.r.ttl(fleet.key(f"result:{result['id']}")) <= 86400
    assert fleet.r.hgetall(fleet.key(f"job:{result['id']}")) == {}
    assert fleet.r.get(fleet.key("version")) == "1"


def test_a_payload_that_tells_only_its_id_is_admitted_by_its_claim(fleet):
    renamed = lambda: fleet.r.info("commandstats").get("cmdstat_renamenx", {}).get("calls", 0)
    admin = Admin(fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}))
    fleet.push({"id": "named", "prompt": "x"}, {"prompt": "x", "reply_to": "me"})
    wait_until(lambda: fleet.stat("succeeded") == 2, 10, "both answers")
    assert renamed() == 0, "neither was given its id by a second script"
    [made] = [json.loads(text)["id"] for text in fleet.r.lrange(fleet.key("reply:me"), 0, -1)]
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", made) and fleet.r.exists(fleet.key("result:" + made))
    fleet.push({"id": "counted", "prompt": "x", "run": "r"})
    assert fleet.results(["counted"])["counted"]["status"] == "succeeded"
    assert renamed() == 1 and fleet.r.hget(fleet.key("run:r"), "admitted") == "1"
    fleet.push({"id": "wrong", "promt": "x"}, {"promt": "x"})
    wait_until(lambda: fleet.stat("failed") == 2, 10, "both rejections")
    assert "promt" in fleet.results(["wrong"])["wrong"]["error"]["message"]
    assert fleet.r.zcard(fleet.key("dead")) == fleet.stat("invalid") == 2
    assert fleet.stat("admitted") == 3
    wait_until(lambda: admin.metric("penstock_jobs_admitted_total") == 3, 10, "the metric")
    assert admin.metric("penstock_jobs_rejected_total") == 2


def test_all_scripts_are_back_once_one_is_missed(fleet):
    fleet.worker()
    fleet.push({"id": "before", "prompt": "x"})
    fleet.results(["before"])
    wait_until(lambda: fleet.r.info("clients")["blocked_clients"] == 1, 10, "the worker to wait")
    fleet.r.config_resetstat()
    fleet.r.script_flush()
    fleet.push({"id": "after", "prompt": "x"})
    fleet.results(["after"])
    ran = lambda: fleet.r.info("commandstats")["cmdstat_evalsha"]
    wait_until(lambda: ran()["calls"] - ran()["failed_calls"] >= 5, 10, "the other scripts' turn, a tick's too")
    missed = ran()["failed_calls"]
    assert missed <= 3, "what was under way; the script that comes next was there"


@pytest.mark.parametrize("together", [False, True])
def test_metrics_count_what_becomes_of_payloads_however_they_come(fleet, together):
    admin = Admin(fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}))
    jobs = [{"id": "a", "prompt": "x"}, {"id": "later", "prompt": "x", "delay_ms": 3600000},
            {"id": "later", "prompt": "x"}, {"id": "later", "prompt": "x"}]
    for some in [jobs] if together else [[job] for job in jobs]:
        fleet.push(*some)
        wait_until(lambda: fleet.r.llen(fleet.key("jobs")) == 0, 10, "it to be taken")
    wait_until(lambda: fleet.stat("duplicates") == 2, 10, "all to be seen")
    wait_until(lambda: admin.metric("penstock_jobs_duplicate_total") == 2
               and admin.metric("penstock_jobs_admitted_total") == 2, 10, "the metrics")


def test_a_worker_with_room_for_many_asks_once_for_a_job_that_comes_alone(fleet):
    claims = lambda: fleet.r.info("commandstats")["cmdstat_mget"]["calls"]  # nothing else uses it
    idle = lambda: fleet.r.info("clients")["blocked_clients"] == 1
    fleet.worker(concurrency=512, governor="off")
    wait_until(idle, 10, "the worker to wait")
    fleet.push({"id": "first", "prompt": "x"})
    fleet.result("first")
    wait_until(idle, 10, "the worker to wait")
    before = claims()
    fleet.push({"id": "alone", "prompt": "x"})
    fleet.result("alone")
    wait_until(idle, 10, "the worker to wait")
    assert claims() - before <= 2


def test_meta_comes_back_byte_for_byte(fleet):
    meta = '{"n": 9007199254740993, "b":1.0,"s":"\\u00e9\\/", "a" : [ 1,2 ]}'
    fleet.worker()
    fleet.push('{"id":"m","prompt":"x","meta":%s}' % meta)
    fleet.result("m")
    assert '"meta":' + meta in fleet.r.get(fleet.key("result:m"))


def test_a_request_passes_through_with_model_and_max_tokens_filled_in(fleet):
    fleet.worker(model="claude-haiku-4-5", max_tokens=77)
    fleet.push({"id": "r", "request": {"messages": [{"role": "user", "content": "hi"}]}},
               {"id": "s", "request": {"model": "claude-sonnet-4-5", "max_tokens": 5,
                                       "messages": [{"role": "user", "content": "hi"}]}})
    assert fleet.result("r")["model"].startswith("claude-haiku-4-5")
    assert fleet.result("s")["model"].startswith("claude-sonnet-4-5")
    assert {"claude-haiku-4-5", "claude-sonnet-4-5"} <= set(fleet.sim.stats()["models"])


def test_jobs_start_in_the_order_they_were_pushed_and_rpush_is_next(fleet):
    fleet.r.set(fleet.key("paused"), "until all are there")
    fleet.push(*[{"id": f"o{n}", "prompt": f"p{n}"} for n in range(20)])
    fleet.r.rpush(fleet.key("jobs"), '{"id":"urgent","prompt":"now"}')
    fleet.worker(concurrency=1)
    fleet.r.delete(fleet.key("paused"))
    results = fleet.results(["urgent"] + [f"o{n}" for n in range(20)])
    order = sorted(results, key=lambda i: results[i]["started"])
    assert order == ["urgent"] + [f"o{n}" for n in range(20)]


def test_of_two_waiting_payloads_of_one_id_the_one_pushed_first_is_the_job(fleet):
    """Whichever script admits them: the first of each pair must be read."""
    fleet.r.set(fleet.key("paused"), "until all are there")
    fleet.push({"id": "a", "prompt": "first", "delay_ms": 3600000}, {"id": "a", "prompt": "second"},
               {"prompt": "first", "id": "b", "run": "r"}, {"id": "b", "prompt": "second"})
    fleet.worker(concurrency=8)
    fleet.r.delete(fleet.key("paused"))
    fleet.result("b")
    wait_until(lambda: fleet.stat("duplicates") == 2, 10, "both duplicates")
    assert [call["prompt_head"] for call in fleet.sim.log()] == ["first"]
    assert fleet.depth() == {"jobs": 0, "delayed": 1, "active": 0, "dead": 0}
    assert fleet.r.hget(fleet.key("run:r"), "succeeded") == "1"


def test_a_duplicate_is_counted_and_answered_but_not_called(fleet):
    fleet.worker()
    fleet.push({"id": "one", "prompt": "once", "reply_to": "first"})
    fleet.result("one")
    fleet.push({"id": "one", "prompt": "once", "reply_to": "second"})
    _, text = fleet.r.blpop(fleet.key("reply:second"), timeout=10)
    assert json.loads(text) == fleet.peek("one")
    assert fleet.stat("duplicates") == 1 and fleet.sim.stats()["requests"] == 1
    fleet.r.delete(fleet.key("result:one"))  # the contract's way to run it again
    fleet.push({"id": "one", "prompt": "once"})
    fleet.result("one")
    assert fleet.sim.stats()["requests"] == 2


def test_a_duplicate_of_a_running_job_gets_the_one_result_when_there_is_one(fleet):
    fleet.sim.config(latency="constant:1500")
    fleet.worker()
    fleet.push({"id": "slow", "prompt": "slow", "reply_to": "a"})
    wait_until(lambda: fleet.depth()["active"] == 1, 5, "the call")
    fleet.push({"id": "slow", "prompt": "slow", "reply_to": "b"})
    first = fleet.r.blpop(fleet.key("reply:a"), timeout=10)[1]
    second = fleet.r.blpop(fleet.key("reply:b"), timeout=10)[1]
    assert first == second and fleet.sim.stats()["requests"] == 1


def test_delay_run_at_and_expiry(fleet):
    fleet.worker()
    now = ms(fleet)
    fleet.push({"id": "d", "prompt": "later", "delay_ms": 700},
               {"id": "p", "prompt": "counts from pushed_at", "delay_ms": 1500, "pushed_at": now - 1000},
               {"id": "at", "prompt": "at", "run_at": now + 900},
               {"id": "x", "prompt": "too late", "expires_at": now - 1, "reply_to": "me"},
               {"id": "t", "prompt": "never", "delay_ms": 60000, "ttl_ms": 500})
    assert fleet.result("x")["status"] == "expired" and fleet.peek("x")["attempts"] == 0
    assert json.loads(fleet.r.lpop(fleet.key("reply:me")))["error"]["type"] == "expired"
    results = fleet.results(["d", "p", "at", "t"])
    assert results["d"]["started"] >= now + 700
    assert now + 500 <= results["p"]["started"] < now + 1400
    assert results["at"]["started"] >= now + 900
    assert results["t"]["status"] == "expired"
    assert fleet.depth()["dead"] == 0, "expired jobs do not go to dead"


def test_pause_takes_nothing_and_resumes_by_del(fleet):
    fleet.worker()
    fleet.r.set(fleet.key("paused"), "maintenance")
    fleet.push({"id": "a", "prompt": "x"})
    calls = lambda: fleet.r.info("commandstats")["cmdstat_evalsha"]["calls"]
    before = calls()
    wait_until(lambda: calls() >= before + 2, 10, "the worker to look twice")
    assert fleet.depth() == {"jobs": 1, "delayed": 0, "active": 0, "dead": 0}
    fleet.r.delete(fleet.key("paused"))
    assert fleet.result("a", timeout_s=3)["status"] == "succeeded"


def test_cancel_a_running_a_delayed_and_an_unseen_job(fleet):
    fleet.sim.config(latency="constant:20000")
    fleet.worker()
    fleet.push({"id": "running", "prompt": "x", "meta": 7},
               {"id": "delayed", "prompt": "x", "delay_ms": 60000, "reply_to": "me"})
    wait_until(lambda: fleet.depth()["active"] == 1 and fleet.depth()["delayed"] == 1, 5, "both")
    fleet.r.sadd(fleet.key("cancel"), "running", "delayed", "unseen")
    for job in ("running", "delayed", "unseen"):
        result = fleet.result(job, timeout_s=3)
        assert result["status"] == "cancelled" and result["error"]["type"] == "cancelled"
    assert fleet.peek("running")["meta"] == 7
    assert fleet.r.llen(fleet.key("reply:me")) == 1
    wait_until(lambda: fleet.r.scard(fleet.key("cancel")) == 0, 3, "the set to be emptied")
    assert 600000 < fleet.r.ttl(fleet.key("result:unseen")) <= 604800
    fleet.push({"id": "unseen", "prompt": "too late"})
    wait_until(lambda: fleet.stat("duplicates") == 1, 5, "the duplicate rule")
    assert fleet.sim.stats()["requests"] == 1 and fleet.depth()["dead"] == 0


def test_a_run_counts_its_jobs_tokens_and_cost(fleet):
    fleet.worker()
    fleet.push(*[{"id": f"r{n}", "prompt": f"x{n}", "run": "night"} for n in range(5)],
               {"id": "bad", "prompt": "x", "run": "night", "max_tokens": 0})
    results = fleet.results([f"r{n}" for n in range(5)] + ["bad"])
    run = fleet.r.hgetall(fleet.key("run:night"))
    good = [r for r in results.values() if r["status"] == "succeeded"]
    assert int(run["succeeded"]) == 5 and int(run["failed"]) == 1
    assert int(run["output_tokens"]) == sum(r["usage"]["output_tokens"] for r in good)
    assert float(run["cost_usd"]) == pytest.approx(sum(r["cost_usd"] for r in good), abs=1e-9)
    assert 29 * 86400 < fleet.r.ttl(fleet.key("run:night")) <= 30 * 86400


def test_a_permanent_refusal_goes_to_dead_with_the_apis_words(fleet):
    fleet.sim.script({"match": {"contains": "bad"}, "status": 400, "times": 1, "headers": {},
                      "body": '{"type":"error","error":{"type":"invalid_request_error",'
                              '"message":"max_tokens: too many"}}'})
    fleet.worker()
    fleet.push({"id": "b", "prompt": "bad", "reply_to": "me"})
    result = fleet.result("b")
    assert result["status"] == "failed" and result["attempts"] == 1
    assert result["error"]["type"] == "invalid_request" and result["error"]["http_status"] == 400
    assert "max_tokens: too many" in result["error"]["message"]
    assert fleet.r.zscore(fleet.key("dead"), "b") and fleet.job("b")["state"] == "dead"
    assert json.loads(fleet.job("b")["payload"])["prompt"] == "bad"
    assert fleet.job("b")["last_status"] == "400"


def test_a_failing_call_is_tried_max_attempts_times_and_no_more(fleet):
    fleet.sim.script({"match": {"contains": "broken"}, "status": 500, "times": 99, "headers": {},
                      "body": '{"type":"error","error":{"type":"api_error","message":"oops"}}'})
    fleet.worker(backoff_base_ms=10, backoff_cap_ms=20)
    fleet.push({"id": "f", "prompt": "broken"}, {"id": "g", "prompt": "broken too", "max_attempts": 2})
    assert fleet.result("f")["attempts"] == 5 and fleet.result("g")["attempts"] == 2
    assert fleet.peek("f")["error"]["type"] == "api_error"
    assert fleet.sim.stats()["requests"] == 7


BAD = [
    ("not json", "not json", ""),
    ("unknown field", {"prompt": "x", "temprature": 1}, "temprature"),
    ("wrong type", {"prompt": "x", "max_tokens": "many"}, "max_tokens"),
    ("both prompt and messages", {"prompt": "x", "messages": []}, "messages"),
    ("id too long", {"prompt": "x", "id": "i" * 129}, "id"),
    ("duplicate key", '{"prompt":"x","prompt":"y"}', "prompt"),
    ("brace in the model", {"prompt": "x", "model": "claude}{"}, "model"),
    ("nesting", '{"prompt":"x","meta":' + "[" * 101 + "]" * 101 + "}", ""),
    ("bad UTF-8", b'{"prompt":"\xff"}', ""),
    ("NUL byte", b'{"prompt":"x"}\x00', ""),
    ("escaped NUL in an id", '{"prompt":"x","id":"a\\u0000b"}', "id"),
    ("too large", {"prompt": "x" * 5000}, ""),
    ("streaming", {"request": {"messages": [{"role": "user", "content": "x"}], "stream": True}}, "stream"),
]


@pytest.mark.parametrize("what,payload,field", BAD, ids=[b[0] for b in BAD])
def test_what_is_no_job_is_dead_with_its_bytes_and_the_next_is_served(fleet, what, payload, field):
    raw = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
    fleet.worker(max_job_bytes=4096)
    fleet.push(raw, {"id": "next", "prompt": "fine"})
    assert fleet.result("next")["status"] == "succeeded"
    (dead,) = wait_until(lambda: fleet.r.zrange(fleet.key("dead"), 0, -1), 5, "the dead letter")
    stored = fleet.redis.client.connection_pool.connection_kwargs
    plain = __import__("redis").Redis(unix_socket_path=stored["path"])
    bytes_kept = plain.hget(fleet.key(f"job:{dead}"), "payload")
    assert bytes_kept == (raw if isinstance(raw, bytes) else raw.encode())
    reason = fleet.job(dead, "last_error")
    assert field in reason and len(reason) > 10
    assert fleet.peek(dead)["error"]["type"] == "invalid_job"
    assert fleet.sim.stats()["requests"] == 1


def test_a_bad_payload_with_the_id_of_a_running_job_changes_nothing_of_that_job(fleet):
    fleet.sim.config(latency="constant:1500")
    fleet.worker()
    fleet.push({"id": "good", "prompt": "x"})
    wait_until(lambda: fleet.sim.stats()["requests"] == 1, 5, "the call")
    before = fleet.job("good")
    assert before["state"] == "active"
    fleet.push({"id": "good", "prompt": "x", "nonsense": 1, "reply_to": "me"})
    _, text = fleet.r.blpop(fleet.key("reply:me"), timeout=10)
    assert json.loads(text)["status"] == "failed" and json.loads(text)["id"] != "good"
    assert fleet.job("good") == before
    assert fleet.result("good")["status"] == "succeeded"


def test_a_dead_job_can_be_sent_round_again_by_its_id(fleet):
    fleet.worker()
    fleet.push({"id": "v", "prompt": "x", "max_tokens": -1})
    assert fleet.result("v")["status"] == "failed"
    fleet.push({"id": "v", "prompt": "x"})
    wait_until(lambda: fleet.stat("duplicates") == 1, 5, "the duplicate rule: a failed result is kept")


def test_no_key_in_redis_or_on_a_command_line(fleet):
    worker = fleet.worker()
    fleet.push({"id": "a", "prompt": "x"})
    fleet.result("a")
    for key in fleet.r.keys("*"):
        kind = fleet.r.type(key)
        value = {"string": fleet.r.get, "hash": fleet.r.hgetall, "set": fleet.r.smembers,
                 "list": lambda k: fleet.r.lrange(k, 0, -1),
                 "zset": lambda k: fleet.r.zrange(k, 0, -1)}[kind](key)
        assert KEY not in str(value)
    assert KEY not in open(f"/proc/{worker.pid}/cmdline").read()
    assert KEY not in open(f"/proc/{worker.pid}/environ").read()


def test_a_worker_that_is_killed_loses_nothing(fleet):
    fleet.sim.config(latency="constant:3000")
    worker = fleet.worker(lease_ms=2000)
    fleet.push({"id": "k", "prompt": "x"})
    wait_until(lambda: fleet.depth()["active"] == 1 and fleet.sim.stats()["requests"] == 1, 5, "the call")
    worker.signal(signal.SIGKILL)
    fleet.sim.config(latency="constant:10")
    fleet.worker(lease_ms=2000)
    result = fleet.result("k", timeout_s=17)
    assert result["status"] == "succeeded" and result["attempts"] == 1


def test_a_drain_lets_calls_end_and_takes_nothing_new(fleet):
    fleet.sim.config(latency="constant:1200")
    worker = fleet.worker(concurrency=2)
    fleet.push(*[{"id": f"d{n}", "prompt": f"x{n}"} for n in range(6)])
    wait_until(lambda: fleet.sim.stats()["requests"] == 2, 5, "two calls")
    assert worker.drain() == 0
    assert fleet.sim.stats()["requests"] == 2
    assert fleet.peek("d0")["attempts"] == 1 and fleet.peek("d1")["attempts"] == 1
    assert fleet.depth() == {"jobs": 4, "delayed": 0, "active": 0, "dead": 0}


def test_a_second_sigterm_hands_back_at_once_uncounted(fleet):
    fleet.sim.config(latency="constant:20000")
    worker = fleet.worker()
    fleet.push({"id": "h", "prompt": "x"})
    wait_until(lambda: fleet.sim.stats()["requests"] == 1, 5, "the call")
    worker.signal(signal.SIGTERM)
    worker.wait_event("draining")
    assert worker.drain(timeout_s=5) == 0
    job = fleet.job("h")
    assert job["state"] == "delayed" and job["attempts"] == "0" and job["throttles"] == "0"
    assert fleet.depth()["delayed"] == 1


def test_a_wrong_key_shuts_the_pool_and_touches_no_job(fleet):
    fleet.sim.script({"match": {}, "status": 401, "times": 1, "headers": {},
                      "body": '{"type":"error","error":{"type":"authentication_error",'
                              '"message":"invalid x-api-key"}}'})
    fleet.worker()
    fleet.push(*[{"id": f"a{n}", "prompt": f"x{n}"} for n in range(20)])
    wait_until(lambda: fleet.pool().get("cause") == "auth", 5, "the pool to shut")
    assert "invalid x-api-key" in fleet.pool()["why"]
    assert int(fleet.pool()["open_at"]) > ms(fleet) + 50000
    fleet.cli("resume", "--pool", "anthropic:main:claude-sonnet-5")
    results = fleet.results([f"a{n}" for n in range(20)], timeout_s=15)  # parked ones too
    assert {r["attempts"] for r in results.values()} == {1}
    assert fleet.pool()["cause"] == ""


def test_a_worker_that_starts_tries_a_pool_in_trouble_at_once(fleet):
    fleet.r.hset("penstock:pool:{anthropic:main:claude-sonnet-5}",
                 mapping={"open_at": ms(fleet) + 900000, "cause": "auth", "why": "a bad key",
                          "step": 900000, "probing": 0})
    fleet.push(*[{"id": f"t{n}", "prompt": f"x{n}"} for n in range(5)])
    fleet.worker()
    results = fleet.results([f"t{n}" for n in range(5)], timeout_s=10)
    assert {r["attempts"] for r in results.values()} == {1}
    assert fleet.pool()["cause"] == ""


def test_what_a_dead_worker_had_parked_is_tried_by_one_that_starts(fleet):
    fleet.sim.script({"match": {}, "status": 401, "times": 1, "headers": {},
                      "body": '{"type":"error","error":{"type":"authentication_error",'
                              '"message":"invalid x-api-key"}}'})
    doomed = fleet.worker(concurrency=4, lease_ms=3000)
    fleet.push(*[{"id": f"d{n}", "prompt": f"x{n}"} for n in range(4)])
    wait_until(lambda: fleet.depth()["delayed"] > 0 and fleet.pool().get("cause") == "auth", 10,
               "jobs to be parked")
    doomed.kill()
    fleet.worker(lease_ms=3000)
    fleet.results([f"d{n}" for n in range(4)], timeout_s=45)


def test_a_queue_of_a_newer_version_is_left_alone_until_it_is_not(fleet):
    fleet.r.set(fleet.key("version"), "2")
    fleet.r.hset(fleet.key("job:old"), mapping={"payload": "{}", "state": "active", "token": "T"})
    fleet.r.zadd(fleet.key("active"), {"old": 1000})
    fleet.r.sadd(fleet.key("cancel"), "zz")
    fleet.push({"id": "a", "prompt": "x"})
    before = sorted(fleet.r.scan_iter("penstock:{*"))
    worker = fleet.worker(lease_ms=1000)
    worker.wait_event("queue_refused")
    rounds = int(fleet.r.info("commandstats")["cmdstat_evalsha"]["calls"])
    wait_until(lambda: int(fleet.r.info("commandstats")["cmdstat_evalsha"]["calls"]) > rounds + 6, 20,
               "some rounds of the worker")
    assert sorted(fleet.r.scan_iter("penstock:{*")) == before
    assert fleet.r.smembers(fleet.key("cancel")) == {"zz"} and fleet.depth()["active"] == 1
    fleet.r.delete(fleet.key("version"))
    assert fleet.result("a")["status"] == "succeeded"


def test_a_cancelled_job_that_waited_to_be_tried_again_tells_when_its_call_was(fleet):
    fleet.sim.script({"match": {}, "status": 500, "times": 1, "headers": {}, "body": "{}"})
    fleet.worker(backoff_base_ms=60000, backoff_jitter="equal")
    fleet.push({"id": "a", "prompt": "x"})
    wait_until(lambda: fleet.depth()["delayed"] == 1, 10, "the job to wait")
    fleet.r.sadd(fleet.key("cancel"), "a")
    result = fleet.result("a")
    assert (result["status"], result["attempts"]) == ("cancelled", 1)
    assert result["created"] <= result["started"] <= result["finished"]


@pytest.mark.parametrize("payload", [
    '{"id":"d","reply_to":"B","run":"r","meta":{"k": 1},"prompt":"x","bogus":1}',
    '{"id":"d","reply_to":"B","run":"r","meta":{"k": 1},"prompt":"\\ud800"}',
    '{"id":"d","reply_to":"B","run":"r","meta":{"k": 1},"messages":' + "[" * 150 + "]" * 150 + "}",
])
def test_who_pushed_no_job_hears_of_it_with_his_own_meta_and_run(fleet, payload):
    worker = fleet.worker(log_level="debug")
    fleet.push(payload)
    raw = fleet.r.blpop(fleet.key("reply:B"), timeout=10)[1]
    assert raw == fleet.r.get(fleet.key("result:d"))
    assert '"meta":{"k": 1}' in raw and json.loads(raw)["run"] == "r"
    assert json.loads(raw)["error"]["type"] == "invalid_job"
    assert "bogus" not in worker.text(), "a name that a producer made up is his text"
