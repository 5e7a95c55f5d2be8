"""The `swift` command of python3-swiftclient."""
import json
import os
import subprocess

import pytest

import support


@pytest.fixture(scope='module')
def swift(auth_url):
    """Runs the command as test:tester; returns its output, fails with its error."""
    program = support.need('swift')
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('OS_', 'ST_')) and not name.lower().endswith('_proxy')}
    environment.update(ST_AUTH=auth_url, ST_USER='test:tester', ST_KEY='testing', LC_ALL='C.UTF-8')

    def run(*words, fails=False, **options):
        done = subprocess.run([program, *map(str, words)], env=environment, capture_output=True, check=False,
                              timeout=120, **options)
        text = done.stdout.decode('utf-8', 'replace')
        assert (done.returncode != 0) == fails, 'swift %s\n%s\n%s' % (' '.join(map(str, words)), text, done.stderr.decode())
        return text + (done.stderr.decode() if fails else '')
    return run


def details(text):
    """What `swift stat` prints, as a dictionary."""
    pairs = (line.partition(':') for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def listed(swift, *words):
    return swift('list', *words).splitlines()


@pytest.fixture
def tree(tmp_path):
    """A small folder with names that hurt."""
    for name, data in {'plain.txt': b'plain', 'empty': b'', 'with space.txt': b'space', 'grün/smörgås.txt': b'utf-8',
                       'deep/er/still/x.bin': support.pattern(70000), '日本.dat': support.pattern(1000),
                       'per%20cent+plus&amp.txt': b'percent', 'quote\'"#?.txt': b'quotes'}.items():
        path = tmp_path / 'tree' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / 'tree'


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_upload_and_download_a_folder(swift, container, tree, tmp_path):
    swift('upload', container, 'tree', cwd=tree.parent)
    wanted = sorted('tree/' + name for name in files_below(tree))
    support.eventually(lambda: _same(sorted(listed(swift, container)), wanted))
    back = tmp_path / 'back'
    swift('download', container, '--output-dir', back)
    assert files_below(back / 'tree') == files_below(tree)


def _same(found, wanted):
    assert found == wanted


@pytest.mark.parametrize('option', ['--skip-identical', '--changed'])
def test_upload_skips_what_is_the_same(swift, container, tree, owner, option):
    swift('upload', container, 'plain.txt', cwd=tree)
    first = owner.head(container, 'plain.txt').check(200).header('X-Timestamp')
    swift('upload', option, container, 'plain.txt', cwd=tree)
    assert owner.head(container, 'plain.txt').check(200).header('X-Timestamp') == first


def test_20_mib_file(swift, container, tmp_path):
    source = tmp_path / 'big.bin'
    source.write_bytes(support.pattern(20 << 20))
    swift('upload', container, 'big.bin', cwd=tmp_path)
    stat = details(swift('stat', container, 'big.bin'))
    assert stat['Content Length'] == str(20 << 20)
    assert stat['ETag'] == support.md5(source.read_bytes())
    swift('download', container, 'big.bin', '--output', tmp_path / 'back.bin')     # checks the MD5 by itself
    assert (tmp_path / 'back.bin').read_bytes() == source.read_bytes()


def test_upload_under_another_name(swift, container, tree):
    swift('upload', '--object-name', 'other/name here', container, tree / 'plain.txt')
    assert swift('download', container, 'other/name here', '--output', '-') == 'plain'


def test_upload_with_headers(swift, container, tree):
    swift('upload', container, 'plain.txt', '-H', 'Content-Type: text/x-odd', '-H', 'X-Object-Meta-Colour: grün', cwd=tree)
    stat = details(swift('stat', container, 'plain.txt'))
    assert stat['Content Type'] == 'text/x-odd'
    assert stat['Meta Colour'] == 'grün'
    assert 'Meta Mtime' in stat


def test_list_forms(swift, container, tmp_path):
    for name in ('a/1', 'a/2', 'b', 'c/d/3'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x' * 2000)
    swift('upload', container, 'a', 'b', 'c', cwd=tmp_path)
    support.eventually(lambda: _same(listed(swift, container), ['a/1', 'a/2', 'b', 'c/d/3']))
    assert listed(swift, container, '-p', 'a') == ['a/1', 'a/2']
    assert listed(swift, container, '-d', '/') == ['a/', 'b', 'c/']
    assert listed(swift, container, '-p', 'a/', '-d', '/') == ['a/1', 'a/2']
    long = listed(swift, container, '--lh')
    assert len(long) == 5
    assert all(line.startswith('2.0K') for line in long[:4]), long
    assert long[4].strip() == '7.8K'
    plain = listed(swift, container, '--long')
    assert plain[0].split()[0] == '2000' and plain[0].endswith('a/1')
    assert [row['name'] for row in json.loads(swift('list', container, '--json'))] == ['a/1', 'a/2', 'b', 'c/d/3']


def test_list_account(swift, container):
    support.eventually(lambda: _contains(listed(swift), container))
    assert listed(swift, '-p', container) == [container]
    assert container in swift('list', '--lh', '-p', container)


def _contains(found, wanted):
    assert wanted in found


def test_stat_account_container_object(swift, container, tree):
    swift('upload', container, 'plain.txt', cwd=tree)
    account = details(swift('stat'))
    assert account['Account'] == 'AUTH_test'
    assert int(account['Containers']) >= 1
    assert 'X-Trans-Id' in account
    stat = details(swift('stat', container))
    assert (stat['Container'], stat['Objects'], stat['Bytes']) == (container, '1', '5')
    assert (stat['Read ACL'], stat['Write ACL']) == ('', '')
    stat = details(swift('stat', container, 'plain.txt'))
    assert (stat['Object'], stat['Content Length'], stat['Content Type']) == ('plain.txt', '5', 'text/plain')
    message = swift('stat', container, 'missing', fails=True)
    assert '/missing 404 Not Found' in message and 'Failed Transaction ID: tx' in message


def test_post_metadata(swift, container, tree):
    swift('upload', container, 'plain.txt', cwd=tree)
    swift('post', container, 'plain.txt', '-m', 'Colour:red', '-m', 'Size:tall')
    stat = details(swift('stat', container, 'plain.txt'))
    assert (stat['Meta Colour'], stat['Meta Size']) == ('red', 'tall')
    assert 'Meta Mtime' not in stat, 'a POST replaces all of it'
    swift('post', container, '-m', 'Kind:box')
    assert details(swift('stat', container))['Meta Kind'] == 'box'
    swift('post', container, '-m', 'Kind:')
    assert 'Meta Kind' not in details(swift('stat', container))
    swift('post', '-m', 'Probe-%s:1' % container)
    assert details(swift('stat'))['Meta ' + ('Probe-' + container).title()] == '1'
    swift('post', '-m', 'Probe-%s:' % container)


def test_post_makes_a_container(swift, owner):
    name = support.unique('made')
    swift('post', name)
    owner.head(name).check(204)
    swift('delete', name)
    owner.head(name).check(404)


def test_read_acl(swift, container, tree, owner):
    swift('upload', container, 'plain.txt', cwd=tree)
    guest = owner.without_token()
    guest.get(container, 'plain.txt').check(401)
    swift('post', '-r', '.r:*', container)
    assert details(swift('stat', container))['Read ACL'] == '.r:*'
    assert guest.get(container, 'plain.txt').check(200).body == b'plain'
    guest.get(container).check(401)
    swift('post', '-r', '.r:*,.rlistings', container)
    assert guest.get(container).check(200).lines() == ['plain.txt']
    swift('post', '-r', '', container)
    guest.get(container, 'plain.txt').check(401)


def test_copy(swift, container, new_container, tree):
    target = new_container()
    swift('upload', container, 'plain.txt', '-H', 'X-Object-Meta-Old: 1', cwd=tree)
    swift('copy', '-d', '/%s/copied' % target, container, 'plain.txt')
    swift('copy', '-d', '/%s/fresh' % target, '-M', '-m', 'New:2', container, 'plain.txt')
    assert swift('download', target, 'copied', '--output', '-') == 'plain'
    assert details(swift('stat', target, 'copied'))['Meta Old'] == '1'
    fresh = details(swift('stat', target, 'fresh'))
    assert fresh['Meta New'] == '2' and 'Meta Old' not in fresh


def test_delete(swift, container, tree, owner):
    swift('upload', container, 'tree', cwd=tree.parent)
    support.eventually(lambda: _same(len(listed(swift, container)), len(files_below(tree))))
    swift('delete', container, 'tree/plain.txt')
    owner.head(container, 'tree/plain.txt').check(404)
    swift('delete', container, '--prefix', 'tree/deep')
    owner.head(container, 'tree/deep/er/still/x.bin').check(404)
    swift('delete', container)
    owner.head(container).check(404)


def test_capabilities(swift):
    text = swift('capabilities')
    assert 'Core: swift' in text
    assert 'max_file_size: 5368709122' in text
    assert json.loads(swift('capabilities', '--json'))['swift']['container_listing_limit'] == 10000


def test_auth_prints_the_token(swift):
    text = swift('auth')
    assert 'OS_STORAGE_URL=' in text and 'OS_AUTH_TOKEN=' in text


def test_wrong_key(swift):
    assert 'Auth GET failed' in swift('-K', 'wrong', 'stat', fails=True)
