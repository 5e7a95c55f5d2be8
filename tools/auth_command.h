/* `swiftlet auth …`: the keys that sign tokens. */
#ifndef TOOLS_AUTH_COMMAND_H
#define TOOLS_AUTH_COMMAND_H

/*
 * argv[0] is "auth", argv[1] what to do ("rotate-key", "--help"). Errors go as one line to standard
 * error. Returns the exit status: 0 done, 1 the file was left as it is, 2 wrong options.
 */
int auth_command(int argc, char **argv);

#endif
