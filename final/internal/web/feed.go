//go:build linux

package web

import (
	"context"
	"errors"
	"sync"
)

// A feed is a stream of messages that is the same for all who read it: the list of the containers, or a view of
// one of them. It is made when the first reader comes, and whoever fills it stops when the last one has gone:
// what nobody looks at is not measured.
type feed struct {
	readers map[*reader]struct{}
	last    []byte // for a reader who comes later
	stop    context.CancelFunc
}

// feeds are all that somebody reads, by name.
type feeds struct {
	lock    sync.Mutex
	byName  map[string]*feed
	readers int
	fillers sync.WaitGroup
}

// A reader is a page.
type reader struct {
	messages chan []byte
	late     chan struct{} // closed when it has not kept up
	once     sync.Once
}

const (
	mostReaders = 32 // pages at once: each costs a connection, and views of its own
	backlog     = 16 // messages that a page may be behind before it is dropped: some ten seconds
)

var errFull = errors.New("too many pages look already")

// open makes a reader.
func (f *feeds) open() (*reader, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.readers >= mostReaders {
		return nil, errFull
	}
	f.readers++
	return &reader{messages: make(chan []byte, backlog), late: make(chan struct{})}, nil
}

// close is open's other end.
func (f *feeds) close() {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.readers--
}

// A filler fills a feed until the context is done.
type filler func(ctx context.Context, publish func([]byte))

// join has a reader get what comes by a feed, beginning with what greet returns, or with the last message. The
// one who is first has it filled.
func (f *feeds) join(r *reader, name string, fill filler, greet func() []byte) (leave func()) {
	f.lock.Lock()
	defer f.lock.Unlock()
	here := f.byName[name]
	if here == nil {
		ctx, stop := context.WithCancel(context.Background())
		here = &feed{readers: map[*reader]struct{}{}, stop: stop}
		if f.byName == nil {
			f.byName = map[string]*feed{}
		}
		f.byName[name] = here
		if fill != nil {
			f.fillers.Go(func() { fill(ctx, func(message []byte) { f.publish(here, message) }) })
		}
	}
	here.readers[r] = struct{}{}
	first := here.last
	if greet != nil {
		first = greet()
	}
	if first != nil {
		r.send(first)
	}
	return func() { f.leave(r, name, here) }
}

func (f *feeds) leave(r *reader, name string, from *feed) {
	f.lock.Lock()
	defer f.lock.Unlock()
	delete(from.readers, r)
	if len(from.readers) == 0 {
		from.stop()
		delete(f.byName, name)
	}
}

// publish gives a message to all readers of a feed.
func (f *feeds) publish(to *feed, message []byte) {
	f.lock.Lock()
	defer f.lock.Unlock()
	to.last = message
	for r := range to.readers {
		r.send(message)
	}
}

// publishTo is publish by name; a feed that nobody reads is none.
func (f *feeds) publishTo(name string, message func() []byte) {
	f.lock.Lock()
	to := f.byName[name]
	f.lock.Unlock()
	if to != nil {
		f.publish(to, message())
	}
}

// send never waits: who does not keep up is dropped, and its page asks anew.
func (r *reader) send(message []byte) {
	select {
	case r.messages <- message:
	default:
		r.once.Do(func() { close(r.late) })
	}
}
