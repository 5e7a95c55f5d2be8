"""What the process may do, seen from outside: sandbox, privileges, systemd's READY; and the supervisor's part in it."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import server
import support
from cluster import Cluster, SWIFTLET, swiftlet

NOBODY = pwd.getpwnam('nobody')
ROOT = os.geteuid() == 0
REFUSED = 'was refused'
RESTART_SECONDS = 20


@pytest.fixture
def node():
    """One process that is everything, over three devices."""
    with Cluster(storage=0, devices=3) as made:
        yield made.proxy


def children(pid):
    return [int(word) for word in pathlib.Path('/proc/%d/task/%d/children' % (pid, pid)).read_text().split()]


def worker_of(node):
    deadline = time.monotonic() + 5
    while True:
        found = children(node.process.pid)
        if found or time.monotonic() > deadline:
            worker, = found
            return worker
        time.sleep(0.02)


def status_of(pid):
    lines = pathlib.Path('/proc/%d/status' % pid).read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(':') for line in lines)}


def put_and_get(user):
    container = support.unique('sandbox')
    user.put(container).check(201)
    for length in (0, 5, 200000):
        body = os.urandom(length)
        user.put(container, 'o%d' % length, body=body).check(201)
        assert user.get(container, 'o%d' % length).check(200).body == body


def wait_until_served(node, seconds=RESTART_SECONDS):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, AssertionError):
            return node.cluster.log_in()
        assert time.monotonic() < deadline, node.process.tail()
        time.sleep(0.05)


def test_worker_is_confined(node):
    put_and_get(node.cluster.log_in())
    worker = status_of(worker_of(node))
    assert worker['NoNewPrivs'] == ['1'] and worker['Seccomp'] == ['2'], worker
    threads = list(pathlib.Path('/proc/%d/task' % worker_of(node)).iterdir())
    assert len(threads) > 5
    for thread in threads:
        with contextlib.suppress(FileNotFoundError):
            assert 'Seccomp:\t2' in (thread / 'status').read_text(), thread
    assert 'sandbox: Landlock' in node.process.output() or 'sandbox: no Landlock' in node.process.output()
    assert ', seccomp' in node.process.output()
    assert REFUSED not in node.process.output()


def test_switched_off(node):
    node.stop()
    path = node.directory / 'swiftlet.conf'
    text = path.read_text().replace('[swiftlet]\n', '[swiftlet]\nsandbox = off\n')
    path.write_text(text)
    node.process = server.Process([SWIFTLET, 'serve', '--config', path], node.directory / 'log')
    put_and_get(wait_until_served(node))
    assert status_of(worker_of(node))['Seccomp'] == ['0']
    assert 'sandbox: off' in node.process.output()


def test_links(node):
    """Devices and rings may be links to places elsewhere."""
    node.stop()
    elsewhere = node.cluster.directory / 'elsewhere'
    elsewhere.mkdir()
    for number, device in enumerate(node.devices):
        path = node.device_path(device)
        path.rename(elsewhere / str(number))
        path.symlink_to(elsewhere / str(number))
    ring = node.cluster.rings / 'object.ring.gz'
    ring.rename(elsewhere / 'ring')
    ring.symlink_to(elsewhere / 'ring')
    node.start()
    put_and_get(node.cluster.log_in())
    os.utime(elsewhere / 'ring', (1, 1))
    node.process.child.send_signal(signal.SIGHUP)
    node.process.wait_for_output('loading token keys and rings again')
    time.sleep(0.5)
    assert 'stays in use' not in node.process.output() and REFUSED not in node.process.output()


def test_worker_dies(node):
    """The supervisor holds the addresses: connections are refused at once while nobody serves, then served again."""
    worker = worker_of(node)
    os.kill(worker, signal.SIGKILL)
    node.process.wait_for_output('the server died by signal 9')
    time.sleep(0.1)
    with socket.socket() as probe:
        assert probe.connect_ex(('127.0.0.1', node.ports['proxy'])) != 0
    put_and_get(wait_until_served(node))
    assert worker_of(node) != worker


def test_ring_with_a_new_port(node):
    """A port that no ring named at the start takes a new sandbox: the server is started again by itself, gracefully."""
    put_and_get(node.cluster.log_in())
    worker = worker_of(node)
    other = server.free_ports(1)
    builder = node.cluster.rings / 'object.builder'
    swiftlet('ring', 'add', builder, 'r1z9-127.0.0.1:%d/later' % other, 1)
    swiftlet('ring', 'rebalance', '--force', builder)
    node.process.wait_for_output('the rings name port %d' % other, RESTART_SECONDS)
    node.process.wait_for_output('stopping, to start again', RESTART_SECONDS)
    while node.process.output().count('serving with') < 2:
        node.process.wait_for_output('stopped', RESTART_SECONDS)
        time.sleep(0.02)
    put_and_get(wait_until_served(node))
    assert worker_of(node) != worker
    assert REFUSED not in node.process.output()


def test_systemd_is_told(node):
    node.stop()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(folder + '/notify')
        told.settimeout(server.START_SECONDS)
        os.environ['NOTIFY_SOCKET'] = folder + '/notify'
        try:
            node.start()
        finally:
            del os.environ['NOTIFY_SOCKET']
        assert told.recv(4096) == b'READY=1'
        node.process.child.send_signal(signal.SIGHUP)
        assert told.recv(4096).startswith(b'RELOADING=1\nMONOTONIC_USEC=')
        assert told.recv(4096) == b'READY=1'
        node.stop()
        assert told.recv(4096) == b'STOPPING=1'


# ---- privileges ----

def change_owner(folder):
    for path in [folder, *folder.rglob('*')]:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)


def restart_as_nobody(node):
    path = node.directory / 'swiftlet.conf'
    text = path.read_text()
    if 'user = ' not in text:
        path.write_text(text.replace('[swiftlet]\n', '[swiftlet]\nuser = nobody\n'))
    return server.Process([SWIFTLET, 'serve', '--config', path], node.directory / 'log')


def test_gives_up_root(node):
    """Devices of another user are refused with a sentence; then PUT and GET as that user, on a port of root's."""
    node.stop()
    node.cluster.directory.chmod(0o755)
    process = restart_as_nobody(node)
    assert process.child.wait(server.START_SECONDS) == 1
    if not ROOT:
        assert 'becoming nobody takes a start as root' in process.output()
        return
    assert 'is not writable by nobody: chown -R nobody' in process.output()

    change_owner(node.cluster.directory)
    path = node.directory / 'swiftlet.conf'
    low = next(port for port in range(700, 1000) if not in_use(port))
    path.write_text(path.read_text().replace('bind = 127.0.0.1:%d\n' % node.ports['proxy'], 'bind = 127.0.0.1:%d\n' % low))
    node.ports['proxy'] = low
    node.process = restart_as_nobody(node)
    put_and_get(wait_until_served(node))
    for pid in (node.process.pid, worker_of(node)):
        status = status_of(pid)
        assert set(status['Uid']) == {str(NOBODY.pw_uid)} and set(status['Gid']) == {str(NOBODY.pw_gid)}
        assert int(status['CapEff'][0], 16) == 0 and int(status['CapPrm'][0], 16) == 0
    os.kill(worker_of(node), signal.SIGKILL)
    node.process.wait_for_output('the server died by signal 9')
    put_and_get(wait_until_served(node))


@pytest.mark.parametrize('missing', [True, False], ids=['not mounted', 'not ours'])
def test_one_device_is_not_ours(node, missing):
    """The directory below a mount point is root's; neither that nor one forgotten chown keeps the others from serving."""
    node.stop()
    node.cluster.directory.chmod(0o755)
    device = node.device_path(node.devices[0])
    if ROOT:
        change_owner(node.cluster.directory)
        if not missing:
            os.chown(device, 0, 0)
            device.chmod(0o755)
    if missing:
        device.rename(device.with_name('aside'))
        device.mkdir(mode=0o755)
    elif not ROOT:
        device.chmod(0o500)
    node.process = restart_as_nobody(node) if ROOT else server.Process(
        [SWIFTLET, 'serve', '--config', node.directory / 'swiftlet.conf'], node.directory / 'log')
    put_and_get(wait_until_served(node))
    assert ('chown -R' in node.process.output()) == (not missing)
    device.chmod(0o755)


def in_use(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def test_unprivileged():
    """tools/run as a user without any privileges, from a copy that this user can reach."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='swiftlet-nobody-'))
    process = None
    try:
        folder.chmod(0o755)
        (folder / 'tools').mkdir()
        shutil.copy(SWIFTLET, folder / 'swiftlet')
        shutil.copy(server.TOP / 'tools/run', folder / 'tools/run')
        (folder / 'data').mkdir()
        words = []
        if ROOT:
            change_owner(folder / 'data')
            words = ['setpriv', '--reuid=%d' % NOBODY.pw_uid, '--regid=%d' % NOBODY.pw_gid, '--clear-groups',
                     '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs']
        port = server.free_ports(4)
        process = server.Process([*words, 'env', 'SWIFTLET=%s' % (folder / 'swiftlet'), folder / 'tools/run',
                                  '--port', port, '--data', folder / 'data'], folder / 'log')
        process.wait_for_output(server.READY)
        put_and_get(support.User.log_in('http://127.0.0.1:%d/auth/v1.0' % port, 'test:tester', 'testing'))
        assert REFUSED not in (folder / 'data/swiftlet.log').read_text()
        process.stop()
        process = None
    finally:
        if process:
            print(process.tail())
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


# ---- systemd's units ----

UNITS = sorted((server.TOP / 'etc/systemd').glob('*.service'))
EXPOSURE_MAX = 17               # tenths: 1.7 of 10 is "OK" in systemd's words


@pytest.mark.parametrize('unit', UNITS, ids=lambda path: path.name)
def test_systemd_unit(unit, tmp_path):
    name = unit.name.replace('@.', '@storage.')
    copy = tmp_path / name
    copy.write_text(unit.read_text().replace('/usr/local/bin/swiftlet', str(SWIFTLET)).replace('User=swift', 'User=daemon')
                    .replace('Group=swift', 'Group=daemon'))
    verified = subprocess.run(['systemd-analyze', 'verify', '--man=no', copy], capture_output=True, text=True, check=False)
    assert verified.returncode == 0 and name not in verified.stderr, verified.stderr
    judged = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=%d' % EXPOSURE_MAX, copy],
                            capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
