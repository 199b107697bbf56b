/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pins (kmod/core/reclaim.c). I2, no reader sees bytes of a record after its reuse.
 *
 * A reader loads the slot's word, stores its pin by a plain store, and loads the
 * slot again; if that is still the same word it uses the record, and then takes
 * the pin back. The recycler unlinks the record, has every CPU pass a barrier,
 * looks at the pins, writes another record in its place, and links that. The
 * new word is the same as the old one: the same tag at the same offset.
 *
 * Each reader's CPU has a store buffer for its pin (TSO). The barrier empties
 * the buffers, one CPU after the other.
 *
 * Each of these must make it fail:
 *   -DNO_BARRIER	the pins are looked at without the barrier
 *   -DEARLY_LOOK	they are looked at before the barrier
 *   -DLATE_UNLINK	the record is unlinked after the barrier
 *   -DNO_RELOAD	the reader does not load the slot again
 *   -DEARLY_RELOAD	it does so before its store of the pin: what the compiler
 *			barrier is for
 *   -DEARLY_USE	a CPU that reorders loads has loaded from the record
 *			before it loads the slot again; TSO does not. With
 *   -DFRESH_WORDS	no word comes back, and then this is harmless too.
 */
#ifndef READERS
#define READERS	2
#endif
#ifndef ROUNDS
#define ROUNDS	2	/* times that the record is recycled */
#endif
#ifndef READS
#define READS	2	/* reads of each reader */
#endif

#define EMPTY	0
#define GARBAGE	0
#ifdef FRESH_WORDS
#define WORD(life)	(life)
#else
#define WORD(life)	1
#endif

byte slot = WORD(1);
byte record = 1;		/* its bytes: which life of this place */
bit pin[READERS];		/* memory, as the recycler sees it */
bit buffered[READERS];		/* a store of the pin is in the CPU's buffer */
bit buffer[READERS];

inline store_pin(v)
{
	atomic {
		/* one deep is enough: a second store waits for the first to land */
		!buffered[me] -> buffered[me] = 1; buffer[me] = v
	}
}

proctype reader(byte me)
{
	byte reads, word, again, a, b;

	do
	:: reads == READS -> break
	:: reads < READS ->
		reads++;
retry:		word = slot;
		if
		:: word == EMPTY -> goto missed
		:: else
		fi;
#ifdef EARLY_RELOAD
		again = slot;
#endif
#ifdef EARLY_USE
		if
		:: a = record		/* before the slot is loaded again */
		:: a = 255
		fi;
#endif
		store_pin(1);
#ifndef EARLY_RELOAD
		again = slot;
#endif
#ifndef NO_RELOAD
		if
		:: again != word ->
changed:		store_pin(0);
			goto retry
		:: else
		fi;
#endif
#ifdef EARLY_USE
		if
		:: a == 255 -> a = record
		:: else
		fi;
#else
		a = record;
#endif
		b = record;
used:		assert(a != GARBAGE && b == a);
		store_pin(0);
missed:		word = 0; again = 0; a = 0; b = 0
	od
}

/* The CPU's own time: what is in the buffer reaches memory. */
proctype cpu(byte me)
{
end:	do
	:: atomic { buffered[me] -> pin[me] = buffer[me]; buffered[me] = 0; buffer[me] = 0 }
	od
}

inline unlink()
{
	slot = EMPTY
}

inline barrier()
{
	i = 0;
	do
	:: i < READERS ->
		atomic {
			if
			:: buffered[i] ->
drained:			pin[i] = buffer[i]; buffered[i] = 0; buffer[i] = 0
			:: else
			fi;
			i++
		}
	:: else -> break
	od
}

/* Each is waited for once: who pins later has seen that it is unlinked. */
inline look_at_pins()
{
	i = 0;
	do
	:: i < READERS -> !pin[i]; i++
	:: else -> break
	od
}

proctype recycler()
{
	byte i, life = 1;

	do
	:: life > ROUNDS -> break
	:: else ->
#ifndef LATE_UNLINK
		unlink();
#endif
#ifdef EARLY_LOOK
		look_at_pins();
#endif
#ifndef NO_BARRIER
		barrier();
#endif
#ifdef LATE_UNLINK
		unlink();
#endif
#ifndef EARLY_LOOK
		look_at_pins();
#endif
		life++;
		record = GARBAGE;
reused:		record = life;
		slot = WORD(life)
	od
}

init {
	byte i;

	atomic {
		run recycler();
		i = 0;
		do
		:: i < READERS -> run reader(i); run cpu(i); i++
		:: else -> break
		od
	}
}
