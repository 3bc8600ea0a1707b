"""penstock dead: dead letters listed, shown, retried and dropped: by id, by cause, by age, by run."""
import pytest
from clilib import SOME_FAILED, USAGE, run, run_json
from fleet import Fleet
from simlib import wait_until

DAY_MS = 86400000
# id: cause, run, days since it died
DEAD = {"a": ("timeout", "nightly", 0), "b": ("timeout", "weekly", 3), "c": ("crash", "nightly", 3),
        "d": ("invalid_job", "nightly", 9), "e": ("crash", None, 0)}
FILTERS = {"--cause timeout": "ab", "--cause crash --run nightly": "c", "--run nightly": "acd",
           "--older 2d": "bcd", "--older 2d --cause timeout": "b", "--older 30d": "", "--all": "abcde",
           "--run nobody": ""}


@pytest.fixture
def busy():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=8)
        yield fleet


@pytest.fixture
def bare():
    """Redis and the simulator, no worker; five dead letters."""
    with Fleet() as fleet:
        now = int(fleet.r.time()[0]) * 1000
        for name, (cause, of_run, days) in DEAD.items():
            payload = '{"prompt":"x"' + (f',"run":"{of_run}"' if of_run else "") + "}"
            died = now - days * DAY_MS
            fleet.r.zadd(fleet.key("dead"), {name: died})
            fleet.r.hset(fleet.key(f"job:{name}"), mapping={
                "payload": payload, "state": "dead", "cause": cause, "died": died})
        yield fleet


@pytest.mark.parametrize("words, ids", FILTERS.items())
def test_dead_letters_are_chosen_by_cause_by_age_and_by_run(bare, words, ids):
    words, ids = words.split(), set(ids)
    kept = set(DEAD) - ids
    assert set(run_json(bare, "dead", "list", *words)) == ids
    counted = run_json(bare, "dead", "list", *words, "--dry-run")
    causes = [DEAD[i][0] for i in ids]
    assert counted == {"matching": len(ids), "causes": {c: causes.count(c) for c in causes}}
    for verb, did in (("retry", "retried"), ("drop", "dropped")):
        assert run_json(bare, "dead", verb, *words, "--dry-run") == {
            did: len(ids), "not_dead": 0, "dry_run": True}
        assert f"would have {len(ids)} {did}" in run(bare, "dead", verb, *words, "--dry-run")
        assert bare.depth() == {"jobs": 0, "delayed": 0, "active": 0, "dead": 5}
    assert run_json(bare, "dead", "retry", *words)["retried"] == len(ids)
    assert set(bare.r.zrange(bare.key("dead"), 0, -1)) == kept
    assert set(bare.r.zrange(bare.key("delayed"), 0, -1)) == ids


@pytest.mark.parametrize("words, ids", FILTERS.items())
def test_what_is_dropped_is_gone_and_the_others_stay(bare, words, ids):
    assert run_json(bare, "dead", "drop", *words.split())["dropped"] == len(ids)
    assert set(bare.r.zrange(bare.key("dead"), 0, -1)) == set(DEAD) - set(ids)
    assert {i for i in DEAD if bare.job(i)} == set(DEAD) - set(ids)


def test_counts_of_named_letters_leave_out_those_that_are_not_dead(bare):
    for verb, did in (("retry", "retried"), ("drop", "dropped")):
        assert run_json(bare, "dead", verb, "a", "nobody", "--dry-run", code=SOME_FAILED) == {
            did: 1, "not_dead": 1, "dry_run": True}
    assert bare.depth()["dead"] == 5
    assert "matching           5" in run(bare, "dead", "list", "--dry-run")
    run(bare, "dead", "list", "a", code=USAGE)
    assert "penstock dead show a" in run.err
    assert run(bare, "dead", "show", "nobody", code=SOME_FAILED) == ""
    assert "penstock dead list" in run.err
    run(bare, "dead", "list", "--older", "soon", code=USAGE)
    assert "30m" in run.err


def test_dead_letters_are_listed_shown_retried_and_dropped(busy):
    busy.sim.config(fail={"400": 1.0})
    busy.push(*[{"id": f"d{n}", "prompt": "x", "run": "bad" if n % 2 else "worse"}
                for n in range(4)], '{"prompt":1,"id":"broken"}')
    wait_until(lambda: busy.depth()["dead"] == 5, 10, "five dead jobs")
    assert set(run_json(busy, "dead", "list")) == {"d0", "d1", "d2", "d3", "broken"}
    assert list(run_json(busy, "dead", "list", "--cause", "invalid_job")) == ["broken"]
    assert set(run_json(busy, "dead", "list", "--run", "bad")) == {"d1", "d3"}
    assert run_json(busy, "dead", "list", "--older", "1h") == {}
    assert len(run_json(busy, "dead", "list", "--limit", "2")) == 2
    shown = run_json(busy, "dead", "show", "broken")
    assert shown["cause"] == "invalid_job" and shown["payload"] == '{"prompt":1,"id":"broken"}'
    assert "invalid_request" in run(busy, "dead")
    run(busy, "dead", "retry", code=USAGE)
    run(busy, "dead", "burn", code=USAGE)

    assert run_json(busy, "dead", "retry", "--run", "bad", "--dry-run")["retried"] == 2
    assert busy.depth()["dead"] == 5
    busy.sim.config(fail={"400": 0})
    assert run_json(busy, "dead", "retry", "--run", "bad")["retried"] == 2
    assert {r["status"] for r in busy.results(["d1", "d3"]).values()} == {"succeeded"}
    assert run_json(busy, "dead", "retry", "d0", "d1", code=SOME_FAILED) == {
        "retried": 1, "not_dead": 1, "dry_run": False}
    assert run_json(busy, "dead", "drop", "--all")["dropped"] == 2
    assert busy.depth()["dead"] == 0 and not busy.job("broken")


def test_more_dead_letters_than_a_page_are_all_moved(bare):
    run(bare, "dead", "drop", "--all")
    pipe = bare.r.pipeline()
    for n in range(250):
        pipe.zadd(bare.key("dead"), {f"d{n}": 1000 + n})
        pipe.hset(bare.key(f"job:d{n}"), mapping={"payload": '{"prompt":"x"}', "state": "dead",
                                                  "cause": "timeout" if n % 3 else "crash"})
    pipe.execute()
    assert run_json(bare, "dead", "retry", "--cause", "timeout")["retried"] == 166
    assert bare.depth() == {"jobs": 0, "delayed": 166, "active": 0, "dead": 84}
    assert run_json(bare, "dead", "drop", "--cause", "crash", "--older", "1s")["dropped"] == 84
    assert bare.depth()["dead"] == 0
