/*
 * Headers that begin with a word and go on with attributes, such as `form-data; name="a"; filename="b.txt"`, as Swift's
 * parse_content_disposition() reads them: rougher than RFC 2183, without escapes in quoted values, and deaf from the first
 * attribute on that it does not understand.
 */
#ifndef LIB_SWIFT_CONTENT_DISPOSITION_H
#define LIB_SWIFT_CONTENT_DISPOSITION_H

#include <stdbool.h>

#include "lib/base/slice.h"

/* What stands before the first ";", without blanks around. A view into the header. */
struct slice content_disposition_word(struct slice header);

/*
 * The value of the last attribute of that name (in the same case), without double quotes at both of its ends; false when
 * there is none. A view into the header. Linear in it.
 */
bool content_disposition_attribute(struct slice header, const char *name, struct slice *ret_value);

#endif
