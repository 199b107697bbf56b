/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * K5, publish order: a reader that sees a terminal state sees the record that
 * belongs to it, on machines that reorder stores and loads.
 *
 * A publisher writes the two words of a record and then the slot, twice, to two
 * places in the arena. Its stores go to a buffer, from which memory takes them
 * in any order that the store-release allows. Readers load the slot and then
 * the record. Two publishers stand for two generations of one key; the lock
 * makes them take turns, as in the kernel.
 *
 * -DNO_RELEASE takes the store-release away: memory may take the slot first.
 * -DNO_DEPENDENCY takes the reader's address dependency away: it may have
 * loaded the record before the slot (the relaxed load of the Rust ancestor).
 * Either must make the assertion fail.
 */
#define RECORDS		2
#define EMPTY		0	/* a slot's word is 0, or 1 + the record's number */

byte slot = EMPTY;
byte key[RECORDS];		/* memory, as readers see it */
byte value[RECORDS];
bit lock = 0;

proctype publisher(byte me)
{
	bit key_stored = 0, value_stored = 0, slot_stored = 0;

	atomic { lock == 0 -> lock = 1 };
	/* the stores are issued; memory takes them one by one */
	do
	:: atomic { !key_stored -> key[me] = me + 1; key_stored = 1 }
	:: atomic { !value_stored -> value[me] = me + 1; value_stored = 1 }
#ifdef NO_RELEASE
	:: atomic { !slot_stored -> slot = me + 1; slot_stored = 1 }
#else
	:: atomic { !slot_stored && key_stored && value_stored ->
		slot = me + 1; slot_stored = 1 }
#endif
	:: atomic { key_stored && value_stored && slot_stored -> break }
	od;
	lock = 0
}

proctype reader()
{
	byte word, k, v, r;

#ifdef NO_DEPENDENCY
	/* a guess of the record, loaded before the slot that confirms it */
	if
	:: r = 0
	:: r = 1
	fi;
	k = key[r];
	v = value[r];
	word = slot;
	if
	:: word != r + 1 -> goto done
	:: else
	fi;
#else
	word = slot;
	if
	:: word == EMPTY -> goto done
	:: else -> r = word - 1
	fi;
	k = key[r];
	v = value[r];
#endif
	assert(k == word && v == word);
done:
	skip
}

init {
	atomic {
		run publisher(0);
		run publisher(1);
		run reader();
		run reader()
	}
}
