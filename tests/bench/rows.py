"""The rows of `make bench`: what one round of each does to a store."""
import contextlib
import dataclasses
import json
import pathlib
import subprocess

from stores import ACCOUNT, CONTAINER, LISTED, request

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
WARMUP_SECONDS = 0.5  # more than a request takes: the rate is that of a queue that is full from end to end
SMALL, MEDIUM = 500, 24  # objects that GET, HEAD and POST go to
LISTED_NAMES = 100000   # ten pages; names have six digits


class LoadFailed(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    verb: str
    object: str        # name of the objects, with %n
    connections: int
    body: int = 0      # of each request
    reply: int = -1    # bytes of each reply
    repeat: int = 0    # numbers of names that are used again and again
    count: int = 0     # requests, instead of a time
    query: str = ''
    container: str = CONTAINER
    cleanup: bool = False   # what was put is deleted after the round
    disk: float = None      # ratio to Swift that is aimed at, with devices on a disk ...
    memory: float = None    # ... and on tmpfs


def both(target):
    return {'disk': target, 'memory': target}


def make_rows(listed_names=LISTED_NAMES):
    page = listed_names // 10
    rows = []
    for connections in (1, 64):
        put = both(40 if connections == 64 else 10)
        rows.append(Row('PUT 4 KiB', 'PUT', 'p-%n', connections, body=4 * KIB, **put))
        rows.append(Row('PUT 64 KiB', 'PUT', 'q-%n', connections, body=64 * KIB, cleanup=True))
    for connections in (1, 8):
        rows.append(Row('PUT 1 MiB', 'PUT', 'r-%n', connections, body=MIB, cleanup=True,
                        memory=5 if connections == 8 else None))
    for connections in (1, 64):
        get = both(80 if connections == 64 else None)
        rows.append(Row('GET 4 KiB', 'GET', 's-%n', connections, reply=4 * KIB, repeat=SMALL, **get))
    for connections in (1, 8):
        rows.append(Row('GET 1 MiB', 'GET', 'm-%n', connections, reply=MIB, repeat=MEDIUM,
                        **both(10 if connections == 8 else None)))
    for connections in (1, 64):
        change = both(40 if connections == 64 else None)
        rows.append(Row('HEAD', 'HEAD', 's-%n', connections, repeat=SMALL))
        rows.append(Row('POST', 'POST', 's-%n', connections, repeat=SMALL, **change))
        rows.append(Row('DELETE', 'DELETE', 'd-%n', connections, **change))
    rows.append(Row('PUT 1 GiB', 'PUT', 'g', 1, body=GIB, count=1, memory=4))
    rows.append(Row('GET 1 GiB', 'GET', 'g', 1, reply=GIB, count=1, **both(3)))
    rows.append(Row('LIST {:,}'.format(page), 'GET', '', 1, repeat=9, container=LISTED,
                    query='?format=json&limit=%d&marker=o-%s%%n%s' % (page, '0' * (6 - len(str(page))), str(page)[1:]),
                    **both(15)))
    return rows


def title(row):
    return '%s c%d' % (row.name, row.connections)


def load_command(program, port, verb, path, connections=1, count=0, seconds=0, body=0, reply=-1, repeat=0, first=0,
                 headers=()):
    """The command line of tests/bench/load.c, where the meaning of all is told."""
    command = [program, '-p', port, '-c', connections, '-b', body, '-r', repeat, '-f', first]
    command += ['-n', count] if count else ['-t', seconds, '-w', WARMUP_SECONDS]
    command += ['-l', reply] if reply >= 0 else []
    for header in headers:
        command += ['-H', header]
    return [str(word) for word in command + [verb, path]]


def run_load(program, port, verb, path, **options):
    done = subprocess.run(load_command(program, port, verb, path, **options), stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        raise LoadFailed('%s %s: the load generator gave up' % (verb, path))
    return json.loads(done.stdout)


class Driver:
    """Runs the load generator against one store and keeps in mind what is stored there already."""

    def __init__(self, store, program, seconds, listed_names=LISTED_NAMES):
        self.store = store
        self.program = pathlib.Path(program)
        self.seconds = seconds
        self.listed_names = listed_names
        self.next = {}    # number of the next name, by object name
        self.stored = set()

    def load(self, verb, path, **options):
        token = 'X-Auth-Token: ' + self.store.token
        return run_load(self.program, self.store.port, verb, path, headers=[token], **options)

    def untimed(self, verb, path, **options):
        """What must succeed, the second time at the latest: Swift refuses a PUT now and then when it is busy."""
        result = self.load(verb, path, **options)
        if result['errors']:
            result = self.load(verb, path, **options)
        if result['errors']:
            raise LoadFailed('%s %s on %s: %s' % (verb, path, self.store.name, result['error']))

    @contextlib.contextmanager
    def idle_connections(self, count):
        """Keeps `count` connections open; a GET of a small object was answered on each."""
        path = '/v1/%s/%s/idle' % (ACCOUNT, CONTAINER)
        self.untimed('PUT', path, count=1, body=4 * KIB)
        command = load_command(self.program, self.store.port, 'GET', path, connections=count, count=count,
                               headers=['X-Auth-Token: ' + self.store.token])
        with subprocess.Popen([*command, '-i'], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
            result = json.loads(load.stdout.readline() or '{"errors": 1, "error": "the load generator gave up"}')
            if result['errors']:
                raise LoadFailed('idle connections: %s' % result['error'])
            yield
            load.stdin.close()

    def path(self, row):
        return '/v1/%s/%s%s%s' % (ACCOUNT, row.container, '/' + row.object if row.object else '', row.query)

    def prepare(self, row):
        """What the row reads, changes or deletes; returns the bound of the round."""
        if row.container == LISTED and LISTED not in self.stored:
            self.store.fill_listing(self.listed_names, self.untimed)
            self._check_listing()
            self.stored.add(LISTED)
        if row.verb == 'DELETE':
            count = self.store.deletions[row.connections]
            self.untimed('PUT', self.path(row), connections=64, count=count)
            return {'count': count}
        if row.verb in ('GET', 'HEAD', 'POST') and row.object and row.object not in self.stored:
            size = {'s-%n': 4 * KIB, 'm-%n': MIB, 'g': GIB}[row.object]
            self.untimed('PUT', self.path(row), connections=8, count=row.repeat or 1, body=size)
            self.stored.add(row.object)
        return {'count': row.count} if row.count else {'seconds': self.seconds}

    def _check_listing(self):
        token = {'X-Auth-Token': self.store.token}
        path = '/v1/%s/%s?limit=%d' % (ACCOUNT, LISTED, self.listed_names // 10)
        status, _, body = request(self.store.port, 'GET', path + '&marker=o-%06d' % (self.listed_names // 2), token)
        first, count = body.split(b'\n', 1)[0], body.count(b'\n')
        if (status, first, count) != (200, b'o-%06d' % (self.listed_names // 2 + 1), self.listed_names // 10):
            raise LoadFailed('the listing of %s is not as it was made: %d, %d rows' % (self.store.name, status, count))

    def round(self, row):
        """One round: what the load generator says, and cpu_us of the store for each request."""
        bound = self.prepare(row)
        first = self.next.get(row.object, 0) if row.verb == 'PUT' else 0
        before = self.store.cpu_seconds()
        result = self.load(row.verb, self.path(row), connections=row.connections, body=row.body, reply=row.reply,
                           repeat=row.repeat, first=first, **bound)
        spent = self.store.cpu_seconds() - before
        result['load_cpu_us'] = result['cpu_us']
        result['cpu_us'] = spent * 1e6 / max(result['requests'], 1)
        self._note_names(row, first, result)
        return result

    def _note_names(self, row, first, result):
        if row.verb != 'PUT':
            return
        if row.object == 'g':
            self.stored.add('g')
        else:
            self.next[row.object] = result['next']
        if row.cleanup:
            self.load('DELETE', self.path(row), connections=8, count=result['next'] - first, first=first)
