"""Uploads by forms of browsers."""
import base64
import hmac
import time
import urllib.parse

import pytest

import support

KEY, SECOND, OF_CONTAINER = 'key', 'second key', 'key of the container'
BOUNDARY = '----WebKitFormBoundaryNcxTqxSlX7t4TDkR'
MISSING = object()


@pytest.fixture(scope='module')
def bucket(owner, module_container):
    owner.post(headers={'X-Account-Meta-Temp-URL-Key': KEY, 'X-Account-Meta-Temp-URL-Key-2': SECOND}).check(204)
    owner.post(module_container, headers={'X-Container-Meta-Temp-URL-Key': OF_CONTAINER}).check(204)
    yield module_container
    owner.post(headers={'X-Remove-Account-Meta-Temp-URL-Key': 'x', 'X-Remove-Account-Meta-Temp-URL-Key-2': 'x'}).check(204)


def part(name, value, filename=None, headers=()):
    disposition = 'Content-Disposition: form-data; name="%s"' % name
    if filename is not None:
        disposition += '; filename="%s"' % filename
    value = value if isinstance(value, bytes) else str(value).encode()
    return '\r\n'.join([disposition, *headers]).encode() + b'\r\n\r\n' + value


def document(parts, boundary=BOUNDARY, end='--\r\n'):
    delimiter = b'--' + boundary.encode()
    return b''.join(delimiter + b'\r\n' + one + b'\r\n' for one in parts) + delimiter + end.encode()


def sign(path, values, key=KEY, digest='sha256', form='hex'):
    text = '\n'.join([path] + [str(values[name]) for name in ('redirect', 'max_file_size', 'max_file_count', 'expires')])
    value = hmac.new(key.encode(), text.encode(), digest).digest()
    return value.hex() if form == 'hex' else '%s:%s' % (digest, base64.urlsafe_b64encode(value).decode())


class Form:
    def __init__(self, owner, container, prefix='', **values):
        self.owner, self.path = owner, owner.path(container) + ('/' + prefix if prefix is not None else '')
        self.values = {'redirect': '', 'max_file_size': 1000, 'max_file_count': 3, 'expires': int(time.time()) + 100}
        self.values.update(values)
        self.signed = {}

    def attributes(self, **sign_options):
        values = dict(self.values, signature=sign(urllib.parse.unquote(self.path), self.values, **sign_options))
        return values

    def post(self, files, changes=(), after=(), extra=(), headers=(), **sign_options):
        """Files: (filename, content) or ready parts.  Changes are made after the signature."""
        values = self.attributes(**sign_options)
        values.update(changes)
        parts = [part(name, value) for name, value in values.items() if value is not MISSING and value != '']
        parts += [part(name, value) for name, value in extra]
        parts += [one if isinstance(one, bytes) else part('file', one[1], one[0]) for one in files]
        parts += [part(name, value) for name, value in after]
        return self.send(document(parts), headers=headers)

    def send(self, body, content_type='multipart/form-data; boundary=' + BOUNDARY, headers=()):
        headers = dict(headers, **{'Content-Type': content_type})
        return self.owner.without_token().post(path=self.path, headers=headers, body=body)


def test_info(owner):
    assert owner.get(path='/info').json()['formpost'] == {
        'allowed_digests': ['sha1', 'sha256', 'sha512'], 'deprecated_digests': ['sha1']}


@pytest.mark.parametrize('key', [KEY, SECOND, OF_CONTAINER])
@pytest.mark.parametrize('digest', ['sha1', 'sha256', 'sha512'])
@pytest.mark.parametrize('form', ['hex', 'base64'])
def test_signatures(owner, bucket, key, digest, form):
    name = support.unique()
    reply = Form(owner, bucket).post([(name, b'content')], key=key, digest=digest, form=form).check(201)
    assert reply.body == b'201 Created' and reply.header('Content-Type') == 'text/plain'
    assert owner.get(bucket, name).check(200).body == b'content'


def test_several_files(owner, bucket):
    contents = [b'', b'\r\n--' + BOUNDARY.encode()[:-1] + b'\r\n', bytes(range(256)) * 3]
    Form(owner, bucket, 'many/').post([('%d é' % i, content) for i, content in enumerate(contents)]).check(201)
    for i, content in enumerate(contents):
        assert owner.get(bucket, 'many/%d é' % i).check(200).body == content


@pytest.mark.parametrize('prefix, stored', [(None, 'n'), ('', 'n'), ('pre fix', 'pre fixn'), ('d/', 'd/n'), ('é', 'én')])
def test_names(owner, bucket, prefix, stored):
    content = support.unique().encode()
    Form(owner, bucket, prefix and support.quote(prefix)).post([('n', content)]).check(201)
    assert owner.get(bucket, stored).check(200).body == content


def test_large_file(owner, bucket):
    content = support.pattern(3000000, 1)
    form = Form(owner, bucket, max_file_size=len(content))
    body = document([part(name, value) for name, value in form.attributes().items()] + [part('f', content, 'large')])
    reply = form.send(iter([body[i:i + 9999] for i in range(0, len(body), 9999)]))
    assert reply.check(201) and owner.get(bucket, 'large').check(200).body == content


def test_types(owner, bucket):
    form = Form(owner, bucket, 'type/')
    one = part('f', b'x', 'own', ['Content-Type: text/css', 'Content-Encoding: gzip'])
    form.post([one, ('none', b'y'), ('guess.html', b'z')]).check(201)
    reply = owner.get(bucket, 'type/own').check(200)
    assert (reply.header('Content-Type'), reply.header('Content-Encoding')) == ('text/css', 'gzip')
    reply = owner.get(bucket, 'type/none').check(200)
    assert reply.header('Content-Type') == 'application/octet-stream' and not reply.has('Content-Encoding')
    assert owner.get(bucket, 'type/guess.html').header('Content-Type') == 'text/html'
    form.post([one], extra=[('content-type', 'a/b'), ('content-encoding', 'zip')]).check(201)
    reply = owner.get(bucket, 'type/own').check(200)
    assert (reply.header('Content-Type'), reply.header('Content-Encoding')) == ('a/b', 'zip')
    form.post([one], after=[('content-type', 'c/d')]).check(201)
    assert owner.get(bucket, 'type/own').header('Content-Type') == 'text/css'


def test_expiry(owner, bucket):
    at = int(time.time()) + 3600
    form = Form(owner, bucket, 'expiry/')
    form.post([('at', b'')], extra=[('x_delete_at', at)]).check(201)
    assert owner.head(bucket, 'expiry/at').header('X-Delete-At') == str(at)
    form.post([('after', b'')], extra=[('x_delete_after', 3600)]).check(201)
    assert abs(int(owner.head(bucket, 'expiry/after').header('X-Delete-At')) - at) < 60
    for name, text in (('at', 'Unix timestamp required.'), ('after', 'Number of seconds required.')):
        reply = form.post([('bad', b'')], extra=[('x_delete_' + name, '2 days')]).check(400)
        assert reply.text == 'FormPost: x_delete_%s not an integer: %s' % (name, text)
    form.post([('bad', b'')], extra=[('x_delete_at', '1')]).check(400)
    owner.get(bucket, 'expiry/bad').check(404)


@pytest.mark.parametrize('redirect, joint', [('http://example.com/p', '?'), ('https://example.com/?a=b', '&'), ('/here', '?')])
def test_redirect(owner, bucket, redirect, joint):
    form = Form(owner, bucket, redirect=redirect)
    reply = form.post([('redirected', b'x')]).check(303)
    wanted = redirect + joint + 'status=201&message='
    assert reply.header('Location') == wanted
    assert reply.text == '<html><body><p><a href="%s">Click to continue...</a></p></body></html>' % wanted
    reply = form.post([(str(i), b'x') for i in range(4)]).check(303)
    assert reply.header('Location') == redirect + joint + 'status=400&message=max%20file%20count%20exceeded'
    reply = form.post([('', b'')]).check(303)
    assert reply.header('Location') == redirect + joint + 'status=400&message=no%20files%20to%20process'
    reply = form.post([('x' * 2000, b'')]).check(303)
    assert reply.header('Location') == redirect + joint + 'status=400&message='


def test_redirects_only_where_the_owner_said(owner, bucket):
    form = Form(owner, bucket, redirect='http://example.com/')
    for changes in ({'redirect': 'http://evil.example.com/'}, {'signature': MISSING}, {'signature': '0' * 64}):
        for files in ([], [('x', b'')] * 4):
            reply = form.post(files, changes=changes)
            assert reply.status in (400, 401) and not reply.has('Location')


@pytest.mark.parametrize('redirect', ['javascript:alert(1)', '"><script>alert(1)</script>', 'http://a/\r\nX-Bad: y'])
def test_odd_redirects(owner, bucket, redirect):
    reply = Form(owner, bucket, redirect=redirect).post([('odd', b'')])
    assert not reply.has('X-Bad') and '<script>' not in reply.text and '">alert' not in reply.text
    assert reply.status == (201 if '\n' in redirect else 303)


def test_count(owner, bucket):
    reply = Form(owner, bucket, 'count/').post([(str(i), b'') for i in range(5)]).check(400)
    assert reply.text == '400 Bad Request\r\nFormPost: Max File Count Exceeded'
    assert owner.names(bucket, prefix='count/') == ['count/0', 'count/1', 'count/2']


def test_size(owner, bucket):
    form = Form(owner, bucket, 'size/', max_file_size=1000)
    form.post([('fits', b'x' * 1000)]).check(201)
    for size in (1001, 70000, 300000):
        reply = form.post([('first', b'x'), ('large', b'x' * size), ('last', b'x')]).check(400)
        assert reply.text == 'FormPost: max_file_size exceeded'
        # a redirect does not help: Swift answers this one itself
    assert owner.names(bucket, prefix='size/') == ['size/first', 'size/fits']
    Form(owner, bucket, 'size/', max_file_size=0).post([('empty', b'')]).check(201)
    Form(owner, bucket, 'size/', max_file_size=-1).post([('minus', b'x')]).check(400)


@pytest.mark.parametrize('changes', [
    {'signature': MISSING}, {'signature': ''}, {'signature': 'x'}, {'signature': '0' * 64}, {'signature': 'md5:AAAA'},
    {'max_file_size': 1001}, {'max_file_count': 4}, {'expires': int(time.time()) + 200}, {'redirect': 'http://example.com/'}])
def test_what_was_not_signed(owner, bucket, changes):
    reply = Form(owner, bucket).post([('unsigned', b'x')], changes=changes).check(401)
    assert reply.text == 'FormPost: Invalid Signature'
    assert reply.header('WWW-Authenticate') == 'Swift realm="unknown"'
    owner.get(bucket, 'unsigned').check(404)


def test_other_places(owner, bucket, stranger):
    form = Form(owner, bucket)
    values = form.attributes()
    for path in (form.path + 'x', owner.path('nothing') + '/', stranger.path(bucket) + '/', '/v2' + form.path[3:], owner.path(),
                 form.path + '%00'):
        form.path = path
        assert form.post([('n', b'')], changes=values).check(401).text == 'FormPost: Invalid Signature'


def test_expired(owner, bucket):
    reply = Form(owner, bucket, expires=int(time.time()) - 1).post([('late', b'')]).check(401)
    assert reply.text == 'FormPost: Form Expired'
    assert Form(owner, bucket, expires=0).post([('late', b'')]).check(401).text == 'FormPost: Form Expired'


@pytest.mark.parametrize('name, shown', [
    ('max_file_size', 'max_file_size'), ('max_file_count', 'max_file_count'), ('expires', 'expired')])
def test_no_integers(owner, bucket, name, shown):
    reply = Form(owner, bucket, **{name: '1e3x'}).post([('n', b'')]).check(400)
    assert reply.text == 'FormPost: %s not an integer' % shown and reply.header('Content-Type') == 'text/plain'


def test_no_files(owner, bucket):
    for files in ([], [part('f', b'', '')]):
        reply = Form(owner, bucket).post(files).check(400)
        assert reply.text == '400 Bad Request\r\nFormPost: No Files To Process'


def test_the_error_of_the_upload(owner, new_container):
    name = new_container({'X-Container-Meta-Quota-Count': '0', 'X-Container-Meta-Temp-URL-Key': 'key'})
    reply = Form(owner, name).post([('x', b'x')], key='key').check(413)
    assert reply.text == 'Upload exceeds quota.' and reply.header('Content-Type') == 'text/plain'
    gone = Form(owner, name, redirect='/r').post([('x', b'x')], key='key').check(303)
    assert gone.header('Location') == '/r?status=413&message='


def test_long_values_are_cut(owner, bucket):
    """At 4096 bytes, whatever comes behind; what is signed is what is left."""
    form = Form(owner, bucket, redirect='http://example.com/' + 'a' * 4077)
    assert len(form.values['redirect']) == 4096
    reply = form.post([('long', b'')], changes={'redirect': form.values['redirect'] + 'b' * 100000}).check(303)
    assert reply.header('Location') == form.values['redirect'] + '?status=201&message='


def test_dashes_at_the_end_of_values_are_lost(owner, bucket):
    form = Form(owner, bucket, redirect='http://example.com/x')
    form.post([('dashes', b'')], changes={'redirect': 'http://example.com/x-\r\n--'}).check(303)


def test_attribute_names_have_no_case(owner, bucket):
    form = Form(owner, bucket)
    values = form.attributes()
    parts = [part(name.upper(), value) for name, value in values.items()] + [part('f', b'', 'case')]
    form.send(document(parts)).check(201)


def test_too_many_attributes(owner, bucket):
    reply = Form(owner, bucket).post([('n', b'')], extra=[('a', 'b')] * 2000).check(400)
    assert reply.text == 'FormPost: too many attributes'


@pytest.mark.parametrize('content_type', [
    'multipart/form-data', 'multipart/form-data; boundary', 'text/plain; boundary=x', 'application/x-www-form-urlencoded'])
def test_what_is_no_form(owner, bucket, content_type):
    form = Form(owner, bucket)
    body = document([part(name, value) for name, value in form.attributes().items()] + [part('f', b'', 'no form')])
    assert form.send(body, content_type).status == 401
    owner.get(bucket, 'no form').check(404)


@pytest.mark.parametrize('boundary', ['other', 'x' * 4000, '""'])
def test_wrong_boundaries(owner, bucket, boundary):
    reply = Form(owner, bucket).send(document([part('a', 'b')]), 'multipart/form-data; boundary=' + boundary).check(400)
    assert reply.text == 'FormPost: invalid starting boundary'


def test_duplicate_boundaries(owner, bucket):
    """The last one counts, as everywhere in such headers."""
    form = Form(owner, bucket)
    body = document([part(name, value) for name, value in form.attributes().items()] + [part('f', b'', 'twice')])
    form.send(body, 'multipart/form-data; boundary=x; boundary=' + BOUNDARY).check(201)
    form.send(body, 'multipart/form-data; boundary=%s; boundary=x' % BOUNDARY).check(400)
    form.send(body, 'multipart/form-data; boundary="%s"' % BOUNDARY).check(201)


def test_damaged_documents(owner, bucket):
    form = Form(owner, bucket, 'damaged/')
    whole = document([part(name, value) for name, value in form.attributes().items()] + [part('f', b'content', 'f')])
    for body in (b'', b'x', b'\r\n', b'\0' * 100000, b'\r' * 100000,
                 whole.replace(b'\r\n\r\n', b'\r\nno colon\r\n\r\n')):
        assert form.send(body).check(400).text == 'FormPost: invalid starting boundary'
    assert form.send(whole.replace(b'\r\n', b'\n')).check(400).text.endswith('No Files To Process')
    form.send(b'\r\n\r\n' + whole + b'epilogue').check(201)
    assert owner.get(bucket, 'damaged/f').check(200).body == b'content'


def test_broken_off(owner, bucket, address):
    """A client that goes away in the middle of a file leaves nothing behind."""
    form = Form(owner, bucket, 'broken/')
    body = document([part(name, value) for name, value in form.attributes().items()] + [part('f', b'x' * 900, 'f')])
    with support.Raw(address) as raw:
        raw.send(support.raw_request('POST', form.path, {
            'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY, 'Content-Length': len(body)}, body[:-500]))
    time.sleep(0.3)
    assert owner.names(bucket, prefix='broken/') == []


def test_cors(owner, new_container):
    name = new_container({'X-Container-Meta-Access-Control-Allow-Origin': 'http://example.com',
                          'X-Container-Meta-Temp-URL-Key': 'key'})
    reply = Form(owner, name).post([('n', b'')], key='key', headers={'Origin': 'http://example.com'}).check(201)
    assert reply.header('Access-Control-Allow-Origin') == 'http://example.com'
