#include "lib/http/message.h"

#include <string.h>

static const char *const method_names[] = {
	[METHOD_GET] = "GET",
	[METHOD_HEAD] = "HEAD",
	[METHOD_PUT] = "PUT",
	[METHOD_POST] = "POST",
	[METHOD_DELETE] = "DELETE",
	[METHOD_COPY] = "COPY",
	[METHOD_OPTIONS] = "OPTIONS",
	[METHOD_UPDATE] = "UPDATE",
	[METHOD_REPLICATE] = "REPLICATE",
	[METHOD_SSYNC] = "SSYNC",
	[METHOD_OTHER] = "OTHER",
};

enum method method_parse(const char *name)
{
	for (enum method method = METHOD_GET; method < METHOD_OTHER; method++)
		if (strcmp(name, method_names[method]) == 0)
			return method;
	return METHOD_OTHER;
}

const char *method_name(enum method method)
{
	return method_names[method];
}

/* Reasons and explanations as swift/common/swob.py has them (RESPONSE_REASONS). */
static const struct {
	int status;
	const char *reason;
	const char *explanation;
} statuses[] = {
	{200, "OK", ""},
	{201, "Created", ""},
	{202, "Accepted", "The request is accepted for processing."},
	{204, "No Content", ""},
	{206, "Partial Content", ""},
	{301, "Moved Permanently", "The resource has moved permanently."},
	{302, "Found", "The resource has moved temporarily."},
	{303, "See Other", "The response to the request can be found under a different URI."},
	{304, "Not Modified", ""},
	{307, "Temporary Redirect", "The resource has moved temporarily."},
	{400, "Bad Request",
		"The server could not comply with the request since it is either malformed or otherwise incorrect."},
	{401, "Unauthorized",
		"This server could not verify that you are authorized to access the document you requested."},
	{402, "Payment Required", "Access was denied for financial reasons."},
	{403, "Forbidden", "Access was denied to this resource."},
	{404, "Not Found", "The resource could not be found."},
	{405, "Method Not Allowed", "The method is not allowed for this resource."},
	{406, "Not Acceptable", "The resource is not available in a format acceptable to your browser."},
	{408, "Request Timeout", "The server has waited too long for the request to be sent by the client."},
	{409, "Conflict", "There was a conflict when trying to complete your request."},
	{410, "Gone", "This resource is no longer available."},
	{411, "Length Required", "Content-Length header required."},
	{412, "Precondition Failed", "A precondition for this request was not met."},
	{413, "Request Entity Too Large", "The body of your request was too large for this server."},
	{414, "Request URI Too Long", "The request URI was too long for this server."},
	{415, "Unsupported Media Type", "The request media type is not supported by this server."},
	{416, "Requested Range Not Satisfiable", "The Range requested is not available."},
	{417, "Expectation Failed", "Expectation failed."},
	{422, "Unprocessable Entity", "Unable to process the contained instructions"},
	{498, "Rate Limited", ""},
	{499, "Client Disconnect", "The client was disconnected during request."},
	{500, "Internal Error", "The server has either erred or is incapable of performing the requested operation."},
	{501, "Not Implemented", "The requested method is not implemented by this server."},
	{502, "Bad Gateway", "Bad gateway."},
	{503, "Service Unavailable", "The server is currently unavailable. Please try again at a later time."},
	{504, "Gateway Timeout", "A timeout has occurred speaking to a backend server."},
	{505, "HTTP Version Not Supported", "The HTTP version is not supported."},
	{507, "Insufficient Storage", "There was not enough space to save the resource."},
};

static const char *explanation(int status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return statuses[i].explanation;
	return "";
}

const char *status_reason(int status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return statuses[i].reason;
	return "Unknown";
}

void request_init(struct request *request, struct arena *arena, enum method method)
{
	*request = (struct request){
		.arena = arena,
		.method = method,
		.method_text = method_names[method],
		.body = body_from_slice(arena, SLICE_NONE),
		.remote_address = "-",
	};
	headers_init(&request->headers, arena);
}

void reply_init(struct reply *reply, struct arena *arena)
{
	*reply = (struct reply){.arena = arena, .status = 500, .content_length = -1};
	headers_init(&reply->headers, arena);
}

void reply_reset(struct reply *reply)
{
	body_close(reply->body);
	struct arena *arena = reply->arena;
	void (*finished)(struct request *, struct reply *, uint64_t, int, void *) = reply->finished;
	void *argument = reply->finished_argument;
	bool close = reply->close;
	reply_init(reply, arena);
	reply->finished = finished;
	reply->finished_argument = argument;
	reply->close = close;
}

static void set_text(struct reply *reply, int status, const char *content_type, struct slice text)
{
	body_close(reply->body);
	reply->body = NULL;
	reply->status = status;
	reply->reason = NULL;
	reply->text = text;
	headers_set(&reply->headers, "Content-Type", content_type);
}

void reply_status(struct reply *reply, int status)
{
	const char *words = explanation(status);
	struct slice text = SLICE_NONE;
	if (*words)
		text = slice_from(
			arena_printf(reply->arena, "<html><h1>%s</h1><p>%s</p></html>", status_reason(status), words));
	set_text(reply, status, "text/html; charset=UTF-8", text);
}

void reply_text(struct reply *reply, int status, const char *content_type, const char *text)
{
	set_text(reply, status, content_type, slice_from(text));
}

void reply_empty(struct reply *reply, int status)
{
	set_text(reply, status, "text/html; charset=UTF-8", SLICE_NONE);
}

void reply_finish(struct request *request, struct reply *reply, uint64_t bytes_sent, int error)
{
	body_close(reply->body);
	reply->body = NULL;
	if (!reply->finished)
		return;
	void (*finished)(struct request *, struct reply *, uint64_t, int, void *) = reply->finished;
	reply->finished = NULL;
	finished(request, reply, bytes_sent, error, reply->finished_argument);
}
