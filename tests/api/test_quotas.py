"""Quotas of accounts and containers."""
import pytest

import support


@pytest.fixture
def account_quota(reseller, owner):
    """Sets a quota of the owner's account; removed afterwards."""
    names = set()

    def set_quota(name, value):
        names.add(name)
        return reseller.at(owner).post(headers={'X-Account-' + name: value})
    yield set_quota
    for name in names:
        reseller.at(owner).post(headers={'X-Remove-Account-' + name: 'x'}).check(204)


def used(owner, name):
    return int(owner.head().header('X-Account-' + name))


@pytest.mark.parametrize('name, text', [('Bytes', 'Invalid bytes quota.'), ('Count', 'Invalid count quota.')])
@pytest.mark.parametrize('value', ['-1', 'many', '1.5', '0x10'])
def test_container_quota_must_be_a_number(owner, container, name, text, value):
    reply = owner.post(container, headers={'X-Container-Meta-Quota-' + name: value}).check(400)
    assert reply.text == text


def test_container_bytes(owner, container):
    owner.post(container, headers={'X-Container-Meta-Quota-Bytes': '10'}).check(204)
    owner.put(container, 'fits', body=b'0123456789').check(201)
    reply = owner.put(container, 'more', body=b'0').check(413)
    assert reply.text == 'Upload exceeds quota.'
    support.eventually(lambda: owner.put(container, 'empty', body=b'').check(201))
    owner.post(container, headers={'X-Container-Meta-Quota-Bytes': ''}).check(204)
    owner.put(container, 'more', body=b'0').check(201)


def test_container_count(owner, container):
    owner.post(container, headers={'X-Container-Meta-Quota-Count': '1'}).check(204)
    owner.put(container, 'one', body=b'').check(201)
    owner.post(container, headers={'X-Container-Meta-Quota-Count': '1'}).check(204)
    owner.put(container, 'two', body=b'').check(413)
    owner.get(container, 'two').check(404)


def test_container_quota_is_not_told_to_strangers(owner, stranger, container):
    owner.post(container, headers={'X-Container-Meta-Quota-Bytes': '0'}).check(204)
    stranger.at(owner).put(container, 'o', body=b'x').check(403)
    owner.put(container, 'o', body=b'x').check(413)


def test_copy_counts(owner, container, new_container):
    small = new_container(headers={'X-Container-Meta-Quota-Bytes': '3'})
    owner.put(container, 'source', body=b'four').check(201)
    owner.put(small, 'copy', headers={'X-Copy-From': '%s/source' % container}).check(413)


@pytest.mark.parametrize('name', ['Quota-Bytes', 'Quota-Count', 'Quota-Bytes-Policy-Policy-0', 'Quota-Count-Policy-Policy-0'])
def test_account_quota_is_the_resellers_to_set(owner, account_quota, reseller, name):
    owner.post(headers={'X-Account-' + name: '10'}).check(403)
    owner.post(headers={'X-Remove-Account-' + name: 'x'}).check(403)
    if name == 'Quota-Bytes':
        owner.post(headers={'X-Remove-Account-Meta-Quota-Bytes': ''}).check(403)
    account_quota(name, 'many').check(400)
    account_quota(name, '1000000000000').check(204)
    assert owner.head().header('X-Account-' + name) == '1000000000000'
    assert not owner.head().has('X-Account-Sysmeta-' + name)
    stored = name.replace('-Policy-Policy-', '-Policy-')
    owner.post(headers={'X-Remove-Account-Sysmeta-' + stored: 'x'}).check(204)
    assert owner.head().header('X-Account-' + name) == '1000000000000'


@pytest.mark.parametrize('name, counter, text', [
    ('Quota-Bytes', 'Bytes-Used', 'Upload exceeds quota.'),
    ('Quota-Count', 'Object-Count', 'Upload exceeds quota.'),
    ('Meta-Quota-Bytes', 'Bytes-Used', 'Upload exceeds quota.'),
    ('Quota-Bytes-Policy-Policy-0', 'Bytes-Used', 'Upload exceeds policy quota.'),
    ('Quota-Count-Policy-Policy-0', 'Object-Count', 'Upload exceeds policy quota.')])
def test_account_quota_holds(owner, reseller, container, account_quota, name, counter, text):
    owner.put(container, 'before', body=b'x').check(201)
    support.eventually(lambda: owner.get(container).lines() == ['before'])
    account_quota(name, str(used(owner, counter))).check(204)
    body = b'x' * 100000
    reply = owner.put(container, 'o', body=body).check(413)
    assert reply.text == text
    owner.get(container, 'o').check(404)
    reseller.at(owner).put(container, 'o', body=body).check(201)


def test_deletes_and_reads_go_on(owner, container, account_quota):
    owner.put(container, 'o', body=b'x').check(201)
    account_quota('Quota-Bytes', '0').check(204)
    owner.get(container, 'o').check(200)
    owner.post(container, 'o', headers={'X-Object-Meta-A': 'b'}).check(202)
    owner.delete(container, 'o').check(204)


def test_info(owner):
    info = support.http_request(owner.address, 'GET', '/info').json()
    assert info['account_quotas'] == {} and info['container_quotas'] == {}
