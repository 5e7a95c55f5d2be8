/*
 * The proxy's doors as its settings have them: which addresses it listens on, what TLS and the PROXY protocol ask of those
 * who come there.
 */
#ifndef TOOLS_DOORS_H
#define TOOLS_DOORS_H

#include "lib/base/settings.h"
#include "lib/http/entrance.h"

struct doors {
	struct http_door plain; /* at [proxy] bind */
	struct http_door tls;   /* at [proxy] tls_bind */
};

/* Reads the certificates, if there is a tls_bind. 0, or -EINVAL with a malloc'ed line. The settings must stay. */
int doors_open(const struct settings *settings, struct doors **ret_doors, char **ret_error);

/* All servers must have ended. NULL is accepted. */
void doors_free(struct doors *doors);

/* Loads certificates that changed; all of them when `asked`. What is broken is logged, and the old ones stay. */
void doors_refresh(struct doors *doors, bool asked);

#endif
