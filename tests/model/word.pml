/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Words and locks (F1, F5, F9, I10): clients take a lock that is a word, wait for it,
 * give up waiting, leave it, and die at any step. Nobody is inside with another; what a
 * dead holder left half done is told to the next; nobody who waits is left behind (an
 * invalid end state), though a wake that nobody needs is saved.
 *
 * Each step of a client's own is one step here; what the module does under its lock is
 * several, as the clients write to the word meanwhile. What is taken away by:
 *
 *   NO_RECHECK       look at the word only before it is on the queue
 *   NO_WAITER_FENCE  the count of waiters is seen after the word was looked at
 *   NO_WAKER_FENCE   the count is looked at before the word is seen to be free
 *   TIMEOUT_WINS     who gives up waiting does not look whether it was woken
 *   HELD_LATE        it is said that the lock is held after it was taken
 *   CLEAR_FIRST      and taken back before the next one was woken
 *   NO_HEIR          a death wakes nobody if the lock was free
 *   DEATH_SILENT     the lock of a dead holder is as any free one
 */
#ifndef PROCS
#define PROCS	3
#endif
#ifndef ROUNDS
#define ROUNDS	2
#endif
#ifndef DEATHS
#define DEATHS	2
#endif

#define FREE	0
#define DIED	99	/* else one more than whose it is */

byte word = FREE;
byte waiting;		/* as clients see it */
bit lock;		/* the module's */
byte queue[PROCS];
byte queued;
bit woken[PROCS];
bit held[PROCS];
byte inside;
bit torn;		/* half done, and nobody has been told */
byte deaths;

inline take_lock() { atomic { lock == 0 -> lock = 1 } }
inline let_lock() { lock = 0 }

/* Under the lock: the first of the queue. */
inline wake_one()
{
	d_step {
		if
		:: queued ->
			woken[queue[0]] = 1;
			i = 1;
			do
			:: i < queued -> queue[i - 1] = queue[i]; i++
			:: else -> break
			od;
			queued--;
			waiting--
		:: else -> skip
		fi;
		i = 0
	}
}

/* Under the lock: off the queue, if it is there. */
inline leave_queue()
{
	d_step {
		i = 0;
		do
		:: i < queued && queue[i] != me -> i++
		:: else -> break
		od;
		if
		:: i < queued ->
			do
			:: i + 1 < queued -> queue[i] = queue[i + 1]; i++
			:: else -> break
			od;
			queued--;
			waiting--
		:: else -> skip
		fi;
		i = 0
	}
}

/* SIGKILL may come here. */
inline mortal()
{
	if
	:: atomic { deaths < DEATHS -> deaths++; goto dead }
	:: skip
	fi
}

proctype client(byte me)
{
	byte v, i, ends, rounds = 0;
	bit in = 0;

again:
	if
	:: rounds == ROUNDS -> goto done
	:: else -> rounds++
	fi;
#ifndef HELD_LATE
	held[me] = 1;
#endif
	mortal();
try:
	v = word;
	if
	:: v != FREE && v != DIED -> goto wait
	:: else -> skip
	fi;
	/* compare and swap */
	atomic {
		if
		:: word == v -> word = me + 1
		:: else -> goto try
		fi;
		inside++;
		in = 1;
		assert(inside == 1);
		/* what is half done was told */
		assert(!torn || v == DIED);
		torn = 0
	}
	mortal();
#ifdef HELD_LATE
	held[me] = 1;
	mortal();
#endif
	atomic { in = 0; inside-- }
#ifdef CLEAR_FIRST
	held[me] = 0;
#endif
#ifdef NO_WAKER_FENCE
	v = waiting;
	word = FREE;
#else
	word = FREE;
	mortal();
	v = waiting;
#endif
	mortal();
	if
	:: v -> take_lock(); wake_one(); let_lock()
	:: else -> skip
	fi;
	v = 0;
	mortal();
	held[me] = 0;
	goto again;

wait:	/* for the word to be other than v: WAIT */
	take_lock();
	d_step { queue[queued] = me; queued++ };
#ifdef NO_RECHECK
	waiting++;
#else
#ifdef NO_WAITER_FENCE
	if
	:: word != v ->
		waiting++;
		leave_queue();
		let_lock();
		goto try
	:: else -> skip
	fi;
	waiting++;
#else
	waiting++;
	if
	:: word != v ->
		leave_queue();
		let_lock();
		goto try
	:: else -> skip
	fi;
#endif
#endif
	let_lock();
	/* what it waits for, beside a wake, is settled: that it waits in vain is seen */
	if
	:: ends = 0
	:: ends = 1
	:: deaths < DEATHS -> ends = 2
	fi;
	if
	:: atomic { woken[me] -> woken[me] = 0; ends = 0; v = 0 };
		mortal();
		goto try
	:: ends == 1 ->	/* its deadline has passed */
		take_lock();
#ifndef TIMEOUT_WINS
		if
		:: woken[me] -> woken[me] = 0; let_lock(); goto try
		:: else -> skip
		fi;
#endif
		leave_queue();
		d_step { woken[me] = 0; ends = 0; v = 0 };
		let_lock();
		mortal();
		held[me] = 0;
		goto again
	:: atomic { ends == 2 && deaths < DEATHS -> deaths++; goto dead }
	fi;

dead:	/* the module is told of it */
	atomic {
		if
		:: in -> in = 0; inside--; torn = 1
		:: else -> skip
		fi
	}
	take_lock();
	leave_queue();
	if
	:: held[me] ->
		v = word;
		if
		:: v == me + 1 ->
			atomic {
				assert(word == v);
#ifdef DEATH_SILENT
				word = FREE;
#else
				word = DIED;
#endif
				v = word
			}
		:: else -> skip
		fi;
		if
#ifndef NO_HEIR
		:: v == FREE || v == DIED -> wake_one()
#else
		:: v == DIED -> wake_one()
#endif
		:: else -> skip
		fi
	:: else -> skip
	fi;
	d_step { lock = 0; v = 0; ends = 0; rounds = 0 };
done:
	skip
}

init {
	byte p = 0;

	atomic {
		do
		:: p < PROCS -> run client(p); p++
		:: else -> break
		od
	}
}
