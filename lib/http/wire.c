#include "lib/http/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum { RUNS_MAX = 16 }; /* blocks of a body that were there without waiting, before others have their turn */

void wire_input_release(struct wire_input *input)
{
	block_unref(input->block);
	*input = (struct wire_input){0};
}

static void unref_block(void *block)
{
	block_unref(block);
}

/* False when the block is full: the head is too long. */
static bool make_room(struct wire_input *input)
{
	if (!input->block)
		input->block = block_new();
	return input->end < BLOCK_BYTES;
}

/* A head must lie in one piece: the beginning of one moves to a new block, so that it has as much room as any other. */
static void move_to_front(struct wire_input *input)
{
	if (!input->block || input->start == 0)
		return;
	const char *head = input->block->data + input->start;
	size_t length = input->end - input->start;
	if (memmem(head, length, "\r\n\r\n", 4))
		return;
	struct block *fresh = block_new();
	memcpy(fresh->data, head, length);
	block_unref(input->block);
	*input = (struct wire_input){fresh, 0, length};
}

static int read_more(struct co_socket *socket, struct wire_input *input, uint64_t deadline_ms)
{
	ssize_t count = co_socket_read(socket, input->block->data + input->end, BLOCK_BYTES - input->end, deadline_ms);
	if (count <= 0)
		return count < 0 ? (int)count : -ECONNRESET;
	input->end += (size_t)count;
	return 0;
}

int co_wire_read_head(struct co_socket *socket, struct wire_input *input, struct http_parser *parser,
	struct arena *arena, uint64_t deadline_ms)
{
	move_to_front(input);
	size_t head_start = input->start;
	size_t parsed = input->start;
	for (;;) {
		if (input->block && input->end > parsed) {
			size_t used;
			int result = http_parser_head(parser, input->block->data + parsed, input->end - parsed, &used);
			if (result < 0)
				return result;
			parsed += used;
			if (result > 0)
				break;
		}
		if (!make_room(input)) {
			parser->status = 400;
			parser->error = "Head too long";
			return -EPROTO;
		}
		bool nothing_yet = input->end == head_start;
		int error = read_more(socket, input, deadline_ms);
		if (error == -ECONNRESET && nothing_yet)
			return 0;
		if (error)
			return error;
	}
	arena_defer(arena, unref_block, block_ref(input->block));
	input->start = parsed;
	if (input->start == input->end)
		wire_input_release(input);
	return 1;
}

/* ---- bodies off the wire ---- */

static int end_with(struct wire_body *self, int error)
{
	self->error = error;
	return error;
}

static int wait_for_bytes(struct wire_body *self)
{
	uint64_t deadline_ms = deadline_after_ms(self->timeout_ms);
	self->runs = 0;
	return co_socket_wait_readable(self->socket, deadline_ms < self->deadline_ms ? deadline_ms : self->deadline_ms);
}

/*
 * What was read together with the head, or a fresh block's worth from the socket. Sets *ret_eof at the end. Who waits
 * holds no block, and whose bytes are always there already lets others have their turn.
 */
static int get_bytes(struct wire_body *self, uint64_t wanted, bool *ret_eof)
{
	struct wire_input *input = self->input;
	*ret_eof = false;
	if (input->block)
		return 0;
	size_t room = wanted < BLOCK_BYTES ? (size_t)wanted : BLOCK_BYTES;
	if (++self->runs > RUNS_MAX) {
		self->runs = 0;
		co_yield ();
	}
	for (;;) {
		struct block *block = block_new();
		ssize_t count = socket_read_now(self->socket, block->data, room);
		if (count > 0) {
			*input = (struct wire_input){block, 0, (size_t)count};
			return 0;
		}
		block_unref(block);
		*ret_eof = count == 0;
		if (count != -EAGAIN)
			return (int)count;
		int error = wait_for_bytes(self);
		if (error)
			return error;
	}
}

/* Cuts `length` bytes off the input as a chunk of their own. */
static struct chunk take(struct wire_input *input, size_t offset, size_t length)
{
	return (struct chunk){block_ref(input->block), input->block->data + offset, length};
}

static void consume(struct wire_input *input, size_t length)
{
	input->start += length;
	if (input->start == input->end)
		wire_input_release(input);
}

static int next_counted(struct wire_body *self, struct chunk *ret_chunk)
{
	bool until_close = self->left == UINT64_MAX;
	if (self->left == 0) {
		self->ended = true;
		*ret_chunk = CHUNK_NONE;
		return 0;
	}
	bool eof;
	int error = get_bytes(self, self->left, &eof);
	if (error)
		return end_with(self, error == -EPIPE ? -ECONNRESET : error);
	if (eof) {
		if (!until_close)
			return end_with(self, -ECONNRESET);
		self->left = 0;
		*ret_chunk = CHUNK_NONE;
		return 0;
	}
	size_t available = self->input->end - self->input->start;
	size_t length = available < self->left ? available : (size_t)self->left;
	*ret_chunk = take(self->input, self->input->start, length);
	consume(self->input, length);
	if (!until_close)
		self->left -= length;
	self->received += length;
	if (self->left == 0)
		self->ended = true;
	return 0;
}

static int next_chunked(struct wire_body *self, struct chunk *ret_chunk)
{
	while (!self->ended) {
		bool eof;
		int error = get_bytes(self, BLOCK_BYTES, &eof);
		if (error)
			return end_with(self, error);
		if (eof)
			return end_with(self, -ECONNRESET);
		size_t payload, used;
		size_t start = self->input->start;
		error = http_parser_chunked(
			self->parser, self->input->block->data + start, self->input->end - start, &payload, &used);
		if (error)
			return end_with(self, error);
		if (self->parser->message_done)
			self->ended = true;
		struct chunk chunk = CHUNK_NONE;
		if (payload)
			chunk = take(self->input, start, payload);
		consume(self->input, used);
		if (payload) {
			self->received += payload;
			*ret_chunk = chunk;
			return 0;
		}
	}
	*ret_chunk = CHUNK_NONE;
	return 0;
}

int co_wire_body_next(struct wire_body *self, struct chunk *ret_chunk)
{
	if (self->error)
		return self->error;
	if (self->co_before_read) {
		int (*before)(struct wire_body *) = self->co_before_read;
		self->co_before_read = NULL;
		int error = before(self);
		if (error)
			return end_with(self, error);
	}
	return self->parser->chunked ? next_chunked(self, ret_chunk) : next_counted(self, ret_chunk);
}

static int body_next(struct body *body, struct chunk *ret_chunk)
{
	return co_wire_body_next((struct wire_body *)body, ret_chunk);
}

void wire_body_init(struct wire_body *body, struct co_socket *socket, struct wire_input *input,
	struct http_parser *parser, uint64_t timeout_ms)
{
	static const struct body_operations operations = {.co_next = body_next};
	*body = (struct wire_body){
		.body = {&operations},
		.socket = socket,
		.input = input,
		.parser = parser,
		.left = parser->content_length < 0 ? UINT64_MAX : (uint64_t)parser->content_length,
		.timeout_ms = timeout_ms,
		.deadline_ms = CO_FOREVER,
		.ended = !parser->chunked && parser->content_length == 0,
	};
}

/* ---- onto the wire ---- */

int co_wire_send(
	struct co_socket *socket, struct slice head, const struct chunk *chunk, bool chunked, uint64_t timeout_ms)
{
	char size_line[24];
	struct iovec parts[4];
	int count = 0;
	if (head.length)
		parts[count++] = (struct iovec){(char *)head.data, head.length};
	if (chunk && chunk->length) {
		if (chunked) {
			int length = snprintf(size_line, sizeof(size_line), "%zx\r\n", chunk->length);
			parts[count++] = (struct iovec){size_line, (size_t)length};
		}
		parts[count++] = (struct iovec){(char *)chunk->data, chunk->length};
		if (chunked)
			parts[count++] = (struct iovec){(char *)"\r\n", 2};
	}
	return co_socket_write(socket, parts, count, timeout_ms);
}

int co_wire_send_end(struct co_socket *socket, uint64_t timeout_ms)
{
	struct iovec part = {(char *)"0\r\n\r\n", 5};
	return co_socket_write(socket, &part, 1, timeout_ms);
}
