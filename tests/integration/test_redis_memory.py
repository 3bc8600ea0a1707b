"""What grows has an end: dead jobs, and the payloads that a worker has in memory."""
from fleet import Fleet
from simlib import wait_until

MIB = 1 << 20


def test_dead_jobs_are_capped_and_what_was_dropped_is_counted():
    with Fleet() as fleet:
        fleet.worker(concurrency=16, max_dead=20)
        fleet.push(*[f"{{malformed {n}" for n in range(300)])
        wait_until(lambda: fleet.stat("failed") == 300, 30, "300 failures")
        wait_until(lambda: fleet.depth()["dead"] == 20, 30, "the cap")
        assert fleet.stat("dead_capped") == 280 and fleet.stat("invalid") == 300
        kept = fleet.r.zrange(fleet.key("dead"), 0, -1)
        assert all(fleet.r.exists(fleet.key(f"job:{one}")) for one in kept)
        assert len(list(fleet.r.scan_iter(fleet.key("job:*"), count=1000))) == 20


def large(n, mib):
    return {"id": f"large-{n}", "prompt": f"large-{n} " + "x" * (mib * MIB)}


def test_large_payloads_are_in_memory_a_few_at_a_time_whatever_the_concurrency():
    with Fleet(latency=200) as fleet:
        worker = fleet.worker(concurrency=16, max_inflight_bytes=8 * MIB)
        fleet.push(*[large(n, 3) for n in range(8)], *[{"id": f"small-{n}", "prompt": f"s{n}"} for n in range(8)])
        results = fleet.results([f"large-{n}" for n in range(8)] + [f"small-{n}" for n in range(8)], 60)
        assert all(r["status"] == "succeeded" for r in results.values())
        assert fleet.sim.stats()["repeats"] == 0
        large_at_once = most_at_once(fleet.sim.log(), "large")
        assert large_at_once <= 2, f"{large_at_once} payloads of 3 MiB in a budget of 8 MiB"
        assert not worker.events("lease_lost")


def test_a_payload_above_the_budget_runs_alone_and_drains():
    with Fleet(latency=200) as fleet:
        worker = fleet.worker(concurrency=8, max_inflight_bytes=MIB)
        fleet.push(*[large(n, 3) for n in range(3)])
        fleet.results([f"large-{n}" for n in range(3)], 60)
        assert most_at_once(fleet.sim.log(), "large") == 1
        fleet.push(*[large(n, 3) for n in range(3, 6)])
        fleet.sim.wait_for(4)
        assert worker.drain() == 0, "what was claimed and not yet read goes back, or is done"


def most_at_once(log, head):
    """How many of these calls were open at the same moment."""
    seen = sorted(edge for record in log if record["prompt_head"].startswith(head)
                  for edge in ((record["t_ms"], 1), (record["t_ms"] + 200, -1)))
    most = now = 0
    for _, step in sorted(seen, key=lambda edge: (edge[0], edge[1])):
        now += step
        most = max(most, now)
    return most
