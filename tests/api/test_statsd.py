"""Lines for a statsd server, in Swift's names."""
import re
import socket
import time

import pytest

import support
from server import Server

LINE = re.compile(r'^([\w.-]+):(\d+(?:\.\d+)?)\|(ms|c)(?:\|@(\S+))?$')


@pytest.fixture
def listener():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(('127.0.0.1', 0))
        listening.settimeout(0.1)
        yield listening


def receive(listener, seconds):
    """(name, value, kind, rate) of all lines that come in that time."""
    lines = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            datagram = listener.recv(65536)
        except TimeoutError:
            continue
        assert len(datagram) <= 1400
        lines += [LINE.match(line).groups() for line in datagram.decode().split('\n')]
    return lines


def options(listener, **more):
    return {'host': '127.0.0.1', 'port': listener.getsockname()[1], **more}


def test_swifts_names(listener):
    with Server(statsd=options(listener, metric_prefix='site')) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('c').check(201)
        user.put('c', 'o', body=b'x' * 1000).check(201)
        user.get('c', 'o').check(200)
        user.get('c').check(200)
        user.get('c', 'none').check(404)
        user.head().check(204)
        user.request('BREW', 'c', 'o').check(405)
        lines = receive(listener, 1.5)
    values = {}
    for name, value, kind, rate in lines:
        assert rate is None
        values.setdefault((name, kind), []).append(float(value))
    proxy = 'site.proxy-server.'
    for name in ('container.PUT.201', 'object.PUT.201', 'object.GET.200', 'container.GET.200', 'object.GET.404',
                 'account.HEAD.204', 'object.policy.0.PUT.201', 'object.policy.0.GET.200', 'object.BAD_METHOD.405'):
        assert len(values[(proxy + name + '.timing', 'ms')]) == 1, name
        assert len(values[(proxy + name + '.xfer', 'c')]) == 1, name
    assert values[(proxy + 'object.PUT.201.xfer', 'c')] == [1000]
    assert values[(proxy + 'object.GET.200.xfer', 'c')] == [1000]
    assert len(values[('site.object-server.PUT.timing', 'ms')]) == 3
    assert len(values[('site.container-server.PUT.timing', 'ms')]) == 6
    assert ('site.account-server.HEAD.timing', 'ms') in values


def test_sample_rate(listener):
    with Server(statsd=options(listener, default_sample_rate='0.5', sample_rate_factor='0.5')) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        for _ in range(100):
            user.get('none').check(404)
        lines = [line for line in receive(listener, 0.5) if line[0] == 'proxy-server.container.GET.404.timing']
    assert 5 <= len(lines) <= 60
    assert {rate for _, _, _, rate in lines} == {'0.25'}


def test_nobody_listens(listener):
    """Not a request waits or fails."""
    port = listener.getsockname()[1]
    listener.close()
    with Server(statsd={'host': '127.0.0.1', 'port': port}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        for _ in range(20):
            user.head().check(200, 204)
        text = support.http_request(('127.0.0.1', server.port + 1), 'GET', '/metrics').check(200).body.decode()
        assert 'swiftlet_statsd_lines_total{result="dropped"}' in text
