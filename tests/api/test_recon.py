"""/recon: in the shapes of Swift's middleware, with true values; Debian's swift-recon makes a report of it."""
import hashlib
import os
import re
import subprocess
import time

import pytest

import support
from server import Server

# What a Swift node answers whose daemons never ran (swift/common/middleware/recon.py).
NEVER_RAN = {
    'replication/account': ['replication_time', 'replication_stats', 'replication_last'],
    'replication/container': ['replication_time', 'replication_stats', 'replication_last'],
    'replication/object': ['replication_time', 'replication_stats', 'replication_last', 'object_replication_time',
                           'object_replication_last'],
    'auditor/account': ['account_audits_passed', 'account_auditor_pass_completed', 'account_audits_since', 'account_audits_failed'],
    'auditor/container': ['container_audits_passed', 'container_auditor_pass_completed', 'container_audits_since',
                          'container_audits_failed'],
    'auditor/object': ['object_auditor_stats_ALL', 'object_auditor_stats_ZBF'],
    'expirer/object': ['object_expiration_pass', 'expired_last_pass'],
    'reconstruction/object': ['object_reconstruction_last', 'object_reconstruction_time'],
    'sharding': ['sharding_stats', 'sharding_time', 'sharding_last'],
    'relinker': ['devices', 'workers'],
    'driveaudit': ['drive_audit_errors'],
}


@pytest.fixture(scope='module')
def server():
    with Server(expirer={'enabled': 'false'}) as running:
        (running.directory / 'data' / 'rings' / 'swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_suffix = x\n\n[storage-policy:0]\nname = Policy-0\ndefault = yes\n')
        yield running


@pytest.fixture(scope='module')
def user(server):
    return support.User.log_in(server.auth_url, 'test:tester', 'testing')


@pytest.fixture
def recon(server):
    def ask(check, offset=1):
        return support.http_request(('127.0.0.1', server.port + offset), 'GET', '/recon/' + check).check(200).json()
    return ask


def report(server, *words):
    """The output of swift-recon: the program of Debian's python3-swift, which /usr/bin/swift-recon calls."""
    rings = server.directory / 'data' / 'rings'
    # the program compares /etc/swift/swift.conf; here it is the one beside the rings
    program = ('import sys, swift.common.utils as utils; utils.SWIFT_CONF_FILE = %r; '
               'from swift.cli import recon; sys.argv[0] = "swift-recon"; recon.main()' % str(rings / 'swift.conf'))
    done = subprocess.run(['/usr/bin/python3', '-W', 'ignore', '-c', program, *words, '--swiftdir', str(rings)],
                          capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, 'PYTHONPATH': ''})
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stdout + done.stderr
    return done.stdout


def test_daemons_that_never_ran(recon):
    for check, names in NEVER_RAN.items():
        values = recon(check)
        assert sorted(values) == sorted(names), check


def test_host(recon):
    load = recon('load')
    assert sorted(load) == ['15m', '1m', '5m', 'processes', 'tasks'] and '/' in load['tasks']
    assert recon('mem')['MemTotal'].endswith(' kB')
    assert {'tcp_in_use', 'orphan', 'time_wait', 'tcp_mem_allocated_bytes'} <= set(recon('sockstat'))
    assert {'device', 'path'} <= set(recon('mounted')[0])
    assert abs(recon('time') - time.time()) < 5
    assert re.match(r'\d+\.\d+', recon('version')['version'])


def test_rings_and_configuration(server, recon):
    rings = server.directory / 'data' / 'rings'
    wanted = {str(path): hashlib.md5(path.read_bytes()).hexdigest() for path in rings.glob('*.ring.gz')}
    assert len(wanted) == 3 and recon('ringmd5') == wanted
    conf = rings / 'swift.conf'
    md5 = hashlib.md5(conf.read_bytes()).hexdigest()
    assert recon('swiftconfmd5') == {'/etc/swift/swift.conf': md5, str(conf): md5}


def test_devices(server, recon):
    devices = server.directory / 'data' / 'devices'
    names = ['d%d' % number for number in range(1, 7)]
    assert recon('devices') == {str(devices): names}
    usage = recon('diskusage')
    disk = os.statvfs(devices)
    for device in usage:
        assert device['mounted'] is True
        assert device['size'] == disk.f_frsize * disk.f_blocks
        assert device['used'] + device['avail'] == device['size']
    assert [device['device'] for device in usage] == names
    assert recon('unmounted') == []


def test_updaters(recon):
    def walked():
        values = recon('async')
        assert values['async_pending'] == 0 and time.time() - values['async_pending_last'] < 600
        assert recon('updater/object')['object_updater_sweep'] >= 0
    support.eventually(walked)
    assert list(recon('updater/container', offset=2)) == ['container_updater_sweep']


def test_unknown_checks(server):
    for path in '/recon/nothing', '/recon/replication/proxy', '/recon/updater', '/recon/expirer/account':
        reply = support.http_request(('127.0.0.1', server.port + 1), 'GET', path).check(404)
        assert reply.body.decode() == 'Invalid path: ' + path


def test_quarantined(server, user, recon):
    assert recon('quarantined') == {'objects': 0, 'containers': 0, 'accounts': 0, 'policies': {}}
    user.put('damaged').check(201)
    user.put('damaged', 'object', body=support.pattern(200000)).check(201)
    bodies = list((server.directory / 'data' / 'devices').glob('d*/bodies/*/*/*'))
    assert len(bodies) == 3
    with open(bodies[0], 'r+b') as body:
        body.seek(100000)
        body.write(b'rotten')

    def found():
        assert user.get('damaged', 'object').check(200).body == support.pattern(200000)
        assert recon('quarantined')['objects'] == 1
    support.eventually(found)
    assert recon('quarantined') == {'objects': 1, 'containers': 0, 'accounts': 0, 'policies': {'0': {'objects': 1}}}
    assert 'total: 1, Failed: 0.0%' in report(server, 'object', '--quarantined')


@pytest.mark.parametrize('kind', ['account', 'container', 'object'])
def test_report(server, kind):
    text = report(server, kind, '--all')
    assert text.count('1/1 hosts matched, 0 error[s] while checking hosts.') == 3, text   # rings, swift.conf, time
    assert '1/1 hosts ok, 0 error[s] while checking hosts.' in text, 'types of servers'
    assert 'Versions matched (' in text
    assert 'Disk usage: space used: ' in text and 'No hosts returned valid data' in text    # no replicators yet
    assert 'Not mounted' not in text and 'Device errors' not in text and '\n-> ' not in text
    assert '[quarantined_objects]' in text and '[5m_load_avg]' in text and '[tcp_in_use]' in text
    if kind == 'object':
        assert '[async_pending] low: 0, high: 0' in text


def test_report_of_a_device_that_went_away(server, recon):
    path = server.directory / 'data' / 'devices' / 'd3'
    aside = path.with_name('aside')
    path.rename(aside)
    try:
        def seen():
            assert recon('unmounted') == [{'device': 'd3', 'mounted': False}]
        support.eventually(seen)
        assert 'Not mounted: d3 on 127.0.0.1:%d' % (server.port + 1) in report(server, 'object', '--unmounted')
        gone = [device for device in recon('diskusage') if device['device'] == 'd3']
        assert gone == [{'device': 'd3', 'mounted': False, 'size': '', 'used': '', 'avail': ''}]
    finally:
        aside.rename(path)

    def back():
        assert recon('unmounted') == []
    support.eventually(back, seconds=20)
