/*
 * arena.Event (core/internal/arena/event.go; set and clear also in goprocessing.h).
 *
 * Whoever waits returns if the event is set, and also if it was since the wait began
 * but is clear again.
 *
 * check: -DSETTERS=1 -DROUNDS=2 -DSTIRS=1
 * check: -DSETTERS=1 -DROUNDS=2 -DKILLS=1
 * check: -DSETTERS=2 -DROUNDS=1
 * long: -DSETTERS=2 -DROUNDS=2 -DKILLS=2 -DSTIRS=1
 * mistake: DOES_NOT_COUNT -DSETTERS=1 -DROUNDS=1
 * mistake: CHECKS_TOO_EARLY -DSETTERS=1 -DROUNDS=1
 * mistake: WAKES_TOO_EARLY -DSETTERS=1 -DROUNDS=1
 * mistake: WAKES_ONE -DSETTERS=1 -DROUNDS=1
 */
#define THREADS (2 + SETTERS)
#define WORD 1
#define SET 1
#define SLEEPERS 2
#define ONCE 4

byte word;
byte sets;            /* how often it became set */
byte since[THREADS + 2]; /* sets when a wait began */

#define SLEEPS_ON(p) (!IDLE(p) && ((word & SET) || since[p] != sets))
#define AT_REST (!SLEEPS_ON(2) && !SLEEPS_ON(3))
#include "futex.h"

#ifdef DOES_NOT_COUNT
#define WAS_SET(w) ((w) & SET)
#else
#define WAS_SET(w) (((w) & SET) || (w) / ONCE != seen / ONCE)
#endif

active [2] proctype Waiter()
{
    byte seen, w;
    bool ok;
    {
        atomic { seen = word; since[_pid] = sets }
        do
        :: w = word;
           if
           :: WAS_SET(w) -> break
           :: !WAS_SET(w) && (w & SLEEPERS) -> ok = true
           :: else -> atomic { compareAndSwap(word, w, w | SLEEPERS, ok); w = w | SLEEPERS }
           fi;
           if
           :: ok ->
#ifdef CHECKS_TOO_EARLY
              w = word | SLEEPERS; word = w;
#endif
              sleepOn(WORD, word, w)
           :: else
           fi;
           w = 0; ok = false
        od;
        assert(w & SET || since[_pid] != sets);
        FINISH
    } UNTIL_KILLED
}

inline set()
{
    do
    :: w = word;
       if
       :: w & SET -> break
       :: else
       fi;
#ifdef WAKES_TOO_EARLY
       if
       :: w & SLEEPERS -> wake(WORD, 255, woken)
       :: else
       fi;
#endif
       atomic {
           compareAndSwap(word, w, (w & (255 - SLEEPERS)) + ONCE | SET, ok);
           if
           :: ok -> sets++
           :: else
           fi
       }
       if
#ifdef WAKES_ONE
       :: ok && (w & SLEEPERS) -> wake(WORD, 1, woken); break
#elif !defined(WAKES_TOO_EARLY)
       :: ok && (w & SLEEPERS) -> wake(WORD, 255, woken); break
#endif
       :: else ->
          if
          :: ok -> break
          :: else
          fi
       fi
    od
}

active [SETTERS] proctype Setter()
{
    byte w, woken, round;
    bool ok;
    {
        do
        :: round < ROUNDS ->
           set();
           atomic { word = word & (255 - SET); w = 0; woken = 0; ok = false }
           round++
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}
