"""The load generator counts as an error what is one, and `make bench` runs against swiftlet."""
import json
import socketserver
import subprocess
import threading

import pytest

from server import TOP

LOAD = TOP / 'build/plain/tests/bench/load'
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'
LARGE = b'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n' + b'x' * 3000000


@pytest.fixture(scope='module', name='load')
def fixture_load():
    subprocess.run(['make', '--no-print-directory', LOAD.relative_to(TOP)], cwd=TOP, check=True)
    return LOAD


class Canned(socketserver.StreamRequestHandler):
    """Answers each request with what its server was told to; an empty reply, or one with "close" in it, ends it."""

    def handle(self):
        while self._take_request() and self.server.reply:
            self.wfile.write(self.server.reply)
            if b'close' in self.server.reply:
                return

    def _take_request(self):
        length, line = 0, self.rfile.readline()
        if not line:
            return False
        self.server.lines.append(line)
        while line not in (b'\r\n', b''):
            line = self.rfile.readline()
            if line.lower().startswith(b'content-length:'):
                length = int(line.split()[1])
        self.server.bodies.append(len(self.rfile.read(length)))
        return True


def run(load, reply, *arguments):
    """What the load generator says after its requests to a server with this reply; and the server."""
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Canned) as server:
        server.daemon_threads = True
        server.reply, server.lines, server.bodies = reply, [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [load, '-p', server.server_address[1], *arguments]
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, timeout=20, check=False)
        server.shutdown()
        return json.loads(done.stdout), server


@pytest.mark.parametrize('reply, options, errors', [
    (OK, [], 0),
    (OK, ['-l', 3], 0),
    (OK, ['-l', 4], 6),
    (OK, ['-s', 201], 6),
    (OK + b'!', [], 6),
    (b'HTTP/1.1 100 Continue\r\n\r\n' + OK, [], 0),
    (b'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n', [], 6),
    (b'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n', ['-s', 404], 0),
    (b'HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n', [], 0),
    (b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc', ['-l', 3], 0),
    (b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabc', [], 6),
    (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x\r\n' + b'x' * 16 + b'\r\n0\r\n\r\n',
     ['-l', 19], 0),
    (LARGE, ['-l', 3000000], 0),
    (b'what is this\r\n\r\n', [], 6),
    (b'', [], 6),
], ids=lambda value: repr(value)[:60])
def test_replies(load, reply, options, errors):
    result, _ = run(load, reply, '-c', 2, '-n', 6, *options, 'GET', '/x')
    assert (result['requests'], result['errors']) == (6, errors), result


def test_head_has_no_body(load):
    result, _ = run(load, b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', '-n', 5, '-l', 0, 'HEAD', '/x')
    assert (result['requests'], result['errors']) == (5, 0), result


def test_names_and_bodies(load):
    result, server = run(load, OK, '-n', 5, '-f', 8, '-r', 3, '-b', '3M', 'PUT', '/a%20/%4n')
    assert result['errors'] == 0 and result['next'] == 13 and result['bytes_out'] == 5 * (3 << 20)
    assert [line.split()[1] for line in server.lines] == [b'/a%%20/%04d' % n for n in (8, 9, 10, 8, 9)]
    assert server.bodies == [3 << 20] * 5


def test_time_ends_a_run(load):
    result, _ = run(load, OK, '-t', 0.3, '-w', 0.1, 'GET', '/x')
    assert result['errors'] == 0 and result['requests'] > 0
    assert 0.25 < result['seconds'] < 0.35 and 0 < result['p50_us'] <= result['p99_us'] <= result['max_us'] * 1.02


@pytest.mark.usefixtures('load')
def test_bench(tmp_path):
    command = [TOP / 'tests/bench/bench', '--quick', '--only', 'swiftlet', '--dir', tmp_path]
    for row in ('PUT 4 KiB c1', 'GET 4 KiB c64', 'HEAD c1', 'DELETE c1'):
        command += ['--rows', row]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode()
    assert done.returncode == 0 and 'errors' not in text, text
    assert '| DELETE c1 ' in text, text
