"""The verbs that look on: tail, export, limits."""
import json
import time

import pytest
from clilib import TIMEOUT, USAGE, json_lines, run, start
from fleet import Fleet
from simlib import SLACK, wait_until

POOL = "anthropic:main:claude-sonnet-5"


@pytest.fixture(scope="module")
def fleet():
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=8, queues="default,other")
        yield fleet


def start_tail(fleet, *words, queue="default"):
    """A tail that has begun: the queue's key says so."""
    fleet.r.delete(fleet.key("tail", queue))
    tail = start(fleet, "tail", *words)
    wait_until(lambda: fleet.r.exists(fleet.key("tail", queue)), 20, "the tail to begin")
    return tail


def test_tail_prints_results_as_they_come_and_steals_from_no_reader(fleet):
    fleet.push({"id": "before", "prompt": "x"})
    fleet.result("before")
    tail = start_tail(fleet, "--count", "3")
    fleet.push(*[{"id": f"t{n}", "prompt": "x", "reply_to": "inbox"} for n in range(3)])
    out, err = tail.communicate(timeout=60 * SLACK)
    assert tail.returncode == 0, err
    assert {r["id"] for r in json_lines(out)} == {"t0", "t1", "t2"}
    assert all(r == fleet.peek(r["id"]) for r in json_lines(out))
    assert fleet.r.llen(fleet.key("reply:inbox")) == 3


def test_tail_can_follow_one_run_or_one_status_and_several_may_follow(fleet):
    of_run = start_tail(fleet, "--run", "nightly", "--count", "1", "--text")
    failed = start_tail(fleet, "--status", "failed", "--count", "1")
    fleet.push({"id": "u1", "prompt": "x"}, {"id": "u2", "prompt": "x", "run": "nightly"},
               '{"id":"u3","prompt":5}')
    out, err = of_run.communicate(timeout=60 * SLACK)
    assert out.strip() == fleet.peek("u2")["text"], err
    out, err = failed.communicate(timeout=60 * SLACK)
    assert [r["id"] for r in json_lines(out)] == ["u3"] and json_lines(out)[0]["error"]["type"] == "invalid_job"


def test_tail_ends_in_time_and_nothing_is_written_for_nobody(fleet):
    assert run(fleet, "tail", "--queue", "other", "--timeout", "300ms") == ""
    run(fleet, "tail", "--queue", "other", "--timeout", "300ms", "--count", "1", code=TIMEOUT)
    ttl = fleet.r.pttl(fleet.key("tail", "other"))
    assert 0 < ttl <= 20000  # then workers stop telling
    fleet.r.delete(fleet.key("tail", "other"))
    fleet.push({"id": "o1", "prompt": "x"}, queue="other")
    fleet.result("o1", queue="other")
    assert not fleet.r.exists(fleet.key("ended", "other"))
    run(fleet, "tail", "--status", "good", code=USAGE)
    run(fleet, "tail", "--count", "0", code=USAGE)
    run(fleet, "tail", "other", code=USAGE)


def test_export_gives_each_result_once_by_run_and_by_status(fleet, tmp_path):
    queue = {"queue": "other"}
    fleet.push(*[{"id": f"e{n}", "prompt": "x", "run": "exp" if n % 2 else "exp2"} for n in range(40)], **queue)
    fleet.push('{"id":"e-bad","prompt":5,"run":"exp"}', **queue)
    wait_until(lambda: fleet.r.exists(*[fleet.key(f"result:e{n}", "other") for n in range(40)],
                                      fleet.key("result:e-bad", "other")) == 41, 30, "41 results")
    every = json_lines(run(fleet, "export", "--queue", "other"))
    ids = [r["id"] for r in every]
    assert len(ids) == len(set(ids)) and {f"e{n}" for n in range(40)} | {"e-bad"} <= set(ids)
    of_run = json_lines(run(fleet, "export", "--queue", "other", "--run", "exp", "--status", "succeeded"))
    assert {r["id"] for r in of_run} == {f"e{n}" for n in range(1, 40, 2)}
    out = tmp_path / "out.jsonl"
    assert run(fleet, "export", "--queue", "other", "-o", str(out), "--run", "exp2") == ""
    assert "20 written" in run.err and len(json_lines(out.read_text())) == 20
    dead = json_lines(run(fleet, "export", "--queue", "other", "--dead"))
    assert [(d["id"], d["cause"], d["payload"]) for d in dead] == [
        ("e-bad", "invalid_job", '{"id":"e-bad","prompt":5,"run":"exp"}')]
    run(fleet, "export", "--dead", "--run", "exp", code=USAGE)
    run(fleet, "export", "-o", str(tmp_path / "no" / "where"), code=USAGE)


def test_limits_shows_the_ledger_and_an_own_limit_paces_the_fleet():
    with Fleet(latency="constant:5", rpm=60000, burst_s=1) as fleet:
        assert json.loads(run(fleet, "limits", "--json")) == {} and "no pool yet" in run.err
        fleet.worker(concurrency=32)
        fleet.push({"id": "l", "prompt": "x"})
        fleet.result("l")
        wait_until(lambda: "requests" in json.loads(run(fleet, "limits", "--json")).get(POOL, {}), 20,
                   "the limit")
        assert json.loads(run(fleet, "limits", "--json"))[POOL]["requests"]["limit"] == 60000
        shown = json.loads(run(fleet, "limits", "set", POOL, "requests=1200", "--json"))
        assert shown[POOL]["requests"]["override"] == 1200  # twenty a second
        began = time.monotonic()
        fleet.push(*[{"id": f"l{n}", "prompt": "x"} for n in range(100)])
        fleet.results([f"l{n}" for n in range(100)])
        # At 20 a second; what had been granted before (32 at most) goes at once.
        assert time.monotonic() - began > 2.5
        assert "override" in run(fleet, "limits", POOL)
        run(fleet, "limits", "clear", POOL)
        fields = fleet.pool()
        assert not [f for f in fields if "override" in f]
        fleet.push(*[{"id": f"m{n}", "prompt": "x"} for n in range(60)])
        fleet.results([f"m{n}" for n in range(60)])
        for words in (["set", POOL], ["set", POOL, "calls=5"], ["set", POOL, "requests=0"],
                      ["set", POOL, "requests=1e3"], ["set", "a{b", "requests=5"], ["clear"],
                      ["clear", POOL, "calls"], ["a{b"]):
            run(fleet, "limits", *words, code=USAGE)
        assert not [f for f in fleet.pool() if "override" in f]
