/* Giving up root for good, and saying clearly what the user that is left may not do. */
#ifndef TOOLS_PRIVILEGES_H
#define TOOLS_PRIVILEGES_H

/*
 * Becomes `user`, with that user's groups and no way back; "" is nothing. Without root it only checks that we are that
 * user already. Returns 0, or a negative errno with a malloc'ed line. One thread at a time.
 */
int privileges_drop(const char *user, char **ret_error);

/*
 * Whether a device's directory, and what is in it from earlier, is ours to write to; a directory that is missing or
 * sick is no matter of privileges. Returns 0, or -EACCES with a malloc'ed line that says what to do.
 */
int privileges_check_device(const char *path, char **ret_error);

#endif
