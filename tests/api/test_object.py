"""Objects: PUT, GET, HEAD, POST, DELETE; their headers, metadata, limits and expiry."""
import concurrent.futures
import email.utils
import http.client
import re
import time

import pytest

import support

EMPTY_MD5 = 'd41d8cd98f00b204e9800998ecf8427e'
NOT_FOUND = b'<html><h1>Not Found</h1><p>The resource could not be found.</p></html>'


@pytest.fixture
def name():
    """An object name that no other test uses, so that tests can share a container."""
    return support.unique('o')


@pytest.fixture(scope='module')
def box(module_container):
    return module_container


# PUT and GET

@pytest.mark.parametrize('length', [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 1000003, 8 << 20])
def test_put_and_get(owner, box, name, length):
    data = support.pattern(length)
    put = owner.put(box, name, body=data).check(201)
    assert put.body == b''
    assert put.header('Etag') == support.md5(data)
    assert put.header('Content-Length') == '0'
    got = owner.get(box, name).check(200)
    assert got.body == data
    assert got.header('Content-Length') == str(length)
    assert got.header('Etag') == support.md5(data)


@pytest.mark.parametrize('length', [0, 1, 65536, 65537, 3000000])
def test_chunked_put(owner, box, name, length):
    data = support.pattern(length)
    pieces = [data[start:start + 50000] for start in range(0, length, 50000)]
    put = owner.put(box, name, body=iter(pieces)).check(201)
    assert put.header('Etag') == support.md5(data)
    got = owner.get(box, name).check(200)
    assert got.body == data
    assert got.header('Content-Length') == str(length)


def test_headers_of_put(owner, box, name):
    put = owner.put(box, name, body=b'x').check(201)
    assert email.utils.parsedate_to_datetime(put.header('Last-Modified'))
    assert put.header('Content-Type') == 'text/html; charset=UTF-8'
    assert put.header('Date')
    assert not put.has('X-Timestamp') or float(put.header('X-Timestamp'))


def test_headers_of_get_and_head(owner, box, name):
    put = owner.put(box, name, body=b'abc', headers={'Content-Type': 'text/plain', 'X-Object-Meta-Colour': 'red'}).check(201)
    got, head = owner.get(box, name).check(200), owner.head(box, name).check(200)
    assert head.body == b''
    for reply in (got, head):
        assert reply.header('Content-Type') == 'text/plain'
        assert reply.header('Content-Length') == '3'
        assert reply.header('Etag') == '900150983cd24fb0d6963f7d28e17f72'
        assert reply.header('Accept-Ranges') == 'bytes'
        assert reply.header('X-Object-Meta-Colour') == 'red'
        assert re.fullmatch(r'\d{10}\.\d{5}', reply.header('X-Timestamp')), reply
        assert reply.header('Last-Modified') == put.header('Last-Modified')
        for once in ('Content-Length', 'Content-Type', 'Etag', 'Date', 'X-Trans-Id', 'Last-Modified'):
            assert len(reply.all(once)) == 1, reply


def test_last_modified_is_the_timestamp_rounded_up(owner, box, name):
    owner.put(box, name, body=b'x').check(201)
    head = owner.head(box, name).check(200)
    seconds, fraction = head.header('X-Timestamp').split('.')
    shown = email.utils.parsedate_to_datetime(head.header('Last-Modified')).timestamp()
    assert shown == int(seconds) + (1 if int(fraction) else 0)
    assert head.header('Last-Modified').endswith(' GMT')


def test_overwrite(owner, box, name):
    for data in (b'first', support.pattern(100000), b'', b'last'):
        owner.put(box, name, body=data, headers={'X-Object-Meta-Size': str(len(data))}).check(201)
        got = owner.get(box, name).check(200)
        assert got.body == data and got.header('X-Object-Meta-Size') == str(len(data))
    owner.put(box, name, body=b'bare').check(201)
    assert not owner.head(box, name).has('X-Object-Meta-Size'), 'nothing of the old object stays'


def test_timestamps_grow(owner, box, name):
    seen = []
    for number in range(5):
        owner.put(box, name, body=b'%d' % number).check(201)
        seen.append(float(owner.head(box, name).header('X-Timestamp')))
    assert seen == sorted(set(seen))
    assert abs(seen[-1] - time.time()) < 60


def test_client_timestamp_is_ignored(owner, box, name):
    owner.put(box, name, body=b'x', headers={'X-Timestamp': '1000000000.00000'}).check(201)
    assert float(owner.head(box, name).header('X-Timestamp')) > 1700000000


def test_missing(owner, box):
    assert owner.get(box, 'missing').check(404).body == NOT_FOUND
    owner.head(box, 'missing').check(404)
    assert owner.delete(box, 'missing').check(404).body == NOT_FOUND
    owner.post(box, 'missing').check(404)


def test_missing_container(owner):
    for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
        owner.request(method, 'no-such-container', 'o').check(404)


def test_delete(owner, box, name):
    owner.put(box, name, body=b'x').check(201)
    gone = owner.delete(box, name).check(204)
    assert gone.body == b'' and gone.header('Content-Type') == 'text/html; charset=UTF-8'
    owner.get(box, name).check(404)
    owner.delete(box, name).check(404)
    owner.put(box, name, body=b'again').check(201)
    assert owner.get(box, name).check(200).body == b'again'


def test_post_answer(owner, box, name):
    owner.put(box, name, body=b'x').check(201)
    posted = owner.post(box, name).check(202)
    assert posted.body == b'<html><h1>Accepted</h1><p>The request is accepted for processing.</p></html>'


def test_query_of_an_object_request_is_ignored(owner, box, name):
    """libcloud adds ?format=json to everything."""
    query = {'format': 'json'}
    owner.put(box, name, body=b'x', query=query).check(201)
    assert owner.get(box, name, query=query).check(200).body == b'x'
    owner.delete(box, name, query=query).check(204)


@pytest.mark.parametrize('flag', ['true', 'True', '1', 'yes', 'on', 'no', ''])
def test_newest(owner, box, name, flag):
    owner.put(box, name, body=b'old').check(201)
    owner.put(box, name, body=b'new').check(201)
    assert owner.get(box, name, headers={'X-Newest': flag}).check(200).body == b'new'
    owner.head(box, name, headers={'X-Newest': flag}).check(200)


# Names

NAMES = ['plain', 'with space', ' leading', 'trailing ', 'a/b', 'a//b', '/leading-slash', 'trailing/', '//', '/', '.', '..',
         '../../etc/passwd', './a', 'grün', '日本語', '\U0001f600', 'e\u0301', '\u00a0', 'per%20cent', '%', '%%', '%zz', '%2F', '%252f',
         'plus+', 'q?uestion', 'h#ash', 'amp&', 'eq=', 'semi;colon', 'com,ma', 'co:lon', 'at@', 'dollar$', "quote'", 'double"',
         'back\\slash', '<b>', 'tab\there', 'new\nline', 'return\r', 'bell\x07', 'delete\x7f', 'x' * 1024, 'é' * 1024, '\u2028']


@pytest.mark.parametrize('suffix', NAMES, ids=lambda name: ascii(name[:20]))
def test_names(owner, new_container, suffix):
    container = new_container()
    owner.put(container, suffix, body=suffix.encode()).check(201)
    assert owner.get(container, suffix).check(200).body == suffix.encode()
    support.eventually(lambda: _same([row['name'] for row in owner.get(
        container, query={'format': 'json'}).check(200).json()], [suffix]))
    owner.post(container, suffix, headers={'X-Object-Meta-A': '1'}).check(202)
    assert owner.head(container, suffix).check(200).header('X-Object-Meta-A') == '1'
    owner.delete(container, suffix).check(204)
    owner.head(container, suffix).check(404)


def _same(found, wanted):
    assert found == wanted


def test_names_that_differ_in_case_or_form(owner, box, name):
    for number, suffix in enumerate(('a', 'A', 'e\u0301', '\u00e9', 'a/', 'a//')):
        owner.put(box, name + suffix, body=b'%d' % number).check(201)
    for number, suffix in enumerate(('a', 'A', 'e\u0301', '\u00e9', 'a/', 'a//')):
        assert owner.get(box, name + suffix).check(200).body == b'%d' % number


@pytest.mark.parametrize('escaped, same', [('%61%62', 'ab'), ('a%2Fb', 'a/b'), ('a%2fb', 'a/b'), ('%C3%A9', 'é'),
                                           ('%c3%a9', 'é'), ('a+b', 'a+b'), ('a%2Bb', 'a+b'), ("(!*')", "(!*')")])
def test_escapes_are_decoded_once(owner, new_container, escaped, same):
    container = new_container()
    owner.put(path=owner.path(container) + '/' + escaped, body=b'x').check(201)
    owner.get(container, same).check(200)
    support.eventually(lambda: _same(owner.names(container), [same]))


@pytest.mark.parametrize('length, status', [(1024, 201), (1025, 400)])
def test_name_length(owner, box, length, status):
    put = owner.put(box, 'n' * length, body=b'').check(status)
    if status == 400:
        assert put.body == b'Object name length of 1025 longer than 1024'
        owner.head(box, 'n' * length).check(404)


# Content-Type

@pytest.mark.parametrize('suffix, wanted', [('.txt', 'text/plain'), ('.html', 'text/html'), ('.jpg', 'image/jpeg'),
                                            ('.png', 'image/png'), ('.json', 'application/json'), ('.css', 'text/css'),
                                            ('.pdf', 'application/pdf'), ('.tar', 'application/x-tar'),
                                            ('', 'application/octet-stream'), ('.nosuchtype', 'application/octet-stream')])
def test_type_is_guessed_from_the_name(owner, box, name, suffix, wanted):
    owner.put(box, name + suffix, body=b'x').check(201)
    assert owner.head(box, name + suffix).header('Content-Type') == wanted


def test_type_is_kept(owner, box, name):
    given = 'text/x-odd; charset="utf-8"; a=b'
    owner.put(box, name + '.txt', body=b'x', headers={'Content-Type': given}).check(201)
    assert owner.head(box, name + '.txt').header('Content-Type') == given


@pytest.mark.parametrize('flag, wanted', [('true', 'text/plain'), ('1', 'text/plain'), ('false', 'a/b')])
def test_detect_content_type(owner, box, name, flag, wanted):
    owner.put(box, name + '.txt', body=b'x', headers={'Content-Type': 'a/b', 'X-Detect-Content-Type': flag}).check(201)
    assert owner.head(box, name + '.txt').header('Content-Type') == wanted


def test_type_not_utf8(owner, box, name):
    owner.put(box, name, body=b'x', headers={'Content-Type': b'text/\xff'}).check(400)
    owner.head(box, name).check(404)


# Metadata

def test_metadata_names_are_title_cased(owner, box, name):
    owner.put(box, name, body=b'x', headers={'x-object-meta-FOO-bar2b': 'v'}).check(201)
    shown = [key for key, _ in owner.head(box, name).headers if key.lower().startswith('x-object-meta-')]
    assert shown == ['X-Object-Meta-Foo-Bar2B']


@pytest.mark.parametrize('value', ['plain', 'with  two spaces', 'grün 日本', 'quo"te\'s', 'a,b;c=d', '%41', 'x' * 256, ''],
                         ids=lambda value: ascii(value[:12]))
def test_metadata_values(owner, box, name, value):
    owner.put(box, name, body=b'x', headers={'X-Object-Meta-V': value}).check(201)
    assert owner.head(box, name).header('X-Object-Meta-V') == value
    owner.post(box, name, headers={'X-Object-Meta-W': value}).check(202)
    assert owner.get(box, name).header('X-Object-Meta-W') == value


def test_metadata_that_is_not_utf8_comes_back_as_it_was(owner, box, name, address):
    owner.put(box, name, body=b'x', headers={'X-Object-Meta-V': b'\xff\xfe raw'}).check(201)
    with support.Raw(address) as raw:
        raw.send(support.raw_request('HEAD', owner.path(box, name), {'X-Auth-Token': owner.token}))
        head = raw.reply('HEAD').check(200)
    assert head.header('X-Object-Meta-V').encode('latin-1') == b'\xff\xfe raw'


def test_post_replaces_all_metadata(owner, box, name):
    owner.put(box, name, body=b'x', headers={
        'X-Object-Meta-A': '1', 'X-Object-Meta-B': '2', 'Content-Type': 'text/x-keep', 'Content-Disposition': 'inline',
        'Content-Encoding': 'odd', 'Cache-Control': 'no-store', 'Content-Language': 'de', 'Expires': 'never',
        'X-Robots-Tag': 'none'}).check(201)
    head = owner.head(box, name)
    assert head.header('Content-Disposition') == 'inline' and head.header('Content-Encoding') == 'odd'
    assert head.header('Cache-Control') == 'no-store' and head.header('Content-Language') == 'de'
    assert head.header('Expires') == 'never' and head.header('X-Robots-Tag') == 'none'
    owner.post(box, name, headers={'X-Object-Meta-C': '3'}).check(202)
    head = owner.head(box, name)
    assert head.header('X-Object-Meta-C') == '3' and head.header('Content-Type') == 'text/x-keep'
    for gone in ('X-Object-Meta-A', 'X-Object-Meta-B', 'Content-Disposition', 'Content-Encoding', 'Cache-Control',
                 'Content-Language', 'Expires', 'X-Robots-Tag'):
        assert not head.has(gone), head
    assert head.header('Etag') == support.md5(b'x') and head.header('Content-Length') == '1'
    assert owner.get(box, name).body == b'x'


def test_post_without_anything_clears(owner, box, name):
    owner.put(box, name, body=b'x', headers={'X-Object-Meta-A': '1'}).check(201)
    owner.post(box, name).check(202)
    assert not owner.head(box, name).has('X-Object-Meta-A')


def test_post_changes_the_type_in_the_listing_too(owner, container, name):
    owner.put(container, name, body=b'x', headers={'Content-Type': 'a/b'}).check(201)
    owner.post(container, name, headers={'Content-Type': 'c/d'}).check(202)
    assert owner.head(container, name).header('Content-Type') == 'c/d'
    support.eventually(lambda: _same(
        [row['content_type'] for row in owner.get(container, query={'format': 'json'}).json()], ['c/d']))


def test_post_moves_the_timestamp(owner, container, name):
    owner.put(container, name, body=b'x').check(201)
    before = float(owner.head(container, name).header('X-Timestamp'))
    owner.post(container, name, headers={'X-Object-Meta-A': '1'}).check(202)
    after = owner.head(container, name).header('X-Timestamp')
    assert float(after) > before
    stamp = lambda: owner.get(container, query={'format': 'json'}).json()[0]['last_modified']
    support.eventually(lambda: _same(support.timestamp_of(stamp()), after))


def test_post_sets_headers(owner, box, name):
    owner.put(box, name, body=b'x').check(201)
    owner.post(box, name, headers={'Content-Disposition': 'attachment', 'Content-Encoding': 'gzip'}).check(202)
    head = owner.head(box, name)
    assert head.header('Content-Disposition') == 'attachment' and head.header('Content-Encoding') == 'gzip'


def test_unknown_headers_are_not_kept(owner, box, name):
    owner.put(box, name, body=b'x', headers={'X-Whatever': '1', 'X-Container-Meta-A': '1', 'X-Account-Meta-A': '1'}).check(201)
    head = owner.head(box, name)
    assert not any(head.has(key) for key in ('X-Whatever', 'X-Container-Meta-A', 'X-Account-Meta-A'))


META_LIMITS = [
    ('name of 128', {'X-Object-Meta-' + 'n' * 128: 'v'}, 0),
    ('name of 129', {'X-Object-Meta-' + 'n' * 129: 'v'}, b'Metadata name too long: X-Object-Meta-' + b'N' + b'n' * 128),
    ('value of 256', {'X-Object-Meta-V': 'v' * 256}, 0),
    ('value of 257', {'X-Object-Meta-V': 'v' * 257}, b'Metadata value longer than 256: X-Object-Meta-V'),
    ('90 items', {'X-Object-Meta-%d' % number: 'v' for number in range(90)}, 0),
    ('91 items', {'X-Object-Meta-%d' % number: 'v' for number in range(91)}, b'Too many metadata items; max 90'),
    # 16 items: names of 3 and values of 253 are exactly 4096 bytes
    ('overall 4096', {'X-Object-Meta-%03d' % number: 'v' * 253 for number in range(16)}, 0),
    ('overall 4097', {'X-Object-Meta-%03d' % number: 'v' * (254 if number == 0 else 253) for number in range(16)},
     b'Total metadata too large; max 4096'),
    ('empty name', {'X-Object-Meta-': 'v'}, b'Metadata name cannot be empty'),
]


@pytest.mark.parametrize('headers, error', [row[1:] for row in META_LIMITS], ids=[row[0] for row in META_LIMITS])
def test_metadata_limits(owner, box, name, headers, error):
    put = owner.put(box, name, body=b'x', headers=headers).check(400 if error else 201)
    owner.put(box, name + 'p', body=b'x').check(201)
    post = owner.post(box, name + 'p', headers=headers).check(400 if error else 202)
    if error:
        assert put.body.lower() == post.body.lower() == error.lower()
        owner.head(box, name).check(404)
        return
    for head in (owner.head(box, name), owner.head(box, name + 'p')):
        assert {key.lower(): value for key, value in head.headers if key.lower().startswith('x-object-meta-')} \
            == {key.lower(): value for key, value in headers.items()}


# ETag and conditions on PUT

@pytest.mark.parametrize('etag, status', [
    (support.md5(b'abc'), 201), ('"%s"' % support.md5(b'abc'), 201), ('0' * 32, 422), ('"%s"' % ('0' * 32), 422),
    (support.md5(b'abc').upper(), 422), ('short', 422), (support.md5(b'abc') + 'ff', 422)])
def test_etag_of_put(owner, box, name, etag, status):
    put = owner.put(box, name, body=b'abc', headers={'ETag': etag}).check(status)
    if status == 422:
        assert put.body == b'<html><h1>Unprocessable Entity</h1><p>Unable to process the contained instructions</p></html>'
        owner.get(box, name).check(404)
    else:
        assert put.header('Etag') == support.md5(b'abc')


def test_wrong_etag_leaves_the_old_object(owner, container, name):
    owner.put(container, name, body=b'old').check(201)
    for data in (b'new', support.pattern(200000)):
        owner.put(container, name, body=data, headers={'ETag': '0' * 32}).check(422)
        owner.put(container, name, body=iter([data]), headers={'ETag': '0' * 32}).check(422)
        assert owner.get(container, name).check(200).body == b'old'
    support.eventually(lambda: _same([row['bytes'] for row in owner.get(container, query={'format': 'json'}).json()], [3]))


def test_if_none_match_star(owner, box, name):
    headers = {'If-None-Match': '*'}
    owner.put(box, name, body=b'1', headers=headers).check(201)
    refused = owner.put(box, name, body=b'2', headers=headers).check(412)
    assert refused.body == (b'<html><h1>Precondition Failed</h1><p>A precondition for this request was not met.</p></html>')
    assert owner.get(box, name).body == b'1'
    owner.put(box, name, body=support.pattern(300000), headers=headers).check(412)
    owner.delete(box, name).check(204)
    owner.put(box, name, body=b'3', headers=headers).check(201)


@pytest.mark.parametrize('value', ['"abc"', 'abc'])
def test_if_none_match_with_anything_else(owner, box, name, value):
    owner.put(box, name, body=b'1', headers={'If-None-Match': value}).check(400)
    owner.head(box, name).check(404)


# Lengths

def test_no_length(owner, box, name, address):
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {'X-Auth-Token': owner.token}))
        refused = raw.reply('PUT').check(411)
    assert refused.body == b'Missing Content-Length header.'
    owner.head(box, name).check(404)


def test_too_large(owner, box, name):
    refused = owner.put(box, name, headers={'Content-Length': '5368709123'}).check(413)
    assert refused.body == b'Your request is too large.'
    owner.head(box, name).check(404)


@pytest.mark.parametrize('length', [10, 100000])
def test_expect_continue(owner, box, name, address, length):
    data = support.pattern(length)
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {
            'X-Auth-Token': owner.token, 'Content-Length': length, 'Expect': '100-continue'}))
        raw.reply('PUT').check(100)
        raw.send(data)
        assert raw.reply('PUT').check(201).header('Etag') == support.md5(data)
        raw.send(support.raw_request('GET', owner.path(box, name), {'X-Auth-Token': owner.token}))
        assert raw.reply('GET').check(200).body == data


def test_expect_continue_that_is_refused(owner, box, name, address):
    """No 100 before an answer that needs no body."""
    for path, headers, status in ((owner.path('no-such-container', name), {'X-Auth-Token': owner.token}, 404),
                                  (owner.path(box, name), {}, 401),
                                  (owner.path(box, name), {'X-Auth-Token': owner.token, 'If-None-Match': 'x'}, 400)):
        with support.Raw(address) as raw:
            raw.send(support.raw_request('PUT', path, {**headers, 'Content-Length': 1000000, 'Expect': '100-continue'}))
            raw.reply('PUT').check(status)


def test_expect_continue_chunked(owner, box, name, address):
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {
            'X-Auth-Token': owner.token, 'Transfer-Encoding': 'chunked', 'Expect': '100-continue'}))
        raw.reply('PUT').check(100)
        raw.send(b'3\r\nabc\r\n0\r\n\r\n')
        assert raw.reply('PUT').check(201).header('Etag') == support.md5(b'abc')


def test_body_in_small_pieces(owner, box, name, address):
    data = support.pattern(3000)
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {'X-Auth-Token': owner.token, 'Content-Length': len(data)}))
        for start in range(0, len(data), 100):
            raw.send(data[start:start + 100])
            time.sleep(0.002)
        assert raw.reply('PUT').check(201).header('Etag') == support.md5(data)


def test_keep_alive(owner, box, name, address):
    """Many requests on one connection, answers with and without a body between them."""
    token = {'X-Auth-Token': owner.token}
    path = owner.path(box, name)
    with support.Raw(address) as raw:
        for number in range(20):
            data = b'%d' % number * number
            raw.send(support.raw_request('PUT', path, {**token, 'Content-Length': len(data)}, data))
            raw.reply('PUT').check(201)
            raw.send(support.raw_request('HEAD', path, token))
            assert raw.reply('HEAD').check(200).header('Content-Length') == str(len(data))
            raw.send(support.raw_request('GET', path, token))
            assert raw.reply().check(200).body == data
            raw.send(support.raw_request('GET', path, {**token, 'If-None-Match': support.md5(data)}))
            raw.reply().check(304)
            raw.send(support.raw_request('DELETE', path, token))
            raw.reply('DELETE').check(204)
            raw.send(support.raw_request('GET', path, token))
            raw.reply().check(404)


def test_connection_close_is_kept(owner, box, name, address):
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {
            'X-Auth-Token': owner.token, 'Content-Length': 1, 'Connection': 'close'}, b'x'))
        raw.reply('PUT').check(201)
        assert raw.closed()


def test_half_closed_client_gets_its_answer(owner, box, name, address):
    with support.Raw(address) as raw:
        raw.send(support.raw_request('PUT', owner.path(box, name), {
            'X-Auth-Token': owner.token, 'Content-Length': 3}, b'abc'))
        raw.finish()
        raw.reply('PUT').check(201)


def test_reader_that_goes_away(owner, box, name, address):
    data = support.pattern(4 << 20)
    owner.put(box, name, body=data).check(201)
    for _ in range(5):
        with support.Raw(address) as raw:
            raw.send(support.raw_request('GET', owner.path(box, name), {'X-Auth-Token': owner.token}))
            raw.socket.recv(1000)
    assert owner.get(box, name).check(200).body == data


def test_concurrent_writers_leave_one_whole_version(owner, box, name):
    bodies = [support.pattern(80000 + number, number) for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for reply in pool.map(lambda data: owner.put(box, name, body=data), bodies):
            reply.check(201, 202)
    assert owner.get(box, name).check(200).body in bodies


# Expiry

def test_delete_at(owner, box, name):
    at = int(time.time()) + 1000
    owner.put(box, name, body=b'x', headers={'X-Delete-At': str(at)}).check(201)
    assert owner.head(box, name).check(200).header('X-Delete-At') == str(at)
    assert owner.get(box, name).check(200).header('X-Delete-At') == str(at)
    owner.post(box, name, headers={'X-Object-Meta-A': '1'}).check(202)
    assert not owner.head(box, name).has('X-Delete-At'), 'a POST without it removes it'
    owner.post(box, name, headers={'X-Delete-At': str(at + 5)}).check(202)
    assert owner.head(box, name).header('X-Delete-At') == str(at + 5)


def test_delete_after(owner, box, name):
    before = int(time.time())
    owner.put(box, name, body=b'x', headers={'X-Delete-After': '1000'}).check(201)
    head = owner.head(box, name).check(200)
    assert before + 1000 <= int(head.header('X-Delete-At')) <= time.time() + 1001
    assert not head.has('X-Delete-After')
    owner.post(box, name, headers={'X-Delete-After': '2000'}).check(202)
    assert int(owner.head(box, name).header('X-Delete-At')) >= before + 2000


@pytest.mark.parametrize('how', ['put', 'post'])
def test_expired_object_is_gone(owner, container, name, how):
    headers = {'X-Delete-After': '1'}
    if how == 'put':
        owner.put(container, name, body=b'x', headers=headers).check(201)
    else:
        owner.put(container, name, body=b'x').check(201)
        owner.post(container, name, headers=headers).check(202)
    assert owner.get(container, name).check(200, 404)
    time.sleep(2.1)
    owner.get(container, name).check(404)
    owner.head(container, name).check(404)
    owner.post(container, name, headers={'X-Object-Meta-A': '1'}).check(404)
    owner.put(container, name, body=b'again', headers={'If-None-Match': '*'}).check(201)
    assert owner.get(container, name).check(200).body == b'again'


def test_delete_of_an_expired_object(owner, container, name):
    owner.put(container, name, body=b'x', headers={'X-Delete-After': '1'}).check(201)
    time.sleep(2.1)
    owner.delete(container, name).check(404)
    support.eventually(lambda: _same(owner.names(container), []))


BAD_DELETE_TIMES = [
    ({'X-Delete-At': '1'}, b'X-Delete-At in past'), ({'X-Delete-At': '-1'}, b'X-Delete-At in past'),
    ({'X-Delete-At': 'tomorrow'}, b'Non-integer X-Delete-At'), ({'X-Delete-At': '1.5'}, b'Non-integer X-Delete-At'),
    ({'X-Delete-At': ''}, b'Non-integer X-Delete-At'),
    ({'X-Delete-After': '0'}, None), ({'X-Delete-After': '-1'}, b'X-Delete-After in past'),
    ({'X-Delete-After': 'soon'}, b'Non-integer X-Delete-After'), ({'X-Delete-After': '1e3'}, b'Non-integer X-Delete-After'),
]


@pytest.mark.parametrize('headers, error', BAD_DELETE_TIMES)
def test_bad_delete_times(owner, box, name, headers, error):
    put = owner.put(box, name, body=b'x', headers=headers).check(400)
    assert error is None or put.body == error
    owner.head(box, name).check(404)
    owner.put(box, name, body=b'x').check(201)
    owner.post(box, name, headers=headers).check(400)


# What must be on every answer

def test_transaction_ids(owner, box, name):
    """Answers of every kind carry the id under both names."""
    replies = [owner.put(box, name, body=b'x'), owner.get(box, name), owner.get(box, 'missing'), owner.head(box, name),
               owner.without_token().get(box, name), owner.request('FOO', box, name), owner.get(path='/info'),
               owner.get(path='/healthcheck'), owner.get(path='/v1')]
    seen = set()
    for reply in replies:
        identity = reply.header('X-Trans-Id')
        assert re.fullmatch(r'tx[0-9a-f]{21}-[0-9a-f]{10}.*', identity or ''), reply
        assert reply.header('X-Openstack-Request-Id') == identity, reply
        assert abs(int(identity[24:34], 16) - time.time()) < 60, 'the second part is the time'
        seen.add(identity)
    assert len(seen) == len(replies)


def test_transaction_id_extra(owner, box):
    reply = owner.get(box, 'missing', headers={'X-Trans-Id-Extra': 'batch-7'})
    assert re.fullmatch(r'tx[0-9a-f]{21}-[0-9a-f]{10}-batch-7', reply.header('X-Trans-Id')), reply
    long = owner.get(box, 'missing', headers={'X-Trans-Id-Extra': 'x' * 100})
    assert long.header('X-Trans-Id').endswith('-' + 'x' * 32), long


def test_no_internal_header_leaves(owner, box, name):
    replies = [owner.put(box, name, body=b'x'), owner.get(box, name), owner.head(box, name), owner.post(box, name),
               owner.get(box), owner.head(box), owner.get(), owner.head(), owner.delete(box, name), owner.get(box, name)]
    for reply in replies:
        for key, _ in reply.headers:
            assert not key.lower().startswith(('x-backend', 'x-object-sysmeta', 'x-object-transient', 'x-container-sysmeta',
                                               'x-account-sysmeta')), reply
            assert key.lower() not in ('x-put-timestamp', 'x-container-host', 'x-account-host', 'server'), reply


METHOD_NOT_ALLOWED = b'<html><h1>Method Not Allowed</h1><p>The method is not allowed for this resource.</p></html>'


@pytest.mark.parametrize('method', ['FOO', 'PATCH', 'REPLICATE', 'SSYNC', 'UPDATE', 'TRACE', 'LINK', 'get'])
def test_unknown_methods(owner, box, name, method):
    for names in ((), (box,), (box, name)):
        refused = owner.request(method, *names).check(405)
        assert refused.body == METHOD_NOT_ALLOWED
        assert {'GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS'} <= set(refused.header('Allow').split(', '))
    owner.head(box, name).check(404)


def test_options(owner, box, name):
    plain = owner.options(box, name).check(200)
    assert set(plain.header('Allow').split(', ')) >= {'GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'COPY'}
    assert plain.body == b''


def test_answer_to_http_1_0(owner, box, name, address):
    owner.put(box, name, body=b'abc').check(201)
    with support.Raw(address) as raw:
        raw.send(b'GET %s HTTP/1.0\r\nX-Auth-Token: %s\r\n\r\n' % (owner.path(box, name).encode(), owner.token.encode()))
        reply = raw.reply()
        assert reply.check(200).body == b'abc' and not reply.has('Transfer-Encoding')
        assert raw.closed()


def test_absolute_form(owner, box, name, address):
    owner.put(box, name, body=b'abc').check(201)
    with support.Raw(address) as raw:
        raw.send(support.raw_request('GET', 'http://elsewhere.example' + owner.path(box, name), {'X-Auth-Token': owner.token}))
        # Deliberate difference: RFC 9112 3.2.2 wants the absolute form accepted; Swift 2.30 takes it for a path.
        assert raw.reply().check(support.expected(200, swift=404)).body == support.expected(b'abc', swift=NOT_FOUND)


def test_large_put_over_http_client_with_length(owner, box, name):
    """One body in many writes, length given beforehand."""
    data = support.pattern(3 << 20)
    connection = http.client.HTTPConnection(*owner.address, timeout=30)
    connection.putrequest('PUT', owner.path(box, name))
    connection.putheader('X-Auth-Token', owner.token)
    connection.putheader('Content-Length', str(len(data)))
    connection.endheaders()
    for start in range(0, len(data), 123457):
        connection.send(data[start:start + 123457])
    assert connection.getresponse().status == 201
    connection.close()
    assert owner.get(box, name).body == data
