"""Keeps what was measured in JSON files and prints the tables of `make bench`."""
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import textwrap
import time

from rows import GIB, MIB, title

COLUMNS = ('Row', 'Swift', 'swiftlet', 'Ratio', 'Target', 'p50 ms', 'p99 ms', 'CPU µs a request', 'Errors')
IDLE_BYTES, CONNECTION_BYTES = 100 * MIB, 8 << 10  # swiftlet is to stay below these
FIGURES = ('rate', 'p50_us', 'p99_us', 'cpu_us', 'load_cpu_us')


def medium_of(directory):
    kind = subprocess.run(['stat', '-f', '-c', '%T', directory], stdout=subprocess.PIPE, check=True).stdout.decode()
    return 'tmpfs' if kind.strip() == 'tmpfs' else 'disk'


def machine():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        model = re.search(r'model name\s*: (.*)', file.read())
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return '%d cores %s, %d GiB of memory, Linux %s' % (
        os.cpu_count(), model.group(1) if model else platform.machine(), round(memory / GIB), platform.release())


def medians(rounds):
    """The median of each figure; errors are summed up."""
    figures = {name: statistics.median(result[name] for result in rounds) for name in FIGURES}
    figures['errors'] = sum(result['errors'] for result in rounds)
    figures['error'] = next((result['error'] for result in rounds if result['error']), '')
    return figures


def progress(row, results):
    parts = []
    for store, rounds in results.items():
        figures = medians(rounds)
        parts.append('%s %s, p50 %.2f p99 %.2f ms, %.0f µs CPU, load generator %.0f µs%s' % (
            store, rate_of(row, figures), figures['p50_us'] / 1e3, figures['p99_us'] / 1e3, figures['cpu_us'],
            figures['load_cpu_us'],
            ', %d errors: %s' % (figures['errors'], figures['error']) if figures['errors'] else ''))
    return '%-16s %s' % (title(row), '; '.join(parts))


class Results:
    """What `folder` keeps for one medium; without a folder nothing is kept beyond the run."""

    def __init__(self, folder, directory):
        self.medium = medium_of(directory)
        self.path = folder and pathlib.Path(folder) / ('%s.json' % self.medium)
        self.data = {'rows': {}, 'memory': {}, 'limits': {}}
        if self.path and self.path.exists():
            self.data.update(json.loads(self.path.read_text(encoding='utf-8')))

    def heading(self):
        return 'Devices on %s' % ('tmpfs, no disk in the way' if self.medium == 'tmpfs' else 'a disk')

    def forget(self, part):
        self.data[part] = {}

    def keep_row(self, name, results):
        row = self.data['rows'].setdefault(name, {})
        row.update({store: medians(rounds) for store, rounds in results.items()})
        if len(results) == 2:
            pairs = zip(results['swift'], results['swiftlet'])
            row['ratio'] = statistics.median(ours['rate'] / theirs['rate'] for theirs, ours in pairs if theirs['rate'])
        self._save()

    def keep_memory(self, memory):
        self.data['memory'].update(memory)
        self._save()

    def keep_limit(self, name, found):
        self.data['limits'][name] = found
        self._save()

    def _save(self):
        self.data.update(when=time.strftime('%Y-%m-%d'), machine=machine())
        if not self.path:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + '\n', encoding='utf-8')


def rate_of(row, figures):
    if not figures:
        return ''
    size = max(row.body, row.reply)
    if size >= MIB:
        return '{:,.0f} MiB/s'.format(figures['rate'] * size / MIB)
    return ('{:,.0f}/s' if figures['rate'] >= 100 else '{:,.1f}/s').format(figures['rate'])


def pair(kept, name, show):
    return ' / '.join(show(kept[store][name]) for store in ('swift', 'swiftlet') if store in kept)


def milliseconds(us):
    return '{:,.0f}'.format(us / 1e3) if us >= 1e5 else '%.3g' % (us / 1e3)


def mark(figure, target):
    return 'met' if figure >= target else '**missed**'


def target_of(row, medium, ratio):
    target = row.disk if medium == 'disk' else row.memory
    if target is None:
        return ''
    return '%g %s' % (target, mark(ratio, target) if ratio else '')


def row_cells(row, kept, medium):
    ratio = kept.get('ratio')
    return [title(row), rate_of(row, kept.get('swift')), rate_of(row, kept.get('swiftlet')),
            '%.3g' % ratio if ratio else '', target_of(row, medium, ratio),
            pair(kept, 'p50_us', milliseconds), pair(kept, 'p99_us', milliseconds),
            pair(kept, 'cpu_us', '{:,.0f}'.format), pair(kept, 'errors', str)]


def table(columns, lines):
    widths = [max(len(line[i]) for line in [columns, *lines]) for i in range(len(columns))]
    made = [[cell.ljust(width) for cell, width in zip(line, widths)] for line in [columns, *lines]]
    made.insert(1, ['-' * width for width in widths])
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in made)


def memory_text(memory):
    """Sentences on resident memory, with the two targets of swiftlet."""
    names = {'swift': 'Swift and memcached', 'swiftlet': 'swiftlet'}
    parts = ['%s %.0f MiB after the load, %.0f MiB after %d s without' % (
        names[store], sizes['busy'] / MIB, sizes['idle'] / MIB, sizes['seconds'])
        for store, sizes in sorted(memory.items())]
    text = 'Resident memory: ' + '; '.join(parts)
    ours = memory.get('swiftlet')
    if ours:
        text += ' (target: below {} MiB, {}); {:,} idle connections to a fresh one take {:,.0f} bytes each '.format(
            IDLE_BYTES // MIB, mark(IDLE_BYTES, ours['idle']), ours['connections'], ours['connection_bytes'])
        text += '(target: below {:,}, {})'.format(CONNECTION_BYTES, mark(CONNECTION_BYTES, ours['connection_bytes']))
    return textwrap.fill(text + '.', 118)


def tables(results, rows):
    """The tables of all media in Markdown."""
    parts = []
    for kept in results:
        data = kept.data
        lines = [row_cells(row, data['rows'][title(row)], kept.medium) for row in rows if title(row) in data['rows']]
        if lines:
            parts.append('%s (%s, %s):' % (kept.heading(), data['when'], data['machine']))
            parts.append(table(COLUMNS, lines))
        if data['memory']:
            parts.append(memory_text(data['memory']))
    return '\n\n'.join(parts) + '\n'


# ---- limits ----

LIMIT_COLUMNS = ('Limit', 'This machine', 'swiftlet', '', 'Share', 'Target')


def limit_cells(name, found):
    def amount(figure):
        return '{:,.0f}'.format(figure) + (' ' if found['unit'] == 'MiB/s' else '') + found['unit']

    if not found['row']:
        return [name, amount(found['figure']), '', '', '', '']
    target = '%g %s' % (found['target'], mark(found['share'], found['target'])) if found['target'] else ''
    return [name, amount(found['figure']), found['row'], amount(found['swiftlet']), '%.2f' % found['share'], target]


def limit_line(name, found):
    cells = limit_cells(name, found)
    return '%-66s %-14s %-14s %-14s %s %s' % tuple(cells)


def limit_tables(results):
    parts = []
    for kept in results:
        lines = [limit_cells(name, found) for name, found in kept.data['limits'].items()]
        if lines:
            parts += ['%s, limits (%s):' % (kept.heading(), kept.data['when']), table(LIMIT_COLUMNS, lines)]
        for found in kept.data['limits'].values():
            if 'load_cpu_us' in found:
                cost = found['load_cpu_us']
                parts.append('The load generator took {:.1f} µs of a core for each 4 KiB reply of nginx: it could take '
                             '{:,.0f}/s with a core to itself.'.format(cost, 1e6 / cost))
    return '\n\n'.join(parts) + '\n'


# ---- README ----

BEGIN, END = '<!-- speed: begin -->\n', '<!-- speed: end -->'
README = """\
`make bench` measured this, and `make bench-limits`; `make bench-readme` does both again and writes it here. Debian's
Swift 2.30 runs beside swiftlet: proxy, object, container and account server with two workers each, memcached, tempauth
and the pipeline that Debian ships; swiftlet is one process. Both have six devices on the same disk and three replicas,
and sync each object before they answer (Swift leaves the rows of listings in a `.pending` file that it does not sync).
Rounds alternate; a figure is the median of its rounds, a ratio the median of the ratios pair by pair. Servers and load
generator ([tests/bench/load.c](tests/bench/load.c), one thread) share the machine. `c64` is 64 connections; pairs in a
column are Swift / swiftlet; CPU is that of all processes of a store. The targets are what swiftlet aims at.

    make bench                                     # /var/tmp and /dev/shm, a quarter of an hour
    make bench BENCH_DIR=/mnt/disk BENCH='--rows "PUT*" --rounds 5'
    make bench BENCH='--only swiftlet --quick'     # and more: tests/bench/bench --help

"""


def into_readme(path, results, rows):
    """Puts all tables between the two marks."""
    head, _, rest = path.read_text(encoding='utf-8').partition(BEGIN)
    _, _, tail = rest.partition(END)
    text = README + tables(results, rows) + '\n' + limit_tables(results)
    path.write_text(head + BEGIN + text + END + tail, encoding='utf-8')
