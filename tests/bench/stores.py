"""The stores that `make bench` measures: each starts in a directory of its own, on free ports of 127.0.0.1."""
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/api'))

from server import Process, free_ports  # noqa: E402

DEVICES = 6
REPLICAS = 3
USER, KEY, ACCOUNT = 'test:tester', 'testing', 'AUTH_test'
CONTAINER = 'bench'
LISTED = 'listed'  # the container whose listing is timed
NAME = 'o-%06d'    # of its objects
START_SECONDS = 60
TICKS = os.sysconf('SC_CLK_TCK')


class StoreFailed(Exception):
    pass


def request(port, verb, path, headers=None, body=None):
    """One request on a connection of its own: status, headers and body."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        connection.request(verb, path, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def stat_of(pid):
    """Parent and processor time in seconds, of its children that have ended too."""
    with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as file:
        fields = file.read().rpartition(')')[2].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15]) / TICKS


def tree_of(roots):
    """The processes `roots` and all that they started, by pid with their processor time."""
    seconds, children = {}, {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                parent, seconds[int(entry)] = stat_of(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = {}, [pid for pid in roots if pid in seconds]
    while todo:
        pid = todo.pop()
        found[pid] = seconds[pid]
        todo += children.get(pid, [])
    return found


def resident_of(pid):
    """(resident bytes, proportional share of them) of one process."""
    sizes = {}
    with open('/proc/%d/smaps_rollup' % pid, encoding='ascii', errors='replace') as file:
        for line in file:
            name, _, rest = line.partition(':')
            if name in ('Rss', 'Pss'):
                sizes[name] = int(rest.split()[0]) * 1024
    return sizes['Rss'], sizes['Pss']


class Store:
    """A store with a proxy on self.port.  Used as `with Swiftlet(directory) as store:`."""
    name = None

    def __init__(self, directory):
        self.directory = pathlib.Path(directory) / self.name
        self.processes = []
        self.token = None
        self.port = None

    def __enter__(self):
        try:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True)
            self.start()
            self._await()
            self._make_containers()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self._stop(process)
        self.processes = []
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        raise NotImplementedError

    def spawn(self, name, command, **options):
        self.processes.append(Process(command, self.directory / (name + '.log'), **options))

    @staticmethod
    def _stop(process):
        if process.child.poll() is None:
            process.child.terminate()
            try:
                process.child.wait(20)
            except subprocess.TimeoutExpired:
                pass
        process.kill()

    def _log(self):
        return '\n'.join(process.tail() for process in self.processes)

    def _await(self):
        """Until a user gets a token."""
        deadline = time.monotonic() + START_SECONDS
        while not self.token:
            for process in self.processes:
                if process.child.poll() is not None:
                    raise StoreFailed('%s ended at its start:\n%s' % (self.name, process.tail()))
            if time.monotonic() > deadline:
                raise StoreFailed('%s does not answer:\n%s' % (self.name, self._log()))
            try:
                status, headers, _ = request(self.port, 'GET', '/auth/v1.0', {'X-Auth-User': USER, 'X-Auth-Key': KEY})
                self.token = headers['X-Auth-Token'] if status in (200, 204) else None
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)

    def _make_containers(self):
        for container in (CONTAINER, LISTED):
            path = '/v1/%s/%s' % (ACCOUNT, container)
            status, _, body = request(self.port, 'PUT', path, {'X-Auth-Token': self.token})
            if status not in (201, 202):
                raise StoreFailed('%s: PUT of a container: %d %s\n%s' % (self.name, status, body, self._log()))

    def cpu_seconds(self):
        return sum(tree_of([process.pid for process in self.processes]).values())

    def resident_bytes(self):
        """Of all processes; what they share counts once (Pss) when there are several."""
        sizes = [resident_of(pid) for pid in tree_of([process.pid for process in self.processes])]
        return sizes[0][0] if len(sizes) == 1 else sum(pss for _, pss in sizes)

    def fill_listing(self, count, load):
        """Puts `count` names into the container LISTED.  load(verb, path, ...) runs the load generator."""
        raise NotImplementedError


class Swiftlet(Store):
    name = 'swiftlet'
    # names that are put to be deleted, by the number of connections
    deletions = {1: 1000, 64: 8000}

    def start(self):
        self.port = free_ports(4)
        data = self.directory / 'data'
        subprocess.run([TOP / 'tools/run', '--config-only', '--port', str(self.port), '--data', data], check=True,
                       stdout=subprocess.DEVNULL)
        program = os.environ.get('SWIFTLET') or TOP / 'swiftlet'
        self.spawn('swiftlet', [program, 'serve', '--config', data / 'swiftlet.conf'])

    def fill_listing(self, count, load):
        load('PUT', '/v1/%s/%s/o-%%6n' % (ACCOUNT, LISTED), connections=64, count=count)


STORES = {'swiftlet': Swiftlet}
