//go:build crash

package core

import (
	"context"
	"errors"
	"os"
	"testing"
)

// openScene is a scene of objects that are opened and closed all the time.
type openScene struct {
	posted
	q    *JoinableQueue
	a, b *Conn
	arenaScene
}

var lives = primitive{
	sources: []string{"internal/shm/segment", "queue", "conn.go"},
	make: func(t testing.TB) scene {
		q, err := NewJoinableQueue()
		if err != nil {
			t.Fatal(err)
		}
		a, b, err := Pipe(true)
		if err != nil {
			t.Fatal(err)
		}
		s := &openScene{q: q, a: a, b: b, arenaScene: makeArenaScene(t)}
		s.addFiles(t, q)
		s.addFiles(t, a)
		s.addFiles(t, b)
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"open and close": func(files []*os.File, _ *plight) error {
			for {
				if err := openAndClose(files); err != nil {
					return err
				}
			}
		},
		"create and close": func([]*os.File, *plight) error {
			for {
				if err := createAndClose(); err != nil {
					return err
				}
			}
		},
	},
}

func (s *openScene) files() []*os.File                { return append(s.posted.files(), s.file) }
func (s *openScene) bury(*victim, bool) error         { return nil }
func (s *openScene) settled(gotOn bool) (bool, error) { return gotOn, nil }

func (s *openScene) close() {
	s.posted.close()
	s.arenaScene.close()
}

func openAndClose(files []*os.File) error {
	q, err := OpenQueue(files[0], files[1])
	if err != nil {
		return err
	}
	if err := useQueue(q); err != nil {
		return err
	}
	a, err := OpenConn(files[2], files[3], 0, Readable|Writable)
	if err != nil {
		return err
	}
	objects, err := OpenArena(files[6])
	if err != nil {
		return err
	}
	return errors.Join(q.Close(), a.Close(), objects.Close())
}

// useQueue makes the segment grow by some windows.
func useQueue(q *Queue) error {
	if err := q.PutWithin(make([]byte, 3<<20), always()); err != nil {
		return err
	}
	_, err := q.Get(context.Background())
	return err
}

func createAndClose() error {
	q, err := NewQueue()
	if err != nil {
		return err
	}
	a, b, err := Pipe(true)
	if err != nil {
		return err
	}
	objects, err := NewArena()
	if err != nil {
		return err
	}
	return errors.Join(useQueue(q), q.Close(), a.Close(), b.Close(), objects.Close())
}

func (s *openScene) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(context.Context) error { return useQueue(&s.q.Queue) },
		func(context.Context) error { return openAndClose(s.files()) },
		func(context.Context) error { return createAndClose() },
	}
}

func (s *openScene) check([]*victim) error {
	for {
		if _, err := s.q.TryGet(); err == ErrEmpty {
			break
		} else if err != nil {
			return err
		}
	}
	if err := s.a.Send(context.Background(), []byte("still here")); err != nil {
		return err
	}
	if _, err := s.b.Recv(context.Background()); err != nil {
		return err
	}
	return nil
}
