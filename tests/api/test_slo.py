"""Static large objects."""
import base64
import hashlib
import json
import time

import pytest

import support

PUT = {'multipart-manifest': 'put'}
GET = {'multipart-manifest': 'get'}
DELETE = {'multipart-manifest': 'delete'}


def put_manifest(user, container, name, segments, headers=(), **query):
    body = segments if isinstance(segments, bytes) else json.dumps(segments).encode()
    return user.put(container, name, body=body, headers=headers, query=dict(PUT, **query))


def etag_of(*parts):
    return hashlib.md5(''.join(parts).encode()).hexdigest()


class Large:
    """Five segments of a container and a manifest of them with a range and an inline piece."""

    def __init__(self, user, container):
        self.user, self.container = user, container
        self.pieces = [support.pattern(size, seed) for seed, size in enumerate((1000, 70000, 1, 300000, 12))]
        for i, piece in enumerate(self.pieces):
            user.put(container, 'seg/%d' % i, body=piece).check(201)
        self.manifest = [{'path': '/%s/seg/%d' % (container, i), 'etag': support.md5(piece), 'size_bytes': len(piece)}
                         for i, piece in enumerate(self.pieces)]
        self.manifest[1]['range'] = '100-50099'
        self.manifest.insert(2, {'data': base64.b64encode(b'inline!').decode()})
        self.content = (self.pieces[0] + self.pieces[1][100:50100] + b'inline!' + b''.join(self.pieces[2:]))
        self.etag = etag_of(support.md5(self.pieces[0]), support.md5(self.pieces[1]) + ':100-50099;', support.md5(b'inline!'),
                            *map(support.md5, self.pieces[2:]))
        self.put = put_manifest(user, container, 'large', self.manifest, headers={'Content-Type': 'text/odd'}).check(201)


@pytest.fixture(scope='module')
def large(owner, module_container):
    return Large(owner, module_container)


def test_put_and_get(owner, large):
    assert large.put.header('ETag') == '"%s"' % large.etag
    for method in ('GET', 'HEAD'):
        reply = owner.request(method, large.container, 'large').check(200)
        assert reply.header('ETag') == '"%s"' % large.etag
        assert reply.header('Content-Length') == str(len(large.content))
        assert reply.header('X-Static-Large-Object') == 'True' and reply.header('Content-Type') == 'text/odd'
        assert not any('sysmeta' in name.lower() for name, _ in reply.headers)
    assert owner.get(large.container, 'large').body == large.content


SIZE = 1000 + 50000 + 7 + 1 + 300000 + 12


@pytest.mark.parametrize('wanted, slices', [
    ('bytes=0-0', [(0, 1)]), ('bytes=999-1000', [(999, 1001)]), ('bytes=-12', [(SIZE - 12, SIZE)]), ('bytes=-5', [(SIZE - 5, SIZE)]),
    ('bytes=50998-51010', [(50998, 51011)]), ('bytes=51000-51006', [(51000, 51007)]), ('bytes=100-', [(100, SIZE)]),
    ('bytes=0-9,60000-60009,-3', [(0, 10), (60000, 60010), (SIZE - 3, SIZE)])])
def test_ranges(owner, large, wanted, slices):
    reply = owner.get(large.container, 'large', headers={'Range': wanted}).check(206)
    parts = [large.content[first:end] for first, end in slices]
    if len(parts) == 1:
        assert reply.body == parts[0]
        assert reply.header('Content-Range') == 'bytes %d-%d/%d' % (slices[0][0], slices[0][1] - 1, SIZE)
        return
    boundary = reply.header('Content-Type').partition('boundary=')[2]
    expected = b''.join(b'--%s\r\nContent-Type: text/odd\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n' % (
        boundary.encode(), first, end - 1, SIZE, large.content[first:end]) for first, end in slices)
    assert reply.body == expected + b'--%s--' % boundary.encode()


def test_range_outside(owner, large):
    reply = owner.get(large.container, 'large', headers={'Range': 'bytes=%d-' % SIZE}).check(416)
    assert reply.header('Content-Range') == 'bytes */%d' % SIZE


@pytest.mark.parametrize('header, match, statuses', [
    ('If-Match', True, 200), ('If-Match', False, 412), ('If-None-Match', True, 304), ('If-None-Match', False, 200)])
def test_conditions(owner, large, header, match, statuses):
    for method in ('GET', 'HEAD'):
        value = '"%s"' % (large.etag if match else 'other')
        reply = owner.request(method, large.container, 'large', headers={header: value}).check(statuses)
        assert reply.header('ETag') == '"%s"' % large.etag
        assert reply.body == (large.content if method == 'GET' and statuses == 200 else b'') or statuses == 412


def test_parts(owner, large):
    lengths = [1000, 50000, 7, 1, 300000, 12]
    at = 0
    for number, length in enumerate(lengths, 1):
        for method in ('GET', 'HEAD'):
            reply = owner.request(method, large.container, 'large', query={'part-number': number}).check(206)
            assert reply.header('X-Parts-Count') == '6' and reply.header('Content-Length') == str(length)
            assert reply.header('Content-Range') == 'bytes %d-%d/%d' % (at, at + length - 1, SIZE)
            assert reply.body == (large.content[at:at + length] if method == 'GET' else b'')
        at += length
    reply = owner.get(large.container, 'large', query={'part-number': 7}).check(416)
    assert reply.header('Content-Range') == 'bytes */%d' % SIZE
    for bad in ('0', '-1', 'x', ''):
        owner.get(large.container, 'large', query={'part-number': bad}).check(400)
    owner.get(large.container, 'large', query={'part-number': 1}, headers={'Range': 'bytes=0-1'}).check(400)
    owner.get(large.container, 'seg/0', query={'part-number': 'x'}).check(200)


def test_the_manifest_itself(owner, large):
    reply = owner.get(large.container, 'large', query=GET).check(200)
    assert reply.header('Content-Type') == 'application/json; charset=utf-8'
    stored = reply.json()
    assert [row.get('name') for row in stored] == [row.get('path') for row in large.manifest]
    assert stored[1]['range'] == '100-50099' and stored[0]['bytes'] == 1000
    assert stored[0]['hash'] == support.md5(large.pieces[0])
    assert stored[0]['last_modified'].endswith('.000000')
    raw = owner.get(large.container, 'large', query=dict(GET, format='raw')).check(200)
    assert raw.json() == large.manifest
    assert raw.header('ETag') == support.md5(raw.body)
    assert put_manifest(owner, large.container, 'again', raw.body).check(201).header('ETag') == '"%s"' % large.etag


def test_listing(owner, large):
    row = [row for row in owner.get(large.container, query={'format': 'json'}).json() if row['name'] == 'large'][0]
    assert row['bytes'] == SIZE and row['content_type'] == 'text/odd' and row['slo_etag'] == '"%s"' % large.etag
    assert row['hash'] == owner.get(large.container, 'large', query=GET).header('ETag')
    assert 'large' in owner.get(large.container).lines()
    assert b'slo_etag' not in owner.get(large.container, query={'format': 'xml'}).body


def test_a_large_object_of_large_objects(owner, large):
    manifest = [{'path': '/%s/large' % large.container, 'etag': large.etag}, {'path': '/%s/seg/4' % large.container},
                {'path': '/%s/large' % large.container, 'range': '990-1010'}]
    put_manifest(owner, large.container, 'larger', manifest).check(201)
    content = large.content + large.pieces[4] + large.content[990:1011]
    assert owner.get(large.container, 'larger').check(200).body == content
    at = len(large.content)
    assert owner.get(large.container, 'larger', headers={'Range': 'bytes=%d-%d' % (at - 5, at + 19)}).body == content[at - 5:at + 20]
    assert owner.get(large.container, 'larger', query=GET).json()[0]['sub_slo'] is True


def test_depth_is_bounded(owner, container):
    owner.put(container, '0', body=b'x').check(201)
    for depth in range(1, 12):
        put_manifest(owner, container, str(depth), [{'path': '/%s/%d' % (container, depth - 1)}]).check(201)
    assert owner.get(container, '10').check(200).body == b'x'
    owner.get(container, '11').check(409)


def seg(container, name='s', **more):
    return dict({'path': '/%s/%s' % (container, name)}, **more)


@pytest.fixture
def one(owner, container):
    owner.put(container, 's', body=b'12345').check(201)
    return container


@pytest.mark.parametrize('body, text', [
    (b'', 'Manifest must be valid JSON.\n'), (b'{}', 'Manifest must be a list.\n'), (b'[1]', 'Index 0: not a JSON object\n'),
    (b'[{}]', "Index 0: expected keys to include one of 'data' or 'path'\n"),
    (b'[{"path": "/c/o", "b": 1, "a": 2}]', 'Index 0: extraneous keys "a", "b"\n'),
    (b'[{"path": 5}]', 'Index 0: "path" must be a string\n'),
    (b'[{"path": "/c/o", "etag": 5}]', 'Index 0: "etag" must be a string or null (if provided)\n'),
    (b'[{"path": "nowhere"}]', 'Index 0: path does not refer to an object. Path must be of the form /container/object.\n'),
    (b'[{"path": "/c/o", "size_bytes": "many"}]', 'Index 0: invalid size_bytes\n'),
    (b'[{"path": "/c/o", "size_bytes": 0}, {"path": "/c/o", "size_bytes": 0}]',
     'Index 0: too small; each segment must be at least 1 byte.\n'),
    (b'[{"path": "/c/o", "range": "x"}]', 'Index 0: invalid range\n'),
    (b'[{"path": "/c/o", "range": "1-2,3-4"}]', 'Index 0: multiple ranges (only one allowed)\n'),
    (b'[{"path": "/c/o", "range": "10-", "size_bytes": 5}]', 'Index 0: unsatisfiable range\n'),
    (b'[{"data": "x"}]', 'Index 0: data must be valid base64\nInline data segments require at least one object-backed segment.\n'),
    (b'[{"data": ""}]', 'Index 0: too small; each segment must be at least 1 byte.\n'
     'Inline data segments require at least one object-backed segment.\n')])
def test_bad_manifests(owner, container, body, text):
    assert put_manifest(owner, container, 'm', body).check(400).text.replace("'path' or 'data'", "'data' or 'path'") == text
    owner.head(container, 'm').check(404)


def test_own_name(owner, container):
    reply = put_manifest(owner, container, 'm', [seg(container, 'm')]).check(400)
    assert reply.text == 'Index 0: manifest must not include itself as a segment\n'


def test_nesting_and_size_limits(owner, container):
    put_manifest(owner, container, 'm', b'[' * 100000).check(400)
    put_manifest(owner, container, 'm', b'[' + b' ' * 8388608 + b']').check(413)
    chunks = [b'[' + b' ' * 1048575] + [b' ' * 1048576] * 8
    owner.put(container, 'm', body=iter(chunks), query=PUT).check(413)
    put_manifest(owner, container, 'm', [seg(container)] * 1001).check(413)
    owner.head(container, 'm').check(404)


@pytest.mark.parametrize('more, complaint', [
    ({'etag': 'wrong'}, 'Etag Mismatch'), ({'size_bytes': 4}, 'Size Mismatch'), ({'range': '7-9'}, 'Unsatisfiable Range')])
def test_segments_that_are_not_as_said(owner, one, more, complaint):
    reply = put_manifest(owner, one, 'm', [seg(one, **more)], headers={'Accept': 'application/json'}).check(400)
    assert reply.json() == {'Errors': [['/%s/s' % one, complaint]]}


def test_segments_that_are_not_there(owner, one):
    reply = put_manifest(owner, one, 'm', [seg(one), seg(one, 'a b'), seg('nocontainer')]).check(400)
    assert reply.text == 'Errors:\n/%s/a%%20b, 404 Not Found\n/nocontainer/s, 404 Not Found\n' % one
    xml = put_manifest(owner, one, 'm', [seg(one, 'a')], headers={'Accept': 'application/xml'}).check(400)
    assert xml.text == ('<upload>\n<errors>\n<object><name>/%s/a</name><status>404 Not Found</status></object>\n'
                        '</errors>\n</upload>\n' % one)


def test_own_etag(owner, one):
    good = etag_of(support.md5(b'12345'))
    put_manifest(owner, one, 'm', [seg(one)], headers={'ETag': 'bad'}).check(422)
    put_manifest(owner, one, 'm', [seg(one)], headers={'ETag': '"%s"' % good}).check(201)


def test_heartbeat(owner, one):
    reply = put_manifest(owner, one, 'm', [seg(one)], headers={'Accept': 'application/json'}, heartbeat='on').check(202)
    assert reply.body.startswith(b' \r\n\r\n{')
    told = json.loads(reply.body)
    assert told['Response Status'] == '201 Created' and told['Etag'] == '"%s"' % etag_of(support.md5(b'12345'))
    assert told['Errors'] == [] and told['Response Body'] == '' and told['Last Modified']
    assert owner.get(one, 'm').body == b'12345'
    reply = put_manifest(owner, one, 'bad', [seg(one, 'x')], headers={'Accept': 'application/json'}, heartbeat='on').check(202)
    told = json.loads(reply.body)
    assert told['Response Status'] == '400 Bad Request' and told['Errors'] == [['/%s/x' % one, '404 Not Found']]


@pytest.mark.parametrize('change', ['replace', 'delete'])
def test_a_segment_that_changed(owner, one, change):
    for name in ('first', 'second'):
        owner.put(one, name, body=b'x' * 100000).check(201)
    put_manifest(owner, one, 'm', [seg(one, 'first'), seg(one, 'second')]).check(201)
    if change == 'replace':
        owner.put(one, 'second', body=b'y' * 100000).check(201)
    else:
        owner.delete(one, 'second').check(204)
    with pytest.raises(Exception):
        owner.get(one, 'm')
    owner.put(one, 'first', body=b'y').check(201)
    owner.get(one, 'm').check(409)


def test_a_manifest_of_a_manifest_that_shrank(owner, one):
    put_manifest(owner, one, 'inner', [seg(one)]).check(201)
    put_manifest(owner, one, 'm', [seg(one, 'inner'), seg(one)]).check(201)
    put_manifest(owner, one, 'inner', []).check(201)
    owner.get(one, 'm').check(409)


def test_reserved_header(owner, container):
    owner.put(container, 'o', body=b'', headers={'X-Static-Large-Object': 'True'}).check(400)
    reply = owner.put(container, 'o', body=b'', headers={'Content-Type': 'a/b;swift_bytes=5'})
    assert reply.check(400).text == 'Invalid Content-Type, swift_* is not a valid parameter name.'


def test_delete(owner, large, new_container):
    other = new_container()
    sub = Large(owner, other)
    put_manifest(owner, other, 'top', [seg(other, 'large'), seg(other, 'seg/0')]).check(201)
    reply = owner.delete(other, 'top', query=DELETE, headers={'Accept': 'application/json'}).check(200)
    told = json.loads(reply.body)
    assert told['Response Status'] == '200 OK' and told['Errors'] == []
    # six names of segments, one twice, and two manifests
    assert (told['Number Deleted'], told['Number Not Found']) == (len(sub.pieces) + 2, 1)

    def gone():
        assert owner.names(other) == []
    support.eventually(gone)
    reply = owner.delete(large.container, 'seg/0', query=DELETE, headers={'Accept': 'application/json'}).check(200)
    assert json.loads(reply.body)['Errors'] == [['%s/seg/0' % large.container, 'Not an SLO manifest']]
    reply = owner.delete(large.container, 'nothing', query=DELETE, headers={'Accept': 'application/json'}).check(200)
    assert json.loads(reply.body)['Number Not Found'] == 1


def test_plain_delete_leaves_segments(owner, one):
    put_manifest(owner, one, 'm', [seg(one)]).check(201)
    owner.delete(one, 'm').check(204)
    owner.get(one, 's').check(200)


def test_copy(owner, large):
    owner.copy(large.container, 'large', headers={'Destination': '%s/whole' % large.container}).check(201)
    whole = owner.get(large.container, 'whole').check(200)
    assert whole.body == large.content and not whole.has('X-Static-Large-Object')
    assert whole.header('ETag') == support.md5(large.content)
    owner.copy(large.container, 'large', headers={'Destination': '%s/manifest' % large.container}, query=GET).check(201)
    manifest = owner.get(large.container, 'manifest').check(200)
    assert manifest.body == large.content and manifest.header('X-Static-Large-Object') == 'True'


def test_rights_on_segments(owner, stranger, container, new_container):
    hidden = new_container()
    owner.put(hidden, 's', body=b'x').check(201)
    owner.put(container, 's', body=b'x').check(201)
    owner.post(container, headers={'X-Container-Read': '.r:*'}).check(204)
    put_manifest(owner, container, 'm', [seg(container), seg(hidden)]).check(201)
    put_manifest(owner, container, 'n', [seg(hidden)]).check(201)
    stranger.at(owner).get(container, 'n').check(409)
    with pytest.raises(Exception):
        stranger.at(owner).get(container, 'm')


def test_small_segments_are_slowed_down(owner, one):
    put_manifest(owner, one, 'm', [seg(one)] * 12).check(201)
    started = time.monotonic()
    assert owner.get(one, 'm').body == b'12345' * 12
    assert 0.9 < time.monotonic() - started < 5


def test_many_segments(owner, one):
    owner.put(one, 'mib', body=b'x' * 1048576).check(201)
    put_manifest(owner, one, 'm', [seg(one, 'mib')] * 64).check(201)
    reply = owner.get(one, 'm').check(200)
    assert support.md5(reply.body) == support.md5(b'x' * 64 * 1048576)


def test_info(owner):
    assert support.http_request(owner.address, 'GET', '/info').json()['slo'] == {
        'max_manifest_segments': 1000, 'max_manifest_size': 8388608, 'yield_frequency': 10, 'min_segment_size': 1,
        'allow_async_delete': True}


def test_referrers_of_segments(owner, container, new_container):
    segments = new_container(headers={'X-Container-Read': '.r:*.friend.example,.rlistings'})
    owner.put(segments, 's', body=b'x').check(201)
    owner.post(container, headers={'X-Container-Read': '.r:*.friend.example'}).check(204)
    put_manifest(owner, container, 'm', [seg(segments)]).check(201)
    owner.put(container, 'd', body=b'', headers={'X-Object-Manifest': '%s/s' % segments}).check(201)
    for name in ('m', 'd'):
        anybody = owner.without_token()
        assert anybody.get(container, name, headers={'Referer': 'http://a.friend.example/'}).check(200).body == b'x'
        anybody.get(container, name, headers={'Referer': 'http://a.foe.example/'}).check(401)


def test_heartbeat_tells_of_a_wrong_etag(owner, one):
    reply = put_manifest(owner, one, 'm', [seg(one)], headers={'Accept': 'application/json', 'ETag': 'bad'}, heartbeat='on')
    told = json.loads(reply.check(202).body)
    assert told['Response Status'] == '422 Unprocessable Entity'
    assert told['Response Body'] == 'Unprocessable Entity\nUnable to process the contained instructions'
