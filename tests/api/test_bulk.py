"""Archives that are unpacked on arrival, and many deletions by one request."""
import bz2
import gzip
import io
import json
import tarfile
import time

import pytest

import support

JSON = {'Accept': 'application/json'}
PACK = {'tar': lambda data: data, 'tar.gz': gzip.compress, 'tar.bz2': bz2.compress}


def tar(*files, form=tarfile.PAX_FORMAT):
    """An archive of (name, content) or (TarInfo, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=form) as archive:
        for name, content in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def upload(user, body, *names, form='tar', headers=JSON, **options):
    reply = user.put(*names, body=body, query={'extract-archive': form}, headers=headers, **options).check(200)
    return json.loads(reply.body) if headers == JSON else reply


@pytest.fixture
def names(owner):
    """Two container names that do not exist yet; removed afterwards."""
    made = [support.unique('bulk'), support.unique('bulk')]
    yield made
    for name in made:
        owner.remove_container(name)


@pytest.mark.parametrize('form', sorted(PACK))
@pytest.mark.parametrize('layout', [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_upload_to_the_account(owner, names, form, layout):
    large = support.pattern(200000)
    data = tar(('%s/a' % names[0], b'first'), ('./%s/b/c' % names[0], large), ('/%s/d' % names[1], b''), ('alone', b'x'), form=layout)
    told = upload(owner, PACK[form](data), form=form)
    assert told == {'Response Status': '201 Created', 'Response Body': '', 'Number Files Created': 3, 'Errors': []}
    assert owner.get(names[0], 'a').body == b'first' and owner.get(names[0], 'b/c').body == large
    assert owner.get(names[1], 'd').body == b''


def test_upload_below_a_container_and_a_prefix(owner, container):
    assert upload(owner, tar(('x/y', b'1'), ('z', b'2')), container)['Number Files Created'] == 2
    assert upload(owner, tar(('x/y', b'3')), container, 'prefix/')['Number Files Created'] == 1
    assert owner.get(container, 'x/y').body == b'1' and owner.get(container, 'z').body == b'2'
    assert owner.get(container, 'prefix/x/y').body == b'3'


def test_upload_chunked(owner, container):
    data = tar(('o', support.pattern(300000)))
    pieces = [data[i:i + 10000] for i in range(0, len(data), 10000)]
    assert upload(owner, iter(pieces), container)['Number Files Created'] == 1
    assert owner.get(container, 'o').body == support.pattern(300000)


def test_upload_headers_and_attributes(owner, container):
    info = tarfile.TarInfo('o')
    info.pax_headers = {'SCHILY.xattr.user.mime_type': 'food/diner', 'SCHILY.xattr.user.meta.lunch': 'sopressata',
                        'SCHILY.xattr.user.meta.bad': 'x\r\nX-Object-Meta-Evil: y', 'SCHILY.xattr.other': 'z'}
    reply = upload(owner, tar((info, b'x')), container, headers=dict(JSON, **{'X-Object-Meta-Dinner': 'soup', 'X-Delete-After': '100'}))
    assert reply.json()['Number Files Created'] == 1
    reply = owner.head(container, 'o').check(200)
    assert reply.header('Content-Type') == 'food/diner' and reply.header('X-Object-Meta-Lunch') == 'sopressata'
    assert reply.header('X-Object-Meta-Dinner') == 'soup' and reply.header('X-Delete-At')
    assert not reply.has('X-Object-Meta-Evil') and not reply.has('X-Object-Meta-Bad')


def special(name, kind, target=''):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b''


def test_only_regular_files(owner, container):
    data = tar((special('link', tarfile.SYMTYPE, '/etc/passwd')), (special('hard', tarfile.LNKTYPE, 'o')),
               (special('device', tarfile.CHRTYPE)), (special('pipe', tarfile.FIFOTYPE)), (special('dir', tarfile.DIRTYPE)),
               ('o', b'x'), ('../up', b'y'))
    assert upload(owner, data, container)['Number Files Created'] == 2
    assert owner.names(container) == ['../up', 'o']


def test_file_without_a_name(owner, container):
    """It would be the container itself."""
    data = tar(('', b'1'), ('./', b'2'), ('o', b'3'), form=tarfile.USTAR_FORMAT)
    assert upload(owner, data, container)['Number Files Created'] == 1
    assert owner.names(container) == ['o']


@pytest.mark.parametrize('body, form', [
    (b'not a tar archive' * 100, 'tar'), (b'', 'tar'), (b'', 'tar.gz'), (b'\x1f\x8b' + b'x' * 600, 'tar.gz'),
    (b'BZh9' + b'x' * 600, 'tar.bz2')])
def test_bad_archives(owner, container, body, form):
    told = upload(owner, body, container, form=form)
    assert told['Response Status'] == '400 Bad Request' and told['Response Body'].startswith('Invalid Tar File')
    assert told['Number Files Created'] == 0


def test_truncated_archive(owner, container):
    data = tar(('a', b'x' * 5000), ('b', b'y' * 50000))
    told = upload(owner, data[:20000], container)
    assert told['Response Status'].startswith('4') and told['Number Files Created'] == 1
    owner.get(container, 'b').check(404)


def test_names_and_sizes_that_are_refused(owner, container):
    data = tar(('x' * 1025, b'1'), (b'bad\xff'.decode('latin-1').encode('utf-8').decode(), b'2'), ('good', b'3'))
    told = upload(owner, data, container)
    assert told['Response Status'] == '400 Bad Request' and told['Number Files Created'] == 2
    assert told['Errors'] == [['%s/%s' % (container, 'x' * 1025), '400 Bad Request']]


def test_unsupported_format(owner, container):
    assert owner.put(container, body=b'', query={'extract-archive': 'zip'}).check(400).text == 'Unsupported archive format'


def test_upload_without_rights(owner, stranger, container):
    told = upload(stranger.at(owner), tar(('o', b'x')), container)
    assert told['Response Status'] == '400 Bad Request' and told['Errors'][-1] == ['%s/o' % container, '403 Forbidden']
    told = upload(owner.without_token(), tar(('o', b'x')), container)
    assert told['Response Status'] == '401 Unauthorized'
    owner.get(container, 'o').check(404)


def test_upload_forms(owner, container):
    plain = owner.put(container, body=tar(('o', b'x')), query={'extract-archive': 'tar'}).check(200)
    assert plain.text == 'Number Files Created: 1\nResponse Body: \nResponse Status: 201 Created\nErrors:\n'
    xml = upload(owner, tar(('o', b'x')), container, headers={'Accept': 'text/xml'})
    assert xml.text.endswith('<extract>\n<number_files_created>1</number_files_created>\n<response_body></response_body>\n'
                             '<response_status>201 Created</response_status>\n<errors>\n</errors>\n</extract>\n')


# ---- deletion ----

def delete(user, lines, method='POST', headers=(), status=200, **options):
    body = lines if isinstance(lines, bytes) else '\n'.join(map(support.quote, lines)).encode()
    reply = user.request(method, body=body, query={'bulk-delete': ''},
                         headers=dict({'Content-Type': 'text/plain', 'Accept': 'application/json'}, **dict(headers)), **options)
    return json.loads(reply.check(status).body)


@pytest.mark.parametrize('method', ['POST', 'DELETE'])
def test_delete(owner, names, method):
    owner.put(names[0]).check(201)
    objects = ['a', 'b/c', 'é ü', '%41', 'd?e']
    for name in objects:
        owner.put(names[0], name, body=b'').check(201)
    told = delete(owner, [names[0]] + ['/%s/%s' % (names[0], name) for name in objects] + ['%s/none' % names[0]], method)
    assert told == {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 6, 'Number Not Found': 1, 'Errors': []}
    owner.get(names[0]).check(404)


def test_delete_with_the_other_token_header(owner, container):
    owner.put(container, 'o', body=b'').check(201)
    told = delete(owner.without_token(), ['%s/o' % container], headers={'X-Storage-Token': owner.token})
    assert told['Number Deleted'] == 1 and told['Errors'] == []


def test_delete_of_full_containers_and_bad_names(owner, container):
    owner.put(container, 'o', body=b'').check(201)
    told = delete(owner, ('%s\n/%s/%%FF\n\n' % (container, container)).encode())
    assert told['Response Status'] == '400 Bad Request' and told['Number Deleted'] == 0
    assert sorted(told['Errors']) == sorted([[container, '409 Conflict'], ['%s/%%FF' % container, '412 Precondition Failed']])


def test_delete_nothing(owner):
    told = delete(owner, b'')
    assert told['Response Status'] == '400 Bad Request' and told['Response Body'] == 'Invalid bulk delete.'


def test_delete_limits(owner):
    told = delete(owner, ['c/%d' % i for i in range(10001)])
    assert told['Response Status'] == '413 Request Entity Too Large'
    assert told['Response Body'] == 'Maximum Bulk Deletes: 10000 per request'
    assert delete(owner, ['c/' + 'x' * 3000])['Response Body'] == 'Invalid File Name'


def test_delete_of_the_wrong_type(owner):
    assert delete(owner, b'x/y', headers={'Content-Type': 'application/json'})['Response Status'] == '406 Not Acceptable'


def test_delete_without_rights(owner, stranger, container):
    owner.put(container, 'o', body=b'').check(201)
    told = delete(stranger.at(owner), ['%s/o' % container])
    assert told['Errors'] == [['%s/o' % container, '403 Forbidden']] and told['Number Deleted'] == 0
    owner.get(container, 'o').check(200)


def test_delete_many(owner, container):
    data = tar(*[('%05d' % i, b'') for i in range(3000)])
    assert upload(owner, data, container, timeout=120)['Number Files Created'] == 3000
    started = time.monotonic()
    told = delete(owner, ['%s/%05d' % (container, i) for i in range(3000)], timeout=120)
    assert told['Number Deleted'] == 3000 and told['Errors'] == []
    print('3000 deletions in %.1f s' % (time.monotonic() - started))


def test_info(owner):
    info = support.http_request(owner.address, 'GET', '/info').json()
    assert info['bulk_upload'] == {'max_containers_per_extraction': 10000, 'max_failed_extractions': 1000}
    assert info['bulk_delete'] == {'max_deletes_per_request': 10000, 'max_failed_deletes': 1000}
