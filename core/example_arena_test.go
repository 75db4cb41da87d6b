package core_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goprocessing/goprocessing/core"
)

// Another process gets the arena by its file, and what is in it by the offset.
func ExampleArena() {
	a, err := core.NewArena()
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	lock, err := a.NewLock()
	if err != nil {
		log.Fatal(err)
	}

	f, err := a.File()
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	elsewhere, err := core.OpenArena(f)
	if err != nil {
		log.Fatal(err)
	}
	defer elsewhere.Close()
	same, err := elsewhere.Lock(lock.Offset())
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(same.TryLock(), lock.TryLock())
	// Output: true false
}

func arena() *core.Arena {
	a, err := core.NewArena()
	if err != nil {
		log.Fatal(err)
	}
	return a
}

func ExampleLock() {
	a := arena()
	defer a.Close()
	lock, err := a.NewLock()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(lock.Lock(ctx))
	fmt.Println(lock.Lock(ctx))
	fmt.Println(lock.Unlock())
	// Output:
	// <nil>
	// context deadline exceeded
	// <nil>
}

func ExampleRLock() {
	a := arena()
	defer a.Close()
	lock, err := a.NewRLock()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	me, other := core.NewOwner(), core.NewOwner()
	fmt.Println(lock.Lock(ctx, me), lock.Lock(ctx, me))
	fmt.Println(lock.TryLock(other))
	fmt.Println(lock.Unlock(me), lock.Unlock(me))
	// Output:
	// <nil> <nil>
	// false
	// <nil> <nil>
}

func ExampleSemaphore() {
	a := arena()
	defer a.Close()
	permits, err := a.NewBoundedSemaphore(2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(permits.TryAcquire(), permits.TryAcquire(), permits.TryAcquire())
	fmt.Println(permits.Release(), permits.Release())
	fmt.Println(permits.Release() == core.ErrReleased)
	// Output:
	// true true false
	// <nil> <nil>
	// true
}

func ExampleEvent() {
	a := arena()
	defer a.Close()
	event, err := a.NewEvent()
	if err != nil {
		log.Fatal(err)
	}
	var setter sync.WaitGroup
	defer setter.Wait()
	fmt.Println(event.IsSet())
	setter.Go(event.Set)
	fmt.Println(event.Wait(context.Background()))
	// Output:
	// false
	// <nil>
}

func ExampleCondition() {
	a := arena()
	defer a.Close()
	lock, err := a.NewLock()
	if err != nil {
		log.Fatal(err)
	}
	changed, err := a.NewCondition()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	var ready atomic.Bool // in a program, something that the processes share
	var notifier sync.WaitGroup
	defer notifier.Wait()
	notifier.Go(func() {
		if err := lock.Lock(ctx); err != nil {
			log.Fatal(err)
		}
		ready.Store(true)
		if _, err := changed.Notify(1); err != nil {
			log.Fatal(err)
		}
		if err := lock.Unlock(); err != nil {
			log.Fatal(err)
		}
	})
	if err := lock.Lock(ctx); err != nil {
		log.Fatal(err)
	}
	for !ready.Load() {
		if err := changed.Wait(ctx, lock); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(ready.Load(), lock.Unlock())
	// Output: true <nil>
}

func ExampleBarrier() {
	a := arena()
	defer a.Close()
	barrier, err := a.NewBarrier(2)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	other := make(chan int)
	go func() {
		index, err := barrier.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		other <- index
	}()
	index, err := barrier.Wait(ctx)
	fmt.Println(index+<-other, err)
	// Output: 1 <nil>
}

func ExampleRobustLock() {
	a := arena()
	defer a.Close()
	lock, err := a.NewRobustLock()
	if err != nil {
		log.Fatal(err)
	}
	switch err := lock.Lock(context.Background()); err {
	case nil:
		fmt.Println("locked")
	case core.ErrOwnerDied:
		fmt.Println("locked; what a killed process left half done is to be mended first")
	default:
		log.Fatal(err)
	}
	fmt.Println(lock.Unlock())
	fmt.Println(lock.Unlock() == core.ErrNotHolder)
	// Output:
	// locked
	// <nil>
	// true
}

func ExampleRobustRLock() {
	a := arena()
	defer a.Close()
	lock, err := a.NewRobustRLock()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	me := core.NewOwner()
	fmt.Println(lock.Lock(ctx, me), lock.Lock(ctx, me))
	owner, depth := lock.Owner()
	fmt.Println(owner == me, depth)
	fmt.Println(lock.Unlock(me), lock.Unlock(me))
	// Output:
	// <nil> <nil>
	// true 2
	// <nil> <nil>
}

func ExampleRobustSemaphore() {
	a := arena()
	defer a.Close()
	permits, err := a.NewRobustSemaphore(2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(permits.Acquire(context.Background()))
	fmt.Println(permits.Held())
	fmt.Println(permits.Value())
	fmt.Println(permits.Release())
	// Output:
	// <nil>
	// 1 <nil>
	// 1 <nil>
	// <nil>
}
