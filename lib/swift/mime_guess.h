/*
 * The content type of an object that came without one, from the end of its name, as Python's
 * mimetypes module guesses with its built-in table.
 */
#ifndef LIB_SWIFT_MIME_GUESS_H
#define LIB_SWIFT_MIME_GUESS_H

#include "lib/base/slice.h"

/*
 * A static string, "application/octet-stream" when nothing is known. Extensions of encodings are
 * looked through
 * ("a.tar.gz" and "a.tgz" are application/x-tar), and leading dots of the last path segment begin
 * no extension.
 */
const char *mime_guess(struct slice name);

#endif
