"""The access log: Swift's fields or JSON, without secrets; X-Trans-Id finds every line of a request."""
import json
import re

import pytest

import support
from server import Server


def lines_with(server, text):
    log = server.directory / 'data' / 'swiftlet.log'
    return [line for line in log.read_text('utf-8', 'replace').splitlines() if text in line]


@pytest.fixture(scope='module')
def text_server():
    with Server(swiftlet={'log_requests': 'true'}) as running:
        yield running


@pytest.fixture(scope='module')
def json_server():
    with Server(swiftlet={'access_log_format': 'json', 'log_requests': 'true', 'reveal_sensitive_prefix': '4'}) as running:
        yield running


def user_of(server):
    return support.User.log_in(server.auth_url, 'test:tester', 'testing')


def test_servers_have_swifts_lines(text_server):
    user = user_of(text_server)
    user.put('lines').check(201)
    identity = user.put('lines', 'an object', body=b'12345').check(201).header('X-Trans-Id')

    def written():
        lines = lines_with(text_server, identity)
        proxy = [line for line in lines if re.match(r'127\.0\.0\.1 127\.0\.0\.1 ', line)]
        assert len(proxy) == 1
        fields = proxy[0].split(' ')
        assert len(fields) == 21 and fields[3:7] == ['PUT', '/v1/AUTH_test/lines/an%2520object', 'HTTP/1.1', '201']
        assert fields[10] == '5' and fields[13] == identity and fields[20] == '0'
        for server, count in ('object-server', 3), ('container-server', 3):
            found = [line for line in lines if line.startswith(server + ': ') and '"PUT /' in line]
            assert len(found) == count, lines
            assert re.fullmatch(r'[a-z-]+: \S+ - - \[[^]]+ \+0000\] "PUT /d\d/\d+/AUTH_test/lines/an%%2520object" 201 - '
                                r'"\S+" "%s" "\S+" \d+\.\d{4} "-" \d+ 0' % identity, found[0]), found[0]
    support.eventually(written)


def test_text_hides_secrets(text_server):
    user = user_of(text_server)
    secret = '0123456789abcdef' * 2
    reply = user.get('lines', 'x', query='temp_url_sig=%s&a=b' % secret)
    identity = reply.header('X-Trans-Id')

    def written():
        assert lines_with(text_server, identity)
        assert lines_with(text_server, 'temp_url_sig%3D0123456789abcdef...%26a%3Db')
    support.eventually(written)
    assert not lines_with(text_server, secret) and not lines_with(text_server, user.token)
    assert lines_with(text_server, user.token[:16] + '...')


def test_a_long_request_keeps_its_id(text_server):
    user = user_of(text_server)
    identity = user.get('lines', 'n' * 1000, query='marker=' + '%2F' * 1500,
                        headers={'X-Trans-Id-Extra': 'e' * 32, 'User-Agent': 'a' * 3000}).header('X-Trans-Id')
    assert identity.endswith('e' * 32)

    def written():
        assert [line for line in lines_with(text_server, identity) if line.startswith('127.0.0.1 ') and ' GET ' in line]
    support.eventually(written)


def test_json(json_server):
    user = user_of(json_server)
    user.put('lines').check(201)
    name = 'quote " and \u00fc'
    body = support.pattern(100000)
    identity = user.put('lines', name, body=body, headers={'User-Agent': 'back\\slash "q"'}).check(201).header('X-Trans-Id')

    def written():
        entries = [json.loads(line) for line in lines_with(json_server, identity)]
        by_server = {}
        for entry in entries:
            by_server.setdefault(entry['server'], []).append(entry)
        assert [len(by_server.get(name, [])) for name in ('proxy-server', 'object-server')] == [1, 3]
        entry = by_server['proxy-server'][0]
        assert (entry['method'], entry['status'], entry['bytes_received'], entry['policy']) == ('PUT', 201, len(body), '0')
        assert entry['transaction_id'] == identity and entry['user'].startswith('test:tester')
        assert entry['user_agent'] == 'back\\slash "q"' and entry['token'] == user.token[:4] + '...'
        assert 0 < entry['first_byte'] <= entry['duration'] < 60 and entry['remote_address'] == '127.0.0.1'
        assert entry['path'] == '/v1/AUTH_test/lines/' + support.quote(name)
        assert {entry['transaction_id'] for entry in entries} == {identity}
    support.eventually(written)


def test_json_of_bytes_that_are_no_text(json_server):
    with support.Raw(json_server.address) as raw:
        raw.send(b'GET /v1/AUTH_test/\xff\xfe HTTP/1.1\r\nHost: x\r\nUser-Agent: \xc3\xbc\xff\r\n\r\n')
        reply = raw.reply()
    identity = reply.header('X-Trans-Id')

    def written():
        lines = lines_with(json_server, identity)
        assert lines and [json.loads(line) for line in lines]
    support.eventually(written)


def test_damage_is_logged_with_the_id(text_server):
    """The line of a device's error, from a thread of the device's own, has the id of the request that met it."""
    user = user_of(text_server)
    user.put('damaged').check(201)
    user.put('damaged', 'object', body=support.pattern(200000)).check(201)
    with open(next((text_server.directory / 'data' / 'devices').glob('d*/bodies/*/*/*')), 'r+b') as body:
        body.seek(150000)
        body.write(b'rotten')

    def found():
        identity = user.get('damaged', 'object').check(200).header('X-Trans-Id')
        lines = lines_with(text_server, identity)
        assert [line for line in lines if ' error: quarantined ' in line and '(txn: %s)' % identity in line]
    support.eventually(found)


@pytest.mark.parametrize('logged, count', [('network', 0), ('false', 0), ('true', 3)])
def test_which_requests_are_logged(logged, count):
    with Server(swiftlet={'log_requests': logged}) as running:
        user = user_of(running)
        user.put('lines').check(201)
        identity = user.put('lines', 'o', body=b'x').check(201).header('X-Trans-Id')

        def written():
            assert lines_with(running, identity)
        support.eventually(written)
        servers = [line for line in lines_with(running, identity) if line.startswith('object-server: ')]
        assert len(servers) == count
