"""X-Trans-Id finds every line of a request, in the logs of all processes, when one of them does not answer."""
import pytest

import support
from cluster import Cluster


@pytest.fixture(scope='module')
def cluster():
    with Cluster(storage=4, devices=1) as running:
        yield running


def lines_of(node, text):
    return [line for line in node.process.output().splitlines() if text in line]


def test_put_with_a_server_that_stands_still(cluster):
    user = cluster.log_in()
    user.put('still').check(201)
    cluster.storage[0].freeze()
    try:
        replies = [user.put('still', 'object-%d' % number, body=b'body', headers={'X-Trans-Id-Extra': 'still'})
                   for number in range(6)]
        replies = [reply.check(201).header('X-Trans-Id') for reply in replies]

        def found():
            failed = 0
            for identity in replies:
                assert identity.endswith('-still')
                proxy = lines_of(cluster.proxy, identity)
                assert [line for line in proxy if ' PUT /v1/' in line], 'the access log of the proxy'
                failed += any(' warning: object server' in line for line in proxy)
                others = [line for node in cluster.storage[1:] for line in lines_of(node, identity)]
                assert len([line for line in others if line.startswith('object-server: ')]) >= 2, others
                assert [line for line in others if line.startswith('container-server: ')], others
            assert failed >= 1, 'the failure of the one that stands still has the id of a request'
        support.eventually(found, seconds=15)
    finally:
        cluster.storage[0].thaw()


def test_failed_update_has_the_id(cluster):
    """What an object server says about a container server that is gone belongs to the request that it worked for."""
    user = cluster.log_in()
    user.put('gone').check(201)
    cluster.storage[1].kill()
    try:
        identities = [user.put('gone', 'object-%d' % number, body=b'body').check(201).header('X-Trans-Id') for number in range(6)]

        def found():
            lines = [line for node in (cluster.storage[0], *cluster.storage[2:], cluster.proxy)
                     for identity in identities for line in lines_of(node, identity)]
            assert [line for line in lines if 'warning' in line or 'error' in line], lines
        support.eventually(found, seconds=15)
    finally:
        cluster.storage[1].start()
