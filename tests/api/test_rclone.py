"""rclone with its swift backend, configured by environment variables alone."""
import json
import os
import pathlib
import subprocess

import pytest

import support

ODD_NAMES = ['with space.txt', 'grün.txt', '日本/語.txt', "quote'\"s.txt", 'per%20cent.txt', 'plus+and&.txt', 'hash#tag?.txt',
             'semi;colon=equals.txt', 'UPPER/lower', '-dash', '~tilde', 'dot.', 'comma,a.txt', 'brackets[1]{2}.txt',
             'a' * 200, 'deep/1/2/3/4/5/6/7/8/9/leaf']


@pytest.fixture(scope='module')
def rclone(auth_url, tmp_path_factory):
    """Runs rclone with a remote X: for test:tester; returns output and log together."""
    program = support.need('rclone')
    home = tmp_path_factory.mktemp('rclone-home')
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('RCLONE_', 'OS_', 'ST_')) and not name.lower().endswith('_proxy')}
    (home / 'empty.conf').touch()
    environment.update(HOME=str(home), RCLONE_CONFIG=str(home / 'empty.conf'), RCLONE_CONFIG_X_TYPE='swift',
                       RCLONE_CONFIG_X_USER='test:tester', RCLONE_CONFIG_X_KEY='testing', RCLONE_CONFIG_X_AUTH=auth_url,
                       RCLONE_RETRIES='1', RCLONE_LOW_LEVEL_RETRIES='1', LC_ALL='C.UTF-8')

    def run(*words, **options):
        done = subprocess.run([program, *map(str, words)], env=environment, capture_output=True, check=False, timeout=180,
                              **options)
        text = (done.stdout + done.stderr).decode('utf-8', 'replace')
        assert done.returncode == 0, 'rclone %s\n%s' % (' '.join(map(str, words)), text)
        return text
    return run


def transferred(log):
    """How many files a run with the options COUNT moved."""
    found = [json.loads(line)['stats'] for line in log.splitlines() if '"stats"' in line]
    assert found, 'no statistics in:\n' + log
    assert found[-1]['errors'] == 0, log
    return found[-1]['transfers']


COUNT = ['-v', '--use-json-log', '--stats', '10m']


def make_tree(top):
    """200 files: most small, some empty, one of 5 MiB, the odd names."""
    files = {'size/empty-%d' % number: b'' for number in range(5)}
    files['size/5-mib.bin'] = support.pattern(5 << 20)
    files.update({name: name.encode() for name in ODD_NAMES})
    number = 0
    while len(files) < 200:
        files['dir%d/file%03d.txt' % (number % 7, number)] = support.pattern(37 * number, number)
        number += 1
    for name, data in files.items():
        path = pathlib.Path(top, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


@pytest.fixture(scope='module')
def synced(rclone, owner, tmp_path_factory):
    """The tree, uploaded once for the tests that only look at it: (container, folder, files)."""
    folder = tmp_path_factory.mktemp('tree')
    files = make_tree(folder)
    container = support.unique('rclone')
    rclone('mkdir', 'X:' + container)
    assert transferred(rclone('sync', *COUNT, folder, 'X:' + container)) == len(files) == 200
    yield container, folder, files
    owner.remove_container(container)


def test_second_sync_moves_nothing(rclone, synced):
    container, folder, _ = synced
    assert transferred(rclone('sync', *COUNT, folder, 'X:' + container)) == 0
    assert transferred(rclone('sync', *COUNT, '--checksum', folder, 'X:' + container)) == 0


def test_check_download(rclone, synced):
    container, folder, files = synced
    report = rclone('check', '--download', folder, 'X:' + container)
    assert '0 differences found' in report and '%d matching files' % len(files) in report


def test_check_by_hash(rclone, synced):
    container, folder, files = synced
    report = rclone('check', folder, 'X:' + container)
    assert '0 differences found' in report and '%d matching files' % len(files) in report


def test_lsf(rclone, synced):
    container, _, files = synced
    assert sorted(rclone('lsf', '-R', '--files-only', 'X:' + container).splitlines()) == sorted(files)
    top = {name.split('/')[0] + '/' if '/' in name else name for name in files}
    assert sorted(rclone('lsf', 'X:' + container).splitlines()) == sorted(top)
    assert sorted(rclone('lsf', '--format', 's', 'X:%s/size' % container).split()) == ['0'] * 5 + [str(5 << 20)]
    assert container + '/' in rclone('lsf', 'X:').splitlines()


def test_lsf_without_delimiter(rclone, synced):
    container, _, files = synced
    found = rclone('lsf', '-R', '--files-only', '--fast-list', 'X:' + container).splitlines()
    assert sorted(found) == sorted(files)


def test_size(rclone, synced):
    container, _, files = synced
    found = json.loads(rclone('size', '--json', 'X:' + container))
    assert (found['count'], found['bytes']) == (len(files), sum(map(len, files.values())))


def test_download(rclone, synced, tmp_path):
    container, _, files = synced
    rclone('copy', 'X:' + container, tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert found == files


def test_modification_time_is_kept(rclone, container, owner, tmp_path):
    (tmp_path / 'f').write_bytes(b'x')
    os.utime(tmp_path / 'f', (1500000000.25, 1500000000.25))
    rclone('copy', tmp_path, 'X:' + container)
    assert float(owner.head(container, 'f').check(200).header('X-Object-Meta-Mtime')) == 1500000000.25
    os.utime(tmp_path / 'f', (1600000000, 1600000000))
    assert transferred(rclone('sync', *COUNT, tmp_path, 'X:' + container)) == 0, 'a POST of the time is enough'
    assert float(owner.head(container, 'f').check(200).header('X-Object-Meta-Mtime')) == 1600000000


def test_sync_removes_and_replaces(rclone, container, tmp_path):
    for name in ('stay', 'go', 'change'):
        (tmp_path / name).write_bytes(name.encode())
    rclone('sync', tmp_path, 'X:' + container)
    (tmp_path / 'go').unlink()
    (tmp_path / 'change').write_bytes(b'changed now')
    (tmp_path / 'new').write_bytes(b'new')
    assert transferred(rclone('sync', *COUNT, tmp_path, 'X:' + container)) == 2
    assert sorted(rclone('lsf', 'X:' + container).splitlines()) == ['change', 'new', 'stay']
    assert rclone('cat', 'X:%s/change' % container) == 'changed now'


def test_copyto_and_server_side_copy(rclone, container, new_container, owner, tmp_path):
    target = new_container()
    (tmp_path / 'f').write_bytes(b'copy me')
    rclone('copyto', tmp_path / 'f', 'X:%s/sub/renamed' % container)
    assert owner.get(container, 'sub/renamed').check(200).body == b'copy me'
    log = rclone('copyto', '-vv', 'X:%s/sub/renamed' % container, 'X:%s/copied' % target)
    assert 'server-side copy' in log
    assert owner.get(target, 'copied').check(200).body == b'copy me'
    log = rclone('moveto', '-vv', 'X:%s/sub/renamed' % container, 'X:%s/moved' % container)
    assert 'server-side copy' in log
    assert owner.get(container, 'moved').check(200).body == b'copy me'
    owner.get(container, 'sub/renamed').check(404)


def test_rcat_streams(rclone, container, owner):
    """Standard input has no length: a chunked PUT."""
    data = support.pattern(400000)
    rclone('rcat', '--swift-no-chunk', 'X:%s/streamed' % container, input=data)
    assert owner.get(container, 'streamed').check(200).body == data


def test_delete(rclone, container, owner):
    for name in ('a', 'b', 'sub/c', 'sub/d'):
        owner.put(container, name, body=b'x').check(201)
    support.eventually(lambda: _count(owner, container, 4))
    rclone('deletefile', 'X:%s/a' % container)
    rclone('delete', 'X:%s/sub' % container)
    assert rclone('lsf', '-R', '--files-only', 'X:' + container).splitlines() == ['b']
    rclone('purge', 'X:' + container)
    owner.head(container).check(404)


def _count(owner, container, wanted):
    assert len(owner.names(container)) == wanted


def test_about(rclone):
    assert 'Objects:' in rclone('about', 'X:')


def test_pages_of_the_client(owner, synced):
    """What rclone does underneath: a page that is not full ends the listing, so no short one may come before."""
    container, _, files = synced
    found, marker = [], ''
    while True:
        page = owner.get(container, query={'format': 'json', 'limit': 30, 'marker': marker}).check(200).json()
        found += [row['name'] for row in page]
        if len(page) < 30:
            break
        marker = page[-1]['name']
    assert found == sorted(files, key=lambda name: name.encode())
