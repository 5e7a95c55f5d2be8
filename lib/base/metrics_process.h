/*
 * What Prometheus' client libraries call process_*: CPU time, memory, descriptors, start of the calling process, read
 * from /proc. What cannot be read is left out.
 */
#ifndef LIB_BASE_METRICS_PROCESS_H
#define LIB_BASE_METRICS_PROCESS_H

#include "lib/base/buf.h"

void metrics_write_process(struct buf *text);

/* Seconds since 1970 at which the process started; 0 when that cannot be found out. */
double metrics_process_start(void);

#endif
