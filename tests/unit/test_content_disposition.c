#include "lib/swift/content_disposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* What Swift's parse_content_disposition() makes of each. */
static const struct {
	const char *header;
	const char *word;
	const char *a; /* NULL: there is no such attribute */
} cases[] = {
	{"form-data; a=\"b\"", "form-data", "b"},
	{"form-data; x=1; a=b", "form-data", "b"},
	{"form-data;a=b", "form-data", "b"},
	{" form-data ; a=b ", "form-data", "b"},
	{"form-data", "form-data", NULL},
	{"", "", NULL},
	{";", "", NULL},
	{"f; a", "f", NULL},
	{"f; a=", "f", NULL},
	{"f; a=;", "f", NULL},
	{"f; a=\"\"", "f", ""},
	{"f; a=\"b;c\"", "f", "b;c"},
	{"f; a=\"b\"c\"", "f", "b\"c"},
	{"f; a=\"b\\\"c\"", "f", "b\\\"c"},
	{"f; a=\"b; x=1", "f", NULL},
	{"f; a=b\"c", "f", NULL},
	{"f; a=\"\"b\"\"", "f", "b"},
	{"f; a=b c; x=1", "f", "b c"},
	{"f; a=b; a=c", "f", "c"},
	{"f; A=b", "f", NULL},
	{"f; x=1;  a=b", "f", NULL},
	{"f; x*=1; a=b", "f", NULL},
	{"f; x-y=1; a=b", "f", NULL},
	{"f; \xc3\xa9=1; a=b", "f", "b"},
	{"f; a = b", "f", NULL},
	{"f; a=b;", "f", "b"},
};

static void content_disposition__is_read_as_swift_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice header = slice_from(cases[i].header), value = SLICE_NONE;
		struct slice word = content_disposition_word(header);
		bool found = content_disposition_attribute(header, "a", &value);
		if (!slice_equal(word, slice_from(cases[i].word)) || found != (cases[i].a != NULL) ||
			(found && !slice_equal(value, slice_from(cases[i].a))))
			fail_msg("\"%s\": word \"%.*s\", a is \"%.*s\" (%d)", cases[i].header, SLICE_PRINT(word),
				SLICE_PRINT(value), found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(content_disposition__is_read_as_swift_does)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
