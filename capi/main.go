// Command capi is libgoprocessing.so, the C interface of the engine, built with
// -buildmode=c-shared. goprocessing.h describes it.
//
// The exported functions have no logic of their own. They look at the caller's
// handles in place (struct gop_segment is a core.Segment, struct gop_queue a
// core.JoinableQueue, struct gop_conn a core.Conn) and keep nothing when they
// return.
//
// The runtime keeps no descriptor of its own open: a program may close all it
// has, and may use their numbers again.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

// #cgo CFLAGS: -std=gnu11 -Wall -Wextra
// #cgo LDFLAGS: -ldl -lpthread
// #include "goprocessing.h"
import "C"

import (
	"math"
	"runtime/debug"
	"strings"
	"unsafe"

	"github.com/goprocessing/goprocessing/core"
)

func main() {} // never called; c-shared wants a main package

// A garbage collection sets timers, the first of which opens the descriptors of
// the runtime's network poller. The calls leave next to nothing on the heap, so
// collect only when that has become much after all.
func init() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
}

// Compile-time checks that C and Go agree on the handles.
var (
	_ [C.sizeof_gop_segment]byte = [unsafe.Sizeof(core.Segment{})]byte{}
	_ [C.sizeof_gop_queue]byte   = [unsafe.Sizeof(core.JoinableQueue{})]byte{}
	_ [C.sizeof_gop_conn]byte    = [unsafe.Sizeof(core.Conn{})]byte{}
	_ [C.sizeof_gop_stream]byte  = [C.GOP_STREAM_SIZE]byte{}
)

func segment(s *C.gop_segment) *core.Segment { return (*core.Segment)(unsafe.Pointer(s)) }
func queue(q *C.gop_queue) *core.JoinableQueue {
	return (*core.JoinableQueue)(unsafe.Pointer(q))
}
func conn(c *C.gop_conn) *core.Conn { return (*core.Conn)(unsafe.Pointer(c)) }

// limit translates how and deadline. A sleep that a signal interrupts returns, so
// that the caller may run its handlers.
func limit(how C.int, deadline C.int64_t) core.Limit {
	l := core.Limit{Deadline: int64(deadline), Interruptible: true}
	switch how {
	case C.GOP_NOWAIT:
		l.How = core.NoWait
	case C.GOP_SPIN:
		l.How = core.Spin
	case C.GOP_SLEEP:
		l.How = core.Sleep
	}
	return l
}

func result(err error) C.int { return -C.int(core.Errno(err)) }

// bytes is n bytes of the caller's at p.
func bytes(p unsafe.Pointer, n C.uint64_t) []byte { return unsafe.Slice((*byte)(p), n) }

// received completes the calls that fill a buffer.
func received(n int, err error, length *C.uint64_t) C.int {
	if err == nil {
		*length = C.uint64_t(n)
		return 0
	}
	if err == core.ErrTooLong {
		*length = C.uint64_t(n)
	}
	return result(err)
}

//export gop_abi
func gop_abi() C.int { return C.GOP_ABI }

//export gop_segment_open
func gop_segment_open(s *C.gop_segment, fd C.int, kind C.uint32_t) C.int {
	return result(segment(s).Open(int(fd), uint32(kind)))
}

//export gop_queue_create
func gop_queue_create(q *C.gop_queue, maxsize C.uint64_t) C.int {
	return result(queue(q).Queue.Create(uint64(maxsize)))
}

//export gop_joinable_queue_create
func gop_joinable_queue_create(q *C.gop_queue, maxsize C.uint64_t, redeliver C.int) C.int {
	return result(queue(q).Create(uint64(maxsize), redeliver != 0))
}

//export gop_queue_open
func gop_queue_open(q *C.gop_queue, fd, bell C.int) C.int {
	return result(queue(q).Open(int(fd), int(bell)))
}

// mode translates a mode of opening by name.
func mode(m C.int) core.Mode {
	switch m {
	case C.GOP_CREATE:
		return core.ModeCreate
	case C.GOP_OPEN_OR_CREATE:
		return core.ModeOpenOrCreate
	}
	return core.ModeOpen
}

//export gop_queue_open_named
func gop_queue_open_named(q *C.gop_queue, name C.gop_name, m C.int, maxsize C.uint64_t) C.int {
	return result(queue(q).Queue.OpenNamed(C.GoString((*C.char)(name)), mode(m), uint64(maxsize)))
}

//export gop_joinable_queue_open_named
func gop_joinable_queue_open_named(q *C.gop_queue, name C.gop_name, m C.int, maxsize C.uint64_t, redeliver C.int) C.int {
	return result(queue(q).OpenNamed(C.GoString((*C.char)(name)), mode(m), uint64(maxsize), redeliver != 0))
}

//export gop_unlink
func gop_unlink(name C.gop_name) C.int { return result(core.Unlink(C.GoString((*C.char)(name)))) }

//export gop_unlink_file
func gop_unlink_file(fd C.int) C.int { return result(core.UnlinkFile(int(fd))) }

//export gop_names
func gop_names(buf unsafe.Pointer, capacity C.uint64_t, n *C.uint64_t) C.int {
	names, err := core.Names()
	all := strings.Join(append(names, ""), "\x00")
	switch {
	case err != nil:
	case uint64(len(all)) > uint64(capacity):
		err = core.ErrTooLong
	default:
		copy(bytes(buf, capacity), all)
	}
	return received(len(all), err, n)
}

//export gop_queue_put
func gop_queue_put(q *C.gop_queue, data C.gop_bytes, n C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(queue(q).PutWithin(bytes(unsafe.Pointer(data), n), &l))
}

//export gop_queue_get
func gop_queue_get(q *C.gop_queue, buf unsafe.Pointer, capacity C.uint64_t, n *C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	got, err := queue(q).GetWithin(bytes(buf, capacity), &l)
	return received(got, err, n)
}

// load makes an item of the caller's. buffers is room for them, so that the heap need
// not be.
func load(from *C.gop_item, buffers [][]byte) core.Item {
	var item core.Item
	for i, part := range from.parts {
		item.Parts[i] = bytes(unsafe.Pointer(part.data), part.len)
	}
	for _, part := range unsafe.Slice(from.buffers, from.nbuffers) {
		buffers = append(buffers, bytes(unsafe.Pointer(part.data), part.len))
	}
	item.Buffers = buffers
	return item
}

// buffersRoom is how many buffers of an item take nothing of the heap.
const buffersRoom = 8

// store completes the calls that receive.
func store(got core.Received, err error, r *C.gop_received) C.int {
	if err == nil {
		*r = C.gop_received{len: C.uint64_t(got.Len), refs: C.uint32_t(got.Refs)}
		if got.Whole {
			r.whole = 1
		}
		return 0
	}
	if err == core.ErrTooLong {
		r.len = C.uint64_t(got.Len)
	}
	return result(err)
}

//export gop_queue_put_item
func gop_queue_put_item(q *C.gop_queue, from *C.gop_item, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	var room [buffersRoom][]byte
	item := load(from, room[:0])
	return result(queue(q).PutItemWithin(&item, &l))
}

//export gop_queue_receive
func gop_queue_receive(q *C.gop_queue, buf unsafe.Pointer, capacity C.uint64_t, r *C.gop_received, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	got, err := queue(q).ReceiveWithin(bytes(buf, capacity), &l)
	return store(got, err, r)
}

//export gop_queue_put_many
func gop_queue_put_many(q *C.gop_queue, batch C.gop_bytes, n C.uint64_t, put, done *C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	count, rest, err := queue(q).PutManyWithin(bytes(unsafe.Pointer(batch), n), &l)
	*put += C.uint64_t(count)
	*done += n - C.uint64_t(len(rest))
	return result(err)
}

//export gop_queue_get_many
func gop_queue_get_many(q *C.gop_queue, buf unsafe.Pointer, capacity, most C.uint64_t, count, size *C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	n, used, err := queue(q).GetManyWithin(bytes(buf, capacity), uint64(most), &l)
	*count = C.uint64_t(n)
	return received(used, err, size)
}

//export gop_conn_send_item
func gop_conn_send_item(c *C.gop_conn, from *C.gop_item, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	var room [buffersRoom][]byte
	item := load(from, room[:0])
	return result(conn(c).SendItemWithin(&item, &l))
}

//export gop_conn_receive
func gop_conn_receive(c *C.gop_conn, buf unsafe.Pointer, capacity C.uint64_t, r *C.gop_received, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	got, err := conn(c).ReceiveWithin(bytes(buf, capacity), &l)
	return store(got, err, r)
}

//export gop_extent_map
func gop_extent_map(s *C.gop_segment, ref C.gop_ref, data *unsafe.Pointer) C.int {
	b, err := core.Extent(segment(s), core.Ref{Offset: uint64(ref.offset), Len: uint64(ref.len)})
	*data = unsafe.Pointer(unsafe.SliceData(b))
	return result(err)
}

//export gop_extent_release
func gop_extent_release(s *C.gop_segment, ref C.gop_ref) C.int {
	core.ReleaseExtent(segment(s), core.Ref{Offset: uint64(ref.offset), Len: uint64(ref.len)})
	return 0
}

//export gop_queue_poll
func gop_queue_poll(q *C.gop_queue, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(queue(q).PollWithin(&l))
}

//export gop_queue_watch
func gop_queue_watch(q *C.gop_queue, how C.int) C.int {
	l := limit(how, 0)
	_, err := queue(q).WatchWithin(&l)
	return result(err)
}

//export gop_queue_shutdown
func gop_queue_shutdown(q *C.gop_queue, immediate, how C.int) C.int {
	l := limit(how, 0)
	return result(queue(q).ShutdownWithin(immediate != 0, &l))
}

//export gop_queue_task_done
func gop_queue_task_done(q *C.gop_queue, how C.int) C.int {
	l := limit(how, 0)
	return result(queue(q).TaskDoneWithin(&l))
}

//export gop_queue_abandoned
func gop_queue_abandoned(q *C.gop_queue, buf unsafe.Pointer, capacity C.uint64_t, r *C.gop_received, how C.int) C.int {
	l := limit(how, 0)
	got, err := queue(q).AbandonedWithin(bytes(buf, capacity), &l)
	return store(got, err, r)
}

//export gop_queue_look
func gop_queue_look(q *C.gop_queue) C.int {
	queue(q).Look()
	return 0
}

//export gop_queue_join
func gop_queue_join(q *C.gop_queue, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(queue(q).JoinWithin(&l))
}

//export gop_pipe_create
func gop_pipe_create(a, b *C.gop_conn, duplex C.int) C.int {
	return result(conn(a).Create(conn(b), duplex != 0))
}

//export gop_pipe_open_named
func gop_pipe_open_named(c *C.gop_conn, name C.gop_name, modes C.uint32_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(conn(c).OpenNamed(C.GoString((*C.char)(name)), uint32(modes), &l))
}

//export gop_conn_open
func gop_conn_open(c *C.gop_conn, fd, sock C.int, side, modes C.uint32_t) C.int {
	return result(conn(c).Open(int(fd), int(sock), uint32(side), uint32(modes)))
}

//export gop_conn_send
func gop_conn_send(c *C.gop_conn, data C.gop_bytes, n C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(conn(c).SendWithin(bytes(unsafe.Pointer(data), n), &l))
}

//export gop_conn_recv
func gop_conn_recv(c *C.gop_conn, buf unsafe.Pointer, capacity C.uint64_t, n *C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	got, err := conn(c).RecvWithin(bytes(buf, capacity), &l)
	return received(got, err, n)
}

//export gop_conn_poll
func gop_conn_poll(c *C.gop_conn, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(conn(c).PollWithin(&l))
}

//export gop_conn_watch
func gop_conn_watch(c *C.gop_conn, how C.int) C.int {
	l := limit(how, 0)
	_, err := conn(c).WatchWithin(&l)
	return result(err)
}

//export gop_conn_recv_handle
func gop_conn_recv_handle(c *C.gop_conn, handle *C.int32_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	fd, err := conn(c).RecvHandleWithin(&l)
	*handle = C.int32_t(fd)
	return result(err)
}

//export gop_conn_sent_handle
func gop_conn_sent_handle(c *C.gop_conn) C.int { return result(conn(c).SentHandle()) }

//export gop_arena_create
func gop_arena_create(s *C.gop_segment) C.int {
	a := core.ArenaOn(segment(s))
	return result(a.Create())
}

//export gop_arena_open_named
func gop_arena_open_named(s *C.gop_segment, name C.gop_name, m C.int, kind, value, limit C.uint32_t, offset *C.uint64_t) C.int {
	a := core.ArenaOn(segment(s))
	o, err := a.OpenNamed(C.GoString((*C.char)(name)), mode(m), uint32(kind), uint32(value), uint32(limit))
	*offset = C.uint64_t(o)
	return result(err)
}

//export gop_arena_alloc
func gop_arena_alloc(s *C.gop_segment, kind, value, limit C.uint32_t, offset *C.uint64_t) C.int {
	a := core.ArenaOn(segment(s))
	o, err := a.NewSlot(uint32(kind), uint32(value), uint32(limit))
	if err == nil {
		*offset = C.uint64_t(o)
	}
	return result(err)
}

//export gop_arena_free
func gop_arena_free(s *C.gop_segment, offset C.uint64_t) C.int {
	a := core.ArenaOn(segment(s))
	return result(a.FreeSlot(uint64(offset)))
}

//export gop_arena_check
func gop_arena_check(s *C.gop_segment, offset C.uint64_t, kind C.uint32_t) C.int {
	a := core.ArenaOn(segment(s))
	return result(a.CheckSlot(uint64(offset), uint32(kind)))
}

//export gop_semaphore_acquire
func gop_semaphore_acquire(m *C.gop_semaphore, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(core.SlotAt(unsafe.Pointer(m)).AcquireSemaphore(&l))
}

//export gop_rlock_acquire
func gop_rlock_acquire(m *C.gop_semaphore, owner C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(core.SlotAt(unsafe.Pointer(m)).AcquireRLock(uint64(owner), &l))
}

//export gop_self
func gop_self(self *C.uint64_t) C.int {
	*self = C.uint64_t(core.Self())
	return 0
}

//export gop_robust_lock_acquire
func gop_robust_lock_acquire(m *C.gop_semaphore, owner C.uint64_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(core.SlotAt(unsafe.Pointer(m)).AcquireRobust(uint64(owner), &l))
}

func robustSemaphore(s *C.gop_segment, offset C.uint64_t) core.RobustSemaphore {
	return core.RobustSemaphoreOn(segment(s), uint64(offset))
}

//export gop_robust_semaphore_acquire
func gop_robust_semaphore_acquire(s *C.gop_segment, offset C.uint64_t, how C.int, deadline C.int64_t) C.int {
	m, l := robustSemaphore(s, offset), limit(how, deadline)
	return result(m.AcquireWithin(&l))
}

//export gop_robust_semaphore_release
func gop_robust_semaphore_release(s *C.gop_segment, offset C.uint64_t, keep C.int) C.int {
	m := robustSemaphore(s, offset)
	if keep != 0 {
		return result(m.Abandon())
	}
	return result(m.Release())
}

//export gop_robust_semaphore_value
func gop_robust_semaphore_value(s *C.gop_segment, offset C.uint64_t) C.int {
	m := robustSemaphore(s, offset)
	return number(m.Value())
}

//export gop_robust_semaphore_held
func gop_robust_semaphore_held(s *C.gop_segment, offset C.uint64_t) C.int {
	m := robustSemaphore(s, offset)
	return number(m.Held())
}

//export gop_event_wait
func gop_event_wait(e *C.gop_event, seen C.uint32_t, how C.int, deadline C.int64_t) C.int {
	l := limit(how, deadline)
	return result(core.SlotAt(unsafe.Pointer(e)).WaitEvent(uint32(seen), &l))
}

// flag is the result of calls that answer a question.
func flag(yes bool, err error) C.int {
	if err == nil && yes {
		return 1
	}
	return result(err)
}

// number is the result of calls that count.
func number(n int, err error) C.int {
	if err == nil {
		return C.int(n)
	}
	return result(err)
}

func waiter(w *C.gop_waiter) *core.Waiter { return (*core.Waiter)(unsafe.Pointer(w)) }

func condition(s *C.gop_segment, offset C.uint64_t) core.Condition {
	return core.ConditionOn(segment(s), uint64(offset))
}

func barrier(s *C.gop_segment, offset C.uint64_t) core.Barrier {
	return core.BarrierOn(segment(s), uint64(offset))
}

//export gop_condition_enter
func gop_condition_enter(s *C.gop_segment, offset C.uint64_t, tid C.uint32_t, w **C.gop_waiter, how C.int, deadline C.int64_t) C.int {
	c, l := condition(s, offset), limit(how, deadline)
	entry, err := c.EnterWithin(uint32(tid), &l)
	*w = (*C.gop_waiter)(unsafe.Pointer(entry))
	return result(err)
}

//export gop_condition_wait
func gop_condition_wait(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter, how C.int, deadline C.int64_t) C.int {
	c, l := condition(s, offset), limit(how, deadline)
	return result(c.WaitWithin(waiter(w), &l))
}

//export gop_condition_quit
func gop_condition_quit(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter) C.int {
	c := condition(s, offset)
	return flag(c.Quit(waiter(w)))
}

//export gop_condition_leave
func gop_condition_leave(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter, pass C.int) C.int {
	c := condition(s, offset)
	return flag(c.Leave(waiter(w), pass != 0))
}

//export gop_condition_notify
func gop_condition_notify(s *C.gop_segment, offset C.uint64_t, n C.uint64_t, how C.int, deadline C.int64_t) C.int {
	c, l := condition(s, offset), limit(how, deadline)
	_, err := c.NotifyWithin(int(min(n, math.MaxInt)), &l)
	return result(err)
}

//export gop_condition_waiting
func gop_condition_waiting(s *C.gop_segment, offset C.uint64_t) C.int {
	c := condition(s, offset)
	return number(c.Waiting())
}

//export gop_barrier_arrive
func gop_barrier_arrive(s *C.gop_segment, offset C.uint64_t, tid C.uint32_t, acts C.int, w **C.gop_waiter, index *C.uint32_t, how C.int, deadline C.int64_t) C.int {
	b, l := barrier(s, offset), limit(how, deadline)
	entry, i, last, err := b.ArriveWithin(uint32(tid), acts != 0, &l)
	*w, *index = (*C.gop_waiter)(unsafe.Pointer(entry)), C.uint32_t(i)
	return flag(last, err)
}

//export gop_barrier_finish
func gop_barrier_finish(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter, ok C.int) C.int {
	b := barrier(s, offset)
	return result(b.Finish(waiter(w), ok != 0))
}

//export gop_barrier_wait
func gop_barrier_wait(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter, index *C.uint32_t, how C.int, deadline C.int64_t) C.int {
	b, l := barrier(s, offset), limit(how, deadline)
	i, err := b.WaitWithin(waiter(w), &l)
	*index = C.uint32_t(i)
	return result(err)
}

//export gop_barrier_time_out
func gop_barrier_time_out(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter, index *C.uint32_t) C.int {
	b := barrier(s, offset)
	i, err := b.TimeOut(waiter(w))
	*index = C.uint32_t(i)
	return result(err)
}

//export gop_barrier_withdraw
func gop_barrier_withdraw(s *C.gop_segment, offset C.uint64_t, w *C.gop_waiter) C.int {
	b := barrier(s, offset)
	return result(b.Withdraw(waiter(w)))
}

//export gop_barrier_reset
func gop_barrier_reset(s *C.gop_segment, offset C.uint64_t, how C.int, deadline C.int64_t) C.int {
	b, l := barrier(s, offset), limit(how, deadline)
	return result(b.ResetWithin(&l))
}

//export gop_barrier_abort
func gop_barrier_abort(s *C.gop_segment, offset C.uint64_t, how C.int, deadline C.int64_t) C.int {
	b, l := barrier(s, offset), limit(how, deadline)
	return result(b.AbortWithin(&l))
}

//export gop_barrier_waiting
func gop_barrier_waiting(s *C.gop_segment, offset C.uint64_t) C.int {
	b := barrier(s, offset)
	return number(b.Waiting())
}
