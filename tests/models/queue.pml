/*
 * How items go through a stream (core/internal/stream: stream.go, layout.go): the
 * states of the two sides, what is committed and what published, and the words on which
 * producers and consumers sleep. The locks are taken as mutex.pml shows them to be.
 *
 * Every item that a producer put is got whole, once, and in order, or was got by a
 * consumer that died; and nobody waits for an item or for room while there is one.
 *
 * check: -DPRODUCERS=1 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=2
 * check: -DPRODUCERS=2 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=1
 * check: -DPRODUCERS=1 -DCONSUMERS=1 -DITEMS=2 -DMAXIMUM=1 -DKILLS=1
 * ends: -DPRODUCERS=2 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=1
 * ends: -DPRODUCERS=2 -DCONSUMERS=0 -DITEMS=1 -DMAXIMUM=1 -DKILLS=1
 * long: -DPRODUCERS=2 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=1
 * long: -DPRODUCERS=2 -DCONSUMERS=1 -DITEMS=2 -DMAXIMUM=1 -DKILLS=1
 * long: -DPRODUCERS=1 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=2 -DKILLS=1
 * mistake: PUBLISHES_FIRST -DPRODUCERS=2 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=2 -DKILLS=1 -DVICTIM=2
 * mistake: WRITES_IN_PLACE -DPRODUCERS=2 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=2 -DKILLS=1 -DVICTIM=2
 * mistake: NO_REPAIR -DPRODUCERS=2 -DCONSUMERS=0 -DITEMS=1 -DMAXIMUM=1 -DKILLS=1
 * mistake: COMMITS_GET_FIRST -DPRODUCERS=1 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=2 -DKILLS=1 -DVICTIM=4
 * mistake: WAKES_TOO_EARLY -DPRODUCERS=1 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=1
 * mistake: CHECKS_TOO_EARLY -DPRODUCERS=1 -DCONSUMERS=1 -DITEMS=1 -DMAXIMUM=1
 * mistake: LEAVES_SILENTLY -DPRODUCERS=1 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=2
 * mistake: KEEPS_WAKE -DPRODUCERS=1 -DCONSUMERS=2 -DITEMS=2 -DMAXIMUM=2
 */
#define THREADS (PRODUCERS + CONSUMERS)
#define NON_EMPTY 1
#define NON_FULL 2

byte nonEmpty, nonFull; /* futex.Words */
byte putLock, getLock;  /* who has it */

byte puts, putSeq; /* what consumers see; the commit word of put */
byte put[2];       /* items put */
byte tail[2];      /* and the place of the next */
byte gets;         /* the commit word of get */
byte get[2];       /* items got, as the place to read at */
byte memory[4];    /* by place: the item's producer and number */
#define ITEM(producer, n) ((producer) << 4 | (n))

byte next[THREADS + 2];       /* by producer: the number of the item that is to come next */
byte returned[THREADS + 2];   /* by producer: how many puts returned */
bool blockedPut[THREADS + 2]; /* waits for room */
bool blockedGet[THREADS + 2]; /* waits for an item */

#define GET_STUCK(p) \
    (blockedGet[p] && !dead[p] && (puts != gets || next[2] < returned[2] || next[3] < returned[3]))
#define PUT_STUCK(p) (blockedPut[p] && !dead[p] && puts - gets < MAXIMUM)
#define STUCK(p) (GET_STUCK(p) || PUT_STUCK(p))
#define AT_REST !(STUCK(2) || STUCK(3) || STUCK(THREADS) || STUCK(THREADS + 1))
#include "futex.h"
#include "word.h"

/* futex.Mutex. inherited: its last owner died inside. */
inline lock(mutex)
{
    atomic {
        mutex == 0 || dead[mutex];
        inherited = mutex != 0;
        mutex = _pid
    }
}

inline length()
{
    do
    :: before = gets;
       n = puts;
       if
       :: gets == before -> n = n - before; break
       :: else
       fi
    od;
    before = 0
}

inline hasItem() { length(); ready = n > 0; n = 0 }
inline hasRoom() { length(); ready = n < MAXIMUM; n = 0 }

inline lockPut()
{
    lock(putLock);
    if
    :: inherited ->
#ifndef NO_REPAIR
       n = put[putSeq & 1];
       puts = n;
#endif
       n = 0;
       wakeWord(NON_EMPTY, nonEmpty, 255)
    :: else
    fi
}

/* ok: the item was put; else the stream is full. */
inline tryPut()
{
    lockPut();
    n = put[putSeq & 1];
    if
    :: n + 1 - gets > MAXIMUM -> putLock = 0; ok = false
    :: else ->
       place = tail[putSeq & 1];
       memory[place & 3] = ITEM(_pid, item);
#ifdef PUBLISHES_FIRST
       puts = n + 1;
#endif
#ifdef WRITES_IN_PLACE
       put[putSeq & 1] = n + 1;
       tail[putSeq & 1] = place + 1;
       putSeq = putSeq + 2;
#else
       put[(putSeq + 1) & 1] = n + 1;
       tail[(putSeq + 1) & 1] = place + 1;
       putSeq = putSeq + 1;
#endif
#ifdef WAKES_TOO_EARLY
       wakeWord(NON_EMPTY, nonEmpty, 1);
       puts = n + 1;
       putLock = 0;
#else
       puts = n + 1;
       putLock = 0;
       wakeWord(NON_EMPTY, nonEmpty, 1);
#endif
       ok = true
    fi;
    n = 0; place = 0
}

active [PRODUCERS] proctype Producer()
{
    WORD_VARIABLES;
    byte n, before, item, place;
    bool inherited;
    {
        do
        :: item < ITEMS ->
           do
           :: tryPut();
              if
              :: ok -> break
              :: else
              fi;
              blockedPut[_pid] = true;
              AWAIT(NON_FULL, nonFull, hasRoom);
              blockedPut[_pid] = false
           od;
           returned[_pid]++;
           if
           :: slept -> /* WakeNextPut */
              hasRoom();
              if
              :: ready -> wakeWord(NON_FULL, nonFull, 1)
              :: else
              fi
           :: else
           fi;
           ok = false; slept = false; ready = false;
           item++
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}

/* Only the consumers look at what they got. */
inline check(what)
{
    from = (what) >> 4;
    assert(from != 0 && ((what) & 15) == next[from]);
    next[from]++;
    from = 0
}

/* ok: an item was got. */
inline tryGet()
{
    ok = false;
    before = gets;
    if
    :: before == puts -> goto nothing
    :: else
    fi;
    lock(getLock);
    if
    :: inherited -> wakeWord(NON_FULL, nonFull, 255); inherited = false
    :: else
    fi;
    before = gets;
    if
    :: before == puts -> getLock = 0; goto nothing
    :: else
    fi;
#ifdef COMMITS_GET_FIRST
    gets = before + 1;
    n = get[before & 1];
    get[(before + 1) & 1] = n + 1;
    atomic { n = memory[n & 3]; check(n) }
#else
    n = get[before & 1];
    item = memory[n & 3];
    get[(before + 1) & 1] = n + 1;
    atomic { gets = before + 1; check(item) }
#endif
    getLock = 0;
    wakeWord(NON_FULL, nonFull, 1);
    ok = true;
nothing:
    item = 0; n = 0; before = 0
}

/* Gets until it has had enough. */
#if CONSUMERS > 0
active [CONSUMERS] proctype Consumer()
{
    WORD_VARIABLES;
    byte n, before, item, from;
    bool inherited;
    {
        do
        :: do
           :: tryGet();
              if
              :: ok -> break
              :: else
              fi;
              blockedGet[_pid] = true;
              AWAIT(NON_EMPTY, nonEmpty, hasItem);
              blockedGet[_pid] = false
           od;
           if
#ifndef KEEPS_WAKE
           :: slept ->
              hasItem();
              if
              :: ready -> wakeWord(NON_EMPTY, nonEmpty, 1)
              :: else
              fi
#endif
           :: else
           fi;
           ok = false; slept = false; ready = false
        :: break
        od;
        FINISH
    } UNTIL_KILLED
}
#endif
