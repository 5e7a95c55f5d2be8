#include "lib/swift/base64.h"

#include <openssl/evp.h>

bool base64_decode(struct arena *arena, struct slice text, struct slice *ret_bytes)
{
	if (text.length % 4)
		return false;
	unsigned char *bytes = arena_alloc(arena, text.length / 4 * 3 + 1);
	size_t padding = 0;
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
			      c == '/';
		if (c == '=' && i + 2 >= text.length)
			padding++;
		else if (!letter || padding)
			return false;
	}
	int length = EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)text.length);
	if (length < 0)
		return false;
	*ret_bytes = slice_of((char *)bytes, (size_t)length - padding);
	return true;
}

const char *base64_encode(struct arena *arena, struct slice bytes)
{
	unsigned char *text = arena_alloc(arena, (bytes.length + 2) / 3 * 4 + 1);
	EVP_EncodeBlock(text, (const unsigned char *)bytes.data, (int)bytes.length);
	return (const char *)text;
}
