/*
 * What the files of object versioning share. While X-Versions-Enabled is set, every PUT goes to a hidden container of the
 * reserved namespace and a static symlink to it takes the object's place; a DELETE leaves a marker there.
 */
#ifndef PROXY_FILTERS_VERSIONING_H
#define PROXY_FILTERS_VERSIONING_H

#include "proxy/filters/symlink.h"
#include "proxy/filters/versions.h"

#define VERSIONS_ENABLED "X-Versions-Enabled"
#define VERSIONS_STORED_ENABLED "X-Container-Sysmeta-Versions-Enabled"
#define VERSIONS_STORED_CONTAINER "X-Container-Sysmeta-Versions-Container" /* percent-encoded */
#define VERSION_ID "X-Object-Version-Id"

#define VERSIONING_SOURCE "OV"

/* The name of the hidden container as the container's metadata has it, decoded; SLICE_NONE when there never was one. */
struct slice versioning_hidden_container(struct arena *arena, const struct info *info);

/* Container requests, and GET of an account. */
void co_versioning_container(const struct filter *filter, struct request *request, struct reply *reply);
void co_versioning_account(const struct filter *filter, struct request *request, struct reply *reply);
void co_versioning_object(const struct filter *filter, struct request *request, struct reply *reply);

/*
 * GET of a container with the parameter `versions`: the rows of the container itself are in `rows`, links to versions
 * marked by version_symlink; `hidden` is the versions container. The reply holds the headers of the container's and
 * gets the merged listing, or the refusal.
 */
void co_versioning_list(
	const struct filter *filter, struct request *request, struct slice hidden, json_t *rows, struct reply *reply);

/*
 * Sorts the rows of a listing by name and keeps the first `limit`. Of the same name the order stays as it is, also in
 * reverse.
 */
void versioning_sort(json_t *rows, bool reverse, size_t limit);

/* The parameter `limit` of the request, at most `most`. */
size_t versioning_limit(struct request *request, int64_t most);

#endif
