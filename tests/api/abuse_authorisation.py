"""Chapter E: authorisation and control headers."""
from abuse import CLOSES, EITHER, STAYS, case, put, request, stores, text

LENGTH = b'Content-Length: 5'
FORGED = b'AUTH_tk0123456789abcdef0123456789abcdef'


def _quoted(reply, _scene):
    reply.check(401)
    challenge = reply.header('Www-Authenticate')
    assert challenge and challenge.startswith('Swift realm="') and challenge.endswith('"') and '"' not in challenge[13:-1], challenge
    assert not reply.has('X-Evil')


def _clean(reply, scene):
    reply.check(201, 202)
    for answer in (scene.owner.head(scene.container, scene.name), scene.owner.head(scene.container), scene.owner.head()):
        assert not any('evil' in (name + value).lower() or 'sysmeta' in name.lower() for name, value in answer.headers), answer


NAMES_OF_SERVERS = [b'X-%s-%s' % (kind, part) for kind in (b'Container', b'Account', b'Delete-At') for part in (b'Host', b'Device', b'Partition')]
INSIDE = [b'X-Container-Root-Db-State', b'X-Delete-At-Container', b'X-Backend-Storage-Policy-Index', b'X-Backend-Timestamp', b'X-Backend-Replication',
          b'X-Account-Sysmeta-Evil', b'X-Container-Sysmeta-Evil', b'X-Object-Sysmeta-Evil', b'X-Object-Transient-Sysmeta-Evil',
          b'X-Backend-Container-Update-Override-Etag', b'X-Backend-Obj-Content-Length', b'X-Backend-No-Commit']

CASES = [
    *[case('E82-token-' + text(token), put(LENGTH, b'X-Auth-Token: ' + token, token=False), 401) for token in (
        FORGED, b'', b'AUTH_tk', b'AUTH_tk' + b'0' * 8000, b'nonsense', b'\xff\xfe', b'AUTH_tk' + b'A' * 64, b'../../etc/passwd')],
    case('E82-token-1-MiB', put(LENGTH, b'X-Auth-Token: ' + b'0' * (1 << 20), token=False), 400, CLOSES),
    case('E82-token-nul', put(LENGTH, b'X-Auth-Token: AUTH_tk\x00', token=False), 400, CLOSES),
    case('E82-no-token', put(LENGTH, token=False), 401),
    case('E82-other-account', put(LENGTH, target=b'%S/c/o'), 403),
    *[case('E84-account-' + text(name), request(b'GET', b'/v1/' + name, token=False), (401, 412), EITHER, lambda reply, scene: reply.status == 412 or _quoted(
        reply, scene)) for name in (b'AUTH_"x"', b'AUTH_%22x%22', b'AUTH_x%0d%0aX-Evil:%201', b'AUTH_%0a', b'AUTH_x%22,%20Basic%20realm=%22y')],
    *[case('E86-' + text(name), put(LENGTH, name + b': 169.254.169.254:80'), 201, STAYS, stores(b'hello'), stored=True) for name in NAMES_OF_SERVERS],
    case('E86-all-at-once', put(LENGTH, *[name + b': 169.254.169.254:80' for name in NAMES_OF_SERVERS]), 201, STAYS, stores(b'hello'), stored=True),
    *[case('E87-' + text(name), put(LENGTH, name + b': evil'), 201, STAYS, _clean, stored=True) for name in INSIDE],
    *[case('E88-%s-at-the-proxy' % method.decode(), request(method, b'%O'), 405, EITHER) for method in (b'REPLICATE', b'SSYNC', b'UPDATE')],
    *[case('E88-%s-at-the-%s-server' % (method.decode(), server), request(method, b'/d1/1/a/c/o', b'Content-Length: 100', body=b'\x80\x04garbage' * 20),
           (400, 404, 405, 409, 411, 422, 501, 503, 507, None), EITHER, server=server) for method in (b'REPLICATE', b'SSYNC') for server in (
               'object', 'container', 'account')],
    *[case('E90-acl-' + text(value), request(b'POST', b'%C', b'Content-Length: 0', b'X-Container-Read: ' + value), statuses, STAYS, check) for value, statuses, check in (
        (b'.r:', (400,), None), (b'.r:-', (400,), None), (b'.nonsense', (204,), None), (b'.nonsense:a', (400,), None), (b'.r:*.', (400, 204), None), (b'a,' * 4000, (204, 400), None),
        (b'.r:*', (204,), lambda reply, scene: scene.owner.without_token().get(scene.container).check(401)),
        (b'.r:-.example.com', (204,), lambda reply, scene: scene.owner.without_token().get(scene.container, 'o', headers={
            'Referer': 'http://x.example.com/'}).check(401)))],
    case('E90-write-by-referer', request(b'POST', b'%C', b'Content-Length: 0', b'X-Container-Write: .r:*'), 400),
    *[case('E91-access-' + text(value), request(b'POST', b'%A', b'Content-Length: 0', b'X-Account-Access-Control: ' + value), 400) for value in (
        b'nonsense', b'[' * 4000, b'[]', b'{"admin": 1}', b'{"admin": ["a"], "nobody": []}', b'{"admin": [1]}', b'{', b'"x"')],
    case('E91-access-twice-the-same', request(b'POST', b'%A', b'Content-Length: 0', b'X-Account-Access-Control: {"read-only": [], "read-only": 5}'), (400,)),
    case('E92-destination-account', request(b'COPY', b'%C/ranged', b'Destination: /c/o', b'Destination-Account: AUTH_test2'), (403,)),
    case('E92-copy-from-account', put(b'X-Copy-From: /c/o', b'X-Copy-From-Account: AUTH_test2', b'Content-Length: 0', body=b''), (403, 404)),
    *[case('E93-preflight-' + text(origin), request(b'OPTIONS', b'%C', b'Origin: ' + origin, b'Access-Control-Request-Method: GET', token=False), 401, EITHER,
           lambda reply, scene: not reply.has('Access-Control-Allow-Origin')) for origin in (b'null', b'http://evil.example', b'*', b'http://a"b')],
    case('E93-hostile-origin', request(b'GET', b'%C', b'Origin: http://evil.example'), (200, 204), STAYS, lambda reply, scene: not reply.has(
        'Access-Control-Allow-Origin')),
]
