"""Requests from pages of other origins."""
import pytest

ORIGIN = 'http://page.example'


@pytest.fixture
def open_to(owner, container):
    """Sets the container's CORS metadata and makes it readable; returns the container."""
    def make(allow=None, expose=None, age=None):
        headers = {'X-Container-Read': '.r:*,.rlistings'}
        for field, value in (('Allow-Origin', allow), ('Expose-Headers', expose), ('Max-Age', age)):
            if value:
                headers['X-Container-Meta-Access-Control-' + field] = value
        owner.post(container, headers=headers).check(204)
        owner.put(container, 'o', body=b'x', headers={'X-Object-Meta-Colour': 'red'}).check(201)
        return container
    return make


def preflight(user, *names, origin=ORIGIN, method='GET', headers=None):
    asked = {'Origin': origin, 'Access-Control-Request-Method': method}
    if headers:
        asked['Access-Control-Request-Headers'] = headers
    return user.without_token().options(*names, headers=asked)


def words(value):
    return set((value or '').replace(',', ' ').lower().split())


ALLOWED = [
    ('*', ORIGIN, True), (ORIGIN, ORIGIN, True), ('http://a.example ' + ORIGIN, ORIGIN, True), (ORIGIN, 'http://evil.example', False),
    (ORIGIN, 'https://page.example', False), (ORIGIN, 'http://page.example:8080', False), (ORIGIN, 'http://page.example.evil', False),
    (ORIGIN, 'null', False), (None, ORIGIN, False), ('*', 'null', True),
]


@pytest.mark.parametrize('allow, origin, allowed', ALLOWED)
def test_preflight(owner, open_to, allow, origin, allowed):
    container = open_to(allow, age='77')
    for names in ((container,), (container, 'o')):
        reply = preflight(owner, *names, origin=origin)
        assert reply.body == (b'' if allowed else reply.body)
        if not allowed:
            reply.check(401)
            assert not reply.has('Access-Control-Allow-Origin')
            continue
        reply.check(200)
        assert reply.header('Access-Control-Allow-Origin') == ('*' if allow == '*' else origin)
        assert words(reply.header('Access-Control-Allow-Methods')) >= {'get', 'head', 'put', 'post', 'delete', 'options'}
        assert reply.header('Access-Control-Max-Age') == '77'
        assert words(reply.header('Allow')) >= {'get', 'head', 'put', 'post', 'delete', 'options'}
        assert allow == '*' or 'origin' in words(reply.header('Vary'))


def test_preflight_headers(owner, open_to):
    container = open_to('*')
    reply = preflight(owner, container, 'o', method='PUT', headers='x-auth-token, content-type,x-object-meta-a').check(200)
    assert words(reply.header('Access-Control-Allow-Headers')) == {'x-auth-token', 'content-type', 'x-object-meta-a'}
    assert 'access-control-request-headers' in words(reply.header('Vary'))
    assert 'copy' in words(reply.header('Access-Control-Allow-Methods'))
    assert not preflight(owner, container, 'o').check(200).has('Access-Control-Max-Age')


def test_preflight_of_an_unknown_method(owner, open_to):
    preflight(owner, open_to('*'), 'o', method='FOO').check(401)


def test_preflight_without_method(owner, open_to):
    container = open_to('*')
    owner.without_token().options(container, 'o', headers={'Origin': ORIGIN}).check(401)


def test_preflight_of_a_missing_container(owner):
    preflight(owner, 'no-such-container', 'o').check(401)


@pytest.mark.parametrize('allow, origin, allowed', ALLOWED)
def test_actual_request(owner, open_to, allow, origin, allowed):
    container = open_to(allow)
    for method, names in (('GET', (container, 'o')), ('HEAD', (container, 'o')), ('GET', (container,))):
        reply = owner.without_token().request(method, *names, headers={'Origin': origin}).check(200)
        if not allowed:
            assert not any(key.lower().startswith('access-control') and 'meta' not in key.lower() for key, _ in reply.headers), reply
            continue
        assert reply.header('Access-Control-Allow-Origin') == ('*' if allow == '*' else origin)
        assert words(reply.header('Access-Control-Expose-Headers')) >= {
            'cache-control', 'content-language', 'content-type', 'expires', 'last-modified', 'pragma', 'etag', 'x-timestamp',
            'x-trans-id', 'x-openstack-request-id'}
        assert allow == '*' or 'origin' in words(reply.header('Vary'))
        assert not reply.has('Access-Control-Allow-Credentials')


def test_exposed_headers(owner, open_to):
    container = open_to('*', expose='X-One x-two')
    reply = owner.get(container, 'o', headers={'Origin': ORIGIN}).check(200)
    assert words(reply.header('Access-Control-Expose-Headers')) >= {'x-one', 'x-two', 'x-object-meta-colour'}


def test_put_and_delete(owner, open_to):
    container = open_to(ORIGIN)
    for method, status in (('PUT', 201), ('POST', 202), ('DELETE', 204)):
        reply = owner.request(method, container, 'p', headers={'Origin': ORIGIN}).check(status)
        assert reply.header('Access-Control-Allow-Origin') == ORIGIN


def test_errors_are_readable_too(owner, open_to):
    container = open_to('*')
    reply = owner.get(container, 'missing', headers={'Origin': ORIGIN}).check(404)
    assert reply.header('Access-Control-Allow-Origin') == '*'


def test_without_origin_there_is_nothing(owner, open_to):
    reply = owner.get(open_to('*'), 'o').check(200)
    assert not any(key.lower().startswith('access-control') for key, _ in reply.headers)


def test_plain_options(owner, container):
    for names in ((), (container,), (container, 'o')):
        reply = owner.without_token().options(*names).check(200)
        assert words(reply.header('Allow')) >= {'get', 'head', 'put', 'post', 'delete', 'options'}
