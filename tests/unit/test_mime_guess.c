#include "lib/swift/mime_guess.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void mime_guess__names(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"photo.jpg", "image/jpeg"},
		{"a/b.c/PHOTO.JPEG", "image/jpeg"},
		{"index.html", "text/html"},
		{"a.3g2", "audio/3gpp2"},
		{"a.zip", "application/zip"},
		{"a.webmanifest", "application/manifest+json"},
		{"a.tar", "application/x-tar"},
		{"a.tar.gz", "application/x-tar"},
		{"a.tar.xz", "application/x-tar"},
		{"a.TGZ", "application/x-tar"},
		{"a.tbz2", "application/x-tar"},
		{"a.svgz", "image/svg+xml"},
		{"a.txt.Z", "text/plain"},
		{"a.txt.br", "text/plain"},
		{"a.gz", "application/octet-stream"},
		{"a.txt.GZ", "application/octet-stream"},
		{"a.txt.gz.gz", "application/octet-stream"},
		{".html", "application/octet-stream"},
		{"dir/..html", "application/octet-stream"},
		{".tar.gz", "application/octet-stream"},
		{"..a.html", "text/html"},
		{"a..html", "text/html"},
		{"a.html/b", "application/octet-stream"},
		{"html", "application/octet-stream"},
		{"a.", "application/octet-stream"},
		{"a.unknown", "application/octet-stream"},
		{"a.averyveryverylongextension", "application/octet-stream"},
		{"", "application/octet-stream"},
		{".", "application/octet-stream"},
		{"/", "application/octet-stream"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *type = mime_guess(slice_from(cases[i][0]));
		if (strcmp(type, cases[i][1]) != 0)
			fail_msg("'%s': %s instead of %s", cases[i][0], type, cases[i][1]);
	}
	assert_string_equal(mime_guess(slice_of("a.html\0x", 8)), "application/octet-stream");
	assert_string_equal(mime_guess(SLICE_NONE), "application/octet-stream");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mime_guess__names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
