"""claim: what it takes, in which order, how much, and for whom."""
import pytest
import redis

from lua_lib import LARGE, LEASE_MS, MIB, Admission, bury, done, later, unread


def payloads(claim):
    return [item.payload for item in claim.items]


def test_of_an_empty_queue_takes_nothing(q):
    claim = q.claim()
    assert (claim.items, claim.next_due, claim.waiting, claim.why) == ([], -1, 0, "")
    assert q.redis.keys("*op:*") == []


def test_leases_a_waiting_payload_under_a_claim_id(q):
    q.push("some bytes")
    claim = q.claim()
    [item] = claim.items
    assert item.claimed and len(item.id) == 27
    assert (item.payload, item.bytes) == (b"some bytes", 10)
    assert claim.now + LEASE_MS <= q.score("active", item.id) <= q.now() + LEASE_MS
    job = q.job(item.id)
    assert (job["payload"], job["token"], job["worker"]) == ("some bytes", claim.token, "w1")
    assert q.redis.llen(q.key("jobs")) == 0


def test_keeps_many_leases_in_a_skip_list_and_nothing_else_in_it(q):
    q.push(*("{" for _ in range(20)))
    claim = q.claim()
    assert q.redis.object("encoding", q.key("active")) == b"skiplist"
    assert sorted(q.members("active")) == sorted(claim.ids)
    q.admit(claim.token, *(Admission(id, f"j{i}") for i, id in enumerate(claim.ids)))
    assert q.redis.object("encoding", q.key("active")) == b"skiplist"
    assert sorted(q.members("active")) == sorted(f"j{i}" for i in range(20))


def test_takes_bytes_that_are_no_text(q):
    raw = bytes(range(256)) + b"\0 \r\n"
    q.push(raw, b"")
    assert payloads(q.claim()) == [raw, b""]


def test_takes_what_was_pushed_first_first(q):
    q.push("1", "2", "3")
    assert payloads(q.claim()) == [b"1", b"2", b"3"]


def test_takes_a_payload_pushed_on_the_right_next(q):
    q.push("1", "2")
    q.redis.rpush(q.key("jobs"), "next")
    assert payloads(q.claim()) == [b"next", b"1", b"2"]


def test_takes_no_more_than_it_is_asked_for(q):
    q.push("1", "2", "3")
    claim = q.claim(want=2)
    assert payloads(claim) == [b"1", b"2"]
    assert claim.waiting == 1


def test_takes_what_is_due_before_what_waits_and_the_earliest_first(q):
    for id, ms in (("late", 20_000), ("early", 10_000), ("ahead", 60_000)):
        q.delay(id, ms)
    q.push("waiting")
    q.pass_ms(30_000)
    claim = q.claim()
    assert claim.ids[:2] == ["early", "late"]
    assert payloads(claim)[2:] == [b"waiting"]
    assert claim.next_due == q.score("delayed", "ahead")


def test_gives_a_due_job_with_its_counters(q):
    token = q.take("a", pushed_at=1000, expiry=10**13)
    q.settle(later("a", token, 0, why="throttle", attempts=2, throttles=3))
    [item] = q.claim().items
    assert (item.id, item.payload) == ("a", unread("a").encode())
    assert (item.attempts, item.throttles, item.recoveries) == (2, 3, 0)
    assert (item.created, item.expires_at, item.cancelled) == (1000, 10**13, False)


def test_says_when_the_next_is_due_and_how_many_wait(q):
    q.delay("a", 5000)
    q.push("1", "2", "3")
    claim = q.claim(want=1)
    assert claim.waiting == 2
    assert claim.next_due == q.score("delayed", "a")


def test_of_a_paused_queue_takes_nothing_and_says_so(q):
    q.delay("a")
    q.pass_ms(20_000)
    q.push("1")
    q.redis.set(q.key("paused"), "lunch")
    claim = q.claim()
    assert (claim.items, claim.why, claim.waiting) == ([], "paused", 1)


def test_of_a_paused_queue_still_takes_what_is_to_be_cancelled(q):
    q.delay("a", 60_000)
    q.redis.set(q.key("paused"), "lunch")
    q.redis.sadd(q.key("cancel"), "a")
    claim = q.claim()
    assert claim.ids == ["a"] and claim.items[0].cancelled


def test_of_a_newer_version_takes_nothing_and_says_so(q):
    q.push("1")
    q.redis.set(q.key("version"), "2")
    q.redis.sadd(q.key("cancel"), "a")
    claim = q.claim()
    assert (claim.items, claim.why) == ([], "version")
    assert q.redis.get(q.key("version")) == b"2"


def test_marks_a_queue_with_its_version(q):
    q.claim()
    assert q.redis.get(q.key("version")) == b"1"


def test_with_room_for_none_takes_only_what_is_to_be_cancelled(q):
    q.delay("a", 60_000)
    q.delay("due")
    q.pass_ms(20_000)
    q.push("1")
    q.redis.sadd(q.key("cancel"), "a", "unknown")
    claim = q.claim(want=0)
    assert claim.ids == ["a"] and claim.items[0].cancelled


def test_marks_a_due_job_that_is_to_be_cancelled_however_many_others_are(q1):
    q1.redis.sadd(q1.key("cancel"), *(f"x{i}" for i in range(5000)))
    q1.delay("a")
    q1.pass_ms(20_000)
    q1.redis.sadd(q1.key("cancel"), "a")
    [item] = q1.claim().items
    assert item.cancelled


def test_takes_a_hundred_at_most(q1):
    q1.push(*(str(i) for i in range(1000)))
    assert len(q1.claim(want=1000).items) == 100
    assert len(q1.claim(want=100).items) == 100
    assert q1.redis.llen(q1.key("jobs")) == 800


def test_takes_a_hundred_due_jobs_at_most(q1):
    ids = [f"j{i:03d}" for i in range(200)]
    for at in range(0, 200, 50):
        token = q1.take(*ids[at:at + 50])
        q1.settle(*(later(id, token, 10_000) for id in ids[at:at + 50]))
    q1.pass_ms(20_000)
    q1.push("waiting")
    first, second = q1.claim(want=200), q1.claim(want=100)
    assert len(first.ids) == len(second.ids) == 100
    assert sorted(first.ids + second.ids) == ids
    assert payloads(q1.claim()) == [b"waiting"]


def test_gives_a_large_payload_alone_and_not_through_lua(q):
    big = b"b" * (LARGE + 1)
    q.push(big, "small")
    claim = q.claim()
    [item] = claim.items
    assert (item.payload, item.bytes) == (None, LARGE + 1)
    assert q.redis.hget(q.key("job:" + item.id), "payload") == big
    assert payloads(q.claim()) == [b"small"]


def test_gives_the_largest_that_is_not_large_through_lua(q):
    q.push(b"b" * LARGE)
    assert payloads(q.claim()) == [b"b" * LARGE]


def test_a_large_payload_that_comes_unforeseen_ends_the_batch(q):
    q.push("small", b"b" * (LARGE + 1), "after")
    claim = q.claim()
    assert [item.bytes for item in claim.items] == [5, LARGE + 1]
    assert claim.waiting == 1


def test_a_payload_of_megabytes_that_comes_unforeseen_waits_for_its_own_claim(q):
    big = b"b" * (4 * MIB)
    q.push("small", big, "after")
    assert payloads(q.claim()) == [b"small"]
    claim = q.claim()
    assert [item.bytes for item in claim.items] == [4 * MIB]
    assert payloads(q.claim()) == [b"after"]


def test_takes_a_first_payload_of_any_size(q1):
    q1.push(b"b" * (32 * MIB))
    assert [item.bytes for item in q1.claim().items] == [32 * MIB]


@pytest.mark.parametrize("size", [4000, LARGE, LARGE + 1, 100 * 1024, 700_000])
def test_moves_no_more_than_a_mebibyte_beyond_the_first(q1, size):
    q1.push(*([b"s" * 100] * 20 + [b"b" * size] * 120))
    taken = 0
    while True:
        sizes = [item.bytes for item in q1.claim(want=100).items]
        if not sizes:
            break
        assert sum(sizes[1:]) <= MIB
        taken += len(sizes)
    assert taken == 140


def test_small_payloads_before_a_large_one_stay_within_a_mebibyte(q1):
    q1.push(*([b"s" * LARGE] * 15 + [b"b" * (MIB - 1)]))
    sizes = [item.bytes for item in q1.claim().items]
    assert sum(sizes[1:]) <= MIB


def test_moves_64_kib_of_small_payloads(q1):
    q1.push(*[b"b" * LARGE] * 64)
    assert len(q1.claim().items) == 5


def test_moves_due_jobs_within_the_same_bounds(q1):
    for i in range(40):
        q1.push(b"b" * LARGE)
        claim = q1.claim()
        q1.admit(claim.token, Admission(claim.ids[0], f"j{i}"))
        q1.settle(later(f"j{i}", claim.token, 10_000))
    q1.pass_ms(20_000)
    assert len(q1.claim().items) == 5


def test_a_large_due_job_goes_alone(q):
    q.delay("a", 10_000)
    q.push(b"b" * (LARGE + 1))
    claim = q.claim(want=1)
    q.admit(claim.token, Admission(claim.ids[0], "big"))
    q.settle(later("big", claim.token, 15_000))
    q.delay("c", 20_000)
    q.pass_ms(25_000)
    assert [q.claim().ids for _ in range(3)] == [["a"], ["big"], ["c"]]


def test_the_same_token_again_gets_what_it_holds(q):
    q.delay("due")
    q.pass_ms(20_000)
    q.push("1", "2", b"b" * (LARGE + 1), "3")
    claim = q.claim(want=10)
    again = q.claim(want=10, token=claim.token)
    assert again.items == claim.items
    assert q.redis.llen(q.key("jobs")) == 1


def test_the_same_token_again_does_not_get_what_is_done(q):
    q.delay("a")
    q.delay("b")
    q.pass_ms(20_000)
    claim = q.claim()
    q.settle(done("a", claim.token))
    assert q.claim(token=claim.token).ids == ["b"]


def test_the_same_token_again_while_nothing_was_there_takes_what_came(q):
    claim = q.claim()
    q.push("1")
    assert payloads(q.claim(token=claim.token)) == [b"1"]


def test_the_same_token_after_its_lease_loses_no_payload(q1):
    """The answer was lost, the worker was away for longer than its lease, and no one recovered."""
    q1.push("1", "2", "3")
    first = q1.claim(want=2, token="T", id_stem="0" * 23)
    q1.pass_ms(LEASE_MS + 1)
    second = q1.claim(want=2, token="T", id_stem="0" * 23)
    assert payloads(second) == [b"3"]
    assert {q1.job(id)["payload"] for id in first.ids} == {"1", "2"}


def test_two_tokens_with_one_stem_lose_no_payload(q):
    """ULIDs of one millisecond differ in their last characters only."""
    q.push("1", "2", "3", "4")
    first = q.claim(want=2, id_stem="01ARZ3NDEKTSV4RRFFQ69G5")
    second = q.claim(want=2, id_stem="01ARZ3NDEKTSV4RRFFQ69G5")
    assert payloads(first) + payloads(second) == [b"1", b"2", b"3", b"4"]
    assert not set(first.ids) & set(second.ids)


def test_leaves_a_delayed_job_without_its_hash(q1):
    q1.delay("a")
    q1.delay("b")
    q1.pass_ms(20_000)
    q1.redis.delete(q1.key("job:a"))
    q1.evicted.add("a")
    assert q1.claim().ids == ["b"]
    assert q1.place("a") == []
    assert q1.counts()["vanished"] == "1"


def test_leaves_the_dead_alone(q):
    q.kill("a")
    assert q.claim().items == []


def test_a_dead_job_of_the_same_id_is_no_bar_to_a_claim(q):
    token = q.take("a")
    q.settle(bury("a", token))
    q.push('{"id":"a"}')
    assert len(q.claim().items) == 1


@pytest.mark.parametrize("name", ["active", "delayed", "dead"])
def test_takes_nothing_while_a_set_is_of_another_type(q, name):
    q.push("1", "2")
    q.redis.set(q.key(name), "a stranger's")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        q.claim()
    assert q.redis.llen(q.key("jobs")) == 2
    q.redis.delete(q.key(name))
    assert len(q.claim().items) == 2
