"""Conditional requests and ranges."""
import email.utils
import re

import pytest

import support

BODY = b'0123456789'
ETAG = support.md5(BODY)
OTHER = '0' * 32


@pytest.fixture(scope='module')
def ten(owner, module_container):
    """Ten bytes: (container, name)."""
    owner.put(module_container, 'ten', body=BODY, headers={'Content-Type': 'text/x-ten', 'X-Object-Meta-A': '1'}).check(201)
    return module_container, 'ten'


@pytest.fixture(scope='module')
def empty(owner, module_container):
    owner.put(module_container, 'empty', body=b'').check(201)
    return module_container, 'empty'


@pytest.fixture(scope='module')
def big(owner, module_container):
    data = support.pattern(3 << 20)
    owner.put(module_container, 'big', body=data).check(201)
    return module_container, 'big', data


# Conditions

ETAGS = [
    ({'If-Match': ETAG}, 200), ({'If-Match': '"%s"' % ETAG}, 200), ({'If-Match': '*'}, 200), ({'If-Match': OTHER}, 412),
    ({'If-Match': '"%s", "%s"' % (OTHER, ETAG)}, 200), ({'If-Match': '%s,%s' % (OTHER, OTHER)}, 412),
    ({'If-Match': ETAG.upper()}, 412),
    ({'If-None-Match': ETAG}, 304), ({'If-None-Match': '"%s"' % ETAG}, 304), ({'If-None-Match': '*'}, 304),
    ({'If-None-Match': OTHER}, 200), ({'If-None-Match': '"%s", "%s"' % (OTHER, ETAG)}, 304), ({'If-None-Match': ''}, 200),
    ({'If-Match': ETAG, 'If-None-Match': OTHER}, 200), ({'If-Match': ETAG, 'If-None-Match': ETAG}, 304),
    ({'If-Match': OTHER, 'If-None-Match': ETAG}, 304), ({'If-Match': '"unclosed'}, 412),
    ({'If-Match': ', '.join(['"%s"' % OTHER] * 150)}, 412), ({'If-None-Match': ', '.join(['"%s"' % OTHER] * 150 + [ETAG])}, 304),
]


@pytest.mark.parametrize('headers, status', ETAGS)
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_etags(owner, ten, headers, status, method):
    reply = owner.request(method, *ten, headers=headers).check(status)
    if status == 200:
        assert reply.body == (BODY if method == 'GET' else b'')
    assert reply.header('Etag') == ETAG, 'also on 304 and 412'
    if status == 304:
        assert reply.header('Accept-Ranges') == 'bytes'
        assert reply.header('Last-Modified') and not reply.body


@pytest.mark.parametrize('field, shift, status', [
    ('If-Modified-Since', 0, 304), ('If-Modified-Since', 10, 304), ('If-Modified-Since', -10, 200),
    ('If-Unmodified-Since', 0, 200), ('If-Unmodified-Since', 10, 200), ('If-Unmodified-Since', -10, 412)])
@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_dates(owner, ten, field, shift, status, method):
    modified = email.utils.parsedate_to_datetime(owner.head(*ten).header('Last-Modified')).timestamp()
    date = email.utils.formatdate(modified + shift, usegmt=True)
    owner.request(method, *ten, headers={field: date}).check(status)


@pytest.mark.parametrize('field', ['If-Modified-Since', 'If-Unmodified-Since'])
@pytest.mark.parametrize('value', ['yesterday', '', '0', '-1', 'Sat, 99 Nov 2026 00:00:00 GMT', 'x' * 5000])
def test_dates_that_are_none(owner, ten, field, value):
    assert owner.get(*ten, headers={field: value}).check(200).body == BODY


def test_dates_with_etags(owner, ten):
    past = 'Sat, 01 Jan 2000 00:00:00 GMT'
    owner.get(*ten, headers={'If-None-Match': ETAG, 'If-Modified-Since': past}).check(304)
    owner.get(*ten, headers={'If-Match': ETAG, 'If-Unmodified-Since': past}).check(412)


def test_missing_object(owner, module_container):
    owner.get(module_container, 'missing', headers={'If-Match': '*'}).check(412)
    owner.get(module_container, 'missing', headers={'If-Match': ETAG}).check(404)
    owner.get(module_container, 'missing', headers={'If-None-Match': '*'}).check(404)


def test_304_keeps_the_metadata(owner, ten):
    reply = owner.get(*ten, headers={'If-None-Match': ETAG}).check(304)
    assert reply.header('X-Object-Meta-A') == '1' and reply.header('X-Timestamp')


def test_412_body(owner, ten):
    reply = owner.get(*ten, headers={'If-Match': OTHER}).check(412)
    assert reply.header('Content-Length') == str(len(reply.body))


# One range

WHOLE, NONE = 'whole', 'none'
RANGES = [
    ('bytes=0-0', (0, 0)), ('bytes=0-9', (0, 9)), ('bytes=2-4', (2, 4)), ('bytes=9-9', (9, 9)), ('bytes=5-', (5, 9)),
    ('bytes=0-', (0, 9)), ('bytes=-1', (9, 9)), ('bytes=-10', (0, 9)), ('bytes=-100', (0, 9)), ('bytes=5-100', (5, 9)),
    ('bytes=0-18446744073709551616', (0, 9)), ('BYTES=1-2', (1, 2)), ('bytes= 1 - 2 ', (1, 2)),
    ('bytes=20-30,2-3', (2, 3)), ('bytes=2-3,20-', (2, 3)),
    ('bytes=10-', NONE), ('bytes=10-20', NONE), ('bytes=-0', NONE), ('bytes=18446744073709551616-', NONE),
    ('bytes=20-30,40-', NONE),
    ('bytes=5-2', WHOLE), ('bytes=', WHOLE), ('bytes', WHOLE), ('bytes=a-b', WHOLE), ('bytes=-', WHOLE), ('bytes=--1', WHOLE),
    ('bytes=1-2-3', WHOLE), ('lines=0-1', WHOLE), ('0-1', WHOLE), ('', WHOLE), ('bytes=0x1-2', WHOLE), ('bytes=1.0-2', WHOLE),
    ('bytes=1-b', WHOLE), ('bytes=1-2,', WHOLE), ('bytes=5-2,0-1', WHOLE),
]


@pytest.mark.parametrize('value, wanted', RANGES)
def test_one_range(owner, ten, value, wanted):
    reply = owner.get(*ten, headers={'Range': value})
    if wanted == WHOLE:
        assert reply.check(200).body == BODY and not reply.has('Content-Range')
    elif wanted == NONE:
        assert reply.check(416).header('Content-Range') == 'bytes */10'
        assert reply.header('Content-Length') == str(len(reply.body))
    else:
        first, last = wanted
        assert reply.check(206).body == BODY[first:last + 1]
        assert reply.header('Content-Range') == 'bytes %d-%d/10' % (first, last)
        assert reply.header('Content-Length') == str(last - first + 1)
        assert reply.header('Content-Type') == 'text/x-ten' and reply.header('Etag') == ETAG
        assert reply.header('X-Object-Meta-A') == '1'


def test_range_on_head_is_ignored(owner, ten):
    reply = owner.head(*ten, headers={'Range': 'bytes=2-4'}).check(200)
    assert reply.header('Content-Length') == '10' and not reply.has('Content-Range')


@pytest.mark.parametrize('value, status', [('bytes=0-0', 416), ('bytes=0-', 416), ('bytes=-1', 200), ('bytes=-0', 416),
                                           ('bytes=5-9', 416)])
def test_empty_object(owner, empty, value, status):
    reply = owner.get(*empty, headers={'Range': value}).check(status)
    if status == 416:
        assert reply.header('Content-Range') == 'bytes */0'
    else:
        assert reply.body == b''


def test_conditions_go_before_ranges(owner, ten):
    headers = {'Range': 'bytes=2-4'}
    assert owner.get(*ten, headers={**headers, 'If-Match': ETAG}).check(206).body == b'234'
    owner.get(*ten, headers={**headers, 'If-Match': OTHER}).check(412)
    owner.get(*ten, headers={**headers, 'If-None-Match': ETAG}).check(304)


@pytest.mark.parametrize('first, last', [(0, 0), (65535, 65536), (65536, 131071), (1, 3 << 20), (1048570, 1048579), (3145727, None),
                                         (100000, 2900000), (4095, 4096)])
def test_ranges_of_a_big_object(owner, big, first, last):
    container, name, data = big
    value = 'bytes=%d-%s' % (first, '' if last is None else last)
    wanted = data[first:] if last is None else data[first:last + 1]
    reply = owner.get(container, name, headers={'Range': value}).check(206)
    assert reply.body == wanted and reply.header('Content-Length') == str(len(wanted))


# Several ranges

def parts(reply):
    """The parts of a multipart/byteranges body, checked byte for byte: [(Content-Type, Content-Range, bytes)]."""
    boundary = re.fullmatch(r'multipart/byteranges; ?boundary=(\S+)', reply.header('Content-Type')).group(1).encode()
    assert reply.header('Content-Length') == str(len(reply.body))
    assert not reply.has('Content-Range')
    rest, found = reply.body, []
    while not re.match(b'--%s--(\r\n)?$' % re.escape(boundary), rest):
        head, _, rest = rest.partition(b'\r\n\r\n')
        line, *fields = head.split(b'\r\n')
        assert line == b'--' + boundary
        fields = dict(field.decode().split(': ', 1) for field in fields)
        first, last = map(int, re.match(r'bytes (\d+)-(\d+)/\d+$', fields['Content-Range']).groups())
        size = last - first + 1
        found.append((fields['Content-Type'], fields['Content-Range'], rest[:size]))
        assert rest[size:size + 2] == b'\r\n'
        rest = rest[size + 2:]
    return found


@pytest.mark.parametrize('value, wanted', [
    ('bytes=0-1,3-4', [(0, 1), (3, 4)]), ('bytes=0-0,-1', [(0, 0), (9, 9)]), ('bytes=5-6,0-1', [(5, 6), (0, 1)]),
    ('bytes=0-3,2-5', [(0, 3), (2, 5)]), ('bytes=0-1,20-30,4-5', [(0, 1), (4, 5)]), ('bytes=1-2, 4-5,\t7-', [(1, 2), (4, 5), (7, 9)]),
    ('bytes=0-1,0-1', [(0, 1), (0, 1)]), ('bytes=0-,-10', [(0, 9), (0, 9)])])
def test_several_ranges(owner, ten, value, wanted):
    reply = owner.get(*ten, headers={'Range': value}).check(206)
    assert parts(reply) == [('text/x-ten', 'bytes %d-%d/10' % pair, BODY[pair[0]:pair[1] + 1]) for pair in wanted]
    assert reply.header('Etag') == ETAG


def test_several_ranges_of_a_big_object(owner, big):
    container, name, data = big
    wanted = [(0, 99), (65530, 65540), (131072, 1131071), (3145700, 3145727)]
    reply = owner.get(container, name, headers={'Range': 'bytes=' + ','.join('%d-%d' % pair for pair in wanted)}).check(206)
    assert [part[2] for part in parts(reply)] == [data[first:last + 1] for first, last in wanted]


@pytest.mark.parametrize('value', [
    'bytes=' + ','.join('%d-%d' % (number * 3, number * 3 + 1) for number in range(51)),    # more than 50
    'bytes=0-10,5-15,8-20',                                                                 # three overlaps
    'bytes=' + ','.join('%d-%d' % (number * 3, number * 3) for number in reversed(range(8))),   # eight, not ascending
])
def test_greedy_ranges(owner, big, value):
    container, name, data = big
    assert owner.get(container, name, headers={'Range': value}).check(416).header('Content-Range') == 'bytes */%d' % len(data)


def test_fifty_ranges(owner, big):
    container, name, data = big
    wanted = [(number * 10, number * 10 + 4) for number in range(50)]
    reply = owner.get(container, name, headers={'Range': 'bytes=' + ','.join('%d-%d' % pair for pair in wanted)}).check(206)
    assert [part[2] for part in parts(reply)] == [data[first:last + 1] for first, last in wanted]


def test_if_range(owner, ten):
    """A validator that matches; Swift does not look at it and serves the range."""
    assert owner.get(*ten, headers={'Range': 'bytes=0-1', 'If-Range': '"%s"' % ETAG}).check(206).body == b'01'


def test_range_of_put_and_post_is_ignored(owner, ten):
    container = ten[0]
    owner.put(container, 'r', body=BODY, headers={'Range': 'bytes=0-1'}).check(201)
    owner.post(container, 'r', headers={'Range': 'bytes=0-1'}).check(202)
    assert owner.get(container, 'r').body == BODY
