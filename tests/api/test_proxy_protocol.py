"""The PROXY protocol: who a client is, said by a balancer that is trusted, and by one that is not."""
import re
import socket
import ssl
import struct
import subprocess

import pytest

import support
from certificates import Pair, client_context
from server import Server, free_ports

TRUSTED, STRANGER = '127.0.0.2', '127.0.0.1'
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp('certificates'), 'one', 'localhost', '127.0.0.1')
    tls_port = free_ports(1)
    with Server(proxy={'proxy_protocol': '%s, fd00::/8' % TRUSTED, 'tls_bind': '127.0.0.1:%d' % tls_port,
                       'tls_certificate': pair.certificate, 'tls_key': pair.key, 'handshake_timeout': '2s'}) as running:
        running.tls_port = tls_port
        yield running


def connect(server, source=TRUSTED, port=None):
    raw = support.Raw.__new__(support.Raw)
    raw.address, raw.received, raw.ended = server.address, b'', False
    raw.socket = socket.create_connection(('127.0.0.1', port or server.port), timeout=support.TIMEOUT_SECONDS,
                                          source_address=(source, 0))
    return raw


def request(mark, headers=''):
    return ('GET /info?%s HTTP/1.1\r\nHost: h\r\n%s\r\n' % (mark, headers)).encode()


def version_2(family, addresses, command=0x21, values=b''):
    rest = addresses + values
    return SIGNATURE + struct.pack('!BBH', command, family, len(rest)) + rest


def four(client, port=8080):
    return socket.inet_aton(client) + socket.inet_aton('192.0.2.2') + struct.pack('!HH', 40000, port)


def six(client, port=8080):
    return (socket.inet_pton(socket.AF_INET6, client) + socket.inet_pton(socket.AF_INET6, '2001:db8::2') +
            struct.pack('!HH', 40000, port))


def logged(server, mark):
    """Client and remote address in the access log's line of that request."""
    def look():
        text = (server.directory / 'data' / 'swiftlet.log').read_text()
        found = re.search(r'^(\S+) (\S+) \S+ \S+ \S*%s ' % mark, text, re.MULTILINE)
        assert found, text[-1000:]
        return found.groups()
    return support.eventually(look)


RIGHT = [
    (b'PROXY TCP4 192.0.2.1 192.0.2.2 40000 8080\r\n', '192.0.2.1'),
    (b'PROXY TCP6 2001:db8::1 2001:db8::2 40000 8080\r\n', '2001:db8::1'),
    (b'PROXY TCP6 ::ffff:192.0.2.1 ::1 40000 8080\r\n', '192.0.2.1'),
    (b'PROXY UNKNOWN\r\n', TRUSTED),
    (version_2(0x11, four('192.0.2.1')), '192.0.2.1'),
    (version_2(0x21, six('2001:db8::1')), '2001:db8::1'),
    (version_2(0, b'', 0x20), TRUSTED),
    (version_2(0x31, b'x' * 216), TRUSTED),
    (version_2(0x11, four('192.0.2.1'), values=b'\x04' + struct.pack('!H', 2000) + b'n' * 2000), '192.0.2.1'),
]


@pytest.mark.parametrize('number', range(len(RIGHT)))
def test_client_of_a_trusted_header(server, number):
    header, client = RIGHT[number]
    mark = support.unique('right')
    with connect(server) as raw:
        raw.send(header + request(mark))
        raw.reply().check(200)
        assert logged(server, mark) == (client, client)
        # the header stands for the whole connection, and comes once
        raw.send(request(mark + 'b', 'X-Forwarded-For: 203.0.113.9\r\n'))
        raw.reply().check(200)
        assert logged(server, mark + 'b') == ('203.0.113.9', client)
        raw.send(header)
        raw.reply().check(400)


@pytest.mark.parametrize('number', [0, 5])
def test_byte_by_byte(server, number):
    header, client = RIGHT[number]
    mark = support.unique('bytes')
    with connect(server) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header + request(mark):
            raw.send(bytes([byte]))
        raw.reply().check(200)
        assert logged(server, mark) == (client, client)


@pytest.mark.parametrize('header', [
    b'', b'PROXY\r\n', b'PROXY TCP4 192.0.2.1 192.0.2.2 40000\r\n', b'PROXY TCP4 192.0.2.1 192.0.2.2 40000 8080\n',
    b'PROXY TCP4 2001:db8::1 192.0.2.2 40000 8080\r\n', b'PROXY UNKNOWN ' + b'x' * 92 + b'\r\n', b'PROXY ' + b'x' * 5000,
    version_2(0x11, b'short'), version_2(0x11, four('192.0.2.1'), 0x31), version_2(0x11, b'x' * 60000)])
def test_bad_header_from_a_trusted_peer(server, header):
    with connect(server) as raw:
        raw.send(header + request('bad'))
        reply = raw.reply().check(400)
        assert reply.text == 'Invalid PROXY header' and reply.header('Connection') == 'close'
        assert reply.has('X-Trans-Id')
        raw.finish()
        assert raw.closed()


def test_half_a_header_ends_in_time(server):
    with connect(server) as raw, connect(server) as silent:
        raw.send(b'PROXY TCP4 192')
        assert raw.closed() and silent.closed()


@pytest.mark.parametrize('number', range(len(RIGHT)))
def test_header_of_an_untrusted_peer(server, number):
    with connect(server, STRANGER) as raw:
        raw.send(RIGHT[number][0] + request('stranger'))
        raw.reply().check(400)
        raw.finish()
        assert raw.closed()


def test_untrusted_peers_need_none(server):
    mark = support.unique('plain')
    with connect(server, STRANGER) as raw:
        raw.send(request(mark))
        raw.reply().check(200)
    assert logged(server, mark) == (STRANGER, STRANGER)


@pytest.mark.parametrize('header, scheme', [
    (b'PROXY TCP4 192.0.2.1 192.0.2.2 40000 8080\r\n', 'http'),
    (b'PROXY TCP4 192.0.2.1 192.0.2.2 40000 443\r\n', 'https'),
    (version_2(0x11, four('192.0.2.1', 8443), values=b'\x20\0\5\1\0\0\0\0'), 'https'),
    (version_2(0x11, four('192.0.2.1', 8443), values=b'\x20\0\5\0\0\0\0\0'), 'http')])
def test_scheme_by_header(server, header, scheme):
    with connect(server) as raw:
        raw.send(header + b'GET /auth/v1.0 HTTP/1.1\r\nHost: h\r\nX-Auth-User: test:tester\r\nX-Auth-Key: testing\r\n\r\n')
        assert raw.reply().check(200).header('X-Storage-Url') == scheme + '://h/v1/AUTH_test'


def test_before_a_tls_handshake(server):
    mark = support.unique('tls')
    with connect(server, port=server.tls_port) as raw:
        raw.send(RIGHT[0][0])
        raw.socket = client_context().wrap_socket(raw.socket)
        raw.send(request(mark))
        raw.reply().check(200)
    assert logged(server, mark) == ('192.0.2.1', '192.0.2.1')
    for header, source in ((b'', TRUSTED), (b'PROXY nonsense\r\n', TRUSTED), (RIGHT[0][0], STRANGER)):
        with connect(server, source, server.tls_port) as raw:
            raw.send(header)
            with pytest.raises((ssl.SSLError, OSError)):
                client_context().wrap_socket(raw.socket)


def test_curl(server):
    mark = support.unique('curl')
    done = subprocess.run([support.need('curl'), '-sS', '--haproxy-protocol', '--interface', TRUSTED,
                           'http://127.0.0.1:%d/info?%s' % (server.port, mark)], capture_output=True, text=True,
                          check=False)
    assert '"swift"' in done.stdout, done.stderr
    assert logged(server, mark) == (TRUSTED, TRUSTED)
