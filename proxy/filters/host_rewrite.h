/*
 * What the filters that judge by the Host header share (Swift's domain_remap and cname_lookup).
 */
#ifndef PROXY_FILTERS_HOST_REWRITE_H
#define PROXY_FILTERS_HOST_REWRITE_H

#include "lib/base/settings.h"
#include "lib/http/message.h"

/* The Host header in two parts: the name, and ":port" or nothing. False: there is no Host. */
bool host_split(const struct request *request, struct slice *ret_name, struct slice *ret_port);

/*
 * The first of the domains that `host` ends with; *ret_front is what stands before it, without the dot, and may be empty.
 * A domain may be written with a dot before it. False: none.
 */
bool host_is_below(struct slice host, const struct text_list *domains, struct slice *ret_front);

/* In Location and Content-Location: `from` behind scheme and, if `behind_host`, host becomes `to`. */
void host_rewrite_locations(struct reply *reply, struct slice from, struct slice to, bool behind_host);

#endif
