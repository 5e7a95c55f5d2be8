"""What the black-box tests share.

Two HTTP clients.  `User` is the polite one: http.client, one connection a request, the answer as a `Reply` whose text
names the request and its X-Trans-Id when a check fails.  `Raw` is the rude one: it sends exactly the bytes it was given
and shows exactly the bytes that came back, so that a test can say what happens to a request no client would send.
"""
import calendar
import concurrent.futures
import datetime
import hashlib
import http.client
import itertools
import json
import os
import shutil
import socket
import time
import urllib.parse

TIMEOUT_SECONDS = 30

# True when the endpoint is the original Swift: expected() then takes its side where we differ on purpose.
IS_SWIFT = os.environ.get('SWIFTLET_TEST_IS_SWIFT', '') not in ('', '0')

http.client._MAXHEADERS = 1000      # a container may have 90 metadata headers beside its own

_serial = itertools.count(1)


def unique(word='c'):
    """A name no other test and no earlier run uses."""
    return '%s-%x-%d-%d' % (word, time.time_ns() // 1000000, os.getpid(), next(_serial))


def expected(ours, swift):
    """What a deliberate difference expects: ours, or what the original Swift does when the endpoint is one."""
    return swift if IS_SWIFT else ours


def md5(data):
    return hashlib.md5(data).hexdigest()


def pattern(length, seed=0):
    """`length` bytes that look random and are the same in every run."""
    return hashlib.shake_128(b'pattern %d' % seed).digest(length)


def need(tool):
    """The path of a program; a missing one is a failure, never a skip."""
    path = shutil.which(tool)
    assert path, 'the program "%s" is missing: install it, these tests do not skip' % tool
    return path


def eventually(check, seconds=10, pause=0.1):
    """Calls `check` until it raises no AssertionError any more, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)


def timestamp_of(last_modified):
    """The X-Timestamp that a listing's last_modified stands for."""
    moment = datetime.datetime.strptime(last_modified, '%Y-%m-%dT%H:%M:%S.%f').replace(tzinfo=datetime.timezone.utc)
    return '%d.%05d' % (calendar.timegm(moment.timetuple()), moment.microsecond // 10)


def quote(name):
    return urllib.parse.quote(name)


class Reply:
    """One answer: status, reason, headers as (name, value) pairs in their order, body."""

    def __init__(self, request, status, reason, headers, body):
        self.request, self.status, self.reason = request, status, reason
        self.headers, self.body = headers, body

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def has(self, name):
        return bool(self.all(name))

    @property
    def text(self):
        return self.body.decode('utf-8')

    def json(self):
        return json.loads(self.body)

    def lines(self):
        """The names of a plain listing."""
        return self.text.splitlines()

    def check(self, *statuses):
        assert self.status in statuses, 'wanted %s, got %r' % (' or '.join(map(str, statuses)), self)
        return self

    def __repr__(self):
        shown = ['%s: %s' % pair for pair in self.headers]
        return '<%s -> %s %s\n    %s\n    %r>' % (
            self.request, self.status, self.reason, '\n    '.join(shown), self.body[:300])


def http_request(address, method, path, headers=(), body=None, timeout=TIMEOUT_SECONDS):
    """One request on a connection of its own.  A body that is bytes has a length, an iterable goes out chunked."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        pairs = list(headers.items() if hasattr(headers, 'items') else headers)
        own_host = any(name.lower() == 'host' for name, _ in pairs)
        connection.putrequest(method, path, skip_host=own_host, skip_accept_encoding=True)
        names = set()
        for name, value in pairs:
            names.add(name.lower())
            connection.putheader(name, value.encode('utf-8') if isinstance(value, str) else value)
        chunked = body is not None and not isinstance(body, (bytes, bytearray))
        if chunked:
            connection.putheader('Transfer-Encoding', 'chunked')
        elif 'content-length' not in names and (body is not None or method in ('PUT', 'POST')):
            connection.putheader('Content-Length', str(len(body or b'')))
        connection.endheaders(body, encode_chunked=chunked)
        answer = connection.getresponse()
        data = answer.read()
        pairs = [(name, _as_text(value)) for name, value in answer.getheaders()]
        return Reply('%s %s' % (method, path), answer.status, answer.reason, pairs, data)
    finally:
        connection.close()


def _as_text(value):
    """http.client hands out Latin-1; headers here are UTF-8."""
    try:
        return value.encode('latin-1').decode('utf-8')
    except UnicodeError:
        return value


def login(auth_url, user, key):
    parts = urllib.parse.urlsplit(auth_url)
    return http_request((parts.hostname, parts.port), 'GET', parts.path,
                        {'X-Auth-User': user, 'X-Auth-Key': key})


class User:
    """Somebody with a token (or without one), looking at one account's storage URL."""

    def __init__(self, address, account_path, token=None, name='nobody', key=''):
        self.address, self.account_path, self.token, self.name, self.key = address, account_path, token, name, key

    @classmethod
    def log_in(cls, auth_url, name, key):
        reply = login(auth_url, name, key).check(200, 204)
        parts = urllib.parse.urlsplit(reply.header('X-Storage-Url'))
        return cls((parts.hostname, parts.port), parts.path, reply.header('X-Auth-Token'), name, key)

    def at(self, other):
        """The same token on the account of another user (or on an account path)."""
        path = other.account_path if isinstance(other, User) else other
        return User(self.address, path, self.token, self.name, self.key)

    def without_token(self):
        return User(self.address, self.account_path)

    @property
    def account(self):
        return self.account_path.rsplit('/', 1)[1]

    def path(self, *names):
        return '/'.join([self.account_path] + [quote(name) for name in names])

    def request(self, method, *names, headers=(), body=None, query=None, path=None, timeout=TIMEOUT_SECONDS):
        """Names: container, then object.  Query: a dictionary or the raw text.  A path replaces the names."""
        path = path or self.path(*names)
        if query:
            path += '?' + (query if isinstance(query, str) else urllib.parse.urlencode(query))
        pairs = list(headers.items() if hasattr(headers, 'items') else headers)
        if self.token and not any(name.lower() == 'x-auth-token' for name, _ in pairs):
            pairs.insert(0, ('X-Auth-Token', self.token))
        return http_request(self.address, method, path, pairs, body, timeout)

    def get(self, *names, **options):
        return self.request('GET', *names, **options)

    def head(self, *names, **options):
        return self.request('HEAD', *names, **options)

    def put(self, *names, **options):
        return self.request('PUT', *names, **options)

    def post(self, *names, **options):
        return self.request('POST', *names, **options)

    def delete(self, *names, **options):
        return self.request('DELETE', *names, **options)

    def copy(self, *names, **options):
        return self.request('COPY', *names, **options)

    def options(self, *names, **options):
        return self.request('OPTIONS', *names, **options)

    def names(self, container, **query):
        """What a plain listing of the container says."""
        return self.get(container, query=query).check(200, 204).lines()

    def remove_container(self, container):
        """Empties and removes a container; best effort, for tearing down."""
        for _ in range(10):
            listing = self.get(container, query={'format': 'json'})
            if listing.status != 200:
                return
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda row: self.delete(container, row['name']), listing.json()))
            if self.delete(container).status in (204, 404):
                return
            time.sleep(0.2)


class Raw:
    """A socket: bytes out, bytes in.  Parses an answer only so far as its own framing says where it ends."""

    def __init__(self, address, timeout=TIMEOUT_SECONDS):
        self.address = address
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b''     # what has arrived and no reply has used
        self.ended = False      # the server has closed its side

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Sends; a server that refuses may close before it has read all of it, which is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def finish(self):
        """Half-closes: the server sees the end, the answer can still come."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _more(self):
        if not self.ended:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b''
            self.ended = not data
            self.received += data
        return not self.ended

    def _take(self, count):
        while len(self.received) < count and self._more():
            pass
        data, self.received = self.received[:count], self.received[count:]
        return data

    def _take_line(self):
        while b'\n' not in self.received and self._more():
            pass
        line, end, self.received = self.received.partition(b'\n')
        return line + end

    def reply(self, method='GET', request='raw request'):
        """The next answer, or None when the server closed without one.  1xx answers are returned as they come."""
        status_line = self._take_line()
        if not status_line:
            return None
        version, _, rest = status_line.rstrip(b'\r\n').decode('latin-1').partition(' ')
        assert version.startswith('HTTP/1.'), 'no HTTP answer: %r' % status_line
        status, _, reason = rest.partition(' ')
        headers = []
        while True:
            line = self._take_line().rstrip(b'\r\n')
            if not line:
                break
            name, _, value = line.partition(b':')
            headers.append((name.decode('latin-1'), _as_text(value.strip().decode('latin-1'))))
        result = Reply(request, int(status), reason, headers, b'')
        result.body = self._body(method, result)
        return result

    def _body(self, method, result):
        if method == 'HEAD' or result.status in (204, 304) or result.status < 200:
            return b''
        if result.header('Transfer-Encoding', '').lower() == 'chunked':
            data = b''
            while True:
                size = int(self._take_line().split(b';')[0], 16)
                data += self._take(size)
                self._take_line()
                if not size:
                    return data
        length = result.header('Content-Length')
        if length is not None:
            return self._take(int(length))
        while self._more():
            pass
        return self._take(len(self.received))

    def closed(self, seconds=5):
        """True when the server closes within so many seconds without a further byte."""
        if self.received:
            return False
        self.socket.settimeout(seconds)
        try:
            self._more()
        except socket.timeout:
            return False
        finally:
            self.socket.settimeout(TIMEOUT_SECONDS)
        return self.ended and not self.received


def raw_request(method, path, headers=(), body=b'', host='swiftlet'):
    """The bytes of a plain request, to start from."""
    lines = ['%s %s HTTP/1.1' % (method, path), 'Host: ' + host]
    lines += ['%s: %s' % pair for pair in (headers.items() if hasattr(headers, 'items') else headers)]
    return '\r\n'.join(lines).encode('utf-8') + b'\r\n\r\n' + body
