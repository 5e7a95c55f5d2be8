"""What a whole store with six devices holds in memory: after some load, when idle, and for each idle connection."""
import http.client
import socket
import threading
import time

import pytest

import support
from cluster import Cluster

IDLE_BYTES_MAX = 100 << 20
CONNECTION_BYTES_MAX = 8 << 10
OBJECTS, THREADS, LENGTHS = 6000, 8, (0, 100, 4096, 4096, 60000)
CONNECTIONS = 1000
IDLE_SECONDS = 9     # the server looks every 2 s and wants three quiet looks in a row


@pytest.fixture
def cluster():
    with Cluster(storage=0, devices=6) as made:
        yield made


def processes(parent):
    """A process and its children."""
    with open('/proc/%d/task/%d/children' % (parent, parent), encoding='ascii') as children:
        return [parent, *map(int, children.read().split())]


def resident_bytes(cluster):
    """Of the server and its supervisor; the code that both run counts twice."""
    total = 0
    for number in processes(cluster.proxy.process.pid):
        with open('/proc/%d/smaps_rollup' % number, encoding='ascii') as lines:
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith('Rss:'))
    return total


def work(cluster, user, container, first, errors):
    """PUT, HEAD, GET and a listing now and then, over one connection."""
    connection = http.client.HTTPConnection('127.0.0.1', cluster.proxy.ports['proxy'])
    headers = {'X-Auth-Token': user.token}

    def ask(method, path, expected, body=None):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != expected:
            errors.append('%s %s: %d' % (method, path, answer.status))

    base = '/v1/AUTH_test/' + container
    for number in range(first, OBJECTS, THREADS):
        path = '%s/%d' % (base, number)
        ask('PUT', path, 201, b'x' * LENGTHS[number % len(LENGTHS)])
        ask('HEAD', path, 200)
        ask('GET', path, 200)
        if number % 100 == 0:
            ask('GET', base, 200)
    connection.close()


def test_idle_process_and_connections(cluster):
    user = cluster.log_in()
    container = support.unique('memory')
    user.put(container).check(201)
    errors = []
    threads = [threading.Thread(target=work, args=(cluster, user, container, first, errors)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:5]
    busy = resident_bytes(cluster)
    time.sleep(IDLE_SECONDS)
    idle = resident_bytes(cluster)
    print('after %d requests %.1f MiB, idle %.1f MiB' % (3 * OBJECTS, busy / 2**20, idle / 2**20))
    assert idle < IDLE_BYTES_MAX

    request = b'GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n'
    connections = []
    try:
        before = resident_bytes(cluster)
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(('127.0.0.1', cluster.proxy.ports['proxy']))
            connections.append(connection)
            connection.sendall(request)
            assert connection.recv(4096).startswith(b'HTTP/1.1 200')
        each = (resident_bytes(cluster) - before) / CONNECTIONS
        print('%.0f bytes for an idle connection' % each)
        assert each < CONNECTION_BYTES_MAX
    finally:
        for connection in connections:
            connection.close()
