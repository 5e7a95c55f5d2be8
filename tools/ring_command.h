/*
 * `swiftlet ring …`: makes, changes and shows rings. ring/builder.h says what a rebalance
 * guarantees.
 */
#ifndef TOOLS_RING_COMMAND_H
#define TOOLS_RING_COMMAND_H

/*
 * argv[0] is "ring", argv[1] what to do ("create", …, "--help"), the rest its arguments. Results go
 * to standard output, errors as one line to standard error. Returns the exit status, as
 * swift-ring-builder's: 0 done, 1 done with a warning, 2 error (nothing was written).
 */
int ring_command(int argc, char **argv);

#endif
