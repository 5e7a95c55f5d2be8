"""Ten thousand GETs and PUTs that their clients break off, anywhere, leave nothing behind."""
import os
import random
import socket
import time

import abuse
import support
from server import Server
from test_slow_clients import RESET, resident

ABORTS = 10000
BATCH = 100     # open at a time
SIZE = 300000   # in a file, not in the database


def _requests(user):
    token = {'X-Auth-Token': user.token}
    body = support.pattern(SIZE)
    return [
        support.raw_request('GET', user.path('c', 'large'), token),
        support.raw_request('GET', user.path('c', 'small'), token) * 3,
        support.raw_request('PUT', user.path('c', 'aborted'), {**token, 'Content-Length': SIZE}, body)[:-1],
        support.raw_request('PUT', user.path('c', 'aborted'), {**token, 'Transfer-Encoding': 'chunked'}, b'%x\r\n' % SIZE + body),
        support.raw_request('PUT', user.path('c', 'aborted'), {**token, 'Content-Length': 2000}, body[:1999]),
    ]


def abort_all(address, user, count, seed):
    """Each sends a random part of its request, perhaps reads a little, and ends by FIN or RST."""
    chance = random.Random(seed)
    requests = _requests(user)
    opened = []
    for number in range(count):
        client = socket.create_connection(address)
        sent = requests[number % len(requests)]
        client.setblocking(False)
        try:
            client.send(sent[:chance.choice((len(sent), chance.randrange(len(sent) + 1), chance.randrange(400)))])
        except BlockingIOError:
            pass
        opened.append(client)
        if len(opened) < BATCH and number + 1 < count:
            continue
        for client in opened:
            if chance.random() < 0.3:
                try:
                    client.recv(chance.randrange(1, 100000))
                except (BlockingIOError, ConnectionResetError):
                    pass
            if chance.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        opened = []


def descriptors(pids):
    return sum(len(os.listdir('/proc/%d/fd' % pid)) for pid in pids)


def test_aborts_leave_nothing():
    with Server() as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('c').check(201)
        user.put('c', 'large', body=support.pattern(SIZE)).check(201)
        user.put('c', 'small', body=b'small').check(201)
        pids = abuse.server_pids(server.port)
        abort_all(server.address, user, 2000, seed=1)
        time.sleep(3)
        before, memory = descriptors(pids), resident(pids)
        abort_all(server.address, user, ABORTS, seed=2)

        def settled():
            assert not list(server.directory.glob('data/devices/*/incoming/*'))
            assert descriptors(pids) <= before + 20, '%d descriptors, %d before' % (descriptors(pids), before)
        support.eventually(settled, seconds=15)
        grown = resident(pids) - memory
        print('%d aborts: %d descriptors (%d before), %.1f MiB more' % (ABORTS, descriptors(pids), before, grown / 2**20))
        assert grown < 64 << 20
        user.get('c', 'aborted').check(404)
        assert user.names('c') == ['large', 'small']
        assert user.get('c', 'large').check(200).body == support.pattern(SIZE)
