"""One swiftlet of our own, by tools/run, on free ports and with a directory of its own."""
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
RUN = os.environ.get('SWIFTLET_TEST_RUN') or TOP / 'tools/run'
READY = 'swiftlet is ready'
START_SECONDS = 60
STOP_SECONDS = 30

# A `timeout` around the tests ends them as Ctrl-C does: what they started is stopped and removed.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_ports(count):
    """The first of `count` consecutive ports on which nobody listens, below the range the kernel hands out."""
    for _ in range(200):
        first = random.randrange(20000, 32000)
        held = []
        try:
            for port in range(first, first + count):
                probe = socket.socket()
                held.append(probe)
                probe.bind(('127.0.0.1', port))
            return first
        except OSError:
            continue
        finally:
            for probe in held:
                probe.close()
    raise AssertionError('no %d free ports in a row' % count)


class Process:
    """A child with its output in a file, in a process group of its own so that its children end with it."""

    def __init__(self, command, log):
        self.log = pathlib.Path(log)
        self._start_of_log = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, 'ab') as output:
            self.child = subprocess.Popen([str(word) for word in command], cwd=TOP, stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def pid(self):
        return self.child.pid

    def output(self):
        with open(self.log, 'rb') as log:
            log.seek(self._start_of_log)
            return log.read().decode('utf-8', 'replace')

    def tail(self):
        return '\n'.join(self.output().splitlines()[-40:])

    def wait_for_output(self, text, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while text not in self.output():
            assert self.child.poll() is None, 'ended with status %s:\n%s' % (self.child.returncode, self.tail())
            assert time.monotonic() < deadline, 'no "%s" in %d s:\n%s' % (text, seconds, self.tail())
            time.sleep(0.02)

    def signal_group(self, number):
        os.killpg(self.child.pid, number)

    def stop(self):
        """The clean way.  A leak report of a sanitizer build shows as a status other than 0."""
        assert self.child.poll() is None, 'ended before it was told to, status %s:\n%s' % (
            self.child.returncode, self.tail())
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('SIGTERM did not stop it in %d s:\n%s' % (STOP_SECONDS, self.tail())) from None
        assert self.child.returncode == 0, 'stopped with status %s:\n%s' % (self.child.returncode, self.tail())

    def kill(self):
        """kill -9, children too."""
        try:
            self.signal_group(signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


class Server:
    """swiftlet as `make run` has it: proxy, account, container and object server in one process.

    start(), kill() and stop() may follow each other as often as a test likes; the data stay until the context ends.
    SWIFTLET_TEST_KEEP=1 leaves the directory for a look at it; SWIFTLET_TEST_RUN names another script than tools/run.
    """

    def __init__(self, **options):
        """Options of the configuration by section: Server(read_only={'read_only': 'true'})."""
        self.options = ['--set=%s.%s=%s' % (section, name, value)
                        for section, pairs in options.items() for name, value in pairs.items()]
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='swiftlet-test-'))
        self.log = self.directory / 'server.log'
        self.port = free_ports(4)
        self.process = None

    @property
    def address(self):
        return '127.0.0.1', self.port

    @property
    def auth_url(self):
        return 'http://127.0.0.1:%d/auth/v1.0' % self.port

    def start(self):
        self.process = Process([RUN, '--port', self.port, '--data', self.directory / 'data', *self.options], self.log)
        try:
            self.process.wait_for_output(READY)
        except AssertionError:
            self.kill()
            raise

    def kill(self):
        if self.process:
            self.process.kill()
            self.process = None

    def stop(self):
        process, self.process = self.process, None
        process.stop()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        try:
            if self.process and not any(failure):
                self.stop()
        finally:
            self.kill()
            if not os.environ.get('SWIFTLET_TEST_KEEP'):
                shutil.rmtree(self.directory, ignore_errors=True)
