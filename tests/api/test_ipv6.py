"""IPv6: a proxy and a storage node that speak nothing else, on ::1."""
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

import support
from certificates import Pair
from server import Process, free_ports
from test_tls import SWIFTLET

ROLES = ('object', 'container', 'account')


def ring(*words):
    subprocess.run([SWIFTLET, 'ring', *map(str, words)], check=True, capture_output=True)


class Node:
    """Two processes with one set of rings, so that the proxy reaches the servers by sockets."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='swiftlet-test-'))
        self.port = free_ports(6)
        self.ports = dict(zip(ROLES, range(self.port + 2, self.port + 5)))
        self.pair = Pair(self.directory, 'six', 'localhost', '::1')
        self.processes = []
        for device in ('d1', 'd2', 'd3'):
            (self.directory / 'devices' / device).mkdir(parents=True)
        for role, port in self.ports.items():
            builder = self.directory / (role + '.builder')
            ring('create', builder, 6, 3, 1)
            for number in (1, 2, 3):
                ring('add', builder, 'r1z%d-[::1]:%d/d%d' % (number, port, number), 100)
            ring('rebalance', builder)

    def start(self, name, roles):
        path = self.directory / (name + '.conf')
        path.write_text('\n'.join(
            ['[swiftlet]', 'roles = ' + roles, 'hash_path_suffix = x', 'rings = .', 'devices = devices',
             'mount_check = false', 'workers = 1', '[proxy]', 'bind = [::]:%d' % self.port,
             'tls_bind = [::1]:%d' % (self.port + 1), 'tls_certificate = six.crt', 'tls_key = six.key',
             'proxy_protocol = 127.0.0.2', '[list_endpoints]', 'enabled = true', '[auth]', 'user_test_tester = testing .admin',
             *('[%s]\nbind = [::1]:%d' % pair for pair in self.ports.items())]) + '\n')
        process = Process([SWIFTLET, 'serve', '--config', path], self.directory / (name + '.log'))
        self.processes.append(process)
        process.wait_for_output('serving with')

    def __enter__(self):
        self.start('storage', 'account, container, object')
        self.start('door', 'proxy')
        return self

    def __exit__(self, *failure):
        for process in reversed(self.processes):
            if any(failure):
                process.kill()
            else:
                process.stop()
        shutil.rmtree(self.directory)

    def log(self, name):
        return (self.directory / (name + '.log')).read_text()


@pytest.fixture(scope='module')
def node():
    with Node() as running:
        yield running


@pytest.fixture(scope='module')
def user(node):
    return support.User.log_in('http://[::1]:%d/auth/v1.0' % node.port, 'test:tester', 'testing')


def test_storage_url(node):
    for host, url in (('[::1]:%d' % node.port, 'http://[::1]:%d' % node.port), ('[2001:db8::1]', 'http://[2001:db8::1]'),
                      ('[::1]:80', 'http://[::1]')):
        reply = support.http_request(('::1', node.port), 'GET', '/auth/v1.0',
                                     {'Host': host, 'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'})
        assert reply.check(200).header('X-Storage-Url') == url + '/v1/AUTH_test'


def test_objects_and_listings(node, user):
    user.put('c').check(201)
    for number in range(5):
        user.put('c', 'small%d' % number, body=support.pattern(100, number)).check(201)
    user.put('c', 'large', body=support.pattern(300000)).check(201)
    assert user.get('c', 'large').check(200).body == support.pattern(300000)
    # the rows came by the servers' own requests, whose addresses are in headers
    names = ['large'] + ['small%d' % number for number in range(5)]
    support.eventually(lambda: _same(user.names('c'), names))
    support.eventually(lambda: _same(user.get().header('X-Account-Object-Count'), '6'))
    user.delete('c', 'large').check(204)
    support.eventually(lambda: _same(user.names('c'), names[1:]))
    assert not re.search('error|warning', node.log('storage')), node.log('storage')


def _same(found, wanted):
    assert found == wanted


def test_addresses_of_copies(node):
    urls = support.http_request(('::1', node.port), 'GET', '/endpoints/AUTH_test/c/o').check(200).json()
    assert len(urls) == 3
    for url in urls:
        assert re.fullmatch(r'http://\[::1\]:%d/d[123]/\d+/AUTH_test/c/o' % node.ports['object'], url), url


def test_clients_in_logs(node):
    for host, client in (('::1', '::1'), ('127.0.0.1', '127.0.0.1')):
        mark = support.unique('log')
        support.http_request((host, node.port), 'GET', '/info?' + mark).check(200)

        def look():
            text = node.log('door')
            assert re.search(r'^%s %s .*%s ' % (client, client, mark), text, re.MULTILINE), text[-500:]
        support.eventually(look)


def test_a_trusted_balancer_of_ipv4_at_a_socket_of_ipv6(node):
    with socket.create_connection(('127.0.0.1', node.port), source_address=('127.0.0.2', 0), timeout=10) as raw:
        raw.sendall(b'PROXY TCP6 2001:db8::7 2001:db8::1 1 80\r\nGET /healthcheck HTTP/1.0\r\n\r\n')
        assert raw.recv(4096).startswith(b'HTTP/1.1 200')


def test_healthcheck_and_tls(node):
    for url, words in (('http://[::1]:%d' % node.port, ()),
                       ('https://[::1]:%d' % (node.port + 1), ('--cacert', node.pair.certificate))):
        done = subprocess.run([support.need('curl'), '-sS', '-g', *words, url + '/healthcheck'], capture_output=True,
                              text=True, check=False)
        assert done.stdout == 'OK', done.stderr


def test_one_address_twice_is_refused(node):
    path = node.directory / 'second.conf'
    path.write_text('[swiftlet]\nroles = proxy\nhash_path_suffix = x\nrings = .\n[proxy]\nbind = [::1]:%d\n' % node.port)
    done = subprocess.run([SWIFTLET, 'serve', '--config', path], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and 'in use by another process' in done.stderr
