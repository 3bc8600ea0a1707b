"""admit: ids, duplicates, start times, expiry, cancelling."""
import pytest
import redis

from lua_lib import LEASE_MS, MIB, TTL_MS, Admission, bury, done, later, unread


def push_and_claim(q, *payloads):
    q.push(*payloads)
    return q.claim(want=len(payloads))


def admit_one(q, id, **more):
    claim = push_and_claim(q, unread(id))
    [answer] = q.admit(claim.token, Admission(claim.ids[0], id, **more))
    return claim, answer


def whats(answers):
    return [(answer.code, answer.expires_at) for answer in answers]


def test_leases_a_job_under_its_id(q):
    claim, answer = admit_one(q, "a", run="r")
    assert (answer.code, answer.expires_at) == ("active", -1)
    assert q.members("active") == ["a"]
    assert q.score("active", "a") >= claim.now + LEASE_MS
    job = q.job("a")
    assert job["payload"] == unread("a")
    assert (job["token"], job["worker"], job["created"]) == (claim.token, "w1", str(claim.items[0].created))
    assert 0 <= q.now() - claim.items[0].created < 5000
    assert q.counts()["admitted"] == q.counts("run:r")["admitted"] == "1"


def test_admits_a_batch_in_order(q):
    claim = push_and_claim(q, *map(str, range(64)))
    answers = q.admit(claim.token, *(Admission(id, f"j{i}") for i, id in enumerate(claim.ids)))
    assert [answer.code for answer in answers] == ["active"] * 64
    assert q.job("j63")["payload"] == "63"
    assert sorted(q.members("active")) == sorted(f"j{i}" for i in range(64))


def test_of_no_jobs_does_nothing(q):
    assert q.admit("T") == []
    assert q.redis.keys("*") == []


def test_a_claim_whose_bytes_went_back_is_lost(q1):
    claim = push_and_claim(q1, "1")
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    [answer] = q1.admit(claim.token, Admission(claim.ids[0], "a"))
    assert answer.code == "lost"
    assert q1.redis.lrange(q1.key("jobs"), 0, -1) == [b"1"]


def test_a_claim_whose_bytes_went_to_another_is_lost(q1):
    claim = push_and_claim(q1, "1")
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    other = q1.claim()
    q1.admit(other.token, Admission(other.ids[0], "a"))
    [answer] = q1.admit(claim.token, Admission(claim.ids[0], "a"))
    assert answer.code == "lost"
    assert q1.job("a")["token"] == other.token


def test_a_second_time_answers_the_same(q):
    claim = push_and_claim(q, *"1234")
    jobs = [Admission(claim.ids[0], "a"), Admission(claim.ids[1], "b", start=60_000, start_is="in"),
            Admission(claim.ids[2], "c", pushed_at=1000, expiry=5, expiry_is="in"),
            Admission(claim.ids[3], "d")]
    q.redis.sadd(q.key("cancel"), "d")
    first = q.admit(claim.token, *jobs)
    assert [answer.code for answer in first] == ["active", "delayed", "expired", "cancelled"]
    assert whats(q.admit(claim.token, *jobs)) == whats(first)


def test_a_second_time_after_the_end_is_lost(q):
    claim, _ = admit_one(q, "a")
    q.settle(done("a", claim.token))
    [answer] = q.admit(claim.token, Admission(claim.ids[0], "a"))
    assert answer.code == "lost"
    assert q.members("active") == []


def test_a_claim_whose_bytes_went_back_is_lost_though_its_twin_is_held(q1):
    """Two payloads of one claim name the same id; one is admitted, the other's lease runs out."""
    claim = push_and_claim(q1, "1", "2")
    q1.pass_ms(LEASE_MS - 5000)
    q1.admit(claim.token, Admission(claim.ids[0], "a"))
    q1.pass_ms(6000)
    assert q1.tick().recovered == 1
    [answer] = q1.admit(claim.token, Admission(claim.ids[1], "a"))
    assert answer.code == "lost"


# duplicates

def test_a_refused_command_moves_nothing_and_is_told(q1):
    q1.push("a", "b")
    claim = q1.claim()
    q1.redis.acl_setuser("default", enabled=True, commands=["-renamenx"])
    try:
        with pytest.raises(redis.exceptions.ResponseError, match="permission|run this command"):
            q1.admit(claim.token, Admission(claim.ids[0], "a"), Admission(claim.ids[1], "b"))
    finally:
        q1.redis.acl_setuser("default", enabled=True, commands=["+renamenx"])
    assert sorted(q1.members("active")) == sorted(claim.ids)
    answers = q1.admit(claim.token, Admission(claim.ids[0], "a"), Admission(claim.ids[1], "b"))
    assert [answer.code for answer in answers] == ["active", "active"]


def test_two_payloads_of_one_id_in_a_claim_run_once(q):
    claim = push_and_claim(q, "1", "2")
    jobs = [Admission(id, "a") for id in claim.ids]
    first = q.admit(claim.token, *jobs)
    assert [answer.code for answer in first] == ["active", "duplicate"]
    assert whats(q.admit(claim.token, *jobs)) == whats(first)  # a repeat must not start the second one either
    assert q.counts()["duplicates"] == "1"
    assert q.job("a")["payload"] == "1"


def test_the_repeat_of_a_duplicate_alone_does_not_start_it(q):
    claim = push_and_claim(q, "1", "2")
    first, second = (Admission(id, "a") for id in claim.ids)
    q.admit(claim.token, first)
    for _ in range(2):
        assert q.admit(claim.token, second)[0].code == "duplicate"


@pytest.mark.parametrize("state", ["active", "delayed"])
def test_a_duplicate_of_an_unfinished_job_gets_its_result_at_the_end(q, state):
    token = q.take("a")
    if state == "delayed":
        q.settle(later("a", token, 10_000))
    _, answer = admit_one(q, "a", reply_to="inbox", run="r")
    assert answer.code == "duplicate"
    assert q.replies("inbox") == []
    assert q.counts()["duplicates"] == q.counts("run:r")["duplicates"] == "1"
    if state == "delayed":
        q.pass_ms(20_000)
        token = q.claim().token
    q.settle(done("a", token, reply_to="own"))
    assert q.replies("inbox") == q.replies("own") == [q.result("a")]
    assert 0 < q.ttl("reply:inbox") <= TTL_MS


def test_a_list_named_twice_gets_the_result_once(q):
    token = q.take("a")
    for name in ("inbox", "inbox", "own"):
        admit_one(q, "a", reply_to=name)
    q.settle(done("a", token, reply_to="own"))
    assert q.replies("inbox") == q.replies("own") == [q.result("a")]


def test_a_duplicate_without_a_reply_list_leaves_nothing(q):
    token = q.take("a")
    before = q.job("a")
    admit_one(q, "a")
    assert q.job("a") == before
    q.settle(done("a", token))


@pytest.mark.parametrize("status", ["succeeded", "failed", "expired", "cancelled"])
def test_a_duplicate_of_a_finished_job_gets_the_result_at_once(q, status):
    token = q.take("a")
    end = bury("a", token) if status == "failed" else done("a", token, why=status)
    q.settle(end)
    _, answer = admit_one(q, "a", reply_to="inbox")
    assert answer.code == "duplicate"
    assert q.replies("inbox") == [q.result("a")]
    assert q.members("active") == []


def test_a_duplicate_of_a_finished_job_may_name_no_list(q):
    token = q.take("a")
    q.settle(done("a", token))
    assert admit_one(q, "a")[1].code == "duplicate"


def test_a_dead_job_whose_result_has_expired_runs_again(q):
    q.kill("a")
    q.redis.delete(q.key("result:a"))
    _, answer = admit_one(q, "a")
    assert answer.code == "active"
    assert q.place("a") == ["active"]
    assert "cause" not in q.job("a")


def test_a_finished_job_whose_result_has_expired_runs_again(q):
    token = q.take("a")
    q.settle(done("a", token))
    q.redis.delete(q.key("result:a"))
    assert admit_one(q, "a")[1].code == "active"


def test_hundreds_of_lists_get_the_one_result_bit_by_bit(q1):
    token = q1.take("a")
    lists = [f"inbox{i}" for i in range(600)]
    for at in range(0, 600, 100):
        claim = push_and_claim(q1, *["{}"] * 100)
        q1.admit(claim.token, *(Admission(id, "a", reply_to=name)
                                for id, name in zip(claim.ids, lists[at:at + 100])))
    q1.settle(done("a", token))
    assert sum(q1.replies(name) != [] for name in lists) == 250
    q1.tick()
    q1.tick()
    assert all(q1.replies(name) == [q1.result("a")] for name in lists)
    assert not q1.redis.exists(q1.key("owed"), q1.key("replies:a"))


def test_a_result_above_a_mebibyte_reaches_each_list_in_its_turn(q1):
    token = q1.take("a")
    for name in "xyz":
        admit_one(q1, "a", reply_to=name)
    q1.settle(done("a", token, value="r" * (MIB + 1)))
    assert [sum(q1.replies(name) != [] for name in "xyz"), q1.redis.scard(q1.key("owed"))] == [1, 1]
    q1.tick()
    q1.tick()
    assert [len(q1.replies(name)) for name in "xyz"] == [1, 1, 1]


def test_no_list_waits_for_a_job_without_its_hash(q1):
    q1.delay("a")
    admit_one(q1, "a", reply_to="inbox")
    q1.pass_ms(20_000)
    q1.redis.delete(q1.key("job:a"))
    q1.evicted.add("a")
    q1.claim()
    assert not q1.redis.exists(q1.key("waited"), q1.key("replies:a"))


def test_lists_that_are_owed_a_deleted_result_are_forgotten(q1):
    token = q1.take("a")
    for _ in range(3):
        claim = push_and_claim(q1, *["{}"] * 100)
        q1.admit(claim.token, *(Admission(id, "a", reply_to=f"x{id[-3:]}{claim.token}")
                                for id in claim.ids))
    q1.settle(done("a", token))
    q1.redis.delete(q1.key("result:a"))
    q1.tick()
    assert not q1.redis.exists(q1.key("owed"), q1.key("replies:a"))


def test_pushes_no_more_than_a_mebibyte_of_results_beyond_the_first(q1):
    token = q1.take("a")
    q1.settle(done("a", token, value="r" * 600_000))
    claim = push_and_claim(q1, *"1234")
    answers = q1.admit(claim.token, *(Admission(id, "a", reply_to="inbox") for id in claim.ids))
    assert [answer.code for answer in answers] == ["duplicate", "duplicate", "lost", "lost"]
    assert len(q1.replies("inbox")) == 2
    assert q1.redis.llen(q1.key("jobs")) == 2


def test_a_reply_key_that_is_no_list_stops_nothing(q):
    token = q.take("a", "b")
    q.redis.set(q.key("reply:odd"), "1", px=10_000)
    q.settle(done("a", token, reply_to="odd"), done("b", token, reply_to="inbox"))
    assert q.replies("inbox") == [q.result("b")]
    assert admit_one(q, "a", reply_to="odd")[1].code == "duplicate"


# times

@pytest.mark.parametrize("times, due", [
    ({"start": 500_000, "start_is": "at"}, 500_000),
    ({"start": 60_000, "start_is": "in"}, 60_000),
    ({"start": 60_000, "start_is": "in", "pushed_at": -20_000}, 40_000),
    ({"start": 60_000, "start_is": "in", "expiry": 30_000, "expiry_is": "in"}, 30_000),
    ({"start": 60_000, "start_is": "in", "expiry": 90_000, "expiry_is": "in"}, 60_000),
    ({"start": 60_000, "start_is": "in", "pushed_at": 900_000}, 60_000),  # clamped to now
])
def test_delays_a_job_whose_time_is_ahead(q, times, due):
    now = q.now()
    times = dict(times)
    if times.get("start_is") == "at":
        times["start"] += now
    if "pushed_at" in times:
        times["pushed_at"] += now
    _, answer = admit_one(q, "a", **times)
    assert answer.code == "delayed"
    assert q.place("a") == ["delayed"]
    assert abs(q.score("delayed", "a") - (now + due)) < 2000
    assert q.job("a")["due"] == str(q.score("delayed", "a"))
    assert q.job("a")["attempts"] == q.job("a")["throttles"] == "0"


@pytest.mark.parametrize("times", [
    {"start": 1000, "start_is": "at"},
    {"start": 60_000, "start_is": "in", "pushed_at": -70_000},
    {"expiry": 60_000, "expiry_is": "in"},
    {"start": 0, "start_is": "in"},
])
def test_runs_a_job_whose_time_has_come(q, times):
    times = dict(times)
    if "pushed_at" in times:
        times["pushed_at"] += q.now()
    assert admit_one(q, "a", **times)[1].code == "active"


@pytest.mark.parametrize("times, expires", [
    ({"expiry": 1000, "expiry_is": "at"}, 1000),
    ({"expiry": 500, "expiry_is": "in", "pushed_at": 1000}, 1500),
    ({"expiry": 0, "expiry_is": "at"}, 0),
    ({"expiry": 500, "expiry_is": "in", "pushed_at": 1000, "start": 60_000, "start_is": "at"}, 1500),
    ({"expiry": 1000, "start": 10**14, "start_is": "at"}, 1000),
])
def test_a_job_whose_time_ran_out_is_leased_to_be_settled(q, times, expires):
    claim, answer = admit_one(q, "a", **times)
    assert (answer.code, answer.expires_at) == ("expired", expires)
    assert q.place("a") == ["active"]
    assert q.settle(done("a", claim.token, why="expired")) == ["ok"]


def test_counts_from_when_it_was_pushed(q):
    pushed = q.now() - 10_000
    _, answer = admit_one(q, "a", pushed_at=pushed, expiry=60_000, expiry_is="in")
    assert (answer.created, answer.expires_at) == (pushed, pushed + 60_000)
    job = q.job("a")
    assert (job["created"], job["expires_at"]) == (str(pushed), str(pushed + 60_000))


def test_a_push_from_the_future_counts_from_now(q):
    _, answer = admit_one(q, "a", pushed_at=q.now() + 10**9, expiry=60_000, expiry_is="in")
    assert abs(answer.created - q.now()) < 5000
    assert answer.expires_at == answer.created + 60_000
    assert q.job("a")["created"] == str(answer.created)


def test_times_beyond_32_bits_of_seconds_are_exact(q):
    _, answer = admit_one(q, "a", start=2**53 - 1, expiry=2**53 - 1)
    assert answer.expires_at == 2**53 - 1
    assert q.job("a")["expires_at"] == q.job("a")["due"] == str(2**53 - 1)


# cancelling

def test_a_job_to_be_cancelled_is_leased_to_be_settled(q):
    q.redis.sadd(q.key("cancel"), "a")
    claim, answer = admit_one(q, "a")
    assert answer.code == "cancelled"
    assert q.place("a") == ["active"]
    q.settle(done("a", claim.token, why="cancelled"))
    assert q.redis.scard(q.key("cancel")) == 0


def test_a_delayed_job_to_be_cancelled_waits_for_the_next_claim(q):
    q.redis.sadd(q.key("cancel"), "a")
    assert admit_one(q, "a", start=60_000, start_is="in")[1].code == "delayed"
    assert q.claim(want=0).ids == ["a"]


def test_a_payload_that_was_cancelled_before_it_came_is_a_duplicate(q):
    q.redis.sadd(q.key("cancel"), "a")
    q.tick()
    _, answer = admit_one(q, "a", reply_to="inbox")
    assert answer.code == "duplicate"
    assert '"cancelled"' in q.replies("inbox")[0]


def test_a_claim_without_its_hash_is_lost_and_forgotten(q1):
    claim = push_and_claim(q1, "1")
    q1.redis.delete(q1.key("job:" + claim.ids[0]))
    q1.evicted.add(claim.ids[0])
    assert q1.admit(claim.token, Admission(claim.ids[0], "a"))[0].code == "lost"
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    assert q1.members("active") == []


def test_moves_a_payload_of_any_size(q):
    q.push(b"b" * (4 * MIB))
    claim = q.claim()
    q.admit(claim.token, Admission(claim.ids[0], "a"))
    assert q.redis.hstrlen(q.key("job:a"), "payload") == 4 * MIB


def test_lists_that_are_owed_a_deleted_result_get_the_next_one(q1):
    token = q1.take("a")
    for _ in range(3):
        claim = push_and_claim(q1, *["{}"] * 100)
        q1.admit(claim.token, *(Admission(id, "a", reply_to=f"x{id[-3:]}{claim.token}")
                                for id in claim.ids))
    q1.settle(done("a", token))
    q1.redis.delete(q1.key("result:a"))
    token = q1.take("a")
    q1.tick()
    q1.settle(done("a", token))
    assert len(q1.redis.keys("*reply:*")) == 300


@pytest.mark.parametrize("key", ["job:b", "result:b"])
def test_a_strangers_key_under_an_id_stops_that_payload_only_and_loses_none(q, key):
    claim = push_and_claim(q, *map(unread, "abc"))
    q.redis.rpush(q.key(key), "a stranger's")
    q.check = False  # until the stranger has gone
    answers = q.admit(claim.token, *(Admission(c, id) for c, id in zip(claim.ids, "abc")))
    q.redis.delete(q.key(key))
    q.check = True
    assert [answer.code for answer in answers] == ["active", "lost", "active"]
    q.pass_ms(LEASE_MS + 1)
    q.tick(recover=True)
    assert q.redis.lrange(q.key("jobs"), 0, -1) == [unread("b").encode()]


def test_a_set_of_another_type_leaves_every_payload_under_its_claim(q):
    claim = push_and_claim(q, unread("a"))
    q.redis.delete(q.key("delayed"))
    q.redis.set(q.key("delayed"), "a stranger's")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        q.admit(claim.token, Admission(claim.ids[0], "a"))
    q.redis.delete(q.key("delayed"))
    assert q.members("active") == claim.ids and q.job("a") == {}
