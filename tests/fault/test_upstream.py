"""An API that drops, hangs, truncates, talks nonsense or means harm."""
import pytest

from fleet import Fleet
from simlib import wait_until
from test_crash import everything_ended_once

FAULTS = ["500", "529", "reset", "reset-mid", "truncate", "garbage", "html", "empty"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_third_of_the_calls_break_and_every_job_ends_well(fault):
    with Fleet(latency="uniform:5-20", fail={fault: 0.3}) as fleet:
        fleet.worker(concurrency=8, backoff_base_ms=20, backoff_cap_ms=100, max_attempts=30)
        ids = [f"{fault}-{n}" for n in range(60)]
        fleet.push(*[{"id": i, "prompt": f"p {i}"} for i in ids])
        results = everything_ended_once(fleet, ids, timeout_s=60)
        assert any(r["attempts"] > 1 for r in results.values())
        assert {r["throttles"] for r in results.values()} == {0}


def test_a_call_that_hangs_is_given_up_at_its_time_and_its_slot_is_free():
    with Fleet(latency="constant:10") as fleet:
        fleet.sim.config(fail={"timeout": 1.0})
        fleet.worker(concurrency=1, max_attempts=2, backoff_base_ms=10, backoff_cap_ms=20)
        fleet.push({"id": "h", "prompt": "x", "timeout_ms": 400})
        result = fleet.result("h", timeout_s=15)
        assert result["status"] == "failed" and result["error"]["type"] == "timeout"
        assert result["attempts"] == 2
        fleet.sim.config(fail={})
        fleet.push({"id": "next", "prompt": "y"})
        assert fleet.result("next")["status"] == "succeeded"


def test_a_redirect_is_not_followed():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {}, "status": 302, "times": 9, "body": "",
                          "headers": {"location": "http://169.254.169.254/latest/meta-data/"}})
        fleet.worker(max_attempts=1)
        fleet.push({"id": "r", "prompt": "x"})
        result = fleet.result("r")
        assert result["status"] == "failed" and result["error"]["http_status"] == 302
        assert "redirect" in result["error"]["message"].lower()


def test_an_answer_above_its_ceiling_is_cut_off_and_the_next_job_is_served():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {"contains": "huge"}, "status": 200, "times": 1, "headers": {},
                          "body": "x" * 3_000_000})
        fleet.worker(max_answer_bytes=1_000_000)
        fleet.push({"id": "big", "prompt": "huge"}, {"id": "next", "prompt": "y"})
        assert fleet.result("next")["status"] == "succeeded"
        assert fleet.result("big")["error"]["type"] == "bad_answer"


def test_a_flood_of_nonsense_neither_loops_nor_holds_up_the_next_good_job():
    with Fleet(latency="constant:5") as fleet:
        worker = fleet.worker()
        fleet.push(*["nonsense %d" % n for n in range(20000)], {"id": "good", "prompt": "x"})
        assert fleet.result("good", timeout_s=60)["status"] == "succeeded"
        wait_until(lambda: fleet.depth()["dead"] == 20000, 30, "the dead letters")
        assert len(worker.text()) < 100_000, "no flood in the log"
