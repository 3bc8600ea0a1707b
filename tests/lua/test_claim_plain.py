"""claim of a payload that tells nothing of itself but its id: it is a job at once, in the same move."""
import json
import random
import re

import pytest

from lua_lib import LARGE, LEASE_MS, Admission, Reject, bury, done, later, unread

JOB = '{"id":"a","prompt":"p"}'
ULID = "[0-9A-HJKMNP-TV-Z]{26}"


def taken(q, *payloads):
    q.push(*payloads)
    return q.claim(want=len(payloads)).items


def test_leases_it_under_its_own_id(q):
    q.push(JOB)
    claim = q.claim()
    [item] = claim.items
    assert item.fresh and (item.id, item.payload) == ("a", JOB.encode())
    assert q.members("active") == ["a"]
    assert claim.now + LEASE_MS <= q.score("active", "a") <= q.now() + LEASE_MS
    job = q.job("a")
    assert (job["payload"], job["state"], job["token"], job["worker"]) == (JOB, "active", claim.token, "w1")
    assert job["created"] == str(claim.now)
    assert q.counts() == {"admitted": "1"}


@pytest.mark.parametrize("payload", ['{ "id" : "a" , "prompt":"p"}', '{"id": "a", "prompt": "p"}', '{"id":"a"}',
                                     '{"id":"a","prompt":"caf\u00e9 and \\"quotes\\" and an id"}'])
def test_it_may_be_written_in_several_ways(q, payload):
    assert taken(q, payload)[0].id == "a"


def test_it_is_settled_as_any_other(q):
    q.push(JOB)
    claim = q.claim()
    assert q.settle(done("a", claim.token)) == ["ok"]
    assert q.place("a") == [] and q.redis.exists(q.key("result:a"))


def test_one_without_an_id_gets_a_ulid_that_no_other_has(q):
    items = taken(q, *['{"prompt":"p"}'] * 40) + taken(q, *['{"prompt":"p"}'] * 40)
    assert all(item.fresh for item in items)
    ids = [item.id for item in items]
    assert len(set(ids)) == 80 and ids == sorted(ids)
    assert all(re.fullmatch(ULID, id) for id in ids)


@pytest.mark.parametrize("payload", [
    unread("a"), '{"id":"a","pushed_at":1}', '{"id":"a","delay_ms":1}', '{"id":"a","expires_at":1}',
    '{"id":"a","ttl_ms":1}', '{"id":"a","run":"r"}', '{"id":"a","id":"b"}', '{"prompt":"p","id":"a"}',
    '{"run":"r"}', '{"prompt":"p","\\u0069d":"a"}', '{"id":"a","r\\u0075n":"r"}', '{"id":"a","\\u0072un_at":1}',
    '{"id":"a b"}', '{"id":"a\\/b"}', '{"id":""}', '{"id":1}', '{"id":"%s"}' % ("a" * 129), '{"id":"a"} ', ' {"id":"a"}',
    '["id"]', '{', '', '{"id":"a"', '\ufeff{"id":"a"}', '{"id":"a","prompt":"%s"}' % ("p" * LARGE)])
def test_what_tells_more_or_is_not_clear_is_left_to_be_read(q, payload):
    assert taken(q, payload)[0].claimed


def test_an_id_of_128_bytes_is_one(q):
    assert taken(q, '{"id":"%s"}' % ("a" * 128))[0].id == "a" * 128


@pytest.mark.parametrize("name", ["active", "dead", "done", "delayed"])
def test_an_id_in_use_is_left_to_be_admitted_and_so_are_those_behind_it(q, name):
    token = q.take("active", "dead", "done", "delayed")
    q.settle(bury("dead", token), done("done", token), later("delayed", token, 60_000))
    items = taken(q, *('{"id":"%s"}' % id for id in ("before", name, "behind")))
    assert [item.fresh for item in items] == [True, False, False]
    assert items[0].id == "before" and q.counts()["admitted"] == "5"


@pytest.mark.parametrize("first", [unread("a"), '{"prompt":"p","id":"a"}', '{"id":"a","prompt":"%s"}' % ("p" * LARGE)],
                         ids=["unread", "id behind", "large"])
def test_behind_one_that_must_be_read_all_are(q, first):
    """It may be of the same id, and the one that was pushed first is the job."""
    q.push(JOB.replace('"a"', '"c"'), first, JOB, '{"prompt":"p"}')
    items = [item for _ in range(4) for item in q.claim().items if item.fresh or item.claimed]
    assert [item.fresh for item in items][:2] == [True, False]
    assert not items[2].fresh or len(first) > LARGE, "a large one ends its batch"


def test_the_same_id_twice_in_one_claim_is_one_job(q):
    q.push(JOB, JOB)
    claim = q.claim()
    first, second = claim.items
    assert first.id == "a" and second.claimed
    assert q.admit(claim.token, Admission(second.id, "a"))[0].code == "duplicate"


def test_while_something_is_to_be_cancelled_all_are_read(q):
    q.redis.sadd(q.key("cancel"), "a")
    assert taken(q, JOB)[0].claimed


def test_one_whose_worker_dies_comes_back_as_a_job(q):
    taken(q, JOB)
    q.pass_ms(LEASE_MS + 1)
    q.tick()
    assert q.place("a") == ["delayed"]
    [item] = q.claim().items
    assert (item.id, item.payload, item.recoveries, item.fresh) == ("a", JOB.encode(), 1, False)
    assert q.counts()["admitted"] == "1"


def test_a_claim_said_again_brings_it_as_it_did(q1):
    q1.push(JOB)
    first = q1.claim(token="T")
    [again] = q1.claim(token="T").items
    assert again == first.items[0] and again.fresh and again.created == first.now
    q1.redis.sadd(q1.key("cancel"), "a")
    [again] = q1.claim(token="T").items
    assert again.cancelled and not again.fresh


def test_a_repeated_claim_starts_its_leases_anew(q1):
    q1.push(JOB, unread("b"))
    q1.claim(token="T")
    q1.pass_ms(LEASE_MS - 1000)
    again = q1.claim(token="T")
    assert [q1.score("active", id) for id in again.ids] == [again.now + LEASE_MS] * 2
    assert q1.ttl("op:T") > LEASE_MS - 1000


def test_admit_says_of_an_admitted_one_whether_it_is_still_the_workers(q1):
    q1.push('{"id":"mine"}', '{"id":"lost"}', '{"id":"stop"}')
    claim = q1.claim()
    q1.settle(later("lost", claim.token, 60_000))
    q1.redis.sadd(q1.key("cancel"), "stop")
    q1.pass_ms(LEASE_MS - 1000)
    ask = [Admission(id, id) for id in ("mine", "lost", "stop", "gone")]
    assert [answer.code for answer in q1.admit(claim.token, *ask)] == ["active", "lost", "cancelled", "lost"]
    assert q1.score("active", "mine") > q1.now() + LEASE_MS - 1000
    assert q1.members("active") == ["mine", "stop"] and q1.place("lost") == ["delayed"]
    assert q1.counts()["admitted"] == "3"


@pytest.mark.parametrize("id", ["sweep", "read:a"])
def test_admit_takes_no_key_of_the_workers_own_for_what_became_of_an_admitted_one(q1, id):
    q1.redis.set(q1.key("op:" + id), "7", px=60_000)
    q1.push('{"id":"%s"}' % id)
    claim = q1.claim()
    assert q1.admit(claim.token, Admission(id, id))[0].code == "active"


def test_one_that_is_no_job_after_all_is_dead_under_the_id_it_has(q):
    q.push('{"id":"a","promt":"p"}')
    claim = q.claim()
    assert q.reject(claim.token, Reject("a", "a", reply_to="inbox", reason="promt: unknown")) == ["a"]
    assert q.place("a") == ["dead"]
    job = q.job("a")
    assert (job["cause"], job["last_error"], job["raw"]) == ("invalid_job", "promt: unknown", "1")
    assert q.replies("inbox") == [q.result("a")] == ['{"id":"a","status":"failed"}']
    assert {k: v for k, v in q.counts().items() if v != "0"} == {"failed": "1", "invalid": "1"}


def test_one_that_is_no_job_answers_those_who_waited_for_its_id(q):
    q.push('{"id":"a","promt":"p"}', unread("a"))
    claim = q.claim()
    q.admit(claim.token, Admission(claim.items[1].id, "a", reply_to="other"))
    q.reject(claim.token, Reject("a", "a"))
    assert q.replies("other") == [q.result("a")]
    assert not q.redis.exists(q.key("waited"))


def test_a_rejection_by_who_has_lost_it_changes_nothing(q):
    q.push('{"id":"a","promt":"p"}')
    claim = q.claim()
    q.pass_ms(LEASE_MS + 1)
    q.tick()
    assert q.reject(claim.token, Reject("a", "a")) == [""]
    assert q.place("a") == ["delayed"]


WEIGHED = ("run", "pushed_at", "run_at", "delay_ms", "expires_at", "ttl_ms")


def spelled(dice, text):
    """The text as a JSON string, some of its letters as escapes."""
    return '"' + "".join("\\u%04x" % ord(c) if dice.random() < 0.05 else json.dumps(c)[1:-1] for c in text) + '"'


def made(dice):
    names = dice.sample(["id", "prompt", "meta", "model", "x_id", *dice.sample(WEIGHED, 2)], dice.randrange(1, 5))
    if dice.random() < 0.5:
        names = ["id"] + [name for name in names if name != "id"]
    gap = dice.choice(["", " ", "\n\t"])
    value = {"id": '"j%d"' % dice.randrange(10**9), "meta": '{"run":1}', "run": '"r"', "prompt": spelled(dice, 'an "id" or run_at')}
    members = [spelled(dice, name) + gap + ":" + gap + value.get(name, "1") for name in names]
    return "{" + gap + ("," + gap).join(members) + "}"


def test_whatever_is_admitted_unread_tells_no_more_than_its_id(q1):
    """Ten thousand payloads, read here by another JSON parser."""
    q1.check = False
    dice, fresh = random.Random(7), 0
    for _ in range(250):
        for text in (made(dice) for _ in range(40)):
            [item] = taken(q1, text)
            if item.fresh:
                job = json.loads(item.payload)
                assert not set(job) & set(WEIGHED), item.payload
                assert job.get("id", item.id) == item.id, item.payload
                fresh += 1
        q1.redis.flushall()
    assert fresh > 1000
