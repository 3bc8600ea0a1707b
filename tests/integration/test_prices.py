"""Prices: the built-in table, or a user's file in its place, for workers and for the command line."""
import signal
import subprocess

import pytest
from clilib import SOME_FAILED, USAGE, run, run_json
from fleet import Fleet
from simlib import SLACK, build_dir, wait_until

MODEL = "claude-sonnet-5"


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.tsv"
    path.write_text(f"# mine\n{MODEL}\t0\t1000\t2000\n")
    return path


def cost_of(fleet, name):
    fleet.push({"id": name, "prompt": "hello", "max_tokens": 20})
    result = fleet.result(name)
    return result["cost_usd"], result["usage"]["input_tokens"] / 1e6, result["usage"]["output_tokens"] / 1e6


def test_a_file_of_prices_takes_the_place_of_the_built_in_ones_and_is_read_again(prices):
    with Fleet(latency="constant:5") as fleet:
        worker = fleet.worker(prices_file=prices)
        cost, tokens_in, tokens_out = cost_of(fleet, "a")
        assert cost == pytest.approx(1000 * tokens_in + 2000 * tokens_out)
        prices.write_text(f"{MODEL}\t0\t10\t20\n")
        worker.signal(signal.SIGHUP)
        worker.wait_event("reloaded")
        cost, tokens_in, tokens_out = cost_of(fleet, "b")
        assert cost == pytest.approx(10 * tokens_in + 20 * tokens_out)
        prices.write_text(f"{MODEL}\t0\tdear\n")
        worker.signal(signal.SIGHUP)
        assert "prices.tsv: line 1: input" in worker.wait_event("reload_refused")["why"]
        cost, tokens_in, tokens_out = cost_of(fleet, "c")
        assert cost == pytest.approx(10 * tokens_in + 20 * tokens_out)
        prices.write_text("other\t0\t1\t2\n")
        worker.signal(signal.SIGHUP)
        wait_until(lambda: len(worker.events("reloaded")) == 2, 10, "the second reload")
        assert cost_of(fleet, "d")[0] is None


def test_a_file_of_prices_that_makes_no_sense_is_refused_at_the_start(prices):
    prices.write_text("nothing\n")
    with Fleet() as fleet:
        done = subprocess.run([str(build_dir() / "penstock-worker"), f"--prices-file={prices}"], text=True,
                              capture_output=True, env=fleet.env(), timeout=30 * SLACK, check=False)
        assert done.returncode == 2 and f"PENSTOCK_PRICES_FILE: {prices}: line 1: " in done.stderr


def test_the_command_line_reckons_by_the_same_file(prices, tmp_path):
    (tmp_path / "in.txt").write_text("x\n" * 10)
    words = ("run", tmp_path / "in.txt", "--text", "--dry-run", "--max-output", "1000")
    with Fleet() as fleet:
        env = fleet.env(PENSTOCK_PRICES_FILE=prices)
        plan = run_json(fleet, *words, env=env)
        assert plan["cost_usd_most"] == pytest.approx(20 + plan["input_tokens_about"] / 1000, rel=0.02)
        assert run_json(fleet, *words)["cost_usd_most"] < 1
        about = {f["about"]: f for f in run_json(fleet, "check", env=env)["findings"]}
        assert str(prices) in about["prices"]["text"] and about["prices"]["level"] == "ok"
        prices.unlink()
        run(fleet, *words, env=env, code=USAGE)
        assert f"PENSTOCK_PRICES_FILE: {prices}: No such file" in run.err
        found = run_json(fleet, "check", env=env, code=SOME_FAILED)["findings"]
        assert ("wrong", "prices") in {(f["level"], f["about"]) for f in found}
