#include "lib/swift/bounded_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether brackets outside of strings nest no deeper than the bound. */
static bool is_shallow(struct slice text)
{
	int depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < text.length; i++) {
		char byte = text.data[i];
		if (in_string) {
			if (byte == '\\')
				i++;
			else if (byte == '"')
				in_string = false;
		} else if (byte == '"') {
			in_string = true;
		} else if (byte == '[' || byte == '{') {
			if (++depth > BOUNDED_JSON_DEPTH_MAX)
				return false;
		} else if (byte == ']' || byte == '}') {
			depth--;
		}
	}
	return true;
}

json_t *bounded_json_parse(struct slice text, json_error_t *ret_error)
{
	if (is_shallow(text))
		return json_loadb(text.data ? text.data : "", text.length, JSON_ALLOW_NUL, ret_error);
	if (ret_error) {
		memset(ret_error, 0, sizeof(*ret_error));
		(void)snprintf(ret_error->text, sizeof(ret_error->text), "nested too deeply");
	}
	return NULL;
}
