"""Temporary URLs."""
import base64
import hmac
import time

import pytest

import support

KEY, OTHER, OLD = 'key of the account', 'key of the container', 'second key'
DIGESTS = ['sha1', 'sha256', 'sha512']


def sign(path, method='GET', expires=None, key=KEY, digest='sha256', ip_range=None, form='hex', prefix=False):
    expires = int(time.time()) + 60 if expires is None else expires
    text = '%s\n%d\n%s' % (method, expires, ('prefix:' if prefix else '') + path)
    if ip_range:
        text = 'ip=%s\n%s' % (ip_range, text)
    value = hmac.new(key.encode(), text.encode(), digest).digest()
    shown = {'hex': value.hex(), 'base64': '%s:%s' % (digest, base64.b64encode(value).decode()),
             'url': '%s:%s' % (digest, base64.urlsafe_b64encode(value).decode().rstrip('='))}[form]
    query = {'temp_url_sig': shown, 'temp_url_expires': str(expires)}
    if ip_range:
        query['temp_url_ip_range'] = ip_range
    return query


@pytest.fixture(scope='module')
def keys(owner, module_container):
    owner.post(headers={'X-Account-Meta-Temp-URL-Key': KEY, 'X-Account-Meta-Temp-URL-Key-2': OLD}).check(204)
    owner.post(module_container, headers={'X-Container-Meta-Temp-URL-Key': OTHER}).check(204)
    owner.put(module_container, 'dir/o é', body=b'content', headers={'X-Object-Meta-Secret': 's', 'X-Object-Meta-Public-A': 'a'}).check(201)
    yield module_container
    owner.post(headers={'X-Remove-Account-Meta-Temp-URL-Key': 'x', 'X-Remove-Account-Meta-Temp-URL-Key-2': 'x'}).check(204)


@pytest.fixture
def path(owner, keys):
    return '/v1/%s/%s/dir/o é' % (owner.account, keys)


def ask(owner, path, query, method='GET', **options):
    return owner.without_token().request(method, path=support.quote(path), query=query, **options)


@pytest.mark.parametrize('digest', DIGESTS)
@pytest.mark.parametrize('form', ['hex', 'base64', 'url'])
@pytest.mark.parametrize('key', [KEY, OTHER, OLD])
def test_get(owner, path, digest, form, key):
    reply = ask(owner, path, sign(path, key=key, digest=digest, form=form)).check(200)
    assert reply.body == b'content'
    assert reply.header('Content-Disposition') == "attachment; filename=\"o %C3%A9\"; filename*=UTF-8''o%20%C3%A9"
    assert reply.header('Expires') and reply.header('X-Object-Meta-Public-A') == 'a' and not reply.has('X-Object-Meta-Secret')


@pytest.mark.parametrize('query, wanted', [
    ({'filename': 'a "b"/c'}, "attachment; filename=\"a %22b%22/c\"; filename*=UTF-8''a%20%22b%22/c"),
    ({'inline': ''}, 'inline'), ({'inline': '', 'filename': 'x'}, "inline; filename=\"x\"; filename*=UTF-8''x"),
    ({'filename': 'a\r\nb'}, "attachment; filename=\"a%0D%0Ab\"; filename*=UTF-8''a%0D%0Ab")])
def test_disposition(owner, path, query, wanted):
    assert ask(owner, path, dict(sign(path), **query)).check(200).header('Content-Disposition') == wanted


def test_stored_disposition(owner, keys, path):
    owner.put(keys, 'stored', body=b'', headers={'Content-Disposition': 'attachment; filename=z'}).check(201)
    other = '/v1/%s/%s/stored' % (owner.account, keys)
    assert ask(owner, other, sign(other)).check(200).header('Content-Disposition') == 'attachment; filename=z'


@pytest.mark.parametrize('change', [
    {'temp_url_sig': ''}, {'temp_url_sig': '0' * 64}, {'temp_url_sig': 'x'}, {'temp_url_sig': 'sha256:AAAA'}, {'temp_url_sig': 'md5:AAAA'},
    {'temp_url_expires': ''}, {'temp_url_expires': '0'}, {'temp_url_expires': 'soon'}, {'temp_url_expires': str(2 ** 40)},
    {'temp_url_prefix': 'dir'}, {'temp_url_ip_range': '127.0.0.1'}])
def test_wrong_parameters(owner, path, change):
    reply = ask(owner, path, dict(sign(path), **change)).check(401)
    assert reply.text == '401 Unauthorized: Temp URL invalid\n' and reply.has('WWW-Authenticate')


def test_wrong_signatures(owner, path, keys):
    for query in (sign(path, key='guess'), sign(path, method='PUT'), sign(path + 'x'), sign(path, expires=int(time.time()) - 1),
                  {k: v.upper() for k, v in sign(path).items()}, {k: v[:-1] for k, v in sign(path, digest='sha1').items()}):
        ask(owner, path, query).check(401)
    query = sign(path)
    ask(owner, path, {'temp_url_sig': query['temp_url_sig']}).check(401)
    ask(owner, path, {'temp_url_expires': query['temp_url_expires']}).check(401)
    ask(owner, '/v1/%s/%s' % (owner.account, keys), sign('/v1/%s/%s' % (owner.account, keys))).check(401)


def test_iso_time(owner, path):
    seconds = int(time.time()) + 100
    query = sign(path, expires=seconds)
    query['temp_url_expires'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))
    ask(owner, path, query).check(200)


@pytest.mark.parametrize('signed, method, status', [
    ('GET', 'HEAD', 200), ('PUT', 'HEAD', 200), ('POST', 'HEAD', 200), ('HEAD', 'HEAD', 200), ('DELETE', 'HEAD', 401), ('HEAD', 'GET', 401),
    ('GET', 'PUT', 401), ('GET', 'POST', 401), ('GET', 'DELETE', 401), ('POST', 'POST', 202)])
def test_methods(owner, path, signed, method, status):
    ask(owner, path, sign(path, method=signed), method, headers={'X-Object-Meta-Public-A': 'a'}).check(status)


def test_put_and_delete(owner, keys):
    path = '/v1/%s/%s/new' % (owner.account, keys)
    ask(owner, path, sign(path, 'PUT'), 'PUT', body=b'new').check(201)
    assert owner.get(keys, 'new').body == b'new'
    ask(owner, path, sign(path, 'DELETE'), 'DELETE').check(204)
    owner.get(keys, 'new').check(404)


@pytest.mark.parametrize('header', ['X-Object-Manifest', 'X-Symlink-Target'])
def test_no_pointers(owner, keys, header):
    path = '/v1/%s/%s/pointer' % (owner.account, keys)
    reply = ask(owner, path, sign(path, 'PUT'), 'PUT', body=b'', headers={header: 'c/o'}).check(400)
    assert reply.text == "The header '%s' is not allowed in this tempurl" % header


def test_prefix(owner, keys, path):
    base = '/v1/%s/%s/' % (owner.account, keys)
    for prefix in ('dir/', 'd', ''):
        ask(owner, path, dict(sign(base + prefix, prefix=True), temp_url_prefix=prefix)).check(200)
    query = dict(sign(base + 'dir/', prefix=True), temp_url_prefix='dir/')
    owner.put(keys, 'elsewhere', body=b'').check(201)
    ask(owner, base + 'elsewhere', query).check(401)
    ask(owner, base + 'dir/../elsewhere', query).check(404)
    ask(owner, path, dict(query, temp_url_prefix='dir')).check(401)
    root = dict(sign(base, prefix=True), temp_url_prefix='')
    ask(owner, '/v1/%s/%s' % (owner.account, keys), root).check(401)


def test_ip_range(owner, path):
    for allowed in ('127.0.0.1', '127.0.0.0/8', '0.0.0.0/0'):
        ask(owner, path, sign(path, ip_range=allowed), headers={'X-Forwarded-For': '9.9.9.9'}).check(200)
    for refused in ('10.0.0.0/8', '127.0.0.2', '::1', 'nonsense'):
        ask(owner, path, sign(path, ip_range=refused), headers={'X-Forwarded-For': refused}).check(401)
    query = sign(path, ip_range='127.0.0.1')
    del query['temp_url_ip_range']
    ask(owner, path, query).check(401)


def test_scope(owner, keys, new_container):
    """The key of a container is good for that container alone, also behind a manifest."""
    other = new_container()
    owner.put(other, 'p1', body=b'hidden').check(201)
    owner.put(keys, 'manifest', body=b'', headers={'X-Object-Manifest': '%s/p' % other}).check(201)
    path = '/v1/%s/%s/manifest' % (owner.account, keys)
    assert ask(owner, path, sign(path)).check(200).body == b'hidden'
    assert b'hidden' not in ask(owner, path, sign(path, key=OTHER)).check(401, 409).body


def test_other_parameters_do_not_count(owner, keys, path):
    reply = ask(owner, path, dict(sign(path), **{'multipart-manifest': 'get', 'format': 'json'})).check(200)
    assert reply.body == b'content'


def test_info(owner):
    info = support.http_request(owner.address, 'GET', '/info').json()['tempurl']
    assert info['allowed_digests'] == ['sha1', 'sha256', 'sha512'] and info['deprecated_digests'] == ['sha1']
    assert info['methods'] == ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']
    assert info['outgoing_remove_headers'] == ['x-object-meta-*'] and info['incoming_remove_headers'] == ['x-timestamp', 'x-open-expired']
