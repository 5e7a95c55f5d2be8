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

/* What every file here needs besides what its case is about. */
#define MINIMUM "[swiftlet]\nhash_path_suffix = secret\n"

static char directory[] = "/tmp/swiftlet-test-config-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* Loads the text as a file "<directory>/swiftlet.conf". */
static int load(const char *text, struct settings **ret_settings, char **ret_error)
{
	_cleanup_free_ char *path = xasprintf("%s/swiftlet.conf", directory);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	int error = settings_load(path, ret_settings, ret_error);
	unlink(path);
	return error;
}

static struct settings *load_good(const char *text)
{
	struct settings *settings = NULL;
	char *error = NULL;
	if (load(text, &settings, &error))
		fail_msg("refused: %s", error);
	return settings;
}

static void config__defaults_are_swifts(void **state)
{
	(void)state;
	struct settings *settings = load_good(MINIMUM);
	assert_string_equal(settings->swiftlet.hash_path_suffix, "secret");
	assert_string_equal(settings->swiftlet.hash_path_prefix, "");
	assert_true(settings_has_role(settings, "object"));
	assert_false(settings_has_role(settings, "updater"));
	assert_int_equal(settings->swiftlet.roles.count, 4);
	assert_true(settings->swiftlet.fallocate_reserve.percent == 1);
	assert_int_equal(settings->swiftlet.fallocate_reserve.bytes, 0);
	assert_int_equal(settings->http.keepalive_timeout_ms, 75000);
	assert_int_equal(settings->proxy.conn_timeout_ms, 500);
	assert_int_equal(settings->proxy.request_node_count.count, 2);
	assert_true(settings->proxy.request_node_count.per_replica);
	assert_string_equal(settings->proxy.bind.items[0], "127.0.0.1:8080");
	assert_int_equal(settings->object.allowed_headers.count, 9);
	assert_string_equal(settings->auth.auth_prefix, "/auth/");
	assert_int_equal(settings->auth.token_life_ms, 86400000);
	assert_int_equal(settings->auth.reseller_count, 1);
	assert_string_equal(settings->auth.resellers[0].prefix, "AUTH_");
	assert_int_equal(settings->policy_count, 1);
	assert_string_equal(settings->policies[0].name, "Policy-0");
	assert_true(settings->policies[0].is_default);
	settings_free(settings);
}

static void config__constraints_defaults_agree(void **state)
{
	(void)state;
	struct settings *settings = load_good(MINIMUM);
	const struct constraints *ours = &settings->constraints, *swift = &constraints_default;
	assert_int_equal(ours->max_file_size, swift->max_file_size);
	assert_int_equal(ours->max_meta_name_length, swift->max_meta_name_length);
	assert_int_equal(ours->max_meta_value_length, swift->max_meta_value_length);
	assert_int_equal(ours->max_meta_count, swift->max_meta_count);
	assert_int_equal(ours->max_meta_overall_size, swift->max_meta_overall_size);
	assert_int_equal(ours->max_header_size, swift->max_header_size);
	assert_int_equal(ours->max_request_line, swift->max_request_line);
	assert_int_equal(ours->max_object_name_length, swift->max_object_name_length);
	assert_int_equal(ours->max_account_name_length, swift->max_account_name_length);
	assert_int_equal(ours->max_container_name_length, swift->max_container_name_length);
	assert_int_equal(ours->container_listing_limit, swift->container_listing_limit);
	assert_int_equal(ours->account_listing_limit, swift->account_listing_limit);
	assert_int_equal(ours->extra_header_count, swift->extra_header_count);
	assert_string_equal(ours->valid_api_versions, swift->valid_api_versions);
	assert_string_equal(ours->auto_create_account_prefix, swift->auto_create_account_prefix);
	settings_free(settings);
}

static void config__values_of_every_type(void **state)
{
	(void)state;
	struct settings *settings = load_good(MINIMUM "# a comment\n"
						      "; another\n"
						      "  workers = 3\n"
						      "roles = proxy , object\n"
						      "fallocate_reserve = 10G\n"
						      "mount_check = No\n"
						      "rings = rings\n"
						      "devices = /mnt/d ; 1\n"
						      "log_level = debug\n"
						      "[proxy]\n"
						      "bind = 0.0.0.0:80, [::1]:8080,\n"
						      "node_timeout = 1.5m\n"
						      "conn_timeout = 250 ms\n"
						      "request_node_count = 6\n"
						      "trans_id_suffix = -eu\n"
						      "[constraints]\n"
						      "max_file_size = 5G\n");
	_cleanup_free_ char *rings = xasprintf("%s/rings", directory);
	assert_int_equal(settings->swiftlet.workers, 3);
	assert_int_equal(settings->swiftlet.roles.count, 2);
	assert_false(settings_has_role(settings, "account"));
	assert_int_equal(settings->swiftlet.fallocate_reserve.bytes, INT64_C(10737418240));
	assert_false(settings->swiftlet.mount_check);
	assert_string_equal(settings->swiftlet.rings, rings);
	assert_string_equal(settings->swiftlet.devices, "/mnt/d ; 1");
	assert_string_equal(settings->swiftlet.log_level, "debug");
	assert_int_equal(settings->proxy.bind.count, 2);
	assert_string_equal(settings->proxy.bind.items[1], "[::1]:8080");
	assert_int_equal(settings->proxy.node_timeout_ms, 90000);
	assert_int_equal(settings->proxy.conn_timeout_ms, 250);
	assert_false(settings->proxy.request_node_count.per_replica);
	assert_int_equal(settings->proxy.request_node_count.count, 6);
	assert_string_equal(settings->proxy.trans_id_suffix, "-eu");
	assert_int_equal(settings->constraints.max_file_size, INT64_C(5368709120));
	settings_free(settings);
}

static void config__users_as_tempauth(void **state)
{
	(void)state;
	struct settings *settings = load_good(MINIMUM "[auth]\n"
						      "reseller_prefix = AUTH, SERVICE, '', AUTH_\n"
						      "require_group = g\n"
						      "SERVICE_require_group = .service\n"
						      "user_test_tester = test=ing .admin\n"
						      "user_a_b = k g1\tg2  https://x/v1/AUTH_z\n"
						      "user_c_d = k $HOST/v1/AUTH_q\n"
						      "user64_dW5kZXJfc2NvcmU_YV9i = testing4\n"
						      "auth_prefix = login\n");
	const struct user_settings *users = settings->auth.users;
	assert_int_equal(settings->auth.user_count, 4);
	assert_string_equal(users[0].name, "test:tester");
	assert_string_equal(users[0].account, "test");
	assert_string_equal(users[0].key, "test=ing");
	assert_int_equal(users[0].groups.count, 1);
	assert_string_equal(users[0].storage_url, "");
	assert_int_equal(users[1].groups.count, 2);
	assert_string_equal(users[1].groups.items[1], "g2");
	assert_string_equal(users[1].storage_url, "https://x/v1/AUTH_z");
	assert_string_equal(users[2].storage_url, "$HOST/v1/AUTH_q");
	assert_string_equal(users[3].name, "under_score:a_b");
	assert_int_equal(settings->auth.reseller_count, 3);
	assert_string_equal(settings->auth.resellers[0].require_group, "g");
	assert_string_equal(settings->auth.resellers[1].prefix, "SERVICE_");
	assert_string_equal(settings->auth.resellers[1].require_group, ".service");
	assert_string_equal(settings->auth.resellers[2].prefix, "");
	assert_string_equal(settings->auth.auth_prefix, "/login/");
	settings_free(settings);
}

static void config__storage_policies(void **state)
{
	(void)state;
	struct settings *settings = load_good(MINIMUM "[storage-policy:7]\n"
						      "name = gold\n"
						      "aliases = yellow, gold, Au\n"
						      "default = yes\n"
						      "[storage-policy:0]\n"
						      "name = old\n"
						      "deprecated = true\n"
						      "policy_type = replication\n");
	assert_int_equal(settings->policy_count, 2);
	assert_int_equal(settings->policies[0].index, 0);
	assert_string_equal(settings->policies[0].name, "old");
	assert_true(settings->policies[0].deprecated);
	assert_int_equal(settings->policies[1].index, 7);
	assert_true(settings->policies[1].is_default);
	assert_int_equal(settings->policies[1].aliases.count, 2);
	assert_string_equal(settings->policies[1].aliases.items[1], "Au");
	settings_free(settings);
}

/* Each text and what the error says after the file's name. */
static const struct {
	const char *text;
	const char *error;
} bad_files[] = {
	{"[proxy]\n", ": [swiftlet] hash_path_suffix: set this or hash_path_prefix to a secret text of "
		      "your own (e.g. from: openssl rand -hex 16)"},
	{MINIMUM "[proxy]\nnode_timeout = abc\n",
		":4: [proxy] node_timeout: \"abc\" is not a duration (e.g. 10, 500ms)"},
	{MINIMUM "[proxy]\nnode_timeout = -1\n", ":4: [proxy] node_timeout: \"-1\" is not a duration (e.g. 10, 500ms)"},
	{MINIMUM "[proxy]\nnode_timeout = 10 days\n",
		":4: [proxy] node_timeout: \"10 days\" is not a duration (e.g. 10, 500ms)"},
	{MINIMUM "[proxy]\nnode_timeout = 0\n", ":4: [proxy] node_timeout: 0 is out of range (1ms to 86400s)"},
	{MINIMUM "[proxy]\nnode_timeout =\n", ":4: [proxy] node_timeout: \"\" is not a duration (e.g. 10, 500ms)"},
	{MINIMUM "[proxy]\nnode_timeouts = 1\n", ":4: [proxy] node_timeouts: there is no such option"},
	{MINIMUM "[proxies]\nbind = 1\n", ":4: [proxies] there is no such section"},
	{MINIMUM "hash_path_suffix = again\n", ":3: [swiftlet] hash_path_suffix: is set already in line 2"},
	{"workers = 1\n", ":1: workers: stands before the first section (e.g. [swiftlet])"},
	{MINIMUM "nonsense\n", ":3: is neither a [section], nor an option (name = value), nor a comment"},
	{MINIMUM "[proxy\n", ":3: is neither a [section], nor an option (name = value), nor a comment"},
	{MINIMUM "workers = many\n", ":3: [swiftlet] workers: \"many\" is not a number"},
	{MINIMUM "workers = 99999\n", ":3: [swiftlet] workers: 99999 is out of range (0 to 1024)"},
	{MINIMUM "mount_check = maybe\n", ":3: [swiftlet] mount_check: \"maybe\" is neither true nor false"},
	{MINIMUM "roles = proxy, objects\n",
		":3: [swiftlet] roles: \"objects\" is not one of: proxy account container object"},
	{MINIMUM "roles =\n", ":3: [swiftlet] roles: at least one is needed of: proxy account "
			      "container object"},
	{MINIMUM "log_level = loud\n", ":3: [swiftlet] log_level: \"loud\" is not one of: error warning info debug"},
	{MINIMUM "fallocate_reserve = 101%\n",
		":3: [swiftlet] fallocate_reserve: \"101%\" is neither a size nor a percentage "
		"(e.g. 10G, 1%)"},
	{MINIMUM "[proxy]\nbind = localhost:80\n",
		":4: [proxy] bind: \"localhost:80\" is not an address with port (e.g. "
		"127.0.0.1:8080, [::1]:8080)"},
	{MINIMUM "[proxy]\nrequest_node_count = 2 * nodes\n",
		":4: [proxy] request_node_count: \"2 * nodes\" is not a number of nodes (e.g. 6, "
		"2 * replicas)"},
	{MINIMUM "[constraints]\nmax_file_size = big\n",
		":4: [constraints] max_file_size: \"big\" is not a size (e.g. 65536, 64K, 5G)"},
	{MINIMUM "[auth]\nuser_test = key\n",
		":4: [auth] user_test: is not user_<account>_<user>; names with \"_\" are written "
		"in base64, user64_<account>_<user>"},
	{MINIMUM "[auth]\nuser_a_b_c = key\n",
		":4: [auth] user_a_b_c: is not user_<account>_<user>; names with \"_\" are written "
		"in base64, user64_<account>_<user>"},
	{MINIMUM "[auth]\nuser64_!_YQ = key\n",
		":4: [auth] user64_!_YQ: account and user must be base64 without \"=\" of UTF-8 "
		"texts"},
	{MINIMUM "[auth]\nuser64_AA_YQ = key\n",
		":4: [auth] user64_AA_YQ: account and user must be base64 without \"=\" of UTF-8 "
		"texts"},
	{MINIMUM "[auth]\nuser64_YTpi_YQ = key\n",
		":4: [auth] user64_YTpi_YQ: an account must be without \":\", both names without "
		"commas"},
	{MINIMUM "[auth]\nuser_a_b =\n", ":4: [auth] user_a_b: has no key (<key> [group …] [storage_url])"},
	{MINIMUM "[auth]\nuser_a_b = secret g1,g2\n",
		":4: [auth] user_a_b: groups are separated by blanks, without commas"},
	{MINIMUM "[auth]\nuser_a_b = k\nuser_a_b = l\n", ":5: [auth] user_a_b: is set already in line 4"},
	{MINIMUM "[auth]\nuser_a_b = k\nuser64_YQ_Yg = l\n", ":5: [auth] user64_YQ_Yg: the user a:b is there already"},
	{MINIMUM "[auth]\nOTHER_require_group = g\n",
		":4: [auth] OTHER_require_group: \"OTHER_\" is not in reseller_prefix"},
	{MINIMUM "[storage-policy:x]\nname = a\n", ":4: [storage-policy:x] a policy's index is a number from 0 to 255"},
	{MINIMUM "[storage-policy:256]\nname = a\n",
		":4: [storage-policy:256] a policy's index is a number from 0 to 255"},
	{MINIMUM "[storage-policy:1]\nname = a\n", ": there are storage policies, but no [storage-policy:0]"},
	{MINIMUM "[storage-policy:0]\nname = a b\n",
		": [storage-policy:0] \"a b\" is no name: letters, digits and \"-\" make one"},
	{MINIMUM "[storage-policy:0]\nname = a\npolicy_type = erasure_coding\n",
		":5: [storage-policy:0] policy_type: \"erasure_coding\" is not one of: "
		"replication"},
	{MINIMUM "[storage-policy:0]\nname = a\ncolour = red\n",
		":5: [storage-policy:0] colour: there is no such option (name, aliases, default, "
		"deprecated, policy_type)"},
	{MINIMUM "[storage-policy:0]\nname = a\n[storage-policy:1]\nname = A\ndefault = 1\n",
		": [storage-policy:0] the name a is given more than once"},
	{MINIMUM "[storage-policy:0]\nname = a\n[storage-policy:1]\nname = policy-0\n",
		": [storage-policy:1] the name Policy-0 is kept for index 0"},
	{MINIMUM "[storage-policy:0]\nname = a\n[storage-policy:1]\nname = b\n",
		": no storage policy is the default: write \"default = true\" into one "
		"[storage-policy:N]"},
	{MINIMUM "[storage-policy:0]\ndefault = yes\n[storage-policy:1]\nname = b\ndefault = yes\n",
		": several storage policies are the default: write \"default = true\" into one "
		"[storage-policy:N]"},
	{MINIMUM "[storage-policy:0]\ndefault = yes\ndeprecated = yes\n",
		": [storage-policy:0] a deprecated policy cannot be the default one"},
};

static void config__bad_files_are_told_in_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		struct settings *settings = NULL;
		char *error = NULL;
		assert_int_equal(load(bad_files[i].text, &settings, &error), -EINVAL);
		assert_null(settings);
		_cleanup_free_ char *wanted = xasprintf("%s/swiftlet.conf%s", directory, bad_files[i].error);
		assert_string_equal(error, wanted);
		free(error);
	}
}

static void config__missing_file_is_told(void **state)
{
	(void)state;
	struct settings *settings = NULL;
	char *error = NULL;
	assert_int_equal(settings_load("/nonexistent/x.conf", &settings, &error), -ENOENT);
	assert_string_equal(error, "/nonexistent/x.conf: No such file or directory");
	free(error);
}

static void config__line_that_is_too_long(void **state)
{
	(void)state;
	char *text = xmalloc(100001);
	memset(text, 'x', 100000);
	memcpy(text, "[swiftlet]\na = ", 15);
	text[100000] = '\0';
	text[99999] = '\n';
	struct settings *settings = NULL;
	char *error = NULL;
	assert_int_equal(load(text, &settings, &error), -EINVAL);
	assert_non_null(strstr(error, ":2: the line is too long, or holds a NUL byte"));
	free(error);
	free(text);
}

/* What a printer wrote, malloc'ed. */
static char *printed_by(void (*print)(FILE *output))
{
	char *text = NULL;
	size_t length;
	FILE *output = open_memstream(&text, &length);
	print(output);
	fclose(output);
	return text;
}

static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file)
		fail_msg("%s is missing", path);
	char *text = xcalloc(1, 1 << 20);
	size_t length = fread(text, 1, (1 << 20) - 1, file);
	assert_true(length > 0);
	fclose(file);
	return text;
}

static void config__sample_in_etc_is_current(void **state)
{
	(void)state;
	_cleanup_free_ char *wanted = printed_by(settings_print_sample);
	_cleanup_free_ char *found = read_whole("etc/swiftlet.conf");
	if (strcmp(found, wanted))
		fail_msg("run: ./swiftlet config sample >etc/swiftlet.conf");
}

static void config__tables_in_docs_are_current(void **state)
{
	(void)state;
	_cleanup_free_ char *wanted = printed_by(settings_print_markdown);
	_cleanup_free_ char *found = read_whole("docs/configuration.md");
	if (!strstr(found, wanted))
		fail_msg("put what `./swiftlet config markdown` prints into docs/configuration.md");
}

/* Every "#name = default" of the sample, uncommented, gives the same settings as none of them. */
static void config__sample_shows_the_defaults(void **state)
{
	(void)state;
	_cleanup_free_ char *sample = printed_by(settings_print_sample);
	char *text = NULL;
	size_t length;
	FILE *output = open_memstream(&text, &length);
	char *rest = sample;
	for (char *line; (line = strsep(&rest, "\n"));) {
		if (strncmp(line, "#hash_path_suffix", 17) == 0)
			fputs("hash_path_suffix = x\n", output);
		else if (line[0] == '#' && line[1] != ' ' && line[1] != '\0')
			fprintf(output, "%s\n", line + 1);
		else
			fprintf(output, "%s\n", line);
	}
	fclose(output);
	struct settings *settings = load_good(text);
	assert_int_equal(settings->proxy.node_timeout_ms, 10000);
	assert_int_equal(settings->auth.user_count, 2);
	settings_free(settings);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config__defaults_are_swifts),
		cmocka_unit_test(config__constraints_defaults_agree),
		cmocka_unit_test(config__values_of_every_type),
		cmocka_unit_test(config__users_as_tempauth),
		cmocka_unit_test(config__storage_policies),
		cmocka_unit_test(config__bad_files_are_told_in_one_line),
		cmocka_unit_test(config__missing_file_is_told),
		cmocka_unit_test(config__line_that_is_too_long),
		cmocka_unit_test(config__sample_in_etc_is_current),
		cmocka_unit_test(config__tables_in_docs_are_current),
		cmocka_unit_test(config__sample_shows_the_defaults),
	};
	return cmocka_run_group_tests_name("config", tests, make_directory, remove_directory);
}
