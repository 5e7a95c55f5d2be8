#include "ring/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"

static int write_whole(int fd, struct slice contents)
{
	while (contents.length) {
		ssize_t count = write(fd, contents.data, contents.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		contents = slice_of(contents.data + count, contents.length - (size_t)count);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory_of(const char *path)
{
	_cleanup_free_ char *directory = xstrdup(path);
	char *slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return error;
}

int ring_file_replace(const char *path, struct slice contents)
{
	_cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", path, (int)getpid());
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int error = write_whole(fd, contents);
	if (close(fd) < 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(temporary, path) < 0)
		error = -errno;
	if (error < 0) {
		(void)unlink(temporary); /* a leftover does no harm: nobody reads that name */
		return error;
	}
	return sync_directory_of(path);
}
