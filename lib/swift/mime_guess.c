#include "lib/swift/mime_guess.h"

#include <stdlib.h>
#include <strings.h>

/* Longer endings than the longest of the table are no extensions. */
enum { EXTENSION_BYTES = 16 };

struct mime_type {
	char extension[EXTENSION_BYTES]; /* lower-case, without the point */
	const char *type;
};

/* Sorted by extension in byte order. */
static const struct mime_type types[] = {
	/* clang-format off */
	{"3g2", "audio/3gpp2"},
	{"3gp", "audio/3gpp"},
	{"3gpp", "audio/3gpp"},
	{"3gpp2", "audio/3gpp2"},
	{"a", "application/octet-stream"},
	{"aac", "audio/aac"},
	{"adts", "audio/aac"},
	{"ai", "application/postscript"},
	{"aif", "audio/x-aiff"},
	{"aifc", "audio/x-aiff"},
	{"aiff", "audio/x-aiff"},
	{"ass", "audio/aac"},
	{"au", "audio/basic"},
	{"avi", "video/x-msvideo"},
	{"avif", "image/avif"},
	{"bat", "text/plain"},
	{"bcpio", "application/x-bcpio"},
	{"bin", "application/octet-stream"},
	{"bmp", "image/bmp"},
	{"c", "text/plain"},
	{"cdf", "application/x-netcdf"},
	{"cpio", "application/x-cpio"},
	{"csh", "application/x-csh"},
	{"css", "text/css"},
	{"csv", "text/csv"},
	{"dll", "application/octet-stream"},
	{"doc", "application/msword"},
	{"dot", "application/msword"},
	{"dvi", "application/x-dvi"},
	{"eml", "message/rfc822"},
	{"eps", "application/postscript"},
	{"etx", "text/x-setext"},
	{"exe", "application/octet-stream"},
	{"gif", "image/gif"},
	{"gtar", "application/x-gtar"},
	{"h", "text/plain"},
	{"h5", "application/x-hdf5"},
	{"hdf", "application/x-hdf"},
	{"heic", "image/heic"},
	{"heif", "image/heif"},
	{"htm", "text/html"},
	{"html", "text/html"},
	{"ico", "image/vnd.microsoft.icon"},
	{"ief", "image/ief"},
	{"jpe", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"jpg", "image/jpeg"},
	{"js", "application/javascript"},
	{"json", "application/json"},
	{"ksh", "text/plain"},
	{"latex", "application/x-latex"},
	{"loas", "audio/aac"},
	{"m1v", "video/mpeg"},
	{"m3u", "application/vnd.apple.mpegurl"},
	{"m3u8", "application/vnd.apple.mpegurl"},
	{"man", "application/x-troff-man"},
	{"me", "application/x-troff-me"},
	{"mht", "message/rfc822"},
	{"mhtml", "message/rfc822"},
	{"mif", "application/x-mif"},
	{"mjs", "application/javascript"},
	{"mov", "video/quicktime"},
	{"movie", "video/x-sgi-movie"},
	{"mp2", "audio/mpeg"},
	{"mp3", "audio/mpeg"},
	{"mp4", "video/mp4"},
	{"mpa", "video/mpeg"},
	{"mpe", "video/mpeg"},
	{"mpeg", "video/mpeg"},
	{"mpg", "video/mpeg"},
	{"ms", "application/x-troff-ms"},
	{"n3", "text/n3"},
	{"nc", "application/x-netcdf"},
	{"nq", "application/n-quads"},
	{"nt", "application/n-triples"},
	{"nws", "message/rfc822"},
	{"o", "application/octet-stream"},
	{"obj", "application/octet-stream"},
	{"oda", "application/oda"},
	{"opus", "audio/opus"},
	{"p12", "application/x-pkcs12"},
	{"p7c", "application/pkcs7-mime"},
	{"pbm", "image/x-portable-bitmap"},
	{"pdf", "application/pdf"},
	{"pfx", "application/x-pkcs12"},
	{"pgm", "image/x-portable-graymap"},
	{"pl", "text/plain"},
	{"png", "image/png"},
	{"pnm", "image/x-portable-anymap"},
	{"pot", "application/vnd.ms-powerpoint"},
	{"ppa", "application/vnd.ms-powerpoint"},
	{"ppm", "image/x-portable-pixmap"},
	{"pps", "application/vnd.ms-powerpoint"},
	{"ppt", "application/vnd.ms-powerpoint"},
	{"ps", "application/postscript"},
	{"pwz", "application/vnd.ms-powerpoint"},
	{"py", "text/x-python"},
	{"pyc", "application/x-python-code"},
	{"pyo", "application/x-python-code"},
	{"qt", "video/quicktime"},
	{"ra", "audio/x-pn-realaudio"},
	{"ram", "application/x-pn-realaudio"},
	{"ras", "image/x-cmu-raster"},
	{"rdf", "application/xml"},
	{"rgb", "image/x-rgb"},
	{"roff", "application/x-troff"},
	{"rtx", "text/richtext"},
	{"sgm", "text/x-sgml"},
	{"sgml", "text/x-sgml"},
	{"sh", "application/x-sh"},
	{"shar", "application/x-shar"},
	{"snd", "audio/basic"},
	{"so", "application/octet-stream"},
	{"src", "application/x-wais-source"},
	{"srt", "text/plain"},
	{"sv4cpio", "application/x-sv4cpio"},
	{"sv4crc", "application/x-sv4crc"},
	{"svg", "image/svg+xml"},
	{"swf", "application/x-shockwave-flash"},
	{"t", "application/x-troff"},
	{"tar", "application/x-tar"},
	{"tcl", "application/x-tcl"},
	{"tex", "application/x-tex"},
	{"texi", "application/x-texinfo"},
	{"texinfo", "application/x-texinfo"},
	{"tif", "image/tiff"},
	{"tiff", "image/tiff"},
	{"tr", "application/x-troff"},
	{"trig", "application/trig"},
	{"tsv", "text/tab-separated-values"},
	{"txt", "text/plain"},
	{"ustar", "application/x-ustar"},
	{"vcf", "text/x-vcard"},
	{"vtt", "text/vtt"},
	{"wasm", "application/wasm"},
	{"wav", "audio/x-wav"},
	{"webm", "video/webm"},
	{"webmanifest", "application/manifest+json"},
	{"wiz", "application/msword"},
	{"wsdl", "application/xml"},
	{"xbm", "image/x-xbitmap"},
	{"xlb", "application/vnd.ms-excel"},
	{"xls", "application/vnd.ms-excel"},
	{"xml", "text/xml"},
	{"xpdl", "application/xml"},
	{"xpm", "image/x-xpixmap"},
	{"xsl", "application/xml"},
	{"xwd", "image/x-xwindowdump"},
	{"zip", "application/zip"},
	/* clang-format on */
};

/* Extensions that stand for two. */
static const struct {
	char extension[8];
	char inner[8]; /* what remains when the encoding is taken off */
} double_extensions[] = {
	{"svgz", "svg"},
	{"taz", "tar"},
	{"tbz2", "tar"},
	{"tgz", "tar"},
	{"txz", "tar"},
	{"tz", "tar"},
};

/* Encodings, which say nothing about the type; only these are sensitive to case. */
static const char encodings[][4] = {"Z", "br", "bz2", "gz", "xz"};

/* Takes the last extension off a name and returns it without its point; SLICE_NONE when there is
 * none. */
static struct slice take_extension(struct slice *name)
{
	size_t start = name->length;
	while (start > 0 && name->data[start - 1] != '.' && name->data[start - 1] != '/')
		start--;
	if (start == 0 || name->data[start - 1] != '.')
		return SLICE_NONE;
	/* A segment of points, and then one more, is the beginning of a name. */
	size_t before = start - 1;
	while (before > 0 && name->data[before - 1] == '.')
		before--;
	if (before == 0 || name->data[before - 1] == '/')
		return SLICE_NONE;
	struct slice extension = slice_of(name->data + start, name->length - start);
	name->length = start - 1;
	return extension;
}

static bool is_encoding(struct slice extension)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		if (slice_equal(extension, slice_from(encodings[i])))
			return true;
	return false;
}

/* What is inside of "tgz" and its like, else the empty slice. */
static struct slice inner_extension(struct slice extension)
{
	for (size_t i = 0; i < sizeof(double_extensions) / sizeof(double_extensions[0]); i++) {
		struct slice known = slice_from(double_extensions[i].extension);
		if (extension.length == known.length && strncasecmp(extension.data, known.data, known.length) == 0)
			return slice_from(double_extensions[i].inner);
	}
	return SLICE_NONE;
}

static int compare_type(const void *key, const void *element)
{
	return strcasecmp(key, ((const struct mime_type *)element)->extension);
}

static const char *find_type(struct slice extension)
{
	if (extension.length == 0 || extension.length >= EXTENSION_BYTES ||
		memchr(extension.data, '\0', extension.length))
		return NULL;
	char key[EXTENSION_BYTES];
	memcpy(key, extension.data, extension.length);
	key[extension.length] = '\0';
	const struct mime_type *found =
		bsearch(key, types, sizeof(types) / sizeof(types[0]), sizeof(types[0]), compare_type);
	return found ? found->type : NULL;
}

const char *mime_guess(struct slice name)
{
	struct slice extension = take_extension(&name);
	struct slice inner = inner_extension(extension);
	if (inner.length)
		extension = inner;
	else if (is_encoding(extension))
		extension = take_extension(&name);
	const char *type = find_type(extension);
	return type ? type : "application/octet-stream";
}
