"""dead_retry: an operator sends dead jobs round again."""
from lua_lib import MIB, Reject, done, unread


def test_a_dead_job_is_due_now_with_fresh_counters(q):
    q.kill("a", attempts=5, throttles=7)
    assert q.dead_retry("a") == [1]
    assert q.place("a") == ["delayed"] and q.result("a") is None
    job = q.job("a")
    assert (job["attempts"], job["throttles"], job["recoveries"]) == ("0", "0", "0")
    assert "cause" not in job and "died" not in job
    [item] = q.claim().items
    assert (item.id, item.payload, item.attempts) == ("a", unread("a").encode(), 0)
    assert q.counts()["dead_retried"] == "1"


def test_its_new_result_is_pushed_again(q):
    q.kill("a", reply_to="inbox")
    q.dead_retry("a")
    q.settle(done("a", q.claim().token, reply_to="inbox"))
    assert len(q.replies("inbox")) == 2


def test_what_was_no_job_goes_back_to_be_read_again(q):
    q.push("{", "waiting")
    claim = q.claim(want=1)
    [id] = q.reject(claim.token, Reject(claim.ids[0]))
    assert q.dead_retry(id) == [1]
    assert q.redis.lrange(q.key("jobs"), 0, -1) == [b"waiting", b"{"]
    assert (q.job(id), q.result(id)) == ({}, None)


def test_an_empty_payload_goes_back_too(q):
    q.push("")
    claim = q.claim()
    [id] = q.reject(claim.token, Reject(claim.ids[0]))
    assert q.dead_retry(id) == [1]
    assert q.redis.lrange(q.key("jobs"), 0, -1) == [b""]


def test_only_the_dead_are_retried(q):
    token = q.take("active", "done")
    q.settle(done("done", token))
    q.delay("delayed", 60_000)
    assert q.dead_retry("active", "done", "delayed", "unknown", "") == [0] * 5
    assert q.result("done")


def test_of_no_ids_does_nothing(q):
    assert q.dead_retry() == []


def test_a_dead_job_without_its_hash_is_forgotten(q):
    q.kill("a")
    q.redis.delete(q.key("job:a"))
    q.evicted.add("a")
    assert q.dead_retry("a") == [0]
    assert q.members("dead") == [] and q.result("a")


def test_moves_a_mebibyte_of_payloads_beyond_the_first(q1):
    q1.push(*[b"b" * 400_000] * 5)
    ids = []
    for _ in range(5):
        claim = q1.claim()
        ids += q1.reject(claim.token, Reject(claim.ids[0]))
    assert q1.dead_retry(*ids) == [1, 1, 1, 2, 2]
    assert sorted(q1.members("dead")) == sorted(ids[3:])
    assert q1.dead_retry(*ids) == [0, 0, 0, 1, 1]


def test_a_payload_of_any_size_goes_back(q):
    q.push(b"b" * (4 * MIB))
    claim = q.claim()
    [id] = q.reject(claim.token, Reject(claim.ids[0]))
    assert q.dead_retry(id) == [1]
    assert q.redis.llen(q.key("jobs")) == 1
