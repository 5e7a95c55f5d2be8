"""Limits on how often accounts and containers are written to and listed."""
import time

import pytest

import support
from server import Server


@pytest.fixture(scope='module')
def limited():
    options = {'account_ratelimit': '20', 'container_ratelimits': '1:10, 100:5', 'container_listing_ratelimits': '1:10',
               'max_sleep_time_seconds': '2', 'rate_buffer_seconds': '0', 'account_blacklist': 'AUTH_test2'}
    with Server(ratelimit=options) as server:
        yield server


@pytest.fixture
def user(limited):
    return support.User.log_in(limited.auth_url, 'test:tester', 'testing')


def seconds(call, times):
    started = time.monotonic()
    for i in range(times):
        call(i)
    return time.monotonic() - started


def test_containers_of_an_account(user):
    assert seconds(lambda i: user.put('made-%d' % i).check(201, 202), 21) > 0.9


def test_objects_and_listings_of_a_container(user):
    user.put('c').check(201, 202)
    user.put('c', 'first', body=b'').check(201)
    user.post('c').check(204)           # the number of objects is known anew
    assert seconds(lambda i: user.put('c', 'o', body=b'').check(201), 11) > 0.9
    assert seconds(lambda i: user.get('c').check(200), 11) > 0.9
    assert seconds(lambda i: user.get('c', 'o').check(200), 11) < 0.9


def test_an_empty_container_has_no_limit(user):
    user.put('empty').check(201, 202)
    assert seconds(lambda i: user.get('empty').check(204), 30) < 2


def test_blacklist(limited):
    banned = support.User.log_in(limited.auth_url, 'test2:tester2', 'testing2')
    reply = banned.get().check(497)
    assert reply.reason == 'Blacklisted' and reply.text == 'Your account has been blacklisted'


def test_info(limited):
    assert support.http_request(limited.address, 'GET', '/info').json()['ratelimit'] == {
        'account_ratelimit': 20.0, 'max_sleep_time_seconds': 2.0, 'container_ratelimits': [[1, 10.0], [100, 5.0]],
        'container_listing_ratelimits': [[1, 10.0]]}


def test_too_long_a_wait():
    with Server(ratelimit={'account_ratelimit': '1', 'max_sleep_time_seconds': '500ms', 'rate_buffer_seconds': '0'}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('a').check(201)
        reply = user.put('b').check(498)
        assert reply.reason == 'Rate Limited' and reply.text == 'Slow down'
