"""Runs a program of Debian's Swift with a swift.conf that is not the machine's.

usage: swift_program.py DIRECTORY PROGRAM [ARGUMENT...]

Swift 2.30 reads swift.conf (salt of the hashes, storage policies) from /etc/swift whatever `swift_dir` says; this calls
the switch that Swift has for its own use, then the program.  PROGRAM fill-listing (ours) puts rows into all replicas of
a container's database, as the container server's merge of pending rows does: 100,000 PUTs would take a quarter of an
hour.
"""
import os
import pathlib
import runpy
import shutil
import sys


def use(directory):
    from swift.common import utils  # pylint: disable=import-error
    utils.set_swift_dir(directory)
    from swift.common import constraints, storage_policy  # pylint: disable=import-error
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()


def fill_listing(devices, account, container, count):
    from swift.common.utils import Timestamp  # pylint: disable=import-error
    from swift.container.backend import ContainerBroker  # pylint: disable=import-error
    rows = [{'name': 'o-%06d' % number, 'created_at': Timestamp(1700000000 + number).internal, 'size': 0, 'deleted': 0,
             'content_type': 'application/octet-stream', 'etag': 'd41d8cd98f00b204e9800998ecf8427e',
             'storage_policy_index': 0} for number in range(int(count))]
    for path in pathlib.Path(devices).glob('*/containers/**/*.db'):
        broker = ContainerBroker(str(path), account=account, container=container)
        info = broker.get_info()
        if (info['account'], info['container']) == (account, container):
            for first in range(0, len(rows), 10000):
                broker.merge_items([dict(row) for row in rows[first:first + 10000]])


def main():
    directory, program, *arguments = sys.argv[1:]
    if os.path.exists(os.path.join(directory, 'swift.conf')):
        use(directory)
    if program == 'fill-listing':
        fill_listing(*arguments)
        return
    sys.argv = [program, *arguments]
    runpy.run_path(shutil.which(program), run_name='__main__')


if __name__ == '__main__':
    main()
