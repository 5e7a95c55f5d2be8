"""What the tables of abuse share: cases, what is sent, who spends the time.

A case is named after its row in the catalogue, a letter for the chapter and a number: A13-chunk-size-0x5.  The chapters
are abuse_framing.py (A), abuse_floods.py (B), abuse_names.py (C), abuse_metadata.py (D), abuse_authorisation.py (E);
test_abuse.py runs them.
"""
import collections
import os

import support

CLOSES, STAYS, EITHER = 'closes', 'stays', 'either'

# What the server may spend on one case, in seconds of all its threads.
CPU_SECONDS_MAX = 0.1

Case = collections.namedtuple('Case', 'name make statuses after check server stored')


class Scene(collections.namedtuple('Scene', 'container name token owner stranger')):
    """Where a case happens: its container, the object that it may not store, who asks, and somebody else."""

    @property
    def target(self):
        return self.owner.path(self.container, self.name).encode()

    def fill(self, text):
        """%A, %C and %O in a target are the paths of the account, the container and the object, %S the stranger's account."""
        for mark, path in ((b'%A', self.owner.path()), (b'%C', self.owner.path(self.container)),
                           (b'%O', self.owner.path(self.container, self.name)), (b'%S', self.stranger.path())):
            text = text.replace(mark, path.encode())
        return text


def case(name, make, statuses, after=EITHER, check=None, server='proxy', stored=False):
    """`statuses`: one or a tuple; None stands for no answer.  `check(reply, scene)` looks closer.  `stored`: may leave an object."""
    return Case(name, make, statuses if isinstance(statuses, tuple) else (statuses,), after, check, server, stored)


def text(value):
    """A value as a part of a name."""
    shown = repr(value)[2:-1] if isinstance(value, bytes) else str(value)
    shown = ''.join(c if c.isalnum() or c in '.%+-_;=:' else '~%02x' % ord(c) for c in shown.replace('\\\\x', '%'))
    return (shown[:24] + '..%d' % len(value) if len(shown) > 30 else shown) or 'empty'


def request(method=b'GET', target=b'%O', *lines, version=b'HTTP/1.1', body=b'', host=b'Host: swiftlet', token=True, end=b'\r\n'):
    """The maker of a request's bytes."""
    def make(scene):
        head = [b' '.join(word for word in (method, scene.fill(target), version) if word)]
        head += [host] if host else []
        head += [b'X-Auth-Token: ' + scene.token.encode()] if token else []
        return end.join(head + [scene.fill(line) for line in lines] + [b'', b'']) + (body(scene) if callable(body) else body)
    return make


def put(*lines, body=b'hello', target=b'%O', **options):
    return request(b'PUT', target, *lines, body=body, **options)


def chunked(body, *lines, **options):
    return put(b'Transfer-Encoding: chunked', *lines, body=body, **options)


def raw(data):
    return lambda scene: scene.fill(data)


def healthcheck(method=b'GET', path=b'/healthcheck'):
    return b'%s %s HTTP/1.1\r\nHost: swiftlet\r\n\r\n' % (method, path)


# ---- the server's time ----

def _listening_inodes(port):
    inodes = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        with open(table, encoding='ascii') as lines:
            for line in list(lines)[1:]:
                words = line.split()
                if words[3] == '0A' and int(words[1].rsplit(':', 1)[1], 16) == port:
                    inodes.add(words[9])
    return inodes


def server_pids(port):
    """The processes that listen on a port of this machine."""
    wanted = {'socket:[%s]' % inode for inode in _listening_inodes(port)}
    pids = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            for descriptor in os.listdir('/proc/%s/fd' % pid):
                if os.readlink('/proc/%s/fd/%s' % (pid, descriptor)) in wanted:
                    pids.append(int(pid))
                    break
        except OSError:
            continue
    assert pids, 'nobody listens on port %d here' % port
    return pids


def cpu_seconds(pids):
    """utime and stime of the processes."""
    ticks = 0
    for pid in pids:
        with open('/proc/%d/stat' % pid, encoding='ascii', errors='replace') as stat:
            words = stat.read().rpartition(')')[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def is_error(reply, _scene):
    assert reply is None or reply.status >= 400


def stores(body):
    """The object is there afterwards, with this body."""
    def check(reply, scene):
        reply.check(201)
        assert scene.owner.get(scene.container, scene.name).check(200).body == body
    return check


def no_raw_line_ends(reply, _scene):
    for name, value in reply.headers:
        assert not name.lower().startswith('x-evil'), reply
        assert '\r' not in value and '\n' not in value, reply


User = support.User
