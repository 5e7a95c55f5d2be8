#include "tools/doors.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"

static int open_tls(const struct settings *settings, struct tls_context **ret_tls, char **ret_error)
{
	const struct text_list *certificates = &settings->proxy.tls_certificate;
	const struct text_list *keys = settings->proxy.tls_key.count ? &settings->proxy.tls_key : certificates;
	_cleanup_free_ struct tls_pair *pairs = xcalloc(certificates->count, sizeof(*pairs));
	for (size_t i = 0; i < certificates->count; i++)
		pairs[i] = (struct tls_pair){certificates->items[i], keys->items[i]};
	struct tls_options options = {
		.pairs = pairs,
		.pair_count = certificates->count,
		.only_1_3 = strcmp(settings->proxy.tls_min_version, "1.3") == 0,
		.kernel = settings->proxy.tls_kernel,
	};
	return tls_context_new(&options, ret_tls, ret_error);
}

int doors_open(const struct settings *settings, struct doors **ret_doors, char **ret_error)
{
	const struct text_list *balancers = &settings->proxy.proxy_protocol;
	struct ip_network *networks = xcalloc(balancers->count + 1, sizeof(*networks));
	for (size_t i = 0; i < balancers->count; i++)
		(void)ip_network_parse(balancers->items[i], &networks[i]);
	struct doors *doors = xcalloc(1, sizeof(*doors));
	doors->plain = (struct http_door){.balancers = networks, .balancer_count = balancers->count};
	doors->tls = doors->plain;
	int error = settings->proxy.tls_bind.count ? open_tls(settings, &doors->tls.tls, ret_error) : 0;
	if (error) {
		doors_free(doors);
		return error;
	}
	*ret_doors = doors;
	return 0;
}

void doors_free(struct doors *doors)
{
	if (!doors)
		return;
	tls_context_free(doors->tls.tls);
	free((struct ip_network *)doors->plain.balancers);
	free(doors);
}

void doors_refresh(struct doors *doors, bool asked)
{
	struct tls_context *tls = doors->tls.tls;
	if (!tls || !(asked || tls_context_is_stale(tls)))
		return;
	_cleanup_free_ char *error = NULL;
	if (tls_context_reload(tls, &error))
		log_error("%s; the old certificates stay in use", error);
	else
		log_info("loaded the TLS certificates");
}
