"""Chapter A: framing and smuggling."""
from abuse import CLOSES, EITHER, STAYS, case, chunked, healthcheck, put, raw, request, stores, text

LENGTH = b'Content-Length: 5'
TE = b'Transfer-Encoding: chunked'
END = b'0\r\n\r\n'
HELLO = b'5\r\nhello\r\n0\r\n\r\n'




def _inside(scene):
    return b'PUT %s-victim HTTP/1.1\r\nHost: swiftlet\r\nX-Auth-Token: %s\r\nContent-Length: 0\r\n\r\n' % (scene.target, scene.token.encode())


def _no_victim(_reply, scene):
    scene.owner.get(scene.container, scene.name + '-victim').check(404)


def _allow(reply, _scene):
    assert reply.has('Allow'), reply


CASES = [
    case('A1-length-then-chunked', put(LENGTH, TE, body=END), 400, CLOSES),
    case('A1-chunked-then-length', put(TE, LENGTH, body=END), 400, CLOSES),
    case('A2-two-lengths-differ', put(LENGTH, b'Content-Length: 3'), 400, CLOSES),
    case('A2-two-lengths-differ-the-other-way', put(b'Content-Length: 3', LENGTH), 400, CLOSES),
    case('A3-two-lengths-equal', put(LENGTH, LENGTH), 400, CLOSES),
    case('A3-length-list', put(b'Content-Length: 5, 5'), 400, CLOSES),
    *[case('A4-length-' + text(value), put(b'Content-Length: ' + value), 400, CLOSES) for value in (
        b'+5', b'-1', b'-0', b'0x5', b'1_0', b'1 0', b'5a', b'', b'9223372036854775808', b'18446744073709551621', b'9' * 100, b'5;', b'5.')],
    *[case('A5-length-' + text(value), put(b'Content-Length: ' + value), 400, CLOSES) for value in (b'005', b'0200', b'00')],
    *[case('A6-coding-' + text(value), put(b'Transfer-Encoding: ' + value, body=HELLO), 501, CLOSES) for value in (
        b'xchunked', b'identity', b'gzip', b'unknown', b'gzip, chunked')],
    *[case('A7-coding-' + text(value), put(b'Transfer-Encoding: ' + value, body=HELLO), 400, CLOSES) for value in (
        b'chunked, gzip', b'chunked, chunked', b', chunked', b'chunked,', b'chunked;x=1', b'')],
    case('A8-two-codings', put(TE, TE, body=END), 400, CLOSES),
    case('A8-coding-and-identity', put(TE, b'Transfer-Encoding: identity', body=END), 400, CLOSES),
    *[case('A9-coding-%s-%s' % (where, text(byte)), put(b'Transfer-Encoding: ' + value, body=HELLO), 400, CLOSES)
      for byte in (b'\x0b', b'\x0c', b'\x00', b'\xa0', b'\x85', b'\xff') for where, value in (
          ('before', byte + b'chunked'), ('after', b'chunked' + byte), ('within', b'chun' + byte + b'ked'))],
    case('A10-blank-before-colon', put(b'Transfer-Encoding : chunked', body=END), 400, CLOSES),
    case('A10-tab-before-colon', put(b'Transfer-Encoding\t: chunked', body=END), 400, CLOSES),
    case('A10-name-over-two-lines', put(b'Transfer-', b'Encoding: chunked', body=END), 400, CLOSES),
    case('A10-folded-value', put(b'Transfer-Encoding:', b' chunked', body=END), 400, CLOSES),
    case('A11-coding-underscore', put(b'Transfer_Encoding: chunked', LENGTH), 201, STAYS, stores(b'hello'), stored=True),
    case('A11-length-underscore', put(b'Content_Length: 3', LENGTH), 201, STAYS, stores(b'hello'), stored=True),
    case('A12-chunked-in-1.0', put(TE, version=b'HTTP/1.0', body=HELLO), 400, CLOSES),
    *[case('A13-chunk-size-' + text(size), chunked(size + b'\r\nhello\r\n0\r\n\r\n'), 400, CLOSES) for size in (
        b'0x5', b'+5', b'-5', b'5_0', b' 5', b'5 ', b'5\t', b'', b'G', b'\xb5', b'0' * 16 + b'5', b'8000000000000005', b'f' * 16, b'f' * 17)],
    case('A14-chunk-longer-than-said', chunked(b'3\r\nhello\r\n0\r\n\r\n'), 400, CLOSES),
    case('A14-chunk-shorter-than-said', chunked(b'7\r\nhello\r\n0\r\n\r\n'), 400, CLOSES),
    case('A14-no-line-end-after-data', chunked(b'5\r\nhello0\r\n\r\n'), 400, CLOSES),
    *[case('A15-' + name, chunked(body), 400, CLOSES) for name, body in (
        ('lf-after-size', b'5\nhello\r\n0\r\n\r\n'), ('lf-after-data', b'5\r\nhello\n0\r\n\r\n'), ('cr-after-size', b'5\rhello\r\n0\r\n\r\n'),
        ('cr-and-byte-after-size', b'5\rXhello\r\n0\r\n\r\n'), ('crlf-and-bytes-after-data', b'5\r\nhello\r\nXX0\r\n\r\n'),
        ('lf-in-extension', b'5;a\nb\r\nhello\r\n0\r\n\r\n'), ('cr-in-extension', b'5;a\rb\r\nhello\r\n0\r\n\r\n'),
        ('lf-in-trailer', b'5\r\nhello\r\n0\r\nA: b\nC: d\r\n\r\n'), ('cr-in-trailer', b'5\r\nhello\r\n0\r\nA: b\rC: d\r\n\r\n'),
        ('lf-ends-last-chunk', b'5\r\nhello\r\n0\n\n'), ('lf-ends-trailers', b'5\r\nhello\r\n0\r\n\n'))],
    *[case('A16-' + name, chunked(body), 400, CLOSES) for name, body in (
        ('extension-empty', b'5;\r\nhello\r\n0\r\n\r\n'), ('extension-bad-token', b'5;a b\r\nhello\r\n0\r\n\r\n'),
        ('extension-no-name', b'5;=b\r\nhello\r\n0\r\n\r\n'), ('extension-open-quote', b'5;a="b\r\nhello\r\n0\r\n\r\n'),
        ('extension-nul', b'5;a=\x00\r\nhello\r\n0\r\n\r\n'), ('extension-300', b'5;' + b'a' * 300 + b'\r\nhello\r\n0\r\n\r\n'),
        ('extensions-20-KiB', b'1;%s\r\nx\r\n' % (b'a' * 200) * 100 + END))],
    *[case('A17-trailer-' + text(line), chunked(b'5\r\nhello\r\n0\r\n' + line + b'\r\n\r\n'), 201, STAYS, stores(b'hello'), stored=True)
      for line in (b'Content-Length: 3', b'Transfer-Encoding: chunked', b'Host: other', b'Authorization: x', b'X-Auth-Token: x',
                   b'X-Object-Meta-Evil: 1', b'Content-Type: evil/evil', b'X-Delete-After: 1', b'ETag: 00000000000000000000000000000000')],
    case('A18-10000-trailers', chunked(b'5\r\nhello\r\n0\r\n' + b'X-T: 1\r\n' * 10000 + b'\r\n'), (400, 431), CLOSES),
    case('A18-trailer-of-1-MiB', chunked(b'5\r\nhello\r\n0\r\nX-T: ' + b'x' * (1 << 20) + b'\r\n\r\n'), (400, 431), CLOSES),
    case('A19-100000-chunks-of-1-byte', chunked(b'1\r\nx\r\n' * 100000 + END), 201, STAYS, stores(b'x' * 100000), stored=True),
    case('A19-1000000-chunks-of-1-byte', chunked(b'1\r\nx\r\n' * 1000000 + END, target=b'/v1/AUTH_none/c/o', token=False), 401, EITHER),
    case('A20-lf-everywhere', put(LENGTH, end=b'\n'), 400, CLOSES),
    case('A20-lf-after-one-header', put(LENGTH, b'X-A: 1\nX-B: 2'), 400, CLOSES),
    case('A20-lf-ends-head', put(LENGTH, b'X-A: 1\r\n\nGET / HTTP/1.1'), 400, CLOSES),
    *[case('A21-value-with-' + text(byte), put(LENGTH, b'X-Object-Meta-A: 1' + byte + b'2'), 400, CLOSES) for byte in (
        b'\r', b'\x00', b'\x01', b'\x08', b'\x0b', b'\x1b', b'\x7f')],
    case('A22-folded-by-blank', put(LENGTH, b'X-Object-Meta-A: one', b' two'), 400, CLOSES),
    case('A22-folded-by-tab', put(LENGTH, b'X-Object-Meta-A: one', b'\ttwo'), 400, CLOSES),
    case('A22-blank-before-first-header', put(LENGTH, host=b' Host: swiftlet'), 400, CLOSES),
    case('A22-no-colon', put(LENGTH, b'nonsense'), 400, CLOSES),
    *[case('A22-name-' + text(name), put(LENGTH, name + b': value'), 400, CLOSES) for name in (
        b'', b'X A', b'X/A', b'X"A', b'X(A)', b'X\x01A', b'X\x00A', b'X-\xe9', b'X-\xc0\xaf')],
    case('A23-no-host', put(LENGTH, host=None), 400, CLOSES),
    case('A23-two-hosts', put(LENGTH, b'Host: other'), 400, CLOSES),
    *[case('A23-host-' + text(value), put(LENGTH, host=b'Host: ' + value), 400, CLOSES) for value in (
        b'user@swiftlet', b'swiftlet/path', b'a, b', b'', b'a b', b'swiftlet:port')],
    case('A24-absolute-form', request(b'HEAD', b'http://elsewhere.example%C'), 204, STAYS),
    case('A24-absolute-form-without-rights', request(b'HEAD', b'http://swiftlet%S/c'), 403, EITHER),
    *[case('A25-' + name, request(b'GET', target), 400, CLOSES) for name, target in (
        ('fragment', b'%C/a#b'), ('blank', b'%C/a b'), ('tab', b'%C/a\tb'), ('two-blanks-before', b' %C/a'), ('two-blanks-behind', b'%C/a '))],
    case('A25-tab-separates', raw(b'GET\t%C HTTP/1.1\r\nHost: a\r\n\r\n'), 400, CLOSES),
    case('A26-http-0.9', raw(b'GET /healthcheck\r\n\r\n'), 400, CLOSES),
    *[case('A26-version-' + text(version), request(version=version), 400, CLOSES) for version in (
        b'HTTP/1', b'HTTP/01.01', b'http/1.1', b'HTTP/ 1.1', b'HTTP/1.1.1', b'HTTP/1.10', b'HTTP/0.9', b'HTTP/-1.1', b'XTTP/1.1')],
    *[case('A27-version-' + text(version), request(version=version), 505, CLOSES) for version in (b'HTTP/2.0', b'HTTP/3.0', b'HTTP/9.9')],
    case('A27-preface-of-http-2', raw(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 505, CLOSES),
    *[case('A28-%s-with-a-body' % method.decode(), request(method, b'%C', LENGTH, body=b'hello'), (200, 204, 409), STAYS) for method in (
        b'GET', b'HEAD', b'OPTIONS')],
    case('A28-DELETE-with-a-body', request(b'DELETE', b'%O', LENGTH, body=b'hello'), 404, STAYS),
    case('A28-GET-with-a-large-body', request(b'GET', b'%C', b'Content-Length: 100000', body=b'x' * 100000), (200, 204), EITHER),
    case('A29-request-behind-an-empty-body', put(b'Content-Length: 0', body=lambda scene: b'DELETE %s HTTP/1.1\r\nHost: a\r\n\r\n' % scene.target),
         201, EITHER, lambda reply, scene: scene.owner.get(scene.container, scene.name).check(200), stored=True),
    *[case('A30-' + name, lambda scene, wrap=wrap: put(wrap(_inside(scene))[0], body=b'')(scene)[:-2] + wrap(_inside(scene))[1], (400, 501), CLOSES,
           _no_victim) for name, wrap in (
        ('length-hides-chunks', lambda body: (b'Content-Length: %d' % (len(body) + 5), b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n' + body)),
        ('chunks-hide-length', lambda body: (TE, b'Content-Length: 4\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(body), body))),
        ('odd-coding', lambda body: (b'Content-Length: 4', b'Transfer-Encoding: xchunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(body), body))),
        ('blank-before-colon', lambda body: (LENGTH, b'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n' + body)),
        ('folded-coding', lambda body: (LENGTH, b'Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n' + body)),
        ('two-lengths', lambda body: (b'Content-Length: 0', b'Content-Length: %d\r\n\r\n%s' % (len(body), body))),
        ('negative-length', lambda body: (b'Content-Length: -1', b'X-A: b\r\n\r\n' + body)),
        ('hexadecimal-length', lambda body: (b'Content-Length: 0x0', b'X-A: b\r\n\r\n' + body)),
        ('signed-size', lambda body: (TE, b'X-A: b\r\n\r\n+0\r\n\r\n' + body)),
        ('prefixed-size', lambda body: (TE, b'X-A: b\r\n\r\n0x0\r\n\r\n' + body)),
        ('lf-ends-chunks', lambda body: (TE, b'X-A: b\r\n\r\n0\n\n' + body)),
        ('lf-ends-head', lambda body: (b'Content-Length: %d' % len(body), b'X-A: b\n\n' + body)))],
    case('A32-upgrade-websocket', raw(b'GET /healthcheck HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'), 200, STAYS),
    case('A32-upgrade-h2c', raw(b'GET /healthcheck HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'
                                b'HTTP2-Settings: AAMAAABk\r\n\r\n'), 200, STAYS),
    case('A32-upgrade-in-1.0', raw(b'GET /healthcheck HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'), 200, EITHER),
    *[case('A33-method-' + text(method), request(method), 405, EITHER, _allow) for method in (b'TRACE', b'get', b'FOO', b'UPDATE', b'SSYNC', b'REPLICATE')],
    case('A33-CONNECT', request(b'CONNECT', b'swiftlet:80'), 400, CLOSES),
    case('A33-method-of-100-KiB', request(b'M' * 102400), (400, 414), CLOSES),
    *[case('A34-two-%s' % text(name), put(LENGTH, name + b': a', name + b': b', token=name != b'X-Auth-Token'), 400, EITHER) for name in (
        b'Authorization', b'X-Auth-Token', b'X-Timestamp', b'ETag')],
    case('A34-two-Range', request(b'GET', b'%C', b'Range: bytes=0-1', b'Range: bytes=1-2'), 400, EITHER),
]
PIPELINE = healthcheck() * 10000
