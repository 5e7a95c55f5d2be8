"""A cluster of several swiftlet processes on loopback ports, with one set of rings.

    with Cluster(storage=4, devices=1) as cluster:
        user = cluster.log_in()

makes one proxy process and four storage processes (account, container and object server each) with one device each.
storage=0 makes one process that is everything, over all the devices.  Each device is a zone of its own.

What the program's command line and configuration file look like is known to the functions at the end alone.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import server
import support

PARTITION_POWER, REPLICAS = 8, 3
NODE_TIMEOUT_SECONDS = 3        # how long a proxy waits for a storage server; Swift's default is 10
SWIFTLET = os.environ.get('SWIFTLET') or server.TOP / 'swiftlet'


class Node:
    """One process: its roles, its ports by role, its directory with devices in it."""

    def __init__(self, cluster, name, roles, devices):
        self.cluster, self.name, self.roles = cluster, name, roles
        first = server.free_ports(len(roles))
        self.ports = {role: first + number for number, role in enumerate(roles)}
        self.directory = cluster.directory / name
        self.devices = devices
        for device in devices:
            (self.directory / 'devices' / device).mkdir(parents=True)
        self.directory.mkdir(exist_ok=True)
        self.process = None

    def device_path(self, device):
        return self.directory / 'devices' / device

    def start(self, mount_check=True):
        path = self.directory / 'swiftlet.conf'
        path.write_text(configuration(self, mount_check))
        self.process = server.Process([SWIFTLET, 'serve', '--config', path], self.directory / 'log')
        deadline = time.monotonic() + server.START_SECONDS
        for role, port in self.ports.items():
            while not _listens(port):
                assert self.process.child.poll() is None and time.monotonic() < deadline, \
                    'the %s server of %s does not come up:\n%s' % (role, self.name, self.process.tail())
                time.sleep(0.02)

    def stop(self):
        process, self.process = self.process, None
        process.stop()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process = None

    def freeze(self):
        """SIGSTOP: the kernel still accepts connections for it, nobody answers."""
        self.process.signal_group(signal.SIGSTOP)

    def thaw(self):
        self.process.signal_group(signal.SIGCONT)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


class Cluster:
    def __init__(self, storage=4, devices=1, **options):
        """Further options of all processes by section: Cluster(expirer={'interval': '1'})."""
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='swiftlet-cluster-'))
        self.rings = self.directory / 'rings'
        self.rings.mkdir()
        self.token_keys = self.directory / 'token_keys'
        names = iter('d%d' % number for number in range(1, 1000))
        if storage:
            self.proxy = Node(self, 'proxy', ['proxy'], [])
            self.storage = [Node(self, 'storage%d' % number, ['object', 'container', 'account'],
                                 [next(names) for _ in range(devices)]) for number in range(1, storage + 1)]
            self.nodes = [*self.storage, self.proxy]
        else:
            self.proxy = Node(self, 'all', ['proxy', 'object', 'container', 'account'], [next(names) for _ in range(devices)])
            self.storage = [self.proxy]
            self.nodes = [self.proxy]

    @property
    def auth_url(self):
        return 'http://127.0.0.1:%d/auth/v1.0' % self.proxy.ports['proxy']

    def log_in(self):
        return support.User.log_in(self.auth_url, 'test:tester', 'testing')

    def __enter__(self):
        try:
            make_rings(self)
            swiftlet('auth', 'rotate-key', self.token_keys)
            for node in self.storage:
                # The first start makes the devices; from then on one that is not there is missed.
                node.start(mount_check=False)
                node.stop()
            for node in self.nodes:
                node.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *failure):
        try:
            if any(failure):
                for node in self.nodes:
                    if node.process:
                        print('--- log of %s\n%s' % (node.name, node.process.tail()))
            else:
                for node in reversed(self.nodes):
                    if node.process:
                        node.stop()
        finally:
            self._end()

    def _end(self):
        for node in self.nodes:
            if node.process:
                node.thaw()
            node.kill()
        if not os.environ.get('SWIFTLET_TEST_KEEP'):
            shutil.rmtree(self.directory, ignore_errors=True)


def swiftlet(*words):
    """Runs one of the program's sub-commands; a warning (status 1 of `ring`) is good enough."""
    done = subprocess.run([SWIFTLET, *map(str, words)], capture_output=True, text=True, check=False, cwd=server.TOP)
    assert done.returncode in (0, 1) and not done.stderr.startswith('usage'), 'swiftlet %s\n%s%s' % (
        ' '.join(map(str, words)), done.stdout, done.stderr)


def make_rings(cluster):
    """Object, container and account ring, each over all the devices."""
    for role in ('object', 'container', 'account'):
        builder = cluster.rings / (role + '.builder')
        swiftlet('ring', 'create', builder, PARTITION_POWER, REPLICAS, 0)
        zone = 0
        for node in cluster.storage:
            for device in node.devices:
                zone += 1
                swiftlet('ring', 'add', builder, 'r1z%d-127.0.0.1:%d/%s' % (zone, node.ports[role], device), 100)
        swiftlet('ring', 'rebalance', builder)
        assert (cluster.rings / (role + '.ring.gz')).exists(), 'rebalance writes the ring beside the builder'


def configuration(node, mount_check):
    """The text of one process's configuration file."""
    lines = ['[swiftlet]', 'roles = ' + ','.join(node.roles), 'rings = %s' % node.cluster.rings,
             'devices = %s' % (node.directory / 'devices'), 'workers = 1', 'hash_path_suffix = cluster',
             'mount_check = %s' % str(mount_check).lower()]
    for role, port in node.ports.items():
        lines += ['', '[%s]' % role, 'bind = 127.0.0.1:%d' % port]
        if role == 'proxy':
            lines.append('node_timeout = %d' % NODE_TIMEOUT_SECONDS)
        if role == 'object':
            lines.append('update_interval = 1s')
    if 'proxy' in node.roles:
        lines += ['', '[auth]', 'token_keys = %s' % node.cluster.token_keys, 'user_test_tester = testing .admin']
    for section, pairs in node.cluster.options.items():
        lines += ['', '[%s]' % section, *('%s = %s' % pair for pair in pairs.items())]
    return '\n'.join(lines) + '\n'
