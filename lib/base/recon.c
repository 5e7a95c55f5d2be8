#include "lib/base/recon.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"

static pthread_mutex_t values_lock = PTHREAD_MUTEX_INITIALIZER;
static struct recon_value {
	char *name; /* "object/replication_time" */
	char *json;
} values[RECON_VALUES_MAX];
static size_t value_count;

/* With the lock held. */
static struct recon_value *find_value(const char *name)
{
	for (size_t i = 0; i < value_count; i++)
		if (strcmp(values[i].name, name) == 0)
			return &values[i];
	return NULL;
}

void recon_put_json(const char *cache, const char *name, const char *json)
{
	char *full_name = xasprintf("%s/%s", cache, name);
	pthread_mutex_lock(&values_lock);
	struct recon_value *value = find_value(full_name);
	if (value) {
		free(value->json);
		value->json = xstrdup(json);
	} else if (value_count < RECON_VALUES_MAX) {
		values[value_count++] = (struct recon_value){full_name, xstrdup(json)};
		full_name = NULL;
	}
	pthread_mutex_unlock(&values_lock);
	free(full_name);
}

void recon_put_number(const char *cache, const char *name, double value)
{
	char json[40];
	(void)snprintf(json, sizeof(json), "%.15g", value);
	recon_put_json(cache, name, json);
}

void recon_get(const char *cache, const char *name, struct buf *json)
{
	char *full_name = xasprintf("%s/%s", cache, name);
	pthread_mutex_lock(&values_lock);
	const struct recon_value *value = find_value(full_name);
	buf_append_text(json, value ? value->json : "null");
	pthread_mutex_unlock(&values_lock);
	free(full_name);
}
