"""Objects whose X-Delete-At has come are removed: from listings, from the devices, and from the expirer's queue."""
import json
import time

import pytest

import support
from cluster import Cluster
from server import Server

SOON = 2        # seconds: X-Delete-After of what is to go
QUEUE = '.expiring_objects'


@pytest.fixture(scope='module')
def store():
    with Server(expirer={'interval': '300ms', 'takeover_delay': '2', 'delay_reaping': 'AUTH_test/kept=3600'},
                proxy={'allow_open_expired': 'true'}, list_endpoints={'enabled': 'true'}) as server:
        yield server


@pytest.fixture(scope='module')
def user(store):
    return support.User.log_in(store.auth_url, 'test:tester', 'testing')


@pytest.fixture
def container(user):
    name = support.unique('expiring')
    user.put(name).check(201)
    return name


def servers_of(user, path):
    """URLs of a name's copies."""
    return support.http_request(user.address, 'GET', '/endpoints/' + path).check(200).json()


def ask(url, method='GET', headers=()):
    address, _, path = url.partition('//')[2].partition('/')
    host, _, port = address.partition(':')
    return support.http_request((host, int(port)), method, '/' + path, headers)


def queue(user):
    """Names of the rows of all task containers, on all servers."""
    names = set()
    for account in servers_of(user, QUEUE):
        for container in ask(account).lines():
            for url in servers_of(user, '%s/%s' % (QUEUE, container)):
                reply = ask(url)
                names.update(reply.lines() if reply.status == 200 else [])
    return names


def copies(user, container, name):
    """Statuses of an object's copies, expired or not."""
    return [ask(url, 'HEAD', {'X-Backend-Replication': 'true'}).status
            for url in servers_of(user, '%s/%s/%s' % (user.account, container, support.quote(name)))]


def check_gone(user, container, *names):
    listed = user.names(container)
    for name in names:
        assert name not in listed, listed
        assert copies(user, container, name) == [404, 404, 404]
        user.get(container, name, headers={'X-Open-Expired': 'true'}).check(404)
    rows = queue(user)
    assert not [row for row in rows if '/%s/' % container in row], rows


def put_expiring(user, container, name, seconds=SOON):
    user.put(container, name, body=b'x' * 100, headers={'X-Delete-After': str(seconds)}).check(201)


def test_expired_objects_go(user, container):
    names = ['plain', 'a/b c', 'ä%25-/x', 'large']
    for name in names:
        put_expiring(user, container, name)
    user.put(container, 'large', body=support.pattern(300000), headers={'X-Delete-After': str(SOON)}).check(201)
    user.put(container, 'stays', body=b'x').check(201)
    assert len(user.names(container)) == 5
    support.eventually(lambda: check_gone(user, container, *names), 20)
    assert user.names(container) == ['stays']


def test_changed_objects_stay(user, container):
    """A POST or PUT that takes the time away, or sets a later one, is the last word."""
    for name in ('posted', 'later', 'overwritten', 'goes'):
        put_expiring(user, container, name, SOON + 1)
    user.post(container, 'posted').check(202)
    user.post(container, 'later', headers={'X-Delete-After': '3600'}).check(202)
    user.put(container, 'overwritten', body=b'new').check(201)

    def gone():
        assert copies(user, container, 'goes') == [404, 404, 404]
    support.eventually(gone, 20)
    time.sleep(1.5)
    for name in ('posted', 'later', 'overwritten'):
        user.get(container, name).check(200)
    assert user.names(container) == ['later', 'overwritten', 'posted']


def test_delay_reaping(user, container):
    """Swift's delay_reaping: the object is hidden in time, and stays for X-Open-Expired."""
    user.put('kept').check(201, 202)
    put_expiring(user, 'kept', 'object')
    put_expiring(user, container, 'object')
    support.eventually(lambda: check_gone(user, container, 'object'), 20)
    time.sleep(1)
    user.get('kept', 'object').check(404)
    user.get('kept', 'object', headers={'X-Open-Expired': 'true'}).check(200)


def test_recon_and_metrics(store, user, container):
    put_expiring(user, container, 'object')
    support.eventually(lambda: check_gone(user, container, 'object'), 20)
    recon = support.http_request(('127.0.0.1', store.port + 1), 'GET', '/recon/expirer/object').check(200).json()
    assert 0 <= recon['object_expiration_pass'] < 60 and recon['expired_last_pass'] >= 0
    metrics = support.http_request(('127.0.0.1', store.port + 1), 'GET', '/metrics').check(200).text
    assert 'swiftlet_expirer_tasks_total{result="deleted"}' in metrics


def put_manifest(user, container, name, paths):
    body = json.dumps([{'path': path} for path in paths]).encode()
    user.put(container, name, body=body, query={'multipart-manifest': 'put'}).check(201)


ASYNC = {'multipart-manifest': 'delete', 'async': 'on'}


def test_async_deletion_of_a_large_object(user, container):
    segments = support.unique('segments')
    user.put(segments).check(201)
    for i in range(5):
        user.put(segments, 'seg/%d ä' % i, body=b'x').check(201)
    user.put(segments, 'other', body=b'x').check(201)
    put_manifest(user, container, 'large', ['/%s/seg/%d ä' % (segments, i) for i in range(5)])
    reply = user.delete(container, 'large', query=ASYNC).check(204)
    assert reply.body == b''
    user.get(container, 'large').check(404)

    def gone():
        assert user.names(segments) == ['other']
        assert not [row for row in queue(user) if '/%s/' % segments in row]
    support.eventually(gone, 20)


def test_async_deletion_that_is_refused(store, user, container):
    other = support.unique('other')
    user.put(other).check(201)
    for name in (container, other):
        user.put(name, 'seg', body=b'x').check(201)
    put_manifest(user, container, 'two', ['/%s/seg' % container, '/%s/seg' % other])
    assert b'All segments must be in one container' in user.delete(container, 'two', query=ASYNC).check(400).body
    put_manifest(user, container, 'inner', ['/%s/seg' % container])
    put_manifest(user, container, 'nested', ['/%s/inner' % container])
    assert b'No segments may be large objects' in user.delete(container, 'nested', query=ASYNC).check(400).body
    assert b'Not an SLO manifest' in user.delete(container, 'seg', query=ASYNC).check(400).body
    user.delete(container, 'absent', query=ASYNC).check(404)

    # who may write to the manifest's container alone cannot have segments elsewhere deleted
    put_manifest(user, container, 'far', ['/%s/seg' % other])
    user.post(container, headers={'X-Container-Write': 'test:tester3', 'X-Container-Read': 'test:tester3'}).check(204)
    colleague = support.User.log_in(store.auth_url, 'test:tester3', 'testing3').at(user)
    colleague.delete(container, 'far', query=ASYNC).check(403)
    user.post(other, headers={'X-Container-Write': 'test:tester3'}).check(204)
    colleague.delete(container, 'far', query=ASYNC).check(204)

    def gone():
        assert user.names(other) == [] and user.get(container, 'seg').status == 200
    support.eventually(gone, 20)


def test_work_goes_on_without_one_process():
    """Each of four processes expires its share; what a dead one had is done by the next in line."""
    expirer = {'interval': '500ms', 'takeover_delay': '1'}
    with Cluster(storage=4, devices=1, expirer=expirer) as cluster:
        user = cluster.log_in()
        for name in ('c', 'segments'):
            user.put(name).check(201)
        names = ['o%02d' % i for i in range(40)]
        for name in names:
            put_expiring(user, 'c', name, 3)
        cluster.storage[1].kill()
        for i in range(3):
            user.put('segments', 'seg%d' % i, body=b'x').check(201)
        put_manifest(user, 'c', 'large', ['/segments/seg%d' % i for i in range(3)])
        user.delete('c', 'large', query=ASYNC).check(204)

        def gone():
            listed = user.names('c') + user.names('segments')
            assert not listed, listed
        support.eventually(gone, 30)
        cluster.storage[1].start()
