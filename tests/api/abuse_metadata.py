"""Chapter D: metadata, ranges, conditions."""
from abuse import EITHER, STAYS, case, put, request, text

LENGTH = b'Content-Length: 5'


def _fast(reply, _scene):
    """The time is what the runner looks at."""
    assert reply.status < 500


CASES = [
    case('D70-name-129', put(LENGTH, b'X-Object-Meta-' + b'n' * 129 + b': v'), 400),
    case('D70-name-empty', put(LENGTH, b'X-Object-Meta-: v'), 400),
    case('D70-value-257', put(LENGTH, b'X-Object-Meta-A: ' + b'v' * 257), 400),
    case('D70-91-items', put(LENGTH, *[b'X-Object-Meta-%d: v' % number for number in range(91)]), 400),
    case('D70-4097-bytes', put(LENGTH, b'X-Object-Meta-000: ' + b'v' * 254, *[b'X-Object-Meta-%03d: ' % number + b'v' * 253 for number in range(1, 16)]), 400),
    *[case('D70-%s-%s' % (kind.decode(), label), request(b'POST', target, b'Content-Length: 0', b'X-%s-Meta-%s: v' % (kind, name)), 400)
      for kind, target in ((b'Container', b'%C'), (b'Account', b'%A')) for label, name in (('name-129', b'n' * 129), ('name-empty', b''))],
    *[case('D71-%s-not-utf8' % kind.decode(), request(b'POST', target, b'Content-Length: 0', b'X-%s-Meta-A: \xff' % kind), 400)
      for kind, target in ((b'Container', b'%C'), (b'Account', b'%A'))],
    *[case('D72-delete-at-' + text(value), put(LENGTH, b'X-Delete-At: ' + value), 400) for value in (b'1', b'-1', b'soon', b'1e9')],
    *[case('D72-delete-after-' + text(value), put(LENGTH, b'X-Delete-After: ' + value), 400) for value in (b'0', b'-1', b'soon')],
    case('D72-delete-at-10^20', put(LENGTH, b'X-Delete-At: 100000000000000000000'), (201, 400), EITHER, stored=True),
    case('D73-timestamp-of-a-client', put(LENGTH, b'X-Timestamp: 9999999999.00000'), 201, STAYS, lambda reply, scene: scene.owner.put(
        scene.container, scene.name, body=b'newer').check(201), stored=True),
    case('D74-type-not-utf8', put(LENGTH, b'Content-Type: a/\xff'), 400),
    case('D74-type-of-8-KiB', put(LENGTH, b'Content-Type: a/' + b'b' * 8000), (201, 400), EITHER, stored=True),
    case('D74-type-with-swift-bytes', put(LENGTH, b'Content-Type: text/plain;swift_bytes=1000000000000'), 400),
    case('D75-wrong-etag', put(LENGTH, b'ETag: ' + b'0' * 32), 422, STAYS),
    *[case('D76-%s' % label, request(b'GET', b'%C/ranged', b'Range: bytes=' + ranges), 416, STAYS) for label, ranges in (
        ('51-ranges', b','.join(b'%d-%d' % (number, number) for number in range(51))), ('3-overlapping', b'0-9,5-14,10-19,15-24'),
        ('8-not-ascending', b'90-91,80-81,70-71,60-61,50-51,40-41,30-31,20-21,10-11'))],
    *[case('D77-range-' + text(value), request(b'GET', b'%C/ranged', b'Range: ' + value), (200, 206, 416), STAYS, _fast) for value in (
        b'bytes=5-2', b'bytes=', b'bytes=a-b', b'bytes=18446744073709551616-', b'bytes=0-18446744073709551616', b'bytes=-18446744073709551616',
        b'bytes=-0', b'bytes=9223372036854775807-9223372036854775807', b'octets=0-1', b'bytes', b'bytes=' + b'0-0,' * 1500, b'bytes=' + b'-' * 8000)],
    case('D79-1000-tags', request(b'GET', b'%C/ranged', b'If-Match: ' + b', '.join(b'"%03d"' % number for number in range(1000))), 412, STAYS),
    case('D79-1000-tags-not', request(b'GET', b'%C/ranged', b'If-None-Match: ' + b', '.join(b'"%03d"' % number for number in range(1000))), 200, STAYS),
    case('D79-open-quote', request(b'GET', b'%C/ranged', b'If-Match: "' + b'a' * 8000), 412, STAYS),
    *[case('D79-since-' + text(value), request(b'GET', b'%C/ranged', b'If-Modified-Since: ' + value), (200, 304, 412, 400), STAYS, _fast) for value in (
        b'x' * 8000, b'Sat, 01 Jan 0000 00:00:00 GMT', b'Sat, 01 Jan 999999999 00:00:00 GMT', b'Sat, 99 Jan 2000 99:99:99 GMT')],
    *[case('D80-accept-%d-backslashes-%s' % (count, label), request(b'GET', target, b'Accept: text/plain;a="' + b'\\' * count), 400, STAYS, _fast)
      for count in (50, 8000) for label, target in (('account', b'%A'), ('container', b'%C'))],
    case('D80-before-auth', request(b'GET', b'%C', b'Accept: text/plain;a="' + b'\\' * 8000, token=False), 400, STAYS),
    case('D81-range-on-put', put(LENGTH, b'Range: bytes=0-1'), 201, STAYS, lambda reply, scene: scene.owner.get(scene.container, scene.name).check(200), stored=True),
    case('D81-range-on-post', request(b'POST', b'%C', b'Content-Length: 0', b'Range: bytes=0-1'), 204, STAYS),
    case('D81-range-on-copy', request(b'COPY', b'%C/ranged', b'Destination: /nowhere-here/o', b'Range: bytes=0-1'), 404, EITHER),
]
