"""Containers: PUT, POST, HEAD, DELETE; metadata, counts, limits.  Listings have a file of their own."""
import email.utils
import re

import pytest

import support

CONFLICT = b'<html><h1>Conflict</h1><p>There was a conflict when trying to complete your request.</p></html>'
ACCEPTED = b'<html><h1>Accepted</h1><p>The request is accepted for processing.</p></html>'


@pytest.fixture
def name(owner):
    """A container name; the container is made by the test, or not."""
    made = support.unique()
    yield made
    owner.remove_container(made)


def test_put_twice(owner, name):
    first = owner.put(name).check(201)
    assert first.body == b'' and first.header('Content-Length') == '0'
    assert owner.put(name).check(202).body == ACCEPTED
    owner.head(name).check(204)


def test_life(owner, name):
    owner.head(name).check(404)
    owner.get(name).check(404)
    owner.post(name).check(404)
    owner.delete(name).check(404)
    owner.put(name).check(201)
    assert owner.post(name).check(204).body == b''
    gone = owner.delete(name).check(204)
    assert gone.body == b''
    owner.head(name).check(404)
    owner.delete(name).check(404)
    owner.put(name).check(201)


def test_headers_of_head_and_get(owner, container):
    for reply in (owner.head(container).check(204), owner.get(container).check(204)):
        assert reply.body == b''
        assert reply.header('X-Container-Object-Count') == '0'
        assert reply.header('X-Container-Bytes-Used') == '0'
        assert re.fullmatch(r'\d{10}\.\d{5}', reply.header('X-Timestamp'))
        assert reply.header('Accept-Ranges') == 'bytes'
        assert reply.header('Content-Type') == 'text/plain; charset=utf-8'
        assert email.utils.parsedate_to_datetime(reply.header('Last-Modified'))
        assert reply.header('X-Storage-Policy')
        assert reply.header('Vary') == 'Accept'
        assert len(reply.all('Content-Type')) == 1


def test_counts(owner, container):
    sizes = [0, 10, 70000]
    for number, size in enumerate(sizes):
        owner.put(container, 'o%d' % number, body=support.pattern(size)).check(201)
    support.eventually(lambda: _counts(owner, container, 3, 70010))
    owner.put(container, 'o2', body=b'12345').check(201)
    support.eventually(lambda: _counts(owner, container, 3, 15))
    owner.delete(container, 'o1').check(204)
    support.eventually(lambda: _counts(owner, container, 2, 5))
    owner.delete(container, 'o1').check(404)
    owner.post(container, 'o2', headers={'X-Object-Meta-A': '1'}).check(202)
    support.eventually(lambda: _counts(owner, container, 2, 5))
    owner.delete(container, 'o0').check(204)
    owner.delete(container, 'o2').check(204)
    support.eventually(lambda: _counts(owner, container, 0, 0))


def _counts(owner, container, objects, size):
    head = owner.head(container).check(204)
    assert (head.header('X-Container-Object-Count'), head.header('X-Container-Bytes-Used')) == (str(objects), str(size))


def test_delete_of_a_full_container(owner, container):
    owner.put(container, 'o', body=b'x').check(201)
    assert owner.delete(container).check(409).body == CONFLICT
    assert owner.get(container, 'o').check(200).body == b'x'
    owner.delete(container, 'o').check(204)
    owner.delete(container).check(204)


def test_new_container_of_an_old_name_is_empty(owner, name):
    owner.put(name, headers={'X-Container-Meta-A': '1', 'X-Container-Read': '.r:*'}).check(201)
    owner.put(name, 'o', body=b'x').check(201)
    owner.delete(name, 'o').check(204)
    owner.delete(name).check(204)
    owner.put(name).check(201)
    head = owner.head(name).check(204)
    assert not head.has('X-Container-Meta-A') and not head.has('X-Container-Read')
    assert head.header('X-Container-Object-Count') == '0'
    owner.get(name, 'o').check(404)
    owner.without_token().get(name, 'o').check(401)


def test_objects_of_a_deleted_container(owner, name):
    owner.put(name).check(201)
    owner.delete(name).check(204)
    owner.put(name, 'o', body=b'x').check(404)
    owner.get(name, 'o').check(404)


# Metadata

def meta(reply):
    return {key: value for key, value in reply.headers if key.lower().startswith('x-container-meta-')}


def test_metadata_by_put_and_post(owner, name):
    owner.put(name, headers={'X-Container-Meta-A': '1', 'x-container-meta-two-WORDS': 'grün'}).check(201)
    assert meta(owner.head(name)) == {'X-Container-Meta-A': '1', 'X-Container-Meta-Two-Words': 'grün'}
    owner.post(name, headers={'X-Container-Meta-B': '2'}).check(204)
    assert meta(owner.head(name)) == {'X-Container-Meta-A': '1', 'X-Container-Meta-Two-Words': 'grün',
                                      'X-Container-Meta-B': '2'}, 'a POST adds'
    owner.post(name, headers={'X-Container-Meta-A': 'one'}).check(204)
    owner.put(name, headers={'X-Container-Meta-C': '3'}).check(202)
    assert meta(owner.get(name)) == {'X-Container-Meta-A': 'one', 'X-Container-Meta-Two-Words': 'grün',
                                     'X-Container-Meta-B': '2', 'X-Container-Meta-C': '3'}, 'so does a second PUT'


@pytest.mark.parametrize('method', ['PUT', 'POST'])
def test_metadata_is_removed(owner, name, method):
    owner.put(name, headers={'X-Container-Meta-%s' % key: 'x' for key in 'ABC'}).check(201)
    owner.request(method, name, headers={'X-Container-Meta-A': '', 'X-Remove-Container-Meta-B': 'anything'}).check(202, 204)
    assert meta(owner.head(name)) == {'X-Container-Meta-C': 'x'}
    owner.request(method, name, headers={'X-Remove-Container-Meta-Missing': 'x'}).check(202, 204)
    assert meta(owner.head(name)) == {'X-Container-Meta-C': 'x'}


def test_set_and_remove_at_once(owner, name):
    """The new value wins over the wish to remove it."""
    owner.put(name, headers={'X-Container-Meta-A': '1'}).check(201)
    owner.post(name, headers={'X-Container-Meta-A': '2', 'X-Remove-Container-Meta-A': 'x'}).check(204)
    assert meta(owner.head(name)) == {'X-Container-Meta-A': '2'}


META_LIMITS = [
    ('name of 128', {'X-Container-Meta-' + 'n' * 128: 'v'}, False),
    ('name of 129', {'X-Container-Meta-' + 'n' * 129: 'v'}, True),
    ('value of 256', {'X-Container-Meta-V': 'v' * 256}, False),
    ('value of 257', {'X-Container-Meta-V': 'v' * 257}, True),
    ('90 items', {'X-Container-Meta-%d' % number: 'v' for number in range(90)}, False),
    ('91 items', {'X-Container-Meta-%d' % number: 'v' for number in range(91)}, True),
    ('overall 4096', {'X-Container-Meta-%03d' % number: 'v' * 253 for number in range(16)}, False),
    ('overall 4097', {'X-Container-Meta-%03d' % number: 'v' * (254 if number == 0 else 253) for number in range(16)}, True),
    ('empty name', {'X-Container-Meta-': 'v'}, True),
    ('not UTF-8', {'X-Container-Meta-V': b'\xff'}, True),
]


@pytest.mark.parametrize('headers, refused', [row[1:] for row in META_LIMITS], ids=[row[0] for row in META_LIMITS])
def test_metadata_limits(owner, name, headers, refused):
    owner.put(name + 'put', headers=headers).check(400 if refused else 201)
    owner.put(name).check(201)
    owner.post(name, headers=headers).check(400 if refused else 204)
    assert len(meta(owner.head(name))) == (0 if refused else len(headers))
    owner.head(name + 'put').check(404 if refused else 204)
    owner.remove_container(name + 'put')


def test_metadata_limit_counts_what_is_there(owner, container):
    """POSTs add up; the sum may not pass the limit either."""
    for start in (0, 8):
        owner.post(container, headers={'X-Container-Meta-%03d' % number: 'v' * 253 for number in range(start, start + 8)}
                   ).check(204)
    owner.post(container, headers={'X-Container-Meta-X': 'v'}).check(400)
    assert len(meta(owner.head(container))) == 16
    owner.post(container, headers={'X-Container-Meta-000': '', 'X-Container-Meta-X': 'v'}).check(204)


def test_metadata_name_in_utf8(owner, container, address):
    """Not a token of RFC 9110, but Swift's own functional tests send such names."""
    with support.Raw(address) as raw:
        raw.send(support.raw_request('POST', owner.path(container), {
            'X-Auth-Token': owner.token, 'Content-Length': 0, 'X-Container-Meta-Uni\u0e12': 'uni\u0e12'}))
        raw.reply('POST').check(204)
        raw.send(support.raw_request('HEAD', owner.path(container), {'X-Auth-Token': owner.token}))
        head = raw.reply('HEAD').check(204)
    shown = {key.encode('latin-1').decode(): value for key, value in head.headers}
    assert shown['X-Container-Meta-Uni\u0e12'] == 'uni\u0e12'


# Names

@pytest.mark.parametrize('length, status', [(1, 201), (255, 201), (256, 201), (257, 400)])
def test_name_length(owner, length, status):
    name = support.unique().ljust(length, 'n')[-length:]
    try:
        refused = owner.put(name).check(status, 202 if length == 1 else status)
        if status == 400:
            assert refused.body == b'Container name length of 257 longer than 256'
    finally:
        owner.remove_container(name)


@pytest.mark.parametrize('suffix', [' ', 'é', '日本', '%', '%2', '?', '#', '&', '+', ':', "'", '"', '<', '\\', '.', '..', '\n'],
                         ids=ascii)
def test_names(owner, suffix):
    name = support.unique() + suffix
    try:
        owner.put(name).check(201)
        owner.put(name, 'o', body=b'x').check(201)
        assert owner.get(name, 'o').check(200).body == b'x'
        support.eventually(lambda: _listed(owner, name))
    finally:
        owner.remove_container(name)
    owner.head(name).check(404)


def _listed(owner, name):
    rows = owner.get(query={'format': 'json', 'prefix': name}).check(200).json()
    assert [row['name'] for row in rows] == [name]


def test_trailing_slash_is_the_container(owner, container):
    owner.head(path=owner.path(container) + '/').check(204)
    owner.put(path=owner.path(container) + '/').check(202)


# Storage policies

def test_policy(owner, name, new_container):
    info = owner.get(path='/info').check(200).json()['swift']
    default, = [policy['name'] for policy in info['policies'] if policy.get('default')]
    assert owner.head(new_container()).header('X-Storage-Policy') == default
    for policy in info['policies']:
        box = new_container({'X-Storage-Policy': policy['name'].upper()})
        assert owner.head(box).header('X-Storage-Policy') == policy['name'], 'names do not mind their case'
        owner.put(box, headers={'X-Storage-Policy': policy['name']}).check(202)
        owner.put(box, 'o', body=b'x').check(201)
        assert owner.get(box, 'o').check(200).body == b'x'
        for other in info['policies']:
            if other != policy:
                owner.put(box, headers={'X-Storage-Policy': other['name']}).check(409)
        owner.post(box, headers={'X-Storage-Policy': 'ignored'}).check(204)
    refused = owner.put(name, headers={'X-Storage-Policy': 'no-such'}).check(400)
    assert refused.body == b"Invalid X-Storage-Policy 'no-such'"
    owner.head(name).check(404)


# Access control headers (what they do is in test_acl.py)

def test_acl_headers(owner, name):
    owner.put(name, headers={'X-Container-Read': '.r:*, .rlistings', 'X-Container-Write': ' test:tester3 '}).check(201)
    head = owner.head(name)
    assert head.header('X-Container-Read') == '.r:*,.rlistings'
    assert head.header('X-Container-Write') == 'test:tester3'
    owner.post(name, headers={'X-Container-Read': '.r:.example.com,.r:-bad.example.com,test2'}).check(204)
    head = owner.head(name)
    assert head.header('X-Container-Read') == '.r:.example.com,.r:-bad.example.com,test2'
    assert head.header('X-Container-Write') == 'test:tester3'
    owner.post(name, headers={'X-Container-Read': ''}).check(204)
    owner.post(name, headers={'X-Remove-Container-Write': 'x'}).check(204)
    head = owner.head(name)
    assert not head.has('X-Container-Read') and not head.has('X-Container-Write')


@pytest.mark.parametrize('field, value', [
    ('X-Container-Read', '.r:'), ('X-Container-Read', '.r:-'), ('X-Container-Read', '.unknown:x'),
    ('X-Container-Write', '.r:*'), ('X-Container-Read', '.r:*,.r:'), ('X-Container-Write', '.rlistings:x')])
def test_bad_acl_headers(owner, name, container, field, value):
    owner.put(name, headers={field: value}).check(400)
    owner.head(name).check(404)
    owner.post(container, headers={field: value}).check(400)
    assert not owner.head(container).has(field)


def test_head_and_get_agree(owner, container):
    owner.post(container, headers={'X-Container-Meta-A': '1'}).check(204)
    owner.put(container, 'o', body=b'x').check(201)
    support.eventually(lambda: _counts(owner, container, 1, 1))
    head, got = owner.head(container).check(204), owner.get(container).check(200)
    skip = ('x-trans-id', 'x-openstack-request-id', 'date', 'content-length', 'x-timestamp', 'x-container-sharding')
    shown = [sorted(pair for pair in reply.headers if pair[0].lower() not in skip) for reply in (head, got)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize('accept, wanted', [('application/json', 'application/json; charset=utf-8'),
                                            ('text/xml', 'text/xml; charset=utf-8'), ('*/*', 'text/plain; charset=utf-8')])
def test_head_has_the_type_that_was_asked_for(owner, container, accept, wanted):
    assert owner.head(container, headers={'Accept': accept}).check(204).header('Content-Type') == wanted
