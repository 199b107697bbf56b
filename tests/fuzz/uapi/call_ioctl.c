// SPDX-License-Identifier: GPL-2.0-only
/* The calls of the module: filling the struct, passing it, taking the answer. */
#include "lane.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SPACE	8192		/* room for a struct and its tail */

union any {
	u32 size;
	struct asynclazy_info info;
	struct asynclazy_create create;
	struct asynclazy_open open;
	struct asynclazy_unlink unlink;
	struct asynclazy_attach attach;
	struct asynclazy_geometry geometry;
	struct asynclazy_stats stats;
	struct asynclazy_claim claim;
	struct asynclazy_publish publish;
	struct asynclazy_fail fail;
	struct asynclazy_abandon abandon;
	struct asynclazy_cancel cancel;
	struct asynclazy_fetch fetch;
	struct asynclazy_set set;
	struct asynclazy_invalidate invalidate;
	struct asynclazy_clear clear;
	struct asynclazy_value memfd;
	struct asynclazy_extend extend;
	struct asynclazy_flight flight;
	struct asynclazy_expire expire;
	struct asynclazy_wait wait;
	struct asynclazy_wake wake;
	struct asynclazy_batch batch;
	u8 bytes[SPACE];
	u64 words[SPACE / 8];
};

/* Structs being filled: one a lane, since they are too large for a stack. */
static union any any[LANES];

struct key {
	u32 size;
	u64 hash;
};

static const u32 key_sizes[] = { 1, 5, 16, 64, 128, 129, 1000, 4096 };

static u64 mix(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static u64 key_hash(u64 key, u64 mode)
{
	u64 good = mix(key + 1);

	switch (mode) {
	case 0: return good;
	case 1: return mix(1);
	case 2: return good & ((1ULL << 40) - 1);	/* one tag, many buckets */
	case 3: return good & ~((1ULL << 40) - 1);	/* many tags, one bucket */
	default: return mode;
	}
}

/* Key @i as bytes; the size is of key_sizes. */
static u32 key_fill(char *to, u64 i)
{
	u32 size = key_sizes[i % 8];

	memset(to, 'a' + i % 26, size);
	if (size >= 8)
		memcpy(to, &i, sizeof(i));
	return size;
}

/** cache_name() - name @i of those that programs use */
const char *cache_name(u32 i, u32 *size)
{
	static char names[NAMES][ASYNCLAZY_NAME_MAX];
	static const u32 sizes[NAMES] = { 2, 1, 9, 64, 255, 255 };

	i %= NAMES;
	memset(names[i], 'A' + i, sizes[i]);
	*size = sizes[i];
	return names[i];
}

/**
 * place() - the address that an argument is passed at
 * @x: the call
 * @p: what kind of address
 * @own: where it lies in the lane's memory if all is well
 * @data: what is to be there
 * @size: bytes of it; what does not fit is passed as if it were there
 */
void *place(struct run *x, enum place p, u64 own, const void *data, size_t size)
{
	char *at = x->mem + own;

	switch (p) {
	case P_OWN:
		break;
	case P_ODD:
		at++;
		break;
	case P_EDGE:
	case P_OVER:
		if (size > LANE_RW / 2)
			break;
		at = x->mem + LANE_RW - size;
		break;
	case P_READONLY:
		at = x->mem + LANE_RO;
		if (data && size <= 4096 && !mprotect(at, 4096, PROT_READ | PROT_WRITE)) {
			memcpy(at, data, size);
			mprotect(at, 4096, PROT_READ);
		}
		return at;
	case P_NULL: return NULL;
	case P_UNMAPPED: return x->mem + LANE_NOTHING;
	case P_MAP: return x->proc->nr_maps ?
		(void *)x->proc->map[(x->proc->nr_maps - 1) % MAPS_MAX].addr : NULL;
	case P_KERNEL: return (void *)0xffff888000100000UL;
	case P_NONCANON: return (void *)0x8000000000000000UL;
	case P_WRAP: return (void *)-8UL;
	default: return (void *)(uintptr_t)p;
	}
	if (data && size && size <= (size_t)(x->mem + LANE_RW - at))
		memmove(at, data, size);
	/* the last byte is over the edge */
	return p == P_OVER ? at + 1 : at;
}

static u64 explicit_size(const struct run *x, enum type t, u64 usual)
{
	u64 v = val(x, t);

	return v ? v - 1 : usual;
}

/* See T_TAMPER: some bytes of the struct, or of what comes after it. */
static void tamper(const struct run *x, union any *a)
{
	u64 t = val(x, T_TAMPER);
	u64 value = t >> 16, bytes = t >> 12 & 15, offset = (t & 0xfff) - 1;

	if (t)
		memcpy(a->bytes + offset, &value, bytes > 8 ? 8 : bytes);
}

static u64 name_put(struct run *x, u32 *size)
{
	const char *name = cache_name(val(x, T_NAME), size);

	*size = explicit_size(x, T_NSIZE, *size);
	return (uintptr_t)place(x, val(x, T_NPTR), MEM_NAME, name,
				*size < ASYNCLAZY_NAME_MAX ? *size : ASYNCLAZY_NAME_MAX);
}

static u64 key_put(struct run *x, u32 *size, u64 *hash)
{
	static char keys[LANES][8192];
	char *key = keys[x->lane];
	u64 i = val(x, T_KEY);

	*size = explicit_size(x, T_KSIZE, key_fill(key, i));
	*hash = key_hash(i % 8, val(x, T_HASH));
	return (uintptr_t)place(x, val(x, T_KPTR), MEM_KEY, key,
				*size <= ASYNCLAZY_KEY_MAX ? *size : ASYNCLAZY_KEY_MAX);
}

static u64 value_put(struct run *x, u64 *size)
{
	enum place p = val(x, T_VPTR);
	u64 *words = (u64 *)(x->mem + MEM_VALUE);
	u64 word = value_word(), i;

	*size = val(x, T_VLEN);
	if (p == P_EDGE || p == P_OVER) {
		place(x, p, MEM_VALUE, NULL, 0);
		if (*size > LANE_RW / 2)
			return (uintptr_t)x->mem + LANE_RW - 1;
		words = (u64 *)(x->mem + LANE_RW - *size);
	} else if (p != P_OWN) {
		return (uintptr_t)place(x, p, MEM_VALUE, NULL, 0);
	}
	for (i = 0; i + 8 <= *size && i + 8 <= VALUE_ROOM; i += 8)
		memcpy((char *)words + i, &word, 8);
	return (uintptr_t)words + (p == P_OVER);
}

/* A memfd has its own size, unless asked otherwise. */
static u64 memfd_size(const struct run *x, int fd)
{
	u64 len = val(x, T_VLEN);
	struct stat st;

	return len != type_default(T_VLEN) || fstat(fd, &st) ? len : (u64)st.st_size;
}

static u64 deadline(u64 v)
{
	/* what is short is from now on */
	return v && v < 1000000000 ? now_ns() + v : v;
}

static u64 text_put(struct run *x)
{
	static const char text[ASYNCLAZY_DETAIL_MAX] = "why it failed";

	return (uintptr_t)place(x, val(x, T_DPTR), MEM_DETAIL, text, sizeof(text));
}

/* A word by its number, or the address of a place. */
static u64 word_put(struct run *x, u64 word, u32 *flags)
{
	if (!val(x, T_WPTR))
		return word;
	*flags |= ASYNCLAZY_WORD_ADDRESS;
	return (uintptr_t)place(x, val(x, T_WPTR), MEM_KEY, NULL, 0) + word % 1024 * sizeof(u32);
}

static u64 words_put(struct run *x)
{
	struct asynclazy_word words[ASYNCLAZY_WORDS_PER_WAIT + 2] = { 0 };
	u64 n = val(x, T_COUNT), i;

	for (i = 0; i < n && i < ASYNCLAZY_WORDS_PER_WAIT + 2; i++) {
		words[i].word = word_put(x, val(x, T_WORD) + i, &words[i].flags);
		words[i].expected = val(x, T_EXPECTED);
	}
	return (uintptr_t)place(x, val(x, T_VPTR), MEM_VALUE, words, i * sizeof(words[0]));
}

/* Calls in turn: a wait for a key, its cancel, a wake, and whatever comes as a number. */
static u64 calls_put(struct run *x)
{
	struct asynclazy_call calls[130] = { { 0 } };
	char *at = x->mem + MEM_CALLS;
	struct asynclazy_claim *claim = (void *)at;
	struct asynclazy_cancel *cancel = (void *)(at + 512);
	struct asynclazy_wake *wake = (void *)(at + 1024);
	const struct { u64 cmd; void *arg; } turn[4] = {
		{ ASYNCLAZY_IOC_CLAIM, claim }, { ASYNCLAZY_IOC_WAKE, wake },
		{ val(x, T_CMD), at + 1536 }, { ASYNCLAZY_IOC_CANCEL, cancel },
	};
	u64 n = val(x, T_COUNT), i;

	memset(at, 0, 2048);
	*claim = (struct asynclazy_claim){ .size = sizeof(*claim), .flags = ASYNCLAZY_CLAIM_EVENT };
	claim->key = key_put(x, &claim->key_size, &claim->hash);
	claim->cookie = val(x, T_COOKIE);
	*cancel = (struct asynclazy_cancel){ .size = sizeof(*cancel), .cookie = claim->cookie };
	*wake = (struct asynclazy_wake){ .size = sizeof(*wake), .count = 1 };
	wake->word = word_put(x, val(x, T_WORD), &wake->flags);
	for (i = 0; i < n && i < 130; i++) {
		calls[i].cmd = turn[i % 4].cmd;
		calls[i].arg = (uintptr_t)turn[i % 4].arg;
	}
	return (uintptr_t)place(x, val(x, T_VPTR), MEM_VALUE, calls, i * sizeof(calls[0]));
}

/* Fill the struct of a call. Return: its size */
static u32 fill(struct run *x, union any *a, unsigned long *cmd)
{
	memset(a, 0, sizeof(*a));
	/* nearly all have it there */
	a->words[0] = val(x, T_NO_FLAGS) << 32;
#define CALL(nr, name) case C_##nr: *cmd = ASYNCLAZY_IOC_##nr
#define DONE(name) return sizeof(a->name)
	switch (x->call->nr) {
	CALL(INFO, info);
		DONE(info);
	CALL(CREATE, create);
		a->create.flags = val(x, T_CREATE_FLAGS);
		a->create.name = name_put(x, &a->create.name_size);
		a->create.mode = val(x, T_MODE);
		a->create.max_keys = val(x, T_KEYS);
		a->create.arena_size = val(x, T_ARENA);
		a->create.segment_size = val(x, T_SEGMENT);
		a->create.ttl = val(x, T_TTL);
		a->create.stale_ttl = val(x, T_STALE);
		a->create.dead_ttl = val(x, T_DEAD);
		a->create.soft_lease = val(x, T_LEASE);
		a->create.hard_lease = val(x, T_LEASE) & 1 ? val(x, T_LEASE) : 0;
		a->create.backoff = val(x, T_TROUBLE);
		a->create.breaker = val(x, T_TROUBLE);
		a->create.max_deaths = val(x, T_TROUBLE);
		a->create.words = val(x, T_KEYS) % 2 ? val(x, T_KEYS) : 1024;
		DONE(create);
	CALL(OPEN, open);
		a->open.flags = val(x, T_OPEN_FLAGS);
		a->open.name = name_put(x, &a->open.name_size);
		DONE(open);
	CALL(UNLINK, unlink);
		a->unlink.name = name_put(x, &a->unlink.name_size);
		DONE(unlink);
	CALL(ATTACH, attach);
		DONE(attach);
	CALL(GEOMETRY, geometry);
		DONE(geometry);
	CALL(STATS, stats);
		DONE(stats);
	CALL(CLAIM, claim);
		a->claim.flags = val(x, T_CLAIM_FLAGS);
		a->claim.key = key_put(x, &a->claim.key_size, &a->claim.hash);
		a->claim.cookie = val(x, T_COOKIE);
		a->claim.deadline = deadline(val(x, T_DEADLINE));
		if (val(x, T_COOKIE) % 4 == 3)
			a->claim.parent = val(x, T_TICKET);
		a->claim.detail = text_put(x);
		a->claim.detail_size = val(x, T_DLEN);
		if (a->claim.detail_size > 65536)
			a->claim.detail = (uintptr_t)x->mem + LANE_RW - 300;
		a->claim.pin = val(x, T_PIN);
		DONE(claim);
	CALL(PUBLISH, publish);
		a->publish.flags = val(x, T_VFLAGS);
		a->publish.ticket = val(x, T_TICKET);
		a->publish.value_fd = val(x, T_MEMFD);
		if (!(a->publish.flags & ASYNCLAZY_VALUE_FD) || val(x, T_VPTR))
			a->publish.value = value_put(x, &a->publish.value_size);
		else
			a->publish.value_size = memfd_size(x, a->publish.value_fd);
		a->publish.ttl = val(x, T_TTL);
		a->publish.stale_ttl = val(x, T_STALE);
		a->publish.dead_ttl = val(x, T_DEAD);
		a->publish.pin = val(x, T_PIN);
		DONE(publish);
	CALL(FAIL, fail);
		a->fail.ticket = val(x, T_TICKET);
		a->fail.error = val(x, T_ERROR);
		a->fail.error_class = val(x, T_CLASS);
		a->fail.ttl = val(x, T_TTL);
		a->fail.detail = text_put(x);
		a->fail.detail_size = val(x, T_DLEN);
		DONE(fail);
	CALL(ABANDON, abandon);
		a->abandon.ticket = val(x, T_TICKET);
		DONE(abandon);
	CALL(CANCEL, cancel);
		a->cancel.cookie = val(x, T_COOKIE);
		DONE(cancel);
	CALL(FETCH, fetch);
		a->fetch.cookie = val(x, T_COOKIE);
		a->fetch.detail = text_put(x);
		a->fetch.detail_size = val(x, T_DLEN);
		DONE(fetch);
	CALL(SET, set);
		a->set.key = key_put(x, &a->set.key_size, &a->set.hash);
		a->set.flags = val(x, T_VFLAGS);
		a->set.value_fd = val(x, T_MEMFD);
		if (!(a->set.flags & ASYNCLAZY_VALUE_FD) || val(x, T_VPTR))
			a->set.value = value_put(x, &a->set.value_size);
		else
			a->set.value_size = memfd_size(x, a->set.value_fd);
		a->set.ttl = val(x, T_TTL);
		a->set.stale_ttl = val(x, T_STALE);
		a->set.dead_ttl = val(x, T_DEAD);
		DONE(set);
	CALL(INVALIDATE, invalidate);
		a->invalidate.key = key_put(x, &a->invalidate.key_size, &a->invalidate.hash);
		DONE(invalidate);
	CALL(CLEAR, clear);
		DONE(clear);
	CALL(MEMFD, memfd);
		a->memfd.generation = val(x, T_GENERATION);
		DONE(memfd);
	CALL(EXTEND, extend);
		a->extend.ticket = val(x, T_TICKET);
		a->extend.done = val(x, T_DONE);
		a->extend.total = a->extend.done & 1 ? a->extend.done - 1 : 0;
		DONE(extend);
	CALL(FLIGHT, flight);
		a->flight.key = key_put(x, &a->flight.key_size, &a->flight.hash);
		a->flight.detail = text_put(x);
		a->flight.detail_size = val(x, T_DLEN);
		DONE(flight);
	CALL(EXPIRE, expire);
		a->expire.key = key_put(x, &a->expire.key_size, &a->expire.hash);
		DONE(expire);
	CALL(WAIT, wait);
		a->wait.flags = val(x, T_CLAIM_FLAGS) & ~ASYNCLAZY_CLAIM_INIT;
		a->wait.count = val(x, T_COUNT);
		a->wait.words = words_put(x);
		a->wait.cookie = val(x, T_COOKIE);
		a->wait.deadline = deadline(val(x, T_DEADLINE));
		DONE(wait);
	CALL(WAKE, wake);
		a->wake.word = word_put(x, val(x, T_WORD), &a->wake.flags);
		a->wake.count = val(x, T_PVALUE);
		DONE(wake);
	CALL(BATCH, batch);
		a->batch.calls = calls_put(x);
		a->batch.count = val(x, T_COUNT);
		DONE(batch);
	}
#undef CALL
#undef DONE
	/* a number and bytes as they come, with pointers that lead somewhere */
	*cmd = val(x, T_CMD);
	for (u64 i = 1, seed = *cmd + val(x, T_TAMPER); i < 32; i++) {
		u64 some = mix(seed + i);

		a->words[i] = some & 3 ? 0 : some & 4 ? (some >> 8) % 300 :
			(uintptr_t)x->mem + MEM_KEY;
	}
	return 112;
}

/* The device of a program is one of three descriptors of the process. */
static int call_file(const struct run *x)
{
	if (x->desc->pos[T_DEV] == 0)
		switch (val(x, T_DEV)) {
		case 0: return DEV_RW_FD;
		case 1: return DEV_RO_FD;
		default: return -1;
		}
	return val(x, x->desc->arg[0]);
}

/* Which call a number is, for those that came as a number. */
static u32 call_of(unsigned long cmd)
{
	switch (cmd) {
#define CALL(name) case ASYNCLAZY_IOC_##name: return C_##name
	CALL(CREATE);
	CALL(OPEN);
	CALL(ATTACH);
	CALL(CLAIM);
	CALL(PUBLISH);
	CALL(FAIL);
	CALL(SET);
	CALL(STATS);
	CALL(MEMFD);
	CALL(WAIT);
#undef CALL
	default: return C_MAX;
	}
}

/* A name that somebody has to take away. */
static void note_name(const void *name, u32 size)
{
	u32 n;

	if (!size || size > ASYNCLAZY_NAME_MAX)
		return;
	n = __atomic_fetch_add(&sh->nr_names, 1, __ATOMIC_RELAXED);
	if (n >= NAMES_MAX)
		return;
	sh->name_size[n] = size;
	memcpy(sh->name[n], name, size);
}

/* Before the call, since the process may be killed in it. */
static void note_create(const struct run *x, const struct asynclazy_create *c)
{
	u32 size;
	const char *name = cache_name(val(x, T_NAME), &size);

	if (size == c->name_size)
		note_name(name, size);
}

/*
 * I2: what a call has just pinned stays. Where the process has one lane, nobody
 * else writes to its pins, and the last call that did was this one.
 */
static void check_pinned(struct run *x, u32 pin, u64 cache, u64 offset, u64 generation)
{
	const struct map *arena = map_find(x->proc, cache, ASYNCLAZY_OFF_ARENA);

	if (pin && arena && cache && proc_of(x->lane))
		check_record((const char *)arena->addr, arena->len, offset, generation, 0);
}

static void check_memfd(int fd, u64 size)
{
	struct stat st;

	if (fstat(fd, &st) || (u64)st.st_size != size)
		violation("MEMFD: the file has another size than %llu", size);
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY || write(fd, "A", 1) >= 0)
		violation("I7: MEMFD gave a descriptor to write to");
}

static void take_answer(struct run *x, u32 nr, const union any *a, int file)
{
	struct result *r = x->r;

	switch (nr) {
	case C_CREATE:
		note_name((const void *)(uintptr_t)a->create.name, a->create.name_size);
		fd_keep(x, a->create.out_fd, K_CACHE, a->create.out_cache_id);
		break;
	case C_OPEN:
		fd_keep(x, a->open.out_fd, K_CACHE, a->open.out_cache_id);
		break;
	case C_ATTACH:
		fd_keep(x, a->attach.out_fd, K_CLIENT, fd_cache(x->proc, file));
		break;
	case C_CLAIM:
		r->cache = fd_cache(x->proc, file);
		r->out = a->claim.out_result;
		r->ticket = a->claim.out_ticket;
		r->generation = a->claim.out_generation;
		r->offset = a->claim.out_offset;
		if (a->claim.out_result == ASYNCLAZY_RESULT_TICKET)
			check_grant(r->cache, r->ticket, r->generation);
		/* the wait, or a value that was not kept */
		if (a->claim.out_fd >= 0)
			fd_keep(x, a->claim.out_fd,
				a->claim.out_result == ASYNCLAZY_RESULT_HIT ? K_OTHER : K_WAIT,
				r->cache);
		check_pinned(x, a->claim.pin, r->cache, r->offset, r->generation);
		break;
	case C_PUBLISH:
		check_end(fd_cache(x->proc, file), a->publish.ticket);
		r->cache = fd_cache(x->proc, file);
		r->offset = a->publish.out_offset;
		r->generation = a->publish.out_generation;
		check_pinned(x, a->publish.pin, r->cache, r->offset, r->generation);
		break;
	case C_FAIL:
		check_end(fd_cache(x->proc, file), a->fail.ticket);
		r->out = a->fail.out_kept;
		break;
	case C_SET:
		r->cache = fd_cache(x->proc, file);
		r->offset = a->set.out_offset;
		r->generation = a->set.out_generation;
		break;
	case C_WAIT:
		r->out = a->wait.out_result;
		if (a->wait.out_fd >= 0)
			fd_keep(x, a->wait.out_fd, K_WAIT, fd_cache(x->proc, file));
		break;
	case C_MEMFD:
		check_memfd(a->memfd.out_fd, a->memfd.out_value_size);
		fd_keep(x, a->memfd.out_fd, K_OTHER, fd_cache(x->proc, file));
		break;
	case C_STATS:
		/* the others are for what is there, and is made anew */
		if (a->stats.out_initializing >
		    a->stats.out_tickets_now + a->stats.out_queued + a->stats.out_held)
			violation("STATS: %llu initialisations have %llu tickets, %llu queue, %llu are held",
				  a->stats.out_initializing,
				  a->stats.out_tickets_now, a->stats.out_queued,
				  a->stats.out_held);
		break;
	}
}

static s64 call_one(struct run *x)
{
	union any *a = &any[x->lane];
	enum place p = val(x, T_AT);
	unsigned long cmd = 0;
	int file = call_file(x);
	u32 own = fill(x, a, &cmd);
	u32 size = explicit_size(x, T_SIZE, own);
	size_t shown = size > own ? size : own;
	bool blocks;
	void *at;
	s64 err;

	a->size = size;
	tamper(x, a);
	at = place(x, p, 0, a, shown < SPACE ? shown : SPACE);
	blocks = x->call->nr == C_IOCTL ||
		(x->call->nr == C_CLAIM && a->claim.flags & ASYNCLAZY_CLAIM_BLOCK) ||
		(x->call->nr == C_WAIT && a->wait.flags & ASYNCLAZY_CLAIM_BLOCK);
	if (x->call->nr == C_CREATE)
		note_create(x, &a->create);
	if (blocks)
		guard_block(x->lane, true);
	if (x->call->nr == C_IOCTL32)
		/* as a 32-bit program calls; the lanes' memory is in its reach */
		__asm__ volatile("int $0x80" : "=a"(err)
				 : "a"(54L), "b"((long)file), "c"((long)cmd), "d"((long)(u32)(uintptr_t)at)
				 : "memory", "r8", "r9", "r10", "r11");
	else
		err = ioctl(file, cmd, at) < 0 ? -errno : 0;
	if (blocks)
		guard_block(x->lane, false);
	if (x->call->nr == C_IOCTL32) {
		if ((err == 0 || err == -EFAULT) && cmd >> 8 == ASYNCLAZY_IOC_TYPE)
			violation("a 32-bit call %#lx was served: %lld", cmd, err);
		return err;
	}
	if (err)
		return err;
	if (p == P_READONLY || p == P_MAP || p == P_KERNEL)
		violation("%s answered into memory that the caller may not write",
			  x->desc->name);
	/* a struct that was served is a whole one, wherever it lies */
	memcpy(a, at, size < 512 ? size : 512);
	take_answer(x, call_of(cmd), a, file);
	return 0;
}

/* Many claims of one key, or of many. */
static s64 call_claims(struct run *x)
{
	u64 n = val(x, T_COUNT), key = val(x, T_KEY), i;
	int file = val(x, T_CLIENT);
	s64 err = 0;

	for (i = 0; i < n && i < 200; i++) {
		struct asynclazy_claim c = {
			.size = sizeof(c),
			.flags = val(x, T_CLAIM_FLAGS) & ~ASYNCLAZY_CLAIM_BLOCK,
			.key = (uintptr_t)x->mem + MEM_KEY,
			.cookie = val(x, T_COOKIE) + i,
		};
		/* odd keys: each time another one */
		u64 k = key & 1 ? key + 8 * i : key;

		c.key_size = key_fill(x->mem + MEM_KEY, k);
		c.hash = key_hash(key & 1 ? k : k % 8, val(x, T_HASH));
		if (ioctl(file, ASYNCLAZY_IOC_CLAIM, &c)) {
			err = -errno;
			break;
		}
		x->r->out = c.out_result;
		x->r->cache = fd_cache(x->proc, file);
		if (c.out_result == ASYNCLAZY_RESULT_TICKET) {
			x->r->ticket = c.out_ticket;
			x->r->generation = c.out_generation;
			check_grant(x->r->cache, c.out_ticket, c.out_generation);
		}
		if (c.out_fd >= 0)
			fd_note(x->proc, c.out_fd, K_WAIT, x->r->cache);
	}
	return i ? 0 : err;
}

/* Many keys, so that a table fills. */
static s64 call_sets(struct run *x)
{
	u64 n = val(x, T_COUNT), i, size, value = value_put(x, &size);
	int file = val(x, T_CLIENT);
	s64 err = 0;

	for (i = 0; i < n && i < 200; i++) {
		struct asynclazy_set s = {
			.size = sizeof(s),
			.key = (uintptr_t)x->mem + MEM_KEY,
			.hash = key_hash(100 + i, val(x, T_HASH)),
			.value = value,
			.value_size = size,
			.ttl = val(x, T_TTL),
		};

		s.key_size = key_fill(x->mem + MEM_KEY, 100 + i);
		if (ioctl(file, ASYNCLAZY_IOC_SET, &s)) {
			err = -errno;
			break;
		}
		x->r->offset = s.out_offset;
		x->r->generation = s.out_generation;
		x->r->cache = fd_cache(x->proc, file);
		x->r->out = i + 1;
	}
	return i ? 0 : err;
}

static s64 call_cache(struct run *x)
{
	struct asynclazy_open o = {
		.size = sizeof(o),
		.flags = val(x, T_OPEN_FLAGS),
		.name = (uintptr_t)BATCH_CACHE,
		.name_size = sizeof(BATCH_CACHE) - 1,
	};

	if (ioctl(DEV_RW_FD, ASYNCLAZY_IOC_OPEN, &o))
		return -errno;
	fd_keep(x, o.out_fd, K_CACHE, o.out_cache_id);
	return 0;
}

/* What may be passed as a value; mostly it is one. */
static s64 call_newfd(struct run *x)
{
	u64 size = val(x, T_VLEN), seals = val(x, T_SEALS), word = value_word(), at;
	int fd, pair[2];

	if (seals & 0x200) {
		if (pipe2(pair, O_CLOEXEC))
			return -errno;
		close(pair[1]);
		fd_keep(x, pair[0], K_OTHER, 0);
		return 0;
	}
	fd = seals & 0x100 ? open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
		memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (size > 1 << 20)
		size &= 0xfffff;
	if (ftruncate(fd, size) < 0)
		size = 0;
	for (at = 0; at + 8 <= size; at += 4096)
		if (pwrite(fd, &word, 8, at) != 8)
			break;
	fcntl(fd, F_ADD_SEALS, seals & 0x1f);
	fd_keep(x, fd, K_OTHER, 0);
	return 0;
}

/** call_ioctl() - calls of the device, of caches and of clients */
s64 call_ioctl(struct run *x)
{
	switch (x->call->nr) {
	case C_CLAIMS: return call_claims(x);
	case C_SETS: return call_sets(x);
	case C_CACHE: return call_cache(x);
	case C_NEWFD: return call_newfd(x);
	default: return call_one(x);
	}
}
