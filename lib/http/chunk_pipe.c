#include "lib/http/chunk_pipe.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/co/co.h"

struct chunk_list {
	struct chunk chunks[CHUNK_PIPE_MAX];
	size_t count;
};

/* All of it belongs to the loop, but `working` and what the job points to while it runs. */
struct chunk_pipe {
	struct pool *pool;
	chunk_pipe_function *function;
	void *argument;
	struct loop *loop;
	struct pool_job job;
	struct loop_message message;
	struct chunk_list lists[2];
	struct chunk_list *waiting;
	struct chunk_list *working; /* empty when no job runs */
	int job_result;
	int error; /* the first one */
	bool draining;
	struct co_signal moved;
};

static void run_job(void *argument)
{
	struct chunk_pipe *pipe = argument;
	pipe->job_result = pipe->function(pipe->argument, pipe->working->chunks, pipe->working->count);
}

static void job_done(struct pool_job *job)
{
	struct chunk_pipe *pipe = job->argument;
	loop_post(pipe->loop, &pipe->message);
}

static void release_all(struct chunk_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		chunk_release(&list->chunks[i]);
	list->count = 0;
}

/* Turns to what waits, when there is any. */
static void work_on(struct chunk_pipe *pipe)
{
	if (pipe->error)
		release_all(pipe->waiting);
	if (pipe->waiting->count == 0)
		return;
	struct chunk_list *emptied = pipe->working;
	pipe->working = pipe->waiting;
	pipe->waiting = emptied;
	pool_submit(pipe->pool, &pipe->job);
}

static void on_job_done(struct loop_message *message)
{
	struct chunk_pipe *pipe = (struct chunk_pipe *)((char *)message - offsetof(struct chunk_pipe, message));
	release_all(pipe->working);
	if (!pipe->error)
		pipe->error = pipe->job_result;
	if (pipe->waiting->count == CHUNK_PIPE_MAX || pipe->draining || pipe->error)
		work_on(pipe);
	co_signal_raise(&pipe->moved);
}

struct chunk_pipe *chunk_pipe_new(struct pool *pool, chunk_pipe_function *function, void *argument)
{
	struct chunk_pipe *pipe = xcalloc(1, sizeof(*pipe));
	pipe->pool = pool;
	pipe->function = function;
	pipe->argument = argument;
	pipe->loop = loop_current();
	pipe->job = (struct pool_job){.run = run_job, .argument = pipe, .done = job_done};
	pipe->message.call = on_job_done;
	pipe->waiting = &pipe->lists[0];
	pipe->working = &pipe->lists[1];
	return pipe;
}

int co_chunk_pipe_push(struct chunk_pipe *pipe, const struct chunk *chunk)
{
	struct chunk kept = *chunk;
	while (pipe->waiting->count == CHUNK_PIPE_MAX)
		(void)co_signal_wait(&pipe->moved, CO_FOREVER);
	if (pipe->error) {
		chunk_release(&kept);
		return pipe->error;
	}
	pipe->waiting->chunks[pipe->waiting->count++] = kept;
	if (pipe->working->count == 0 && pipe->waiting->count == CHUNK_PIPE_MAX)
		work_on(pipe);
	/* bytes that lie elsewhere are not promised to stay */
	return kept.block ? 0 : co_chunk_pipe_drain(pipe);
}

int co_chunk_pipe_drain(struct chunk_pipe *pipe)
{
	pipe->draining = true;
	if (pipe->working->count == 0)
		work_on(pipe);
	while (pipe->working->count > 0)
		(void)co_signal_wait(&pipe->moved, CO_FOREVER);
	pipe->draining = false;
	return pipe->error;
}

void co_chunk_pipe_free(struct chunk_pipe *pipe)
{
	if (!pipe)
		return;
	(void)co_chunk_pipe_drain(pipe);
	free(pipe);
}
