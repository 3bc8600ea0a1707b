"""The simulator itself: what it answers, what it refuses, how it breaks, and what it tells."""
import email.utils
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import pytest

from simlib import ROOT, SLACK, Sim, wait_until

KEY = {"x-api-key": "sk-1", "anthropic-version": "2023-06-01",
       "content-type": "application/json"}
MODEL = "claude-sonnet-4-5"


def body(prompt="Hello", **more):
    return {"model": MODEL, "max_tokens": 1000,
            "messages": [{"role": "user", "content": prompt}], **more}


class Client:
    """One keep-alive connection."""

    def __init__(self, sim, timeout_s=20):
        where = urllib.parse.urlsplit(sim.base_url)
        self.conn = http.client.HTTPConnection(where.hostname, where.port,
                                               timeout=timeout_s * SLACK)

    def __call__(self, payload=None, headers=KEY, method="POST", path="/v1/messages"):
        data = payload if isinstance(payload, (bytes, type(None))) else json.dumps(payload)
        self.conn.request(method, path, data, headers)
        answer = self.conn.getresponse()
        answer.data = answer.read()
        return answer


def ask(sim, *args, **kw):
    client = Client(sim)
    try:
        return client(*args, **kw)
    finally:
        client.conn.close()


def error_of(answer):
    error = json.loads(answer.data)
    assert error["type"] == "error"
    return error["error"]["type"], error["error"]["message"]


@pytest.fixture
def sim(request):
    """A simulator with the flags of @pytest.mark.parametrize("sim", [...], indirect=True)."""
    with Sim(**getattr(request, "param", {})) as one:
        yield one


def flags(**kw):
    return pytest.mark.parametrize("sim", [kw], indirect=True)


# Answers.

def test_an_answer_has_the_shape_and_the_headers_of_the_api(sim):
    answer = ask(sim, body("Tell me 中 \"x\"\n"))
    message = json.loads(answer.data)
    assert answer.status == 200
    assert answer.getheader("content-type") == "application/json"
    assert answer.getheader("request-id").startswith("req_01")
    assert answer.getheader("anthropic-organization-id")
    assert message["id"].startswith("msg_01") and message["type"] == "message"
    assert message["model"] == MODEL and message["stop_reason"] == "end_turn"
    assert message["content"][0]["text"].startswith("echo: Tell me 中 \"x\"\n #")
    assert message["usage"]["input_tokens"] > 5 and message["usage"]["output_tokens"] > 5
    assert 400 < len(answer.data) < 700


def test_the_same_question_gets_the_same_answer_and_counts_as_a_repeat(sim):
    texts = [json.loads(ask(sim, body(p)).data)["content"] for p in ("a", "b", "a")]
    assert texts[0] == texts[2] != texts[1]
    stats = sim.stats()
    assert (stats["accepted"], stats["repeats"]) == (3, 1)
    assert sim.seen("a")["answered"] == 2


def test_max_tokens_is_a_ceiling(sim):
    message = json.loads(ask(sim, body(max_tokens=3)).data)
    assert message["stop_reason"] == "max_tokens" and message["usage"]["output_tokens"] == 3


WRONG = [
    (dict(headers={**KEY, "x-api-key": ""}), 401, "authentication_error", "x-api-key header"),
    (dict(headers={k: v for k, v in KEY.items() if k != "anthropic-version"}), 400,
     "invalid_request_error", "anthropic-version"),
    (dict(headers={**KEY, "anthropic-version": "2020-01-01"}), 400, "invalid_request_error",
     "2020-01-01"),
    (dict(headers={**KEY, "content-type": "text/plain"}), 400, "invalid_request_error",
     "application/json"),
    (dict(payload=b"{\"model\":"), 400, "invalid_request_error", "not valid JSON"),
    (dict(payload={"model": MODEL, "messages": []}), 400, "invalid_request_error",
     "max_tokens: Field required"),
    (dict(payload=body(temperature=1), headers={**KEY, "anthropic-version": "2026-10-21"}), 400,
     "invalid_request_error", "temperature: Extra inputs are not permitted"),
    (dict(path="/v1/nothing"), 404, "not_found_error", "Not Found"),
    (dict(method="GET", payload=None), 405, "invalid_request_error", "Method Not Allowed"),
]


@pytest.mark.parametrize("how,status,kind,text", WRONG)
def test_a_wrong_request_gets_the_error_of_the_api(sim, how, status, kind, text):
    answer = ask(sim, **{"payload": body(), **how})
    assert answer.status == status
    got_kind, message = error_of(answer)
    assert got_kind == kind and text in message


def test_sampling_is_fine_with_the_old_version(sim):
    assert ask(sim, body(temperature=1)).status == 200


@flags(key=["a=sk-a", "b=sk-b,org=a"], require_key=True, rpm=2, burst_s=60)
def test_known_keys_only_and_an_organisation_shares_its_quota(sim):
    assert error_of(ask(sim, body()))[1] == "invalid x-api-key"
    bearer = {k: v for k, v in KEY.items() if k != "x-api-key"}
    assert ask(sim, body(), {**bearer, "authorization": "Bearer sk-a"}).status == 200
    assert ask(sim, body(), {**KEY, "x-api-key": "sk-b"}).status == 200
    assert ask(sim, body(), {**KEY, "x-api-key": "sk-a"}).status == 429
    stats = sim.stats()
    assert stats["accounts"] == {"a": {"requests": 2, "accepted": 1, "refused": 1},
                                 "b": {"requests": 1, "accepted": 1, "refused": 0}}
    assert sim.quota()["org"] == "a"


@flags(strict_models=True)
def test_models_are_listed_and_others_are_not_found(sim):
    listed = json.loads(ask(sim, method="GET", path="/v1/models").data)["data"]
    assert MODEL in [m["id"] for m in listed]
    answer = ask(sim, {**body(), "model": "claude-2"})
    assert answer.status == 404 and error_of(answer) == ("not_found_error", "model: claude-2")


def test_tokens_are_counted_for_free(sim):
    payload = body("x" * 3500)
    counted = json.loads(ask(sim, payload, path="/v1/messages/count_tokens").data)["input_tokens"]
    answered = json.loads(ask(sim, payload).data)["usage"]["input_tokens"]
    assert counted == answered and 1000 <= counted < 1030


def test_a_stream_has_its_events_in_order(sim):
    answer = ask(sim, body("s" * 300, stream=True))
    assert answer.getheader("content-type").startswith("text/event-stream")
    events = [e.split("\n") for e in answer.data.decode().strip().split("\n\n")]
    names = [e[0].removeprefix("event: ") for e in events]
    data = [json.loads(e[1].removeprefix("data: ")) for e in events]
    assert [d["type"] for d in data] == names
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    text = "".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta")
    assert text.startswith("echo: " + "s" * 200 + " #")


# HTTP.

def test_a_body_may_come_in_chunks_and_in_drops(sim):
    data = json.dumps(body("drops")).encode()
    head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in KEY.items())
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(data[i:i + 7]), data[i:i + 7])
                      for i in range(0, len(data), 7)) + b"0\r\n\r\n"
    wire = (head + "transfer-encoding: chunked\r\n\r\n").encode() + chunks
    with socket.create_connection(("127.0.0.1", sim.port), timeout=10 * SLACK) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(wire), 5):
            s.sendall(wire[i:i + 5])
        s.sendall((head + f"content-length: {len(data)}\r\nconnection: close\r\n\r\n").encode())
        s.sendall(data)
        got = read_all(s)
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert got.count(b"echo: drops") == 2


def read_all(s):
    got = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return got + b"<RST>"
        if not piece:
            return got
        got += piece


@flags(latency=30)
def test_pipelined_requests_are_answered_in_their_order(sim):
    wire = b""
    for i in range(20):
        data = json.dumps(body(f"pipe-{i:02}")).encode()
        wire += ("POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in KEY.items()) + f"content-length: {len(data)}\r\n" +
            ("connection: close\r\n" if i == 19 else "") + "\r\n").encode() + data
    with socket.create_connection(("127.0.0.1", sim.port), timeout=20 * SLACK) as s:
        s.sendall(wire)
        got = read_all(s).decode()
    assert [int(p[:2]) for p in got.split("echo: pipe-")[1:]] == list(range(20))


@flags(latency=1)
def test_a_client_that_sends_far_ahead_is_slowed_down_and_answered_in_full(sim):
    data = json.dumps(body("x" * 100000)).encode()
    one = ("POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in KEY.items()) + f"content-length: {len(data)}\r\n").encode()
    wire = (one + b"\r\n" + data) * 60 + one + b"connection: close\r\n\r\n" + data
    with socket.create_connection(("127.0.0.1", sim.port), timeout=30 * SLACK) as s:
        sender = threading.Thread(target=s.sendall, args=(wire,))
        sender.start()
        got = read_all(s)
        sender.join()
    assert got.count(b"HTTP/1.1 200 OK") == 61


@flags(body_max_bytes=100000)
def test_too_large_a_body_is_refused_before_it_is_read(sim):
    answer = ask(sim, body("x" * 200000))
    assert answer.status == 413 and error_of(answer)[0] == "request_too_large"
    sim.config(cloudflare_413=True)
    answer = ask(sim, body("x" * 200000))
    assert answer.status == 413 and b"<html>" in answer.data
    assert sim.stats()["by_status"] == {"413": 2}


def test_a_megabyte_that_waits_to_be_invited_gets_in(sim):
    data = json.dumps(body("x" * 1500000)).encode()
    head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in KEY.items()) + f"content-length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sim.port), timeout=10 * SLACK) as s:
        s.sendall(head.encode())
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(data)
        assert s.recv(20).startswith(b"HTTP/1.1 200 OK")


def test_nonsense_gets_400_and_the_connection_ends(sim):
    with socket.create_connection(("127.0.0.1", sim.port), timeout=10 * SLACK) as s:
        s.sendall(b"hello there\r\n\r\n")
        assert read_all(s).startswith(b"HTTP/1.1 400 Bad Request")


# Quotas.

@flags(rpm=60, burst_s=3)
def test_the_quota_refuses_names_a_time_and_keeps_it(sim):
    client = Client(sim)
    statuses = [client(body(f"q{i}")).status for i in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = client(body("q"))
    assert refused.getheader("retry-after") == "1"
    assert refused.getheader("x-should-retry") == "true"
    assert refused.getheader("anthropic-ratelimit-requests-limit") == "60"
    assert refused.getheader("anthropic-ratelimit-requests-remaining") == "0"
    kind, message = error_of(refused)
    assert kind == "rate_limit_error" and "60 requests per minute" in message
    stats = sim.stats()
    assert stats["early"] == 1 and 0 < stats["early_max_ms"] <= 1000  # q came at once
    told = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > told, 5, "the named second")
    assert client(body("late")).status == 200
    assert sim.stats()["early"] == 1


@flags(itpm=60000, otpm=6000, burst_s=60)
def test_each_dimension_is_named_in_its_refusal(sim):
    assert ask(sim, body("x" * 190000)).status == 200
    refused = ask(sim, body("x" * 190000))
    assert "60000 input tokens per minute" in error_of(refused)[1]
    assert 40 <= int(refused.getheader("retry-after")) <= 60
    assert refused.getheader("anthropic-ratelimit-input-tokens-remaining") in ("5000", "6000")
    never = ask(sim, body("x" * 250000))
    assert never.status == 429 and never.getheader("retry-after") == "60"
    sim.config(answer_tokens=7000)
    assert ask(sim, body(max_tokens=9000)).status == 200
    assert "output tokens per minute" in error_of(ask(sim, body()))[1]


@flags(rpm=600, burst_s=0.5, retry_after="date")
@pytest.mark.parametrize("form", ["seconds", "date", "ms", "reset", "none"])
def test_every_form_of_retry_after_names_a_time_that_fits(sim, form):
    sim.config(retry_after=form, rpm=60, burst_s=1)
    sim.reset(buckets=True)
    ask(sim, body("one"))
    refused = ask(sim, body("two"))
    assert refused.status == 429
    now = email.utils.parsedate_to_datetime(refused.getheader("date")).timestamp()
    named = refused.getheader("retry-after")
    if form == "seconds":
        assert named == "1"
    if form == "date":
        assert 1 <= email.utils.parsedate_to_datetime(named).timestamp() - now <= 3
    if form == "ms":
        assert 500 < int(refused.getheader("retry-after-ms")) <= 1000 and named == "1"
    if form == "reset":
        assert named is None
        assert 1 <= int(refused.getheader("x-ratelimit-reset")) - now <= 3
    if form == "none":
        assert named is None and sim.stats()["early"] == 0
        ask(sim, body("three"))
        assert sim.stats()["early"] == 0


@flags(rpm=60, itpm=150000)
@pytest.mark.parametrize("family,header", [
    ("anthropic", "anthropic-ratelimit-input-tokens-reset"),
    ("openai", "x-ratelimit-reset-tokens"),
    ("generic", "x-ratelimit-remaining"),
    ("ietf", "ratelimit-policy"),
    ("none", None),
])
def test_every_family_of_headers_is_on_answers_and_on_refusals(sim, family, header):
    sim.config(headers=family)
    names = {"anthropic-ratelimit-input-tokens-reset", "x-ratelimit-reset-tokens",
             "x-ratelimit-remaining", "ratelimit-policy"}
    for status in (200, 429):
        if status == 429:
            sim.config(rpm=0.5)
        answer = ask(sim, body())
        assert answer.status == status
        seen = {k.lower() for k, _ in answer.getheaders()} & names
        assert seen == ({header} if header else set())


@flags(rpm=60, burst_s=1, charge_refused=True)
def test_refusals_that_cost_keep_the_gate_shut(sim):
    for i in range(5):
        ask(sim, body(f"c{i}"))
    assert sim.quota()["limits"]["requests"]["level"] < -3


@flags(otpm=60000, otpm_precharge=True, latency=300, answer_tokens=100)
def test_reserved_output_comes_back_at_the_end(sim):
    answer = ask(sim, body(max_tokens=20000))
    assert answer.getheader("anthropic-ratelimit-output-tokens-remaining") == "40000"
    assert sim.quota()["limits"]["output_tokens"]["charged"] == 100


@flags(otpm=60000, latency=400, answer_tokens=1000)
def test_output_is_charged_while_it_is_produced(sim):
    thread = threading.Thread(target=ask, args=(sim, body()))
    thread.start()
    half = wait_until(lambda: 100 < sim.quota()["limits"]["output_tokens"]["charged"] < 900
                      if sim.stats()["in_flight"]["now"] else None, 10, "a half-made answer")
    thread.join()
    assert half and sim.quota()["limits"]["output_tokens"]["charged"] == 1000


@flags(rpm=600, burst_s=60, hidden_burst_s=0.3)
def test_a_hidden_bucket_refuses_without_an_explanation(sim):
    answers = [ask(sim, body(f"h{i}")) for i in range(6)]
    refused = [a for a in answers if a.status == 429]
    assert refused
    assert int(refused[0].getheader("anthropic-ratelimit-requests-remaining")) > 590


@flags(rpm=60, group_by_model=True, limit=["claude-haiku-4-5:rpm=1"])
def test_models_have_limits_of_their_own(sim):
    haiku = {**body(), "model": "claude-haiku-4-5-20251001"}
    assert [ask(sim, haiku).status for _ in range(2)] == [200, 429]
    assert ask(sim, body()).status == 200


@flags(rpm=6000, burst_s=1)
def test_t_adm_is_what_the_admission_really_took(sim):
    client = Client(sim)
    done = 0
    while done < 250:
        done += client(body(f"t{done}")).status == 200
    stats = sim.stats()
    quota = stats["quotas"][0]
    took_s = (stats["last_accepted_ms"] - quota["since_ms"]) / 1000
    assert quota["limits"]["requests"]["credit_at_start"] == 100
    assert quota["t_adm_s"] == pytest.approx(1.5, abs=0.02)
    assert took_s == pytest.approx(1.5, abs=0.1 * SLACK)
    assert stats["peak_accepted_per_s"] <= 201


# Faults.

def outcome(sim, timeout_s=2):
    """What one request comes to, as a client sees it."""
    client = Client(sim, timeout_s)
    try:
        answer = client(body("f" * 150))
    except (TimeoutError, socket.timeout):
        return "timeout"
    except http.client.IncompleteRead as e:
        return f"incomplete:{len(e.partial) > 0}"
    except http.client.RemoteDisconnected:
        return "closed"
    except ConnectionResetError:
        return "reset"
    finally:
        client.conn.close()
    try:
        return f"{answer.status}:{json.loads(answer.data)['type']}"
    except ValueError:
        return f"{answer.status}:no json:{len(answer.data) > 0}"


@pytest.mark.parametrize("kind,want", [
    ("529", {"529:error"}), ("500", {"500:error"}), ("503", {"503:error"}), ("408", {"408:error"}),
    ("timeout", {"timeout"}), ("reset", {"reset"}), ("close", {"closed"}),
    ("reset-mid", {"reset", "incomplete:True"}), ("truncate", {"incomplete:True"}),
    ("hang-mid", {"timeout"}), ("garbage", {"200:no json:True"}), ("empty", {"200:no json:False"}),
    ("html", {"502:no json:True"}), ("slow-headers", {"200:message"}),
])
def test_every_fault_looks_as_it_should(kind, want):
    with Sim(fail={kind: 1}, slow_ms=400) as sim:
        began = time.monotonic()
        assert outcome(sim, 1) in want
        if kind == "slow-headers":
            assert 0.3 < time.monotonic() - began
        name = "status" if kind.isdigit() else kind
        if want & {"timeout"}:
            wait_until(lambda: sim.stats()["in_flight"]["now"] == 0, 10, "the client's leaving")
        assert sim.stats()["faults"] == {name: 1}
        free = kind.isdigit() or kind in ("reset", "close", "html")
        assert sim.stats()["accepted"] == (0 if free else 1)


def test_an_overload_is_as_the_real_one(sim):
    sim.config(fail={"529": 1}, rpm=10)
    answer = ask(sim, body())
    assert answer.getheader("x-should-retry") == "true"
    assert answer.getheader("retry-after") is None
    assert answer.getheader("anthropic-ratelimit-requests-limit") is None
    assert error_of(answer) == ("overloaded_error", "Overloaded")


@flags(fail="stream-error=1")
def test_a_stream_may_fail_after_its_200(sim):
    answer = ask(sim, body(stream=True))
    assert answer.status == 200 and b"overloaded_error" in answer.data
    assert b"message_stop" not in answer.data


@flags(seed=1)
def test_rates_are_kept(sim):
    sim.config(fail={"529": 0.25, "500": 0.1})
    client = Client(sim)
    statuses = [client(body(f"r{i}")).status for i in range(800)]
    assert 150 < statuses.count(529) < 250 and 50 < statuses.count(500) < 110
    stats = sim.stats()
    assert stats["by_status"]["529"] == statuses.count(529)
    assert stats["accepted"] == stats["by_status"]["200"] == statuses.count(200)


@pytest.mark.parametrize("preset,status,code,text", [
    ("spend_limit", 429, "enforced_spend_limit_reached", "2026-12-01"),
    ("contract_limit", 429, "contract_spend_limit_reached", ""),
    ("usage_limit", 400, None, "specified API usage limits"),
    ("credit_low", 400, None, "credit balance is too low"),
    ("auth", 401, None, "invalid x-api-key"), ("billing", 402, None, "billing"),
    ("permission", 403, None, "permission"), ("ramp", 429, "ramp_limit_exceeded", ""),
    ("bare_429", 429, None, "Rate limited"),
])
def test_account_troubles_have_their_real_shapes(sim, preset, status, code, text):
    sim.config(trouble=preset)
    answer = ask(sim, body())
    assert answer.status == status and text in error_of(answer)[1]
    details = json.loads(answer.data)["error"].get("details")
    assert (details or {}).get("error_code") == code
    assert (answer.getheader("retry-after") is not None) == (preset == "ramp")
    sim.config(trouble="none")
    assert ask(sim, body()).status == 200


@flags(key=["a=sk-a", "b=sk-b"])
def test_a_trouble_may_be_one_account_s_alone(sim):
    sim.config(trouble="auth@a")
    assert ask(sim, body(), {**KEY, "x-api-key": "sk-a"}).status == 401
    assert ask(sim, body(), {**KEY, "x-api-key": "sk-b"}).status == 200


# Scripts.

def test_a_script_answers_what_it_matches_and_nothing_else(sim):
    sim.script({"match": {"contains": "abc"}, "status": 418, "headers": {"x-y": "z"},
                "body": "short and stout", "times": 2})
    assert ask(sim, body("xyz")).status == 200
    for _ in range(2):
        answer = ask(sim, body("--abc--"))
        assert (answer.status, answer.data, answer.getheader("x-y")) == (
            418, b"short and stout", "z")
    assert ask(sim, body("--abc--")).status == 200


def test_a_script_may_wait_for_the_nth_and_for_a_model(sim):
    sim.script({"match": {"model": MODEL, "nth": 3}, "preset": "spend_limit"})
    assert ask(sim, {**body(), "model": "claude-opus-5"}).status == 200
    assert [ask(sim, body()).status for _ in range(4)] == [200, 200, 429, 200]


def test_a_script_may_delay_cut_close_and_reset(sim):
    sim.script({"status": 200, "body": {"type": "message"}, "delay_ms": 200},
               {"status": 200, "body": "0123456789", "cut_bytes": 4, "then": "close"},
               {"raw": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"},
               {"then": "reset"}, {"then": "hang"})
    began = time.monotonic()
    assert outcome(sim) == "200:message" and time.monotonic() - began >= 0.2
    assert outcome(sim) == "incomplete:True"
    assert ask(sim, body()).data == b"{}"
    assert outcome(sim) == "reset"
    assert outcome(sim, 0.5) == "timeout"
    assert outcome(sim) == "200:message"


def test_a_scripted_429_names_a_time_that_counts(sim):
    sim.script({"status": 429, "headers": {"retry-after": "2"}, "body": {"type": "error"}})
    ask(sim, body("one"))
    ask(sim, body("two"))
    stats = sim.stats()
    assert stats["early"] == 1 and 1500 < stats["early_max_ms"] <= 2000


def test_a_wrong_script_or_setting_changes_nothing_and_says_why(sim):
    for path, wrong in (("/sim/script", {"steps": [{"status": 200}, {"stats": 1}]}),
                        ("/sim/config", {"rpm": 5, "colour": "red"}),
                        ("/sim/config", {"listen": "127.0.0.1:1"}),
                        ("/sim/config", {"for_ms": 5, "fail": "529=7"})):
        with pytest.raises(AssertionError, match="400"):
            sim.control("POST", path, wrong)
    assert sim.control("GET", "/sim/script") == {"steps": []}
    assert sim.control("GET", "/sim/config")["rpm"] == 0


# Outages, phases and what it tells.

def test_an_outage_refuses_connections_and_cuts_the_old_ones(sim):
    client = Client(sim)
    assert client(body("before")).status == 200
    sim.refuse()
    with pytest.raises(ConnectionError):
        client.conn.auto_open = False
        client(body("cut"))
    with pytest.raises(ConnectionRefusedError):
        ask(sim, body("refused"))
    sim.accept()
    assert ask(sim, body("after")).status == 200


def test_an_outage_may_end_by_itself_and_be_asked_for_on_the_api_s_port(sim):
    answer = ask(sim, {"refuse": True, "for_ms": 300}, path="/sim/config")
    assert answer.status == 200
    with pytest.raises(ConnectionRefusedError):
        ask(sim, body("refused"))

    def is_back():
        try:
            return ask(sim, body("after")).status == 200
        except ConnectionError:
            return None
    wait_until(is_back, 5, "the end of the outage")


def test_a_phase_passes(sim):
    sim.config(fail={"529": 1}, for_ms=400)
    assert ask(sim, body()).status == 529
    wait_until(lambda: ask(sim, body()).status == 200, 5, "the end of the phase")
    assert sim.control("GET", "/sim/config")["fail"] == "none"


@flags(rpm=6000)
def test_a_limit_may_be_halved_later(sim):
    ask(sim, body())
    sim.config(rpm=3000, after_ms=300)
    assert sim.quota()["limits"]["requests"]["limit_per_min"] == 6000
    wait_until(lambda: sim.quota()["limits"]["requests"]["limit_per_min"] == 3000, 5, "the halving")


def test_the_log_tells_each_request_and_a_reset_forgets(sim):
    ask(sim, body("log me"))
    ask(sim, b"{}")
    first, second = sim.log()
    assert first["prompt_head"] == "log me" and first["status"] == 200
    assert first["ending"] == "answered" and first["latency_ms"] >= 0
    assert second["status"] == 400 and second["n"] == first["n"] + 1
    assert sim.log(since=first["n"]) == [second]
    assert sum(s["arrivals"] for s in sim.series()) == 2
    sim.reset()
    assert sim.log() == [] and sim.stats()["requests"] == 0
    ask(sim, body("again"))
    assert [r["prompt_head"] for r in sim.log()] == ["again"]


@flags(latency=5000)
def test_a_client_that_leaves_is_counted_and_frees_its_place(sim):
    with pytest.raises(TimeoutError):
        Client(sim, 0.3 / SLACK)(body("leaver"))
    stats = wait_until(lambda: sim.stats() if sim.stats()["client_gone"] else None, 5, "its leaving")
    assert stats["in_flight"]["now"] == 0 and stats["accepted"] == 1


@flags(latency=2500)
def test_many_connections_wait_together(sim):
    threads = [threading.Thread(target=ask, args=(sim, body(f"m{i}"))) for i in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stats = sim.stats()
    assert stats["by_status"] == {"200": 50} and stats["repeats"] == 0
    assert stats["in_flight"]["max"] == stats["connections"]["max"] == 50
    assert stats["quotas"][0]["in_flight"] == {"now": 0, "max": 50}


@flags(latency="tokens:100:0.5", answer_tokens=200)
def test_latency_may_follow_the_answer_s_length(sim):
    ask(sim, body())
    assert 195 <= sim.log()[0]["latency_ms"] <= 260 * SLACK


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_whatever_is_under_way(number):
    sim = Sim(latency=60000, fail={"timeout": 0.5})
    conns = []
    for i in range(20):
        conn = socket.create_connection(("127.0.0.1", sim.port))
        data = json.dumps(body(f"stop{i}")).encode()
        conn.sendall(("POST /v1/messages HTTP/1.1\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in KEY.items()) +
            f"content-length: {len(data)}\r\n\r\n").encode() + data)
        conns.append(conn)
    sim.wait_for(20)
    sim.process.send_signal(number)
    assert sim.process.wait(timeout=10 * SLACK) == 0
    sim.stop()
    linger = struct.pack("ii", 1, 0)
    for conn in conns:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        conn.close()


def test_wrong_flags_are_explained_and_help_is_there():
    sim = Sim(start=False)
    wrong = subprocess.run([sim.binary, "--rpm", "many"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "rpm cannot be \"many\"" in wrong.stderr
    told = subprocess.run([sim.binary, "--help"], capture_output=True, text=True)
    assert told.returncode == 0 and "--otpm-precharge" in told.stdout and not told.stderr


def test_the_manual_names_every_option_and_no_other():
    told = subprocess.run([Sim(start=False).binary, "--help"], capture_output=True, text=True)
    options = set(re.findall(r"^  --([a-z0-9-]+)", told.stdout, re.M))
    manual = (ROOT / "docs" / "simulator.md").read_text()
    rows = "".join(re.findall(r"^\| `--[^|]*\|", manual, re.M))
    assert set(re.findall(r"--([a-z0-9-]+)", rows)) == options
    for word in re.findall(r"^  ([a-z_-]+(?:  [a-z_-]+)+)$", told.stdout, re.M):
        assert all(f"`{w}`" in manual for w in word.split()), word
