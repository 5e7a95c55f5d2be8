"""Logging in, tokens, and what an account's own users, other users, resellers and services may do."""
import re
import urllib.parse

import pytest

import support

UNAUTHORIZED = (b'<html><h1>Unauthorized</h1><p>This server could not verify that you are authorized to access the document you '
                b'requested.</p></html>')
FORBIDDEN = b'<html><h1>Forbidden</h1><p>Access was denied to this resource.</p></html>'


def auth_path(auth_url):
    return urllib.parse.urlsplit(auth_url).path


# Logging in

@pytest.mark.parametrize('user, key, account', [
    ('admin:admin', 'admin', 'AUTH_admin'), ('test:tester', 'testing', 'AUTH_test'), ('test2:tester2', 'testing2', 'AUTH_test2'),
    ('test:tester3', 'testing3', 'AUTH_test'), ('test5:tester5', 'testing5', 'AUTH_test5')])
def test_log_in(auth_url, address, user, key, account):
    reply = support.login(auth_url, user, key).check(200)
    assert reply.body == b'' and reply.header('Content-Length') == '0'
    assert re.fullmatch(r'AUTH_tk\S+', reply.header('X-Auth-Token'))
    assert reply.header('X-Storage-Token') == reply.header('X-Auth-Token')
    assert 3600 < int(reply.header('X-Auth-Token-Expires')) <= 86400
    assert reply.header('X-Storage-Url') == 'http://%s:%d/v1/%s' % (address + (account,))
    assert reply.header('X-Trans-Id')


def test_storage_url_follows_the_host(auth_url, address):
    """The URL is built from what the client calls the server."""
    with support.Raw(address) as raw:
        raw.send(support.raw_request('GET', auth_path(auth_url), {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'},
                                     host='storage.example:8888'))
        assert raw.reply().check(200).header('X-Storage-Url') == 'http://storage.example:8888/v1/AUTH_test'


@pytest.mark.parametrize('headers', [
    {'X-Storage-User': 'test:tester', 'X-Storage-Pass': 'testing'}, {'X-Auth-User': 'test:tester', 'X-Storage-Pass': 'testing'},
    {'X-Storage-User': 'test:tester', 'X-Auth-Key': 'testing'}])
def test_log_in_with_the_other_headers(auth_url, address, headers):
    support.http_request(address, 'GET', auth_path(auth_url), headers).check(200)


@pytest.mark.parametrize('path', ['/auth/v1.0', '/auth/v1.0/', '/auth/auth', '/auth/v1/test/auth'])
def test_log_in_paths(address, path):
    support.http_request(address, 'GET', path, {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'}).check(200)


@pytest.mark.parametrize('headers, realm', [
    ({}, 'unknown'), ({'X-Auth-User': 'test:tester'}, 'test'), ({'X-Auth-Key': 'testing'}, 'unknown'),
    ({'X-Auth-User': 'test:tester', 'X-Auth-Key': 'wrong'}, 'unknown'),
    ({'X-Auth-User': 'test:tester', 'X-Auth-Key': ''}, 'test'),
    ({'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testingg'}, 'unknown'),
    ({'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testin'}, 'unknown'),
    ({'X-Auth-User': 'test:nobody', 'X-Auth-Key': 'testing'}, 'test'),
    ({'X-Auth-User': 'nowhere:tester', 'X-Auth-Key': 'testing'}, 'nowhere'),
    ({'X-Auth-User': 'tester', 'X-Auth-Key': 'testing'}, 'unknown'),
    ({'X-Auth-User': ':tester', 'X-Auth-Key': 'testing'}, 'unknown'),
    ({'X-Auth-User': 'test:', 'X-Auth-Key': 'testing'}, 'test'),
    ({'X-Auth-User': 'TEST:tester', 'X-Auth-Key': 'testing'}, 'TEST')])
def test_log_in_refused(auth_url, address, headers, realm):
    reply = support.http_request(address, 'GET', auth_path(auth_url), headers).check(401)
    assert reply.header('Www-Authenticate') == 'Swift realm="%s"' % realm
    assert reply.body == UNAUTHORIZED
    assert not reply.has('X-Auth-Token') and not reply.has('X-Storage-Url')


@pytest.mark.parametrize('method', ['PUT', 'POST', 'DELETE'])
def test_log_in_is_a_get(auth_url, address, method):
    support.http_request(address, method, auth_path(auth_url),
                         {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'}).check(405)


@pytest.mark.parametrize('path, status', [('/auth/v2.0', 400), ('/auth/v1', 400), ('/auth/', 404)])
def test_unknown_log_in_paths(address, path, status):
    support.http_request(address, 'GET', path, {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'}).check(status)


def test_tokens_of_two_log_ins_both_work(auth_url, owner):
    for _ in range(2):
        support.User.log_in(auth_url, 'test:tester', 'testing').head().check(204)
    owner.head().check(204)


def test_storage_token_header(owner):
    """The old name of X-Auth-Token."""
    owner.without_token().head(headers={'X-Storage-Token': owner.token}).check(204)


# Bad tokens

@pytest.mark.parametrize('names', [(), ('c',), ('c', 'o')], ids=['account', 'container', 'object'])
@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])
def test_no_token(owner, names, method):
    reply = owner.without_token().request(method, *names).check(401)
    assert reply.header('Www-Authenticate') == 'Swift realm="AUTH_test"'
    assert reply.body == (b'' if method == 'HEAD' else UNAUTHORIZED)
    assert reply.header('X-Trans-Id')


@pytest.mark.parametrize('token', ['', 'AUTH_tk', 'AUTH_tk0123456789abcdef0123456789abcdef', 'nonsense', 'x' * 8000, '../..', '%00',
                                   'é', b'\xff\xfe', 'AUTH_tk ' * 20])
def test_bad_token(owner, token):
    for names in ((), ('c',), ('c', 'o')):
        owner.without_token().get(*names, headers={'X-Auth-Token': token}).check(401)


@pytest.mark.parametrize('change', [lambda token: token[:-1], lambda token: token + 'a', lambda token: token.swapcase(),
                                    lambda token: token[:-1] + ('0' if token[-1] != '0' else '1'),
                                    lambda token: token[:20] + ('0' if token[20] != '0' else '1') + token[21:],
                                    lambda token: token.replace('AUTH_tk', 'SERVICE_tk'), lambda token: token[7:]])
def test_forged_token(owner, change):
    owner.without_token().get(headers={'X-Auth-Token': change(owner.token)}).check(401)


def test_a_401_leaves_the_connection_alive(owner, address):
    """Clients that look for the kind of authentication ask first without a token."""
    with support.Raw(address) as raw:
        raw.send(support.raw_request('GET', owner.account_path))
        raw.reply().check(401)
        raw.send(support.raw_request('HEAD', owner.account_path, {'X-Auth-Token': owner.token}))
        raw.reply('HEAD').check(204)


def test_every_request_of_a_connection_is_judged_alone(owner, stranger, container, address):
    with support.Raw(address) as raw:
        for token, status in ((owner.token, 204), (stranger.token, 403), ('nonsense', 401), (None, 401), (owner.token, 204)):
            raw.send(support.raw_request('HEAD', owner.path(container), {'X-Auth-Token': token} if token else {}))
            raw.reply('HEAD').check(status)


@pytest.mark.parametrize('account', ['AUTH_"quoted"', 'AUTH_a\r\nX-Evil: 1', 'AUTH_é', 'AUTH_<b>'])
def test_realm_is_quoted(owner, account):
    reply = owner.without_token().get(path='/v1/' + support.quote(account)).check(401)
    assert len(reply.all('Www-Authenticate')) == 1 and not reply.has('X-Evil')
    assert reply.header('Www-Authenticate') == 'Swift realm="%s"' % support.quote(account)


# Who may do what

@pytest.mark.parametrize('names', [(), ('c',), ('c', 'o')], ids=['account', 'container', 'object'])
@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])
@pytest.mark.parametrize('who', ['stranger', 'colleague', 'service'])
def test_not_allowed(owner, request, who, method, names):
    reply = request.getfixturevalue(who).at(owner).request(method, *names).check(403)
    assert reply.body == (b'' if method == 'HEAD' else FORBIDDEN)
    assert not reply.has('Www-Authenticate')


def test_nothing_of_a_forbidden_request_happens(owner, stranger, container):
    owner.put(container, 'o', body=b'mine').check(201)
    intruder = stranger.at(owner)
    intruder.put(container, 'o', body=b'theirs').check(403)
    intruder.put(container, 'p', body=b'theirs').check(403)
    intruder.post(container, 'o', headers={'X-Object-Meta-A': '1'}).check(403)
    intruder.delete(container, 'o').check(403)
    intruder.post(container, headers={'X-Container-Read': '.r:*'}).check(403)
    intruder.post(headers={'X-Account-Meta-Intruder': '1'}).check(403)
    assert owner.get(container, 'o').check(200).body == b'mine'
    owner.get(container, 'p').check(404)
    assert not owner.head(container).has('X-Container-Read') and not owner.head().has('X-Account-Meta-Intruder')


def test_owner_of_an_account_cannot_make_or_remove_it(owner):
    owner.put().check(403)
    owner.delete().check(403)


def test_reseller(owner, reseller, container):
    boss = reseller.at(owner)
    boss.get().check(200)
    boss.put(container, 'o', body=b'x').check(201)
    assert owner.get(container, 'o').check(200).body == b'x'
    boss.post(container, headers={'X-Container-Read': '.r:*'}).check(204)
    assert boss.head(container).header('X-Container-Read') == '.r:*'
    boss.delete(container, 'o').check(204)


def test_accounts_of_nobody(owner, reseller):
    """Names without the reseller's prefix belong to no user, not even to the reseller."""
    for path in ('/v1/test', '/v1/OTHER_test', '/v1/AUTH', '/v1/.AUTH_test'):
        owner.get(path=path).check(403)
        owner.without_token().get(path=path).check(401)
        reseller.get(path=path).check(403)


# Service tokens

def test_service_account_wants_both_tokens(owner, service, stranger):
    """SERVICE_test is the account of a service that works for test:tester."""
    depot = '/v1/SERVICE_test'
    name = support.unique('service')
    both = {'X-Service-Token': service.token}
    user = owner.at(depot)
    user.put(name).check(403)
    service.at(depot).put(name).check(403)
    service.at(depot).put(name, headers=both).check(403)
    stranger.at(depot).put(name, headers=both).check(403)
    user.put(name, headers={'X-Service-Token': owner.token}).check(403)
    user.put(name, headers={'X-Service-Token': 'nonsense'}).check(403)
    try:
        user.put(name, headers=both).check(201)
        user.put(name, 'o', headers=both, body=b'x').check(201)
        assert user.get(name, 'o', headers=both).check(200).body == b'x'
        user.get(name, 'o').check(403)
        user.delete(name, 'o').check(403)
    finally:
        user.delete(name, 'o', headers=both)
        user.delete(name, headers=both)


def test_service_token_adds_nothing_elsewhere(owner, service, colleague, stranger, container):
    """In an ordinary account a service token neither helps nor hurts."""
    both = {'X-Service-Token': service.token}
    owner.head(container, headers=both).check(204)
    owner.head(container, headers={'X-Service-Token': 'nonsense'}).check(204)
    colleague.head(container, headers=both).check(403)
    stranger.at(owner).head(container, headers=both).check(403)
    owner.without_token().head(container, headers=both).check(401)


# Only owners see and set what is the owner's

def test_owner_headers(owner, colleague, container):
    owner.post(container, headers={'X-Container-Read': 'test:tester3,.rlistings', 'X-Container-Write': 'test:tester3'}).check(204)
    head = colleague.head(container).check(204)
    assert not head.has('X-Container-Read') and not head.has('X-Container-Write')
    colleague.post(container, headers={'X-Container-Read': '.r:*', 'X-Container-Meta-A': '1'}).check(403)
    assert owner.head(container).header('X-Container-Read') == 'test:tester3,.rlistings'
    assert not owner.head(container).has('X-Container-Meta-A')


def test_reseller_reads_hidden_account_as_nobody(reseller):
    reseller.get(path='/v1/.expiring_objects').check(403)
