"""What deploy/ has for those who watch: Prometheus' rules and Grafana's board agree with the worker."""
import json
import re
import shutil
import subprocess

import pytest

from adminlib import Admin
from fleet import Fleet
from simlib import ROOT

RULES = ROOT / "deploy" / "prometheus"
BOARD = ROOT / "deploy" / "grafana" / "penstock.json"
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is missing")


def promtool(*words):
    run = subprocess.run(["promtool", *words], cwd=RULES, text=True, capture_output=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def expressions():
    """Every query of the board, its variables filled in as Grafana would."""
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$job", ".*").replace("$__rate_interval", "1m")


@needs_promtool
def test_each_alert_fires_for_what_it_says_and_for_nothing_else():
    assert "SUCCESS: 12 rules" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml")


def test_each_alert_has_a_test():
    alerts = re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text())
    tests = (RULES / "alerts.test.yml").read_text()
    assert len(alerts) == 10
    for alert in alerts:
        fires = re.search(rf"alertname: {alert}\n\s+exp_alerts:", tests)
        assert fires and re.search(rf"alertname: {alert}}}", tests), f"{alert}: one that fires and one that does not"


@needs_promtool
def test_the_queries_of_the_board_are_promql(tmp_path):
    rules = [{"record": f"panel_{n}", "expr": expr} for n, (_, expr) in enumerate(expressions())]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))  # JSON is YAML
    assert f"SUCCESS: {len(rules)} rules" in promtool("check", "rules", str(file))


def test_rules_and_board_name_metrics_that_the_worker_tells():
    named = set(re.findall(r"\b(?:penstock|process)_\w+", (RULES / "alerts.yml").read_text()))
    for _, expr in expressions():
        named |= set(re.findall(r"\b(?:penstock|process)_\w+", expr))
    with Fleet(rpm=600) as fleet:
        admin = Admin(fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}))
        fleet.push({"id": "a", "prompt": "x"})
        fleet.result("a")
        text = admin.ask("GET", "/metrics")[2]
    told = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    missing = {n for n in named if n not in told and re.sub("_(bucket|sum|count)$", "", n) not in told}
    assert not missing, f"no such metric: {missing}"


def test_the_panels_of_the_board_do_not_lie_over_each_other():
    board = json.loads(BOARD.read_text())
    cells = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert cells.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
