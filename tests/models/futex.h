/*
 * What the models share: threads that sleep on words of memory (futex(2)) and that
 * are killed, each the only thread of its process. A model defines THREADS, and AT_REST,
 * what holds when nothing more will happen unless a sleeper looks.
 *
 * Every statement is at most one access to shared memory, of which all threads see the
 * same order, as with Go's atomic operations; atomic{} is a single instruction or
 * system call.
 */
#ifndef KILLS
#define KILLS 0 /* threads that are killed, at most */
#endif
#ifndef LOOKS
#define LOOKS 1 /* by which a thread that was killed may hold up the others */
#endif
#ifndef STIRS
#define STIRS 0 /* sleeps that end for no reason, at most */
#endif

/* Threads are numbered by _pid, behind the two processes below; 0 is nobody. */
#define FIRST 2
#define LAST (THREADS + 1)

byte sleeps[LAST + 1]; /* the word on which a thread sleeps, 0: none */
bool doomed[LAST + 1]; /* SIGKILL was sent */
bool dead[LAST + 1];
bool done[LAST + 1];   /* has done all that it was to do */
byte kills, looks;
bool due;              /* a look is due */

#define IDLE(p) (done[p] || dead[p])

/* futex.SleepOn, without an end: see Clock. */
inline sleepOn(id, word, val)
{
    atomic {
        if
        :: word == val -> sleeps[_pid] = id
        :: else
        fi
    }
    sleeps[_pid] == 0
}

/* futex.Wake. The kernel wakes the first in its queue; here it may be any. */
inline wake(id, most, woken)
{
    atomic {
        woken = 0;
        do
        :: woken < most && sleeps[FIRST] == id -> sleeps[FIRST] = 0; woken++
        :: woken < most && sleeps[FIRST + 1] == id -> sleeps[FIRST + 1] = 0; woken++
#if THREADS > 2
        :: woken < most && sleeps[FIRST + 2] == id -> sleeps[FIRST + 2] = 0; woken++
#endif
#if THREADS > 3
        :: woken < most && sleeps[FIRST + 3] == id -> sleeps[FIRST + 3] = 0; woken++
#endif
        :: else -> break
        od
    }
}

inline compareAndSwap(word, old, new, swapped)
{
    atomic {
        if
        :: word == (old) -> word = new; swapped = true
        :: else -> swapped = false
        fi
    }
}

/* A thread is {...; FINISH} UNTIL_KILLED. It takes no more step once it is doomed, but
 * it is only seen to be dead, and no longer asleep, some time later. */
#if KILLS > 0
#define UNTIL_KILLED \
    unless { \
        atomic { doomed[_pid] -> dead[_pid] = true; sleeps[_pid] = 0 } \
        false \
    }
#else
#define UNTIL_KILLED
#endif
#define FINISH done[_pid] = true; false

active proctype Adversary()
{
    byte stirs, p;
    do
    :: atomic {
           kills < KILLS ->
           kills++;
#ifdef VICTIM
           p = VICTIM;
#else
           select (p : FIRST .. LAST);
#endif
           if
           :: !doomed[p] && !done[p] -> doomed[p] = true; looks = looks + LOOKS
           :: else
           fi;
           p = 0
       }
    :: atomic {
           stirs < STIRS ->
           stirs++;
           select (p : FIRST .. LAST);
           sleeps[p] = 0;
           p = 0
       }
    :: kills < KILLS || stirs < STIRS -> break
    od
}

/* When nothing else happens the time comes for the sleepers to look (futex.Look). That
 * takes long, so it must not be needed unless somebody was killed, and then LOOKS times. */
active proctype Clock()
{
    byte p;
    do
    :: atomic {
           timeout ->
           if
           :: AT_REST -> break
           :: else
           fi;
           assert(looks > 0);
           looks--;
           due = true;
           for (p : FIRST .. LAST) {
               sleeps[p] = 0
           }
           p = 0
       }
    od
}
