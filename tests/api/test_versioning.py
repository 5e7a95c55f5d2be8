"""Versions of objects: X-Versions-Enabled, and the older X-Versions-Location and X-History-Location."""
import json
import time
import xml.etree.ElementTree

import pytest

import support

ON, OFF = {'X-Versions-Enabled': 'true'}, {'X-Versions-Enabled': 'false'}
MARKER = 'application/x-deleted;swift_versions_deleted=1'


def versions(user, container, **query):
    return user.get(container, query={'versions': '', **query}).check(200).json()


def by_id(version):
    return {'version-id': version}


def remove_versioned(user, container):
    for row in versions(user, container):
        user.delete(container, row['name'], query=by_id(row['version_id']))
    user.delete(container).check(204)


@pytest.fixture
def versioned(owner):
    name = support.unique('versioned')
    owner.put(name, headers=ON).check(201)
    yield name
    if owner.head(name).status == 204:
        remove_versioned(owner, name)


def put(user, container, name, body, **options):
    return user.put(container, name, body=body, **options).check(201).header('X-Object-Version-Id')


def test_info(owner):
    info = json.loads(owner.request('GET', path='/info').body)
    assert info['object_versioning'] == {}
    assert info['versioned_writes'] == {'allowed_flags': ['x-versions-location', 'x-history-location']}


def test_every_write_is_a_version(owner, versioned):
    assert owner.head(versioned).header('X-Versions-Enabled') == 'True'
    ids = [put(owner, versioned, 'o', body, headers={'Content-Type': 'text/x-%d' % i}) for i, body in enumerate((b'one', b'second'))]
    reply = owner.get(versioned, 'o').check(200)
    assert reply.body == b'second' and reply.header('X-Object-Version-Id') == ids[1]
    assert reply.header('Content-Location') == '/v1/AUTH_test/%s/o?version-id=%s' % (versioned, ids[1])
    old = owner.get(versioned, 'o', query=by_id(ids[0])).check(200)
    assert old.body == b'one' and old.header('X-Object-Version-Id') == ids[0] and old.header('Content-Type') == 'text/x-0'
    rows = versions(owner, versioned)
    assert [(row['name'], row['version_id'], row['is_latest'], row['bytes'], row['hash']) for row in rows] == [
        ('o', ids[1], True, 6, support.md5(b'second')), ('o', ids[0], False, 3, support.md5(b'one'))]
    [row] = owner.get(versioned, query={'format': 'json'}).json()
    assert row['bytes'] == 6 and row['hash'] == support.md5(b'second') and row['content_type'] == 'text/x-1'
    assert row['symlink_path'] == '/v1/AUTH_test/%s/o?version-id=%s' % (versioned, ids[1])
    assert owner.names(versioned) == ['o'] and owner.head(versioned).header('X-Container-Bytes-Used') == '9'


def test_chunked_bodies_count(owner, versioned):
    put(owner, versioned, 'o', iter([b'ab', b'cde']))
    assert owner.get(versioned, 'o').body == b'abcde' and versions(owner, versioned)[0]['bytes'] == 5
    [row] = owner.get(versioned, query={'format': 'json'}).json()
    assert row['bytes'] == 5


def test_delete_and_restore(owner, versioned):
    first = put(owner, versioned, 'o', b'one')
    marker = owner.delete(versioned, 'o').check(204).header('X-Object-Version-Id')
    assert owner.get(versioned, 'o').check(404).header('X-Object-Version-Id') == 'null'
    assert [(row['version_id'], row['is_latest'], row['content_type'] == MARKER) for row in versions(owner, versioned)] == [
        (marker, True, True), (first, False, False)]
    gone = owner.get(versioned, 'o', query=by_id(marker)).check(404)
    assert gone.header('Content-Type') == MARKER and gone.header('X-Object-Version-Id') == marker
    assert owner.put(versioned, 'o', query=by_id(first)).check(201).header('X-Object-Version-Id') == first
    assert owner.get(versioned, 'o').check(200).body == b'one'
    owner.put(versioned, 'o', query=by_id(first), body=b'x').check(400)
    owner.put(versioned, 'o', query=by_id('1234567890.00000')).check(404)
    owner.put(versioned, 'o', query=by_id('null')).check(400)


def test_delete_one_version(owner, versioned):
    ids = [put(owner, versioned, 'o', body) for body in (b'one', b'two', b'three')]
    reply = owner.delete(versioned, 'o', query=by_id(ids[0])).check(204)
    assert reply.header('X-Object-Version-Id') == ids[0] and reply.header('X-Object-Current-Version-Id') == ids[2]
    assert owner.get(versioned, 'o').body == b'three'
    reply = owner.delete(versioned, 'o', query=by_id(ids[2])).check(204)
    assert reply.header('X-Object-Current-Version-Id') == 'null'
    owner.get(versioned, 'o').check(404)
    assert [row['version_id'] for row in versions(owner, versioned)] == [ids[1]]


def test_what_was_there_before(owner, container):
    owner.put(container, 'o', body=b'before', headers={'X-Object-Meta-Old': 'yes'}).check(201)
    assert [(row['version_id'], row['is_latest']) for row in versions(owner, container)] == [('null', True)]
    owner.post(container, headers=ON).check(204)
    assert owner.get(container, 'o', query=by_id('null')).check(200).header('X-Object-Version-Id') == 'null'
    new = put(owner, container, 'o', b'after')
    owner.get(container, 'o', query=by_id('null')).check(404)
    rows = versions(owner, container)
    assert [row['is_latest'] for row in rows] == [True, False] and rows[0]['version_id'] == new
    old = owner.get(container, 'o', query=by_id(rows[1]['version_id'])).check(200)
    assert old.body == b'before' and old.header('X-Object-Meta-Old') == 'yes'
    owner.post(container, headers=OFF).check(204)
    assert owner.head(container).header('X-Versions-Enabled') == 'False'
    assert not put(owner, container, 'o', b'null again')
    assert [row['version_id'] for row in versions(owner, container)][0] == 'null'
    owner.delete(container, 'o').check(204)
    owner.delete(container).check(409)
    remove_versioned(owner, container)


@pytest.mark.parametrize('method, query, status', [
    ('POST', by_id('1.0'), 400), ('GET', by_id('nonsense'), 400), ('GET', by_id('1234567890.00000'), 404),
    ('DELETE', by_id('nonsense'), 400), ('GET', by_id('1234567890.00000_1'), 400)])
def test_bad_ids(owner, versioned, method, query, status):
    owner.request(method, versioned, 'o', query=query).check(status)


def test_ids_without_versions(owner, container):
    owner.get(container, 'o', query=by_id('1.0')).check(400)
    owner.get(container, 'o', query=by_id('null')).check(404)


def test_listing_parameters(owner, versioned):
    ids = {}
    for name in ('a/1', 'a/2', 'b'):
        ids[name] = [put(owner, versioned, name, b'x') for _ in range(3)]
    everything = [(name, version) for name in sorted(ids) for version in reversed(ids[name])]

    def listed(**query):
        return [(row['name'], row['version_id']) if 'name' in row else row['subdir'] for row in versions(owner, versioned, **query)]
    assert listed() == everything and listed(reverse='true') == everything[::-1]
    assert listed(limit=4) == everything[:4] and listed(prefix='a/') == everything[:6]
    assert listed(marker='a/1') == everything[3:]
    assert listed(marker='a/2', version_marker=ids['a/2'][1]) == everything[5:]
    assert listed(marker='a/2', version_marker=ids['a/2'][1], reverse='true') == everything[3::-1]
    assert listed(marker='a/2', version_marker='null') == everything[3:]
    assert listed(delimiter='/') == ['a/'] + everything[6:]
    for query in ({'version_marker': 'x'}, {'marker': 'a', 'version_marker': 'x'}, {'delimiter': '0'}, {'delimiter': '.'}):
        owner.get(versioned, query={'versions': '', **query}).check(400)
    owner.get(versioned, query={'versions': '', 'format': 'xml'}).check(406)
    owner.get(versioned, query={'versions': ''}, headers={'Accept': 'text/plain'}).check(406)
    reply = owner.get(versioned, query={'versions': ''}, headers={'Accept': 'application/json'}).check(200)
    assert reply.header('Content-Type') == 'application/json; charset=utf-8'


def test_accounts_count_versions(owner, versioned):
    for _ in range(2):
        put(owner, versioned, 'o', b'12345')

    def counted():
        query = {'prefix': versioned, 'format': 'json'}
        [row] = owner.get(query=query).check(200).json()
        assert row['name'] == versioned and row['bytes'] == 10 and row['count'] == 1
    support.eventually(counted)
    assert owner.get(query={'prefix': versioned}).check(200).lines() == [versioned]
    root = xml.etree.ElementTree.fromstring(owner.get(query={'prefix': versioned, 'format': 'xml'}).check(200).body)
    assert root.tag == 'account' and [child.tag for child in root[0]][:4] == ['name', 'count', 'bytes', 'last_modified']
    assert root[0].find('bytes').text == '10'
    assert not any('\0' in row['name'] for row in owner.get(query={'format': 'json'}).json())


def test_hidden_names_stay_hidden(owner, versioned):
    version = put(owner, versioned, 'o', b'x')
    hidden = '%s/%%00versions%%00%s' % (owner.account_path, versioned)
    for path in (hidden, hidden + '/%00o%00' + version):
        for method in ('GET', 'HEAD', 'PUT', 'DELETE', 'POST'):
            owner.request(method, path=path).check(412)
    owner.put(versioned, 'to hidden', headers={'X-Symlink-Target': '%%00versions%%00%s/%%00o%%00' % versioned}).check(201)
    owner.get(versioned, 'to hidden').check(412)


def test_rights(owner, colleague, stranger, versioned):
    version = put(owner, versioned, 'o', b'x')
    for user in (colleague, stranger.at(owner)):
        user.get(versioned, query={'versions': ''}).check(403)
        user.get(versioned, 'o', query=by_id(version)).check(403)
        user.put(versioned, 'o', body=b'no').check(403)
        user.delete(versioned, 'o').check(403)
        user.delete(versioned).check(403)
        user.post(versioned, headers=OFF).check(403)
        user.put(versioned, 'o', query=by_id(version)).check(403)
        user.delete(versioned, 'o', query=by_id(version)).check(403)
    assert [row['version_id'] for row in versions(owner, versioned)] == [version]
    owner.post(versioned, headers={'X-Container-Read': colleague.name, 'X-Container-Write': colleague.name}).check(204)
    assert colleague.get(versioned, 'o').check(200).body == b'x'
    colleague.get(versioned, 'o', query=by_id(version)).check(403)
    new = put(colleague, versioned, 'o', b'colleague')
    assert owner.get(versioned, 'o').header('X-Object-Version-Id') == new
    colleague.delete(versioned, 'o').check(204)
    colleague.delete(versioned, 'o', query=by_id(new)).check(403)
    assert len(versions(owner, versioned)) == 3


def test_strangers_do_not_make_or_remove_hidden_containers(owner, stranger, container):
    stranger.at(owner).post(container, headers=ON).check(403)
    owner.post(container, headers=ON).check(204)
    stranger.at(owner).delete(container).check(403)
    put(owner, container, 'o', b'still versioned')
    remove_versioned(owner, container)


@pytest.mark.parametrize('etag', [{}, {'X-Symlink-Target-Etag': ''}], ids=['kept etag', 'no etag'])
def test_a_copied_link_gives_no_rights(owner, stranger, container, new_container, etag):
    """The mark by which a link to a version is followed without asking must not go to a link with another target."""
    owner.put(container, 'secret', body=b'secret').check(201)
    own = support.unique()
    stranger.put(own, headers=ON).check(201)
    put(stranger, own, 'o', b'x')
    target = {'X-Symlink-Target': container + '/secret', 'X-Symlink-Target-Account': owner.account, **etag}
    plain = new_container(user=stranger)
    for place in (plain, own):
        stranger.copy(own, 'o', headers={'Destination': place + '/stolen', **target}, query={'symlink': 'get'})
        stranger.put(place, 'taken', headers={'X-Copy-From': own + '/o', **target}, query={'symlink': 'get'})
        for name in ('stolen', 'taken'):
            assert b'secret' not in stranger.get(place, name).body
    remove_versioned(stranger, own)


def test_conditions_and_broken_uploads(owner, versioned):
    first = put(owner, versioned, 'o', b'x', headers={'If-None-Match': '*'})
    owner.put(versioned, 'o', body=b'y', headers={'If-None-Match': '*'}).check(412)
    owner.put(versioned, 'o', body=b'y', headers={'ETag': support.md5(b'other')}).check(422)
    assert [row['version_id'] for row in versions(owner, versioned)] == [first]


def test_copies(owner, versioned, container):
    ids = [put(owner, versioned, 'o', body) for body in (b'one', b'two')]
    reply = owner.copy(versioned, 'o', headers={'Destination': container + '/c'}, query=by_id(ids[0])).check(201)
    assert reply.header('X-Copied-From-Version-Id') == ids[0] and owner.get(container, 'c').body == b'one'
    restored = owner.put(versioned, 'o', headers={'X-Copy-From': versioned + '/o'}, query=by_id(ids[0])).check(201)
    assert owner.get(versioned, 'o').body == b'one' and restored.header('X-Object-Version-Id') > ids[1]


def test_post_reaches_the_version(owner, versioned):
    version = put(owner, versioned, 'o', b'x')
    owner.post(versioned, 'o', headers={'X-Object-Meta-New': '1'}).check(202)
    for query in (None, by_id(version)):
        assert owner.head(versioned, 'o', query=query).check(200).header('X-Object-Meta-New') == '1'


def test_large_objects_and_bulk(owner, versioned, container):
    owner.put(container, 'segment', body=b'abc' * 1000).check(201)
    manifest = json.dumps([{'path': '/%s/segment' % container}] * 2).encode()
    reply = owner.put(versioned, 'large', body=manifest, query={'multipart-manifest': 'put'}).check(201)
    version = reply.header('X-Object-Version-Id')
    put(owner, versioned, 'large', b'small')
    assert owner.get(versioned, 'large', query=by_id(version)).check(200).body == b'abc' * 2000
    rows = versions(owner, versioned)
    assert [row['bytes'] for row in rows] == [5, 6000]
    owner.put(versioned, 'large', query=by_id(version)).check(201)
    assert owner.get(versioned, 'large').check(200).body == b'abc' * 2000
    reply = owner.post(query='bulk-delete', body=('%s/large\n' % versioned).encode(), headers={'Accept': 'application/json'})
    assert reply.check(200).json()['Number Deleted'] == 1
    assert [row['content_type'] == MARKER for row in versions(owner, versioned)] == [True, False, False]


def test_not_both_ways(owner, container):
    owner.post(container, headers={'X-Versions-Location': 'elsewhere'}).check(204)
    owner.post(container, headers=ON).check(400)


# ---- X-Versions-Location, X-History-Location ----

def kept(user, container):
    return [(row['name'], row['content_type'] == MARKER) for row in user.get(container, query={'format': 'json'}).json()]


@pytest.mark.parametrize('header', ['X-Versions-Location', 'X-History-Location'])
def test_location_headers(owner, container, header):
    owner.post(container, headers={header: 'a/b'}).check(412)
    owner.post(container, headers={'X-Versions-Location': 'a', 'X-History-Location': 'b'}).check(400)
    owner.post(container, headers={header: 'old'}).check(204)
    head = owner.head(container)
    assert head.header(header) == 'old' and not any('sysmeta' in name.lower() for name, _ in head.headers)
    owner.post(container, headers={header.replace('X-', 'X-Remove-', 1): 'x'}).check(204)
    assert not owner.head(container).has(header)


@pytest.fixture(params=['X-Versions-Location', 'X-History-Location'])
def pair(request, owner, new_container):
    old = new_container()
    return request.param == 'X-History-Location', new_container({request.param: old}), old


def test_overwrite_and_delete(owner, pair):
    history, container, old = pair
    name = 'ö/x'
    for body in (b'one', b'two', b'three'):
        owner.put(container, name, body=body, headers={'X-Object-Meta-Is': body.decode()}).check(201)
        time.sleep(0.01)
    rows = kept(owner, old)
    assert len(rows) == 2 and all(row[0].startswith('004%s/' % name) for row in rows)
    assert [owner.get(old, row[0]).body for row in rows] == [b'one', b'two']
    owner.delete(container, name).check(204)
    if history:
        owner.get(container, name).check(404)
        assert [marker for _, marker in kept(owner, old)] == [False, False, False, True]
        return
    reply = owner.get(container, name).check(200)
    assert reply.body == b'two' and reply.header('X-Object-Meta-Is') == 'two'
    owner.delete(container, name).check(204)
    assert owner.get(container, name).check(200).body == b'one' and kept(owner, old) == []
    owner.delete(container, name).check(204)
    owner.get(container, name).check(404)
    owner.delete(container, name).check(404)


def test_stack_after_history(owner, new_container):
    """A marker left by history mode: the next DELETE in stack mode brings back what it hid."""
    old = new_container()
    container = new_container({'X-History-Location': old})
    for body in (b'one', b'two'):
        owner.put(container, 'o', body=body).check(201)
        time.sleep(0.01)
    owner.delete(container, 'o').check(204)
    owner.post(container, headers={'X-Versions-Location': old}).check(204)
    owner.delete(container, 'o').check(204)
    assert owner.get(container, 'o').check(200).body == b'two' and len(kept(owner, old)) == 1


def test_rights_of_location(owner, colleague, pair):
    history, container, old = pair
    owner.put(container, 'o', body=b'one').check(201)
    for user, status in ((colleague, 403), (owner.without_token(), 401)):
        user.put(container, 'o', body=b'no').check(status)
        user.delete(container, 'o').check(status)
    assert kept(owner, old) == []
    owner.post(container, headers={'X-Container-Write': colleague.name}).check(204)
    colleague.put(container, 'o', body=b'two').check(201)
    assert len(kept(owner, old)) == 1
    colleague.delete(container, 'o').check(204)
    assert len(kept(owner, old)) == (3 if history else 0)


def test_missing_location(owner, container):
    owner.post(container, headers={'X-Versions-Location': support.unique('missing')}).check(204)
    owner.put(container, 'o', body=b'one').check(201)
    owner.put(container, 'o', body=b'two').check(412)
    assert owner.get(container, 'o').body == b'one'
    owner.delete(container, 'o').check(204)
