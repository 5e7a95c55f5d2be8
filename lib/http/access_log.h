/*
 * The access log: a line for each request that a server has answered, in the fields of Swift's servers or as JSON.
 *
 *	text, proxy        client_ip remote_addr datetime method path protocol status referer user_agent auth_token
 *	                   bytes_recvd bytes_sent client_etag transaction_id headers request_time source log_info
 *	                   start_time end_time policy_index          (proxy_logging.py, log_msg_template)
 *	text, others       object-server: remote_addr - - [date] "method path" status length "referer" "transaction_id"
 *	                   "user_agent" request_time "" pid policy_index          (utils.py, LOG_LINE_DEFAULT_FORMAT)
 *	json               one object: time, server, transaction_id, client_ip, remote_address, method, path, protocol,
 *	                   status, bytes_received, bytes_sent, duration, first_byte, referer, user_agent, token, etag,
 *	                   user, source, policy, error; what is not known is left out
 *
 * Secrets are cut: tokens, and the parameters of a query that sign a request (Swift: reveal_sensitive_prefix). Long
 * texts are cut too, so that no line loses its end.
 */
#ifndef LIB_HTTP_ACCESS_LOG_H
#define LIB_HTTP_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/buf.h"

struct access_options {
	bool json;
	size_t reveal_bytes; /* of a secret that are shown */
};

/* For the whole process, before the loops run. Without it: text, 16 bytes. */
void access_log_set(const struct access_options *options);

/* NULL or "" stands for "not known" in all texts. */
struct access_entry {
	const char *server; /* "proxy-server", "object-server", … */
	const char *transaction_id;
	const char *client_ip; /* as a load balancer tells */
	const char *remote_address;
	const char *method;
	const char *path; /* as sent, with the query */
	const char *referer;
	const char *user_agent;
	const char *token; /* whole; cut here */
	const char *etag;
	const char *source;
	const char *user;
	const char *policy;
	const char *error; /* why the reply broke off */
	bool http_1_0;
	int status;
	uint64_t bytes_received;
	uint64_t bytes_sent;
	struct timespec start; /* wall clock */
	struct timespec end;
	double first_byte_seconds; /* from the start until the reply's head was ready; negative: not known */
};

/* Writes the line. */
void access_log_write(const struct access_entry *entry);

/* Appends the line without its end; what access_log_write() writes. */
void access_log_format(const struct access_entry *entry, struct buf *line);

#endif
