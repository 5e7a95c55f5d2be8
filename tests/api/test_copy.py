"""Server-side copies: COPY with Destination, PUT with X-Copy-From."""
import pytest

import support


@pytest.fixture
def source(owner, container):
    """A container with the object "source"."""
    owner.put(container, 'source', body=b'0123456789', headers={
        'Content-Type': 'text/x-source', 'X-Object-Meta-Old': 'yes', 'X-Object-Meta-Both': 'old', 'Content-Disposition': 'inline',
        'Content-Encoding': 'odd'}).check(201)
    return container


def by_copy(user, source, target, headers=(), account=None):
    extra = {'Destination-Account': account} if account else {}
    return user.copy(*source, headers={'Destination': '/'.join(map(support.quote, target)), **extra, **dict(headers)})


def by_put(user, source, target, headers=()):
    return user.put(*target, headers={'X-Copy-From': '/'.join(map(support.quote, source)), 'Content-Length': '0', **dict(headers)})


BOTH = pytest.mark.parametrize('copy', [by_copy, by_put], ids=['COPY', 'PUT'])


@BOTH
def test_copy(owner, source, new_container, copy):
    target = new_container()
    reply = copy(owner, (source, 'source'), (target, 'copied')).check(201)
    assert reply.header('Etag') == support.md5(b'0123456789')
    assert reply.header('X-Copied-From') == source + '/source'
    assert reply.header('X-Copied-From-Account') == 'AUTH_test'
    assert reply.header('X-Copied-From-Last-Modified') == owner.head(source, 'source').header('Last-Modified')
    assert reply.header('X-Object-Meta-Old') == 'yes'
    got = owner.get(target, 'copied').check(200)
    assert got.body == b'0123456789'
    assert got.header('X-Object-Meta-Old') == 'yes' and got.header('X-Object-Meta-Both') == 'old'
    assert got.header('Content-Disposition') == 'inline' and got.header('Content-Encoding') == 'odd'
    assert float(got.header('X-Timestamp')) > float(owner.head(source, 'source').header('X-Timestamp'))
    assert owner.get(source, 'source').check(200).body == b'0123456789'


@BOTH
def test_type_is_that_of_the_source(owner, source, copy):
    copy(owner, (source, 'source'), (source, 'copied.html')).check(201)
    assert owner.head(source, 'copied.html').header('Content-Type') == 'text/x-source'


@BOTH
@pytest.mark.parametrize('length', [0, 65536, 65537, 5 << 20])
def test_sizes(owner, container, copy, length):
    data = support.pattern(length)
    owner.put(container, 'source', body=data).check(201)
    copy(owner, (container, 'source'), (container, 'copied')).check(201)
    got = owner.get(container, 'copied').check(200)
    assert got.body == data and got.header('Etag') == support.md5(data)


@BOTH
def test_new_metadata_is_added(owner, source, copy):
    copy(owner, (source, 'source'), (source, 'copied'), {
        'X-Object-Meta-New': 'yes', 'X-Object-Meta-Both': 'new', 'Content-Type': 'text/x-new',
        'Content-Disposition': 'attachment'}).check(201)
    head = owner.head(source, 'copied').check(200)
    assert (head.header('X-Object-Meta-New'), head.header('X-Object-Meta-Both'), head.header('X-Object-Meta-Old')) == (
        'yes', 'new', 'yes')
    assert head.header('Content-Type') == 'text/x-new' and head.header('Content-Disposition') == 'attachment'


@BOTH
@pytest.mark.parametrize('flag, kept', [('true', False), ('1', False), ('yes', False), ('false', True), ('', True)])
def test_fresh_metadata(owner, source, copy, flag, kept):
    copy(owner, (source, 'source'), (source, 'copied'), {'X-Fresh-Metadata': flag, 'X-Object-Meta-New': 'yes'}).check(201)
    head = owner.head(source, 'copied').check(200)
    assert head.header('X-Object-Meta-New') == 'yes'
    assert head.has('X-Object-Meta-Old') == kept and head.has('Content-Disposition') == kept


@BOTH
def test_onto_itself(owner, source, copy):
    """The old way to change metadata."""
    copy(owner, (source, 'source'), (source, 'source'), {'X-Object-Meta-New': 'yes'}).check(201)
    got = owner.get(source, 'source').check(200)
    assert got.body == b'0123456789' and got.header('X-Object-Meta-New') == 'yes' and got.header('X-Object-Meta-Old') == 'yes'


@BOTH
def test_overwrites(owner, source, copy):
    owner.put(source, 'target', body=b'was here', headers={'X-Object-Meta-Target': '1'}).check(201)
    copy(owner, (source, 'source'), (source, 'target')).check(201)
    got = owner.get(source, 'target').check(200)
    assert got.body == b'0123456789' and not got.has('X-Object-Meta-Target')


@BOTH
@pytest.mark.parametrize('name', ['with space', 'grün/日本', 'per%20cent', 'a?b&c#d', 'a//b', 'trailing/', "it's"])
def test_names(owner, source, copy, name):
    owner.put(source, name, body=b'named').check(201)
    reply = copy(owner, (source, name), (source, 'to ' + name)).check(201)
    assert reply.header('X-Copied-From') == '%s/%s' % (source, support.quote(name))
    assert owner.get(source, 'to ' + name).check(200).body == b'named'


@pytest.mark.parametrize('form', ['%s/%s', '/%s/%s'])
def test_leading_slash(owner, source, form):
    owner.copy(source, 'source', headers={'Destination': form % (source, 'a')}).check(201)
    owner.put(source, 'b', headers={'X-Copy-From': form % (source, 'source')}).check(201)
    assert owner.get(source, 'a').body == owner.get(source, 'b').body == b'0123456789'


def test_listing_shows_the_copy(owner, source):
    by_copy(owner, (source, 'source'), (source, 'copied')).check(201)
    support.eventually(lambda: _same(owner.names(source), ['copied', 'source']))


def _same(found, wanted):
    assert found == wanted


def test_expiry_is_copied(owner, container):
    owner.put(container, 'source', body=b'x', headers={'X-Delete-After': '1000'}).check(201)
    by_copy(owner, (container, 'source'), (container, 'copied')).check(201)
    assert owner.head(container, 'copied').header('X-Delete-At') == owner.head(container, 'source').header('X-Delete-At')


def test_range_copies_the_part(owner, source):
    by_copy(owner, (source, 'source'), (source, 'part'), {'Range': 'bytes=2-4'}).check(201)
    assert owner.get(source, 'part').check(200).body == b'234'


def test_conditions_look_at_the_source(owner, source):
    by_put(owner, (source, 'source'), (source, 'a'), {'If-None-Match': '*'}).check(304)
    by_copy(owner, (source, 'source'), (source, 'a'), {'If-Match': '0' * 32}).check(412)
    owner.head(source, 'a').check(404)
    by_copy(owner, (source, 'source'), (source, 'a'), {'If-Match': support.md5(b'0123456789')}).check(201)


# What is wrong

NOT_FOUND = b'<html><h1>Not Found</h1><p>The resource could not be found.</p></html>'


@BOTH
def test_missing(owner, source, copy):
    copy(owner, (source, 'missing'), (source, 'copied')).check(404)
    copy(owner, ('no-such-container', 'source'), (source, 'copied')).check(404)
    copy(owner, (source, 'source'), ('no-such-container', 'copied')).check(404)
    owner.head(source, 'copied').check(404)


def test_no_destination(owner, source):
    for headers in ({}, {'Destination': ''}):
        assert owner.copy(source, 'source', headers=headers).check(412).body == b'Destination header required'


@pytest.mark.parametrize('value', ['c', '/c', 'c/', '/', '/c/'])
def test_bad_destination(owner, source, value):
    refused = owner.copy(source, 'source', headers={'Destination': value}).check(412)
    assert refused.body == b'Destination header must be of the form <container name>/<object name>'


@pytest.mark.parametrize('value', ['c', '/c', 'c/', '/'])
def test_bad_copy_from(owner, source, value):
    refused = owner.put(source, 'a', headers={'X-Copy-From': value}).check(412)
    assert refused.body == b'X-Copy-From header must be of the form <container name>/<object name>'
    owner.head(source, 'a').check(404)


def test_copy_from_with_a_body(owner, source):
    refused = owner.put(source, 'a', headers={'X-Copy-From': source + '/source'}, body=b'x').check(400)
    assert refused.body == b'Copy requests require a zero byte body'
    owner.head(source, 'a').check(404)


def test_copy_of_a_container_is_no_method(owner, source):
    owner.copy(source, headers={'Destination': 'c/o'}).check(405)
    owner.copy(headers={'Destination': 'c/o'}).check(405)


def test_too_long_a_name(owner, source):
    by_copy(owner, (source, 'source'), (source, 'n' * 1025)).check(400)


# Between accounts

@pytest.fixture
def far(stranger):
    name = support.unique('far')
    stranger.put(name).check(201)
    yield name
    stranger.remove_container(name)


def test_to_another_account(owner, stranger, source, far):
    by_copy(owner, (source, 'source'), (far, 'copied'), account='AUTH_test2').check(403)
    stranger.head(far, 'copied').check(404)
    stranger.post(far, headers={'X-Container-Write': 'test:tester'}).check(204)
    reply = by_copy(owner, (source, 'source'), (far, 'copied'), account='AUTH_test2').check(201)
    assert reply.header('X-Copied-From-Account') == 'AUTH_test'
    assert stranger.get(far, 'copied').check(200).body == b'0123456789'


def test_from_another_account(owner, stranger, source, far):
    stranger.put(far, 'theirs', body=b'theirs').check(201)
    headers = {'X-Copy-From-Account': 'AUTH_test2'}
    by_put(owner, (far, 'theirs'), (source, 'copied'), headers).check(403)
    owner.head(source, 'copied').check(404)
    stranger.post(far, headers={'X-Container-Read': 'test:tester'}).check(204)
    reply = by_put(owner, (far, 'theirs'), (source, 'copied'), headers).check(201)
    assert reply.header('X-Copied-From-Account') == 'AUTH_test2'
    assert owner.get(source, 'copied').check(200).body == b'theirs'


def test_without_rights(owner, stranger, colleague, source, far):
    """Both ends are asked; nothing is read or written."""
    thief = stranger.at(owner)
    by_copy(thief, (source, 'source'), (far, 'stolen'), account='AUTH_test2').check(403)
    by_put(stranger, (source, 'source'), (far, 'stolen'), {'X-Copy-From-Account': 'AUTH_test'}).check(403)
    stranger.head(far, 'stolen').check(404)
    by_copy(colleague, (source, 'source'), (source, 'copied')).check(403)
    by_copy(owner.without_token(), (source, 'source'), (source, 'copied')).check(401)
    owner.post(source, headers={'X-Container-Read': '.r:*'}).check(204)
    by_copy(colleague, (source, 'source'), (source, 'copied')).check(403)
    owner.head(source, 'copied').check(404)


@pytest.mark.parametrize('field, value, error', [
    ('X-Copy-From-Account', 'a/b', b'Account name cannot contain slashes'), ('X-Copy-From-Account', '', None),
    ('Destination-Account', 'a/b', b'Account name cannot contain slashes'),
    ('Destination-Account', '', b'Account name cannot be empty')])
def test_bad_account(owner, source, field, value, error):
    copy = by_put if field == 'X-Copy-From-Account' else by_copy
    reply = copy(owner, (source, 'source'), (source, 'a'), {field: value}).check(412 if error else 201)
    assert not error or reply.body == error
