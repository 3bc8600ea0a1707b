"""sentinellib: a master, a replica and three Sentinels of a test's own, on free ports of loopback.

A failover takes two to four seconds (down after 1 s).
"""
import shutil
import tempfile

import redis

from clusterlib import free_ports
from fleet import Server
from simlib import wait_until


class Node(Server):
    def __init__(self, dir_, port, *args):
        self.port, self.argv = port, ["redis-server", *args, "--port", str(port), "--bind", "127.0.0.1",
                                      "--dir", dir_]
        self.start()

    def start(self):
        self.launch(self.argv, redis.Redis(port=self.port, decode_responses=True))


class Watched:
    """A master, a replica and three Sentinels. `client` is the master of the moment."""

    STORE = ("--save", "", "--repl-diskless-sync-delay", "0")

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="penstock-sentinel-")
        self.nodes, self.sentinels = [], []
        ports = free_ports(5)
        try:
            self.nodes.append(Node(self.dir, ports[0], *self.STORE))
            self.nodes.append(Node(self.dir, ports[1], *self.STORE, "--replicaof", "127.0.0.1", str(ports[0])))
            wait_until(lambda: self.nodes[1].client.info("replication").get("master_link_status") == "up",
                       20, "the replica")
            for port in ports[2:]:
                self.sentinels.append(self._sentinel(port, ports[0]))
            wait_until(lambda: all(self._sees_all(s) for s in self.sentinels), 30, "the Sentinels")
        except BaseException:
            self.stop()
            raise

    def _sentinel(self, port, master):
        conf = f"{self.dir}/sentinel-{port}.conf"
        with open(conf, "w", encoding="utf-8") as out:
            out.write(f"sentinel monitor mymaster 127.0.0.1 {master} 2\n"
                      "sentinel down-after-milliseconds mymaster 1000\n"
                      "sentinel failover-timeout mymaster 5000\n")
        return Node(self.dir, port, conf, "--sentinel")

    @staticmethod
    def _sees_all(sentinel):
        state = sentinel.client.sentinel_master("mymaster")
        return state["num-other-sentinels"] == 2 and state["num-slaves"] == 1

    def master(self):
        port = self.sentinels[0].client.sentinel_get_master_addr_by_name("mymaster")[1]
        return next(n for n in self.nodes if n.port == port)

    @property
    def client(self):
        return self.master().client

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels)
        return f"redis+sentinel://{hosts}/mymaster"

    def stop(self):
        for node in self.sentinels + self.nodes:
            node.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
