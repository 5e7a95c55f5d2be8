"""The first walk of a new user: curl against a fresh account, bodies compared by SHA-256."""
import hashlib
import re
import subprocess

import pytest

import support

CURL = ['--silent', '--show-error', '--noproxy', '*', '--max-time', '60']


def curl(*words):
    done = subprocess.run([support.need('curl'), *CURL, *words], capture_output=True, check=False)
    assert done.returncode == 0, 'curl %s: %s' % (' '.join(words), done.stderr.decode())
    return done.stdout


def status(*words):
    """The status of a transfer whose body nobody wants."""
    return int(curl('--output', '/dev/null', '--write-out', '%{http_code}', *words))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope='module')
def session(auth_url):
    """Storage URL and the header with the token, as the login's answer shows them."""
    answer = curl('--include', '-H', 'X-Auth-User: test:tester', '-H', 'X-Auth-Key: testing', auth_url).decode()
    assert re.match(r'HTTP/1\.1 20[04] ', answer), answer
    found = dict(re.findall(r'^(X-[\w-]+): (.*?)\r$', answer, re.MULTILINE | re.IGNORECASE))
    assert re.fullmatch(r'http://[^/]+/v1/AUTH_test', found['X-Storage-Url'])
    return found['X-Storage-Url'], 'X-Auth-Token: ' + found['X-Auth-Token']


@pytest.fixture
def walk(session, owner):
    """A container's URL and the words that carry the token."""
    storage_url, token = session
    container = support.unique('walk')
    url = '%s/%s' % (storage_url, container)
    assert status('-X', 'PUT', '-H', token, url) == 201
    yield url, ['-H', token]
    owner.remove_container(container)


@pytest.mark.parametrize('length', [0, 1, 65536, 65537, 3000001])
def test_upload_list_download_delete(walk, tmp_path, length):
    url, token = walk
    source, target = tmp_path / 'photo.jpg', tmp_path / 'back.jpg'
    source.write_bytes(support.pattern(length))

    # curl appends the file's name to a URL that ends in a slash, and asks for 100-continue when the file is large.
    assert status('-T', str(source), *token, url + '/') == 201
    assert support.eventually(lambda: _listed(curl(*token, url), b'photo.jpg\n'))
    assert curl(*token, url + '?prefix=pho') == b'photo.jpg\n'
    assert status(*token, url + '?prefix=other') == 204
    assert curl(*token, url + '?prefix=other') == b''

    assert sha256(curl(*token, url + '/photo.jpg')) == sha256(source.read_bytes())
    curl('--output', str(target), *token, url + '/photo.jpg')
    assert length == 0 or sha256(target.read_bytes()) == sha256(source.read_bytes())

    head = curl('--head', *token, url + '/photo.jpg').decode()
    assert head.startswith('HTTP/1.1 200 OK\r\n')
    assert 'content-length: %d\r\n' % length in head.lower()
    assert 'content-type: image/jpeg\r\n' in head.lower()
    assert 'etag: %s\r\n' % support.md5(source.read_bytes()) in head.lower()

    assert status('-X', 'DELETE', *token, url + '/photo.jpg') == 204
    assert status(*token, url + '/photo.jpg') == 404
    assert status('-X', 'DELETE', *token, url + '/photo.jpg') == 404


def _listed(found, wanted):
    assert found == wanted
    return True


def test_head_of_account_and_container(walk, session):
    url, token = walk
    account = curl('--head', *token, session[0]).decode().lower()
    assert account.startswith('http/1.1 204 no content\r\n')
    assert re.search(r'^x-account-container-count: [1-9]\d*\r$', account, re.MULTILINE)
    container = curl('--head', *token, url).decode().lower()
    assert container.startswith('http/1.1 204 no content\r\n')
    assert 'x-container-object-count: 0\r\n' in container


def test_container_goes(walk):
    url, token = walk
    assert status('-X', 'DELETE', *token, url) == 204
    assert status(*token, url) == 404


def test_chunked_upload_from_standard_input(walk, tmp_path):
    url, token = walk
    data = support.pattern(300000)
    done = subprocess.run([support.need('curl'), *CURL, '-T', '-', *token, url + '/piped', '--write-out', '%{http_code}',
                           '--output', '/dev/null'], input=data, capture_output=True, check=True)
    assert done.stdout == b'201'
    assert sha256(curl(*token, url + '/piped')) == sha256(data)


def test_several_transfers_on_one_connection(walk):
    """curl keeps the connection; the answers must not run into each other."""
    url, token = walk
    urls = []
    for number in range(5):
        assert status('-X', 'PUT', '--data-binary', 'object %d' % number, *token, '%s/%d' % (url, number)) == 201
        urls.append('%s/%d' % (url, number))
    report = curl(*token, *urls, '--write-out', '[%{num_connects}]').decode()
    assert report == 'object 0[1]' + ''.join('object %d[0]' % number for number in range(1, 5))


def test_range(walk):
    url, token = walk
    assert status('-X', 'PUT', '--data-binary', '0123456789', *token, url + '/ten') == 201
    assert curl('--range', '2-4', *token, url + '/ten') == b'234'
    assert curl('--range', '-3', *token, url + '/ten') == b'789'


def test_head_by_custom_method_gets_no_body(walk):
    """`curl -X HEAD` waits for the announced body; the error of the broken wait (18) is curl's, the head must be right."""
    url, token = walk
    done = subprocess.run([support.need('curl'), *CURL, '--max-time', '2', '-i', '-X', 'HEAD', *token, url],
                          capture_output=True, check=False)
    assert done.returncode == 0, 'a 204 has no body to wait for'
    assert done.stdout.startswith(b'HTTP/1.1 204 ')


def test_without_token(session):
    assert status(session[0]) == 401
    assert status('-H', 'X-Auth-Token: wrong', session[0]) == 401
