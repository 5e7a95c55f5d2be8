"""Dynamic large objects."""
import hashlib
import time

import pytest

import support

GET = {'multipart-manifest': 'get'}


class Dynamic:
    def __init__(self, user, container):
        self.container = container
        self.pieces = [support.pattern(size, seed) for seed, size in enumerate((1000, 70000, 1, 300000))]
        for i, piece in enumerate(self.pieces):
            user.put(container, 'piece é/%d' % i, body=piece).check(201)
        user.put(container, 'piece é/empty', body=b'').check(201)
        self.content = b''.join(self.pieces)
        self.etag = hashlib.md5(''.join(map(support.md5, self.pieces + [b''])).encode()).hexdigest()
        self.header = '%s/%s' % (container, support.quote('piece é/'))
        user.put(container, 'dynamic', body=b'own', headers={'X-Object-Manifest': self.header, 'Content-Type': 'a/b',
                                                            'X-Object-Meta-Colour': 'red'}).check(201)


@pytest.fixture(scope='module')
def dynamic(owner, module_container):
    return Dynamic(owner, module_container)


def test_get(owner, dynamic):
    for method in ('GET', 'HEAD'):
        reply = owner.request(method, dynamic.container, 'dynamic').check(200)
        assert reply.header('ETag') == '"%s"' % dynamic.etag and reply.header('X-Object-Manifest') == dynamic.header
        assert reply.header('Content-Length') == str(len(dynamic.content))
        assert reply.header('Content-Type') == 'a/b' and reply.header('X-Object-Meta-Colour') == 'red'
    assert owner.get(dynamic.container, 'dynamic').body == dynamic.content


def test_the_manifest_itself(owner, dynamic):
    reply = owner.get(dynamic.container, 'dynamic', query=GET).check(200)
    assert reply.body == b'own' and reply.header('ETag') == support.md5(b'own')


SIZE = 371001


@pytest.mark.parametrize('wanted, first, end', [
    ('bytes=0-0', 0, 1), ('bytes=999-1000', 999, 1001), ('bytes=-5', SIZE - 5, SIZE), ('bytes=71000-71000', 71000, 71001),
    ('bytes=70990-71010', 70990, 71011), ('bytes=1000-', 1000, SIZE)])
def test_ranges(owner, dynamic, wanted, first, end):
    reply = owner.get(dynamic.container, 'dynamic', headers={'Range': wanted}).check(206)
    assert reply.body == dynamic.content[first:end]
    assert reply.header('Content-Range') == 'bytes %d-%d/%d' % (first, end - 1, SIZE)


def test_other_ranges(owner, dynamic):
    reply = owner.get(dynamic.container, 'dynamic', headers={'Range': 'bytes=%d-' % SIZE}).check(416)
    assert reply.header('Content-Range') == 'bytes */%d' % SIZE
    assert owner.get(dynamic.container, 'dynamic', headers={'Range': 'bytes=0-1,5-6'}).check(200).body == dynamic.content


@pytest.mark.parametrize('header, match, status', [
    ('If-Match', True, 200), ('If-Match', False, 412), ('If-None-Match', True, 304), ('If-None-Match', False, 200)])
def test_conditions(owner, dynamic, header, match, status):
    value = '"%s"' % (dynamic.etag if match else 'other')
    owner.get(dynamic.container, 'dynamic', headers={header: value}).check(status)
    owner.head(dynamic.container, 'dynamic', headers={header: value}).check(status)


@pytest.mark.parametrize('value', ['c', '/c/p', 'c/', 'c//p', 'c/p?x', 'c/p&x', ''])
def test_bad_header(owner, container, value):
    reply = owner.put(container, 'o', body=b'', headers={'X-Object-Manifest': value}).check(400)
    assert reply.text == 'X-Object-Manifest must be in the format container/prefix'


def test_nothing_there(owner, container):
    owner.put(container, 'o', body=b'', headers={'X-Object-Manifest': '%s/none' % container}).check(201)
    reply = owner.get(container, 'o').check(200)
    assert reply.body == b'' and reply.header('Content-Length') == '0'
    owner.put(container, 'p', body=b'', headers={'X-Object-Manifest': 'nocontainer/x'}).check(201)
    owner.get(container, 'p').check(404)


def test_a_manifest_among_its_own_pieces(owner, container):
    """Pieces are taken as they are stored: no loop."""
    owner.put(container, 'p1', body=b'one').check(201)
    owner.put(container, 'p2', body=b'own', headers={'X-Object-Manifest': '%s/p' % container}).check(201)
    assert owner.get(container, 'p2').check(200).body == b'oneown'


def test_copy(owner, dynamic):
    owner.copy(dynamic.container, 'dynamic', headers={'Destination': '%s/whole' % dynamic.container}).check(201)
    reply = owner.get(dynamic.container, 'whole').check(200)
    assert reply.body == dynamic.content and not reply.has('X-Object-Manifest')
    owner.copy(dynamic.container, 'dynamic', headers={'Destination': '%s/manifest' % dynamic.container}, query=GET).check(201)
    reply = owner.get(dynamic.container, 'manifest').check(200)
    assert reply.body == dynamic.content and reply.header('X-Object-Manifest') == dynamic.header


def test_post_keeps_or_drops_the_manifest(owner, dynamic, container):
    owner.put(container, 'o', body=b'', headers={'X-Object-Manifest': dynamic.header}).check(201)
    owner.post(container, 'o', headers={'X-Object-Manifest': dynamic.header}).check(202)
    assert owner.get(container, 'o').body == dynamic.content
    owner.post(container, 'o', headers={'X-Object-Meta-A': 'b'}).check(202)
    assert owner.get(container, 'o').body == b''


@pytest.mark.parametrize('value', ['/c/p', '%2Fc/p', '/'])
def test_manifest_without_a_container(owner, container, value):
    """A POST may leave one, and encoded it passes: it names nothing."""
    owner.put(container, 'o', body=b'own').check(201)
    owner.post(container, 'o', headers={'X-Object-Manifest': value}).check(202)
    assert owner.get(container, 'o').check(200).body == b'own'


def test_rights_on_pieces(owner, stranger, dynamic, container):
    owner.put(container, 'o', body=b'', headers={'X-Object-Manifest': dynamic.header}).check(201)
    owner.post(container, headers={'X-Container-Read': '.r:*'}).check(204)
    stranger.at(owner).get(container, 'o').check(403)


def test_small_pieces_are_slowed_down(owner, container):
    for i in range(12):
        owner.put(container, 'p%02d' % i, body=b'12').check(201)
    owner.put(container, 'all', body=b'', headers={'X-Object-Manifest': '%s/p' % container}).check(201)
    started = time.monotonic()
    assert owner.get(container, 'all').body == b'12' * 12
    assert 0.9 < time.monotonic() - started < 5
