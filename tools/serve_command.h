/* `swiftlet serve`: runs the servers that a configuration names, under a small supervisor. */
#ifndef TOOLS_SERVE_COMMAND_H
#define TOOLS_SERVE_COMMAND_H

/* argv[0] is "serve". Returns the exit code. */
int serve_command(int argc, char **argv);

#endif
