"""Load that can be judged: bodies that describe themselves, and a ledger of what was acknowledged.

Each key belongs to one worker thread, so the operations on a key follow each other.  The ledger holds, per key, the set of
states that are still possible: an acknowledged operation leaves one, one whose outcome is unknown (connection broken, 5xx,
202 to a PUT) adds what it may have done, one that was refused by a closed port changes nothing.  Whatever is read must be in
that set.  Reading does not narrow it: an unknown operation may have reached a minority of the replicas, and until these are
repaired both answers are right.  Timestamps order the operations of a key, so an older unknown one can never come back over a
newer acknowledged one.
"""
import collections
import hashlib
import http.client
import random
import socket
import threading
import time
import zlib

import support

TIMEOUT_SECONDS = 60
MAGIC = b'SWB1'

# Below and above the 64 KiB from which bodies are files of their own, and right at the border.
LENGTHS = [200, 200, 1000, 1000, 4096, 30000, 65535, 65536, 65537, 70000, 150000, 400000]

ABSENT = None


class Violation(AssertionError):
    """The store broke a promise."""


def make_body(key, version, client, length):
    """magic, key, version, client, length and a checksum of these in one line, then a stream that they determine."""
    fields = b'%s %s %d %s %d' % (MAGIC, key.encode(), version, client.encode(), length)
    head = fields + b' %08x\n' % zlib.crc32(fields)
    assert length >= len(head)
    return head + hashlib.shake_128(head).digest(length - len(head))


def read_body(data):
    """(key, version) of a body that is whole; raises Violation for one that is not."""
    head, end, _ = data.partition(b'\n')
    words = head.split(b' ')
    if not end or len(words) != 6 or words[0] != MAGIC or words[5] != b'%08x' % zlib.crc32(b' '.join(words[:5])):
        raise Violation('rotten: the head of the body is %r' % data[:100])
    key, version, client, length = words[1].decode(), int(words[2]), words[3].decode(), int(words[4])
    if data != make_body(key, version, client, length):
        raise Violation('rotten: %s version %d has %d of %d bytes, or other ones' % (key, version, len(data), length))
    return key, version


class State(collections.namedtuple('State', 'version meta length')):
    """What an object is: the version of its body, the version of its metadata, its length.  ABSENT is no object."""


class Key:
    """One object name, its possible states and the tail of its history."""

    def __init__(self, container, name, client):
        self.container, self.name, self.client = container, name, client
        self.states = {ABSENT}
        self.version = 0        # the last one given out
        self.history = collections.deque(maxlen=12)

    def __str__(self):
        return '%s/%s\n  possible: %s\n  history:\n    %s' % (
            self.container, self.name, sorted(map(str, self.states)), '\n    '.join(self.history))

    def row_of(self, state):
        """Size and hash that the listing shows for a state."""
        if state is ABSENT:
            return None
        return state.length, support.md5(make_body(self.name, state.version, self.client, state.length))

    def note(self, what, status, trans_id):
        self.history.append('%.3f %s -> %s %s' % (time.time(), what, status, trans_id or ''))

    def check(self, state, what, trans_id):
        """The key was seen in this state."""
        if state not in self.states:
            raise Violation('%s shows %s, which cannot be (X-Trans-Id %s)\n%s' % (what, state, trans_id, self))


class Client:
    """A connection that is kept, with one token."""

    class Broken(Exception):
        """The connection ended or timed out before the answer: the outcome is unknown."""

    class Refused(Exception):
        """Nobody listens: nothing was sent."""

    def __init__(self, user):
        self.user = user
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def request(self, method, *names, headers=None, body=None, query=''):
        if not self.connection:
            connection = http.client.HTTPConnection(*self.user.address, timeout=TIMEOUT_SECONDS)
            try:
                connection.connect()
            except OSError as error:
                raise self.Refused(str(error)) from None
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection = connection
        headers = {'X-Auth-Token': self.user.token, **(headers or {})}
        if body is None and method in ('PUT', 'POST'):
            headers['Content-Length'] = '0'
        try:
            self.connection.request(method, self.user.path(*names) + query, body, headers)
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self.Broken('%s: %s' % (type(error).__name__, error)) from None
        if answer.will_close:
            self.close()
        return support.Reply('%s %s' % (method, self.user.path(*names)), answer.status, answer.reason, answer.getheaders(), data)


def read_key(client, key):
    """Looks at a key and judges what it sees; returns that state."""
    reply = client.request('GET', key.container, key.name, headers={'X-Newest': 'true'})
    state = _seen(key, reply)
    key.check(state, 'GET', reply.header('X-Trans-Id'))
    return state


def _seen(key, reply):
    """The state that an answer to a GET shows."""
    if reply.status == 404:
        return ABSENT
    if reply.status == 200:
        return _state_of(key, reply)
    raise Violation('GET answers %r\n%s' % (reply, key))


def _state_of(key, reply):
    try:
        name, version = read_body(reply.body)
    except Violation as problem:
        raise Violation('%s\n%r\n%s' % (problem, reply, key)) from None
    if name != key.name:
        raise Violation('the body of %s under another name\n%r\n%s' % (name, reply, key))
    if reply.header('Etag') != support.md5(reply.body):
        raise Violation('the ETag is not that of the body\n%r\n%s' % (reply, key))
    return State(version, int(reply.header('X-Object-Meta-Version', '-1')), len(reply.body))


class Load:
    """Workers that PUT, POST, DELETE and GET keys of their own until told to stop.

    `outcomes` has one entry per finished request: (time it ended, seconds it took, method, what came).
    """

    def __init__(self, user, container, workers=4, keys_per_worker=30, seed=0, lengths=tuple(LENGTHS)):
        self.user, self.lengths = user, list(lengths)
        self.keys, self.workers = [], []
        self.outcomes, self.violations = [], []
        self.touched = set()
        self._running = threading.Event()
        for number in range(workers):
            client = 'w%d' % number
            own = [Key(container, '%s/key-%03d' % (client, serial), client) for serial in range(keys_per_worker)]
            self.keys += own
            self.workers.append((own, random.Random(seed * 1000 + number)))
        self._threads = []

    def start(self):
        self._running.set()
        self._threads = [threading.Thread(target=self._work, args=worker, daemon=True) for worker in self.workers]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._running.clear()
        for thread in self._threads:
            thread.join()
        self._raise()

    def _raise(self):
        if self.violations:
            raise self.violations[0]

    def run_for(self, seconds):
        """Lets the load go on for a while; a violation ends the wait."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.violations:
            time.sleep(min(0.05, seconds))
        self._raise()

    def _work(self, keys, chance):
        client = Client(self.user)
        while self._running.is_set():
            key = chance.choice(keys)
            begun = time.monotonic()
            what = 'nothing'
            try:
                what, came = self._one(client, key, chance)
            except Client.Refused:
                time.sleep(0.02)
                continue
            except Client.Broken as error:
                came = str(error)
            except Exception as problem:      # a bug in here must not look like a quiet worker
                self.violations.append(problem)
                break
            now = time.monotonic()
            self.outcomes.append((now, now - begun, what, came))
        client.close()

    def _one(self, client, key, chance):
        dice = chance.random()
        self.touched.add(key)
        if dice < 0.55:
            return 'PUT', self._put(client, key, chance)
        if dice < 0.70:
            return 'DELETE', self._delete(client, key)
        if dice < 0.80:
            return 'POST', self._post(client, key)
        return 'GET', self._get(client, key)

    def _get(self, client, key):
        """Without X-Newest an older version may come from a replica that missed the last write; never one nobody wrote."""
        reply = client.request('GET', key.container, key.name)
        if reply.status >= 500:
            return reply.status
        state = _seen(key, reply)
        if state is not ABSENT and not 0 < state.version <= key.version:
            raise Violation('GET shows a version that nobody wrote\n%r\n%s' % (reply, key))
        return reply.status

    def _change(self, client, key, method, label, after, **request):
        """Sends a change; `after` maps a state to the one that the change makes of it.  Returns the status or None."""
        try:
            reply = client.request(method, key.container, key.name, **request)
        except Client.Broken as error:
            key.note(label, error, '')
            key.states = key.states | {after(state) for state in key.states}
            raise
        key.note(label, reply.status, reply.header('X-Trans-Id'))
        if reply.status >= 500 or (method, reply.status) == ('PUT', 202):
            key.states = key.states | {after(state) for state in key.states}
        return reply

    def _put(self, client, key, chance):
        key.version += 1
        body = make_body(key.name, key.version, key.client, chance.choice(self.lengths))
        new = State(key.version, key.version, len(body))
        headers = {'X-Object-Meta-Version': str(key.version), 'Content-Type': 'application/x-ledger'}
        reply = self._change(client, key, 'PUT', 'PUT version %d of %d bytes' % (key.version, len(body)), lambda state: new,
                             headers=headers, body=body)
        if reply.status == 201:
            if reply.header('Etag') != support.md5(body):
                raise Violation('PUT answers another ETag\n%r\n%s' % (reply, key))
            key.states = {new}
        elif reply.status < 500 and reply.status != 202:
            raise Violation('PUT answers %r\n%s' % (reply, key))
        return reply.status

    def _delete(self, client, key):
        reply = self._change(client, key, 'DELETE', 'DELETE', lambda state: ABSENT)
        if reply.status == 404 and ABSENT not in key.states:
            raise Violation('DELETE does not find what is there\n%r\n%s' % (reply, key))
        if reply.status in (204, 404):
            key.states = {ABSENT}
        elif reply.status < 500:
            raise Violation('DELETE answers %r\n%s' % (reply, key))
        return reply.status

    def _post(self, client, key):
        key.version += 1
        meta = key.version
        reply = self._change(client, key, 'POST', 'POST metadata %d' % meta,
                             lambda state: state and state._replace(meta=meta),
                             headers={'X-Object-Meta-Version': str(meta), 'Content-Type': 'application/x-ledger'})
        if reply.status == 202:
            if key.states == {ABSENT}:
                raise Violation('POST finds what is not there\n%r\n%s' % (reply, key))
            key.states = {state and state._replace(meta=meta) for state in key.states}
        elif reply.status == 404:
            if ABSENT not in key.states:
                raise Violation('POST does not find what is there\n%r\n%s' % (reply, key))
        elif reply.status < 500:
            raise Violation('POST answers %r\n%s' % (reply, key))
        return reply.status

    # Judging

    def read_back(self, keys=None):
        """Reads keys (default: all); returns how many there are and how many of them exist."""
        client = Client(self.user)
        chosen = list(self.keys if keys is None else keys)
        alive = sum(read_key(client, key) is not ABSENT for key in chosen)
        client.close()
        return len(chosen), alive

    def settle(self):
        """Writes the keys again whose state is not certain, so that there is one state of each to compare with."""
        client, chance = Client(self.user), random.Random(0)
        for key in self.keys:
            if len(key.states) > 1:
                status = self._put(client, key, chance)
                if status != 201:
                    raise Violation('PUT answers %d although nothing disturbs it\n%s' % (status, key))
        client.close()

    def check_listing(self, seconds=60):
        """Waits until the listing agrees with the objects; then settles them and waits until it does so exactly."""
        container = self.keys[0].container
        support.eventually(lambda: _compare_listing(self.user, container, self.keys), seconds=seconds, pause=0.5)
        self.settle()
        support.eventually(lambda: _compare_listing(self.user, container, self.keys), seconds=seconds, pause=0.5)
        support.eventually(lambda: _compare_totals(self.user, container, self.totals()), seconds=seconds, pause=0.5)

    def totals(self):
        """Objects and bytes that there must be, once settled."""
        live = [state for key in self.keys for state in key.states if state is not ABSENT]
        return len(live), sum(state.length for state in live)

    def failures(self, since):
        """What went wrong from that moment (time.monotonic()) on: (seconds after, seconds it took, method, what came)."""
        return [(round(ended - since, 3), round(took, 3), method, came) for ended, took, method, came in list(self.outcomes)
                if ended - took >= since and (isinstance(came, str) or came >= 500)]

    def longest(self, since):
        """Seconds of the slowest request that began at that moment or later."""
        return max([took for ended, took, _, _ in list(self.outcomes) if ended - took >= since], default=0.0)

    def count(self, since=0):
        return sum(1 for ended, _, _, _ in list(self.outcomes) if ended >= since)


def _compare_listing(user, container, keys):
    found, marker = {}, ''
    while True:
        page = user.get(container, query={'format': 'json', 'limit': 1000, 'marker': marker}).check(200)
        rows = page.json()
        found.update((row['name'], (row['bytes'], row['hash'])) for row in rows)
        if len(rows) < 1000:
            break
        marker = rows[-1]['name']
    wrong = [key for key in keys if found.pop(key.name, None) not in map(key.row_of, key.states)]
    if wrong or found:
        raise Violation('the listing of %s is wrong about %d keys and shows %d unknown ones (X-Trans-Id %s): %s %s\nfirst: %s' % (
            container, len(wrong), len(found), page.header('X-Trans-Id'), [key.name for key in wrong[:10]], list(found)[:10],
            '%s\n  listed: %s' % (wrong[0], [row for row in rows if row['name'] == wrong[0].name]) if wrong else found))


def _compare_totals(user, container, totals):
    head = user.head(container).check(204)
    counts = int(head.header('X-Container-Object-Count')), int(head.header('X-Container-Bytes-Used'))
    if counts != totals:
        raise Violation('HEAD of %s counts %s objects and bytes, there are %s\n%r' % (container, counts, totals, head))
