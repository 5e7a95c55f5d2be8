"""The endpoint and the users of the black-box tests.

SWIFTLET_TEST_AUTH=http://127.0.0.1:8080/auth/v1.0 names a server that already runs (with SWIFTLET_TEST_IS_SWIFT=1 when
it is the original Swift).  Otherwise the session starts one by tools/run on free ports with a directory of its own.
"""
import os
import urllib.parse

import pytest

import support
from server import Server


@pytest.fixture(scope='session')
def auth_url():
    given = os.environ.get('SWIFTLET_TEST_AUTH')
    if given:
        yield given
        return
    with Server() as server:
        yield server.auth_url


@pytest.fixture(scope='session')
def address(auth_url):
    """Host and port, for raw sockets."""
    parts = urllib.parse.urlsplit(auth_url)
    return parts.hostname, parts.port


def _user_fixture(name, user, key, meaning):
    @pytest.fixture(scope='session', name=name)
    def log_in(auth_url):
        return support.User.log_in(auth_url, user, key)
    log_in.__doc__ = meaning
    return log_in


owner = _user_fixture('owner', 'test:tester', 'testing', 'Owns the account that the tests work in.')
colleague = _user_fixture('colleague', 'test:tester3', 'testing3', 'A user of the same account with no rights.')
stranger = _user_fixture('stranger', 'test2:tester2', 'testing2', 'Owns another account.')
reseller = _user_fixture('reseller', 'admin:admin', 'admin', 'May do everything in every account.')
service = _user_fixture('service', 'test5:tester5', 'testing5', 'Has the group "service".')


@pytest.fixture
def container(owner):
    """A new container of the owner, gone afterwards."""
    name = support.unique()
    owner.put(name).check(201)
    yield name
    owner.remove_container(name)


@pytest.fixture
def new_container(owner):
    """Makes further containers; takes the headers of the PUT."""
    made = []

    def make(headers=(), user=owner, word='c'):
        name = support.unique(word)
        user.put(name, headers=headers).check(201, 202)
        made.append((user, name))
        return name
    yield make
    for user, name in made:
        user.remove_container(name)


@pytest.fixture(scope='module')
def module_container(owner):
    """A container that the tests of one file share; each uses object names of its own."""
    name = support.unique('shared')
    owner.put(name).check(201)
    yield name
    owner.remove_container(name)
