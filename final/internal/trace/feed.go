//go:build linux

package trace

import "sync"

// A Feed keeps the last events of a container for readers that come and go, in memory that does not grow.
//
//	feed, err := trace.Watch(trace.Of(container), trace.Options{}, 1000)
//	events, at, missed := feed.Since(at)
//	summary, err := feed.Summary()
type Feed struct {
	*Tracer

	mutex sync.Mutex
	ring  []Event
	next  uint64 // the number of the next event
}

// Watch begins to trace into a feed that keeps so many events. o.Event is the feed's.
func Watch(t Target, o Options, keep int) (*Feed, error) {
	f := &Feed{ring: make([]Event, max(keep, 1))}
	o.Event = f.put
	var err error
	if f.Tracer, err = Start(t, o); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Feed) put(e Event) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.ring[f.next%uint64(len(f.ring))] = e
	f.next++
}

// Since returns the events from number at on, as far as they are still kept; how many were not; and the number
// to ask for next. Numbers begin with 0.
func (f *Feed) Since(at uint64) (events []Event, next, missed uint64) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	size := uint64(len(f.ring))
	if f.next > size && at < f.next-size {
		missed = f.next - size - at
		at += missed
	}
	for ; at < f.next; at++ {
		events = append(events, f.ring[at%size])
	}
	return events, f.next, missed
}
