"""tick: recovery of both kinds, cancelling in every state, and the numbers."""
import json

import pytest

from lua_lib import LARGE, LEASE_MS, MIB, TTL_MS, Admission, Reject, bury, done, later, unread

WEEK_MS = 7 * 86_400_000


def run_out(q):
    q.pass_ms(LEASE_MS + 1)


# numbers

def test_of_an_empty_queue_counts_nothing(q):
    tick = q.tick()
    assert (tick.next_due, tick.waiting, tick.delayed, tick.active, tick.dead) == (-1, 0, 0, 0, 0)
    assert (tick.paused, tick.recovered, tick.buried, tick.pending, tick.cancel) == (
        False, 0, 0, False, [])


def test_says_how_things_stand(q):
    q.delay("a", 60_000)
    q.kill("b")
    q.take("c", "d")
    q.push("1", "2", "3")
    q.redis.set(q.key("paused"), "lunch")
    tick = q.tick()
    assert (tick.waiting, tick.delayed, tick.active, tick.dead, tick.paused) == (3, 1, 2, 1, True)
    assert tick.next_due == q.score("delayed", "a")


# recovery

def test_takes_back_a_job_whose_lease_ran_out(q):
    q.take("a")
    run_out(q)
    tick = q.tick()
    assert tick.recovered == 1
    assert q.place("a") == ["delayed"]
    assert tick.now <= q.score("delayed", "a") + 1000
    job = q.job("a")
    assert (job["recoveries"], job["attempts"], job["throttles"]) == ("1", "0", "0")
    assert q.counts()["recoveries"] == "1"
    [item] = q.claim().items
    assert (item.id, item.recoveries) == ("a", 1)


def test_counts_each_recovery_of_a_job(q):
    q.take("a")
    for n in range(1, 8):
        run_out(q)
        q.tick(max_recoveries=5)
        assert q.job("a")["recoveries"] == str(n)
        q.claim()


def test_a_recovered_job_keeps_its_counters(q):
    token = q.take("a")
    q.settle(later("a", token, 10_000, attempts=2, throttles=3))
    q.pass_ms(20_000)
    q.claim()
    run_out(q)
    q.tick()
    assert (q.job("a")["attempts"], q.job("a")["throttles"]) == ("2", "3")


def test_leaves_a_lease_that_still_runs(q):
    q.take("a")
    q.pass_ms(LEASE_MS - 5000)
    assert q.tick().recovered == 0
    assert q.place("a") == ["active"]


def test_recovers_nothing_while_it_is_told_not_to(q):
    q.take("a")
    run_out(q)
    assert q.tick(recover=False).recovered == 0
    assert q.place("a") == ["active"]


def test_a_tick_that_lay_about_while_redis_was_away_recovers_nothing(q):
    """The renewals of those that live come after it."""
    q.take("a")
    run_out(q)
    assert q.tick(recover=q.now() - 1).recovered == 0
    assert q.place("a") == ["active"]
    assert q.tick(recover=q.now() + 5000).recovered == 1


def test_takes_back_a_payload_to_where_it_came_from(q):
    q.push("1", "2")
    q.claim(want=1)
    run_out(q)
    assert q.tick().recovered == 1
    assert q.redis.lrange(q.key("jobs"), 0, -1) == [b"2", b"1"]
    assert q.members("active") == []


def test_payloads_taken_back_keep_their_order(q1):
    texts = [str(i).encode() for i in range(150)]
    q1.push(*texts)
    for _ in range(3):
        q1.claim(want=50)
    run_out(q1)
    assert q1.tick().recovered == 100
    assert q1.tick().recovered == 50
    assert q1.redis.lrange(q1.key("jobs"), 0, -1)[::-1] == texts


def test_takes_back_a_hundred_at_a_time(q1):
    for at in range(0, 1000, 100):
        q1.take(*(f"j{i}" for i in range(at, at + 100)))
    run_out(q1)
    assert [q1.tick().recovered for _ in range(11)] == [100] * 10 + [0]


def test_takes_back_a_mebibyte_of_payloads_beyond_the_first_at_a_time(q1):
    for _ in range(7):
        q1.push(b"b" * 300_000)
        q1.claim()
    run_out(q1)
    assert [q1.tick().recovered for _ in range(3)] == [4, 3, 0]


def test_takes_back_a_payload_of_any_size(q):
    q.push(b"b" * (4 * MIB))
    q.claim()
    run_out(q)
    assert q.tick().recovered == 1
    assert q.redis.llen(q.key("jobs")) == 1


@pytest.mark.parametrize("size", [10, LARGE, LARGE + 1, MIB])
def test_a_payload_that_kills_its_workers_is_buried(q, size):
    payload = "x" * size
    q.push(payload)
    for _ in range(2):
        q.claim()
        run_out(q)
        assert q.tick(max_recoveries=3).buried == 0
    claim = q.claim()
    run_out(q)
    tick = q.tick(max_recoveries=3)
    assert (tick.recovered, tick.buried) == (1, 1)
    id = claim.ids[0][1:]
    assert q.place(id) == ["dead"]
    job = q.job(id)
    assert (job["cause"], job["recoveries"], job["payload"]) == ("crash", "3", payload)
    assert q.result(id).startswith('{"id":"%s"' % id)
    assert 0 < q.ttl(f"result:{id}") <= TTL_MS
    assert q.counts()["failed"] == "1"


def test_without_a_limit_a_payload_always_comes_back(q):
    q.push("poison")
    for _ in range(12):
        q.claim()
        run_out(q)
        assert q.tick(max_recoveries=0).buried == 0
    assert q.redis.llen(q.key("jobs")) == 1
    assert q.redis.keys("*deaths*") == []


def test_one_worker_that_died_with_many_equal_payloads_is_one_death(q):
    q.push(*["same"] * 50)
    q.claim()
    run_out(q)
    assert q.tick(max_recoveries=5).buried == 0
    assert q.redis.llen(q.key("jobs")) == 50


def test_large_payloads_that_differ_in_one_piece_die_apart(q):
    q.push("a" * MIB, "b" * 100 + "a" * (MIB - 100))
    for _ in range(2):
        q.claim()
    run_out(q)
    assert q.tick(max_recoveries=2).buried == 0


def test_deaths_are_forgotten_after_a_day(q):
    q.push("poison")
    q.claim()
    run_out(q)
    q.tick(max_recoveries=2)
    [key] = q.redis.keys("*deaths*")
    assert 23 * 3_600_000 < q.redis.pttl(key) <= 86_400_000


def test_a_buried_payload_that_is_retried_begins_anew(q):
    q.push("poison")
    claim = q.claim()
    run_out(q)
    q.tick(max_recoveries=1)
    q.dead_retry(claim.ids[0][1:])
    assert q.redis.lrange(q.key("jobs"), 0, -1) == [b"poison"]
    q.claim()
    run_out(q)
    assert q.tick(max_recoveries=2).buried == 0


@pytest.mark.parametrize("claimed", [True, False])
def test_a_lease_without_its_hash_is_forgotten(q, claimed):
    if claimed:
        q.push("1")
        id = q.claim().ids[0]
    else:
        q.take("a")
        id = "a"
    q.redis.delete(q.key("job:" + id))
    q.evicted.add(id)
    run_out(q)
    q.tick()
    assert q.members("active") == q.members("delayed") == []
    assert q.counts()["vanished"] == "1"
    assert "recoveries" not in q.counts()


def test_a_lease_without_its_hash_keeps_none_waiting(q):
    q.take("a", "b")
    q.redis.delete(q.key("job:a"))
    q.evicted.add("a")
    run_out(q)
    q.tick()
    assert q.place("b") == ["delayed"]


# cancel

def cancel(q, id):
    q.redis.sadd(q.key("cancel"), id)


def cancelling(q):
    return q.redis.scard(q.key("cancel"))


def test_cancels_a_job_in_flight_by_telling_its_worker(q):
    token = q.take("a")
    cancel(q, "a")
    for _ in range(2):
        assert q.tick().cancel == ["a"]
    q.settle(done("a", token, why="cancelled"))
    assert (q.tick().cancel, cancelling(q)) == ([], 0)


def test_says_that_more_is_to_be_cancelled_only_where_it_got_on(q1):
    q1.redis.sadd(q1.key("cancel"), *[f"u{n}" for n in range(150)])
    assert q1.tick().more and not q1.tick().more
    q1.take(*[f"a{n}" for n in range(60)])
    q1.take(*[f"b{n}" for n in range(60)])
    q1.redis.sadd(q1.key("cancel"), *[f"{s}{n}" for s in "ab" for n in range(60)])
    assert not q1.tick().more, "their worker has been told and the rest waits for it"


def test_cancels_a_delayed_job_by_a_claim(q):
    q.delay("a", 60_000)
    cancel(q, "a")
    tick = q.tick()
    assert (tick.cancel, tick.pending) == ([], True)
    claim = q.claim(want=0)
    q.settle(done("a", claim.token, why="cancelled"))
    assert (q.tick().pending, cancelling(q), q.counts()["cancelled"]) == (False, 0, "1")


@pytest.mark.parametrize("claimed", [False, True])
def test_cancels_a_payload_that_waits_or_is_unread(q, claimed):
    q.push(unread("a"))
    claim = q.claim() if claimed else None
    cancel(q, "a")
    q.tick()
    assert cancelling(q) == 0
    assert q.result("a") == '{"id":"a","status":"cancelled"}'
    claim = claim or q.claim()
    [answer] = q.admit(claim.token, Admission(claim.ids[0], "a"))
    assert answer.code == "duplicate"
    assert q.counts()["cancelled"] == "1"


def test_cancels_an_unknown_job_for_a_week(q):
    cancel(q, "a")
    q.tick()
    assert WEEK_MS - 60_000 < q.ttl("result:a") <= WEEK_MS
    assert (cancelling(q), q.counts()["cancelled"]) == (0, "1")


def test_leaves_a_dead_job_dead(q):
    q.kill("a")
    result = q.result("a")
    cancel(q, "a")
    q.tick()
    assert (q.place("a"), q.result("a"), cancelling(q)) == (["dead"], result, 0)
    assert "cancelled" not in q.counts()


def test_a_dead_job_whose_result_is_gone_gets_the_one_that_it_is_cancelled(q):
    q.kill("a")
    q.redis.delete(q.key("result:a"))
    cancel(q, "a")
    q.tick()
    assert (json.loads(q.result("a"))["status"], cancelling(q)) == ("cancelled", 0)
    assert q.members("dead") == ["a"], "it stays where a person finds it"


def test_leaves_a_queue_of_a_newer_version_alone(q):
    q.take("a")
    cancel(q, "b")
    q.redis.set(q.key("version"), "2")
    q.pass_ms(LEASE_MS + 1)
    before = q.everything()
    q.tick()
    assert q.everything() == before


def test_leaves_a_finished_job_finished(q):
    token = q.take("a")
    q.settle(done("a", token))
    result = q.result("a")
    cancel(q, "a")
    q.tick()
    assert (q.result("a"), cancelling(q)) == (result, 0)


@pytest.mark.parametrize("id", ["", "a b", "~claim", "a/b", "x" * 129, "a\n", "\xff", '"', "a]"])
def test_throws_an_invalid_id_away(q, id):
    cancel(q, id.encode("latin-1"))
    q.tick()
    assert cancelling(q) == 0
    assert q.redis.keys("*result*") == []


@pytest.mark.parametrize("id", ["x" * 128, "A-z.0_9:x", "-", "..."])
def test_takes_any_valid_id(q, id):
    cancel(q, id)
    q.tick()
    assert q.result(id) == '{"id":"%s","status":"cancelled"}' % id


def test_looks_at_a_hundred_ids_at_a_time_and_empties_the_set(q1):
    q1.redis.sadd(q1.key("cancel"), *(f"x{i}" for i in range(250)))
    left = []
    while cancelling(q1):
        q1.tick()
        left.append(cancelling(q1))
    assert left == [150, 50, 0]


def test_cancels_while_the_queue_is_paused(q):
    q.redis.set(q.key("paused"), "lunch")
    cancel(q, "a")
    q.tick()
    assert q.result("a")


def test_a_cancelled_job_that_comes_back_is_cancelled_then(q):
    token = q.take("a")
    cancel(q, "a")
    q.settle(later("a", token, 60_000))
    assert q.tick().pending
    assert q.claim(want=0).items[0].cancelled


def test_a_cancelled_job_whose_worker_died_is_cancelled_then(q1):
    q1.take("a")
    cancel(q1, "a")
    run_out(q1)
    assert q1.tick().pending
    assert q1.claim(want=0).items[0].cancelled


def test_an_invalid_payload_under_a_cancelled_id_is_still_dead(q):
    q.push("{")
    claim = q.claim()
    cancel(q, "a")
    q.tick()
    [id] = q.reject(claim.token, Reject(claim.ids[0], "a"))
    assert id != "a" and q.place(id) == ["dead"]


def test_buried_jobs_are_no_longer_to_be_cancelled(q):
    token = q.take("a")
    cancel(q, "a")
    q.settle(bury("a", token))
    assert cancelling(q) == 0


def test_beyond_the_cap_the_oldest_dead_are_dropped_and_counted(q1):
    ids = [f"d{i}" for i in range(8)]
    for i, one in enumerate(ids):
        q1.kill(one)
        q1.redis.zadd(q1.key("dead"), {one: 1000 + i})
    results = [q1.result(one) for one in ids]
    assert q1.tick(max_dead=5).dead == 5
    assert q1.members("dead") == ids[3:]
    assert all(not q1.job(one) for one in ids[:3]) and all(q1.job(one) for one in ids[3:])
    assert [q1.result(one) for one in ids] == results, "results stay until they expire"
    assert q1.counts()["dead_capped"] == "3"
    assert q1.tick(max_dead=5).dead == 5 and q1.counts()["dead_capped"] == "3"


def test_no_cap_keeps_all_the_dead(q):
    q.kill("a", "b", "c")
    assert q.tick(max_dead=0).dead == 3
    assert "dead_capped" not in q.counts()


def test_a_tick_drops_a_hundred_dead_at_most(q1):
    q1.kill(*[f"d{i}" for i in range(64)])
    q1.kill(*[f"e{i}" for i in range(64)])
    assert q1.tick(max_dead=1).dead == 28
    assert q1.tick(max_dead=1).dead == 1
