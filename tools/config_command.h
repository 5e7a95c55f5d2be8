/* `swiftlet config …`: prints the sample and the documentation of the configuration, checks a file.
 */
#ifndef TOOLS_CONFIG_COMMAND_H
#define TOOLS_CONFIG_COMMAND_H

/*
 * argv[0] is "config", argv[1] what to do ("sample", …, "--help"). Results go to standard output,
 * errors as one line to standard error. Returns the exit status: 0 done, 1 the file is wrong, 2
 * wrong options.
 */
int config_command(int argc, char **argv);

#endif
