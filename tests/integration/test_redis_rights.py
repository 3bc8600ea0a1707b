"""The rights of the user `worker` in deploy/redis/users.acl: what the worker needs, and no more."""
import json
import re

import pytest

import fleet as fleet_of
from adminlib import Admin
from simlib import ROOT, wait_until
from test_deploy import Guarded

LUA = ROOT / "common" / "queue" / "lua"
# What the worker sends itself, besides what its scripts do. `select` is for a URL with a database,
# `role` for Sentinel, `asking` for a cluster.
SENT = set("""ping info role select client|setname cluster|slots asking evalsha script|load blmove
              hget hgetall hset zadd pexpire zrem zremrangebyscore del set sadd""".split())


def worker_rule():
    lines = (ROOT / "deploy" / "redis" / "users.acl").read_text().splitlines()
    return next(line for line in lines if line.startswith("user worker "))


def allowed():
    return {word[1:] for word in worker_rule().split() if word.startswith("+")}


def used_by_scripts():
    names = set()
    for path in LUA.glob("*.lua"):
        names |= {name.lower() for name in re.findall(r"\b(?:call|try|list)\('([A-Z]+)'", path.read_text())}
    return names


def test_the_rule_names_every_command_of_the_scripts_and_none_that_nobody_sends():
    assert used_by_scripts() - allowed() == set(), "add these to deploy/redis/users.acl"
    assert allowed() - used_by_scripts() - SENT == set(), "take these out of deploy/redis/users.acl"
    assert "-@all" in worker_rule() and "~penstock:*" in worker_rule() and "resetchannels" in worker_rule()


def test_docs_show_the_rule_as_it_is():
    text = " ".join((ROOT / "docs" / "redis.md").read_text().split())
    assert worker_rule().replace("CHANGE-ME-worker", "PASSWORD") in text


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet_of, "Redis", lambda *args: Guarded.with_users(tmp_path))
    with fleet_of.Fleet(latency=20) as fleet:
        yield fleet


def test_every_move_of_a_job_is_within_the_rights(guarded):
    """A life of each kind: good, large, duplicate, malformed, late, throttled, failing, cancelled,
    recovered from a dead worker, buried, retried and dropped by an operator, and a shut pool."""
    url = f"unix://worker:pw-worker@{guarded.redis.socket}"
    env = {"PENSTOCK_REDIS_URL": url, "PENSTOCK_HTTP": "127.0.0.1:0"}
    limits = {"lease_ms": 2000, "backoff_base_ms": 20, "backoff_cap_ms": 50, "max_attempts": 2}
    first = guarded.worker(env=env, concurrency=4, **limits)
    guarded.sim.script({"match": {"contains": "throttled"}, "status": 429, "headers": {"retry-after": "1"}, "times": 1},
                       {"match": {"contains": "failing"}, "status": 500, "times": 9})
    guarded.push({"id": "good", "prompt": "good", "reply_to": "r", "run": "all"},
                 {"id": "good", "prompt": "good", "reply_to": "r2"},
                 {"id": "large", "prompt": "large " * 8000},
                 {"id": "late", "prompt": "late", "delay_ms": 600000},
                 {"id": "gone", "prompt": "gone", "pushed_at": 1, "ttl_ms": 1},
                 {"id": "throttled", "prompt": "throttled"}, {"id": "failing", "prompt": "failing"},
                 "{malformed")
    guarded.results(["good", "large", "gone", "throttled", "failing"])
    guarded.r.sadd(guarded.key("cancel"), "late", "never-pushed")
    guarded.results(["late", "never-pushed"])
    admin = Admin(first)
    for path in ("/api/overview", "/api/dead?queue=default", "/api/job?queue=default&id=failing"):
        admin.json(path)
    admin.act("/api/dead/retry", queue="default", ids=["failing"])
    guarded.result("failing")
    dead = guarded.r.zrange(guarded.key("dead"), 0, -1)
    admin.act("/api/dead/drop", queue="default", ids=dead)
    admin.act("/api/queues/pause", queue="default", reason="test")
    admin.act("/api/queues/resume", queue="default")
    pool = admin.json("/api/overview")["pools"][0]["name"]
    admin.act("/api/pools/pause", pool=pool, reason="test")
    admin.act("/api/pools/resume", pool=pool)
    guarded.sim.config(latency=60000)
    guarded.push({"id": "orphan", "prompt": "orphan"})
    wait_until(lambda: guarded.sim.seen("orphan"), 20, "the call of the orphan")
    first.kill()
    guarded.sim.config(latency=20)
    second = guarded.worker(env=env, concurrency=4, **limits)
    assert guarded.result("orphan", timeout_s=40)["status"] == "succeeded"
    assert guarded.stat("recoveries") == 1
    assert second.drain() == 0
    refusals = [entry for entry in guarded.r.acl_log() if entry["username"] == "worker"]
    assert not refusals, json.dumps(refusals, default=str)


def test_a_right_that_is_missing_is_one_line_and_the_work_waits_for_it(guarded):
    guarded.r.execute_command("ACL", "SETUSER", "worker", "-time")
    worker = guarded.worker(env={"PENSTOCK_REDIS_URL": f"unix://worker:pw-worker@{guarded.redis.socket}"})
    guarded.push({"id": "a", "prompt": "a"})
    told = worker.wait_event("script_refused", 20)
    assert any(words in told["why"] for words in  # Redis 7.0, those before it, and 8
               ("can't run this command", "NOPERM", "has no permissions to run")), told
    guarded.r.execute_command("ACL", "SETUSER", "worker", "+time")
    assert guarded.result("a", timeout_s=20)["status"] == "succeeded"
    refused = [line["script"] for line in worker.events("script_refused")]
    assert len(refused) == len(set(refused)), "a script that is refused again and again is one line"
    assert {line["script"] for line in worker.events("script_taken")} <= set(refused)
