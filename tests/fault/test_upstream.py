"""An API that drops, hangs, truncates, talks nonsense or means harm."""
import pytest

from fleet import Fleet
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


def test_an_answer_above_its_ceiling_is_cut_off_and_the_next_job_is_served():
    with Fleet(latency="constant:5") as fleet:
        fleet.sim.script({"match": {"contains": "huge"}, "status": 200, "times": 1, "headers": {},
                          "body": "x" * 3_000_000})
        fleet.worker(max_answer_bytes=1_000_000)
        fleet.push({"id": "big", "prompt": "huge"}, {"id": "next", "prompt": "y"})
        assert fleet.result("next")["status"] == "succeeded"
        assert fleet.result("big")["error"]["type"] == "bad_answer"
