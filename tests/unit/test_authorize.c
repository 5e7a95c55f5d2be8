#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/swift/url.h"
#include "proxy/auth/auth.h"
#include "proxy/auth/token.h"
#include "proxy/auth/users.h"

/* Several prefixes, every special group, a user with "_" in both names. */
static const char configuration[] = "[swiftlet]\n"
				    "hash_path_suffix = x\n"
				    "[auth]\n"
				    "reseller_prefix = AUTH, SERVICE\n"
				    "SERVICE_require_group = .service\n"
				    "user_admin_admin = admin .admin .reseller_admin\n"
				    "user_test_tester = testing .admin\n"
				    "user_test_tester3 = testing3\n"
				    "user_test2_tester2 = testing2 .admin\n"
				    "user_read_er = reading .reseller_reader\n"
				    "user_glance_glance = glancepw .service\n"
				    "user_s_ervice = serving .admin .service\n"
				    "user_url_user = key .admin https://other.example/v1/AUTH_elsewhere\n"
				    "user_host_user = key $HOST/v1/AUTH_x?$HOST\n"
				    "user64_dW5kZXJfc2NvcmU_YV9i = testing4 .admin\n";

static const char empty_prefix_configuration[] = "[swiftlet]\n"
						 "hash_path_suffix = x\n"
						 "[auth]\n"
						 "reseller_prefix = ''\n"
						 "user_test_tester = testing .admin\n";

/* What the "application" of the tests does: asks with this ACL. */
static const char *container_acl;
/* What the account ACL callback gives. */
static const char *account_acl_json;
static unsigned account_acl_asked;

static struct settings *load(const char *text)
{
	char path[] = "/tmp/swiftlet-test-authorize-XXXXXX";
	int fd = mkstemp(path);
	assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	struct settings *settings = NULL;
	char *error = NULL;
	int failed = settings_load(path, &settings, &error);
	unlink(path);
	if (failed)
		fail_msg("refused: %s", error);
	return settings;
}

static int co_account_acl(struct request *request, struct proxy_context *context, char **ret_json)
{
	(void)context;
	account_acl_asked++;
	*ret_json = arena_strdup(request->arena, account_acl_json);
	return 0;
}

static void co_application(const struct filter *filter, struct request *request, struct reply *reply)
{
	(void)filter;
	struct proxy_context *context = proxy_context_of(request);
	context->acl = container_acl;
	if (!context->co_authorize || context->co_authorize(request, context, reply) == 0)
		reply_empty(reply, 200);
}

struct world {
	struct settings *settings;
	struct auth *auth;
	struct filter filter, application;
	struct arena *arena;
	struct request request;
	struct reply reply;
	struct proxy_context context;
};

static void world_open(struct world *world, const char *text)
{
	char *error = NULL;
	*world = (struct world){.settings = load(text)};
	assert_int_equal(auth_new(world->settings, co_account_acl, &world->auth, &error), 0);
	world->application = (struct filter){.name = "application", .co_handle = co_application};
	world->filter = filter_auth(world->auth);
	world->filter.next = &world->application;
	container_acl = NULL;
	account_acl_json = NULL;
	account_acl_asked = 0;
}

/* The next request of the same world. */
static void world_request(struct world *world, const char *method, const char *path)
{
	arena_free(world->arena);
	world->arena = arena_new();
	request_init(&world->request, world->arena, method_parse(method));
	reply_init(&world->reply, world->arena);
	world->context = (struct proxy_context){.proxy = NULL};
	world->request.context = &world->context;
	world->request.path = slice_from(path);
	struct slice segments[4];
	if (path_split(world->arena, world->request.path, 1, 4, true, segments) == 0) {
		world->context.account = segments[1];
		world->context.container = segments[2];
		world->context.object = segments[3];
	}
}

static void world_header(struct world *world, const char *name, const char *value)
{
	headers_set(&world->request.headers, name, value);
}

static int world_run(struct world *world)
{
	co_filter_handle(&world->filter, &world->request, &world->reply);
	return world->reply.status;
}

static void world_close(struct world *world)
{
	arena_free(world->arena);
	auth_free(world->auth);
	settings_free(world->settings);
}

/* Logs in, and puts the token into the header of the request that comes next. Malloc'ed; NULL for
 * nobody. */
static char *token_of(struct world *world, const char *user, const char *key)
{
	if (!user)
		return NULL;
	world_request(world, "GET", "/auth/v1.0");
	world_header(world, "X-Auth-User", user);
	world_header(world, "X-Auth-Key", key);
	assert_int_equal(world_run(world), 200);
	return xstrdup(headers_get(&world->reply.headers, "X-Auth-Token"));
}

/* ---- authorize ---- */

static const char *const users_and_keys[][2] = {{"admin:admin", "admin"}, {"test:tester", "testing"},
	{"test:tester3", "testing3"}, {"test2:tester2", "testing2"}, {"read:er", "reading"},
	{"glance:glance", "glancepw"}, {"s:ervice", "serving"}, {"under_score:a_b", "testing4"}};

static char *login(struct world *world, const char *user)
{
	for (size_t i = 0; user && i < sizeof(users_and_keys) / sizeof(users_and_keys[0]); i++) {
		if (strcmp(users_and_keys[i][0], user) == 0)
			return token_of(world, user, users_and_keys[i][1]);
	}
	return NULL;
}

static const struct {
	const char *user; /* NULL: anonymous */
	const char *acl;
	const char *method;
	const char *path;
	int status;
	bool owner;
	const char *referrer;
} cases[] = {
	/* the owner, and a user without rights in the same account */
	{"test:tester", NULL, "GET", "/v1/AUTH_test", 200, true, NULL},
	{"test:tester", NULL, "POST", "/v1/AUTH_test", 200, true, NULL},
	{"test:tester", NULL, "PUT", "/v1/AUTH_test", 403, false, NULL},
	{"test:tester", NULL, "DELETE", "/v1/AUTH_test", 403, false, NULL},
	{"test:tester", NULL, "PUT", "/v1/AUTH_test/c", 200, true, NULL},
	{"test:tester", NULL, "DELETE", "/v1/AUTH_test/c/o", 200, true, NULL},
	{"test:tester", NULL, "GET", "/v1/AUTH_test2", 403, false, NULL},
	{"test:tester", NULL, "GET", "/v1/AUTH_tes", 403, false, NULL},
	{"test:tester", NULL, "GET", "/v1/AUTH_", 403, false, NULL},
	{"test:tester", NULL, "GET", "/v1/test", 403, false, NULL},
	{"test:tester", NULL, "GET", "/v1/OTHER_test", 403, false, NULL},
	{"test:tester3", NULL, "GET", "/v1/AUTH_test", 403, false, NULL},
	{"test:tester3", NULL, "GET", "/v1/AUTH_test/c", 403, false, NULL},
	{"test:tester3", NULL, "PUT", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"under_score:a_b", NULL, "GET", "/v1/AUTH_under_score", 200, true, NULL},
	{NULL, NULL, "GET", "/v1/AUTH_test", 401, false, NULL},
	{NULL, NULL, "PUT", "/v1/AUTH_test/c/o", 401, false, NULL},
	{NULL, NULL, "GET", "/v1/OTHER_test", 401, false, NULL},
	{NULL, NULL, "OPTIONS", "/v1/AUTH_test/c", 200, false, NULL},
	{NULL, NULL, "OPTIONS", "/v1/OTHER_test/c", 401, false, NULL},
	{"test2:tester2", NULL, "OPTIONS", "/v1/AUTH_test/c", 200, false, NULL},
	/* resellers */
	{"admin:admin", NULL, "GET", "/v1/AUTH_test", 200, true, NULL},
	{"admin:admin", NULL, "PUT", "/v1/AUTH_new", 200, true, NULL},
	{"admin:admin", NULL, "DELETE", "/v1/AUTH_test", 200, true, NULL},
	{"admin:admin", NULL, "PUT", "/v1/SERVICE_test/c", 200, true, NULL},
	{"admin:admin", NULL, "GET", "/v1/AUTH_.hidden", 403, false, NULL},
	{"admin:admin", NULL, "GET", "/v1/AUTH_", 403, false, NULL},
	{"admin:admin", NULL, "GET", "/v1/.expiring_objects", 403, false, NULL},
	{"read:er", NULL, "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"read:er", NULL, "HEAD", "/v1/AUTH_test", 200, false, NULL},
	{"read:er", NULL, "PUT", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"read:er", NULL, "POST", "/v1/AUTH_test", 403, false, NULL},
	{"read:er", NULL, "GET", "/v1/AUTH_.hidden/c", 403, false, NULL},
	/* groups in the container's ACL */
	{"test2:tester2", "test2:tester2", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"test2:tester2", "test2:tester2", "GET", "/v1/AUTH_test/c", 200, false, NULL},
	{"test2:tester2", "test2", "PUT", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"test2:tester2", "bob,test2:other,test2:tester2", "GET", "/v1/AUTH_test/c", 200, false, NULL},
	{"test2:tester2", "test2:tester", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "test", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "AUTH_test2", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"test2:tester2", "test2%3Atester2", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"test:tester3", "test:tester3", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"glance:glance", ".service", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{"test2:tester2", "test2:*", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "*:tester2", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "*:*", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "test:*", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "*:tester", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "*", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{"test2:tester2", "test2:test*", "GET", "/v1/AUTH_test/c/o", 403, false, NULL},
	{NULL, "*:*", "GET", "/v1/AUTH_test/c/o", 401, false, NULL},
	{NULL, "test2", "GET", "/v1/AUTH_test/c/o", 401, false, NULL},
	{NULL, ",", "GET", "/v1/AUTH_test/c/o", 401, false, NULL},
	{"test2:tester2", "test2", "GET", "/v1/OTHER_test/c/o", 403, false, NULL},
	/* referrers */
	{NULL, ".r:*", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	{NULL, ".r:*", "GET", "/v1/AUTH_test/c", 401, false, NULL},
	{NULL, ".r:*,.rlistings", "GET", "/v1/AUTH_test/c", 200, false, NULL},
	{NULL, ".rlistings", "GET", "/v1/AUTH_test/c", 401, false, NULL},
	{NULL, ".rlistings", "GET", "/v1/AUTH_test/c/o", 401, false, NULL},
	{NULL, ".r:.example.com", "GET", "/v1/AUTH_test/c/o", 401, false, NULL},
	{NULL, ".r:.example.com", "GET", "/v1/AUTH_test/c/o", 200, false, "http://www.example.com/"},
	{NULL, ".r:.example.com", "GET", "/v1/AUTH_test/c/o", 401, false, "http://example.org/"},
	{NULL, ".r:*,.r:-thief.example.com", "GET", "/v1/AUTH_test/c/o", 401, false, "http://thief.example.com/x"},
	{"test:tester3", ".r:*", "GET", "/v1/AUTH_test/c", 403, false, NULL},
	{"test:tester3", ".r:*", "GET", "/v1/AUTH_test/c/o", 200, false, NULL},
	/* a prefix that requires a group */
	{"test:tester", NULL, "GET", "/v1/SERVICE_test/c", 403, false, NULL},
	{"s:ervice", NULL, "GET", "/v1/SERVICE_s/c", 200, true, NULL},
	{"s:ervice", NULL, "PUT", "/v1/SERVICE_s", 403, false, NULL},
	{"glance:glance", NULL, "GET", "/v1/SERVICE_test/c", 403, false, NULL},
	{"test2:tester2", "test2", "GET", "/v1/SERVICE_test/c", 200, false, NULL},
	/* paths without an account */
	{NULL, NULL, "GET", "/v1", 401, false, NULL},
	{"test:tester", NULL, "GET", "/v1", 403, false, NULL},
	{NULL, NULL, "GET", "/", 401, false, NULL},
};

static void authorize__table(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, configuration);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *token = login(&world, cases[i].user);
		world_request(&world, cases[i].method, cases[i].path);
		if (token)
			world_header(&world, "X-Auth-Token", token);
		if (cases[i].referrer)
			world_header(&world, "Referer", cases[i].referrer);
		container_acl = cases[i].acl;
		int status = world_run(&world);
		bool owner = world.context.swift_owner;
		if (status != cases[i].status || owner != cases[i].owner)
			fail_msg("%s, ACL %s, %s %s: %d%s, wanted %d%s", cases[i].user ? cases[i].user : "anonymous",
				cases[i].acl ? cases[i].acl : "none", cases[i].method, cases[i].path, status,
				owner ? " as owner" : "", cases[i].status, cases[i].owner ? " as owner" : "");
		const char *challenge = headers_get(&world.reply.headers, "Www-Authenticate");
		if ((status == 401) != (challenge != NULL))
			fail_msg("%s: %d with%s challenge", cases[i].path, status, challenge ? "" : "out");
	}
	world_close(&world);
}

static const struct {
	const char *json;
	const char *method;
	const char *path;
	int status;
	bool owner;
} account_acl_cases[] = {
	{"{\"admin\":[\"test2:tester2\"]}", "POST", "/v1/AUTH_test", 200, true},
	{"{\"admin\":[\"test2\"]}", "PUT", "/v1/AUTH_test", 200, true},
	{"{\"admin\":[\"other\"]}", "GET", "/v1/AUTH_test", 403, false},
	{"{\"read-write\":[\"test2\"]}", "PUT", "/v1/AUTH_test/c", 200, false},
	{"{\"read-write\":[\"test2\"]}", "GET", "/v1/AUTH_test", 200, false},
	{"{\"read-write\":[\"test2\"]}", "POST", "/v1/AUTH_test", 403, false},
	{"{\"read-only\":[\"test2\"]}", "GET", "/v1/AUTH_test/c/o", 200, false},
	{"{\"read-only\":[\"test2\"]}", "HEAD", "/v1/AUTH_test", 200, false},
	{"{\"read-only\":[\"test2\"]}", "PUT", "/v1/AUTH_test/c/o", 403, false},
	{"{\"read-only\":[\"test2\"],\"read-write\":[\"test2\"]}", "PUT", "/v1/AUTH_test/c/o", 200, false},
	{"{\"admin\":[\"test2\"]}", "GET", "/v1/OTHER_test", 403, false},
	{"{}", "GET", "/v1/AUTH_test", 403, false},
	{"", "GET", "/v1/AUTH_test", 403, false},
	{"nonsense", "GET", "/v1/AUTH_test", 403, false},
	{NULL, "GET", "/v1/AUTH_test", 403, false},
};

static void authorize__account_acl(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, configuration);
	for (size_t i = 0; i < sizeof(account_acl_cases) / sizeof(account_acl_cases[0]); i++) {
		_cleanup_free_ char *token = login(&world, "test2:tester2");
		account_acl_json = account_acl_cases[i].json;
		world_request(&world, account_acl_cases[i].method, account_acl_cases[i].path);
		world_header(&world, "X-Auth-Token", token);
		int status = world_run(&world);
		if (status != account_acl_cases[i].status || world.context.swift_owner != account_acl_cases[i].owner)
			fail_msg("%s, %s %s: %d, wanted %d", account_acl_json, account_acl_cases[i].method,
				account_acl_cases[i].path, status, account_acl_cases[i].status);
	}
	account_acl_asked = 0;
	account_acl_json = "{\"admin\":[\"\"]}";
	world_request(&world, "GET", "/v1/AUTH_test");
	assert_int_equal(world_run(&world), 401);
	assert_int_equal(account_acl_asked, 0); /* nobody needs not be asked for */
	world_close(&world);
}

static void authorize__service_token(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, configuration);
	_cleanup_free_ char *user = login(&world, "test:tester");
	_cleanup_free_ char *service = login(&world, "glance:glance");
	world_request(&world, "GET", "/v1/SERVICE_test/c");
	world_header(&world, "X-Auth-Token", user);
	world_header(&world, "X-Service-Token", service);
	assert_int_equal(world_run(&world), 200);
	assert_true(world.context.swift_owner);
	assert_string_equal(world.context.user, "test:tester");
	assert_non_null(world.context.service_groups);

	world_request(&world, "GET", "/v1/SERVICE_test/c");
	world_header(&world, "X-Service-Token", service); /* alone it counts for nothing */
	assert_int_equal(world_run(&world), 401);
	assert_null(world.context.groups);

	world_request(&world, "GET", "/v1/SERVICE_test/c");
	world_header(&world, "X-Auth-Token", user);
	world_header(&world, "X-Service-Token", "AUTH_tknonsense");
	assert_int_equal(world_run(&world), 403);
	world_close(&world);
}

static void authorize__account_acl_header_is_checked(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		const char *error; /* NULL: fine */
	} values[] = {
		{"{\"admin\":[\"bob\"]}", NULL},
		{"", NULL},
		{"{}", NULL},
		{"nonsense", "Syntax error in input ('nonsense')"},
		{"[]", "Syntax error in input ('[]')"},
		{"{\"owner\":[]}", "Key \"owner\" not recognized"},
		{"{\"admin\":\"bob\"}", "Value for key \"admin\" must be a list"},
		{"{\"read-only\":[1]}", "Elements of \"read-only\" list must be strings"},
	};
	struct world world;
	world_open(&world, configuration);
	_cleanup_free_ char *token = login(&world, "test:tester");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		world_request(&world, "POST", "/v1/AUTH_test");
		world_header(&world, "X-Auth-Token", token);
		world_header(&world, "X-Account-Access-Control", values[i].value);
		int status = world_run(&world);
		const struct headers *headers = &world.request.headers;
		if (!values[i].error) {
			assert_int_equal(status, 200);
			assert_string_equal(
				headers_get(headers, "X-Account-Sysmeta-Core-Access-Control"), values[i].value);
			assert_null(headers_get(headers, "X-Account-Access-Control"));
			continue;
		}
		assert_int_equal(status, 400);
		assert_null(headers_get(headers, "X-Account-Sysmeta-Core-Access-Control"));
		_cleanup_free_ char *wanted = xasprintf(
			"X-Account-Access-Control invalid: %s\n\nInput: %s\n", values[i].error, values[i].value);
		_cleanup_free_ char *found = xasprintf("%.*s", SLICE_PRINT(world.reply.text));
		assert_string_equal(found, wanted);
	}
	world_close(&world);
}

static void authorize__empty_prefix(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, empty_prefix_configuration);
	_cleanup_free_ char *token = token_of(&world, "test:tester", "testing");
	assert_int_equal(strncmp(token, "tk", 2), 0);
	world_request(&world, "GET", "/v1/test");
	world_header(&world, "X-Auth-Token", token);
	assert_int_equal(world_run(&world), 200);
	world_request(&world, "GET", "/v1/other");
	world_header(&world, "X-Auth-Token", token);
	assert_int_equal(world_run(&world), 403);
	/* a foreign token: not refused at once, but nobody may do anything with it */
	world_request(&world, "GET", "/v1/test/c/o");
	world_header(&world, "X-Auth-Token", "foreign");
	container_acl = ".r:*";
	assert_int_equal(world_run(&world), 401);
	world_request(&world, "GET", "/v1/test/c/o");
	assert_int_equal(world_run(&world), 200);
	world_close(&world);
}

/* ---- tokens and logins ---- */

static void auth__bad_tokens(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, configuration);
	_cleanup_free_ char *token = login(&world, "test:tester");
	container_acl = ".r:*";
	/* ours and bad: refused at once, whatever the ACL says */
	world_request(&world, "GET", "/v1/AUTH_te%22st/c/o");
	world_header(&world, "X-Auth-Token", "AUTH_tk0123456789abcdef");
	assert_int_equal(world_run(&world), 401);
	assert_string_equal(headers_get(&world.reply.headers, "Www-Authenticate"), "Swift realm=\"AUTH_te%22st\"");
	/* somebody else's: anonymous */
	world_request(&world, "GET", "/v1/AUTH_test/c/o");
	world_header(&world, "X-Auth-Token", "OTHER_tk0123456789abcdef");
	assert_int_equal(world_run(&world), 200);
	assert_null(world.context.user);
	/* the older name of the header */
	world_request(&world, "GET", "/v1/AUTH_test");
	world_header(&world, "X-Storage-Token", token);
	assert_int_equal(world_run(&world), 200);
	/* right in every way, but signed with a key that is not ours */
	world_request(&world, "GET", "/v1/AUTH_test");
	struct token_keys *keys = token_keys_random();
	const char *foreign = token_make(keys, world.arena, "AUTH_", SLICE_LITERAL("test:tester"), INT64_MAX);
	world_header(&world, "X-Auth-Token", foreign);
	assert_int_equal(world_run(&world), 401);
	token_keys_free(keys);
	world_close(&world);
}

static void auth__reload_and_removed_users(void **state)
{
	(void)state;
	char path[] = "/tmp/swiftlet-test-authorize-XXXXXX";
	close(mkstemp(path));
	unlink(path);
	uint32_t id;
	char *error = NULL;
	assert_int_equal(token_keys_rotate(path, 1, &id, &error), 0);
	_cleanup_free_ char *with_user = xasprintf("[swiftlet]\nhash_path_suffix = x\n[auth]\n"
						   "token_keys = %s\n"
						   "user_test_tester = testing .admin\n",
		path);
	_cleanup_free_ char *without_user =
		xasprintf("[swiftlet]\nhash_path_suffix = x\n[auth]\ntoken_keys = %s\n", path);
	struct world world, other, smaller;
	world_open(&world, with_user);
	world_open(&other, with_user);
	world_open(&smaller, without_user);
	_cleanup_free_ char *token = token_of(&world, "test:tester", "testing");

	world_request(&other, "GET", "/v1/AUTH_test"); /* another proxy with the same keys */
	world_header(&other, "X-Auth-Token", token);
	assert_int_equal(world_run(&other), 200);
	world_request(&smaller, "GET", "/v1/AUTH_test"); /* one that does not know the user */
	world_header(&smaller, "X-Auth-Token", token);
	assert_int_equal(world_run(&smaller), 401);

	for (int round = 0; round < 2; round++) { /* good after one rotation, not after two */
		assert_int_equal(token_keys_rotate(path, 1, &id, &error), 0);
		assert_int_equal(auth_reload(world.auth, &error), 0);
		assert_int_equal(auth_reload(world.auth, &error), 0);
		world_request(&world, "GET", "/v1/AUTH_test");
		world_header(&world, "X-Auth-Token", token);
		assert_int_equal(world_run(&world), round == 0 ? 200 : 401);
	}
	unlink(path);
	assert_int_equal(auth_reload(world.auth, &error), -ENOENT);
	free(error);
	free(token_of(&world, "test:tester", "testing")); /* the old keys go on */
	world_close(&world);
	world_close(&other);
	world_close(&smaller);
}

static const struct {
	const char *method;
	const char *path;
	const char *user_header, *user;
	const char *key_header, *key;
	int status;
	const char *realm; /* with 401 */
} logins[] = {
	{"GET", "/auth/v1.0", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 200, NULL},
	{"GET", "/auth/v1.0/", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 200, NULL},
	{"GET", "/auth/auth", "X-Storage-User", "test:tester", "X-Storage-Pass", "testing", 200, NULL},
	{"GET", "/auth/v1.0", "X-Storage-User", "test:tester", "X-Auth-Key", "testing", 200, NULL},
	{"GET", "/auth/v1/test/auth", "X-Storage-User", "tester", "X-Storage-Pass", "testing", 200, NULL},
	{"GET", "/auth/v1/test/auth", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 200, NULL},
	{"GET", "/auth/v1/test/auth", "X-Auth-User", "test2:tester", "X-Auth-Key", "testing", 401, "test"},
	{"GET", "/auth/v1/test/auth", "X-Auth-User", "tester", "X-Auth-Key", "testing", 401, "test"},
	{"GET", "/auth/v1/test%00/auth", "X-Storage-User", "tester", "X-Storage-Pass", "testing", 401, "test%00"},
	{"GET", "/auth/v1/te%22st/auth", "X-Storage-User", "tester", "X-Storage-Pass", "x", 401, "te%22st"},
	{"GET", "/auth/v1.0", "X-Auth-User", "test:tester", "X-Auth-Key", "wrong", 401, "unknown"},
	{"GET", "/auth/v1.0", "X-Auth-User", "test:nobody", "X-Auth-Key", "testing", 401, "test"},
	{"GET", "/auth/v1.0", "X-Auth-User", "test:tester", "X-Auth-Key", "", 401, "test"},
	{"GET", "/auth/v1.0", "X-Auth-User", "test:", "X-Auth-Key", "testing", 401, "test"},
	{"GET", "/auth/v1.0", "X-Auth-User", ":tester", "X-Auth-Key", "testing", 401, "unknown"},
	{"GET", "/auth/v1.0", "X-Auth-User", "tester", "X-Auth-Key", "testing", 401, "unknown"},
	{"GET", "/auth/v1.0", "X-Nothing", "", "X-Auth-Key", "testing", 401, "unknown"},
	{"GET", "/auth/v1.0", "X-Auth-User", "a\"b:c", "X-Auth-Key", "x", 401, "a%22b"},
	{"GET", "/auth/v1", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 400, NULL},
	{"GET", "/auth/v1/test", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 400, NULL},
	{"GET", "/auth/v2.0", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 400, NULL},
	{"GET", "/auth/", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 404, NULL},
	{"POST", "/auth/v1.0", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 405, NULL},
	{"HEAD", "/auth/v1.0", "X-Auth-User", "test:tester", "X-Auth-Key", "testing", 405, NULL},
};

static void auth__logins(void **state)
{
	(void)state;
	struct world world;
	world_open(&world, configuration);
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		world_request(&world, logins[i].method, logins[i].path);
		world_header(&world, logins[i].user_header, logins[i].user);
		world_header(&world, logins[i].key_header, logins[i].key);
		world_header(&world, "Host", "swift.example:8080");
		int status = world_run(&world);
		if (status != logins[i].status)
			fail_msg("%s %s, %s: %s: %d, wanted %d", logins[i].method, logins[i].path,
				logins[i].user_header, logins[i].user, status, logins[i].status);
		const struct headers *headers = &world.reply.headers;
		const char *token = headers_get(headers, "X-Auth-Token");
		if (status != 200)
			assert_null(token);
		if (logins[i].realm) {
			_cleanup_free_ char *wanted = xasprintf("Swift realm=\"%s\"", logins[i].realm);
			assert_string_equal(headers_get(headers, "Www-Authenticate"), wanted);
		}
		if (status == 200) {
			assert_string_equal(headers_get(headers, "X-Storage-Token"), token);
			assert_string_equal(headers_get(headers, "X-Auth-Token-Expires"), "86400");
			assert_string_equal(
				headers_get(headers, "X-Storage-Url"), "http://swift.example:8080/v1/AUTH_test");
			assert_int_equal(world.reply.text.length, 0);
		}
	}
	world_close(&world);
}

static void auth__storage_url(void **state)
{
	(void)state;
	static const struct {
		const char *user, *key, *host, *url;
	} urls[] = {
		{"test:tester", "testing", "h:80", "http://h/v1/AUTH_test"},
		{"test:tester", "testing", "[::1]:8080", "http://[::1]:8080/v1/AUTH_test"},
		{"test:tester", "testing", NULL, "http://127.0.0.1:8080/v1/AUTH_test"},
		{"url:user", "key", "h", "https://other.example/v1/AUTH_elsewhere"},
		{"host:user", "key", "$HOST", "http://$HOST/v1/AUTH_x?http://$HOST"},
	};
	struct world world;
	world_open(&world, configuration);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		world_request(&world, "GET", "/auth/v1.0");
		world_header(&world, "X-Auth-User", urls[i].user);
		world_header(&world, "X-Auth-Key", urls[i].key);
		world_header(&world, "X-Forwarded-Proto", "https"); /* anybody can say that */
		if (urls[i].host)
			world_header(&world, "Host", urls[i].host);
		assert_int_equal(world_run(&world), 200);
		assert_string_equal(headers_get(&world.reply.headers, "X-Storage-Url"), urls[i].url);
	}
	world_close(&world);
	_cleanup_free_ char *text = xasprintf("%sstorage_url_scheme = https\n", configuration);
	world_open(&world, text);
	free(token_of(&world, "test:tester", "testing"));
	assert_string_equal(headers_get(&world.reply.headers, "X-Storage-Url"), "https://127.0.0.1:8080/v1/AUTH_test");
	world_close(&world);
}

static void auth__override(void **state)
{
	(void)state;
	struct world world;
	_cleanup_free_ char *text = xasprintf("%sallow_overrides = false\n", configuration);
	for (int allowed = 0; allowed < 2; allowed++) {
		world_open(&world, allowed ? configuration : text);
		world_request(&world, "GET", "/v1/AUTH_test");
		world.context.authorize_override = true;
		assert_int_equal(world_run(&world), allowed ? 200 : 401);
		world_close(&world);
	}
}

static void auth__users_have_tempauths_groups(void **state)
{
	(void)state;
	static const struct {
		const char *user, *groups;
	} users_groups[] = {
		{"test:tester", "test,test:tester,AUTH_test,SERVICE_test"},
		{"test:tester3", "test,test:tester3"},
		{"admin:admin", "admin,admin:admin,.reseller_admin,AUTH_admin,SERVICE_admin"},
		{"url:user", "url,url:user,AUTH_url,SERVICE_url,AUTH_elsewhere"},
		{"glance:glance", "glance,glance:glance,.service"},
	};
	struct settings *settings = load(configuration);
	struct users *users = users_new(settings);
	for (size_t i = 0; i < sizeof(users_groups) / sizeof(users_groups[0]); i++) {
		const struct user *user = users_find(users, slice_from(users_groups[i].user));
		assert_non_null(user);
		struct {
			char text[200];
			size_t length;
		} joined = {.length = 0};
		for (const char *const *group = user->groups; *group; group++)
			joined.length += (size_t)snprintf(joined.text + joined.length,
				sizeof(joined.text) - joined.length, "%s%s", group == user->groups ? "" : ",", *group);
		assert_string_equal(joined.text, users_groups[i].groups);
	}
	assert_null(users_find(users, SLICE_LITERAL("test:teste")));
	assert_null(users_find(users, SLICE_NONE));
	assert_null(users_check_key(users, SLICE_LITERAL("test:tester"), "testin"));
	assert_non_null(users_check_key(users, SLICE_LITERAL("test:tester"), "testing"));
	users_free(users);
	settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authorize__table),
		cmocka_unit_test(authorize__account_acl),
		cmocka_unit_test(authorize__service_token),
		cmocka_unit_test(authorize__account_acl_header_is_checked),
		cmocka_unit_test(authorize__empty_prefix),
		cmocka_unit_test(auth__bad_tokens),
		cmocka_unit_test(auth__reload_and_removed_users),
		cmocka_unit_test(auth__logins),
		cmocka_unit_test(auth__storage_url),
		cmocka_unit_test(auth__override),
		cmocka_unit_test(auth__users_have_tempauths_groups),
	};
	return cmocka_run_group_tests_name("authorize", tests, NULL, NULL);
}
