"""renew: living workers keep what is theirs, and nothing else."""
from lua_lib import LEASE_MS, Admission, done, later


def test_a_lease_runs_anew(q):
    token = q.take("a")
    q.pass_ms(LEASE_MS - 5000)
    assert q.renew(("a", token)) == []
    assert q.score("active", "a") >= q.now() + LEASE_MS - 5000


def test_an_unread_payload_is_kept_too(q):
    q.push("1")
    claim = q.claim()
    q.pass_ms(LEASE_MS - 5000)
    assert q.renew((claim.ids[0], claim.token)) == []
    q.pass_ms(LEASE_MS - 5000)
    assert q.tick().recovered == 0


def test_of_no_jobs_does_nothing(q):
    assert q.renew() == []
    assert q.redis.keys("*") == []


def test_says_which_are_no_longer_this_tokens(q):
    token = q.take("a", "b", "c", "d")
    q.settle(done("b", token), later("d", token, 60_000))
    before = q.score("active", "c")
    q.pass_ms(10_000)
    assert q.renew(("a", token), ("b", token), ("c", "other"), ("d", token), ("x", token)) == [
        2, 3, 4, 5]
    assert q.score("active", "c") == before - 10_000
    assert q.members("active") == ["c", "a"]


def test_a_scheduled_job_is_not_made_active_by_its_admitter(q):
    q.push("1")
    claim = q.claim()
    q.admit(claim.token, Admission(claim.ids[0], "a", start=60_000, start_is="in"))
    assert q.renew(("a", claim.token)) == [1]
    assert q.place("a") == ["delayed"]


def test_a_recovered_job_is_lost_to_its_old_holder(q1):
    token = q1.take("a")
    q1.pass_ms(LEASE_MS + 1)
    q1.tick()
    assert q1.renew(("a", token)) == [1]
    other = q1.claim().token
    assert q1.renew(("a", token), ("a", other)) == [1]


def test_a_lease_that_ran_out_unseen_is_still_its_holders(q):
    token = q.take("a")
    q.pass_ms(LEASE_MS + 5000)
    assert q.renew(("a", token)) == []
    assert q.tick().recovered == 0


def test_a_place_in_active_that_someone_deleted_comes_back(q1):
    token = q1.take("a")
    q1.redis.zrem(q1.key("active"), "a")
    assert q1.renew(("a", token)) == []
    assert q1.place("a") == ["active"]


def test_renews_a_hundred_at_once(q):
    ids = [f"j{i}" for i in range(100)]
    token = q.take(*ids)
    assert q.renew(*((id, token) for id in ids)) == []
