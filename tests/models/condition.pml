/*
 * arena.Condition over arena.Waiters (core/internal/arena: condition.go, waiters.go),
 * with a table that is never full. The mutex is taken as mutex.pml shows it to be.
 *
 * A notification goes to exactly one of those who waited when it was given, as long as
 * there is one that lives: none is swallowed by one that gave up or died. Only if
 * somebody was killed there may be more wake-ups than notifications, one for each.
 *
 * check: -DWAITERS=3 -DNOTIFIES=1 -DMANY=1
 * check: -DWAITERS=2 -DNOTIFIES=2 -DMANY=1
 * check: -DWAITERS=2 -DNOTIFIES=1 -DMANY=2
 * check: -DWAITERS=2 -DNOTIFIES=1 -DMANY=1 -DKILLS=1
 * long: -DWAITERS=3 -DNOTIFIES=2 -DMANY=1 -DSTIRS=1
 * long: -DWAITERS=3 -DNOTIFIES=1 -DMANY=1 -DKILLS=1
 * long: -DWAITERS=2 -DNOTIFIES=2 -DMANY=1 -DKILLS=1
 * long: -DWAITERS=2 -DNOTIFIES=1 -DMANY=1 -DKILLS=2
 * mistake: LEAVES_BLINDLY -DWAITERS=2 -DNOTIFIES=1 -DMANY=1
 * mistake: DECIDES_BLINDLY -DWAITERS=2 -DNOTIFIES=1 -DMANY=1
 * mistake: SLEEPS_BLINDLY -DWAITERS=2 -DNOTIFIES=1 -DMANY=1
 * mistake: WAKES_TOO_EARLY -DWAITERS=2 -DNOTIFIES=1 -DMANY=1
 * mistake: NEVER_REAPS -DWAITERS=2 -DNOTIFIES=1 -DMANY=1 -DKILLS=1
 */
#define FREE 0
#define WAITING 1
#define NOTIFIED 2
#define STATE(w) ((w) & 3)
#define SLEEPS 4

/* The table has an entry for each thread, which finds a free one when it enters. */
#define ENTRIES WAITERS
#define FUTEX(e) ((e) + 1)

byte mutex;
byte tickets;
byte high;
byte entry[ENTRIES];
byte owner[ENTRIES];
byte ticket[ENTRIES];
byte until[ENTRIES];

byte given;    /* what Notify returned, all in all */
byte woken;    /* waiters that returned notified, and keep that to themselves */
byte oldest;   /* the lowest until of a notification, once there was one */

#define OPEN(e) (STATE(entry[e]) == WAITING && !dead[owner[e]] && ticket[e] <= oldest)
#if WAITERS > 2
#define ANY_OPEN (OPEN(0) || OPEN(1) || OPEN(2))
#else
#define ANY_OPEN (OPEN(0) || OPEN(1))
#endif
#if KILLS > 0
/* A notifier may die before it returns, and who passes a notification on for a dead
 * waiter before that one's entry is free. */
#define AT_REST (woken <= given + kills * MANY && (woken >= given || !ANY_OPEN))
#else
#define AT_REST (woken == given)
#endif

#define THREADS (WAITERS + 1)
#define LOOKS 2 /* the first may be for the mutex */
#include "futex.h"

inline lock()
{
    atomic { mutex == 0 || dead[mutex]; mutex = _pid }
}

inline unlock() { mutex = 0 }

/* Waiter.resolve: lives tells whether the waiter will see the verdict. */
inline resolve(e)
{
    lives = false;
    do
    :: w = entry[e];
       if
       :: STATE(w) != WAITING -> break
       :: else
       fi;
#ifdef WAKES_TOO_EARLY
       if
       :: w & SLEEPS -> wake(FUTEX(e), 1, n)
       :: else
       fi;
#endif
#ifdef DECIDES_BLINDLY
       entry[e] = NOTIFIED; ok = true;
#else
       compareAndSwap(entry[e], w, NOTIFIED, ok);
#endif
       if
       :: ok ->
          if
#ifdef WAKES_TOO_EARLY
          :: true -> lives = true
#else
          :: !(w & SLEEPS) -> lives = !dead[owner[e]]
          :: w & SLEEPS ->
             wake(FUTEX(e), 1, n);
             lives = n > 0;
             if
             :: !lives -> lives = !dead[owner[e]]
             :: else
             fi
#endif
          fi;
          if
          :: !lives ->
             compareAndSwap(entry[e], NOTIFIED, FREE, ok);
             lives = !ok
          :: else
          fi;
          break
       :: else
       fi
    od;
    w = 0; n = 0; ok = false
}

/* Condition.notify: count is how many of those up to last were notified. */
inline notify(most, last)
{
    count = 0;
    if
    :: most >= high ->
       used = 0;
       for (i : 0 .. ENTRIES - 1) {
           if
           :: i < high ->
              if
              :: STATE(entry[i]) == WAITING && ticket[i] <= last ->
                 until[i] = last;
                 resolve(i);
                 if
                 :: lives -> count++
                 :: else
                 fi
              :: else
              fi;
              if
              :: STATE(entry[i]) != FREE -> used = i + 1
              :: else
              fi
           :: else
           fi
       }
       high = used; used = 0
    :: else ->
       do
       :: count < most ->
          first = ENTRIES; used = 0;
          for (i : 0 .. ENTRIES - 1) {
              if
              :: i < high ->
                 if
                 :: STATE(entry[i]) == WAITING && ticket[i] <= last ->
                    if
                    :: first == ENTRIES -> first = i
                    :: else ->
                       if
                       :: ticket[i] < ticket[first] -> first = i
                       :: else
                       fi
                    fi
                 :: else
                 fi;
                 if
                 :: STATE(entry[i]) != FREE -> used = i + 1
                 :: else
                 fi
              :: else
              fi
          }
          high = used; used = 0;
          if
          :: first == ENTRIES -> break
          :: else
          fi;
          until[first] = last;
          resolve(first);
          if
          :: lives -> count++
          :: else
          fi
       :: else -> break
       od
    fi;
    i = 0; first = 0; lives = false
}

/* Condition.look: the notifications of those who died go on to others. */
inline look()
{
    lock();
    for (k : 0 .. ENTRIES - 1) {
        if
        :: k < high && STATE(entry[k]) == NOTIFIED ->
           if
           :: dead[owner[k]] && STATE(entry[k]) == NOTIFIED ->
              notify(1, until[k]);
              entry[k] = FREE
           :: else
           fi
        :: else
        fi
    }
    k = 0; count = 0;
    unlock()
}

#define VARIABLES \
    byte i, k, n, w, first, used, count; \
    bool ok, lives

active [WAITERS] proctype Waiter()
{
    VARIABLES;
    byte mine;
    bool pass;
    {
        lock(); /* Enter */
        tickets++;
        do
        :: STATE(entry[mine]) == FREE -> break
        :: STATE(entry[mine]) != FREE -> mine++
        od;
        owner[mine] = _pid;
        ticket[mine] = tickets;
        if
        :: high <= mine -> high = mine + 1
        :: else
        fi;
        entry[mine] = WAITING;
        unlock();

        do
        :: w = entry[mine]; /* Wait */
           if
           :: STATE(w) != WAITING -> break
           :: STATE(w) == WAITING && (w & SLEEPS) -> ok = true
           :: STATE(w) == WAITING && !(w & SLEEPS) ->
#ifdef SLEEPS_BLINDLY
              entry[mine] = w | SLEEPS; ok = true;
#else
              compareAndSwap(entry[mine], w, w | SLEEPS, ok);
#endif
              w = w | SLEEPS
           fi;
           if
           :: ok -> sleepOn(FUTEX(mine), entry[mine], w)
           :: ok -> break /* its time is over */
           :: else
           fi;
           ok = false;
#ifndef NEVER_REAPS
           if
           :: STATE(entry[mine]) == WAITING ->
              atomic { ok = due; due = false }
              if
              :: ok -> ok = false; look()
              :: else
              fi
           :: else
           fi
#endif
        od;

        do
        :: w = entry[mine]; /* Leave */
           if
           :: STATE(w) != WAITING ->
              if
              :: pass = false
              :: pass = true
              fi;
              if
              :: pass ->
                 lock();
                 notify(1, until[mine]);
                 unlock();
                 atomic { entry[mine] = FREE; given = given + count - 1 }
                 count = 0
              :: else -> atomic { entry[mine] = FREE; woken++ }
              fi;
              break
           :: else
           fi;
#ifdef LEAVES_BLINDLY
           entry[mine] = FREE; break
#else
           compareAndSwap(entry[mine], w, FREE, ok);
           if
           :: ok -> break
           :: else
           fi
#endif
        od;
        FINISH
    } UNTIL_KILLED
}

active proctype Notifier()
{
    VARIABLES;
    byte times;
    {
        do
        :: times < NOTIFIES ->
           lock();
           oldest = (times == 0 -> tickets : oldest);
           notify(MANY, tickets);
           atomic { given = given + count; mutex = 0 }
           count = 0;
           times++
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}
