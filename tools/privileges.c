#include "tools/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"

/* Real, effective and saved ids are all the user's, and root does not come back. */
static int check_dropped(const struct passwd *entry)
{
	uid_t users[3];
	gid_t groups[3];
	if (getresuid(&users[0], &users[1], &users[2]) || getresgid(&groups[0], &groups[1], &groups[2]))
		return -errno;
	for (size_t i = 0; i < 3; i++)
		if (users[i] != entry->pw_uid || groups[i] != entry->pw_gid)
			return -EPERM;
	return entry->pw_uid != 0 && setuid(0) == 0 ? -EPERM : 0;
}

int privileges_drop(const char *user, char **ret_error)
{
	if (!user[0])
		return 0;
	errno = 0;
	const struct passwd *entry = getpwnam(user);
	if (!entry) {
		*ret_error = xasprintf("[swiftlet] user: there is no user %s", user);
		return errno ? -errno : -ENOENT;
	}
	if (geteuid() != 0) {
		if (geteuid() == entry->pw_uid)
			return 0;
		*ret_error = xasprintf("[swiftlet] user: becoming %s takes a start as root", user);
		return -EPERM;
	}
	int error = 0;
	if (initgroups(user, entry->pw_gid) || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) ||
		setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid))
		error = -errno;
	if (!error)
		error = check_dropped(entry);
	if (error)
		*ret_error = xasprintf("[swiftlet] user: cannot become %s: %s", user, strerror(-error));
	return error;
}

int privileges_check_device(const char *path, char **ret_error)
{
	static const struct {
		const char *name;
		int mode;
	} places[] = {
		{"", R_OK | W_OK | X_OK},
		{"/swiftlet.device", R_OK},
		{"/db", R_OK | W_OK | X_OK},
		{"/db/LOCK", R_OK | W_OK},
		{"/db/CURRENT", R_OK},
		{"/incoming", R_OK | W_OK | X_OK},
		{"/bodies", R_OK | W_OK | X_OK},
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_free_ char *place = xasprintf("%s%s", path, places[i].name);
		if (faccessat(AT_FDCWD, place, places[i].mode, AT_EACCESS) == 0 || errno != EACCES)
			continue;
		const struct passwd *entry = getpwuid(geteuid());
		const char *user = entry ? entry->pw_name : "this process's user";
		*ret_error = xasprintf("%s is not writable by %s: chown -R %s %s", place, user, user, path);
		return -EACCES;
	}
	return 0;
}
