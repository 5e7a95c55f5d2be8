"""Chapter C: paths, names, encodings."""
from abuse import EITHER, STAYS, case, no_raw_line_ends, put, request, text

LENGTH = b'Content-Length: 5'


def _finds(*names):
    """The names are in the listing as they were meant, and nothing else is new."""
    def check(reply, scene):
        reply.check(201)
        for name in names:
            scene.owner.get(scene.container, name).check(200)
            assert name in scene.owner.names(scene.container)
            scene.owner.delete(scene.container, name)
    return check


CASES = [
    *[case('C58-' + label, put(LENGTH, target=b'%C/' + sent), 201, STAYS, _finds(name)) for label, sent, name in (
        ('dots', b'x/../../y', 'x/../../y'), ('escaped-dots', b'%2e%2e%2fy', '../y'), ('slashes', b'x//y', 'x//y'), ('backslash', b'x%5cy', 'x\\y'),
        ('dot', b'.', '.'), ('two-dots', b'..', '..'))],
    case('C58-passwd', request(b'GET', b'/v1/AUTH_test/../../../../etc/passwd'), (404, 412), STAYS),
    *[case('C59-nul-in-' + label, request(b'PUT', target, LENGTH, body=b'hello'), 412) for label, target in (
        ('object', b'%C/a%00b'), ('object-alone', b'%C/%00'), ('container', b'%A/a%00b'), ('container-of-object', b'%A/a%00b/o'))],
    case('C59-nul-in-account', request(b'GET', b'/v1/AUTH_%00'), 412),
    *[case('C60-object-' + text(name), put(LENGTH, target=b'%C/' + name), 412) for name in (
        b'a%ffb', b'%c0%af', b'%ed%a0%80', b'%f8%88%80%80%80', b'%80', b'\xff', b'%f4%90%80%80', b'%e2%82')],
    case('C60-container', put(b'Content-Length: 0', target=b'%A/a%ffb', body=b''), 412),
    case('C60-account', request(b'GET', b'/v1/AUTH_%ff'), 412),
    *[case('C61-reserved-' + label, put(LENGTH, target=target), 412) for label, target in (
        ('container', b'%A/%00versions%00c'), ('object', b'%C/%00o'), ('both', b'%A/%00c/%00o'))],
    case('C62-object-1025', put(LENGTH, target=b'%C/' + b'n' * 1025), 400),
    case('C62-object-1024', put(LENGTH, target=b'%C/' + b'n' * 1024), 201, STAYS, _finds('n' * 1024)),
    case('C62-object-1025-letters-of-2-bytes', put(LENGTH, target=b'%C/' + b'%c3%a9' * 1025), 400),
    case('C62-container-257', put(b'Content-Length: 0', target=b'%A/' + b'n' * 257, body=b''), 400),
    case('C62-container-of-object-257', put(LENGTH, target=b'%A/' + b'n' * 257 + b'/o'), (400, 404)),
    case('C62-account-of-300', put(b'Content-Length: 0', target=b'/v1/AUTH_' + b'n' * 300 + b'/c', body=b''), (400, 403)),
    *[case('C63-' + label, put(LENGTH, target=b'%C/' + sent), 201, STAYS, _finds(name)) for label, sent, name in (
        ('not-an-escape', b'a%zz', 'a%zz'), ('lone-percent', b'a%', 'a%'), ('plus', b'a+b', 'a+b'), ('escaped-twice', b'a%252fb', 'a%2fb'))],
    case('C64-account-with-a-dot', request(b'GET', b'/v1/.expiring_objects'), (401, 403)),
    case('C64-put-to-an-account-with-a-dot', put(LENGTH, target=b'/v1/.misplaced_objects/c/o'), (401, 403)),
    case('C65-version', request(b'GET', b'/v9/AUTH_test/c'), 400),
    case('C65-no-account', request(b'GET', b'/v1/'), (404, 412)),
    case('C65-only-the-version', request(b'GET', b'/v1'), (404, 412)),
    case('C65-empty-account', request(b'GET', b'/v1//c'), (404, 412)),
    case('C65-root', request(b'GET', b'/'), (404, 412)),
    *[case('C66-%s' % label, request(method, target, *lines, body=body), statuses, EITHER, no_raw_line_ends) for label, method, target, lines, body, statuses in (
        ('line-end-in-name', b'GET', b'%C/a%0d%0aX-Evil:%201', (), b'', (404,)),
        ('line-end-in-container', b'GET', b'%A/a%0d%0aX-Evil:%201', (), b'', (404,)),
        ('line-end-in-version', b'GET', b'/v1%0d%0aX-Evil:%201/a', (), b'', (400, 404, 412)),
        ('line-end-in-query', b'GET', b'%C?marker=%0d%0aX-Evil:%201', (), b'', (200, 204)),
        ('line-end-in-copy-source', b'PUT', b'%O', (b'X-Copy-From: /c/a%0d%0aX-Evil:%201', b'Content-Length: 0'), b'', (404,)))],
    *[case('C67-limit-' + text(value), request(b'GET', b'%C?limit=' + value), statuses) for value, statuses in (
        (b'10001', (412,)), (b'1000000000000000000000000000000', (412,)), (b'-1', (200, 204, 412)), (b'abc', (200, 204, 412)), (b'', (200, 204)))],
    *[case('C67-%s-not-utf8' % name.decode(), request(b'GET', b'%C?' + name + b'=%ff'), 400) for name in (
        b'marker', b'end_marker', b'prefix', b'delimiter', b'path')],
    case('C67-delimiter-of-1-KiB', request(b'GET', b'%C?delimiter=' + b'd' * 1024), (200, 204, 412)),
    *[case('C69-' + label, request(b'GET', target, b'X-Backend-Storage-Policy-Index: 0'), (400, 404, 507), EITHER, server='object') for label, target in (
        ('device-dots', b'/../etc/1/a/c/o'), ('device-escaped', b'/..%2f..%2fetc/1/a/c/o'), ('partition-negative', b'/d1/-1/a/c/o'),
        ('partition-word', b'/d1/x/a/c/o'), ('partition-2^40', b'/d1/1099511627776/a/c/o'), ('partition-2^70', b'/d1/1180591620717411303424/a/c/o'),
        ('device-unknown', b'/nothing/1/a/c/o'), ('device-empty', b'//1/a/c/o'), ('too-short', b'/d1/1'))],
    *[case('C69-%s-%s' % (server, label), request(b'GET', target), (400, 404, 507), EITHER, server=server) for server in ('container', 'account')
      for label, target in (('device-dots', b'/../etc/1/a/c'), ('partition-negative', b'/d1/-1/a'), ('partition-word', b'/d1/x/a/c'))],
]
