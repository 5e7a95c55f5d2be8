#include "lib/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void memory_exhausted(void)
{
	static const char message[] = "swiftlet: out of memory\n";
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	abort();
}

void *xmalloc(size_t bytes)
{
	void *memory = malloc(bytes ? bytes : 1);
	if (!memory)
		memory_exhausted();
	return memory;
}

void *xcalloc(size_t count, size_t bytes)
{
	void *memory = calloc(count ? count : 1, bytes ? bytes : 1);
	if (!memory)
		memory_exhausted();
	return memory;
}

void *xrealloc(void *memory, size_t bytes)
{
	void *grown = realloc(memory, bytes ? bytes : 1);
	if (!grown)
		memory_exhausted();
	return grown;
}

char *xstrdup(const char *text)
{
	size_t bytes = strlen(text) + 1;
	return memcpy(xmalloc(bytes), text, bytes);
}

char *xasprintf(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		memory_exhausted();
	return text;
}

void memory_free_pointer(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}
