"""One storage process stands still (SIGSTOP): connections to it are made, and nothing answers."""
import time

import pytest

import ledger
import support
from cluster import NODE_TIMEOUT_SECONDS, Cluster

# A request may meet the stopped node on its way and wait that long for it, once for the container and once for the object;
# after some such waits the proxy knows the node for what it is and passes it by.
LONGEST_SECONDS = 2 * NODE_TIMEOUT_SECONDS + 1
LEARN_SECONDS = 5 * NODE_TIMEOUT_SECONDS
WATCH_SECONDS = 8


@pytest.fixture
def cluster():
    with Cluster(storage=4, devices=1) as made:
        yield made


@pytest.fixture
def load(cluster):
    user = cluster.log_in()
    container = support.unique('load')
    user.put(container).check(201)
    made = ledger.Load(user, container, workers=8, keys_per_worker=15, lengths=(200, 1000, 30000, 70000))
    yield made
    made.stop()


def test_stopped_storage_server(cluster, load):
    node = cluster.storage[1]
    load.start()
    load.run_for(2)
    begun = time.monotonic()
    node.freeze()
    try:
        load.run_for(LEARN_SECONDS)
        since = time.monotonic()
        load.run_for(WATCH_SECONDS)
        load.stop()
        failures = load.failures(begun)
        assert not failures, '%d of %d requests failed: %s' % (len(failures), load.count(begun), failures[:10])
        assert load.longest(begun) < LONGEST_SECONDS, 'a request took %.1f s' % load.longest(begun)
        assert load.count(since) > 50, 'only %d requests in %d s' % (load.count(since), WATCH_SECONDS)
        assert load.longest(since) < NODE_TIMEOUT_SECONDS, 'still waits %.1f s for a node known to stand still' % load.longest(since)
        load.read_back()
    finally:
        node.thaw()

    load.start()
    load.run_for(3)
    since = time.monotonic()
    load.run_for(3)
    load.stop()
    assert not load.failures(since), load.failures(since)[:10]
    load.read_back()
    load.check_listing(seconds=60)


def test_storage_server_that_stops_for_a_moment(cluster, load):
    """A second of standing still, less than the proxy waits, breaks nothing at all."""
    begun = time.monotonic()
    load.start()
    for node in cluster.storage:
        load.run_for(0.5)
        node.freeze()
        load.run_for(NODE_TIMEOUT_SECONDS / 2)
        node.thaw()
    load.run_for(1)
    load.stop()
    assert not load.failures(begun), load.failures(begun)[:10]
    assert load.longest(begun) < LONGEST_SECONDS, 'a request took %.1f s' % load.longest(begun)
    load.read_back()
    load.check_listing(seconds=60)


def test_killed_storage_server(cluster, load):
    """kill -9 of one of four: refused connections cost nothing, writes go to handoffs; it comes back with what it had."""
    node = cluster.storage[2]
    begun = time.monotonic()
    load.start()
    load.run_for(1)
    node.kill()
    load.run_for(5)
    node.start()
    load.run_for(3)
    load.stop()
    broken = load.failures(begun)
    assert len(broken) <= 2 * len(load.workers), 'only what was under way may fail, at most: %s' % broken[:10]
    load.read_back()
    load.check_listing(seconds=60)
