"""Containers as web sites."""
import html
import re

import pytest

import support
from server import Server
from test_tempurl import sign

OPEN = '.r:*,.rlistings'
ROOT = {'X-Container-Read': OPEN}
INDEX = {'X-Container-Meta-Web-Index': 'index.html'}
LISTINGS = {'X-Container-Meta-Web-Listings': 'TRUE'}
ODD = '<b>"x" & \'y\'.html é'


@pytest.fixture
def site(owner, new_container):
    """Makes a site with a few objects; returns its name."""
    def make(*settings):
        headers = {}
        for more in settings:
            headers.update(more)
        name = new_container(dict(ROOT, **headers))
        for path in ('index.html', '404error.html', '401error.html', 'plain', 'dir/index.html', 'dir/x', 'sub/deep/y', ODD):
            owner.put(name, path, body=path.encode(), headers={'Content-Type': 'text/html'}).check(201)
        owner.put(name, 'marker', body=b'', headers={'Content-Type': 'application/directory'}).check(201)
        owner.put(name, 'sub', body=b'', headers={'Content-Type': 'application/directory'}).check(201)
        return name
    return make


def visit(owner, *names, method='GET', slash=False, path=None, **options):
    path = path or owner.path(*names) + ('/' if slash else '')
    return owner.without_token().request(method, path=path, **options)


def test_info(owner):
    assert owner.get(path='/info').json()['staticweb'] == {}


def test_index(owner, site):
    name = site(INDEX)
    reply = visit(owner, name, slash=True).check(200)
    assert reply.body == b'index.html' and reply.header('Content-Type') == 'text/html'
    assert reply.header('Vary') == 'Accept'
    assert visit(owner, name, 'dir/').check(200).body == b'dir/index.html'
    assert visit(owner, name, 'plain').check(200).body == b'plain'
    assert visit(owner, name, slash=True, method='HEAD').check(200).header('Content-Length') == '10'
    visit(owner, name, slash=True, headers={'If-None-Match': support.md5(b'index.html')}).check(304)
    assert visit(owner, name, slash=True, headers={'Range': 'bytes=0-4'}).check(206).body == b'index'


@pytest.mark.parametrize('names', [(), ('dir',), ('sub',), ('sub/deep',)])
def test_redirect(owner, site, names):
    name = site(INDEX, LISTINGS)
    reply = visit(owner, name, *names).check(301)
    assert reply.header('Location') == 'http://%s:%d%s/' % (owner.address + (owner.path(name, *names),))
    assert reply.text == '<html><h1>Moved Permanently</h1><p>The resource has moved permanently.</p></html>'


def test_redirect_to_the_default_port(owner, site):
    reply = visit(owner, site(LISTINGS), headers={'Host': 'example.com:80'}).check(301)
    assert reply.header('Location').startswith('http://example.com/v1/')


def test_url_base():
    with Server(staticweb={'url_base': 'https://www.example.com:443/x'}, formpost={'allowed_digests': 'sha256'}) as server:
        user = support.User.log_in(server.auth_url, 'test:tester', 'testing')
        user.put('c', headers=dict(ROOT, **LISTINGS)).check(201)
        assert visit(user, 'c').check(301).header('Location') == 'https://www.example.com%s/' % user.path('c')
        assert user.get(path='/info').json()['formpost'] == {'allowed_digests': ['sha256']}


def test_no_redirect_loop(owner, site):
    """However many slashes stand at the end, none is put behind them, and the host stays the same."""
    name = site(INDEX, LISTINGS)
    for path in (owner.path(name) + '//', owner.path(name) + '/dir//', owner.path(name) + '/dir/../..//'):
        visit(owner, path=path).check(404)
    reply = visit(owner, path='//' + owner.path(name, 'dir'))
    assert not reply.has('Location')
    reply = visit(owner, path=owner.path(name) + '//dir')
    assert not reply.has('Location')
    reply = visit(owner, path=owner.path(name, 'sub') + '%0d%0aX-Bad:%20y')
    assert not reply.has('X-Bad')


def rows(text):
    found = re.findall(r'<tr class="item ([^"]*)">\n    <td class="colname"><a href="([^"]*)">([^<]*)</a></td>\n'
                       r'    <td class="colsize">([^<]*)</td>\n    <td class="coldate">([^<]*)</td>', text)
    return [(kind, link, html.unescape(name), html.unescape(size)) for kind, link, name, size, _ in found]


def test_listing(owner, site):
    name = site(LISTINGS)
    reply = visit(owner, name, slash=True).check(200)
    assert reply.header('Content-Type') == 'text/html; charset=UTF-8' and not reply.has('X-Backend-Content-Generator')
    assert reply.text.startswith('<!DOCTYPE html>\n<html>\n <head>\n  <title>Listing of %s/</title>\n' % owner.path(name))
    page = rows(reply.text)
    assert page[:2] == [('subdir', './dir/', 'dir/', '\xa0'), ('subdir', './sub/', 'sub/', '\xa0')]
    assert ('type-text type-html', './index%2Ehtml', 'index.html', '10') in page
    assert ('type-application type-directory', './marker', 'marker', '0') in page
    assert 'id="parent"' not in reply.text
    assert re.search(r'<td class="coldate">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</td>', reply.text)
    head = visit(owner, name, slash=True, method='HEAD').check(200)
    assert head.header('Content-Length') == reply.header('Content-Length') and head.body == b''
    assert visit(owner, name, slash=True, query='format=json&prefix=nothing').check(200).text == reply.text


def test_names_are_escaped(owner, site):
    text = visit(owner, site(LISTINGS), slash=True).check(200).text
    assert '<b>' not in text and '&lt;b&gt;&quot;x&quot; &amp; &#x27;y&#x27;.html é</a>' in text
    assert 'href="./%3Cb%3E%22x%22%20%26%20%27y%27%2Ehtml%20%C3%A9"' in text


def test_path_is_escaped(owner, site):
    name = site(LISTINGS)
    owner.put(name, '<script>/x', body=b'').check(201)
    text = visit(owner, name, '<script>/').check(200).text
    assert '<script>' not in text and 'Listing of %s/&lt;script&gt;/</h1>' % owner.path(name) in text


def test_listing_of_a_folder(owner, site):
    name = site(LISTINGS)
    reply = visit(owner, name, 'sub/').check(200)
    text = reply.text
    assert not reply.has('Vary') and rows(text) == [('subdir', './deep/', 'deep/', '\xa0')]
    assert '<tr id="parent" class="item">\n    <td class="colname"><a href="../">../</a></td>' in text
    assert [row[1:3] for row in rows(visit(owner, name, 'sub/deep/').check(200).text)] == [('./y', 'y')]
    visit(owner, name, 'nothing/').check(404)
    visit(owner, name, 'nothing').check(404)


def test_sizes(owner, site):
    name = site(LISTINGS)
    for size in (1023, 1024, 1535, 1536, 2560, 3584):
        owner.put(name, 'sizes/%d' % size, body=b'x' * size).check(201)
    shown = {row[2]: row[3] for row in rows(visit(owner, name, 'sizes/').check(200).text)}
    assert shown == {'1023': '1023', '1024': '1Ki', '1535': '1Ki', '1536': '2Ki', '2560': '2Ki', '3584': '4Ki'}


@pytest.mark.parametrize('css, root, deep', [
    ('a b.css', 'a%20b.css', '../../a%20b.css'), ('/x"y', '/x%22y', '/x%22y'), ('https://h:1/x', 'https://h:1/x', 'https://h:1/x')])
def test_style_sheet(owner, site, css, root, deep):
    name = site(LISTINGS, {'X-Container-Meta-Web-Listings-CSS': css})
    for names, wanted in ((('',), root), (('sub/deep/',), deep)):
        text = visit(owner, name, *names).check(200).text
        assert '<link rel="stylesheet" type="text/css" href="%s" />' % wanted in text and '<style' not in text


def test_label(owner, site):
    name = site(LISTINGS, {'X-Container-Meta-Web-Listings-Label': 'my <site>'})
    assert '<title>Listing of my &lt;site&gt;/sub/</title>' in visit(owner, name, 'sub/').check(200).text
    assert '<title>Listing of my &lt;site&gt;/</title>' in visit(owner, name, slash=True).check(200).text


def test_directory_type(owner, site):
    name = site(LISTINGS, {'X-Container-Meta-Web-Directory-Type': 'text/directory'})
    assert visit(owner, name, 'marker').check(200).header('Content-Type') == 'application/directory'
    owner.put(name, 'dir', body=b'', headers={'Content-Type': 'text/directory'}).check(201)
    visit(owner, name, 'dir').check(301)
    visit(owner, site(LISTINGS), 'marker').check(404)
    assert visit(owner, site(), 'marker').check(200).body == b''


def test_listings_are_off(owner, site):
    name = site(INDEX)
    reply = visit(owner, name, 'sub/').check(404)
    assert '<h1>Web Listing Disabled</h1>' in reply.text
    assert '<b>X-Container-Meta-Web-Index: index.html</b>' in reply.text
    assert reply.header('Content-Type') == 'text/html; charset=UTF-8'


def test_error_pages(owner, site):
    name = site(INDEX, {'X-Container-Meta-Web-Error': 'error.html'})
    for path in ('nothing', 'nothing/', 'sub/'):
        reply = visit(owner, name, path).check(404)
        assert reply.body == b'404error.html' and reply.header('Content-Type') == 'text/html'
    assert visit(owner, name, 'nothing', method='HEAD').check(404).body == b''
    owner.post(name, headers={'X-Container-Read': '.r:*', 'X-Container-Meta-Web-Index': 'gone', **LISTINGS}).check(204)
    # anybody may read, nobody may list
    for path in ('', 'dir/'):
        assert visit(owner, name, path).check(401).body == b'401error.html'
    owner.delete(name, '401error.html').check(204)
    assert b'401error' not in visit(owner, name, '').check(401).body


def test_private_containers(owner, site):
    name = site(LISTINGS, {'X-Container-Meta-Web-Error': 'error.html'})
    owner.post(name, headers={'X-Container-Read': ''}).check(204)
    for path in ('', 'plain', 'nothing', 'dir/'):
        assert visit(owner, name, path).check(401).body != b'401error.html'
    visit(owner, 'no-such-container', slash=True).check(401)


def test_referrers(owner, site):
    name = site(LISTINGS)
    owner.post(name, headers={'X-Container-Read': '.r:example.com,.rlistings'}).check(204)
    visit(owner, name, slash=True).check(401)
    reply = visit(owner, name, slash=True, headers={'Referer': 'http://example.com/'}).check(200)
    assert 'Listing of' in reply.text


def test_with_a_token(owner, site):
    name = site(INDEX, LISTINGS)
    web = {'X-Web-Mode': 'true'}
    assert owner.get(name).check(200).lines()[0] == '401error.html'
    owner.get(name, 'dir/').check(404)
    owner.get(name, headers=web).check(301)
    assert owner.get(path=owner.path(name) + '/', headers=web).check(200).body == b'index.html'
    assert owner.get(name, 'dir/', headers=web).check(200).body == b'dir/index.html'
    owner.get(site(), headers=web).check(404)


def test_plain_containers_are_listed_as_ever(owner, site):
    name = site()
    reply = visit(owner, name).check(200)
    assert reply.header('Content-Type') == 'text/plain; charset=utf-8' and 'plain' in reply.lines()
    assert visit(owner, name, query='format=json').check(200).header('Content-Type') == 'application/json; charset=utf-8'
    visit(owner, name, 'sub/').check(404)


def test_temporary_urls(owner, site):
    name = site(LISTINGS)
    owner.post(name, headers={'X-Container-Read': '', 'X-Container-Meta-Temp-URL-Key': 'key'}).check(204)

    def ask(prefix, *names, **more):
        query = dict(sign('/v1/%s/%s/%s' % (owner.account, name, prefix), key='key', prefix=True), temp_url_prefix=prefix, **more)
        return query, visit(owner, name, *names, query=query)
    query, reply = ask('', '')
    shown = '?temp_url_prefix=&amp;temp_url_expires=%s&amp;temp_url_sig=%s' % (query['temp_url_expires'], query['temp_url_sig'])
    assert './plain%s' % shown in [row[1] for row in rows(reply.check(200).text)]
    assert reply.header('Content-Disposition') == 'inline'
    _, reply = ask('sub/', 'sub/', inline='')
    assert rows(reply.check(200).text)[0][1].endswith('&amp;inline') and 'id="parent"' not in reply.text
    assert '<a href="../?temp_url_prefix=sub/&amp;' in ask('sub/', 'sub/deep/')[1].check(200).text
    ask('sub/', 'dir/')[1].check(401)
    # what is not a listing cannot be had at the root
    owner.post(name, headers={'X-Container-Meta-Web-Listings': ''}).check(204)
    ask('', '')[1].check(401)

