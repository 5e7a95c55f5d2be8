"""kill -9 of a whole store under load, again and again.

ROUNDS (12) in the environment says how often, SEED (from the clock) fixes the random choices that can be fixed.
After each restart every key that was touched is read back; at the end all of them, and the listing.
"""
import os
import random
import time

import ledger
import support
from server import Server

ROUNDS = int(os.environ.get('ROUNDS', '12'))
SEED = int(os.environ.get('SEED', time.time_ns() // 1000000 % 1000000))
START_SECONDS_MAX = 30


def test_nothing_acknowledged_is_lost():
    print('ROUNDS=%d SEED=%d' % (ROUNDS, SEED))
    chance = random.Random(SEED)
    with Server() as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        container = support.unique('crash')
        user.put(container).check(201)
        load = ledger.Load(user, container, workers=6, keys_per_worker=40, seed=SEED)
        for number in range(ROUNDS):
            load.touched.clear()
            load.start()
            try:
                _wait_for_work(load, 20)
                load.run_for(chance.choice((0.0, 0.1, 0.3, 0.8)) + chance.random() * 0.2)
                server.kill()
            finally:
                load.stop()
            begun = time.monotonic()
            server.start()
            took = time.monotonic() - begun
            assert took < START_SECONDS_MAX, 'start %d took %.1f s' % (number, took)
            read, alive = load.read_back(load.touched)
            print('round %d: ready after %.2f s, %d keys touched, %d live' % (number, took, read, alive))
        load.read_back()
        load.check_listing(seconds=60)
        print('%d requests, %d keys' % (load.count(), len(load.keys)))
        # A PUT that was cut may have left one copy of three: a POST then has no quorum either way, which is 503 (as in
        # Swift) until the object is written again.
        answered = [outcome for outcome in load.failures(0)
                    if not isinstance(outcome[-1], str) and outcome[-2:] != ('POST', 503)]
        assert not answered, 'a store that is killed answers nothing; it never fails: %s' % answered[:10]
        _accounts_agree(user, container, load)
        _still_works(load)


def _wait_for_work(load, count, seconds=30):
    """The store does work before it is killed: otherwise a round would test nothing."""
    begun, deadline = load.count(), time.monotonic() + seconds
    while load.count() < begun + count:
        load.run_for(0.02)
        assert time.monotonic() < deadline, 'only %d of %d requests ended in %d s' % (load.count() - begun, count, seconds)


def _accounts_agree(user, container, load):
    """The totals of the account follow."""
    def agree():
        row, = user.get(query={'format': 'json', 'prefix': container}).check(200).json()
        assert (row['count'], row['bytes']) == load.totals()
    support.eventually(agree, seconds=60, pause=0.5)


def _still_works(load):
    """A further second of load after the last crash, with no failure at all, and a clean stop by the context's end."""
    begun = time.monotonic()
    load.start()
    load.run_for(1)
    load.stop()
    assert not load.failures(begun), load.failures(begun)[:10]
    load.read_back()
    load.check_listing(seconds=60)


def test_clean_stop_loses_nothing():
    """SIGTERM under load: what was acknowledged is there, and the stop is a clean one."""
    with Server() as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        container = support.unique('stop')
        user.put(container).check(201)
        load = ledger.Load(user, container, workers=4, keys_per_worker=20, seed=SEED)
        for _ in range(3):
            load.start()
            try:
                _wait_for_work(load, 50)
                server.stop()
            finally:
                load.stop()
            server.start()
            load.read_back()
        load.check_listing(seconds=60)
