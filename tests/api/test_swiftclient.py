"""python3-swiftclient as a library: swiftclient.client.Connection."""
import io

import pytest
import swiftclient
from swiftclient.exceptions import ClientException

import support


@pytest.fixture
def connection(auth_url):
    made = swiftclient.Connection(auth_url, 'test:tester', 'testing', auth_version='1', retries=0)
    yield made
    made.close()


def failing(call, *arguments, **options):
    """The status with which a call fails."""
    with pytest.raises(ClientException) as caught:
        call(*arguments, **options)
    return caught.value.http_status


def test_get_auth(connection):
    url, token = connection.get_auth()
    assert url.endswith('/v1/AUTH_test') and token


def test_get_auth_with_wrong_key(auth_url):
    wrong = swiftclient.Connection(auth_url, 'test:tester', 'wrong', auth_version='1', retries=0)
    assert failing(wrong.get_auth) == 401


def test_account(connection, container):
    headers, rows = connection.get_account(prefix=container)
    assert [row['name'] for row in rows] == [container]
    assert set(rows[0]) >= {'name', 'count', 'bytes', 'last_modified'}
    assert int(headers['x-account-container-count']) >= 1
    assert int(connection.head_account()['x-account-container-count']) >= 1
    key = 'x-account-meta-' + container
    connection.post_account({key: 'yes'})
    assert connection.head_account()[key] == 'yes'
    connection.post_account({key: ''})
    assert key not in connection.head_account()


def test_container(connection):
    name = support.unique()
    assert failing(connection.head_container, name) == 404
    connection.put_container(name, headers={'X-Container-Meta-A': '1'})
    connection.put_container(name)
    assert connection.head_container(name)['x-container-meta-a'] == '1'
    connection.post_container(name, {'X-Container-Meta-B': '2', 'X-Remove-Container-Meta-A': 'x'})
    head = connection.head_container(name)
    assert head['x-container-meta-b'] == '2' and 'x-container-meta-a' not in head
    headers, rows = connection.get_container(name)
    assert rows == [] and headers['x-container-object-count'] == '0'
    connection.put_object(name, 'o', b'x')
    assert failing(connection.delete_container, name) == 409
    connection.delete_object(name, 'o')
    connection.delete_container(name)
    assert failing(connection.get_container, name) == 404


@pytest.mark.parametrize('length', [0, 1, 65535, 65536, 65537, 1 << 20, 5000000])
def test_object_with_length(connection, container, length):
    data = support.pattern(length)
    etag = connection.put_object(container, 'o', data, content_length=length, etag=support.md5(data))
    assert etag == support.md5(data)
    headers, body = connection.get_object(container, 'o')
    assert body == data and headers['etag'] == etag and headers['content-length'] == str(length)
    assert float(headers['x-timestamp']) > 1e9


def test_object_from_a_stream_is_chunked(connection, container):
    data = support.pattern(700000)
    assert connection.put_object(container, 'o', io.BytesIO(data), chunk_size=100000) == support.md5(data)
    headers, stream = connection.get_object(container, 'o', resp_chunk_size=65536)
    assert b''.join(stream) == data and headers['content-length'] == '700000'


def test_object_from_a_generator(connection, container):
    connection.put_object(container, 'o', iter([b'one', b'two', b'three']))
    assert connection.get_object(container, 'o')[1] == b'onetwothree'


def test_object_headers(connection, container):
    connection.put_object(container, 'o', b'x', content_type='text/x-one', headers={
        'X-Object-Meta-Colour': 'grün', 'Content-Disposition': 'inline', 'Content-Encoding': 'odd'})
    head = connection.head_object(container, 'o')
    assert head['x-object-meta-colour'] == 'grün' and head['content-type'] == 'text/x-one'
    assert head['content-disposition'] == 'inline' and head['content-encoding'] == 'odd'
    connection.post_object(container, 'o', {'X-Object-Meta-Size': '2'})
    head = connection.head_object(container, 'o')
    assert head['x-object-meta-size'] == '2' and 'x-object-meta-colour' not in head
    assert head['content-type'] == 'text/x-one'


def test_full_listing_pages_by_itself(connection, container):
    names = ['%02d' % number for number in range(25)]
    for name in names:
        connection.put_object(container, name, name)
    found = support.eventually(lambda: _names(connection, container, names))
    assert found == names
    assert [row['name'] for row in connection.get_container(container, limit=3, marker='04')[1]] == ['05', '06', '07']
    assert [row['name'] for row in connection.get_container(container, end_marker='02')[1]] == ['00', '01']


def _names(connection, container, wanted):
    found = [row['name'] for row in connection.get_container(container, limit=4, full_listing=True)[1]]
    assert found == wanted
    return found


def test_copy_object(connection, container):
    connection.put_object(container, 'o', b'copy me', headers={'X-Object-Meta-A': '1'})
    connection.copy_object(container, 'o', destination='/%s/p' % container)
    headers, body = connection.get_object(container, 'p')
    assert body == b'copy me' and headers['x-object-meta-a'] == '1'


def test_conditional_put(connection, container):
    once = {'If-None-Match': '*'}
    connection.put_object(container, 'o', b'1', headers=once)
    assert failing(connection.put_object, container, 'o', b'2', headers=once) == 412
    assert connection.get_object(container, 'o')[1] == b'1'


def test_wrong_etag(connection, container):
    assert failing(connection.put_object, container, 'o', b'1', etag='0' * 32) == 422
    assert failing(connection.head_object, container, 'o') == 404


def test_names(connection, container):
    names = ['with space', 'grün/日本', 'a//b', 'per%20cent', 'tail/', 'q\'"?#&;=+', 'x' * 1024]
    for name in names:
        connection.put_object(container, name, name.encode())
        assert connection.get_object(container, name)[1].decode() == name
    wanted = sorted(names, key=lambda name: name.encode())
    assert support.eventually(lambda: _names(connection, container, wanted)) == wanted


def test_capabilities(connection):
    assert connection.get_capabilities()['swift']['max_file_size'] == 5368709122


def test_stale_token_is_renewed(connection, container, auth_url):
    """A 401 makes the client log in again."""
    again = swiftclient.Connection(auth_url, 'test:tester', 'testing', auth_version='1', retries=1, starting_backoff=0)
    again.url, again.token = connection.get_auth()[0], 'AUTH_tk_stale'
    again.head_container(container)
    assert again.token != 'AUTH_tk_stale'
