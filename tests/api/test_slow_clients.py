"""Ten thousand slow and idle connections do not slow others down; each is given up in its time."""
import resource
import socket
import statistics
import threading
import time

import pytest

import abuse
import support
from server import Server

CONNECTIONS = 10000
KINDS = ['idle'] * 6 + ['head'] * 6 + ['body'] * 6 + ['reader'] * 2
TRICKLE_SECONDS = 20
ROUNDS, ATTEMPTS = 2, 4
REQUESTS = 500
RATIO_MAX = 1.1
RESET = b'\1\0\0\0\0\0\0\0'     # struct linger: on, no time
LARGE = 300000      # what a slow reader asks for


@pytest.fixture(scope='module', autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= CONNECTIONS + 500, 'raise the hard limit of descriptors (ulimit -Hn): %d are too few' % hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Connections that do next to nothing, from several addresses of the loopback, each with a byte to send now and then."""

    def __init__(self, address, user, container, count=CONNECTIONS, kinds=tuple(KINDS)):
        token = {'X-Auth-Token': user.token}
        self.openings = {
            'idle': b'',
            'head': b'GET /healthcheck HTTP/1.1\r\nHost: a\r\nX-Slow: ',
            'body': support.raw_request('PUT', user.path(container, 'slow%d'), {**token, 'Content-Length': 10000}, b'x'),
            'reader': support.raw_request('GET', user.path(container, 'large'), token)}
        self.members = []
        for number in range(count):
            kind = kinds[number % len(kinds)]
            member = socket.socket()
            if kind == 'reader':
                member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            member.bind(('127.0.0.%d' % (2 + number % 50), 0))
            member.connect(address)
            member.sendall(self.openings[kind].replace(b'slow%25d', b'slow%d' % number))
            self.members.append((kind, member))
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._trickle)
        self.thread.start()

    def _trickle(self):
        while not self.ended.wait(0.1):
            for _, member in [pair for pair in self.members if pair[0] in ('head', 'body')]:
                if self.ended.wait(TRICKLE_SECONDS / len(self.members)):
                    return
                try:
                    member.send(b'x')
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        for _, member in self.members:
            member.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            member.close()


def durations(address, user, container, count=REQUESTS):
    """What requests take, one after the other on one connection, in seconds."""
    asked = support.raw_request('GET', user.path(container, 'small'), {'X-Auth-Token': user.token})
    taken = []
    with support.Raw(address) as raw:
        for _ in range(count):
            begun = time.perf_counter()
            raw.send(asked)
            raw.reply().check(200)
            taken.append(time.perf_counter() - begun)
    return sorted(taken)


def percentile(taken, part):
    return sorted(taken)[int(len(taken) * part)]


def resident(pids):
    pages = 0
    for pid in pids:
        with open('/proc/%d/statm' % pid, encoding='ascii') as statm:
            pages += int(statm.read().split()[1])
    return pages * resource.getpagesize()


@pytest.fixture(scope='module')
def server():
    with Server() as started:
        yield started


@pytest.fixture(scope='module')
def user(server):
    user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
    user.put('c').check(201)
    user.put('c', 'small', body=b'x' * 1000).check(201)
    user.put('c', 'large', body=support.pattern(LARGE)).check(201)
    return user


def test_ten_thousand_slow_connections_do_not_slow_others(server, user):
    pids = abuse.server_pids(server.port)
    durations(server.address, user, 'c')
    before = resident(pids)
    seen = {False: [], True: []}
    ratios = []
    for _ in range(ATTEMPTS):
        for _ in range(ROUNDS):
            seen[False].append(percentile(durations(server.address, user, 'c'), 0.99))
            with Crowd(server.address, user, 'c'):
                time.sleep(1.5)
                seen[True].append(percentile(durations(server.address, user, 'c'), 0.99))
                grown = resident(pids) - before
            time.sleep(0.5)
        ratios.append(statistics.median(seen[True]) / statistics.median(seen[False]))
        print('p99 alone %.2f ms, beside %d slow ones %.2f ms: %.2f times; %.0f MiB more' % (
            statistics.median(seen[False]) * 1e3, CONNECTIONS, statistics.median(seen[True]) * 1e3, ratios[-1], grown / 2**20))
        if ratios[-1] <= RATIO_MAX:
            break
    assert ratios[-1] <= RATIO_MAX, ratios
    assert grown / CONNECTIONS < 65536, '%d bytes for each' % (grown / CONNECTIONS)


@pytest.fixture(scope='module')
def strict(tmp_path_factory):
    """A server whose patience is short."""
    with Server() as started:
        started.stop()
        config = started.directory / 'data/swiftlet.conf'
        config.write_text(config.read_text() + '\n[http]\nhead_timeout = 3\nclient_timeout = 3\nkeepalive_timeout = 3\nrate_min = 1000\n')
        started.start()
        yield started


@pytest.mark.parametrize('kind, status', [('B44-head', 408), ('B45-body', 408), ('B46-reader', None), ('B47-idle', None)])
def test_patience_ends(strict, kind, status):
    """A byte now and then does not help: below the rate for the time that silence may take, it ends."""
    user = support.User.log_in(strict.auth_url, 'test:tester', 'testing')
    user.put('c').check(201, 202)
    user.put('c', 'large', body=support.pattern(5 << 20)).check(201)
    with Crowd(strict.address, user, 'c', count=1, kinds=(kind[4:],)) as crowd:
        begun = time.monotonic()
        member = crowd.members[0][1]
        if kind == 'B46-reader':
            for _ in range(8):
                time.sleep(1)
                member.recv(10)
            taken = 0
            try:
                while chunk := member.recv(1 << 20):
                    taken += len(chunk)
            except ConnectionResetError:
                pass
            assert taken < 1 << 20
            return
        member.settimeout(20)
        answer = b''
        try:
            while not answer:
                member.settimeout(0.2)
                try:
                    answer = member.recv(1000)
                    break
                except socket.timeout:
                    if kind != 'B47-idle':
                        member.send(b'x')
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert 2 < time.monotonic() - begun < 10
        assert answer.startswith(b'HTTP/1.1 %d ' % status) if status else answer == b''
    if kind == 'B45-body':
        user.get('c', 'slow0').check(404)
        leftovers = [path for path in strict.directory.glob('data/devices/*/incoming/*')]
        assert not leftovers, leftovers


def test_above_the_limit_of_connections(server, user, tmp_path):
    """503 at once, a metric, and everything well afterwards."""
    with Server() as small:
        small.stop()
        config = small.directory / 'data/swiftlet.conf'
        config.write_text(config.read_text().replace('[swiftlet]\n', '[swiftlet]\nconnections_max = 20\nworkers = 1\n', 1))
        small.start()
        own = support.User.log_in(small.auth_url, 'test:tester', 'testing')
        own.put('c').check(201)
        with Crowd(small.address, own, 'c', count=20, kinds=('idle', 'head')):
            time.sleep(0.3)
            for _ in range(50):
                begun = time.monotonic()
                with support.Raw(small.address) as raw:
                    raw.send(support.raw_request('GET', '/healthcheck'))
                    reply = raw.reply().check(503)
                    assert reply.header('Retry-After') and time.monotonic() - begun < 2
        time.sleep(0.3)
        own.head('c').check(204)
