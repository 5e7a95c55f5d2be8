/*
 * Replacing a file as a whole: whoever opens the path sees the old contents or the new, also after
 * a power failure.
 */
#ifndef RING_FILE_REPLACE_H
#define RING_FILE_REPLACE_H

#include "lib/base/slice.h"

/*
 * Writes `contents` to a temporary file beside `path`, syncs it, renames it to `path` and syncs the
 * directory. The mode is 0644, less what the umask takes. Returns 0 or a negative errno, with the
 * temporary file removed.
 */
int ring_file_replace(const char *path, struct slice contents);

#endif
