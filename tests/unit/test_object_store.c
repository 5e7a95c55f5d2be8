#include "tests/unit/object_fixture.h"

/* ---- bodies ---- */

static void object__gives_back_bodies_of_every_size(void **state)
{
	static const uint64_t sizes[] = {
		0, 1, 1023, 65535, 65536, 65537, 131071, 131072, 131073, 200000, (1 << 20) + 7, 20 << 20};
	static const size_t pieces[] = {65536, 777, 100000};
	struct fixture *fixture = *state;
	uint64_t now = 1;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
			bool announced = (i + j) % 2;
			struct object_writer *writer =
				write_body(fixture->device, sizes[i], announced, pieces[j], (unsigned)now);
			struct object_put put = put_of(writer, at(now));
			assert_int_equal(device_commit(fixture->device, object_put, &put), 0);
			assert_body(fixture, sizes[i], (unsigned)now);
			object_writer_free(writer);
			assert_body(fixture, sizes[i], (unsigned)now);
			assert_int_equal(count_names(fixture, "incoming"), 0);
			now++;
		}
	}
	reopen(fixture);
	assert_body(fixture, 20 << 20, (unsigned)now - 1);
	assert_int_equal(count_names(fixture, "bodies/ab/cd"), 1);
	assert_int_equal(count_values(fixture, DEVICE_BODIES), 0);
	assert_int_equal(count_values(fixture, DEVICE_TODO), 0);
	assert_int_equal(count_values(fixture, DEVICE_OBJECTS), 1);
}

static void object__small_bodies_are_replaced_in_place(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(1), 100), 0);
	assert_int_equal(put_size(fixture, at(2), 200), 0);
	assert_int_equal(count_values(fixture, DEVICE_BODIES), 1);
	assert_body(fixture, 200, 1);
	assert_int_equal(put_size(fixture, at(3), 0), 0);
	assert_int_equal(count_values(fixture, DEVICE_BODIES), 0);
	assert_body(fixture, 0, 1);
}

static void object__refused_bodies_leave_nothing(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(2), 70000), 0);
	assert_int_equal(put_size(fixture, at(2), 90000), -EEXIST);
	assert_int_equal(put_size(fixture, at(1), 90), -EEXIST);
	object_writer_free(write_body(fixture->device, 100000, true, 5000, 0));
	assert_int_equal(count_names(fixture, "incoming"), 0);
	assert_int_equal(count_names(fixture, "bodies/ab/cd"), 1);
	assert_int_equal(count_values(fixture, DEVICE_BODIES), 0);
	assert_body(fixture, 70000, 1);
}

static void object__open_file_outlives_its_object(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(1), 300000), 0);
	struct object_record record = read_record(fixture);
	struct object_body *body;
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), 0);
	assert_int_equal(put_size(fixture, at(2), 1), 0);
	reopen(fixture);
	assert_int_equal(count_names(fixture, "bodies/ab/cd"), 0);
	assert_bytes(body, 0, 300000, 300000, 1);
	object_body_free(body);
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), -ENOENT);
}

static void object__cached_reads_match(void **state)
{
	struct fixture *fixture = *state;
	struct object_record record;
	struct object_body *body;
	assert_int_equal(object_read_cached(fixture->device, &key, fixture->arena, &record), 0);
	assert_int_equal(record.kind, OBJECT_ABSENT);
	assert_int_equal(put_size(fixture, at(1), 1000), 0);
	assert_int_equal(object_read_cached(fixture->device, &key, fixture->arena, &record), 0);
	assert_int_equal(object_body_open_cached(fixture->device, &key, &record, &body), 0);
	assert_bytes(body, 0, 1000, 1000, 1);
	object_body_free(body);

	assert_int_equal(put_size(fixture, at(2), 150000), 0);
	record = read_record(fixture);
	/* what was just written is in memory, where kernel and file system can tell */
	int result = object_body_open_cached(fixture->device, &key, &record, &body);
	if (result == 0) {
		assert_bytes(body, 0, 150000, 150000, 1);
		object_body_free(body);
	} else {
		assert_int_equal(result, -EAGAIN);
	}
	struct object_record wrong = record;
	wrong.body_number++; /* such a file is not there; only who may wait can say so */
	assert_int_equal(object_body_open_cached(fixture->device, &key, &wrong, &body), -EAGAIN);
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), 0);
	char *data = xmalloc(65536);
	for (uint64_t offset = 0; offset < 150000; offset += 65536) {
		ssize_t count = object_body_read_cached(body, offset, data, 65536);
		/* Some file systems know no RWF_NOWAIT. */
		if (count == -EAGAIN)
			continue;
		assert_int_equal(count, offset + 65536 > 150000 ? 150000 - offset : 65536);
		for (ssize_t i = 0; i < count; i++)
			assert_true((unsigned char)data[i] == byte_at(offset + (uint64_t)i, 1));
	}
	free(data);
	object_body_free(body);
}

static void object__reserve_refuses_bodies_but_not_tombstones(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(1), 70000), 0);
	device_close(fixture->device);
	struct device_options options = {.path = fixture->path, .name = "sda", .reserve_percent = 100};
	char *error = NULL;
	assert_int_equal(device_open(&options, &fixture->device, &error), 0);
	struct object_writer *writer;
	assert_int_equal(object_writer_new(fixture->device, &key, 10, &writer), -ENOSPC);
	assert_int_equal(object_writer_new(fixture->device, &key, -1, &writer), -ENOSPC);
	struct object_delete delete = {.key = key, .name = NAME, .timestamp = at(2), .arena = fixture->arena};
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), 0);
	assert_true(delete.tombstone_written);
}

/* ---- semantics ---- */

/* What a row of the tables below leaves out is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum step_kind { END, PUT, POST, TYPE, EXPIRE, DELETE, EXPIRER, OTHER_NAME };

/*
 * PUT/POST/DELETE at `time`. POST sets X-Object-Meta-P to the time; TYPE the same and the content
 * type "type/<time>"; EXPIRE posts X-Delete-At `delete_at`; EXPIRER deletes with X-If-Delete-At
 * `delete_at`.
 */
struct step {
	enum step_kind kind;
	uint64_t time;
	int result;
	uint64_t delete_at;
	uint64_t old_delete_at; /* expected of PUT and POST */
};

struct expected {
	enum object_kind kind;
	uint64_t data_time;
	uint64_t meta_time; /* 0: no overlay */
	uint64_t type_time; /* 0: the data's type */
	uint64_t view_time;
};

struct scenario {
	const char *title;
	struct step steps[8];
	struct expected expected;
};

static const struct scenario scenarios[] = {
	{"nothing", {{0}}, {OBJECT_ABSENT}},
	{"put", {{PUT, 10}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"put at the same time", {{PUT, 10}, {PUT, 10, -EEXIST}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"older put", {{PUT, 10}, {PUT, 9, -EEXIST}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"newer put", {{PUT, 10}, {PUT, 11}}, {OBJECT_DATA, 11, 0, 0, 11}},
	{"other name", {{PUT, 10}, {OTHER_NAME, 11, -EBADMSG}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"post", {{PUT, 10}, {POST, 20}}, {OBJECT_DATA, 10, 20, 0, 20}},
	{"post at the same time", {{PUT, 10}, {POST, 10, -EEXIST}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"older post", {{PUT, 10}, {POST, 20}, {POST, 15, -EEXIST}}, {OBJECT_DATA, 10, 20, 0, 20}},
	{"post twice", {{PUT, 10}, {POST, 20}, {POST, 30}}, {OBJECT_DATA, 10, 30, 0, 30}},
	{"post nothing", {{POST, 20, -ENOENT}}, {OBJECT_ABSENT}},
	{"post with type", {{PUT, 10}, {TYPE, 20}}, {OBJECT_DATA, 10, 20, 20, 20}},
	{"type stays over a post", {{PUT, 10}, {TYPE, 20}, {POST, 30}}, {OBJECT_DATA, 10, 30, 20, 30}},
	{"older post with a newer type", {{PUT, 10}, {POST, 30}, {TYPE, 20}}, {OBJECT_DATA, 10, 30, 20, 30}},
	{"put keeps a newer overlay", {{PUT, 10}, {TYPE, 30}, {PUT, 20}}, {OBJECT_DATA, 20, 30, 30, 30}},
	{"put keeps the newer part", {{PUT, 10}, {TYPE, 15}, {POST, 30}, {PUT, 20}}, {OBJECT_DATA, 20, 30, 0, 30}},
	{"put drops an older overlay", {{PUT, 10}, {TYPE, 20}, {PUT, 30}}, {OBJECT_DATA, 30, 0, 0, 30}},
	{"put drops an overlay of its time", {{PUT, 10}, {TYPE, 20}, {PUT, 20}}, {OBJECT_DATA, 20, 0, 0, 20}},
	{"delete", {{PUT, 10}, {DELETE, 20}}, {OBJECT_TOMBSTONE, 20}},
	{"delete at the same time", {{PUT, 10}, {DELETE, 10, -EEXIST}}, {OBJECT_DATA, 10, 0, 0, 10}},
	{"overlay does not protect", {{PUT, 10}, {POST, 30}, {DELETE, 20}}, {OBJECT_TOMBSTONE, 20}},
	{"delete nothing", {{DELETE, 20}}, {OBJECT_TOMBSTONE, 20}},
	{"older delete", {{DELETE, 20}, {DELETE, 10}}, {OBJECT_TOMBSTONE, 20}},
	{"newer delete", {{DELETE, 20}, {DELETE, 30}}, {OBJECT_TOMBSTONE, 30}},
	{"put after delete", {{PUT, 10}, {TYPE, 25}, {DELETE, 20}, {PUT, 21}}, {OBJECT_DATA, 21, 0, 0, 21}},
	{"put before delete", {{DELETE, 20}, {PUT, 20, -EEXIST}, {PUT, 5, -EEXIST}}, {OBJECT_TOMBSTONE, 20}},
	{"post deleted", {{PUT, 10}, {DELETE, 20}, {POST, 30, -ENOENT}}, {OBJECT_TOMBSTONE, 20}},
	{"expires", {{PUT, 10}, {EXPIRE, 20, 0, 50}, {POST, 50, -ENOENT}, {POST, 49, 0, 0, 50}},
		{OBJECT_DATA, 10, 49, 0, 49}},
	{"expired is put over", {{PUT, 10}, {EXPIRE, 20, 0, 50}, {PUT, 60, 0, 0, 50}}, {OBJECT_DATA, 60, 0, 0, 60}},
	{"expired is deleted", {{PUT, 10}, {EXPIRE, 20, 0, 50}, {DELETE, 60}}, {OBJECT_TOMBSTONE, 60}},
	{"expirer", {{PUT, 10}, {EXPIRE, 20, 0, 50}, {EXPIRER, 60, -ESTALE, 51}, {EXPIRER, 60, 0, 50}},
		{OBJECT_TOMBSTONE, 60}},
	{"expirer finds nothing", {{EXPIRER, 60, -ENOENT, 50}}, {OBJECT_ABSENT}},
	{"expirer is late", {{PUT, 60}, {EXPIRER, 60, -EEXIST, 50}}, {OBJECT_DATA, 60, 0, 0, 60}},
	{"expirer finds a tombstone", {{DELETE, 20}, {EXPIRER, 60, -ESTALE, 50}}, {OBJECT_TOMBSTONE, 20}},
	{"expirer finds a newer tombstone", {{DELETE, 70}, {EXPIRER, 60, -EEXIST, 50}}, {OBJECT_TOMBSTONE, 70}},
};

static void step_put(struct fixture *fixture, const struct step *step)
{
	struct object_writer *writer = write_body(fixture->device, step->time, true, 4096, 1);
	struct object_put put = put_of(writer, at(step->time));
	if (step->kind == OTHER_NAME)
		put.name = SLICE_LITERAL("/a/c/other");
	assert_int_equal(device_commit(fixture->device, object_put, &put), step->result);
	assert_true(put.ret_old_delete_at == step->old_delete_at);
	object_writer_free(writer);
}

static void step_post(struct fixture *fixture, const struct step *step)
{
	char time[24];
	char type[32];
	char delete_at[24];
	snprintf(time, sizeof(time), "%" PRIu64, step->time);
	snprintf(type, sizeof(type), "type/%s", time);
	snprintf(delete_at, sizeof(delete_at), "%" PRIu64, step->delete_at);
	struct object_header headers[] = {{"X-Object-Meta-P", time}, {"X-Delete-At", delete_at}};
	struct object_post post = {
		.key = key,
		.timestamp = at(step->time),
		.type_time = step->kind == TYPE ? at(step->time) : TIMESTAMP_ZERO,
		.content_type = step->kind == TYPE ? type : NULL,
		.headers = headers,
		.header_count = step->kind == EXPIRE ? 2 : 1,
		.arena = fixture->arena,
	};
	assert_int_equal(device_commit(fixture->device, object_post, &post), step->result);
	assert_true(post.ret_old_delete_at == step->old_delete_at);
}

static void step_delete(struct fixture *fixture, const struct step *step)
{
	struct object_delete delete = {
		.key = key,
		.name = NAME,
		.timestamp = at(step->time),
		.check_delete_at = step->kind == EXPIRER,
		.if_delete_at = (int64_t)step->delete_at,
		.arena = fixture->arena,
	};
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), step->result);
}

static void run_step(struct fixture *fixture, const struct step *step)
{
	switch (step->kind) {
	case PUT:
	case OTHER_NAME:
		step_put(fixture, step);
		break;
	case POST:
	case TYPE:
	case EXPIRE:
		step_post(fixture, step);
		break;
	case DELETE:
	case EXPIRER:
		step_delete(fixture, step);
		break;
	case END:
		break;
	}
}

static void assert_view(struct fixture *fixture, const struct object_record *record, const struct expected *expected)
{
	struct object_view view;
	char text[32];
	object_view(record, fixture->arena, &view);
	assert_true(view.timestamp.raw == at(expected->view_time).raw);
	snprintf(text, sizeof(text), "type/%" PRIu64, expected->type_time);
	assert_string_equal(view.content_type, expected->type_time ? text : "text/plain");
	uint64_t type_time = expected->type_time ? expected->type_time : expected->data_time;
	assert_true(view.content_type_time.raw == at(type_time).raw);
	assert_string_equal(object_header_get(view.headers, view.header_count, "x-object-sysmeta-kind"), "data");
	assert_string_equal(object_header_get(view.headers, view.header_count, "X-Static-Large-Object"), "True");
	const char *color = object_header_get(view.headers, view.header_count, "X-Object-Meta-Color");
	const char *posted = object_header_get(view.headers, view.header_count, "X-Object-Meta-P");
	if (expected->meta_time) {
		snprintf(text, sizeof(text), "%" PRIu64, expected->meta_time);
		assert_string_equal(posted, text);
		assert_null(color);
	} else {
		assert_null(posted);
		assert_string_equal(color, "blue");
	}
}

static void assert_expected(struct fixture *fixture, const struct expected *expected)
{
	struct object_record record = read_record(fixture);
	assert_int_equal(record.kind, expected->kind);
	if (record.kind == OBJECT_ABSENT)
		return;
	assert_true(slice_equal(record.name, NAME));
	assert_true(record.data_time.raw == at(expected->data_time).raw);
	assert_true(record.meta_time.raw == at(expected->meta_time).raw);
	assert_true(record.type_time.raw == at(expected->type_time).raw);
	assert_int_equal(count_values(fixture, DEVICE_BODIES), record.kind == OBJECT_DATA);
	if (record.kind == OBJECT_DATA) {
		assert_body(fixture, expected->data_time, 1);
		assert_view(fixture, &record, expected);
	}
}

static int forget(struct device_txn *txn, void *argument)
{
	struct device_iterator *iterator = argument;
	txn_delete(txn, DEVICE_OBJECTS, device_iterator_key(iterator));
	return 0;
}

static int forget_body(struct device_txn *txn, void *argument)
{
	struct device_iterator *iterator = argument;
	txn_delete(txn, DEVICE_BODIES, device_iterator_key(iterator));
	return 0;
}

static void empty_family(struct fixture *fixture, enum device_family family, device_change_fn *change)
{
	struct device_iterator *iterator = device_iterator_new(fixture->device, family, SLICE_NONE, SLICE_NONE);
	for (bool found = device_iterator_seek(iterator, SLICE_NONE); found; found = device_iterator_next(iterator))
		assert_int_equal(device_commit(fixture->device, change, iterator), 0);
	device_iterator_free(iterator);
}

static void object__keeps_swifts_order_of_times(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *scenario = &scenarios[i];
		print_message("\t%s\n", scenario->title);
		for (size_t j = 0; scenario->steps[j].kind != END; j++)
			run_step(fixture, &scenario->steps[j]);
		assert_expected(fixture, &scenario->expected);
		empty_family(fixture, DEVICE_OBJECTS, forget);
		empty_family(fixture, DEVICE_BODIES, forget_body);
	}
}

static void object__delete_tells_what_was_there(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 5), 0);
	run_step(fixture, &(struct step){EXPIRE, 20, 0, 50});
	struct object_delete delete = {.key = key, .name = NAME, .timestamp = at(10), .arena = fixture->arena};
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), -EEXIST);
	assert_int_equal(delete.previous.kind, OBJECT_DATA);
	assert_false(delete.tombstone_written);
	delete.timestamp = at(60);
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), 0);
	assert_true(delete.tombstone_written);
	assert_int_equal(delete.previous.kind, OBJECT_DATA);
	assert_true(object_record_expired(&delete.previous, at(60)));
	assert_string_equal(delete.previous.content_type, "text/plain");
	delete.timestamp = at(55);
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), 0);
	assert_false(delete.tombstone_written);
	assert_int_equal(delete.previous.kind, OBJECT_TOMBSTONE);
	assert_true(delete.previous.data_time.raw == at(60).raw);
}

static void object__offsets_order_equal_times(void **state)
{
	struct fixture *fixture = *state;
	struct timestamp time = at(10);
	assert_int_equal(put_size(fixture, time, 1), 0);
	time.offset = 2;
	assert_int_equal(put_size(fixture, time, 2), 0);
	time.offset = 1;
	assert_int_equal(put_size(fixture, time, 3), -EEXIST);
	assert_body(fixture, 2, 1);
	assert_true(read_record(fixture).data_time.offset == 2);
}

/* ---- to-do entries ---- */

struct todo_list {
	uint64_t numbers[8];
	char texts[8][16];
	int count;
	int stop_after; /* 0: never */
};

static int collect(uint64_t number, struct slice value, void *argument)
{
	struct todo_list *list = argument;
	list->numbers[list->count] = number;
	snprintf(list->texts[list->count++], 16, "%.*s", SLICE_PRINT(value));
	return list->count == list->stop_after ? 7 : 0;
}

static void posted_todo(const struct object_record *record, struct object_todos *todos, void *argument)
{
	(void)argument;
	assert_true(record->meta_time.raw == at(20).raw);
	todos->values[0] = SLICE_LITERAL("post");
	todos->count = 1;
}

static void object__todos_are_committed_with_the_change(void **state)
{
	struct fixture *fixture = *state;
	struct object_writer *writer = write_body(fixture->device, 5, true, 5, 1);
	struct object_put put = put_of(writer, at(10));
	put.todos = (struct object_todos){.values = {SLICE_LITERAL("put-1"), SLICE_LITERAL("put-2")}, .count = 2};
	assert_int_equal(device_commit(fixture->device, object_put, &put), 0);
	object_writer_free(writer);
	struct object_post post = {.key = key, .timestamp = at(20), .make_todos = posted_todo, .arena = fixture->arena};
	assert_int_equal(device_commit(fixture->device, object_post, &post), 0);
	struct object_delete delete = {.key = key,
		.name = NAME,
		.timestamp = at(10),
		.todos = {.values = {SLICE_LITERAL("refused")}, .count = 1},
		.arena = fixture->arena};
	assert_int_equal(device_commit(fixture->device, object_delete, &delete), -EEXIST);

	reopen(fixture);
	struct todo_list list = {0};
	assert_int_equal(object_todo_walk(fixture->device, 0, collect, &list), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.texts[0], "put-1");
	assert_string_equal(list.texts[1], "put-2");
	assert_string_equal(list.texts[2], "post");
	assert_true(list.numbers[1] == put.todos.ret_numbers[1]);
	assert_true(list.numbers[2] == post.todos.ret_numbers[0]);

	struct object_todo_update update = {list.numbers[1], SLICE_LITERAL("half done")};
	assert_int_equal(device_commit(fixture->device, object_todo_replace, &update), 0);
	assert_int_equal(device_commit(fixture->device, object_todo_done, &list.numbers[0]), 0);
	update.number = list.numbers[0];
	assert_int_equal(device_commit(fixture->device, object_todo_replace, &update), -ENOENT);
	struct todo_list rest = {.stop_after = 1};
	assert_int_equal(object_todo_walk(fixture->device, 0, collect, &rest), 7);
	assert_string_equal(rest.texts[0], "half done");
	rest = (struct todo_list){0};
	assert_int_equal(object_todo_walk(fixture->device, list.numbers[2], collect, &rest), 0);
	assert_int_equal(rest.count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(object__gives_back_bodies_of_every_size),
		TEST(object__small_bodies_are_replaced_in_place),
		TEST(object__refused_bodies_leave_nothing),
		TEST(object__open_file_outlives_its_object),
		TEST(object__cached_reads_match),
		TEST(object__reserve_refuses_bodies_but_not_tombstones),
		TEST(object__keeps_swifts_order_of_times),
		TEST(object__delete_tells_what_was_there),
		TEST(object__offsets_order_equal_times),
		TEST(object__todos_are_committed_with_the_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
