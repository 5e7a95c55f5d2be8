"""Symlinks: objects that stand for another one."""
import json

import pytest

import support

LINK = {'symlink': 'get'}
NOTHING = support.md5(b'')


def link_to(user, container, name, *target, headers=(), **options):
    return user.put(container, name, headers={'X-Symlink-Target': support.quote('/'.join(target)), **dict(headers)}, **options)


@pytest.fixture(scope='module')
def place(owner, module_container):
    """A container with an object, a dynamic and a static link to it, and a link to the dynamic one."""
    owner.put(module_container, 'target', body=b'0123456789', headers={'Content-Type': 'text/x-target', 'X-Object-Meta-A': 'b'}).check(201)
    link_to(owner, module_container, 'link', module_container, 'target').check(201)
    link_to(owner, module_container, 'link 2', module_container, 'link').check(201)
    link_to(owner, module_container, 'static', module_container, 'target',
            headers={'X-Symlink-Target-Etag': support.md5(b'0123456789')}).check(201)
    return module_container


def test_info(owner):
    assert json.loads(owner.request('GET', path='/info').body)['symlink'] == {'symloop_max': 2, 'static_links': True}


@pytest.mark.parametrize('name', ['link', 'link 2', 'static'])
def test_get_and_head(owner, place, name):
    for method in ('GET', 'HEAD'):
        reply = owner.request(method, place, name).check(200)
        assert reply.header('Content-Location') == '/v1/AUTH_test/%s/target' % place
        assert reply.header('Content-Type') == 'text/x-target' and reply.header('X-Object-Meta-A') == 'b'
        assert reply.header('Etag') == support.md5(b'0123456789') and reply.header('Content-Length') == '10'
        assert not any('sysmeta' in key.lower() for key, _ in reply.headers)
    assert owner.get(place, name).body == b'0123456789'
    assert owner.get(place, name, headers={'Range': 'bytes=2-4'}).check(206).body == b'234'
    owner.get(place, name, headers={'If-None-Match': support.md5(b'0123456789')}).check(304)
    owner.get(place, name, headers={'If-Match': NOTHING}).check(412)


def test_the_link_itself(owner, place):
    for method in ('GET', 'HEAD'):
        reply = owner.request(method, place, 'static', query=LINK).check(200)
        assert reply.header('X-Symlink-Target') == place + '/target' and reply.header('X-Symlink-Target-Bytes') == '10'
        assert reply.header('X-Symlink-Target-Etag') == support.md5(b'0123456789')
        assert reply.header('Content-Length') == '0' and reply.header('Etag') == NOTHING
        assert reply.header('Content-Type') == 'text/x-target' and not reply.has('Content-Location')
    assert owner.head(place, 'link', query=LINK).check(200).header('Content-Type') == 'application/symlink'


def test_listings(owner, place):
    rows = {row['name']: row for row in owner.get(place, query={'format': 'json'}).check(200).json()}
    path = '/v1/AUTH_test/%s/target' % place
    assert rows['link']['symlink_path'] == path and rows['link']['hash'] == NOTHING and rows['link']['bytes'] == 0
    assert 'symlink_bytes' not in rows['link']
    assert rows['static']['symlink_path'] == path and rows['static']['hash'] == NOTHING
    assert rows['static']['symlink_bytes'] == 10 and rows['static']['symlink_etag'] == support.md5(b'0123456789')
    assert 'symlink_path' not in rows['target']
    assert owner.names(place) == ['link', 'link 2', 'static', 'target']
    text = owner.get(place, query={'format': 'xml'}).check(200).text
    assert 'symlink_' not in text and text.count('<hash>%s</hash>' % NOTHING) == 3


@pytest.mark.parametrize('headers, body, status, text', [
    ({'X-Symlink-Target': '/c/o'}, b'', 412, b'X-Symlink-Target header must be of the form'),
    ({'X-Symlink-Target': 'c'}, b'', 412, b'X-Symlink-Target header must be of the form'),
    ({'X-Symlink-Target': 'c/'}, b'', 412, b'X-Symlink-Target header must be of the form'),
    ({'X-Symlink-Target': ''}, b'', 412, b'X-Symlink-Target header must be of the form'),
    ({'X-Symlink-Target': 'c/o'}, b'x', 400, b'Symlink requests require a zero byte body'),
    ({'X-Symlink-Target': 'c/o'}, [b'x'], 400, b'Symlink requests require a zero byte body'),
    ({'X-Symlink-Target': 'c/o', 'X-Symlink-Target-Account': 'a/b'}, b'', 412, b'Account name cannot contain slashes'),
    ({'X-Symlink-Target': 'c/o', 'X-Symlink-Target-Account': ''}, b'', 412, b'Account name cannot be empty'),
    ({'X-Symlink-Target': 'c/o', 'X-Symlink-Target-Etag': 'a;b'}, b'', 400, b'Bad X-Symlink-Target-Etag format'),
    ({'X-Symlink-Target': 'c/o', 'X-Symlink-Target-Etag': 'abc'}, b'', 409, b'X-Symlink-Target does not exist'),
    ({'X-Symlink-Target': 'SELF/bad'}, b'', 400, b'Symlink cannot target itself')])
def test_bad_links(owner, place, headers, body, status, text):
    headers = {name: value.replace('SELF', place) for name, value in headers.items()}
    assert owner.put(place, 'bad', headers=headers, body=body).check(status).body.startswith(text)


def test_static_link_to_something_else(owner, place):
    reply = link_to(owner, place, 'bad', place, 'target', headers={'X-Symlink-Target-Etag': 'feed'}).check(409)
    assert reply.header('Content-Location') == '/v1/AUTH_test/%s/target' % place
    owner.put(place, 'changing', body=b'one').check(201)
    link_to(owner, place, 'to changing', place, 'changing', headers={'X-Symlink-Target-Etag': support.md5(b'one')}).check(201)
    owner.put(place, 'changing', body=b'two').check(201)
    for method in ('GET', 'HEAD'):
        owner.request(method, place, 'to changing').check(409)
    owner.delete(place, 'to changing').check(204)
    owner.get(place, 'changing').check(200)
    owner.delete(place, 'changing').check(204)


def test_loops_and_missing_targets(owner, container):
    link_to(owner, container, 'a', container, 'b').check(201)
    reply = owner.get(container, 'a').check(404)
    assert reply.header('Content-Location') == '/v1/AUTH_test/%s/b' % container
    link_to(owner, container, 'b', container, 'a').check(201)
    assert owner.get(container, 'a').check(409).text == 'Too many levels of symbolic links, maximum allowed is 2'
    for name, target in (('3', '2'), ('2', '1'), ('1', '0')):
        link_to(owner, container, name, container, target).check(201)
    owner.put(container, '0', body=b'end').check(201)
    assert owner.get(container, '2').check(200).body == b'end'
    owner.get(container, '3').check(409)


def test_post(owner, container):
    owner.put(container, 'target', body=b'x').check(201)
    link_to(owner, container, 'link', container, 'target').check(201)
    owner.post(container, 'link', headers={'X-Symlink-Target': 'c/o'}).check(400)
    reply = owner.post(container, 'link', headers={'X-Object-Meta-New': '1'}).check(307)
    assert reply.header('Location') == '/v1/AUTH_test/%s/target' % container
    assert owner.head(container, 'link', query=LINK).header('X-Object-Meta-New') == '1'
    assert not owner.head(container, 'target').has('X-Object-Meta-New')


def test_copies(owner, place, new_container):
    target = new_container()
    for name, query, copied in (('whole', None, b'0123456789'), ('link', LINK, b'')):
        owner.copy(place, 'static', headers={'Destination': target + '/' + name}, query=query).check(201)
        assert owner.get(target, name, query=LINK).check(200).body == copied
    assert owner.head(target, 'link', query=LINK).header('X-Symlink-Target') == place + '/target'
    assert owner.get(target, 'link').check(200).body == b'0123456789'
    assert not owner.head(target, 'whole', query=LINK).has('X-Symlink-Target')


def test_names_that_need_quotes(owner, container):
    name = 'ü %2F;"\'=, \\/x'
    owner.put(container, name, body=b'odd').check(201)
    link_to(owner, container, 'link', container, name).check(201)
    assert owner.get(container, 'link').check(200).body == b'odd'
    [row] = [row for row in owner.get(container, query={'format': 'json'}).json() if row['name'] == 'link']
    assert row['symlink_path'] == '/v1/AUTH_test/%s/%s' % (container, support.quote(name)) and row['hash'] == NOTHING


def test_rights_are_those_at_the_target(owner, colleague, stranger, place, new_container):
    public = new_container({'X-Container-Read': '.r:*,.rlistings'})
    anybody = owner.without_token()
    link_to(owner, public, 'link', place, 'target').check(201)
    anybody.get(public, 'link').check(401)
    colleague.get(public, 'link').check(403)
    anybody.get(public, 'link', query=LINK).check(200)
    link_to(owner, place, 'private link', public, 'data').check(201)
    owner.put(public, 'data', body=b'data').check(201)
    anybody.get(place, 'private link').check(401)
    # across accounts
    own = new_container(user=stranger)
    across = {'X-Symlink-Target-Account': owner.account}
    link_to(stranger, own, 'across', public, 'data', headers=across).check(201)
    assert stranger.get(own, 'across').check(200).body == b'data'
    [row] = stranger.get(own, query={'format': 'json'}).json()
    assert row['symlink_path'] == '/v1/%s/%s/data' % (owner.account, public)
    link_to(stranger, own, 'secret', place, 'target', headers=across).check(201)
    stranger.get(own, 'secret').check(403)
    link_to(stranger, own, 'probe', place, 'target', headers={'X-Symlink-Target-Etag': 'feed', **across}).check(403)
    owner.delete(place, 'private link').check(204)


def test_large_object_behind_a_link(owner, container):
    owner.put(container, 'segment', body=b'abc' * 1000).check(201)
    manifest = json.dumps([{'path': '/%s/segment' % container}, {'path': '/%s/segment' % container}]).encode()
    owner.put(container, 'large', body=manifest, query={'multipart-manifest': 'put'}).check(201)
    etag = owner.head(container, 'large').header('X-Manifest-Etag')
    link_to(owner, container, 'link', container, 'large').check(201)
    link_to(owner, container, 'static', container, 'large', headers={'X-Symlink-Target-Etag': etag}).check(201)
    for name in ('link', 'static'):
        assert owner.get(container, name).check(200).body == b'abc' * 2000
        assert owner.get(container, name, headers={'Range': 'bytes=2999-3001'}).check(206).body == b'cab'
    rows = {row['name']: row for row in owner.get(container, query={'format': 'json'}).json()}
    assert rows['static']['symlink_bytes'] == 6000 and rows['static']['slo_etag'] == rows['large']['slo_etag']
    # links as segments
    link_to(owner, container, 'link to segment', container, 'segment').check(201)
    manifest = json.dumps([{'path': '/%s/link to segment' % container, 'size_bytes': 3000}]).encode()
    owner.put(container, 'linked', body=manifest, query={'multipart-manifest': 'put'}).check(201)
    assert owner.get(container, 'linked').check(200).body == b'abc' * 1000
