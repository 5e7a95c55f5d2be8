"""A disk that is full refuses new bytes; what is there stays readable and removable, and removing makes room."""
import subprocess

import pytest

from server import Server
import support

SIZE_BYTES = 300 << 20
BODY = support.pattern(8 << 20)


@pytest.fixture
def server():
    """swiftlet on a small file system of its own (needs root, as CI has it)."""
    server = Server()
    data = server.directory / 'data'
    data.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % SIZE_BYTES, 'tmpfs', data], check=True)
    try:
        with server:
            yield server
    finally:
        subprocess.run(['umount', '-l', data], check=True)


def test_full_disk(server):
    user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
    user.put('c').check(201)
    stored = []
    for number in range(100):
        if user.put('c', 'o%d' % number, body=BODY).status != 201:
            break
        stored.append('o%d' % number)
    assert 2 < len(stored) < 100, 'it never got full'
    user.put('c', 'one-more', body=BODY).check(503)

    assert user.get('c', stored[0]).check(200).body == BODY
    assert user.head('c', stored[1]).check(200).header('Etag') == support.md5(BODY)
    user.get('c', 'one-more').check(404)
    for name in stored[:3]:
        user.delete('c', name).check(204)
        user.get('c', name).check(404)
    support.eventually(lambda: user.names('c') == sorted(stored[3:]))

    support.eventually(lambda: user.put('c', 'again', body=BODY).status == 201, seconds=30)
    assert user.get('c', 'again').check(200).body == BODY
    assert user.get('c', stored[-1]).check(200).body == BODY
