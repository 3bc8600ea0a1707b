"""The worker and the command line over rediss://, where a hiredis with TLS is there to build with."""
import json
import os
import pathlib
import subprocess

import pytest

import simlib
from clusterlib import Cluster, free_ports
from fleet import Fleet
from simlib import wait_until


def tls_build():
    """The folder with programs that speak TLS: the build itself, or its second set of programs."""
    build = pathlib.Path(simlib.build_dir()).resolve()
    return build / "tls" if (build / "tls" / "penstock-worker").exists() else build


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def issue(folder, name, alt_names, ca):
    """NAME.pem and NAME.key, signed by that authority (or by itself where there is none)."""
    key, cert, csr, ext = (folder / f"{name}.{end}" for end in ("key", "pem", "csr", "ext"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
            "-subj", f"/CN={name}", *(("-x509", "-days", "2", "-out", cert) if not ca else ("-out", csr)))
    if ca:
        ext.write_text(f"subjectAltName={alt_names}\n")
        openssl("x509", "-req", "-in", csr, "-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key",
                "-CAcreateserial", "-days", "2", "-out", cert, "-extfile", ext)
    return str(cert), str(key)


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    issue(folder, "ca", None, None)
    issue(folder, "server", "DNS:localhost,IP:127.0.0.1", "ca")
    issue(folder, "client", "DNS:worker", "ca")
    issue(folder, "stranger", None, None)
    return folder


def server_flags(certs):
    return ["--tls-cert-file", f"{certs}/server.pem", "--tls-key-file", f"{certs}/server.key",
            "--tls-ca-cert-file", f"{certs}/ca.pem", "--tls-auth-clients", "yes"]


def query(certs, ca="ca", client="client"):
    with_client = f"&cert={certs}/{client}.pem&key={certs}/{client}.key" if client else ""
    return f"?ca={certs}/{ca}.pem{with_client}"


class TlsFleet(Fleet):
    """Programs that speak TLS; the test itself looks in by the unix socket."""

    def worker(self, **more):
        self.use_tls_programs()
        try:
            return super().worker(**more)
        finally:
            self.use_own_programs()

    def cli(self, *words, code=0):
        self.use_tls_programs()
        try:
            return super().cli(*words, code=code)
        finally:
            self.use_own_programs()

    def use_tls_programs(self):
        self.before = os.environ.get("PENSTOCK_BUILD")
        os.environ["PENSTOCK_BUILD"] = str(tls_build())

    def use_own_programs(self):
        if self.before is None:
            del os.environ["PENSTOCK_BUILD"]
        else:
            os.environ["PENSTOCK_BUILD"] = self.before


@pytest.fixture(scope="module")
def fleet(certs):
    port = free_ports(1)[0]
    with TlsFleet(latency=20, redis_args=("--tls-port", str(port), *server_flags(certs))) as running:
        running.tls_port = port
        probe = subprocess.run([tls_build() / "penstock", "stats", "--redis-url", f"rediss://127.0.0.1:{port}"],
                               env=running.env(), capture_output=True, text=True, check=False)
        if "cannot speak TLS" in probe.stderr:
            pytest.skip("no hiredis with TLS here; scripts/get-hiredis-tls brings one")
        yield running


def url(fleet, host="127.0.0.1", extra=""):
    return {"PENSTOCK_REDIS_URL": f"rediss://{host}:{fleet.tls_port}/0{extra}"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_jobs_flow_over_tls_with_our_own_authority_and_a_client_certificate(fleet, certs, host):
    worker = fleet.worker(env=url(fleet, host, query(certs)), concurrency=8)
    ids = [f"{host}-{n}" for n in range(50)]
    fleet.push(*[{"id": i, "prompt": i * 1000} for i in ids])
    assert all(r["status"] == "succeeded" for r in fleet.results(ids).values())
    for line in fleet.r.execute_command("CLIENT", "LIST").splitlines():
        assert "name=penstock" not in line or f":{fleet.tls_port}" in line, "not by the socket"
    assert worker.drain() == 0


def test_the_command_line_speaks_tls_too(fleet, certs, tmp_path):
    worker = fleet.worker(env=url(fleet, extra=query(certs)), concurrency=8)
    address = url(fleet, extra=query(certs))["PENSTOCK_REDIS_URL"]
    fleet.cli("push", "--redis-url", address, "--id", "by-cli", "hello")
    fleet.cli("wait", "--redis-url", address, "by-cli")
    assert json.loads(fleet.cli("get", "--redis-url", address, "--json", "by-cli"))["status"] == "succeeded"
    (tmp_path / "in.txt").write_text("one\ntwo\nthree\n")
    fleet.cli("run", "--redis-url", address, f"{tmp_path}/in.txt", "--text", "-o", f"{tmp_path}/out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    assert worker.drain() == 0


@pytest.mark.parametrize("host, ca, client, why", [
    ("127.0.0.1", "stranger", "client", "certificate was refused"),
    ("127.0.0.1", "ca", None, "certificate"),
    ("127.0.0.2", "ca", "client", "certificate was refused"),
], ids=["another authority", "no certificate of ours", "another name"])
def test_a_connection_that_cannot_be_trusted_is_refused_in_words(fleet, certs, host, ca, client, why):
    worker = fleet.worker(env=url(fleet, host, query(certs, ca, client)), ready=False)
    assert why in worker.wait_event("redis_down", 20)["why"]
    assert not worker.events("redis_up")


def test_a_redis_that_comes_back_is_met_over_tls_again(fleet, certs):
    worker = fleet.worker(env=url(fleet, extra=query(certs)), concurrency=8)
    fleet.r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: len(worker.events("redis_up")) == 2, 20, "the worker to come back")
    fleet.push({"id": "again", "prompt": "again"})
    assert fleet.result("again")["status"] == "succeeded"
    assert worker.drain() == 0


def test_a_cluster_is_followed_over_tls(fleet, certs):
    """Every node tells its TLS port; none is spoken to in the clear."""
    with Cluster(tls=True, args=server_flags(certs)) as cluster:
        env = {"PENSTOCK_REDIS_URL": f"rediss://127.0.0.1:{cluster.nodes[0].tls_port}/{query(certs)}",
               "PENSTOCK_QUEUES": "a,b,c,d"}
        worker = fleet.worker(env=env, concurrency=8)
        for queue in "abcd":
            cluster.client.lpush(f"penstock:{{{queue}}}:jobs", json.dumps({"id": queue, "prompt": queue}))
        for queue in "abcd":
            wait_until(lambda q=queue: cluster.client.get(f"penstock:{{{q}}}:result:{q}"), 20, "a result")
        for node in cluster.nodes:
            lines = node.client.execute_command("CLIENT", "LIST").splitlines()
            assert not [x for x in lines if "name=penstock" in x and f"laddr=127.0.0.1:{node.port} " in x]
        assert worker.drain() == 0
