"""reject: what is no job is dead, named and answered, and hurts no other."""
import pytest

from lua_lib import LEASE_MS, TTL_MS, Reject, bury, done, later


def rejected(q, payload="{", **more):
    q.push(payload)
    claim = q.claim(want=1)
    reject = Reject(claim.ids[0], **more)
    return reject, q.reject(claim.token, reject)[0]


def test_an_invalid_payload_is_dead_with_its_bytes_and_the_reason(q):
    reject, id = rejected(q, b"\xff{\0", reason="not JSON")
    assert id == reject.ulid
    assert q.place(id) == ["dead"]
    assert q.redis.hget(q.key("job:" + id), "payload") == b"\xff{\0"
    job = {k: v for k, v in q.redis.hgetall(q.key("job:" + id)).items() if k != b"payload"}
    assert (job[b"cause"], job[b"last_error"], job[b"attempts"]) == (b"invalid_job", b"not JSON", b"0")
    assert int(job[b"created"]) <= int(job[b"died"])
    assert q.result(id) == '{"id":"%s","status":"failed"}' % id
    assert 0 < q.ttl(f"result:{id}") <= TTL_MS
    assert (q.counts()["failed"], q.counts()["invalid"]) == ("1", "1")


def test_a_valid_id_that_is_free_is_kept(q):
    _, id = rejected(q, id="a", reply_to="inbox", run="r")
    assert id == "a"
    assert q.replies("inbox") == [q.result("a")]
    assert q.counts("run:r")["failed"] == "1"


@pytest.mark.parametrize("state", ["active", "delayed", "dead", "finished", "forgotten"])
def test_an_id_in_use_is_left_to_its_job(q, state):
    token = q.take("a")
    if state == "delayed":
        q.settle(later("a", token, 60_000))
    elif state == "dead":
        q.settle(bury("a", token))
    elif state != "active":
        q.settle(done("a", token))
    before = q.job("a"), q.place("a"), q.result("a")
    reject, id = rejected(q, id="a")
    assert id == reject.ulid
    assert (q.job("a"), q.place("a"), q.result("a")) == before


def test_two_invalid_payloads_of_one_id_are_both_dead(q):
    q.push("{", "[")
    claim = q.claim()
    first, second = (Reject(id, "a") for id in claim.ids)
    assert q.reject(claim.token, first, second) == ["a", second.ulid]
    assert q.redis.zcard(q.key("dead")) == 2


def test_a_second_time_nothing_happens(q):
    q.push("{")
    claim = q.claim()
    reject = Reject(claim.ids[0], "a", reply_to="inbox")
    assert q.reject(claim.token, reject) == ["a"]
    assert q.reject(claim.token, reject) == [""]
    assert len(q.replies("inbox")) == 1


def test_another_token_rejects_nothing(q):
    q.push("{")
    claim = q.claim()
    assert q.reject("other", Reject(claim.ids[0], "a")) == [""]
    assert q.members("active") == claim.ids


def test_a_claim_whose_bytes_went_back_rejects_nothing(q1):
    q1.push("{")
    claim = q1.claim()
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    assert q1.reject(claim.token, Reject(claim.ids[0])) == [""]
    assert q1.redis.llen(q1.key("jobs")) == 1


def test_of_no_payloads_does_nothing(q):
    assert q.reject("T") == []
    assert q.redis.keys("*") == []


def test_a_mixed_claim_is_admitted_and_rejected_apart(q):
    q.push("{}", "{", "{}")
    claim = q.claim()
    assert q.reject(claim.token, Reject(claim.ids[1], "bad")) == ["bad"]
    assert sorted(q.members("active")) == sorted([claim.ids[0], claim.ids[2]])
