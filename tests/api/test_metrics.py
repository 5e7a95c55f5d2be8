"""/metrics: clean by promtool, and true: the counters agree with a known sequence of requests."""
import re
import subprocess

import pytest

import support
from server import TOP, Server, free_ports

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@pytest.fixture(scope='module')
def server():
    port = free_ports(1)
    with Server(swiftlet={'metrics_bind': '127.0.0.1:%d' % port}) as running:
        running.metrics = '127.0.0.1', port
        yield running


@pytest.fixture(scope='module')
def user(server):
    return support.User.log_in(server.auth_url, 'test:tester', 'testing')


def scrape(address):
    return support.http_request(address, 'GET', '/metrics').check(200).body.decode()


class Metrics:
    """The samples of a scrape."""

    def __init__(self, server):
        self.samples = []
        for line in scrape(server.metrics).splitlines():
            if not line.startswith('#'):
                name, labels, value = SAMPLE.match(line).groups()
                self.samples.append((name, dict(LABEL.findall(labels or '')), float(value)))

    def sum(self, wanted, **labels):
        """Of all samples that have these labels; None stands for a label that is not there."""
        return sum(value for name, has, value in self.samples
                   if name == wanted and all(has.get(key) == text for key, text in labels.items()))


def requests(metrics, role, method, status, **labels):
    return metrics.sum('swiftlet_requests_total', role=role, method=method, status=str(status), **labels)


def test_promtool_is_content(server, user):
    user.put('tools').check(201)
    user.put('tools', 'one', body=b'1').check(201)
    user.get('tools', 'one').check(200)
    with support.Raw(server.address) as raw:
        raw.send(b'nonsense\r\n\r\n')
        raw.reply().check(400)
    text = scrape(server.metrics)
    done = subprocess.run([support.need('promtool'), 'check', 'metrics'], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_counters_agree_with_the_requests(server, user):
    sizes = [10, 5000, 200000]
    before = Metrics(server)
    user.put('sums').check(201)
    for number, size in enumerate(sizes):
        user.put('sums', 'o%d' % number, body=support.pattern(size)).check(201)
    for _ in range(2):
        user.get('sums', 'o2').check(200)
    user.get('sums', 'none').check(404)
    user.head('sums', 'o1').check(200)
    user.get('sums', 'o2', headers={'Range': 'bytes=0-99'}).check(206)
    user.delete('sums', 'o0').check(204)

    def counted():
        after = Metrics(server)

        def gained(name, **labels):
            return after.sum(name, **labels) - before.sum(name, **labels)

        def answered(role, method, status, **labels):
            return gained('swiftlet_requests_total', role=role, method=method, status=str(status), **labels)

        assert answered('proxy', 'PUT', 201, policy='0') == 4   # the container tells its policy, too
        assert answered('proxy', 'GET', 200, policy='0') == 2
        assert answered('proxy', 'GET', 206) == 1
        assert answered('proxy', 'GET', 404) == 1
        assert answered('proxy', 'HEAD', 200) == 1
        assert answered('proxy', 'DELETE', 204) == 1
        assert answered('object', 'PUT', 201, policy='0') == 9  # three replicas each
        assert answered('object', 'GET', 200, policy='0') == 2
        assert answered('object', 'GET', 206, policy='0') == 1
        assert answered('object', 'GET', 404, policy='0') >= 3
        assert answered('object', 'DELETE', 204) == 3
        assert answered('container', 'PUT', 201) == 3 + 9
        bodies = {'role': 'proxy', 'method': 'PUT'}
        assert gained('swiftlet_request_body_bytes_total', **bodies) == sum(sizes)
        assert gained('swiftlet_request_body_bytes_total', role='object', method='PUT') == 3 * sum(sizes)
        assert gained('swiftlet_response_body_bytes_total', role='object', method='GET', policy='0') >= 2 * sizes[2] + 100
        assert gained('swiftlet_request_duration_seconds_count', **bodies) == 4
        assert gained('swiftlet_request_duration_seconds_bucket', le='+Inf', **bodies) == 4
        assert 0 < gained('swiftlet_request_duration_seconds_sum', **bodies) < 60
        assert gained('swiftlet_device_commit_batch_changes_sum') >= 9
        assert gained('swiftlet_device_commit_seconds_count') == gained('swiftlet_device_commit_batch_changes_count') > 0
        for role in 'proxy', 'object', 'container', 'account':
            assert after.sum('swiftlet_requests_in_flight', role=role) == 0
    support.eventually(counted)


def test_refusals_have_reasons(server):
    before = Metrics(server)
    with support.Raw(server.address) as raw:
        raw.send(b'GET / HTTP/1.1\r\nbad header\r\n\r\n')
        raw.reply().check(400)
    after = Metrics(server)
    labels = {'role': 'proxy', 'reason': 'bad_head'}
    assert after.sum('swiftlet_http_refused_total', **labels) - before.sum('swiftlet_http_refused_total', **labels) == 1
    assert after.sum('swiftlet_http_connections_accepted_total', role='proxy') > 0


def test_series_are_bounded(server, user):
    """Names, verbs and statuses that clients make up are no labels."""
    before = len(Metrics(server).samples)
    for number in range(20):
        user.request('VERB%d' % number, 'series', 'object-%d' % number)
        user.get('container-%d' % number).check(404)
    after = Metrics(server)
    assert requests(after, 'proxy', 'other', 405) >= 20
    assert len(after.samples) - before < 200


def test_devices_and_process(server):
    metrics = Metrics(server)
    for device in range(1, 7):
        name = 'd%d' % device
        assert metrics.sum('swiftlet_device_state', device=name, state='usable') == 1
        assert metrics.sum('swiftlet_device_state', device=name) == 1
        assert metrics.sum('swiftlet_device_size_bytes', device=name) > metrics.sum('swiftlet_device_available_bytes', device=name) > 0
        assert metrics.sum('swiftlet_rocksdb_memtable_bytes', device=name) > 0
        assert metrics.sum('swiftlet_updater_pending_updates', device=name) == 0
    for name in 'cpu_seconds_total', 'resident_memory_bytes', 'open_fds', 'start_time_seconds':
        assert metrics.sum('process_' + name) > 0


def test_device_that_went_away(server):
    path = server.directory / 'data' / 'devices' / 'd4'
    aside = path.with_name('aside')
    path.rename(aside)
    try:
        def seen():
            metrics = Metrics(server)
            assert metrics.sum('swiftlet_device_state', device='d4', state='unmounted') == 1
            assert metrics.sum('swiftlet_device_state', device='d4') == 1
            assert not [name for name, labels, _ in metrics.samples
                        if labels.get('device') == 'd4' and name == 'swiftlet_device_available_bytes']
        support.eventually(seen)
    finally:
        aside.rename(path)

    def back():
        assert Metrics(server).sum('swiftlet_device_state', device='d4', state='usable') == 1
    support.eventually(back, seconds=20)


def test_all_are_documented(server):
    page = (TOP / 'docs' / 'operations.md').read_text()
    documented = set(re.findall(r'`((?:swiftlet|process)_\w+)`', re.search(r'## Metrics\n.*?\n## ', page, re.S).group()))
    shown = set(re.findall(r'^# TYPE (\w+) ', scrape(server.metrics), re.M))
    assert shown <= documented
    # what no test of this file makes happen
    assert documented - shown <= {'swiftlet_statsd_lines_total', 'swiftlet_expirer_tasks_total', 'swiftlet_reaper_total'}


def test_where_it_is_served(server):
    for offset in 1, 2, 3:
        assert 'swiftlet_requests_total{' in scrape(('127.0.0.1', server.port + offset))
        support.http_request(('127.0.0.1', server.port + offset), 'GET', '/healthcheck').check(200)
    reply = support.http_request(server.address, 'GET', '/metrics')
    assert reply.status in (401, 404, 412) and b'swiftlet_' not in reply.body, 'the door shows nothing'
    reply = support.http_request(server.metrics, 'GET', '/metrics').check(200)
    assert reply.header('Content-Type') == 'text/plain; version=0.0.4; charset=utf-8'
    assert support.http_request(server.metrics, 'GET', '/healthcheck').check(200).body == b'OK'
    support.http_request(server.metrics, 'GET', '/recon/version').check(404)
    support.http_request(server.metrics, 'GET', '/v1/AUTH_test').check(404)
