"""The worker's pages: metrics, health, the API behind the dashboard, and what no client can do."""
import json
import shutil
import signal
import subprocess
import threading
import time

import pytest

from adminlib import Admin
from fleet import Fleet
from simlib import SLACK, build_dir, wait_until

ANY = {"PENSTOCK_HTTP": "127.0.0.1:0"}
POOL = "anthropic:main:claude-sonnet-5"


@pytest.fixture
def fleet():
    with Fleet(latency=20) as fleet:
        yield fleet


@pytest.fixture
def admin(fleet):
    return Admin(fleet.worker(env=ANY, queues="default:3,bulk:1"))


def start_refused(fleet, **env):
    run = subprocess.run([build_dir() / "penstock-worker"], env=fleet.env(**env), text=True,
                         capture_output=True, timeout=20 * SLACK)
    lines = [line for line in run.stderr.splitlines() if not line.startswith("{")]
    assert run.returncode == 2 and len(lines) == 1, run.stderr
    return lines[0]


def ids(n, head="job"):
    return [f"{head}-{i}" for i in range(n)]


def push_all(fleet, names, **fields):
    queue = fields.pop("queue", None)
    fleet.push(*[{"id": i, "prompt": i, **fields} for i in names], queue=queue)


# Metrics

def test_metrics_count_what_was_done(fleet, admin):
    push_all(fleet, ids(20))
    fleet.push("{not json")
    fleet.results(ids(20))
    wait_until(lambda: admin.metric("penstock_jobs_finished_total", queue="default",
                                    status="succeeded") == 20, what="20 in the metrics")
    assert admin.metric("penstock_jobs_finished_total", queue="bulk") == 0
    assert admin.metric("penstock_api_responses_total", pool=POOL, status="200") == 20
    assert admin.metric("penstock_pool_open", pool=POOL) == 1
    assert admin.metric("penstock_api_call_seconds_count") == 20
    assert admin.metric("penstock_queue_wait_seconds_count") == 20
    assert admin.metric("penstock_output_tokens_per_answer_count") == 20
    stats = fleet.r.hgetall(fleet.key("stats"))
    assert admin.metric("penstock_tokens_total", kind="output") == float(stats["output_tokens"])
    assert admin.metric("penstock_cost_usd_total") == pytest.approx(float(stats["cost_usd"]))
    wait_until(lambda: admin.metric("penstock_jobs_finished_total", status="failed") == 1,
               what="the one that is no job")
    assert admin.metric("penstock_redis_up") == 1 and admin.metric("penstock_ready") == 1


def test_depths_of_every_queue_are_told(fleet, admin):
    fleet.r.set(fleet.key("paused"), "a test")
    fleet.r.set(fleet.key("paused", "bulk"), "a test")
    wait_until(lambda: admin.metric("penstock_queue_paused") == 2, what="both to be paused")
    push_all(fleet, ids(7))
    push_all(fleet, ids(3), queue="bulk")
    fleet.r.zadd(fleet.key("dead"), {"x": 1})
    depth = "penstock_queue_depth"
    wait_until(lambda: admin.metric(depth, queue="default", state="waiting") == 7, what="7 waiting")
    wait_until(lambda: admin.metric(depth, queue="bulk", state="waiting") == 3, what="3 waiting")
    assert admin.metric(depth, queue="default", state="dead") == 1


def test_a_shut_pool_is_told_with_its_cause(fleet, admin):
    fleet.sim.script({"preset": "auth"})
    push_all(fleet, ["a"])
    wait_until(lambda: admin.metric("penstock_pool_shut_cause", cause="auth") == 1, what="auth")
    assert admin.metric("penstock_pool_open", pool=POOL) == 0
    assert admin.metric("penstock_pool_opens_in_seconds", pool=POOL) > 1
    pool, = admin.json("/api/pools")["pools"]
    assert pool["cause"] == "auth" and not pool["open"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is missing")
def test_promtool_finds_nothing_to_say(fleet, admin):
    push_all(fleet, ids(3))
    fleet.results(ids(3))
    text = admin.ask("GET", "/metrics")[2]
    run = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, timeout=60,
                         capture_output=True)
    assert run.returncode == 0 and not (run.stdout + run.stderr), run.stdout + run.stderr


def test_labels_are_bounded(fleet):
    names = [f"q{i}" for i in range(130)]
    admin = Admin(fleet.worker(env=ANY, queues=",".join(names)))
    push_all(fleet, ids(2), queue="q129", run_at=4102444800000)
    wait_until(lambda: admin.metric("penstock_queue_depth", queue="other", state="delayed") == 2,
               what="the sum of the others")
    queues = {labels["queue"] for labels, _ in admin.metrics()["penstock_queue_depth"]}
    assert len(queues) == 101


# Health

def test_readiness_follows_redis_and_the_drain(fleet):
    worker = fleet.worker(env=ANY)
    admin = Admin(worker)
    assert admin.status("/readyz") == 200 and admin.status("/healthz") == 200
    fleet.redis.kill()
    began = time.monotonic()
    wait_until(lambda: admin.status("/readyz") == 503, 3, "not ready")
    assert time.monotonic() - began < 3 * SLACK
    assert admin.status("/healthz") == 200, "it lives, and tries again"
    fleet.redis.start()
    wait_until(lambda: admin.status("/readyz") == 200, 10, "ready again")
    fleet.sim.config(latency=1500)
    push_all(fleet, ["slow"])
    wait_until(lambda: admin.metric("penstock_in_flight") == 1, what="a call")
    worker.signal(signal.SIGTERM)
    wait_until(lambda: admin.status("/readyz") == 503, 1, "not ready while it drains")


def test_readiness_follows_a_redis_that_is_there_and_says_nothing(fleet):
    admin = Admin(fleet.worker(env=ANY))
    assert admin.status("/readyz") == 200
    fleet.redis.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        wait_until(lambda: admin.status("/readyz") == 503, 6, "not ready")
        assert time.monotonic() - began < 6 * SLACK, "the link itself gives up after ten seconds"
        assert "does not answer" in admin.ask("GET", "/readyz")[2]
    finally:
        fleet.redis.process.send_signal(signal.SIGCONT)
    wait_until(lambda: admin.status("/readyz") == 200, 10, "ready again")


def test_the_health_check_asks_the_running_worker(fleet):
    admin = Admin(fleet.worker(env=ANY))
    check = [build_dir() / "penstock-worker", "--healthcheck"]
    good = subprocess.run(check, env=fleet.env(PENSTOCK_HTTP=f"127.0.0.1:{admin.port}"), timeout=20)
    assert good.returncode == 0
    bad = subprocess.run(check, env=fleet.env(PENSTOCK_HTTP="127.0.0.1:1"), timeout=20,
                         capture_output=True, text=True)
    assert bad.returncode == 1 and "127.0.0.1:1" in bad.stderr


# The address

def test_an_address_beyond_loopback_needs_a_token(fleet):
    assert "PENSTOCK_HTTP_TOKEN" in start_refused(fleet, PENSTOCK_HTTP="0.0.0.0:0")


def test_a_named_port_that_is_taken_is_refused(fleet, admin):
    said = start_refused(fleet, PENSTOCK_HTTP=f"127.0.0.1:{admin.port}")
    assert "in use" in said


def test_the_token_guards_all_but_health_and_the_empty_page(fleet):
    worker = fleet.worker(env={**ANY, "PENSTOCK_HTTP_TOKEN": "let-me-in"})
    stranger, friend = Admin(worker), Admin(worker, token="let-me-in")
    for path in ("/metrics", "/api/overview", "/api/dead?queue=default", "/events"):
        assert stranger.status(path) == 401, path
    assert Admin(worker, token="let-me-i").status("/metrics") == 401
    assert Admin(worker, token="let-me-inn").status("/metrics") == 401
    assert friend.status("/metrics") == 200 and friend.events(1)
    assert [stranger.status(path) for path in ("/healthz", "/readyz", "/")] == [200] * 3
    assert "/metrics" in stranger.ask("GET", "/")[2]
    assert "let-me-in" not in worker.text()


# The API

def test_a_dead_job_is_listed_retried_and_dropped(fleet, admin):
    fleet.sim.config(fail={"400": 1})
    push_all(fleet, ["bad-1", "bad-2"])
    dead = wait_until(lambda: (d := admin.json("/api/dead?queue=default"))["count"] == 2 and d,
                      what="two dead")
    assert {job["id"] for job in dead["jobs"]} == {"bad-1", "bad-2"}
    assert {job["cause"] for job in dead["jobs"]} == {"invalid_request"}
    fleet.sim.config(fail={})
    assert admin.act("/api/dead/retry", queue="default", ids=["bad-1"])["done"] == 1
    wait_until(lambda: (fleet.peek("bad-1") or {}).get("status") == "succeeded", what="bad-1")
    assert admin.act("/api/dead/drop", queue="default", ids=["bad-2", "no-such"])["done"] == 1
    assert fleet.depth()["dead"] == 0
    lines = fleet.workers[0].events("admin_action")
    assert [line["action"].split()[0] for line in lines] == ["dead_retry", "dead_drop"]
    assert all(line["who"].endswith("127.0.0.1") and line["result"] == "done" for line in lines)


def test_a_queue_and_a_pool_can_be_paused_and_resumed(fleet, admin):
    push_all(fleet, ["first"])
    fleet.result("first")
    admin.act("/api/queues/pause", queue="default", reason="<b>lunch</b>")
    assert fleet.r.get(fleet.key("paused")) == "<b>lunch</b>"
    wait_until(lambda: admin.metric("penstock_queue_paused", queue="default"), what="paused")
    admin.act("/api/queues/resume", queue="default")
    assert not fleet.r.exists(fleet.key("paused"))
    admin.act("/api/pools/pause", pool=POOL)
    wait_until(lambda: admin.metric("penstock_pool_shut_cause", cause="paused"), what="shut")
    push_all(fleet, ["second"])
    admin.act("/api/pools/resume", pool=POOL)
    fleet.result("second")


def test_a_limit_of_ones_own_is_set_beside_the_apis_and_taken_away(fleet, admin):
    fleet.sim.config(rpm=6000)
    push_all(fleet, ["first"])
    fleet.result("first")
    admin.act("/api/pools/limit", pool=POOL, kind="requests", per_minute=120)
    assert fleet.pool()["requests_override"] == "120"
    told = wait_until(lambda: (p := admin.json("/api/pools")["pools"][0])["overrides"] and p, what="the override")
    assert told["overrides"] == {"requests": 120} and told["quota"]["requests"]["limit_per_minute"] == 6000
    admin.act("/api/pools/limit", pool=POOL, kind="requests", per_minute=None)
    assert "requests_override" not in fleet.pool()
    for bad in ({"kind": "cost", "per_minute": 1}, {"kind": "input", "per_minute": 0}, {"kind": "input"},
                {"kind": "input", "per_minute": 1.5}, {"kind": "input", "per_minute": "9"}):
        assert admin.ask("POST", "/api/pools/limit", {"pool": POOL, **bad}, X_Penstock="1")[0] == 400, bad
    assert admin.ask("POST", "/api/pools/limit", {"pool": "no:such:pool", "kind": "input", "per_minute": 1},
                     X_Penstock="1")[0] == 404
    actions = [line["action"] for line in fleet.workers[0].events("admin_action")]
    assert actions == [f"limit pool {POOL} requests 120", f"limit pool {POOL} requests none"]


def test_a_limit_for_a_ledger_that_has_just_expired_goes_in_time_as_well(fleet, admin):
    push_all(fleet, ["first"])
    fleet.result("first")
    fleet.r.set(fleet.key("paused"), "no call may renew it")
    for per_minute in (120, None):
        fleet.r.delete(f"penstock:pool:{{{POOL}}}")
        admin.act("/api/pools/limit", pool=POOL, kind="input", per_minute=per_minute)
        left = fleet.r.pttl(f"penstock:pool:{{{POOL}}}")
        assert left > 6 * 86_400_000 if per_minute else left == -2


def test_the_budgets_of_the_day_are_told(fleet):
    admin = Admin(fleet.worker(env={**ANY, "PENSTOCK_BUDGET_USD": "5", "PENSTOCK_BUDGET_TOKENS": "1000000"}))
    push_all(fleet, ids(5))
    fleet.results(ids(5))
    def told():
        pools = admin.json("/api/pools")["pools"]
        return pools and pools[0]["budgets"].get("usd", {}).get("spent") and pools[0]["budgets"]
    budgets = wait_until(told, what="what was spent")
    assert budgets["usd"]["limit"] == 5 and 0 < budgets["usd"]["spent"] < 5
    assert budgets["tokens"]["limit"] == 1000000 and not budgets["usd"]["lifted"]


def test_a_job_tells_its_life_and_its_payload_only_when_asked(fleet, admin):
    fleet.sim.script({"status": 500, "body": {}}, )
    fleet.push({"id": "x", "prompt": "<script>secret</script>"})
    fleet.result("x", 20)
    told = wait_until(lambda: (j := admin.json("/api/job?queue=default&id=x"))["result_bytes"] and j)
    assert [call["verdict"] for call in told["calls"]] == ["done", "retry"]
    assert json.loads(told["result"])["status"] == "succeeded" and "payload" not in told
    fleet.r.set(fleet.key("paused"), "")
    fleet.push({"id": "y", "prompt": "<script>secret</script>", "run_at": 4102444800000})
    fleet.r.delete(fleet.key("paused"))
    wait_until(lambda: fleet.job("y", "state") == "delayed", what="y to be scheduled")
    told = wait_until(lambda: admin.ask("GET", "/api/job?queue=default&id=y&payload=1")[2])
    assert "<script>secret" in json.loads(told)["payload"]
    wait_until(lambda: admin.status("/api/job?queue=default&id=none") == 404, what="a 404")
    admin.act("/api/cancel", queue="default", id="y")
    assert fleet.result("y")["status"] == "cancelled"


def cancelled(admin):
    """What the overview says of the run that is being cancelled, once it has ended."""
    return wait_until(lambda: (k := admin.json("/api/overview")["cancelling"]) and k["done"] and k, 30,
                      what="the end of it")


def test_a_run_is_cancelled_wherever_its_jobs_are_and_no_other_job_is(fleet):
    admin = Admin(fleet.worker(env=ANY, concurrency=2))
    fleet.sim.config(latency=600000)
    active, later, waiting = ids(2, "active"), ids(700, "later"), ids(450, "waiting")
    push_all(fleet, active, run="night")
    wait_until(lambda: admin.metric("penstock_in_flight") == 2, what="two calls")
    fleet.r.set(fleet.key("paused"), "what follows waits")
    wait_until(lambda: admin.metric("penstock_queue_paused") == 1, what="the pause")
    for job in later:
        fleet.r.hset(fleet.key(f"job:{job}"), mapping={"state": "delayed", "run": "night", "due": 4102444800000,
                     "payload": json.dumps({"id": job, "prompt": job, "run": "night"})})
        fleet.r.zadd(fleet.key("delayed"), {job: 4102444800000})
    push_all(fleet, ids(150, "other"), run="day")
    push_all(fleet, waiting, run="night")
    fleet.push({"prompt": "no id yet", "run": "night"}, "{not json", {"id": "plain", "prompt": "night"})
    assert admin.act("/api/runs/cancel", queue="default", run="night") == {"begun": True}
    said = cancelled(admin)
    all_ = active + later + waiting
    assert (said["run"], said["asked"], said["unnamed"], said["error"]) == ("night", len(all_), 1, "")
    results = fleet.results(all_)
    assert {r["status"] for r in results.values()} == {"cancelled"}
    assert not any(fleet.peek(i) for i in ids(150, "other") + ["plain"])
    lines = fleet.workers[0].events("admin_action")
    assert [line["action"] for line in lines] == ["cancel run night of queue default"] * 2
    assert [line["result"] for line in lines] == ["begun", f"done, {len(all_)} jobs"]
    assert all(line["who"].endswith("127.0.0.1") for line in lines)


def test_one_run_at_a_time_is_cancelled_and_nonsense_is_refused(fleet, admin):
    def ask(**body):
        return admin.ask("POST", "/api/runs/cancel", body, X_Penstock="1")[0]
    assert [ask(queue="no-such", run="r"), ask(queue="default"), ask(queue="default", run="no name")] == [404, 400, 400]
    fleet.r.set(fleet.key("paused"), "what follows waits")
    wait_until(lambda: admin.metric("penstock_queue_paused") == 1, what="the pause")
    push_all(fleet, ids(30000), run="r")
    assert [ask(queue="default", run="r"), ask(queue="default", run="r")] == [200, 409]
    assert cancelled(admin)["asked"] == 30000
    assert ask(queue="default", run="r") == 200, "again, now that it has ended"
    cancelled(admin)


def test_a_worker_that_ends_while_it_cancels_a_run_ends_cleanly(fleet):
    worker = fleet.worker(env=ANY)
    admin = Admin(worker)
    fleet.r.set(fleet.key("paused"), "what follows waits")
    push_all(fleet, ids(30000), run="r")
    admin.act("/api/runs/cancel", queue="default", run="r")
    assert worker.drain() == 0


def test_actions_of_other_sites_and_of_readers_are_refused(fleet, admin):
    body = {"queue": "default"}
    own = f"http://127.0.0.1:{admin.port}"
    path = "/api/queues/pause"
    assert admin.ask("POST", path, body)[0] == 403
    assert admin.ask("POST", path, body, X_Penstock="1", Origin="https://evil.example")[0] == 403
    assert admin.ask("POST", path, body, X_Penstock="1", Sec_Fetch_Site="cross-site")[0] == 403
    assert admin.ask("GET", "/api/overview", Host="evil.example")[0] == 421
    assert admin.ask("OPTIONS", path, Origin="https://evil.example")[0] == 405
    assert not fleet.r.exists(fleet.key("paused"))
    assert admin.ask("POST", path, body, X_Penstock="1", Origin=own)[0] == 200
    reader = Admin(fleet.worker(env={**ANY, "PENSTOCK_HTTP_READONLY": "yes"}))
    assert reader.ask("POST", "/api/queues/resume", body, X_Penstock="1")[0] == 403
    assert fleet.r.exists(fleet.key("paused"))
    for path in ("queues/pause", "queues/resume", "pools/pause", "pools/resume", "pools/limit", "dead/retry",
                 "dead/drop", "cancel", "runs/cancel"):
        assert reader.ask("POST", f"/api/{path}", {**body, "run": "r"}, X_Penstock="1")[0] == 403, path
        assert admin.ask("POST", f"/api/{path}", {**body, "run": "r"})[0] == 403, path


def test_watchers_get_a_moment_each_second_and_cost_redis_little(fleet, admin):
    push_all(fleet, ids(5), run="night")
    fleet.results(ids(5))
    first, second = admin.events(2)[0], admin.events(4)[-1]
    assert second["now"] > first["now"] and second["worker"]["ready"]
    assert second["totals"]["succeeded"] == 5
    run, = second["runs"]
    assert run["name"] == "night" and run["succeeded"] == 5
    fleet.r.config_resetstat()
    admin.events(4)
    looks = sum(v["calls"] for k, v in fleet.r.info("commandstats").items()
                if k in ("cmdstat_zrevrange", "cmdstat_hgetall"))
    assert looks < 4 * 8, "a look a second, whatever the viewers"


def test_runs_that_other_workers_met_are_told_too(fleet):
    fleet.worker()
    push_all(fleet, ids(5), run="night")
    fleet.results(ids(5))
    admin = Admin(fleet.worker(env=ANY))
    with admin.connect() as watcher:  # so that it looks each second
        watcher.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        run, = wait_until(lambda: admin.json("/api/runs")["runs"], 30, what="the run")
    assert (run["queue"], run["name"], run["succeeded"]) == ("default", "night", 5)


def test_questions_to_redis_are_capped(admin):
    said = [admin.status("/api/dead?queue=default") for _ in range(30)]
    assert 429 in said and said[0] == 200 and set(said) <= {200, 429}


# Traces

def test_a_trace_comes_back_in_the_result_and_stands_in_the_log(fleet):
    worker = fleet.worker(env={**ANY, "PENSTOCK_LOG_LEVEL": "debug"})
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    meta = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "user": 7}
    fleet.sim.script({"match": {"contains": "bad"}, "status": 400, "body": {}})
    fleet.push({"id": "good", "prompt": "x", "meta": meta}, {"id": "bad", "prompt": "bad", "meta": meta},
               {"id": "plain", "prompt": "x", "meta": {"traceparent": "nonsense"}})
    results = fleet.results(["good", "bad", "plain"])
    assert results["good"]["meta"] == meta and results["bad"]["meta"] == meta
    ended = wait_until(lambda: (e := worker.events("call_ended")) and len(e) >= 3 and e, what="three calls")
    traces = {line["job"]: line.get("trace_id") for line in ended}
    assert traces == {"good": trace, "bad": trace, "plain": None}
    assert [line["trace_id"] for line in worker.events("job_failed")] == [trace]


# Hostile clients

def test_stalled_clients_hold_up_no_job_and_no_one_else(fleet, admin):
    whole = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    kinds = [b"GET /metrics HTTP/1.1\r\nX: ", b"", b"GET /metrics" + whole * 50, b"GET /events" + whole,
             b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 10000,
             b"POST /api/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{"]
    stalled = [admin.connect() for _ in range(200)]
    try:
        for n, sock in enumerate(stalled):
            try:
                sock.sendall(kinds[n % len(kinds)])  # and never reads
            except OSError:
                pass  # closed already, to make room
        busy, began = admin.metric("penstock_admin_busy_seconds_total"), time.monotonic()
        push_all(fleet, ids(200))
        fleet.results(ids(200), 15)
        time.sleep(max(0, began + 2 - time.monotonic()))
        assert admin.status("/healthz") == 200
        assert admin.metric("penstock_admin_connections") <= 66
        busy = admin.metric("penstock_admin_busy_seconds_total") - busy
        assert busy < 0.2 * (time.monotonic() - began), "they take a tenth of the loop at the most"
    finally:
        for sock in stalled:
            sock.close()


def test_a_flood_of_requests_takes_a_small_part_of_the_loop_and_keeps_no_one_out(fleet, admin):
    flood = [admin.connect() for _ in range(32)]
    asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8
    end, done = time.monotonic() + 3, threading.Event()
    def ask_on(sock):
        try:
            while not done.is_set():
                sock.sendall(asked)
                sock.recv(1 << 20)
        except OSError:
            pass  # closed to make room
    threads = [threading.Thread(target=ask_on, args=(sock,)) for sock in flood]
    try:
        for thread in threads:
            thread.start()
        began, busy = time.monotonic(), admin.metric("penstock_admin_busy_seconds_total")
        push_all(fleet, ids(100))
        fleet.results(ids(100), 20)
        while time.monotonic() < end:
            assert admin.status("/healthz") == 200
        busy = admin.metric("penstock_admin_busy_seconds_total") - busy
        assert busy < 0.2 * (time.monotonic() - began), "a tenth, and a turn begun"
    finally:
        done.set()
        for sock in flood:
            sock.close()
        for thread in threads:
            thread.join()


def test_a_request_that_dribbles_is_ended(admin):
    sock = admin.connect()
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - began < 20 * SLACK:
            sock.sendall(b"a")
            time.sleep(0.1)
    sock.close()


def test_requests_too_large_are_refused(admin):
    sock = admin.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40000 + b"\r\n\r\n")
    assert sock.recv(64).split()[1] in (b"431", b"400", b"413")
    sock.close()
    try:
        assert admin.ask("POST", "/api/cancel", {"id": "a" * 100000}, X_Penstock="1")[0] >= 400
    except OSError:
        pass  # closed on us
    assert admin.status("/healthz") == 200
