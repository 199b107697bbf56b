// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values that say what they are: cache, key, generation, ticket, writer, and a
 * checksum over all of it. Who reads one compares it with the note that its
 * writer made before it stored it.
 */
#include "storm.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define VALUE_MAGIC	0x6d726f7473a1a2edULL

struct value {
	__u64 magic;
	__u64 serial;		/* of the cache */
	__u64 id;		/* of its note */
	__u64 generation;	/* 0: set */
	__u64 ticket;		/* 0: set */
	__u64 writer;		/* slot << 32 | epoch */
	__u32 key;
	__u32 size;		/* with this header */
	__u64 sum;		/* over what is before and after it */
	char bytes[];
};

size_t key_name(__u32 key, char *name)
{
	return sprintf(name, "storm/key/%u", key);
}

static __u64 value_sum(const struct value *value, size_t size)
{
	__u64 seed = XXH3_64bits_withSeed(value->bytes, size - sizeof(*value), value->id);

	return XXH3_64bits_withSeed(value, offsetof(struct value, sum), seed);
}

__u32 value_size_least(void)
{
	return sizeof(struct value);
}

/* Most are small; now and then one is large enough for its copy to be cut. */
__u32 value_size(const struct view *v)
{
	__u64 kind = rnd(100);

	/* so that all of its keys are several times what there is room for */
	if (v->index)
		return sizeof(struct value) + rnd(6000);
	if (kind < 80)
		return sizeof(struct value) + rnd(1000);
	if (kind < 97)
		return sizeof(struct value) + rnd(16 << 10);
	return (64 << 10) + rnd(VALUE_MAX - (64 << 10));
}

/*
 * A value for a ticket, or to be set. It is in a buffer of this process's,
 * good until the next one. NULL: no more of them in this cache.
 */
const void *value_make(struct view *v, __u32 key, const struct held *h, __u32 size,
		       struct value_note **out)
{
	static union {
		struct value value;
		char bytes[VALUE_MAX];
	} buffer;
	struct value *value = &buffer.value;
	__u32 id = atomic_fetch_add(&v->ledger->values, 1) + 1;
	struct value_note *note;

	if (id >= VALUES)
		return NULL;
	*value = (struct value) {
		.magic = VALUE_MAGIC,
		.serial = v->serial,
		.id = id,
		.generation = h ? h->generation : 0,
		.ticket = h ? h->ticket : 0,
		.writer = (__u64)self.slot << 32 | self.me->epoch,
		.key = key,
		.size = size,
	};
	memcpy(value->bytes, storm->pool + rnd(VALUE_MAX), size - sizeof(*value));
	value->sum = value_sum(value, size);

	note = &v->ledger->value[id];
	note->ticket = value->ticket;
	note->generation = value->generation;
	note->writer = value->writer;
	note->key = key;
	note->size = size;
	note->state = VALUE_MADE;
	*out = note;
	return value;
}

/* What is wrong with a value that was read; NULL: nothing. */
static const char *value_fault(struct view *v, __u32 key, __u64 generation,
			       const struct value *value, size_t size)
{
	struct value_note *note;
	__u64 seen = 0;

	if (size < sizeof(*value))
		return "too short";
	if (value->magic != VALUE_MAGIC)
		return "not one of ours";
	if (value->size != size || value_sum(value, size) != value->sum)
		return "torn";
	if (value->serial != v->serial)
		return "of another cache";
	if (value->key != key)
		return "of another key";
	if (!value->id || value->id >= VALUES)
		return "of an impossible number";
	note = &v->ledger->value[value->id];
	if (!note->state || note->key != key || note->size != size ||
	    note->ticket != value->ticket || note->writer != value->writer)
		return "never published";
	if (note->state == VALUE_REFUSED)
		return "refused, yet there";
	if (value->ticket ? value->generation != generation :
	    !atomic_compare_exchange_strong(&note->generation, &seen, generation) &&
	    seen != generation)
		return "of another generation";
	return NULL;
}

/* A value was read in place, or came with an event. */
void value_check(struct view *v, __u32 key, __u64 generation, const void *data,
		 size_t size, const char *how)
{
	const struct value *value = data;
	const char *fault = value_fault(v, key, generation, value, size);

	if (fault) {
		wrong(WRONG_VALUE, "cache %llu key %u generation %llu, %s: value of %zu bytes is %s",
		      v->serial, key, generation, how, size, fault);
		return;
	}
	ledger_outcome(v, generation, OUTCOME_VALUE, value->id);
	count(&storm->totals.values_read);
	atomic_fetch_add_explicit(&storm->totals.bytes_read, size, memory_order_relaxed);
}

static int error_number(__u64 ticket)
{
	return 200 + ticket % 100;
}

/* The text and number of the error that a ticket ends with. */
int error_make(const struct held *h, char *text)
{
	sprintf(text, "storm: cache %llu, key %u, generation %llu, ticket %llu",
		h->view->serial, h->key, h->generation, h->ticket);
	return error_number(h->ticket);
}

/*
 * An error was told. @generation 0: not known. Those of the kernel itself mean
 * that the generation was given up.
 */
void error_check(struct view *v, __u32 key, __u64 generation, int error,
		 const void *text, size_t size, const char *how)
{
	char copy[ASYNCLAZY_DETAIL_MAX + 1];
	__u64 serial, its_generation, ticket;
	__u32 its_key;

	if (error == EOWNERDEAD || error == ECANCELED || error == ESTALE ||
	    error == ETIME) {
		if (generation)
			ledger_outcome(v, generation, OUTCOME_LOST, 0);
		count(&storm->totals.lost);
		return;
	}
	if (size > ASYNCLAZY_DETAIL_MAX)
		size = ASYNCLAZY_DETAIL_MAX;
	memcpy(copy, text, size);
	copy[size] = 0;
	if (sscanf(copy, "storm: cache %llu, key %u, generation %llu, ticket %llu", &serial,
		   &its_key, &its_generation, &ticket) != 4 ||
	    serial != v->serial || its_key != key || error != error_number(ticket) ||
	    (generation && generation != its_generation)) {
		wrong(WRONG_VALUE, "cache %llu key %u generation %llu, %s: error %d \"%s\" is not ours",
		      v->serial, key, generation, how, error, copy);
		return;
	}
	ledger_outcome(v, its_generation, OUTCOME_ERROR, ticket);
	count(&storm->totals.errors_read);
}
