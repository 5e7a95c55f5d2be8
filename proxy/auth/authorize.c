#include "proxy/auth/authorize.h"

#include <string.h>

#include "lib/base/settings.h"

bool authorize_has_group(const char *const *groups, const char *group)
{
	for (; groups && *groups; groups++) {
		if (strcmp(*groups, group) == 0)
			return true;
	}
	return false;
}

const struct reseller_settings *authorize_reseller_of(const struct settings *settings, struct slice account)
{
	const struct reseller_settings *empty = NULL;
	if (!account.data)
		return NULL;
	for (size_t i = 0; i < settings->auth.reseller_count; i++) {
		const struct reseller_settings *reseller = &settings->auth.resellers[i];
		if (!*reseller->prefix)
			empty = reseller;
		else if (slice_starts_with(account, slice_from(reseller->prefix)))
			return reseller;
	}
	return empty;
}

static bool reads(const struct authorize_question *question)
{
	return question->method == METHOD_GET || question->method == METHOD_HEAD;
}

/* Resellers' rights end at accounts that are nothing but a prefix, and at those of the cluster
 * itself. */
static bool open_to_resellers(
	const struct settings *settings, const struct reseller_settings *reseller, struct slice account)
{
	for (size_t i = 0; i < settings->auth.reseller_count; i++) {
		if (slice_equal(account, slice_from(settings->auth.resellers[i].prefix)))
			return false;
	}
	size_t length = strlen(reseller->prefix);
	return account.length > length && account.data[length] != '.';
}

static enum authorize_answer by_reseller_rights(const struct settings *settings,
	const struct reseller_settings *reseller, const struct authorize_question *question)
{
	if (!open_to_resellers(settings, reseller, question->account))
		return AUTHORIZE_DENIED;
	if (authorize_has_group(question->groups, ".reseller_admin"))
		return AUTHORIZE_OWNER;
	if (authorize_has_group(question->groups, ".reseller_reader") && reads(question))
		return AUTHORIZE_ALLOWED;
	return AUTHORIZE_DENIED;
}

static bool has_account(const char *const *groups, struct slice account)
{
	for (; groups && *groups; groups++) {
		if (slice_equal(slice_from(*groups), account))
			return true;
	}
	return false;
}

static bool owns_account(const struct reseller_settings *reseller, const struct authorize_question *question)
{
	bool manages_account =
		!question->container.length && (question->method == METHOD_PUT || question->method == METHOD_DELETE);
	if (manages_account || !has_account(question->groups, question->account))
		return false;
	const char *required = reseller->require_group;
	return !*required || authorize_has_group(question->groups, required);
}

static bool in_acl(const struct acl *acl, const char *const *groups)
{
	if (!groups)
		return false;
	for (const char *const *group = groups; *group; group++) {
		if (acl_has_group(acl, slice_from(*group)))
			return true;
	}
	return false;
}

static bool by_container_acl(struct arena *arena, const struct authorize_question *question)
{
	struct acl acl;
	acl_parse(arena, slice_from(question->container_acl), &acl);
	if (acl_referrer_allowed(question->referrer, &acl) && (question->object.length || acl_allows_listings(&acl)))
		return true;
	return in_acl(&acl, question->groups);
}

enum authorize_answer authorize_by_groups(
	const struct settings *settings, struct arena *arena, const struct authorize_question *question)
{
	const struct reseller_settings *reseller = authorize_reseller_of(settings, question->account);
	if (!reseller)
		return AUTHORIZE_DENIED;
	enum authorize_answer answer = by_reseller_rights(settings, reseller, question);
	if (answer != AUTHORIZE_DENIED)
		return answer;
	if (owns_account(reseller, question))
		return AUTHORIZE_OWNER;
	if (question->method == METHOD_OPTIONS || by_container_acl(arena, question))
		return AUTHORIZE_ALLOWED;
	return AUTHORIZE_DENIED;
}

static bool any_in(const char *const *groups, const struct slice *list, size_t count)
{
	for (; groups && *groups; groups++) {
		for (size_t i = 0; i < count; i++) {
			if (slice_equal(slice_from(*groups), list[i]))
				return true;
		}
	}
	return false;
}

enum authorize_answer authorize_by_account_acl(const struct account_acl *acl, const struct authorize_question *question)
{
	if (any_in(question->groups, acl->admin, acl->admin_count))
		return AUTHORIZE_OWNER;
	if (any_in(question->groups, acl->read_write, acl->read_write_count) &&
		(question->container.length || reads(question)))
		return AUTHORIZE_ALLOWED;
	if (any_in(question->groups, acl->read_only, acl->read_only_count) && reads(question))
		return AUTHORIZE_ALLOWED;
	return AUTHORIZE_DENIED;
}
