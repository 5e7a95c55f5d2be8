"""TLS at the proxy's door."""
import http.client
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import support
from certificates import Pair, client_context
from server import Server, TOP, free_ports

HANDSHAKE_SECONDS = 2
SWIFTLET = os.environ.get('SWIFTLET') or TOP / 'swiftlet'


class TlsServer(Server):
    def __init__(self, folder):
        self.first = Pair(folder, 'first', 'localhost', '127.0.0.1')
        self.second = Pair(folder, 'second', 'second.example', '*.wild.example')
        self.tls_port = free_ports(1)
        super().__init__(swiftlet={'workers': '2'}, proxy={
            'tls_bind': '127.0.0.1:%d' % self.tls_port,
            'tls_certificate': '%s, %s' % (self.first.certificate, self.second.certificate),
            'tls_key': '%s, %s' % (self.first.key, self.second.key), 'handshake_timeout': '%ds' % HANDSHAKE_SECONDS})

    @property
    def tls_auth_url(self):
        return 'https://127.0.0.1:%d/auth/v1.0' % self.tls_port

    def connect(self, context=None, name=None, **options):
        raw = socket.create_connection(('127.0.0.1', self.tls_port), timeout=support.TIMEOUT_SECONDS)
        return (context or client_context()).wrap_socket(raw, server_hostname=name, **options)

    def shown(self, name=None):
        """The certificate, in DER, that somebody gets who asks for the name."""
        with self.connect(name=name) as connection:
            return connection.getpeercert(binary_form=True)

    def https(self, context=None):
        return http.client.HTTPSConnection('127.0.0.1', self.tls_port, timeout=support.TIMEOUT_SECONDS,
                                           context=context or client_context())

    def hang_up(self):
        """SIGHUP to the supervisor, a child of tools/run."""
        for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
            try:
                name, fields = re.fullmatch(r'\d+ \((.*)\) (.*)\n', path.read_text(), re.DOTALL).groups()
            except (OSError, AttributeError):
                continue
            if name == 'swiftlet' and int(fields.split()[1]) == self.process.pid:
                os.kill(int(path.parent.name), signal.SIGHUP)

    def log_text(self):
        return (self.directory / 'data' / 'swiftlet.log').read_text()

    def wait_for_log(self, pattern, count=1, seconds=10):
        def look():
            assert len(re.findall(pattern, self.log_text())) >= count, self.log_text()[-2000:]
        support.eventually(look, seconds)


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with TlsServer(tmp_path_factory.mktemp('certificates')) as running:
        yield running


def ask(connection, path='/healthcheck', headers=None):
    """One request on a connection of http.client, which is left open."""
    connection.request('GET', path, headers=headers or {})
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def curl(*words):
    return subprocess.run([support.need('curl'), '-sS', '--max-time', '10', *map(str, words)], capture_output=True,
                          text=True, check=False)


@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_versions(server, version):
    done = curl('-v', '--cacert', server.first.certificate, '--tlsv' + version, '--tls-max', version,
                'https://localhost:%d/healthcheck' % server.tls_port)
    assert done.stdout == 'OK', done.stderr
    assert 'SSL connection using TLSv' + version in done.stderr
    assert 'server accepted http/1.1' in done.stderr
    assert ('ECDHE' if version == '1.2' else 'TLS_AES_128_GCM_SHA256') in done.stderr


@pytest.mark.parametrize('version', ['1.0', '1.1'])
def test_old_versions_are_refused(server, version):
    done = curl('-k', '--tlsv' + version, '--tls-max', version, '--ciphers', 'DEFAULT@SECLEVEL=0',
                'https://127.0.0.1:%d/healthcheck' % server.tls_port)
    assert done.returncode == 35 and 'alert protocol version' in done.stderr


def test_http_at_the_tls_port_is_no_http(server):
    with support.Raw(('127.0.0.1', server.tls_port)) as raw:
        raw.send(b'GET /healthcheck HTTP/1.1\r\nHost: h\r\n\r\n')
        while raw._more():
            pass
        assert b'HTTP' not in raw.received


@pytest.mark.parametrize('name, second', [
    ('localhost', False), ('second.example', True), ('a.wild.example', True), ('unknown.example', False), (None, False)])
def test_certificate_by_name(server, name, second):
    assert server.shown(name) == (server.second if second else server.first).der


def test_storage_url_has_the_scheme_of_the_request(server):
    credentials = {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'}
    for host, url in (('example.com', 'https://example.com'), ('example.com:443', 'https://example.com'),
                      ('example.com:80', 'https://example.com:80'), ('[::1]:8443', 'https://[::1]:8443')):
        _, headers, _ = ask(server.https(), '/auth/v1.0', {'Host': host, **credentials})
        assert headers['X-Storage-Url'] == url + '/v1/AUTH_test'
    plain = support.login(server.auth_url, 'test:tester', 'testing')
    assert plain.header('X-Storage-Url') == 'http://127.0.0.1:%d/v1/AUTH_test' % server.port


def test_a_large_object(server):
    user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
    user.put('large').check(201, 202)
    data = support.pattern(5000000)
    connection = server.https(client_context(server.first))
    path, token = user.path('large', 'o'), {'X-Auth-Token': user.token}
    connection.request('PUT', path, data, token)
    reply = connection.getresponse()
    assert (reply.status, reply.headers['Etag'], reply.read()) == (201, support.md5(data), b'')
    connection.request('PUT', path + '2', iter([data[:100], data[100:4000000], data[4000000:]]), token, encode_chunked=True)
    reply = connection.getresponse()
    assert (reply.status, reply.read()) == (201, b'')
    for name in (path, path + '2'):
        assert ask(connection, name, token)[2] == data
    status, _, part = ask(connection, path, {'Range': 'bytes=1000000-1999999', **token})
    assert (status, part) == (206, data[1000000:2000000])


def test_the_swift_command(server, tmp_path):
    (tmp_path / 'file').write_bytes(support.pattern(100000))

    def run(*words, fails=False):
        done = subprocess.run([support.need('swift'), '-A', server.tls_auth_url, '-U', 'test:tester', '-K', 'testing',
                               *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout
    trusting = '--os-cacert=%s' % server.first.certificate
    run(trusting, 'upload', 'by-swift', 'file')
    run('--insecure', 'download', 'by-swift', 'file', '--output', 'back')
    assert (tmp_path / 'back').read_bytes() == support.pattern(100000)
    assert run(trusting, 'list', 'by-swift') == 'file\n'
    run('stat', fails=True)


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_any_worker(server, version):
    context = client_context()
    context.minimum_version = context.maximum_version = version
    session, reused = None, []
    for _ in range(12):
        with server.connect(context, session=session) as connection:
            connection.sendall(b'GET /healthcheck HTTP/1.1\r\nHost: h\r\n\r\n')
            assert connection.recv(4096).startswith(b'HTTP/1.1 200')
            reused.append(connection.session_reused)
            session = connection.session
    assert reused == [False] + [True] * 11


class Load:
    """Threads that ask without a pause: some on one connection each, some on a new one each time."""

    def __init__(self, server, threads=3):
        self.server, self.stopping, self.served, self.failures = server, False, 0, []
        work = [self.keep_alive] * threads + [self.anew] * threads
        self.threads = [threading.Thread(target=self.run, args=(one,)) for one in work]

    def run(self, one):
        try:
            one()
        except Exception as error:  # whatever it is, the test must hear of it
            self.failures.append(repr(error))

    def keep_alive(self):
        connection = self.server.https()
        connection.connect()
        first = connection.sock
        while not self.stopping:
            self.check(connection)
            assert connection.sock is first, 'the connection was closed'

    def anew(self):
        while not self.stopping:
            connection = self.server.https()
            self.check(connection)
            connection.close()

    def check(self, connection):
        status, _, body = ask(connection)
        assert (status, body) == (200, b'OK')
        self.served += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        assert not self.failures
        assert self.served > 100


def test_reload_under_load(server):
    loaded = server.log_text().count('loaded the TLS certificates')
    with Load(server):
        for round_number in range(4):
            server.first.make()
            server.hang_up()
            server.wait_for_log('loaded the TLS certificates', loaded + round_number + 1)
            assert server.shown() == server.first.der
        # a file that is broken changes nothing
        good, der = server.first.key.read_bytes(), server.first.der
        server.first.key.write_bytes(server.second.key.read_bytes())
        server.hang_up()
        server.wait_for_log('first.key: no key of that certificate could be read: .*; the old certificates stay in use')
        assert server.shown() == der
        # files that change are noticed without a signal
        server.first.key.write_bytes(good)
        server.second.make()
        support.eventually(lambda: _same(server.shown('second.example'), server.second.der), 10)


def _same(found, wanted):
    assert found == wanted


def test_half_handshakes_keep_nobody_out(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    memory = ssl.MemoryBIO()
    hello = client_context().wrap_bio(ssl.MemoryBIO(), memory)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    hello = memory.read()
    crowd = []
    started = time.monotonic()
    try:
        for number in range(5000):
            one = socket.create_connection(('127.0.0.1', server.tls_port), timeout=20)
            # nothing, half a hello, or a whole one and no answer to the server's
            one.sendall([b'', hello[:len(hello) // 2], hello][number % 3])
            crowd.append(one)
            if number % 100 == 0:
                before = time.monotonic()
                assert ask(server.https())[0] == 200
                assert ask(http.client.HTTPConnection('127.0.0.1', server.port))[0] == 200
                assert time.monotonic() - before < 3
        _wait_until_closed(crowd, started)
    finally:
        for one in crowd:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ask(server.https())[0] == 200


def _wait_until_closed(crowd, started):
    for one in crowd:
        try:
            while one.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert time.monotonic() - started < 10 + HANDSHAKE_SECONDS


def test_config_check(server, tmp_path):
    def check(text, *words):
        path = tmp_path / 'swiftlet.conf'
        path.write_text('[swiftlet]\nhash_path_suffix = x\n[proxy]\n' + text)
        done = subprocess.run([SWIFTLET, 'config', 'check', path], capture_output=True, text=True, check=False)
        assert done.returncode == (1 if words else 0), done.stderr
        for word in words:
            assert word in done.stderr
    pair, other = server.first, server.second
    listening = 'tls_bind = 127.0.0.1:8443\n'
    check(listening + 'tls_certificate = %s\ntls_key = %s\n' % (pair.certificate, pair.key))
    both = tmp_path / 'both.pem'
    both.write_text(pair.certificate.read_text() + pair.key.read_text())
    check(listening + 'tls_certificate = both.pem\n')
    check(listening, 'tls_certificate', 'is needed')
    check(listening + 'tls_certificate = %s\n' % pair.certificate, 'no key of that certificate')
    check(listening + 'tls_certificate = nowhere.crt\n', '%s/nowhere.crt' % tmp_path, 'No such file')
    check(listening + 'tls_certificate = %s\ntls_key = %s\n' % (pair.certificate, other.key), str(other.key), 'mismatch')
    check(listening + 'tls_certificate = both.pem, both.pem\ntls_key = both.pem\n', '1 keys do not go with 2')
    check('tls_bind = localhost:8443\n', 'not an address')
    check('proxy_protocol = 10.0.0.0/33\n', 'not an address or network')
    check('tls_min_version = 1.1\n', 'is not one of: 1.2 1.3')
