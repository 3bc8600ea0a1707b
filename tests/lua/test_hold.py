"""hold, release: a paused run's jobs start no call, wherever they are, and go on as if nothing had been."""
import pytest

import redis

from lua_lib import Admission, bury, done, later, unread

DAY_MS = 86_400_000


def pause(q, run="r"):
    q.redis.sadd(q.key("held"), run)


def admit(q, id, **more):
    q.push(unread(id))
    claim = q.claim(want=1)
    return q.admit(claim.token, Admission(claim.ids[0], id, **more))[0].code


def test_a_paused_run_is_not_started_and_others_are(q):
    pause(q)
    assert admit(q, "a", run="r") == "delayed"
    assert admit(q, "b", run="other") == "active"
    assert admit(q, "c") == "active"
    assert q.place("a") == ["delayed"] and q.score("delayed", "a") > q.now() + 29 * DAY_MS
    assert q.claim().ids == []


def test_released_it_is_due_at_once(q):
    pause(q)
    admit(q, "a", run="r")
    assert q.release("r") == (1, 0)
    assert q.score("delayed", "a") <= q.now()
    assert q.claim().ids == ["a"]
    assert "held_due" not in q.job("a") and not q.redis.exists(q.key("held"), q.key("held:r"))
    assert admit(q, "b", run="r") == "active"


def test_what_comes_back_from_a_call_is_held_too_and_keeps_its_time(q):
    token = q.take("a", "b", run="r")
    pause(q)
    q.settle(later("a", token, 60_000, "throttle", run="r"), later("b", token, 60_000, "retry"))
    assert q.score("delayed", "a") > q.now() + 29 * DAY_MS
    assert q.score("delayed", "b") <= q.now() + 60_000
    q.release("r")
    assert q.now() < q.score("delayed", "a") <= q.now() + 60_000


def test_what_was_delayed_before_is_held_by_its_id(q):
    q.delay("a", 60_000)
    q.take("running")
    assert q.hold("r", "a", "running", "unknown") == [0, 0, 0]  # the run is not paused
    pause(q)
    assert q.hold("r", "a", "running", "unknown") == [1, 0, 0]
    assert q.score("delayed", "a") > q.now() + 29 * DAY_MS and q.place("running") == ["active"]
    q.release("r")
    assert q.now() < q.score("delayed", "a") <= q.now() + 60_000


def test_a_held_job_expires_in_time(q):
    pause(q)
    assert admit(q, "a", run="r", expiry=60_000, expiry_is="in") == "delayed"
    assert q.score("delayed", "a") <= q.now() + 60_000


def test_a_held_job_that_has_ended_or_gone_is_no_trouble(q):
    pause(q)
    for id in ("a", "b"):
        admit(q, id, run="r")
    q.redis.zrem(q.key("delayed"), "a")
    q.redis.delete(q.key("job:a"))
    assert q.release("r") == (1, 0)
    token = q.claim().token
    assert q.settle(done("b", token)) == ["ok"]


def test_many_are_released_in_several_calls(q):
    q.twice = False
    pause(q)
    for n in range(150):
        q.redis.hset(q.key(f"job:j{n}"), mapping={"payload": "{}", "state": "delayed", "due": q.now() + 500,
                                                  "waits_for": "x", "attempts": 0, "throttles": 0})
        q.redis.zadd(q.key("delayed"), {f"j{n}": q.job(f"j{n}")["due"]})
    for at in range(0, 150, 100):
        q.hold("r", *(f"j{n}" for n in range(at, min(at + 100, 150))))
    assert q.release("r") == (100, 50)
    assert q.release("r") == (50, 0)


def test_a_job_of_a_paused_run_whose_worker_died_is_held(q):
    q.take("a", run="r")
    pause(q)
    q.pass_ms(40_000)
    q.tick()
    assert q.score("delayed", "a") > q.now() + 29 * DAY_MS and q.claim().ids == []
    assert q.release("r") == (1, 0)
    assert q.claim().ids == ["a"]


def test_a_dead_job_of_a_paused_run_that_is_retried_is_held(q):
    token = q.take("a", run="r")
    q.settle(bury("a", token))
    pause(q)
    assert q.dead_retry("a") == [1]
    assert q.score("delayed", "a") > q.now() + 29 * DAY_MS and q.claim().ids == []


def test_released_it_waits_for_what_it_waited_for(q):
    token = q.take("a")
    q.settle(later("a", token, 60_000, "parked", run="r"))
    due = q.score("delayed", "a")
    q.redis.hset(q.key("job:a"), "run", "r")
    q.redis.sadd(q.key("held"), "r")
    q.call("hold", "r", "a")
    assert q.job("a")["waits_for"] == "held"
    q.call("release", "r")
    assert (q.job("a")["waits_for"], q.score("delayed", "a")) == ("parked", due)
    assert "held_for" not in q.job("a")


@pytest.mark.parametrize("script, args", [("hold", ["r", "a"]), ("release", ["r"]), ("dead_retry", ["a"]),
                                          ("dead_drop", ["a"])])
def test_a_queue_of_a_newer_version_is_refused(q, script, args):
    q.kill("a")
    q.redis.set(q.key("version"), "2")
    before = q.everything()
    with pytest.raises(redis.ResponseError, match="newer version"):
        q.call(script, *args)
    assert q.everything() == before
