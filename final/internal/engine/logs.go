//go:build linux

package engine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/simple-container/simple-container/final/internal/monitor"
)

// LogOptions are for Logs.
type LogOptions struct {
	Follow       bool // go on until the container has ended
	Since, Until time.Time
	Tail         int // the last entries only; negative for all
}

// An Entry is a line of a container's log, or a part of one.
type Entry struct {
	Text   string    `json:"log"`
	Stream string    `json:"stream"` // stdout or stderr
	Time   time.Time `json:"time"`
}

// Logs shows what the container has written, and with Follow what it writes.
func (c *Container) Logs(o LogOptions, show func(Entry) error) error {
	current, err := os.Open(c.path(monitor.LogFile))
	if errors.Is(err, fs.ErrNotExist) && !o.Follow {
		return nil // it was never started
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() { closeAll(current) }()
	reader := &logReader{file: current}
	if err := c.showSoFar(reader, o, show); err != nil || !o.Follow {
		return err
	}
	return c.follow(reader, o, o.among(show))
}

// among shows an entry if it is of the time that is asked for.
func (o LogOptions) among(show func(Entry) error) func(Entry) error {
	return func(e Entry) error {
		if e.Time.Before(o.Since) || !o.Until.IsZero() && e.Time.After(o.Until) {
			return nil
		}
		return show(e)
	}
}

// showSoFar shows what is there, of it the last entries only if there is a Tail.
func (c *Container) showSoFar(reader *logReader, o LogOptions, show func(Entry) error) error {
	var last []Entry
	see := show
	if o.Tail >= 0 {
		see = func(e Entry) error {
			if last = append(last, e); len(last) > 2*o.Tail {
				last = append(last[:0:0], last[len(last)-o.Tail:]...)
			}
			return nil
		}
	}
	see = o.among(see)
	before := &logReader{file: c.oldLog(reader)}
	defer func() { closeAll(before.file) }()
	if o.Tail >= 0 && o.Since.IsZero() && o.Until.IsZero() { // else it takes a look at each to know which are the last
		found, err := reader.skip(o.Tail)
		if err == nil {
			_, err = before.skip(o.Tail - found)
		}
		if err != nil {
			return err
		}
	}
	if err := before.each(see); err != nil {
		return err
	}
	if err := reader.each(see); err != nil {
		return err
	}
	for _, e := range last[max(0, len(last)-max(o.Tail, 0)):] {
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

// oldLog opens the log from before the one that is read, if there is one, and it is not that itself, moved away just now.
func (c *Container) oldLog(current *logReader) *os.File {
	old, err := os.Open(c.path(monitor.OldLog))
	if err != nil {
		return nil
	}
	if current.file != nil && isAt(current.file, old.Name()) {
		old.Close()
		return nil
	}
	return old
}

// follow shows what is written from now on, until the container has ended. It looks ten times a second.
func (c *Container) follow(reader *logReader, o LogOptions, show func(Entry) error) error {
	for {
		alive, err := c.isMonitored()
		if err != nil {
			return err
		}
		if reader.file == nil { // it had not been started
			if reader.file, err = os.Open(c.path(monitor.LogFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := reader.each(show); err != nil {
			return err
		}
		if !alive || !o.Until.IsZero() && time.Now().After(o.Until) {
			return nil
		}
		if moved := reader.moved(c.path(monitor.LogFile)); moved != nil {
			if err := reader.each(show); err != nil { // what came in the meantime
				return err
			}
			reader.file.Close()
			*reader = logReader{file: moved}
			continue
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A logReader reads the entries of a log file that grows.
type logReader struct {
	file *os.File
	rest []byte // of an entry that is not written to its end
}

// skip goes to where the last entries begin, and returns how many there are: n, or fewer.
func (r *logReader) skip(n int) (found int, err error) {
	if r.file == nil {
		return 0, nil
	}
	at, err := r.file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	block := make([]byte, 64<<10)
	for ends := 0; at > 0; { // of entries, from the last one back: the first is that of the one after which we begin
		part := block[:min(int64(len(block)), at)]
		at -= int64(len(part))
		if _, err := r.file.ReadAt(part, at); err != nil {
			return 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != '\n' {
				continue
			}
			if ends == n {
				_, err := r.file.Seek(at+int64(i)+1, io.SeekStart)
				return n, err
			}
			ends++
		}
		found = ends
	}
	_, err = r.file.Seek(0, io.SeekStart)
	return found, err
}

func (r *logReader) each(show func(Entry) error) error {
	if r.file == nil {
		return nil
	}
	lines := bufio.NewReaderSize(r.file, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		r.rest = append(r.rest, line...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var e Entry
		if err := json.Unmarshal(r.rest, &e); err != nil {
			e = Entry{Text: fmt.Sprintf("(a line of the log cannot be read: %v)\n", err), Stream: "stderr"}
		}
		r.rest = r.rest[:0]
		if err := show(e); err != nil {
			return err
		}
	}
}

// moved opens the file that is at a path by now, if it is another.
func (r *logReader) moved(path string) *os.File {
	if r.file == nil || isAt(r.file, path) {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil // it is not there yet
	}
	return file
}
