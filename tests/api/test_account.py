"""Accounts: HEAD, GET, POST, automatic creation, counts."""
import re

import pytest

import support


def meta(reply):
    return {key: value for key, value in reply.headers if key.lower().startswith('x-account-meta-')}


@pytest.fixture
def fresh(reseller):
    """An account that nobody has used; the reseller may."""
    return reseller.at('/v1/AUTH_' + support.unique('fresh').replace('-', '_'))


@pytest.fixture
def field(owner):
    """A metadata name for the shared account, removed afterwards."""
    name = 'X-Account-Meta-' + support.unique('m').title()
    yield name
    owner.post(headers={name: ''})


def test_headers(owner, container):
    got, head = owner.get().check(200), owner.head().check(204)
    for reply in (got, head):
        assert int(reply.header('X-Account-Container-Count')) >= 1
        assert re.fullmatch(r'\d+', reply.header('X-Account-Object-Count'))
        assert re.fullmatch(r'\d+', reply.header('X-Account-Bytes-Used'))
        assert re.fullmatch(r'\d{10}\.\d{5}', reply.header('X-Timestamp'))
        assert reply.header('Accept-Ranges') == 'bytes'
        assert reply.header('Content-Type') == 'text/plain; charset=utf-8'
        policies = [key for key, _ in reply.headers if re.fullmatch(
            r'X-Account-Storage-Policy-.+-(Container-Count|Object-Count|Bytes-Used)', key, re.IGNORECASE)]
        assert len(policies) % 3 == 0 and policies
    assert head.body == b''
    assert container in got.lines()


def test_container_count(owner, new_container):
    before = int(owner.head().header('X-Account-Container-Count'))
    made = [new_container() for _ in range(3)]
    support.eventually(lambda: _count_is(owner, before + 3))
    for name in made:
        owner.delete(name).check(204)
    support.eventually(lambda: _count_is(owner, before))


def _count_is(owner, wanted):
    assert int(owner.head().header('X-Account-Container-Count')) == wanted


def test_object_count_and_bytes(owner, container):
    """Account totals follow the containers; they may be a little late."""
    owner.put(container, 'a', body=b'x' * 1000).check(201)
    owner.put(container, 'b', body=b'x' * 70000).check(201)
    support.eventually(lambda: _row_is(owner, container, 2, 71000), seconds=30)
    head = owner.head().check(204)
    assert int(head.header('X-Account-Object-Count')) >= 2
    assert int(head.header('X-Account-Bytes-Used')) >= 71000
    owner.delete(container, 'b').check(204)
    support.eventually(lambda: _row_is(owner, container, 1, 1000), seconds=30)


def _row_is(owner, container, count, size):
    row, = owner.get(query={'format': 'json', 'prefix': container}).check(200).json()
    assert (row['count'], row['bytes']) == (count, size)


# Metadata

def test_metadata(owner, field):
    assert owner.post(headers={field: 'one'}).check(204).body == b''
    assert meta(owner.head())[field] == 'one'
    owner.post(headers={field: 'grün'}).check(204)
    assert meta(owner.head())[field] == meta(owner.get())[field] == 'grün'
    owner.post(headers={'X-Account-Meta-Other-One': 'x'}).check(204)
    assert meta(owner.head())[field] == 'grün', 'a POST adds'
    owner.post(headers={'X-Remove-Account-Meta-Other-One': 'x', field: ''}).check(204)
    assert field not in meta(owner.head()) and 'X-Account-Meta-Other-One' not in meta(owner.head())


META_LIMITS = [
    ('name of 128', {'X-Account-Meta-' + 'n' * 128: 'v'}, False),
    ('name of 129', {'X-Account-Meta-' + 'n' * 129: 'v'}, True),
    ('value of 256', {'X-Account-Meta-V': 'v' * 256}, False),
    ('value of 257', {'X-Account-Meta-V': 'v' * 257}, True),
    ('90 items', {'X-Account-Meta-%d' % number: 'v' for number in range(90)}, False),
    ('91 items', {'X-Account-Meta-%d' % number: 'v' for number in range(91)}, True),
    ('overall 4096', {'X-Account-Meta-%03d' % number: 'v' * 253 for number in range(16)}, False),
    ('overall 4097', {'X-Account-Meta-%03d' % number: 'v' * (254 if number == 0 else 253) for number in range(16)}, True),
    ('empty name', {'X-Account-Meta-': 'v'}, True),
    ('not UTF-8', {'X-Account-Meta-V': b'\xff'}, True),
]


@pytest.mark.parametrize('headers, refused', [row[1:] for row in META_LIMITS], ids=[row[0] for row in META_LIMITS])
def test_metadata_limits(fresh, headers, refused):
    fresh.post(headers=headers).check(400 if refused else 204)
    assert len(meta(fresh.head())) == (0 if refused else len(headers))


# Accounts that are not there yet

def test_account_that_does_not_exist_yet(fresh):
    """Reading shows an empty account and does not make one."""
    for _ in range(2):
        head = fresh.head().check(200)      # 204 would be one that exists
        assert head.body == b''
        assert (head.header('X-Account-Container-Count'), head.header('X-Account-Object-Count'),
                head.header('X-Account-Bytes-Used')) == ('0', '0', '0')
        assert fresh.get().check(204).body == b''
        assert fresh.get(query={'format': 'json'}).check(200).body == b'[]'
    fresh.get('c').check(404)
    fresh.get('c', 'o').check(404)
    fresh.put('c', 'o', body=b'x').check(404)


def test_first_container_makes_the_account(fresh):
    fresh.put('c').check(201)
    fresh.head().check(204)
    assert support.eventually(lambda: _names(fresh, ['c']))
    fresh.delete('c').check(204)
    fresh.head().check(204)
    support.eventually(lambda: _names(fresh, []))


def _names(user, wanted):
    assert user.get().check(200, 204).lines() == wanted
    return True


def test_post_makes_the_account(fresh):
    fresh.post(headers={'X-Account-Meta-A': '1'}).check(204)
    assert fresh.head().check(204).header('X-Account-Meta-A') == '1'


def test_put_and_delete_of_an_account(owner, fresh, reseller):
    """Only with allow_account_management, and only for a reseller."""
    owner.put().check(403)
    owner.delete().check(403)
    if not reseller.get(path='/info').json()['swift']['allow_account_management']:
        fresh.put().check(405)
        fresh.delete().check(405)
        return
    fresh.put(headers={'X-Account-Meta-A': '1'}).check(201)
    fresh.put().check(202)
    assert fresh.head().check(204).header('X-Account-Meta-A') == '1'
    fresh.delete(query='really=yes').check(400)
    fresh.delete().check(204)
    fresh.head().check(410)
    fresh.get().check(410)
    fresh.post().check(404)
    assert fresh.put().check(403).body == b'Recently deleted'


@pytest.mark.parametrize('length, status', [(256, 204), (257, 400)])
def test_name_length(reseller, length, status):
    name = ('AUTH_' + support.unique()).ljust(length, 'n')
    refused = reseller.at('/v1/' + name).post().check(status)
    if status == 400:
        assert refused.body == b'Account name length of 257 longer than 256'


# Routes

BAD_URL = b'Bad URL'


@pytest.mark.parametrize('path, status, body', [
    ('/v1', 412, BAD_URL), ('/v1/', 412, BAD_URL), ('/nope', 412, BAD_URL), ('/info/', 412, BAD_URL),
    # Deliberate difference: an empty part of the path is 404 since Swift 2.31; 2.30 says 412.
    ('/v1//c', support.expected(404, swift=412), None), ('/', 404, None), ('/v2/AUTH_test', 400, None), ('/v1.0/AUTH_test', 200, None),
    ('/V1/AUTH_test', 400, None), ('/v1/AUTH_test/', 200, None)])
def test_routes(owner, container, path, status, body):
    reply = owner.get(path=path).check(status)
    assert body is None or reply.body == body


def test_hidden_accounts(owner, reseller):
    """Accounts of the store itself are nobody's."""
    for path in ('/v1/.expiring_objects', '/v1/.expiring_objects/1', '/v1/.shards_AUTH_test/c/o'):
        for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
            owner.request(method, path=path).check(403)
