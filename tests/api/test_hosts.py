"""Accounts and containers in host names, and aliases of host names."""
import socket
import struct
import threading

import pytest

import support
from server import Server

ALIASES = {'store.customer.example': 'auth-test.storage.example', 'one.example': 'two.example', 'two.example': 'elsewhere.example'}


def _name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return '.'.join(labels), at + 1


def _encode(name):
    return b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0'


class NameServer:
    """Answers CNAME questions from ALIASES; counts the questions."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.address = '127.0.0.1:%d' % self.socket.getsockname()[1]
        self.asked = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            name, end = _name(packet, 12)
            self.asked.append(name)
            target = ALIASES.get(name)
            flags = 0x8180 if target else 0x8183
            answer = packet[:2] + struct.pack('>HHHHH', flags, 1, int(bool(target)), 0, 0) + packet[12:end + 4]
            if target:
                data = _encode(target)
                answer += b'\xc0\x0c' + struct.pack('>HHIH', 5, 1, 300, len(data)) + data
            self.socket.sendto(answer, peer)


@pytest.fixture(scope='module')
def store():
    names = NameServer()
    with Server(domain_remap={'storage_domain': 'storage.example, .other.example', 'mangle_client_paths': 'true'},
                cname_lookup={'storage_domain': 'storage.example, other.example', 'nameservers': names.address}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('c').check(201)
        user.put('c', 'o/p', body=b'found').check(201)
        user.names_asked = names.asked
        yield user


def by_host(user, host, path, status=200):
    return user.request('GET', path=path, headers={'Host': host}).check(status)


@pytest.mark.parametrize('host, path', [
    ('c.auth-test.storage.example', '/o/p'), ('c.AUTH_test.storage.example:8080', '/o/p'),
    ('c.auth-test.storage.example', '/v1/o/p'), ('AUTH-test.other.example', '/c/o/p'),
    ('auth_test.storage.example', '/v1/c/o/p'), ('store.customer.example', '/c/o/p'), ('STORE.customer.example:80', '/c/o/p')])
def test_found(store, host, path):
    assert by_host(store, host, path).body == b'found'


@pytest.mark.parametrize('host, path, status, text', [
    ('a.b.auth-test.storage.example', '/o', 400, 'Bad domain in host header'),
    ('unknown.example', '/o', 400, 'CNAME lookup failed to resolve to a valid domain'),
    ('one.example', '/o', 400, 'CNAME lookup failed after 1 tries'),
    ('test.storage.example', '/c/o/p', 400, None)])
def test_not_found(store, host, path, status, text):
    reply = by_host(store, host, path, status)
    assert text is None or reply.text == text


def test_addresses_and_paths_stay(store):
    assert store.get('c', 'o/p').check(200).body == b'found'
    assert by_host(store, 'storage.example', store.path('c', 'o/p')).body == b'found'


def test_an_alias_is_kept(store):
    for _ in range(3):
        by_host(store, 'store.customer.example', '/c/o/p')
    assert store.names_asked.count('store.customer.example') == 1


def test_info(store):
    info = support.http_request(store.address, 'GET', '/info').json()
    assert info['domain_remap'] == {'default_reseller_prefix': None} and info['cname_lookup'] == {'lookup_depth': 1}
