"""A device goes away while the cluster is in use."""
import time

import pytest

import ledger
import support
from cluster import Cluster

SETTLE_SECONDS = 4      # how long requests may fail after a device went away
WATCH_SECONDS = 4


@pytest.fixture(params=[(4, 1), (0, 4)], ids=['one device a process', 'all in one process'])
def cluster(request):
    storage, devices = request.param
    with Cluster(storage=storage, devices=devices) as made:
        yield made


@pytest.fixture
def load(cluster):
    user = cluster.log_in()
    container = support.unique('load')
    user.put(container).check(201)
    made = ledger.Load(user, container, workers=4, keys_per_worker=30, lengths=(200, 1000, 30000, 70000, 200000))
    yield made
    made.stop()


def files_below(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob('*')) if path.exists() else []


@pytest.mark.parametrize('empty', [False, True], ids=['gone', 'unmounted'])
def test_device_goes_and_comes_back(cluster, load, empty):
    """"gone": the directory is no more there; "unmounted": an empty one shows in its place, which must stay empty."""
    node = cluster.storage[-1]
    path = node.device_path(node.devices[-1])
    aside = path.with_name(path.name + '.aside')
    load.start()
    load.run_for(2)

    path.rename(aside)
    if empty:
        path.mkdir()
    load.run_for(SETTLE_SECONDS)
    since = time.monotonic()
    load.run_for(WATCH_SECONDS)
    load.stop()
    failures = load.failures(since)
    assert not failures, '%d of %d requests failed: %s' % (len(failures), load.count(since), failures[:10])
    assert load.count(since) > 50, 'only %d requests in %d s' % (load.count(since), WATCH_SECONDS)
    load.read_back()
    load.check_listing(seconds=60)
    assert files_below(path) == [], 'written below the mount point'

    if empty:
        path.rmdir()
    aside.rename(path)
    load.start()
    load.run_for(SETTLE_SECONDS)
    since = time.monotonic()
    load.run_for(3)
    load.stop()
    assert not load.failures(since), load.failures(since)[:10]
    load.read_back()
    load.check_listing(seconds=60)


def test_first_seconds_lose_nothing(cluster, load):
    """Whatever was acknowledged around the moment when the device went is there without it."""
    node = cluster.storage[0]
    path = node.device_path(node.devices[0])
    load.start()
    load.run_for(1.5)
    path.rename(path.with_name(path.name + '.aside'))
    load.run_for(1)
    load.stop()
    load.read_back()
    load.check_listing(seconds=60)


def test_missing_objects_stay_missing(cluster):
    """404, not 503, for what never was, when one of three devices cannot be asked."""
    user = cluster.log_in()
    container = support.unique('load')
    user.put(container).check(201)
    path = cluster.storage[-1].device_path(cluster.storage[-1].devices[-1])
    path.rename(path.with_name(path.name + '.aside'))
    time.sleep(SETTLE_SECONDS)
    for number in range(20):
        user.get(container, 'missing-%d' % number).check(404)
        user.head(container, 'missing-%d' % number, headers={'X-Newest': 'true'}).check(404)
        user.delete(container, 'missing-%d' % number).check(404)


def test_start_without_a_device(cluster, load):
    """A process whose device is missing starts all the same, and the cluster serves."""
    node = cluster.storage[-1]
    load.start()
    load.run_for(1)
    load.stop()
    node.stop()
    path = node.device_path(node.devices[-1])
    path.rename(path.with_name(path.name + '.aside'))
    node.start()
    load.read_back()
    load.start()
    load.run_for(SETTLE_SECONDS)
    since = time.monotonic()
    load.run_for(2)
    load.stop()
    assert not load.failures(since), load.failures(since)[:10]
    load.read_back()
    load.check_listing(seconds=60)
