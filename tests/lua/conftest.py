"""Fixtures: one redis-server a session, an empty database and a checked queue for each test."""
import pytest

from lua_lib import Pool, Queue, Redisd


@pytest.fixture(scope="session")
def server():
    running = Redisd("--maxmemory-policy", "noeviction")
    yield running
    running.stop()


@pytest.fixture(params=["once", "twice"])
def q(server, request):
    """A queue; under `twice` every script is sent a second time, which must change nothing."""
    server.client.flushall()
    queue = Queue(server, twice=request.param == "twice")
    yield queue
    queue.check_invariants()


@pytest.fixture
def q1(server):
    """A queue whose calls are sent once: what they do goes on with a second call."""
    server.client.flushall()
    queue = Queue(server)
    yield queue
    queue.check_invariants()


@pytest.fixture
def pool(server):
    server.client.flushall()
    return Pool(server)
