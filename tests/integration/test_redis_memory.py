"""What grows has an end: dead jobs."""
from fleet import Fleet
from simlib import wait_until


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
