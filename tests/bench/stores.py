"""The stores that `make bench` measures: each starts in a directory of its own, on free ports of 127.0.0.1."""
import http.client
import os
import pathlib
import pwd
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
            self.make_containers()
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

    def spawn(self, name, command):
        self.processes.append(Process(command, self.directory / (name + '.log')))

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

    def is_ready(self):
        """Whether it answers; a user gets a token."""
        status, headers, _ = request(self.port, 'GET', '/auth/v1.0', {'X-Auth-User': USER, 'X-Auth-Key': KEY})
        self.token = headers['X-Auth-Token'] if status in (200, 204) else None
        return self.token is not None

    def _await(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            for process in self.processes:
                if process.child.poll() is not None:
                    raise StoreFailed('%s ended at its start:\n%s' % (self.name, process.tail()))
            if time.monotonic() > deadline:
                raise StoreFailed('%s does not answer:\n%s' % (self.name, self._log()))
            try:
                if self.is_ready():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)

    def make_containers(self):
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


class Swift(Store):
    """Debian's Swift 2.30 as an all-in-one on loopback: a proxy, object, container and account server with two workers
    each, memcached, the proxy's pipeline as Debian ships it, every value its default but where things are."""
    name = 'swift'
    deletions = {1: 60, 64: 400}
    workers = 2
    pipeline = ('catch_errors gatekeeper healthcheck proxy-logging cache listing_formats container_sync bulk tempurl '
                'ratelimit tempauth copy container-quotas account-quotas slo dlo versioned_writes symlink '
                'proxy-logging proxy-server')
    filters = {
        'cache': 'memcache', 'proxy-logging': 'proxy_logging', 'container-quotas': 'container_quotas',
        'account-quotas': 'account_quotas',
    }

    def start(self):
        self.port = free_ports(5)
        for folder in ('devices', 'etc', 'cache'):
            (self.directory / folder).mkdir()
        for number in range(1, DEVICES + 1):
            (self.directory / 'devices' / ('d%d' % number)).mkdir()
        self._configure()
        self.spawn('memcached', ['memcached', '-l', '127.0.0.1', '-p', self.port + 4, '-U', '0', '-m', '64',
                                 '-c', '4096', '-u', self._user()])
        for server in ('account', 'container', 'object', 'proxy'):
            self.spawn(server, self._program('swift-%s-server' % server, self._etc('%s-server.conf' % server)))

    @staticmethod
    def _user():
        return pwd.getpwuid(os.getuid()).pw_name

    def _etc(self, name):
        return self.directory / 'etc' / name

    def _program(self, *words):
        return ['/usr/bin/python3', TOP / 'tests/bench/swift_program.py', self._etc(''), *words]

    def _run(self, *words, good=(0,)):
        done = subprocess.run([str(word) for word in self._program(*words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode not in good:
            raise StoreFailed('%s: %s' % (words[0], done.stdout.decode('utf-8', 'replace')))

    def _configure(self):
        self._etc('swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_suffix = bench\n\n'
            '[storage-policy:0]\nname = Policy-0\npolicy_type = replication\ndefault = yes\n', encoding='ascii')
        self._etc('proxy-server.conf').write_text(self._proxy_configuration(), encoding='ascii')
        for offset, kind in enumerate(('object', 'container', 'account'), 1):
            self._etc('%s-server.conf' % kind).write_text(self._storage_configuration(kind, self.port + offset),
                                                          encoding='ascii')
            self._make_ring(kind, self.port + offset)

    def _common(self, port):
        # Nobody listens at log_address: the lines are made, as in production, and sent into the void.
        return ('[DEFAULT]\nswift_dir = %s\nuser = %s\nbind_ip = 127.0.0.1\nbind_port = %d\nworkers = %d\n'
                'log_address = %s\n' % (self._etc(''), self._user(), port, self.workers, self.directory / 'no-syslog'))

    def _proxy_configuration(self):
        text = self._common(self.port) + '\n[pipeline:main]\npipeline = %s\n' % self.pipeline
        text += '\n[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n'
        for name in sorted(set(self.pipeline.split()) - {'proxy-server'}):
            text += '\n[filter:%s]\nuse = egg:swift#%s\n' % (name, self.filters.get(name, name))
            if name == 'tempauth':
                text += 'user_%s = %s .admin\n' % (USER.replace(':', '_'), KEY)
            if name == 'cache':
                text += 'memcache_servers = 127.0.0.1:%d\n' % (self.port + 4)
        return text

    def _storage_configuration(self, kind, port):
        return self._common(port) + (
            'devices = %s\nmount_check = false\nrecon_cache_path = %s\n'
            '\n[pipeline:main]\npipeline = healthcheck recon %s-server\n\n[app:%s-server]\nuse = egg:swift#%s\n'
            '\n[filter:healthcheck]\nuse = egg:swift#healthcheck\n\n[filter:recon]\nuse = egg:swift#recon\n' % (
                self.directory / 'devices', self.directory / 'cache', kind, kind, kind))

    def _make_ring(self, kind, port):
        builder = self._etc('%s.builder' % kind)
        devices = []
        for number in range(1, DEVICES + 1):
            devices += ['r1z%d-127.0.0.1:%d/d%d' % (number, port, number), '100']
        self._run('swift-ring-builder', builder, 'create', '10', str(REPLICAS), '1')
        self._run('swift-ring-builder', builder, 'add', *devices)
        self._run('swift-ring-builder', builder, 'rebalance', good=(0, 1))  # 1: it has a remark

    def is_ready(self):
        """The storage servers first: a proxy leaves those alone for a minute that did not answer it."""
        answers = [request(self.port + offset, 'GET', '/healthcheck')[0] for offset in (1, 2, 3)]
        return answers == [200] * 3 and super().is_ready()

    def fill_listing(self, count, load):
        self._run('fill-listing', self.directory / 'devices', ACCOUNT, LISTED, count)


class Nginx(Store):
    """Two files of one nginx with a worker for each core: what serving bytes without a store takes."""
    name = 'nginx'

    def start(self):
        self.port = free_ports(1)
        for name, size in (('small', 4 << 10), ('medium', 1 << 20)):
            (self.directory / name).write_bytes(os.urandom(size))
        (self.directory / 'nginx.conf').write_text(self._configuration(), encoding='ascii')
        self.spawn('nginx', ['nginx', '-p', self.directory, '-c', 'nginx.conf', '-e', 'error.log', '-g', 'daemon off;'])

    def _configuration(self):
        user = 'user root;' if os.getuid() == 0 else ''
        temporary = ''.join('%s_temp_path %s;' % (name, name)
                            for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        return ('%s worker_processes auto; pid nginx.pid; events { worker_connections 1024; }\n'
                'http { %s access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n'
                'server { listen 127.0.0.1:%d; root %s; } }\n' % (user, temporary, self.port, self.directory))

    def is_ready(self):
        return request(self.port, 'GET', '/small')[0] == 200

    def make_containers(self):
        pass


STORES = {'swift': Swift, 'swiftlet': Swiftlet}
