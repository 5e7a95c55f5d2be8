"""Chapter B: oversize and floods; slow clients are in test_slow_clients.py, ends in the middle in test_aborts.py."""
from abuse import CLOSES, EITHER, STAYS, case, chunked, put, raw, request, stores

LENGTH = b'Content-Length: 5'

CASES = [
    case('B36-request-line-8193', request(b'GET', b'/healthcheck?' + b'a' * (8193 - len('GET /healthcheck? HTTP/1.1'))), 414, CLOSES),
    case('B36-request-line-8192', request(b'GET', b'/healthcheck?' + b'a' * (8192 - len('GET /healthcheck? HTTP/1.1'))), 200, STAYS),
    case('B36-request-line-1-MiB', request(b'GET', b'/healthcheck?' + b'a' * (1 << 20)), 414, CLOSES),
    case('B37-header-8193', put(LENGTH, b'X-A: ' + b'x' * 8188), 400, CLOSES),
    case('B37-header-8192', put(LENGTH, b'X-A: ' + b'x' * 8187), 201, STAYS, stores(b'hello'), stored=True),
    case('B37-header-1-MiB', put(LENGTH, b'X-A: ' + b'x' * (1 << 20)), 400, CLOSES),
    case('B38-130-headers', put(LENGTH, *[b'X-H%d: 1' % number for number in range(130)]), 400, CLOSES),
    case('B38-10000-headers', put(LENGTH, *[b'X-H%d: 1' % number for number in range(10000)]), 400, CLOSES),
    case('B39-4000-parameters', request(b'GET', b'%C?' + b'a&' * 3900 + b'limit=1'), (200, 204), STAYS),
    case('B39-repeated-limit', request(b'GET', b'%C?' + b'limit=1&' * 900 + b'limit=2'), (200, 204), STAYS),
    case('B39-escaped-parameters', request(b'GET', b'%C?' + b'%61=%62&' * 900), (200, 204), STAYS),
    case('B40-above-the-largest-object', put(b'Content-Length: 5368709123', body=b''), 413),
    case('B42-length-of-10^18', put(b'Content-Length: 1000000000000000000', body=b''), 413),
    case('B43-neither-length-nor-chunked', put(body=b''), 411),
    case('B50-half-close-after-the-request', request(b'HEAD', b'%C'), 204, EITHER),
    case('B52-refused-expectation', put(LENGTH, b'Expect: 100-continue', body=b'', token=False), 401, CLOSES),
    case('B53-unknown-expectation', put(LENGTH, b'Expect: miracles'), 417, EITHER),
    case('B54-expectation-without-a-body', put(b'Content-Length: 0', b'Expect: 100-continue', body=b''), 201, STAYS, stores(b''), stored=True),
    case('B54-expectation-in-1.0', put(LENGTH, b'Expect: 100-continue', version=b'HTTP/1.0'), 201, EITHER, stores(b'hello'), stored=True),
    case('B54-two-expectations', put(LENGTH, b'Expect: 100-continue', b'Expect: 100-continue'), (201, 417), EITHER, stored=True),
    case('B54-expectation-and-body-at-once', put(LENGTH, b'Expect: 100-continue'), 201, STAYS, stores(b'hello'), stored=True),
    case('B55-dear-without-a-token', chunked(b'0\r\n\r\n', token=False), 401),
    case('B55-listing-without-a-token', raw(b'GET %C?limit=10000&format=json HTTP/1.1\r\nHost: a\r\n\r\n'), 401, STAYS),
]
