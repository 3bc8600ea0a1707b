"""claim of a payload that the worker has seen coming and read: it is admitted in the same move."""
import pytest

from lua_lib import LEASE_MS, Admission, done

JOB = '{"id":"a"}'


def read(payload=JOB, id="a", **more):
    return payload, Admission("", id, **more)


def test_leases_it_under_its_own_id(q):
    q.push(JOB)
    claim = q.claim(read=read(run="r"))
    [item] = claim.items
    assert claim.why == "admitted"
    assert (item.id, item.payload, item.bytes) == ("a", JOB.encode(), len(JOB))
    assert (item.attempts, item.throttles, item.recoveries, item.expires_at) == (0, 0, 0, -1)
    assert not item.cancelled and item.started == 0
    assert 0 <= claim.now - item.created < 5000
    assert q.members("active") == ["a"] and q.score("active", "a") == claim.now + LEASE_MS
    job = q.job("a")
    assert (job["state"], job["token"], job["worker"], job["run"]) == ("active", claim.token, "w1", "r")
    assert job["created"] == str(item.created)
    assert q.counts()["admitted"] == q.counts("run:r")["admitted"] == "1"


def test_it_is_settled_as_any_other(q):
    q.push(JOB)
    claim = q.claim(read=read())
    assert q.settle(done("a", claim.token)) == ["ok"]
    assert q.place("a") == [] and q.redis.exists(q.key("result:a"))


def test_another_payload_waits_for_its_admission(q):
    q.push('{"id":"b"}')
    claim = q.claim(read=read())
    [item] = claim.items
    assert claim.why == "" and item.claimed and item.payload == b'{"id":"b"}'
    assert not q.redis.exists(q.key("job:a"))


def test_those_behind_it_wait_for_their_admission(q):
    q.push(JOB, "2", "3")
    items = q.claim(read=read()).items
    assert [item.claimed for item in items] == [False, True, True]
    assert [item.payload for item in items] == [JOB.encode(), b"2", b"3"]


def test_the_same_bytes_behind_it_are_another_job(q):
    """Without an id of their own two prompts that are alike are two jobs."""
    q.push("same", "same")
    items = q.claim(read=read("same", "01ULID")).items
    assert [item.claimed for item in items] == [False, True]
    assert "duplicates" not in q.counts()


def test_what_is_due_goes_first(q1):
    q1.delay("d")
    q1.pass_ms(20_000)
    q1.push(JOB)
    assert q1.claim(read=read()).ids == ["d", "a"]


def test_takes_no_more_than_it_is_asked_for(q):
    q.push(JOB)
    assert q.claim(want=0, read=read()).items == []
    assert q.redis.llen(q.key("jobs")) == 1


def test_takes_nothing_from_a_paused_queue(q):
    q.redis.set(q.key("paused"), "a person")
    q.push(JOB)
    assert q.claim(read=read()).items == []
    assert q.redis.llen(q.key("jobs")) == 1


@pytest.mark.parametrize("finished", [False, True])
def test_one_whose_id_is_in_use_waits_for_its_admission(q1, finished):
    token = q1.take("a")
    if finished:
        q1.settle(done("a", token))
    q1.push(JOB, "2")
    items = q1.claim(read=read(reply_to="inbox")).items
    assert [item.claimed for item in items] == [True, True] and items[0].payload == JOB.encode()
    assert "duplicates" not in q1.counts(), "that is for admit to count"


def test_one_that_may_not_start_yet_is_delayed(q1):
    q1.push(JOB)
    claim = q1.claim(read=read(start=60_000, start_is="in"))
    assert (claim.items, claim.why) == ([], "admitted")
    assert q1.place("a") == ["delayed"]
    assert claim.next_due == q1.score("delayed", "a") == int(q1.job("a")["created"]) + 60_000


def test_one_of_a_paused_run_is_held(q1):
    q1.redis.sadd(q1.key("held"), "r")
    q1.push(JOB)
    assert q1.claim(read=read(run="r")).items == []
    assert q1.place("a") == ["delayed"] and q1.job("a")["waits_for"] == "held"


def test_a_run_that_cannot_be_looked_up_is_not_held(server, q1):
    q1.check = False
    q1.redis.set(q1.key("held"), "a stranger's")
    q1.push(JOB)
    assert q1.claim(read=read(run="r")).ids == ["a"]
    server.client.flushall()


def test_a_paused_run_holds_its_job_though_its_list_is_a_strangers(server, q1):
    q1.check = False
    q1.redis.sadd(q1.key("held"), "r")
    q1.redis.set(q1.key("held:r"), "a stranger's")
    q1.push(JOB)
    assert q1.claim(read=read(run="r")).items == []
    assert q1.place("a") == ["delayed"] and q1.redis.get(q1.key("held:r")) == b"a stranger's"
    server.client.flushall()


def test_one_that_has_expired_says_so(q):
    q.push(JOB)
    claim = q.claim(read=read(pushed_at=1000, expiry=5, expiry_is="in"))
    [item] = claim.items
    assert (item.id, item.created, item.expires_at) == ("a", 1000, 1005)


def test_one_that_is_to_be_cancelled_says_so(q):
    q.push(JOB)
    q.redis.sadd(q.key("cancel"), "a")
    [item] = q.claim(read=read()).items
    assert item.id == "a" and item.cancelled


@pytest.mark.parametrize("name", ["job:a", "result:a"])
def test_a_strangers_key_leaves_it_under_its_claim(server, q1, name):
    q1.redis.lpush(q1.key(name), "a stranger's")
    q1.push(JOB, "2")
    q1.check = False
    items = q1.claim(read=read()).items
    assert [item.claimed for item in items] == [True, True]
    assert items[0].payload == JOB.encode() and q1.score("active", items[0].id)
    server.client.flushall()


def test_a_repeat_after_a_lost_answer_brings_it_again(q1):
    q1.push(JOB, "2")
    first = q1.claim(token="T", read=read())
    again = q1.claim(token="T")
    assert again.ids == first.ids and [i.payload for i in again.items] == [JOB.encode(), b"2"]
    assert q1.counts()["admitted"] == "1"


def test_a_lease_that_runs_out_makes_it_due_as_a_job(q1):
    q1.push(JOB)
    q1.claim(read=read())
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    [item] = q1.claim().items
    assert (item.id, item.recoveries) == ("a", 1)
