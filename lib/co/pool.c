#include "lib/co/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct pool_job *first;
	struct pool_job **last;
	bool stopping;
	atomic_size_t load;
	size_t thread_count;
	pthread_t threads[];
};

static struct pool_job *next_job(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->stopping)
		pthread_cond_wait(&pool->work, &pool->lock);
	struct pool_job *job = pool->first;
	if (job) {
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *thread_main(void *argument)
{
	struct pool *pool = argument;
	struct pool_job *job;
	while ((job = next_job(pool))) {
		job->run(job->argument);
		atomic_fetch_sub(&pool->load, 1);
		job->done(job);
	}
	return NULL;
}

int pool_new(const char *name, size_t threads, struct pool **ret_pool)
{
	struct pool *pool = xcalloc(1, sizeof(*pool) + threads * sizeof(pthread_t));
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->last = &pool->first;
	for (size_t i = 0; i < threads; i++) {
		int error = pthread_create(&pool->threads[i], NULL, thread_main, pool);
		if (error) {
			pool_free(pool);
			return -error;
		}
		pool->thread_count++;
		(void)pthread_setname_np(pool->threads[i], name);
	}
	*ret_pool = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

size_t pool_load(const struct pool *pool)
{
	return atomic_load_explicit(&pool->load, memory_order_relaxed);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	atomic_fetch_add(&pool->load, 1);
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* ---- a coroutine's job ---- */

struct offload {
	struct pool_job job;
	struct loop_message message;
	struct loop *loop;
	struct co *co;
	const char *transaction; /* the coroutine's: it sleeps until the job is done */
	void (*function)(void *argument);
	void *argument;
	bool finished;
};

static void offload_run(void *argument)
{
	struct offload *offload = argument;
	log_set_transaction(offload->transaction);
	offload->function(offload->argument);
	log_set_transaction(NULL);
}

static void offload_finished(struct loop_message *message)
{
	struct offload *offload = (struct offload *)((char *)message - offsetof(struct offload, message));
	offload->finished = true;
	co_wake(offload->co);
}

static void offload_done(struct pool_job *job)
{
	struct offload *offload = (struct offload *)((char *)job - offsetof(struct offload, job));
	loop_post(offload->loop, &offload->message);
}

void co_offload(struct pool *pool, void (*function)(void *), void *argument)
{
	struct offload offload = {
		.job = {.run = offload_run, .done = offload_done},
		.transaction = co_transaction(),
		.function = function,
		.argument = argument,
		.message = {.call = offload_finished},
		.loop = loop_current(),
		.co = co_self(),
	};
	offload.job.argument = &offload;
	pool_submit(pool, &offload.job);
	while (!offload.finished)
		co_suspend();
}
