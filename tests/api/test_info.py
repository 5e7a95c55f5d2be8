"""/info and /healthcheck."""
import hmac
import time
import urllib.parse

import pytest

import support
from server import Server

LIMITS = {'max_file_size': 5368709122, 'max_meta_name_length': 128, 'max_meta_value_length': 256, 'max_meta_count': 90,
          'max_meta_overall_size': 4096, 'max_header_size': 8192, 'max_object_name_length': 1024, 'container_listing_limit': 10000,
          'account_listing_limit': 10000, 'max_account_name_length': 256, 'max_container_name_length': 256, 'extra_header_count': 0}


@pytest.fixture
def info(owner):
    reply = owner.without_token().get(path='/info').check(200)
    assert reply.header('Content-Type') == 'application/json; charset=UTF-8'
    return reply.json()


def test_limits(info):
    assert {key: info['swift'].get(key) for key in LIMITS} == LIMITS


def test_core(info):
    core = info['swift']
    assert core['version'] and core['account_autocreate'] is True and core['strict_cors_mode'] is True
    assert isinstance(core['allow_account_management'], bool)
    assert 'valid_api_versions' not in core and 'auto_create_account_prefix' not in core, 'these are nobody\'s business'


def test_policies(info):
    policies = info['swift']['policies']
    assert [policy.get('default') for policy in policies].count(True) == 1
    for policy in policies:
        assert policy['name'] in policy['aliases'].split(', ')
        assert policy.get('default', True) is True, 'the key stands on the default only'


def test_auth(info):
    assert info['tempauth']['account_acls'] is True


def test_sections_are_dictionaries(info):
    assert all(isinstance(section, dict) for section in info.values())


def test_methods(owner):
    guest = owner.without_token()
    head = guest.head(path='/info').check(200)
    assert head.body == b'' and head.header('Content-Length') == str(len(guest.get(path='/info').body))
    assert set(guest.options(path='/info').check(200).header('Allow').split(', ')) == {'GET', 'HEAD', 'OPTIONS'}
    for method in ('PUT', 'POST', 'DELETE', 'FOO'):
        guest.request(method, path='/info').check(405)


def test_with_a_token_or_a_query(owner):
    owner.get(path='/info').check(200)
    owner.get(path='/info', query='format=json').check(200)


def test_forged_signature(owner):
    owner.get(path='/info', query='swiftinfo_sig=00&swiftinfo_expires=9999999999').check(403)    # no admin key is set


def test_healthcheck(owner):
    guest = owner.without_token()
    reply = guest.get(path='/healthcheck').check(200)
    assert reply.body == b'OK' and reply.header('Content-Type') == 'text/plain'
    head = guest.head(path='/healthcheck').check(200)
    assert head.body == b'' and head.header('Content-Length') == '2'
    owner.get(path='/healthcheck').check(200)


ADMIN_KEY = 'admin-key'


@pytest.fixture(scope='module')
def with_admin():
    with Server(proxy={'admin_key': ADMIN_KEY, 'disallowed_sections': 'container_quotas, swift.version, nobody.knows'}) as server:
        yield server


def admin_info(server, method='GET', signed='GET', seconds=60, key=ADMIN_KEY, **wrong):
    expires = int(time.time()) + seconds
    signature = hmac.new(key.encode(), ('%s\n%d\n/info' % (signed, expires)).encode(), 'sha1').hexdigest()
    query = urllib.parse.urlencode(dict({'swiftinfo_sig': signature, 'swiftinfo_expires': expires}, **wrong))
    return support.http_request(server.address, method, '/info?' + query)


def test_admin_info(with_admin):
    info = admin_info(with_admin).check(200).json()
    assert info['admin'] == {'disallowed_sections': ['container_quotas', 'swift.version', 'nobody.knows']}
    assert 'container_quotas' not in info and 'version' not in info['swift'] and 'account_quotas' in info
    admin_info(with_admin, method='HEAD', signed='GET').check(200)
    admin_info(with_admin, method='HEAD', signed='HEAD').check(200)
    assert 'admin' not in support.http_request(with_admin.address, 'GET', '/info').check(200).json()


@pytest.mark.parametrize('wrong', [
    {'signed': 'HEAD'}, {'seconds': -5}, {'key': 'other'}, {'swiftinfo_sig': ''}, {'swiftinfo_sig': '0' * 40},
    {'swiftinfo_expires': ''}, {'swiftinfo_expires': 'soon'}])
def test_admin_info_refused(with_admin, wrong):
    admin_info(with_admin, **wrong).check(401)


def test_admin_info_without_a_key(owner):
    support.http_request(owner.address, 'GET', '/info?swiftinfo_sig=x&swiftinfo_expires=1').check(403)
