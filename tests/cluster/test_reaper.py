"""What was in a deleted account is removed; the account stays deleted."""
import time

import pytest

import support
from cluster import Cluster
from server import Server


@pytest.fixture(scope='module')
def store():
    with Server(reaper={'interval': '500ms', 'delay_reaping': '2', 'takeover_delay': '1'},
                list_endpoints={'enabled': 'true'},
                constraints={'container_listing_limit': '10', 'account_listing_limit': '2'}) as server:
        yield server


@pytest.fixture(scope='module')
def reseller(store):
    return support.User.log_in(store.auth_url, 'admin:admin', 'admin')


def statuses(user, *names, headers=()):
    """What the servers of a name answer to HEAD."""
    path = '/'.join((user.account,) + tuple(map(support.quote, names)))
    found = []
    for url in support.http_request(user.address, 'GET', '/endpoints/' + path).check(200).json():
        address, _, rest = url.partition('//')[2].partition('/')
        host, _, port = address.partition(':')
        found.append(support.http_request((host, int(port)), 'HEAD', '/' + rest, headers).status)
    return found


def fill(account):
    account.put().check(201, 202)
    for container in ('empty', 'full', 'ä b'):
        account.put(container).check(201)
    names = ['o%02d' % i for i in range(30)] + ['dir/x y', 'ü']
    for name in names:
        account.put('full', name, body=b'x' * 50).check(201)
    account.put('ä b', 'large', body=support.pattern(300000)).check(201)
    account.put('versioned', headers={'X-Versions-Enabled': 'true'}).check(201)
    for body in (b'one', b'two'):
        account.put('versioned', 'o', body=body).check(201)
    account.put('full', 'expiring', body=b'x', headers={'X-Delete-After': '86400'}).check(201)
    return names + ['expiring']


def test_reaper(store, reseller):
    account = reseller.at('/v1/AUTH_' + support.unique('doomed').replace('-', '_'))
    alive = reseller.at('/v1/AUTH_' + support.unique('alive').replace('-', '_'))
    names = fill(account)
    fill(alive)
    account.delete().check(204)
    account.head().check(410)
    time.sleep(0.7)
    assert statuses(account, 'full', 'o00') == [200] * 3, 'not before delay_reaping'

    def reaped():
        for name in names:
            assert statuses(account, 'full', name) == [404] * 3
        assert statuses(account, 'ä b', 'large') == [404] * 3
        for container in ('empty', 'full', 'ä b', 'versioned', '\0versions\0versioned'):
            assert statuses(account, container) == [404] * 3
    support.eventually(reaped, 30, 0.5)
    account.head().check(410)
    assert account.put().check(403).body == b'Recently deleted'
    assert alive.get('full', 'o00').check(200).body == b'x' * 50
    assert alive.head('full').check(204).header('X-Container-Object-Count') == str(len(names))

    # five, one of them hidden; an account that has nothing left is looked at no more
    for _ in range(2):
        metrics = support.http_request(('127.0.0.1', store.port + 3), 'GET', '/metrics').check(200).text
        assert 'swiftlet_reaper_total{result="container"} 5' in metrics
        time.sleep(1.2)


def test_work_goes_on_without_one_process():
    """What a dead process had of an account is done by the next in line, over the network as within a process."""
    options = {'reaper': {'interval': '500ms', 'takeover_delay': '1'}, 'proxy': {'allow_account_management': 'true'},
               'auth': {'user_admin_admin': 'admin .admin .reseller_admin'}}
    with Cluster(storage=4, devices=1, **options) as cluster:
        admin = support.User.log_in(cluster.auth_url, 'admin:admin', 'admin')
        account = admin.at('/v1/AUTH_doomed')
        account.put().check(201)
        containers = ['c%02d' % i for i in range(12)]
        for container in containers:
            account.put(container).check(201)
            for name in 'ab':
                account.put(container, name, body=b'x').check(201)
        account.delete().check(204)
        cluster.storage[2].kill()

        def removed(node):
            text = support.http_request(('127.0.0.1', node.ports['account']), 'GET', '/metrics').check(200).text
            return sum(int(line.split()[-1]) for line in text.splitlines()
                       if line.startswith('swiftlet_reaper_total{result="container"}'))

        def reaped():
            assert sum(removed(node) for node in cluster.storage if node.process) >= len(containers)
        support.eventually(reaped, 30, 0.3)
        account.head().check(410)
        cluster.storage[2].start()
