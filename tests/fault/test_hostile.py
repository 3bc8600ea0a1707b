"""An API, or what stands in its place, that means harm; and a producer that pushes nothing but rubbish."""
import gzip
import os
import time

import pytest

from fleet import Fleet
from hostile import GOOD, Hostile, good, head
from simlib import SLACK, wait_until

MIB = 1 << 20
FLOOD = int(os.environ.get("PENSTOCK_FLOOD", "20000"))


def peak_kib(pid):
    return int(open(f"/proc/{pid}/status").read().split("VmHWM:")[1].split()[0])


def worst_first(worst):
    """The first request gets the worst, all others a good answer."""
    def serve(conn, request, n):
        return worst(conn) if n == 1 else conn.sendall(good())
    return serve


def after_it(fleet, api, **flags):
    """One job that meets the worst, one after it: (its result, the worker). The second must end well."""
    worker = fleet.worker(concurrency=1, max_attempts=1, env={"ANTHROPIC_BASE_URL": api.url}, **flags)
    fleet.push({"id": "worst", "prompt": "x", "timeout_ms": 20000}, {"id": "next", "prompt": "y"})
    assert fleet.result("next", timeout_s=40)["status"] == "succeeded"
    return fleet.result("worst"), worker


@pytest.mark.parametrize("length", ["told", "chunked", "until the connection closes"])
def test_an_answer_of_a_gigabyte_is_cut_off_at_its_ceiling(length):
    def pour(conn):
        conn.sendall({"told": head(content_length=1024 * MIB), "chunked": head(transfer_encoding="chunked"),
                      }.get(length, head(connection="close")))
        piece = b"x" * 65536
        api.pour(conn, 1024 * MIB, b"10000\r\n" + piece + b"\r\n" if length == "chunked" else piece)
        return False
    with Fleet() as fleet, Hostile(worst_first(pour)) as api:
        result, worker = after_it(fleet, api, max_answer_bytes=4 * MIB)
        assert result["error"]["type"] == "bad_answer" and result["attempts"] == 1
        assert api.sent < 64 * MIB, "it was read to the end"
        assert peak_kib(worker.pid) < 400 * 1024


def test_an_answer_that_dribbles_a_byte_at_a_time_ends_at_the_jobs_time_and_frees_its_slot():
    def dribble(conn):
        conn.sendall(head(content_length=len(GOOD)))
        for at in range(len(GOOD)):
            conn.sendall(GOOD[at:at + 1])
            if api.closing.wait(0.3):
                return False
        return False
    with Fleet() as fleet, Hostile(worst_first(dribble)) as api:
        worker = fleet.worker(concurrency=1, max_attempts=1, env={"ANTHROPIC_BASE_URL": api.url})
        fleet.push({"id": "worst", "prompt": "x", "timeout_ms": 1500}, {"id": "next", "prompt": "y"})
        began = time.monotonic()
        assert fleet.result("next", timeout_s=20)["status"] == "succeeded"
        assert time.monotonic() - began < 15 * SLACK
        assert fleet.result("worst")["error"]["type"] == "timeout" and worker.process.poll() is None


def test_a_gzip_bomb_is_not_unpacked():
    bomb = gzip.compress(b"\0" * (200 * MIB), 9)

    def throw(conn):
        conn.sendall(head(content_type="application/json", content_encoding="gzip", content_length=len(bomb)))
        conn.sendall(bomb)
    with Fleet() as fleet, Hostile(worst_first(throw)) as api:
        result, worker = after_it(fleet, api)
        assert result["error"]["type"] == "bad_answer"
        assert peak_kib(worker.pid) < 190 * 1024


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_to_an_address_inside_is_never_followed(status):
    with Fleet() as fleet, Hostile(lambda conn, *_: conn.sendall(good())) as inside:
        send_there = head(status, location=inside.url + "/latest/meta-data/", content_length=0)
        with Hostile(worst_first(lambda conn: conn.sendall(send_there))) as api:
            result, _ = after_it(fleet, api)
        assert result["status"] == "failed" and result["error"]["http_status"] == int(status[:3])
        assert inside.requests == 0


def test_ten_thousand_headers_cost_nothing_but_themselves():
    lines = b"".join(b"x-h%d: %s\r\n" % (n, b"v" * 20) for n in range(10000))

    def many(conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD)
    with Fleet() as fleet, Hostile(worst_first(many)) as api:
        result, worker = after_it(fleet, api)
        assert result["status"] == "succeeded" or result["error"]["type"] in ("bad_answer", "connection")
        assert len(worker.text()) < 20_000


def test_an_answer_sent_twice_reaches_no_other_job():
    def twice(conn):
        conn.sendall(good() + good().replace(b"fine", b"evil"))
    with Fleet() as fleet, Hostile(worst_first(twice)) as api:
        result, _ = after_it(fleet, api)
        assert result["text"] == "fine" and fleet.result("next")["text"] == "fine"


def test_a_flood_of_malformed_jobs_neither_loops_nor_floods_the_log_nor_holds_up_the_next_good_job():
    rubbish = ["nonsense %d", '{"prompt": %d}', '{"promt":"x","n":%d}', '["%d"]', '{"id":"bad-%d"}', "\x00%d"]
    with Fleet(latency="constant:5") as fleet:
        worker = fleet.worker()
        fleet.push(*[rubbish[n % len(rubbish)] % n for n in range(FLOOD)], {"id": "good", "prompt": "x"})
        assert fleet.result("good", timeout_s=30 + FLOOD / 500)["status"] == "succeeded"
        wait_until(lambda: fleet.depth()["dead"] == FLOOD, 30, "the dead letters")
        assert fleet.stat("invalid") == FLOOD and fleet.stat("recoveries") == 0
        assert len(worker.text()) < 20_000, "no flood in the log"
