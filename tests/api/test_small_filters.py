"""Filters that an operator switches on, and quoted ETags."""
import pytest

import support
from server import Server


@pytest.fixture(scope='module')
def configured():
    """A store with the filters that are off by default; its owner and reseller admin."""
    with Server(read_only={'allow_deletes': 'true'}, name_check={'enabled': 'true', 'maximum_length': '60'},
                crossdomain={'enabled': 'true'}, list_endpoints={'enabled': 'true'}) as server:
        yield support.User.log_in(server.auth_url, 'test:tester', 'testing')


@pytest.mark.parametrize('name, complaint', [
    ('a<b', 'forbidden chars'), ("a'b", 'forbidden chars'), ('a`', 'forbidden chars'), ('x' * 60, 'allowed maximum 60'),
    ('a/./b', 'forbidden substring'), ('a/..', 'forbidden substring')])
def test_name_check(configured, name, complaint):
    reply = configured.put('c', name, body=b'').check(400)
    assert complaint in reply.text


def test_name_check_lets_the_rest_pass(configured):
    configured.put('c').check(201, 202)
    configured.put('c', 'a.b..c', body=b'').check(201)


def test_crossdomain(configured):
    reply = support.http_request(configured.address, 'GET', '/crossdomain.xml').check(200)
    assert reply.header('Content-Type').startswith('application/xml')
    assert reply.text == ('<?xml version="1.0"?>\n<!DOCTYPE cross-domain-policy SYSTEM '
                          '"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >\n<cross-domain-policy>\n'
                          '<allow-access-from domain="*" secure="false" />\n</cross-domain-policy>')


def endpoints(user, path, status=200):
    return support.http_request(user.address, 'GET', '/endpoints/' + path).check(status)


def test_list_endpoints(configured):
    configured.put('c').check(201, 202)
    for path, depth in (('AUTH_test', 1), ('AUTH_test/c', 2), ('AUTH_test/c/o/p', 4)):
        urls = endpoints(configured, path).json()
        assert len(urls) == 3 and endpoints(configured, 'v1/' + path).json() == urls
        for url in urls:
            assert url.startswith('http://127.0.0.1:') and url.endswith('/' + path)
            assert url.count('/') == 4 + depth
        later = endpoints(configured, 'v2/' + path).json()
        assert later['endpoints'] == urls
        assert later['headers'] == ({'X-Backend-Storage-Policy-Index': '0'} if depth > 2 else {})


@pytest.mark.parametrize('path, text', [
    ('v3/AUTH_test', "Unsupported version 'v3'"), ('', 'No account specified'), ('v1', 'No account specified'),
    ('v1//c', 'No account specified')])
def test_list_endpoints_bad(configured, path, text):
    assert endpoints(configured, path, 400).text == text


def test_list_endpoints_is_for_reading(configured):
    assert support.http_request(configured.address, 'PUT', '/endpoints/AUTH_test').check(405).header('Allow') == 'GET'


def test_info_announces_what_is_on(configured, owner):
    info = support.http_request(configured.address, 'GET', '/info').json()
    assert info['name_check'] == {'forbidden_chars': "'\"`<>", 'maximum_length': 60,
                                  'forbidden_regexp': r'/\./|/\.\./|/\.$|/\.\.$'}
    assert info['crossdomain'] == {}
    usual = support.http_request(owner.address, 'GET', '/info').json()
    assert 'name_check' not in usual and 'crossdomain' not in usual and 'read_only' not in usual


def test_read_only():
    with Server(read_only={'read_only': 'true', 'allow_deletes': 'true'}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        for method, names in (('PUT', ['c']), ('POST', []), ('PUT', ['c', 'o']), ('POST', ['c', 'o']), ('COPY', ['c', 'o'])):
            reply = user.request(method, *names, headers={'Destination': 'c/p'}).check(405)
            assert reply.text == 'Writes are disabled for this account.'
        user.get().check(200, 204)
        user.delete('c', 'o').check(404)
        assert support.http_request(server.address, 'GET', '/info').json()['read_only'] == {}


@pytest.mark.parametrize('value, quoted', [('true', True), ('on', True), ('false', False), ('no', False)])
def test_quoted_etags_of_a_container(owner, new_container, value, quoted):
    container = new_container(headers={'X-Container-Rfc-Compliant-Etags': value})
    assert owner.head(container).header('X-Container-Rfc-Compliant-Etags') == str(quoted)
    etag = support.md5(b'x')
    wanted = '"%s"' % etag if quoted else etag
    assert owner.put(container, 'o', body=b'x').check(201).header('ETag') == wanted
    for reply in (owner.get(container, 'o'), owner.head(container, 'o'),
                  owner.get(container, 'o', headers={'If-None-Match': etag})):
        assert reply.check(200, 304).header('ETag') == wanted
    assert owner.get(container, query={'format': 'json'}).json()[0]['hash'] == etag


def test_quoted_etags_of_an_account(owner, container):
    owner.put(container, 'o', body=b'x').check(201)
    owner.post(headers={'X-Account-Rfc-Compliant-Etags': 'true'}).check(204)
    try:
        assert owner.head().header('X-Account-Rfc-Compliant-Etags') == 'True'
        assert owner.head(container, 'o').header('ETag') == '"%s"' % support.md5(b'x')
        owner.post(container, headers={'X-Container-Rfc-Compliant-Etags': 'false'}).check(204)
        assert owner.head(container, 'o').header('ETag') == support.md5(b'x')
        owner.post(container, headers={'X-Remove-Container-Rfc-Compliant-Etags': 'x'}).check(204)
        assert owner.head(container, 'o').header('ETag') == '"%s"' % support.md5(b'x')
    finally:
        owner.post(headers={'X-Remove-Account-Rfc-Compliant-Etags': 'x'}).check(204)
    assert owner.head(container, 'o').header('ETag') == support.md5(b'x')


def test_info_etag_quoter(owner):
    assert support.http_request(owner.address, 'GET', '/info').json()['etag_quoter'] == {'enable_by_default': False}


def test_open_expired():
    with Server(proxy={'allow_open_expired': 'true'}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('c').check(201)
        user.put('c', 'o', body=b'x', headers={'X-Delete-After': '1'}).check(201)

        def gone():
            assert user.get('c', 'o').status == 404
        support.eventually(gone)
        expired = {'X-Open-Expired': 'true'}
        assert user.get('c', 'o', headers=expired).check(200).body == b'x'
        user.head('c', 'o', headers=expired).check(200)
        user.post('c', 'o', headers={'X-Object-Meta-A': 'b'}).check(404)
        user.post('c', 'o', headers=dict(expired, **{'X-Object-Meta-A': 'b', 'X-Delete-After': '1000'})).check(202)
        assert user.get('c', 'o').check(200).header('X-Object-Meta-A') == 'b'
