"""clusterlib: a real Redis Cluster of a test's own, on free ports of loopback.

    with Cluster(masters=3, replicas=1) as cluster:
        cluster.client                       # follows redirections
        cluster.owner("penstock:{q}:jobs")   # the Node that holds a key now
        cluster.move_slot(slot, to=node)     # by the four steps of an operator

It is put together by ADDSLOTS and MEET; a failover takes about two seconds (node timeout 1 s).
"""
import shutil
import socket
import tempfile
import time

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from fleet import Server
from simlib import wait_until

SLOTS = 16384


def free_ports(count):
    """Ports that nobody uses now, each with another for the cluster's bus."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def slot_of(key):
    return key_slot(key.encode())


class Node(Server):
    def __init__(self, dir_, port, bus, tls_port, args):
        self.dir, self.port, self.bus, self.tls_port = dir_, port, bus, tls_port
        self.args = [*args, "--tls-port", str(tls_port), "--tls-cluster", "yes"] if tls_port else args
        self.process = None
        self.start()

    def start(self):
        self.launch(
            ["redis-server", "--port", str(self.port), "--cluster-enabled", "yes", "--cluster-port",
             str(self.bus), "--cluster-config-file", f"nodes-{self.port}.conf",
             "--cluster-node-timeout", "1000", "--bind", "127.0.0.1", "--save", "",
             "--repl-diskless-sync-delay", "0", "--dir", self.dir, *self.args],
            redis.Redis(port=self.port, decode_responses=True), "a cluster node")

    def id(self):
        return self.client.execute_command("CLUSTER", "MYID")

    def info(self):
        return self.client.execute_command("CLUSTER", "INFO")

    def address(self):
        return f"127.0.0.1:{self.port}"


class Cluster:
    def __init__(self, masters=3, replicas=0, tls=False, args=()):
        self.dir = tempfile.mkdtemp(prefix="penstock-cluster-")
        ports = free_ports(3 * masters * (1 + replicas))
        self.nodes = []
        try:
            for port, bus, tls_port in zip(ports[::3], ports[1::3], ports[2::3]):
                self.nodes.append(Node(self.dir, port, bus, tls_port if tls else 0, args))
            self._join(masters)
        except BaseException:
            self.stop()
            raise

    def _join(self, masters):
        first = self.nodes[0]
        step = SLOTS / masters
        for i, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i < masters:
                node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", int(i * step),
                                            int((i + 1) * step) - 1)
            if node is not first:
                node.client.execute_command("CLUSTER", "MEET", "127.0.0.1",
                                            first.tls_port or first.port, first.bus)
        wait_until(lambda: all(self._knows_all(n) for n in self.nodes), 20, "the nodes to meet")
        for i, node in enumerate(self.nodes[masters:]):
            node.client.execute_command("CLUSTER", "REPLICATE", self.nodes[i % masters].id())
        wait_until(lambda: all("cluster_state:ok" in n.info() for n in self.nodes), 20,
                   "the cluster")
        wait_until(lambda: all(self._in_sync(n) for n in self.nodes[masters:]), 20, "the replicas")
        self.connect()

    def connect(self):
        """A client that follows redirections; a fresh one after a failover, which confuses it."""
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.alive()]
        self.client = RedisCluster(startup_nodes=nodes, decode_responses=True)

    def _knows_all(self, node):
        known = node.client.execute_command("CLUSTER", "NODES").splitlines()
        return len(known) == len(self.nodes) and not any("handshake" in line for line in known)

    @staticmethod
    def _in_sync(node):
        info = node.client.info("replication")
        return info["role"] == "slave" and info["master_link_status"] == "up"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        for node in self.nodes:
            node.process.kill()
            node.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def url(self):
        return f"redis://{self.nodes[0].address()}"

    def alive(self):
        return [n for n in self.nodes if n.process.poll() is None]

    def owner_of_slot(self, slot):
        """The node that says of itself that it holds the slot."""
        for node in self.alive():
            for first, last, master in self._ranges(node):
                if first <= slot <= last and master == node.port:
                    return node
        return None

    @staticmethod
    def _ranges(node):
        ranges = node.client.execute_command("CLUSTER", "SLOTS")
        return [(r[0], r[1], r[2][1]) for r in ranges]

    def owner(self, key):
        return self.owner_of_slot(slot_of(key))

    def queue_on(self, node, stem="q"):
        """A queue's name whose slot that node holds."""
        for i in range(100000):
            if self.owner(f"penstock:{{{stem}{i}}}:jobs") is node:
                return f"{stem}{i}"
        raise AssertionError("no such name")

    def begin_move(self, slot, source, target):
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id())
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id())

    def move_keys(self, slot, source, target, most=10):
        """Move up to so many keys; how many there were."""
        keys = source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, most)
        for key in keys:
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        return len(keys)

    def end_move(self, slot, target):
        for node in [target] + [n for n in self.alive() if n is not target]:
            if node.client.info("replication")["role"] == "master":
                node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id())

    def move_slot(self, slot, target, pause_s=0.0):
        source = self.owner_of_slot(slot)
        self.begin_move(slot, source, target)
        while self.move_keys(slot, source, target):
            time.sleep(pause_s)
        self.end_move(slot, target)
