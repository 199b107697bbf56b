/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One key that has a value: refresh, leases, offers that nobody takes, back-off; with
 * INVALIDATE, SET, EXPIRE and eviction against all of them, PROCS clients that claim,
 * wait, publish, fail, abandon and die, and the timers of kmod/core/lease.c, until
 * TICKETS tickets were granted.
 *
 * As in flight.pml one hold of the lock is one atomic step, and the copy of a value is
 * a gap between two. How sleepers are woken, and the forms of waiting, are left to that
 * model: here a waiter goes on once it is told.
 *
 *   I1	granted(): one flight, one owner; nobody else believes in a ticket of its
 *	generation that is still good.
 *   I3, I4	No invalid end state: who waits is told. at_rest(): no flight and no mark
 *	is left. unlocked(): a flight has an owner, or is held, and the slot says so.
 *   I6	linked(): what a revoked, overtaken or late owner publishes changes nothing.
 *   L14	claim(): who finds a value that may be read does not wait; there is one
 *	refresh at a time; kept(): one that fails leaves the value.
 *
 * Each of these takes a part away, and must make the search fail:
 *   -DMARK_STAYS	  alz_flight_vacate() leaves the mark
 *   -DMARK_IGNORED	  a claim takes the refresh ticket whatever the mark
 *   -DNO_FENCE		  a publish is not checked against its ticket
 *   -DREFRESH_EMPTIES	  a refresh that fails empties the slot
 *   -DEVICT_FORGETS	  alz_table_drop() forgets the flight of a marked record
 *   -DOFFER_LOST	  an offer that is not taken in time is not passed on
 *   -DLEASE_KEEPS	  a hard lease that is over takes nothing away, but offers it
 *   -DHELD_FOR_EVER	  nobody looks at a flight that is held
 *   -DREAD_ON		  a value is read past its stale_until
 */
#ifndef PROCS
#define PROCS	3
#endif
#ifndef TICKETS
#define TICKETS	3
#endif
#ifndef ACTS
#define ACTS	4	/* calls that begin, and what happens to the record */
#endif

#define NONE		15

/* slots; FILLED may have the mark */
#define EMPTY		0
#define INITIALIZING	1
#define FILLED		2
#define FAILED		3

/* the record of a FILLED slot: its time passes */
#define FRESH		0
#define STALE		1
#define PAST		2	/* its owner may have it, readers may not */

/* a client's wait */
#define NO_WAIT		0
#define WAITING		1
#define TOLD		2
#define OFFERED		3

byte slot = FILLED;
bit mark;
byte age = FRESH;
byte slot_gen = 1;
byte generation = 1;	/* the last one drawn */
byte invalidated;	/* ghost: up to here */
byte tickets;		/* granted so far */
byte acts = ACTS;

/* the key's flight */
bit flying, held;
byte owner = NONE;
byte ticket;		/* of its owner; drawn as generations are */
byte gen;
bit offered;		/* its owner has not read of it */
bit backing_off;	/* the key failed just now */
chan able = [PROCS] of { byte };

byte wait[PROCS];
byte holds[PROCS];	/* ghost: the ticket that it believes in */
bit dead[PROCS];

hidden byte w, i, ok;

inline unlocked()
{
	assert(!mark || (flying && slot == FILLED));
	assert(slot != INITIALIZING || flying);
	assert(!flying || mark || slot == INITIALIZING);
	assert(!flying || held || owner != NONE);
	assert(!held || owner == NONE);
	assert(!flying || held || holds[owner] == ticket || dead[owner] ||
	       (offered && wait[owner] == OFFERED));
	assert(slot < FILLED || slot_gen > invalidated)
}

inline at_rest()
{
	assert(!flying && !mark && slot != INITIALIZING && empty(able));
	i = 0;
	do
	:: i < PROCS -> assert(dead[i] && wait[i] == NO_WAIT && !holds[i]); i++
	:: else -> break
	od
}

/* alz_flight_grant() */
inline grant(who)
{
	assert(owner == NONE);
	owner = who;
	generation++;
	ticket = generation;
	tickets++
}

/* I1: @me reads of its ticket. */
inline believe(me)
{
	assert(owner == me);
	holds[me] = ticket
}

/* The outcome is told to all. */
inline flight_end()
{
	do
	:: nempty(able) -> able?w; wait[w] = TOLD
	:: empty(able) -> break
	od;
	flying = 0;
	held = 0;
	offered = 0;
	owner = NONE;
	ticket = 0;
	gen = 0
}

/* alz_flight_vacate(): what was there before stays */
inline vacate()
{
	if
	:: mark ->
#ifndef MARK_STAYS
		mark = 0;
#endif
#ifdef REFRESH_EMPTIES
		slot = EMPTY;
		slot_gen = 0;
#endif
		skip
	:: else -> slot = EMPTY
	fi
}

inline flight_empty()
{
	vacate();
	flight_end()
}

/* alz_flight_offer(), without an owner */
inline flight_offer()
{
	ok = 0;
	offered = 0;
	do
	:: !ok && nempty(able) ->
		able?w;
		if
		:: dead[w]
		:: else ->
			grant(w);
			offered = 1;
			wait[w] = OFFERED;
			ok = 1
		fi
	:: ok || empty(able) -> break
	od
}

inline hand_over()
{
	owner = NONE;
	flight_offer();
	if
	:: ok
	:: else -> flight_empty()
	fi
}

#ifdef NO_FENCE
#define OWNED(me)	flying
#else
#define OWNED(me)	(flying && owner == me && holds[me] == ticket)
#endif

/* I6 */
inline linked(me)
{
	assert(owner == me && holds[me] == ticket && gen > invalidated)
}

/* ---- what happens to the record ------------------------------------------- */

inline passes()
{
	if
	:: slot == FILLED && age < PAST -> age++
	:: else
	fi
}

/* alz_expire(): a copy with other times; a flight goes on */
inline expire()
{
	if
	:: slot == FILLED && age == FRESH -> age = STALE
	:: else
	fi
}

/* alz_table_drop() */
inline evict()
{
	if
	:: slot == FILLED ->
		slot_gen = 0;
		age = FRESH;
#ifdef EVICT_FORGETS
		slot = EMPTY;
#else
		slot = (mark -> INITIALIZING : EMPTY);
#endif
		mark = 0
	:: else
	fi
}

inline invalidate()
{
	invalidated = generation;
	backing_off = 0;
	slot_gen = 0;
	age = FRESH;
	mark = 0;
	slot = (flying -> INITIALIZING : EMPTY);
	if
	:: flying ->
		owner = NONE;
		held = 0;
		generation++;
		gen = generation;
		flight_offer();
		if
		:: ok
		:: else -> flight_empty()
		fi
	:: else
	fi
}

inline set()
{
	generation++;
	slot = FILLED;
	slot_gen = generation;
	age = FRESH;
	mark = 0;
	backing_off = 0;
	if
	:: flying -> flight_end()
	:: else
	fi
}

/* ---- the timers of lease.c -------------------------------------------------- */

active proctype timers()
{
end:	do
	/* accept: it goes to another one; who did not take it waits on, last */
	:: atomic {
		flying && offered && nempty(able) && tickets < TICKETS ->
		w = owner;
		wait[w] = WAITING;
		owner = NONE;
		able!w;
#ifdef OFFER_LOST
		offered = 0;
#else
		flight_offer();
		if
		:: ok
		:: else -> flight_empty()
		fi;
#endif
		unlocked()
	   }
	/* hard lease */
	:: atomic {
		flying && !held && !offered && tickets < TICKETS ->
#ifdef LEASE_KEEPS
		flight_offer();
#else
		hand_over();
#endif
		unlocked()
	   }
	/* back-off is over */
	:: atomic {
		backing_off -> backing_off = 0;
#ifndef HELD_FOR_EVER
		if
		:: flying && held ->
			held = 0;
			flight_offer();
			if
			:: ok
			:: else -> flight_empty()
			fi
		:: else
		fi;
#endif
		unlocked()
	   }
	od
}

/* ---- a client ---------------------------------------------------------------- */

/* alz_claim() with INIT and BLOCK, under the lock: where to go on */
#define GO_ON		0
#define OWNS		1
#define SLEEPS		2

inline claim(me)
{
	if
	:: slot == FAILED -> go = GO_ON
#ifdef READ_ON
	:: slot == FILLED && (age != STALE || mark || tickets >= TICKETS || backing_off) ->
#else
	:: slot == FILLED && (age == FRESH || (age == STALE &&
			      (mark || tickets >= TICKETS || backing_off))) ->
#endif
hit:		assert(age != PAST && slot_gen > invalidated);
		go = GO_ON
#ifdef MARK_IGNORED
	:: slot == FILLED && age == STALE && tickets < TICKETS && !backing_off ->
#else
	:: slot == FILLED && age == STALE && !mark && tickets < TICKETS && !backing_off ->
#endif
refreshes:	assert(!flying);
		mark = 1;
		flying = 1;
		generation++;
		gen = generation;
		grant(me);
		believe(me);
		go = OWNS
	:: slot != FAILED && !(slot == FILLED && age != PAST) ->
		if
		:: flying -> able!me; wait[me] = WAITING; go = SLEEPS
		:: !flying && tickets < TICKETS ->
			if
			:: slot == FILLED -> mark = 1
			:: else -> slot = INITIALIZING
			fi;
			flying = 1;
			generation++;
			gen = generation;
			if
			:: backing_off ->
holds_off:			held = 1;
				able!me;
				wait[me] = WAITING;
				go = SLEEPS
			:: else ->
				grant(me);
				believe(me);
				go = OWNS
			fi
		:: !flying && tickets >= TICKETS -> go = GO_ON	/* the search's bound */
		fi
	fi;
	unlocked()
}

/* L14: the old value is there as before, if it was */
inline kept(was, was_gen)
{
	assert(was != FILLED || (slot == FILLED && slot_gen == was_gen))
}

proctype client(byte me)
{
	byte go, was, was_gen;
	bit begun, patient;

between_calls:
	if
	:: atomic { acts -> acts--; claim(me) }
	:: atomic { acts -> acts--; passes(); unlocked() }; goto between_calls
	:: atomic { acts -> acts--; expire(); unlocked() }; goto between_calls
	:: atomic { acts -> acts--; evict(); unlocked() }; goto between_calls
	:: atomic { acts -> acts--; invalidate(); unlocked() }; goto between_calls
	:: atomic { acts -> acts--; set(); unlocked() }; goto between_calls
	:: goto exits
	fi;
	if
	:: go == GO_ON -> goto between_calls
	:: go == SLEEPS -> patient = 1; goto sleeps
	:: go == SLEEPS -> patient = 0; goto sleeps
	:: go == OWNS -> goto owns
	fi;

sleeps:	if
	:: atomic {
		wait[me] == TOLD ->
		wait[me] = NO_WAIT;
		patient = 0;
		goto between_calls
	   }
	:: atomic {	/* alz_wait_finish(): it reads of the ticket, which may be stale */
		wait[me] == OFFERED ->
		wait[me] = NO_WAIT;
		patient = 0;
		if
		:: flying && offered && owner == me ->
			offered = 0;
			believe(me)
		:: else ->
overtaken_offer:	skip
		fi;
		unlocked();
		if
		:: holds[me] -> goto owns
		:: else -> goto between_calls
		fi
	   }
	:: !patient -> goto exits	/* it is killed in its sleep */
	fi;

owns:	begun = 0;
	if
	:: atomic {	/* alz_publish_begin() */
		true;
		if
		:: OWNED(me) -> begun = 1
		:: else ->
stale_at_begin:		holds[me] = 0
		fi
	   }
	:: atomic {	/* alz_fail() of an error that is not kept */
		true;
		if
		:: OWNED(me) ->
			was = slot;
			was_gen = slot_gen;
			holds[me] = 0;
			vacate();
			kept(was, was_gen);
			flight_end();
			backing_off = 1
		:: else -> holds[me] = 0
		fi;
		was = 0;
		was_gen = 0;
		unlocked();
		goto between_calls
	   }
	:: atomic {	/* of one that is kept */
		true;
		if
		:: OWNED(me) ->
			linked(me);
			slot = FAILED;
			slot_gen = gen;
			mark = 0;
			age = FRESH;
			flight_end()
		:: else
		fi;
		holds[me] = 0;
		unlocked();
		goto between_calls
	   }
	:: atomic {	/* alz_abandon() */
		true;
		if
		:: OWNED(me) && tickets < TICKETS -> holds[me] = 0; hand_over()
		:: else -> goto exits
		fi;
		unlocked();
		goto between_calls
	   }
	:: goto exits
	fi;
	/* the value is copied */
	if
	:: begun ->
		atomic {	/* alz_publish_commit() */
			if
			:: OWNED(me) ->
				linked(me);
				slot = FILLED;
				slot_gen = gen;
				age = FRESH;
				mark = 0;
				backing_off = 0;
				flight_end()
			:: else ->
stale_at_commit:		skip
			fi;
			holds[me] = 0;
			begun = 0;
			unlocked()
		}
	:: else
	fi;
	goto between_calls;

exits:	atomic {	/* alz_client_die(): its waits, then its tickets */
		dead[me] = 1;
		holds[me] = 0;
		if
		:: wait[me] == WAITING -> able??eval(me)
		:: else
		fi;
		wait[me] = NO_WAIT;
		ok = (len(able) == 0);
		if
		:: flying && held && ok -> flight_empty()
		:: flying && owner == me ->
owner_died:		hand_over()
		:: else
		fi;
		unlocked()
	}
}

init {
	atomic {
		i = 0;
		do
		:: i < PROCS -> run client(i); i++
		:: else -> break
		od
	}
	_nr_pr == 2;
	at_rest()
}
